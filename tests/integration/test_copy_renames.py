# SPDX-License-Identifier: ISC
"""A folder that is renamed on the source: one RENAME on the target where MAILBOXIDs tell (Cyrus), moves where not."""
import re

import pytest
from lib.cutover import ANN
from lib.imap import quoted
from lib.mailbox import Mail, copy, message, same
from lib.proxy import Proxy
from lib.sides import Side


@pytest.fixture
def sides(request):
    """(source kind, target kind) -> the sides of a mailbox, the target behind a proxy."""
    def make(source, target, **kwargs):
        made = []
        for role, kind in (("old", source), ("new", target)):
            server = request.getfixturevalue(kind)(role, **(kwargs if role == "new" else {}))
            side = Side(server, kind, ANN)
            side.uids("INBOX")
            made.append(side)
        made[1].proxy = Proxy(made[1].server)
        made[0].fill({"Work": [Mail(message(f"w{i}"), ("\\Seen", "Label")) for i in range(5)],
                      "Work.Deep": [Mail(message(f"d{i}")) for i in range(3)], "Other": [Mail(message("o"))]})
        return made
    return make


def rename(side, name, to):
    status, answer = side.client.rename(side.wire(name), side.wire(to))
    assert status == "OK", answer


def go(old, new, folder):
    new.proxy.forget()
    return copy(old.server, new.proxy, folder)


def quiet(old, new, folder):
    done = go(old, new, folder)
    assert (done.status, done.messages_copied, done.messages_moved, done.messages_deleted, done.flags_changed) == \
        (0, 0, 0, 0, 0), done.log
    assert new.proxy.count(rb"RENAME") == 0


@pytest.mark.parametrize("target", ["dovecot", "cyrus"])
def test_a_rename_is_a_rename(sides, tmp_path, target):
    old, new = sides("cyrus", target)
    assert go(old, new, tmp_path).messages_copied == 9
    before = new.uids("Work")
    rename(old, "Work", "Arbeit")
    rename(old, "Other", "Arbeit.Other")
    done = go(old, new, tmp_path)
    assert (done.status, done.messages_copied, done.messages_moved, done.folders_vanished) == (0, 0, 0, 0), done.log
    # Cyrus' RENAME takes along what is below, and so does Dovecot's.
    assert new.proxy.count(rb"RENAME") == 2 and new.proxy.count(rb"(APPEND|.*BODY|UID MOVE|UID COPY)") == 0
    same(old.look(), new.look())
    assert new.uids("Arbeit") == before
    quiet(old, new, tmp_path)
    # Back, with a change in it, and into each other's names.
    old.fill({"Arbeit": [Mail(message("late"))]})
    rename(old, "Arbeit.Other", "Other")
    rename(old, "Arbeit", "Work")
    done = go(old, new, tmp_path)
    assert (done.status, done.messages_copied, done.messages_moved) == (0, 1, 0), done.log
    rename(old, "Other", "Middle")
    rename(old, "Work", "Other")
    rename(old, "Middle", "Work")
    done = go(old, new, tmp_path)
    assert (done.status, done.messages_copied) == (0, 0), done.log
    same_mail(old, new)
    quiet(old, new, tmp_path)


def same_mail(old, new):
    """Where two names were exchanged the target may keep one of its own."""
    one, other = (sorted(sorted(mail.sha for mail in mails) for mails in side.look().values()) for side in (old, new))
    assert one == other


def test_without_mailboxids_messages_move(sides, tmp_path):
    old, new = sides("dovecot", "cyrus")
    assert go(old, new, tmp_path).messages_copied == 9
    rename(old, "Work", "Arbeit")
    done = go(old, new, tmp_path)
    assert (done.status, done.messages_copied, done.messages_moved) == (0, 0, 8), done.log
    assert new.proxy.count(rb"(APPEND|RENAME)") == 0
    there = {name: mails for name, mails in new.look().items() if mails}
    same({name: mails for name, mails in old.look().items() if mails}, there)
    quiet(old, new, tmp_path)


# Else a user has all of these on what is his, whatever the list of rights says.
CONF = "implicit_owner_rights: a\n"


def set_rights(new, folder, rights):
    user, _, domain = ANN.partition("@")
    admin, name = new.server.admin(), quoted(f"user/{user}/{folder}@{domain}")
    status, answer = admin.setacl(name, ANN, rights) if rights else admin.deleteacl(name, ANN)
    assert status == "OK", answer
    admin.logout()


def test_a_refused_rename_moves_the_messages(sides, tmp_path):
    """The user may not delete the folder, as which Cyrus counts a rename."""
    old, new = sides("cyrus", "cyrus", conf=CONF)
    assert go(old, new, tmp_path).messages_copied == 9
    set_rights(new, "Work", "lrswipte")
    rename(old, "Work", "Arbeit")
    done = go(old, new, tmp_path)
    # What is refused is tried once more when the target was listed again; what is below has rights of its own.
    assert (done.status, done.messages_copied, done.messages_moved, done.folders_not_renamed) == (0, 0, 5, 1), done.log
    assert "event=folder_not_renamed" in done.log
    assert new.proxy.count(rb"RENAME") == 3 and new.proxy.count(rb"APPEND") == 0
    there = {name: mails for name, mails in new.look().items() if mails}
    same({name: mails for name, mails in old.look().items() if mails}, there)
    quiet(old, new, tmp_path)


def test_a_name_that_is_taken_out_of_sight(sides, tmp_path):
    """Neither renamed nor made: the folder gets a name that the target takes, and keeps it."""
    old, new = sides("cyrus", "cyrus", conf=CONF)
    assert go(old, new, tmp_path).messages_copied == 9
    new.client.create(new.wire("Arbeit"))
    set_rights(new, "Arbeit", "")
    rename(old, "Work", "Arbeit")
    done = go(old, new, tmp_path)
    assert done.status == 0 and "event=folder_renamed folder=Arbeit to=Arbeit-" in done.log, done.log
    assert (done.messages_copied, done.messages_moved) == (0, 5), done.log
    [there] = [name for name in new.look() if re.fullmatch("Arbeit-[0-9a-f]{8}", name)]
    assert len(new.look()[there]) == 5 and sum(map(len, new.look().values())) == 9
    set_rights(new, "Arbeit", "lrswipkxtea")
    assert len(new.look()["Arbeit"]) == 0
    quiet(old, new, tmp_path)
