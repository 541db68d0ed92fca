# SPDX-License-Identifier: ISC
"""Dovecot: LMTP in, IMAP out, one Maildir per user.

    with Dovecot(tmp_path / "old", users={"ann@example.org": "secret"}) as server:
        server.deliver("ann@example.org", b"Subject: hi\r\n\r\nbody\r\n")
        server.messages("ann@example.org")   # [Message(folder, uid, flags, data)]

Unknown users are refused at RCPT (550 5.1.1).  The master user logs in as any user:
imap("ann@example.org", master=True) authenticates as "ann@example.org*master".
"""
import imaplib
import smtplib

from . import certs
from .guest import Guest
from .imap import fetch_all
from .process import children
from .wait import free_port, wait_for

CONF = """\
base_dir = /run/dovecot
state_dir = /var/lib/dovecot
log_path = /inst/log
log_timestamp = "%Y-%m-%d %H:%M:%S.%{{usecs}} "
protocols = imap lmtp
listen = 127.0.0.1
hostname = {hostname}
ssl = yes
ssl_cert = </inst/cert.pem
ssl_key = </inst/key.pem
disable_plaintext_auth = no
auth_username_format = %Lu
auth_master_user_separator = *
auth_mechanisms = plain login
auth_failure_delay = 0
mail_location = {mail_location}
mail_fsync = never
mail_uid = vmail
mail_gid = vmail
first_valid_uid = 1
mail_max_userip_connections = 1000
recipient_delimiter = +
lmtp_save_to_detail_mailbox = no
default_client_limit = 2000
passdb {{
  driver = passwd-file
  args = username_format=%Lu /etc/dovecot/masters
  master = yes
  pass = yes
}}
passdb {{
  driver = passwd-file
  args = username_format=%Lu /etc/dovecot/users
}}
userdb {{
  driver = static
  args = uid=vmail gid=vmail home=/var/mail/%Lu
}}
namespace inbox {{
  inbox = yes
  separator = {separator}
}}
service imap-login {{
  process_limit = 1000
  inet_listener imap {{
    port = {imap_port}
  }}
  inet_listener imaps {{
    port = {imaps_port}
    ssl = yes
  }}
}}
service imap {{
  process_limit = 1000
}}
service lmtp {{
  process_limit = 200
  inet_listener lmtp {{
    port = {lmtp_port}
  }}
}}
# Whether an administrator has a mailbox of his own is a sign-in that is refused; no test waits for that.
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
protocol imap {{
  mail_max_userip_connections = 1000
}}
"""


class Dovecot(Guest):
    """users: {address: password}; conf: text appended to dovecot.conf; files: {name: text} beside it; separator and
    mail_location as in Dovecot's own configuration.  Both may be changed before start()."""

    tree_name = "dovecot"
    etc = "/etc/dovecot"

    def __init__(self, folder, users=None, conf="", hostname="dovecot.test", separator=".",
                 mail_location="maildir:/var/mail/%Lu/Maildir", master_password="master-secret",
                 files=None):
        super().__init__(folder)
        self.users = dict(users or {})
        self.conf = conf
        self.files = files or {}
        self.hostname = hostname
        self.separator = separator
        self.mail_location = mail_location
        self.master_password = master_password
        self.imap_port, self.imaps_port, self.lmtp_port = free_port(), free_port(), free_port()
        self.cert = certs.install(self.dir / "inst", hostname)

    def argv(self):
        return ["/usr/sbin/dovecot", "-F", "-c", "/etc/dovecot/dovecot.conf"]

    def ports(self):
        return [self.imap_port, self.imaps_port, self.lmtp_port]

    def start(self, timeout=30):
        self.folder("var/mail", user="vmail")
        self.folder("var/lib/dovecot")
        self.folder("run/dovecot")
        self.write_users()
        for name, text in self.files.items():
            self.write(f"etc/{name}", text)
        self.write("etc/dovecot.conf", CONF.format(**vars(self)) + self.conf)
        return super().start(timeout)

    def write_users(self):
        lines = [f"{user}:{{PLAIN}}{password}\n" for user, password in self.users.items()]
        self.write("etc/users", "".join(lines), 0o640, group="dovecot", user="root")
        self.write("etc/masters", f"master:{{PLAIN}}{self.master_password}\n", 0o640, group="dovecot", user="root")

    def add_user(self, user, password="secret"):
        self.users[user] = password
        self._users_changed(user, True)

    def remove_user(self, user):
        """The server no longer knows the user; the mail stays."""
        del self.users[user]
        self._users_changed(user, False)

    def _users_changed(self, user, known):
        # A running server looks at the file at most once per second.
        self.write_users()
        if self.running():
            wait_for(lambda: self.knows(user) == known, 30, f"Dovecot to see the change of {user}")

    def knows(self, user):
        """Whether the server takes mail for this user now."""
        with smtplib.LMTP("127.0.0.1", self.lmtp_port) as client:
            client.ehlo_or_helo_if_needed()
            client.mail("")
            return client.rcpt(user)[0] == 250

    def imap(self, user, tls=False, master=False, password=None):
        """A logged-in imaplib client."""
        if tls:
            client = imaplib.IMAP4_SSL("localhost", self.imaps_port, ssl_context=certs.client_context())
        else:
            client = imaplib.IMAP4("127.0.0.1", self.imap_port)
        if master:
            client.login(f"{user}*master", self.master_password)
        else:
            client.login(user, self.users[user] if password is None else password)
        return client

    def deliver(self, user, message, sender="sender@example.net"):
        """Hand one message in over LMTP; raises smtplib's exceptions when it is refused."""
        with smtplib.LMTP("127.0.0.1", self.lmtp_port) as client:
            refused = client.sendmail(sender, [user], message)
            if refused:
                raise smtplib.SMTPRecipientsRefused(refused)

    def messages(self, user):
        """Every message of the user, all folders, as the server shows them over IMAP."""
        client = self.imap(user)
        try:
            return fetch_all(client)
        finally:
            client.logout()

    def sessions(self):
        """The processes of those that are signed in over IMAP; each ends when it has done what it was told."""
        [master] = children(int((self.dir / "init.pid").read_text()))
        return {child.pid for child in children(master.pid) if child.name() == "imap"}

    def maildir_files(self, user):
        """Message files on disk, for looking behind the server's back."""
        base = self.dir / "var" / "mail" / user.lower()
        return [p for p in base.rglob("*") if p.is_file() and p.parent.name in ("new", "cur")]
