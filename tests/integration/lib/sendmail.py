# SPDX-License-Identifier: ISC
"""Sendmail with a sendmail.cf made from m4 inside the guest.

    with Sendmail(tmp_path / "mx",
                  mailers={"old": old.lmtp_port, "new": new.smtp_port}, lmtp=["old"],
                  mailertable={"old.route": "old:[127.0.0.1]", "new.route": "new:[127.0.0.1]"},
                  milters={"coexist": f"inet:{milter_port}@127.0.0.1"},
                  ldap_route_domains=["example.org"], mailhost_map=socketmap(lookup_port)) as mx: ...

mailers: name -> port; each becomes a mailer that connects to $h at that port, by LMTP if named in
lmtp; mailer_flags are added to each.  mailertable: domain or host -> "mailer:host"; what ldap_routing's mailHost gives is looked up
there too, so a mailHost of "old.route" reaches the mailer above.  Without an entry the mailer
"relay" takes it, at port relay_port.
mailhost_map: the text of a K line without its name.  In its socket map queries Sendmail gives the
name of its own map, which FEATURE(ldap_routing) fixes: "ldapmh".  (A sequence map would allow
another name, but loses the temporary failure: Sendmail then says 550.)  ldap_routing is used with
bounce, strip, nodomain and tempfail.
Debian's build has SOCKETMAP and MILTER (sendmail -d0.1).  Mail to other domains is discarded.
"""
from . import certs
from .guest import Guest
from .wait import free_port, wait_for

SENDMAIL = "/usr/libexec/sendmail/sendmail"

MC = """\
divert(0)dnl
define(`_USE_ETC_MAIL_')dnl
include(`/usr/share/sendmail/cf/m4/cf.m4')dnl
VERSIONID(`coexist tests')dnl
OSTYPE(`debian')dnl
define(`confDOMAIN_NAME', `{hostname}')dnl
define(`confCW_FILE', `-o /etc/mail/local-host-names')dnl
define(`confCT_FILE', `-o /etc/mail/trusted-users')dnl
define(`confCR_FILE', `-o /etc/mail/relay-domains')dnl
define(`confPID_FILE', `/run/sendmail.pid')dnl
define(`STATUS_FILE', `/var/lib/sendmail/sendmail.st')dnl
define(`confHOST_STATUS_DIRECTORY', `')dnl
define(`QUEUE_DIR', `/var/spool/mqueue')dnl
define(`confCONTROL_SOCKET_NAME', `')dnl
define(`HELP_FILE', `-o /etc/mail/helpfile')dnl
define(`ALIAS_FILE', `/etc/mail/aliases')dnl
define(`confSERVICE_SWITCH_FILE', `/etc/mail/service.switch')dnl
define(`confHOSTS_FILE', `/etc/hosts')dnl
define(`confPRIVACY_FLAGS', `noetrn')dnl
define(`confDELIVERY_MODE', `background')dnl
define(`confLOG_LEVEL', `12')dnl
define(`confTO_IDENT', `0')dnl
define(`confTO_CONNECT', `5s')dnl
define(`confTO_HOSTSTATUS', `0s')dnl
define(`confMIN_QUEUE_AGE', `0')dnl
define(`confMCI_CACHE_SIZE', `0')dnl
define(`confREFUSE_LA', `1000')dnl
define(`confQUEUE_LA', `1000')dnl
define(`confDELAY_LA', `0')dnl
define(`confMAX_DAEMON_CHILDREN', `0')dnl
define(`confCONNECTION_RATE_THROTTLE', `0')dnl
define(`confDONT_PROBE_INTERFACES', `true')dnl
define(`confSAFE_QUEUE', `true')dnl
define(`confINPUT_MAIL_FILTERS', `{milter_names}')dnl
define(`RELAY_MAILER_ARGS', `TCP $h {relay_port}')dnl
define(`confSERVER_CERT', `/inst/cert.pem')dnl
define(`confSERVER_KEY', `/inst/key.pem')dnl
define(`confCACERT_PATH', `/inst')dnl
define(`confCACERT', `/inst/ca.pem')dnl
define(`confTLS_SRV_OPTIONS', `V')dnl
FEATURE(`no_default_msa')dnl
FEATURE(`nocanonify')dnl
FEATURE(`accept_unresolvable_domains')dnl
FEATURE(`accept_unqualified_senders')dnl
FEATURE(`promiscuous_relay')dnl
FEATURE(`mailertable', `hash -o /etc/mail/mailertable')dnl
DAEMON_OPTIONS(`Family=inet, Name=MTA, Port={smtp_port}, Addr=127.0.0.1')dnl
{features}
MAILER(`local')dnl
MAILER(`smtp')dnl
MAILER_DEFINITIONS
Msink,	P=/usr/bin/sh, F=lsDFMoq9, S=EnvFromL/HdrFromL, R=EnvToL/HdrToL, U=nobody:nogroup, T=X-Unix/X-Unix/X-Unix,
		A=sh /etc/mail/sink $u
{mailer_lines}
"""


def socketmap(port):
    """A K line's class and arguments for a map of coexist-lookup."""
    return f"socket -T<TMPF> inet:{port}@127.0.0.1"


class Sendmail(Guest):
    """See the top of this file.  mc: extra m4 lines (FEATURE, define) before the mailers."""

    tree_name = "sendmail"
    etc = "/etc/mail"

    def __init__(self, folder, mailers=None, lmtp=(), mailertable=None, milters=None, mc="",
                 ldap_route_domains=(), mailhost_map=None, relay_port=25, mailer_flags="", aliases=None, hostname="mx.test"):
        super().__init__(folder)
        self.mailers = dict(mailers or {})
        self.lmtp = set(lmtp)
        self.mailertable = dict(mailertable or {})
        self.milters = dict(milters or {})
        self.mc = mc
        self.ldap_route_domains = list(ldap_route_domains)
        self.mailhost_map = mailhost_map
        self.relay_port = relay_port
        self.mailer_flags = mailer_flags
        self.aliases = dict(aliases or {})
        self.hostname = hostname
        self.smtp_port = free_port()
        certs.install(self.dir / "inst", hostname)
        (self.dir / "inst" / "ca.pem").write_bytes(certs.ca_file().read_bytes())
        (self.dir / "inst" / "key.pem").chmod(0o600)

    def argv(self):
        return [SENDMAIL, "-bD", "-q1s", "-C", "/etc/mail/sendmail.cf"]

    def ports(self):
        return [self.smtp_port]

    def start(self, timeout=30):
        self.folder("var/spool/mqueue", 0o700)
        self.folder("var/lib/sendmail")
        self.write_configuration()
        return super().start(timeout)

    def restart(self):
        """With the files as they are."""
        self.stop()
        return super().start()

    def write_configuration(self):
        """Write sendmail.mc, have m4 make sendmail.cf of it, compile the tables."""
        features = [self.mc]
        for name, where in self.milters.items():
            features.append(f"MAIL_FILTER(`{name}', `S={where}, F=T, T=C:30s;S:30s;R:60s;E:5m')dnl")
        for domain in self.ldap_route_domains:
            features.append(f"LDAPROUTE_DOMAIN(`{domain}')dnl")
        if self.mailhost_map:
            features.append(f"FEATURE(`ldap_routing', `{self.mailhost_map}', `null', `bounce', `strip', `nodomain', "
                            "`tempfail')dnl")
        mailers = []
        for name, port in self.mailers.items():
            flags = "mDFMuXa8z" if name in self.lmtp else "mDFMuXa8"
            mailers.append(f"M{name},\tP=[IPC], F={flags}{self.mailer_flags}, S=EnvFromSMTP/HdrFromSMTP, R=EnvToSMTP, E=\\r\\n, "
                           f"L=2040,\n\t\tT=DNS/RFC822/SMTP, A=TCP $h {port}")
        text = MC.format(hostname=self.hostname, smtp_port=self.smtp_port, relay_port=self.relay_port,
                         milter_names=",".join(self.milters), features="\n".join(features),
                         mailer_lines="\n".join(mailers))
        self.write("etc/sendmail.mc", text)
        made = self.run("/usr/bin/m4", "-D_CF_DIR_=/usr/share/sendmail/cf/", "/etc/mail/sendmail.mc").stdout
        self.write("etc/sendmail.cf", made)
        for name in ("local-host-names", "trusted-users", "relay-domains"):
            self.write(f"etc/{name}", "")
        self.write("etc/aliases", "".join(f"{name}: {value}\n" for name, value in self.aliases.items()))
        self.write("etc/sink", "exec cat >/dev/null\n")
        self.write("etc/service.switch", "hosts files\naliases files\npasswd files\n")
        self.write("etc/submit.cf", made)
        table = "".join(f"{key}\t{value}\n" for key, value in {".": "sink:none", **self.mailertable}.items())
        self.run("/usr/libexec/sendmail/makemap", "-C", "/etc/mail/sendmail.cf", "hash", "/etc/mail/mailertable",
                 input=table)
        if self.aliases:
            self.run(SENDMAIL, "-C", "/etc/mail/sendmail.cf", "-bi")

    def resolve(self, address):
        """What sendmail -bv says about an address, its route included."""
        return self.run(SENDMAIL, "-C", "/etc/mail/sendmail.cf", "-bv", address, check=False).stdout

    def mailq(self):
        return self.run(SENDMAIL, "-C", "/etc/mail/sendmail.cf", "-bp").stdout

    def queued(self):
        """Queue ids of messages that wait."""
        return sorted(p.name[2:] for p in (self.dir / "var/spool/mqueue").glob("qf*"))

    def flush(self):
        """Run the queue once now."""
        self.run(SENDMAIL, "-C", "/etc/mail/sendmail.cf", "-q")

    def wait_empty(self, timeout=30):
        try:
            wait_for(lambda: not self.queued(), timeout, "an empty Sendmail queue")
        except AssertionError as problem:
            raise AssertionError(f"{problem}\n{self.mailq()}\n{self.tail()}") from None
