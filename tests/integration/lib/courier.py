# SPDX-License-Identifier: ISC
"""Courier IMAP with Maildirs, accounts in its own userdb, IMAP without TLS.

    with Courier(tmp_path / "courier", users={"ann@example.org": "secret"}) as server:
        server.deliver("ann@example.org", message)     # a file in the Maildir: Courier has no LMTP here
        server.imap("ann@example.org")                 # logged-in imaplib client
        server.messages("ann@example.org")

What no other server of ours does: the prefix "INBOX.", neither MULTIAPPEND nor LITERAL+ nor
CONDSTORE, and a folder that no client has opened for writing gets a new UIDVALIDITY with each
EXAMINE.  capabilities replaces what it announces.
"""
import imaplib
import itertools
import os
import subprocess
import time

from .guest import Guest, peers
from .imap import fetch_all
from .wait import free_port, wait_for

AUTH = "/usr/lib/courier/courier-authlib"
CAPABILITIES = "IMAP4rev1 UIDPLUS CHILDREN NAMESPACE THREAD=ORDEREDSUBJECT THREAD=REFERENCES SORT QUOTA IDLE"

AUTHDAEMON = """\
authmodulelist="authuserdb"
authmodulelistorig="authuserdb"
daemons=2
authdaemonvar=/run/courier/authdaemon
DEBUG_LOGIN=0
DEFAULTOPTIONS=""
LOGGEROPTS=""
"""

# What its package's start script would export from /etc/courier/imapd.
START = """\
set -e
export IMAP_CAPABILITY='{capabilities}'
export IMAP_KEYWORDS=1 IMAP_ACL=1 IMAP_CHECK_ALL_FOLDERS=0 IMAP_OBSOLETE_CLIENT=0 IMAP_UMASK=022
export IMAP_USELOCKS=1 IMAP_MAILBOX_SANITY_CHECK=1 IMAP_IDLE_TIMEOUT=60 IMAP_DISABLETHREADSORT=0
export IMAP_TRASHFOLDERNAME=Trash IMAP_EMPTYTRASH= IMAP_SHAREDINDEXFILE=/etc/courier/shared/index
export MAILDIRPATH=Maildir IMAPDSTART=YES TERM=dumb HOME=/
{auth}/makedatprog - /etc/courier/userdb.tmp /etc/courier/userdb.dat < /inst/userdb
{auth}/makedatprog - /etc/courier/shadow.tmp /etc/courier/userdbshadow.dat < /inst/shadow
{auth}/authdaemond &
exec /usr/sbin/couriertcpd -address=127.0.0.1 -maxprocs=200 -maxperip=200 -nodnslookup -noidentlookup \\
    {imap_port} /usr/lib/courier/courier/imaplogin /usr/bin/imapd Maildir
"""


def hashed(password):
    return subprocess.run(["openssl", "passwd", "-1", "-stdin"], input=password, stdout=subprocess.PIPE, text=True,
                          check=True).stdout.strip()


class Courier(Guest):
    """See the top of this file."""

    tree_name = "courier"
    etc = "/etc/courier"
    hostname = "courier.test"
    numbers = itertools.count(1)

    def __init__(self, folder, users=None, hostname="courier.test", capabilities=CAPABILITIES):
        super().__init__(folder)
        self.users = dict(users or {})
        self.hostname = hostname
        self.capabilities = capabilities
        self.auth = AUTH
        self.imap_port = free_port()

    def argv(self):
        return ["/usr/bin/sh", "/inst/start"]

    def ports(self):
        return [self.imap_port]

    def start(self, timeout=30):
        self.folder("var/mail", user="vmail")
        self.folder("run/courier/authdaemon")
        self.write("etc/authdaemonrc", AUTHDAEMON)
        uid, accounts, passwords = peers.USERS["vmail"], [], []
        for user, password in self.users.items():
            for name in ("", "/Maildir", "/Maildir/cur", "/Maildir/new", "/Maildir/tmp"):
                self.folder(f"var/mail/{user}{name}", 0o700, user="vmail")
            accounts.append(f"{user}\thome=/var/mail/{user}|mail=/var/mail/{user}/Maildir|uid={uid}|gid={uid}\n")
            passwords.append(f"{user}\timappw={hashed(password)}\n")
        self.write("inst/userdb", "".join(accounts) + ".\n")
        self.write("inst/shadow", "".join(passwords) + ".\n", 0o600)
        self.write("inst/start", START.format(**vars(self)))
        super().start(timeout)
        # Its port listens before its passwords can be asked for.
        if self.users:
            wait_for(self._signs_in, timeout, "Courier to know its users")
        return self

    def _signs_in(self):
        try:
            return self.imap(next(iter(self.users))).logout()
        except imaplib.IMAP4.error:
            return None

    def imap(self, user, password=None):
        """A logged-in imaplib client."""
        client = imaplib.IMAP4("127.0.0.1", self.imap_port)
        client.login(user, self.users[user] if password is None else password)
        return client

    def deliver(self, user, message, folder="", octets_as_they_are=False):
        """Puts one message into a folder's new/ as a delivery agent would: with bare line feeds."""
        base = self.dir / "var" / "mail" / user / "Maildir"
        base = base / f".{folder}" if folder else base
        data = message if octets_as_they_are else message.replace(b"\r\n", b"\n")
        name = f"{time.time_ns() // 1000000000}.M{next(self.numbers)}P{os.getpid()}.{self.hostname}"
        path = base / "tmp" / name
        path.write_bytes(data)
        self.own(path.relative_to(self.dir), user="vmail")
        path.rename(base / "new" / name)

    def messages(self, user):
        """Every message of the user, all folders, as the server shows them over IMAP."""
        client = self.imap(user)
        try:
            return fetch_all(client)
        finally:
            client.logout()
