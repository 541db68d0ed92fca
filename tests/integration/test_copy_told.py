# SPDX-License-Identifier: ISC
"""What a copy leaves out, cannot read or must not undo, it says; nothing of it is found out in silence."""
import re

import pytest
from lib.fakeimap import FakeImap
from lib.imap import quoted
from lib.mailbox import Mail, argv, copy, expunge, fill, look, message, run, same

ANN = "ann@example.org"
MAILS = [b"Subject: %d\r\n\r\nx\r\n" % i for i in range(4)]


def go(source, target, folder, *more):
    return run(argv(source, target, folder, "--timeout=60s", "--settle=0s", *more))


# --- Folders that only show messages of others ------------------------------------------------------

def shows_all(n_all, n_inbox=4):
    """An INBOX and Gmail's [Gmail]/All Mail."""
    def status(server, tag, line):
        n = n_all if b"All" in line else n_inbox
        name = b'"[Gmail]/All Mail"' if b"All" in line else b"INBOX"
        return b"* STATUS %s (MESSAGES %d UIDNEXT %d UIDVALIDITY 7)\r\n{tag} OK done\r\n" % (name, n, n + 1)
    return {"LIST": b'* LIST () "/" INBOX\r\n* LIST (\\All) "/" "[Gmail]/All Mail"\r\n{tag} OK done\r\n', "STATUS": status}


def test_mail_that_is_only_where_all_is_shown(tmp_path):
    """Archived by taking it out of all folders, as Gmail does it: the numbers prove that there is some."""
    with FakeImap(MAILS, shows_all(7)) as source, FakeImap() as target:
        done = go(source, target, tmp_path)
        assert (done.status, done.folders_left_out, done.messages_left_out) == (1, 1, 3), done.log
        assert [(e["folder"], "E-LEFT-OUT" in e["error"]) for e in done.exceptions] == [("[Gmail]/All Mail", True)]
        assert "event=folder_left_out" in done.log and target.appended == MAILS
        assert go(source, target, tmp_path).status == 1
        # Given a place, it is an ordinary message.
        source.script = shows_all(4)
        done = go(source, target, tmp_path)
        assert (done.status, done.folders_left_out, done.messages_left_out) == (0, 1, 0), done.log
        assert b'EXAMINE "[Gmail]' not in source.received


# --- Dates ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("date", [b"", b'INTERNALDATE "00-Jan-0000 00:00:00 +0000"', b'INTERNALDATE "Tue, 01 Jan 2019 10:00:00 +0000"',
                                  b'INTERNALDATE "01-Jan-2019 10:00:00 +9900"'])
def test_a_message_without_a_date_is_named(tmp_path, date):
    def listing(server, tag, line):
        return re.sub(rb'(UID 2 FLAGS \(\)) INTERNALDATE "[^"]*"', rb"\1 " + date, server._ordinary("FETCH", tag, line)).replace(b"  ", b" ")
    with FakeImap(MAILS, {"FETCH": listing}) as source, FakeImap() as target:
        done = go(source, target, tmp_path)
        assert (done.status, done.messages_copied, done.messages_reduced) == (1, 4, 1), done.log
        assert [(e["uid"], "date of today" in e["error"]) for e in done.exceptions] == [(2, True)]
        assert target.appended == MAILS
        assert go(source, target, tmp_path).status == 0


# --- Flags ----------------------------------------------------------------------------------------

def test_flags_that_were_set_before_the_copy_was_known(tmp_path):
    """The answer to the APPEND is lost; its user reads and marks the message before the next run: both stay."""
    lost, flags = [], b""

    def append(server, tag, line):
        first = len(server.messages) + 1
        server.messages += server.literals
        if not lost:
            lost.append(1)
            server.sockets[-1].sendall(b"* BYE overloaded\r\n")
            return None
        return b"{tag} OK [APPENDUID 7 %d:%d] done\r\n" % (first, len(server.messages))

    def listing(server, tag, line):
        return server._ordinary("FETCH", tag, line).replace(b"FLAGS ()", b"FLAGS (%s)" % flags)

    def status(server, tag, line):
        n = len(server.messages)
        return b"* STATUS INBOX (MESSAGES %d UIDNEXT %d UIDVALIDITY 7)\r\n{tag} OK done\r\n" % (n, n + 1)
    with FakeImap(MAILS) as source, FakeImap([], {"APPEND": append, "FETCH": listing, "STATUS": status}) as target:
        # The flags are there from the moment of storing on, whether the same run finds the copies or the next.
        flags = b"\\Seen \\Flagged"
        for _ in range(3):
            done = go(source, target, tmp_path)
        assert done.status == 0 and target.messages == MAILS, done.log
        assert b" STORE " not in target.received, target.received


# --- Names ----------------------------------------------------------------------------------------

def test_folders_whose_names_differ_in_case(dovecot, tmp_path):
    """Made in one run: each has its own numbers, its own messages, and its own deletions."""
    old, new = dovecot("old"), dovecot("new", separator="/")
    fill(old.imap(ANN), {name: [Mail(message(f"{name} {i}")) for i in range(n)] for name, n in (("Work", 3), ("WORK", 2), ("wOrk", 1))})
    done = copy(old, new, tmp_path, "--verify")
    assert (done.status, done.messages_copied, done.counts["verified"]["missing"]) == (0, 6, 0), done.log
    same(look(old.imap(ANN)), look(new.imap(ANN), "/"))
    expunge(old.imap(ANN), quoted("WORK"), "1")
    done = copy(old, new, tmp_path, "--verify")
    assert (done.status, done.messages_copied, done.messages_adopted, done.messages_deleted) == (0, 0, 0, 1), done.log
    same(look(old.imap(ANN)), look(new.imap(ANN), "/"))
