# SPDX-License-Identifier: ISC
"""GNU Mailutils imap4d: mbox files, one INBOX in the spool, the other folders below the user's home.

    with Imap4d(tmp_path / "imap4d", users={"ann@example.org": "secret"}) as server:
        server.imap("ann@example.org")                 # logged-in imaplib client
        server.messages("ann@example.org")

What no other server of ours does: the OK to AUTHENTICATE ends in LF alone, and there is neither UIDPLUS nor
MULTIAPPEND nor LITERAL+.
"""
import imaplib
import subprocess

from .guest import Guest, peers
from .imap import fetch_all
from .wait import free_port

CONF = """\
foreground yes;
logging {{ syslog no; }};
auth {{ authorization system; authentication generic; }};
mailbox {{ mailbox-pattern "mbox:/var/mail/${{user}}"; mailbox-type mbox; }};
login-disabled no;
max-children 200;
server 127.0.0.1:{imap_port} {{ single-process no; }};
"""


def hashed(password):
    return subprocess.run(["openssl", "passwd", "-1", "-stdin"], input=password, stdout=subprocess.PIPE, text=True,
                          check=True).stdout.strip()


class Imap4d(Guest):
    """See the top of this file."""

    tree_name = "imap4d"
    etc = "/etc/mailutils"
    hostname = "imap4d.test"

    def __init__(self, folder, users=None, hostname="imap4d.test"):
        super().__init__(folder)
        self.users = dict(users or {})
        self.hostname = hostname
        self.imap_port = free_port()

    def argv(self):
        return ["/usr/sbin/imap4d", "--foreground", "--daemon", "--no-site-config", "--config-file=/etc/mailutils/imap4d.conf"]

    def ports(self):
        return [self.imap_port]

    def binds(self):
        return super().binds() + [(str(self.dir / "etc" / "passwd"), "/etc/passwd")]

    def start(self, timeout=30):
        self.folder("var/mail", 0o1777)
        self.folder("var/home")
        uid = peers.USERS["vmail"]
        accounts = (self.tree / "etc" / "passwd").read_text()
        for user, password in self.users.items():
            self.folder(f"var/home/{user}", 0o700, user="vmail")
            self.write(f"var/mail/{user}", "", 0o600, user="vmail")
            accounts += f"{user}:{hashed(password)}:{uid}:{uid}::/var/home/{user}:/usr/bin/sh\n"
        self.write("etc/passwd", accounts)
        self.write("etc/imap4d.conf", CONF.format(**vars(self)))
        return super().start(timeout)

    def imap(self, user, password=None):
        """A logged-in imaplib client."""
        client = imaplib.IMAP4("127.0.0.1", self.imap_port)
        client.login(user, self.users[user] if password is None else password)
        return client

    def messages(self, user):
        """Every message of the user, all folders, as the server shows them over IMAP."""
        client = self.imap(user)
        try:
            return fetch_all(client)
        finally:
            client.logout()
