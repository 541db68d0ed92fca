# SPDX-License-Identifier: ISC
"""Exim with a configuration of its own.

    with Exim(tmp_path / "exim", routers=ROUTERS, transports=TRANSPORTS, acl_rcpt="  accept\\n") as mx: ...

By default every domain in routes goes to its port: routes={"example.org": ("lmtp", port)} or
("smtp", port).  settings: text for the main section.  routers and transports replace the made ones.
"""
from . import certs
from .guest import Guest
from .wait import free_port, wait_for

EXIM = "/usr/sbin/exim4"

CONF = """\
primary_hostname = {hostname}
spool_directory = /var/spool/exim4
log_file_path = syslog
syslog_duplication = false
exim_user = Debian-exim
exim_group = Debian-exim
daemon_smtp_ports = {smtp_port}
local_interfaces = 127.0.0.1
tls_advertise_hosts = *
tls_certificate = /inst/cert.pem
tls_privatekey = /inst/key.pem
host_lookup =
rfc1413_query_timeout = 0s
smtp_accept_max = 0
smtp_accept_max_per_connection = 0
smtp_accept_queue_per_connection = 0
dns_dnssec_ok = 0
keep_environment =
never_users =
message_size_limit = 100M
acl_smtp_rcpt = acl_rcpt
acl_smtp_data = acl_data
{settings}

begin acl
acl_rcpt:
{acl_rcpt}
acl_data:
  accept

begin routers
{routers}

begin transports
{transports}

begin retry
*  *  F,4d,1s
"""


class Exim(Guest):
    """See the top of this file."""

    tree_name = "exim"
    etc = "/etc/exim4"

    def __init__(self, folder, routes=None, settings="", routers=None, transports=None, acl_rcpt="  accept\n",
                 hostname="exim.test"):
        super().__init__(folder)
        self.routes = dict(routes or {})
        self.settings = settings
        self.routers = routers
        self.transports = transports
        self.acl_rcpt = acl_rcpt
        self.hostname = hostname
        self.smtp_port = free_port()
        certs.install(self.dir / "inst", hostname)

    def argv(self):
        return [EXIM, "-bdf", "-q1s"]

    def ports(self):
        return [self.smtp_port]

    def start(self, timeout=30):
        self.folder("var/spool/exim4", 0o750, user="Debian-exim")
        self.own("inst/key.pem", user="Debian-exim")
        self.write("etc/exim4.conf", CONF.format(
            hostname=self.hostname, smtp_port=self.smtp_port, settings=self.settings, acl_rcpt=self.acl_rcpt,
            routers=self.routers if self.routers is not None else self.made_routers(),
            transports=self.transports if self.transports is not None else self.made_transports()))
        return super().start(timeout)

    def made_routers(self):
        out = []
        for number, (domain, (kind, _)) in enumerate(self.routes.items()):
            out.append(f"to_{number}:\n  driver = manualroute\n  domains = {domain}\n  transport = out_{number}\n"
                       f"  route_list = * 127.0.0.1 byname\n  self = send\n")
        out.append("others:\n  driver = redirect\n  data = :blackhole:\n")
        return "\n".join(out)

    def made_transports(self):
        out = []
        for number, (kind, port) in enumerate(self.routes.values()):
            protocol = "\n  protocol = lmtp" if kind == "lmtp" else ""
            out.append(f"out_{number}:\n  driver = smtp\n  port = {port}\n  hosts_try_prdr =\n"
                       f"  hosts_avoid_tls = *{protocol}\n")
        return "\n".join(out)

    def mailq(self):
        return self.run(EXIM, "-bp").stdout

    def queued(self):
        return sorted(p.name[:-2] for p in (self.dir / "var/spool/exim4/input").rglob("*-H"))

    def flush(self):
        self.run(EXIM, "-qff")

    def wait_empty(self, timeout=30):
        try:
            wait_for(lambda: not self.queued(), timeout, "an empty Exim queue")
        except AssertionError as problem:
            raise AssertionError(f"{problem}\n{self.mailq()}\n{self.tail()}") from None
