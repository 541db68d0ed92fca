# SPDX-License-Identifier: ISC
"""One user's mailbox on one server, whichever it is, with folders' names as all servers can have them.

    old = Side(courier, "courier", user)
    old.fill(spec)  old.store("INBOX", "1:2", "+FLAGS", "\\Seen")  old.move("1", "INBOX", "Work")
    old.expunge("INBOX", "2")  old.uids("Work")  old.look()

fill() opens each folder for writing, as any client does: what Courier does with a folder that nobody has
ever opened so is the business of test_copy_courier.py.
"""
from functools import partial
from types import SimpleNamespace

from .courier import Courier
from .cyrus import Cyrus
from .dovecot import Dovecot
from .imap import quoted
from .imap4d import Imap4d
from .mailbox import fill, look, to_wire

# Where a user's folders are, and what stands between the parts of their names.
KINDS = {
    "dovecot": SimpleNamespace(make=Dovecot, prefix="", separator="."),
    "cyrus": SimpleNamespace(make=Cyrus, prefix="", separator="/"),
    "courier": SimpleNamespace(make=Courier, prefix="INBOX.", separator="."),
}


def stored_as(location, separator):
    return SimpleNamespace(make=partial(Dovecot, mail_location=location, separator=separator), prefix="", separator=separator)


# The other ways in which Dovecot stores mail.
FORMATS = {
    "sdbox": stored_as("sdbox:/var/mail/%Lu/sdbox", "."),
    "mdbox": stored_as("mdbox:/var/mail/%Lu/mdbox", "/"),
    "mbox": stored_as("mbox:/var/mail/%Lu/mail:INBOX=/var/mail/%Lu/inbox", "/"),
}
IMAP4D = {"imap4d": SimpleNamespace(make=Imap4d, prefix="", separator="/")}
ALL_KINDS = {**KINDS, **FORMATS, **IMAP4D}


class Side:
    """See the top of this file."""

    def __init__(self, server, kind, user):
        self.server, self.kind, self.user, self.client = server, ALL_KINDS[kind], user, server.imap(user)

    def name(self, folder):
        return folder if folder == "INBOX" else self.kind.prefix + folder

    def wire(self, folder):
        return quoted(to_wire(self.name(folder).replace(".", self.kind.separator)))

    def select(self, folder):
        status, answer = self.client.select(self.wire(folder))
        assert status == "OK", answer

    def fill(self, spec):
        fill(self.client, {self.name(folder): mails for folder, mails in spec.items()}, self.kind.separator)
        for folder in spec:
            self.select(folder)

    def look(self, text=lambda octets: octets):
        client = self.server.imap(self.user)
        shown = look(client, self.kind.separator, text)
        client.logout()
        return {n if n == "INBOX" else n.removeprefix(self.kind.prefix): mails for n, mails in shown.items()}

    def uids(self, folder):
        self.select(folder)
        return self.client.uid("SEARCH", "ALL")[1][0].decode().split()

    def store(self, folder, uids, how, flags):
        self.select(folder)
        assert self.client.uid("STORE", uids, how, f"({flags})")[0] == "OK"

    def expunge(self, folder, uids):
        self.store(folder, uids, "+FLAGS", "\\Deleted")
        assert self.client.uid("EXPUNGE", uids)[0] == "OK"

    def move(self, uids, folder, to):
        """MOVE, or what clients do where there is none."""
        self.select(folder)
        if "MOVE" in self.client.capabilities:
            assert self.client.uid("MOVE", uids, self.wire(to))[0] == "OK"
        else:
            assert self.client.uid("COPY", uids, self.wire(to))[0] == "OK"
            self.expunge(folder, uids)
