# SPDX-License-Identifier: ISC
"""Moved to new, worked there, and moved back: by the same journal, so that only what has changed is carried."""
import pytest
from lib.cutover import ANN, cutover, entry, imap_servers, status
from lib.mailbox import Mail, fill, look, message


@pytest.fixture
def moved(dovecot, site, tmp_path):
    """ann is on new and done: twenty messages in INBOX, five in Work."""
    old, new = dovecot("old"), dovecot("new")
    made = site(imap_servers(tmp_path, old=old, new=new))
    made.init({ANN: "old"})
    made.old, made.new = old, new
    fill(old.imap(ANN), {"INBOX": [Mail(message(f"m{i}")) for i in range(20)], "Work": [Mail(message(f"w{i}")) for i in range(5)]})
    done = cutover(made)
    assert done.status == 0, done.log
    return made


def counts(server):
    return {name: len(mails) for name, mails in look(server.imap(ANN)).items()}


def shas(server):
    return {name: sorted(mail.sha for mail in mails) for name, mails in look(server.imap(ANN)).items()}


def copied(place):
    return status(place)[ANN]["copied"]


def journals(place):
    return sorted((place.state / "sync").glob("*/*/journal"))


def work(server, name):
    """Two messages, one of them in a new folder, and a flag."""
    client = server.imap(ANN)
    fill(client, {"INBOX": [Mail(message(f"{name} in the inbox"))], name: [Mail(message(f"{name} in a folder"))]})
    client.select("INBOX")
    client.uid("STORE", "3", "+FLAGS", "(\\Flagged)")


def test_there_and_back_and_there_again(moved):
    journal = journals(moved)
    assert len(journal) == 1 and copied(moved) == 25
    for number, (to, here, there) in enumerate((("old", moved.new, moved.old), ("new", moved.old, moved.new)), start=1):
        work(here, f"turn{number}")
        done = cutover(moved, ANN, "--to", to)
        assert done.status == 0 and done.states[-1] == "done", (to, done.lines, done.log)
        assert entry(moved)["route"] == to
        assert shas(here) == shas(there)
        assert copied(moved) == 25 + 2 * number, to
        assert "\\flagged" in look(there.imap(ANN))["INBOX"][2].flags
        assert journals(moved) == journal


def test_late_mail_on_new_behind_the_way_back(moved):
    """Sweeps look at new then, and nothing that its user has removed on old comes back."""
    work(moved.new, "Neu")
    assert cutover(moved, ANN, "--to", "old").status == 0
    client = moved.old.imap(ANN)
    client.select("INBOX")
    client.uid("STORE", "1:2", "+FLAGS", "(\\Deleted)")
    client.expunge()
    fill(moved.new.imap(ANN), {"INBOX": [Mail(message("late"))]})
    for _ in range(2):
        assert cutover(moved).status == 0
        assert counts(moved.old) == {"INBOX": 20, "Work": 5, "Neu": 1}


def test_mail_that_came_late_to_old_is_not_carried_twice(moved):
    """It goes to new by the last look at old, and is not new on new."""
    fill(moved.old.imap(ANN), {"INBOX": [Mail(message("late"))]})
    assert cutover(moved, ANN, "--to", "old").status == 0
    assert counts(moved.old) == counts(moved.new) == {"INBOX": 21, "Work": 5}


def test_the_first_sweep_of_each_flip_is_the_first(moved):
    """The first one has a policy of its own, and is counted anew behind each flip of the same user, also when somebody
    has changed his route by hand in between."""
    assert status(moved)[ANN]["sweeps"] == 1
    assert cutover(moved).status == 0
    assert status(moved)[ANN]["sweeps"] == 2
    for to in ("old", "new"):
        assert cutover(moved, ANN, "--to", to).status == 0
        assert status(moved)[ANN]["sweeps"] == 1
    moved.set(ANN, "old")
    assert cutover(moved).status == 0
    assert status(moved)[ANN]["sweeps"] == 1


def test_a_third_server_is_refused(moved):
    done = cutover(moved, ANN, "--to", "other")
    assert done.status == 69 and "third server" in done.log
