# SPDX-License-Identifier: ISC
"""coexist-sync copy with real GNU Mailutils: mbox files, and less than any other server can do.

Neither UIDPLUS nor MOVE, MULTIAPPEND or keywords, no zone in a date; it writes what it knows of a message (X-UID, Status,
X-IMAPbase) into the message's header and shows it, so no copy there has the octets of its original.
"""
import re

import pytest
from lib.imap4d import Imap4d
from lib.mailbox import Mail, copy, message, same
from lib.sides import Side

ANN = "ann@example.org"
USERS = {ANN: "secret"}
DATE = '" 1-Nov-2026 10:00:00 +0000"'
OLDER = '"17-Jul-1996 02:44:25 +0000"'
SPEC = {
    "INBOX": [Mail(message("one", "x\r\n"), ("\\Seen",), DATE), Mail(message("two", "From here\r\n.\r\n"), ("\\Flagged", "\\Answered"), OLDER),
              Mail(message("three", "ü\r\n"), (), DATE), Mail(message("four", "the same\r\n"), (), DATE), Mail(message("four", "the same\r\n"), (), DATE)],
    "Entwürfe": [Mail(message("d", "d\r\n"), ("\\Draft",), DATE)],
    "Work.2024": [Mail(message("w", "w\r\n"), (), OLDER)],
}
# An empty one has another UIDVALIDITY every second.
WITH_EMPTY = {**SPEC, "leer": []}
WRITTEN = re.compile(rb"(?m)^(?:X-UID|Status|X-Status|X-IMAPbase):.*\r\n")


def plain(octets):
    """Without what it writes into a message."""
    return WRITTEN.sub(b"", octets).rstrip(b"\r\n")


class Plain(Side):
    """What it has changed it writes when a folder is left, over what the same connection has appended to it."""

    def look(self):
        return super().look(plain)

    def store(self, folder, uids, how, flags):
        super().store(folder, uids, how, flags)
        self.client.unselect()

    def fill(self, spec):
        super().fill(spec)
        self.client.unselect()

    def remove(self, folder, uids):
        super().store(folder, uids, "+FLAGS", "\\Deleted")
        assert self.client.expunge()[0] == "OK"
        self.client.unselect()

    def move_one(self, uid, folder, to):
        self.select(folder)
        assert self.client.uid("COPY", uid, self.wire(to))[0] == "OK"
        self.remove(folder, uid)


@pytest.fixture
def imap4d(stage):
    return lambda name: stage.enter(Imap4d(stage.path(name), users=USERS))


LATE = {"INBOX": [Mail(message("late", "l\r\n"), (), DATE)]}
# By a password in a table of the system there is no SCRAM, though it offers that; the OK to PLAIN ends in LF alone.
CHANGES = {
    "flags": lambda old: (old.store("INBOX", "1", "+FLAGS", "\\Flagged"), old.store("INBOX", "2", "-FLAGS", "\\Flagged")),
    "delta": lambda old: old.fill(LATE),
    "deletion": lambda old: old.remove("INBOX", "2"),
    "move": lambda old: old.move_one("3", "INBOX", "Work.2024"),
}


@pytest.mark.parametrize("other", ("dovecot", "cyrus"))
def test_from_imap4d(other, imap4d, request, tmp_path):
    old = Plain(imap4d("old"), "imap4d", ANN)
    new = Plain(request.getfixturevalue(other)("new", USERS), other, ANN)
    old.fill(SPEC)

    def go():
        return copy(old.server, new.server, tmp_path, "--source-auth=plain", "--verify", user=ANN)
    first = go()
    assert (first.status, first.messages_copied) == (0, 7), first.log
    same(old.look(), new.look())
    for what, change in CHANGES.items():
        change(old)
        done = go()
        assert (done.status, done.messages_failed) == (0, 0), (what, done.log)
        same(old.look(), new.look())
    again = go()
    assert (again.status, again.messages_copied, again.messages_deleted, again.flags_changed) == (0, 0, 0, 0), again.log


@pytest.mark.parametrize("other", ("dovecot", "courier"))
def test_to_imap4d(other, imap4d, request, tmp_path):
    """The header lines that it adds are told, and accepted; what it cannot remove is withheld, and said."""
    old = Plain(request.getfixturevalue(other)("old", USERS), other, ANN)
    new = Plain(imap4d("new"), "imap4d", ANN)
    old.fill(WITH_EMPTY)

    def go(*more):
        return copy(old.server, new.server, tmp_path, "--target-auth=plain", "--verify", *more, user=ANN)
    first = go()
    assert (first.status, first.messages_copied, first.verified["missing"]) == (1, 7, 0), first.log
    assert {(e["code"], e["error"]) for e in first.exceptions} == {("E-DIFFERENT", "the copy has other header lines")}
    same(old.look(), new.look())
    for what in ("flags", "delta"):
        CHANGES[what](old)
        done = go("--accept=E-DIFFERENT")
        assert (done.status, done.messages_failed) == (0, 0), (what, done.log)
        same(old.look(), new.look())
    gone = {name: len(mails) for name, mails in new.look().items()}
    CHANGES["deletion"](old)
    withheld = go("--accept=E-DIFFERENT")
    assert (withheld.status, withheld.messages_copied, withheld.deletions_withheld) == (1, 0, 1), withheld.log
    assert {name: len(mails) for name, mails in new.look().items()} == gone
    CHANGES["move"](old)
    moved = go("--accept=E-DIFFERENT", "--accept=E-WITHHELD")
    assert moved.status == 0, moved.log
    # The copy that was moved stays where it was as well.
    assert {name: len(mails) for name, mails in new.look().items()} == {**gone, "Work.2024": 2}
    again = go("--accept=E-DIFFERENT", "--accept=E-WITHHELD")
    assert (again.status, again.messages_copied, again.flags_changed) == (0, 0, 0), again.log
