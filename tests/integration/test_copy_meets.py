# SPDX-License-Identifier: ISC
"""What others do on the target during a pass is met, though the target's folder is opened only once.

A real server's word: UNCHANGEDSINCE and FETCH go by what is there, whatever the session was told.
"""
import re

import pytest
from lib.mailbox import Mail, argv, expunge, fill, look, message, run, same
from lib.proxy import Proxy

ANN = "ann@example.org"
NEW, LOOK = re.compile(rb"APPEND "), re.compile(rb"UID FETCH [\d,:]+ \(UID FLAGS\)$")
CHANGE = re.compile(rb"UID (STORE|MOVE) ")


class User:
    """Does something on the server when a command comes there that begins so, before the server hears it."""

    def __init__(self, server, command, does):
        self.server, self.command, self.does, self.was_here = server, command, does, False

    def __call__(self, command):
        if self.was_here or not self.command.match(command.rstrip()):
            return
        self.was_here = True
        client = self.server.imap(ANN)
        client.select("INBOX")
        self.does(client)
        client.logout()


@pytest.fixture
def place(dovecot, tmp_path):
    """Two servers with eight messages and a folder to move to, and the line that follows."""
    old, new = dovecot("old"), Proxy(dovecot("new"))
    fill(old.imap(ANN), {"INBOX": [Mail(message(f"m{i}")) for i in range(1, 9)], "Moved": []})
    line = argv(old, new, tmp_path, "--settle=0s")
    for _ in range(2):
        assert run(line).status == 0
    yield old, new, line
    new.close()


def change(old):
    """1 and 2 get a flag, 3 and 4 go, 5 and 6 are moved, and one is new."""
    client = old.imap(ANN)
    client.select("INBOX")
    client.uid("STORE", "1:2", "+FLAGS.SILENT", "(\\Flagged)")
    client.uid("MOVE", "5:6", "Moved")
    expunge(client, "INBOX", "3:4")
    client.append("INBOX", None, None, message("m9"))
    client.logout()


def flags(server, folder="INBOX"):
    """By the number of the message."""
    client, out = server.imap(ANN), {}
    client.select(folder, readonly=True)
    for item in client.uid("FETCH", "1:*", "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]:
        if isinstance(item, tuple):
            words = set(re.search(rb"FLAGS \(([^)]*)", item[0])[1].decode().split()) - {"\\Recent"}
            out[int(re.search(rb"m(\d+)", item[1])[1])] = words
    client.logout()
    return out


def test_a_folder_of_the_target_is_opened_once(place):
    old, new, line = place
    change(old)
    new.forget()
    done = run(line)
    assert (done.status, done.messages_copied, done.messages_moved, done.messages_deleted) == (0, 1, 2, 2), done.log
    assert new.count(rb'SELECT "INBOX"') == 1, new.commands
    same(look(old.imap(ANN)), look(new.imap(ANN)))


@pytest.mark.parametrize("when", (NEW, LOOK, CHANGE), ids=("before the look", "at the look", "at the change"))
def test_what_others_mark_meanwhile_stays(place, when):
    old, new, line = place
    change(old)
    user = new.before = User(new.server, when, lambda c: c.uid("STORE", "1,3,5", "+FLAGS.SILENT", "(\\Answered)"))
    assert run(line).status == 0
    assert user.was_here
    assert run(line).status == 0
    inbox, moved = flags(new), flags(new, "Moved")
    assert inbox[1] == {"\\Flagged", "\\Answered"} and inbox[2] == {"\\Flagged"}
    assert inbox[3] == {"\\Answered"} and 4 not in inbox and 9 in inbox
    assert moved[5] == {"\\Answered"} and moved[6] == set()


@pytest.mark.parametrize("when", (NEW, LOOK), ids=("before the look", "at the look"))
def test_what_others_remove_meanwhile_is_passed_over(place, when):
    old, new, line = place
    change(old)
    user = new.before = User(new.server, when, lambda c: expunge(c, "INBOX", "1,3,5"))
    assert run(line).status == 0
    assert user.was_here
    assert run(line).status == 0
    inbox, moved = flags(new), flags(new, "Moved")
    assert sorted(inbox) == [2, 7, 8, 9] and inbox[2] == {"\\Flagged"}
    assert sorted(moved) == [6]
