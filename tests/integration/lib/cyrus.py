# SPDX-License-Identifier: ISC
"""Cyrus IMAP under its own master, with passwords in a sasldb.

    with Cyrus(tmp_path / "cyrus", users={"ann@example.org": "secret"}) as server:
        server.deliver("ann@example.org", message)     # LMTP, RCPT of an unknown user is refused
        server.imap("ann@example.org")                 # logged-in imaplib client
        server.messages("ann@example.org")

The administrator "cyrus" may act as any user: imap(user, admin=True) logs in with an authorization
id (SASL PLAIN).  conf: text appended to imapd.conf; altnamespace and unixhierarchysep are the
settings that change how folder names look.
"""
import imaplib
import smtplib

from . import certs
from .guest import Guest
from .imap import fetch_all, quoted
from .wait import free_port

BIN = "/usr/lib/cyrus/bin"

IMAPD = """\
configdirectory: /var/lib/cyrus
partition-default: /var/spool/cyrus/mail
defaultpartition: default
proc_path: /run/cyrus/proc
mboxname_lockpath: /run/cyrus/lock
lmtpsocket: /run/cyrus/socket/lmtp
idlesocket: /run/cyrus/socket/idle
notifysocket: /run/cyrus/socket/notify
servername: {hostname}
admins: cyrus
proxyservers: cyrus
virtdomains: userid
defaultdomain: guest.test
altnamespace: {altnamespace}
unixhierarchysep: {unixhierarchysep}
allowplaintext: yes
sasl_mech_list: {mechanisms}
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: /var/lib/cyrus/sasldb2
tls_server_cert: /inst/cert.pem
tls_server_key: /inst/key.pem
syslog_prefix: cyrus
hashimapspool: no
allowusermoves: yes
conversations: no
sievedir: /var/spool/cyrus/sieve
lmtp_downcase_rcpt: yes
"""

MASTER = """\
START {{
  recover cmd="{bin}/ctl_cyrusdb -C /inst/imapd.conf -r"
}}
SERVICES {{
  imap cmd="{bin}/imapd -C /inst/imapd.conf -U 200" listen="127.0.0.1:{imap_port}" prefork=0 maxchild=500
  imaps cmd="{bin}/imapd -C /inst/imapd.conf -s -U 200" listen="127.0.0.1:{imaps_port}" prefork=0 maxchild=500
  lmtp cmd="{bin}/lmtpd -C /inst/imapd.conf -a" listen="127.0.0.1:{lmtp_port}" prefork=0 maxchild=50
}}
DAEMON {{
  idled cmd="{bin}/idled -C /inst/imapd.conf"
}}
EVENTS {{
}}
"""


class Cyrus(Guest):
    """See the top of this file."""

    tree_name = "cyrus"

    def __init__(self, folder, users=None, conf="", hostname="cyrus.test", altnamespace="yes",
                 unixhierarchysep="yes", admin_password="admin-secret", mechanisms="PLAIN LOGIN"):
        super().__init__(folder)
        self.users = dict(users or {})
        self.conf = conf
        self.hostname = hostname
        self.altnamespace = altnamespace
        self.unixhierarchysep = unixhierarchysep
        self.admin_password = admin_password
        self.mechanisms = mechanisms
        self.imap_port, self.imaps_port, self.lmtp_port = free_port(), free_port(), free_port()
        self.cert = certs.install(self.dir / "inst", hostname)
        (self.dir / "inst" / "key.pem").chmod(0o640)
        self.own("inst/key.pem", group="mail")
        self.known = set()

    def argv(self):
        return ["/usr/sbin/cyrmaster", "-C", "/inst/imapd.conf", "-M", "/inst/cyrus.conf",
                "-p", "/run/cyrus-master.pid"]

    def ports(self):
        return [self.imap_port, self.imaps_port, self.lmtp_port]

    def start(self, timeout=30):
        for path in ("var/lib/cyrus", "var/lib/cyrus/db", "var/lib/cyrus/socket",
                     "var/spool/cyrus", "var/spool/cyrus/mail", "var/spool/cyrus/sieve", "run/cyrus", "run/cyrus/proc", "run/cyrus/lock", "run/cyrus/socket"):
            self.folder(path, 0o750, user="cyrus", group="mail")
        self.write("inst/imapd.conf", IMAPD.format(**vars(self)) + self.conf)
        self.write("inst/cyrus.conf", MASTER.format(bin=BIN, **vars(self)))
        self._password("cyrus", self.admin_password)
        super().start(timeout)
        for user, password in self.users.items():
            self.add_user(user, password)
        return self

    def _password(self, user, password):
        name, _, realm = user.partition("@")
        if user in self.known:
            return
        self.run("/usr/sbin/saslpasswd2", "-p", "-c", "-f", "/var/lib/cyrus/sasldb2", "-u", realm or self.hostname,
                 name, input=password)
        self.own("var/lib/cyrus/sasldb2", user="cyrus", group="mail")
        self.known.add(user)

    def add_user(self, user, password="secret"):
        """Give the user a password and an INBOX."""
        self.users[user] = password
        if user in self.known:
            return
        self._password(user, password)
        client = self.admin()
        name, _, domain = user.partition("@")
        separator = "/" if self.unixhierarchysep == "yes" else "."
        status, answer = client.create(quoted(f"user{separator}{name}" + (f"@{domain}" if domain else "")))
        assert status == "OK", answer
        client.logout()

    def admin(self):
        """A client logged in as the administrator, who sees all mailboxes as user/..."""
        client = imaplib.IMAP4("127.0.0.1", self.imap_port)
        client.login("cyrus", self.admin_password)
        return client

    def imap(self, user, tls=False, admin=False, password=None):
        """A logged-in imaplib client."""
        if tls:
            client = imaplib.IMAP4_SSL("localhost", self.imaps_port, ssl_context=certs.client_context())
        else:
            client = imaplib.IMAP4("127.0.0.1", self.imap_port)
        if admin:
            client.authenticate("PLAIN", lambda _: f"{user}\0cyrus\0{self.admin_password}".encode())
        else:
            client.login(user, self.users[user] if password is None else password)
        return client

    def deliver(self, user, message, sender="sender@example.net"):
        """Hand one message in over LMTP; raises smtplib's exceptions when it is refused."""
        with smtplib.LMTP("127.0.0.1", self.lmtp_port) as client:
            client.sendmail(sender, [user], message)

    def messages(self, user):
        """Every message of the user, all folders, as the server shows them over IMAP."""
        client = self.imap(user)
        try:
            return fetch_all(client)
        finally:
            client.logout()
