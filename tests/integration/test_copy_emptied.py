# SPDX-License-Identifier: ISC
"""A source that for once shows nothing, as when its disk is not mounted, and then everything under new UIDs."""
import shutil

import pytest
from lib.cutover import ANN, cutover, entry, imap_servers
from lib.mailbox import Mail, copy, fill, look, message, same

FOLDERS = ("INBOX", "Work", "Alt")
DELIVERED = ("cur", "new")


def maildirs(server):
    base = server.dir / "var" / "mail" / ANN / "Maildir"
    return [base if name == "INBOX" else base / f".{name}" for name in FOLDERS]


def take_away(server, folders=FOLDERS):
    for name, path in zip(FOLDERS, maildirs(server)):
        for part in DELIVERED if name in folders else ():
            (path / part).rename(path / f"away-{part}")
            server.folder(str((path / part).relative_to(server.dir)), 0o700, user="vmail")


def bring_back(server):
    for path in maildirs(server):
        for part in DELIVERED:
            if (path / f"away-{part}").exists():
                shutil.rmtree(path / part)
                (path / f"away-{part}").rename(path / part)


@pytest.fixture
def old_and_new(dovecot):
    old, new = dovecot("old"), dovecot("new")
    fill(old.imap(ANN), {name: [Mail(message(f"{name} {i}")) for i in range(20)] for name in FOLDERS})
    return old, new


def counts(server):
    return {name: len(mails) for name, mails in look(server.imap(ANN)).items()}


def test_nothing_for_once(old_and_new, tmp_path):
    old, new = old_and_new
    assert copy(old, new, tmp_path).status == 0
    before = look(new.imap(ANN))
    take_away(old)
    assert not any(look(old.imap(ANN)).values())
    for _ in range(2):
        done = copy(old, new, tmp_path)
        assert (done.status, done.messages_deleted, done.deletions_withheld) == (1, 0, 60), done.log
        assert "E-WITHHELD" in done.log
        same(before, look(new.imap(ANN)))
    bring_back(old)
    client = new.imap(ANN)
    client.select("Work")
    client.uid("STORE", "3", "+FLAGS", "(\\Flagged)")
    done = copy(old, new, tmp_path, "--verify")
    assert (done.status, done.messages_deleted, done.messages_copied) == (0, 0, 0), (done.counts, done.log)
    assert counts(new) == {name: 20 for name in FOLDERS}
    assert sum("\\flagged" in seen.flags for seen in look(new.imap(ANN))["Work"]) == 1
    again = copy(old, new, tmp_path, "--verify")
    assert (again.status, again.messages_copied, again.messages_deleted, again.flags_changed) == (0, 0, 0, 0), again.log


def test_nothing_for_once_before_a_flip(old_and_new, site, tmp_path):
    old, new = old_and_new
    place = site(imap_servers(tmp_path, old=old, new=new))
    place.init({ANN: "old"})
    stone = new.dir / "var" / "mail" / ANN / "Maildir" / ".Zu"
    assert look(new.imap(ANN)) is not None
    fill(old.imap(ANN), {"Zu": [Mail(message("zu"))]})
    stone.write_text("")
    assert cutover(place).status == 73
    stone.unlink()
    take_away(old)
    done = cutover(place)
    assert done.status == 65 and "E-WITHHELD" in done.log, done.log
    assert entry(place)["route"] == "old"
    bring_back(old)
    done = cutover(place)
    assert done.status == 0, done.log
    assert counts(new) == {**{name: 20 for name in FOLDERS}, "Zu": 1}
    same(look(old.imap(ANN)), look(new.imap(ANN)))


def test_half_of_it_for_once(old_and_new, tmp_path):
    """As behind a restore: more than half of the mailbox is gone, though less than 50 messages."""
    old, new = old_and_new
    assert copy(old, new, tmp_path).status == 0
    take_away(old, FOLDERS[:2])
    done = copy(old, new, tmp_path)
    assert (done.status, done.messages_deleted, done.deletions_withheld) == (1, 0, 40), done.log
    assert counts(new) == {name: 20 for name in FOLDERS}
