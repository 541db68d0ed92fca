# SPDX-License-Identifier: ISC
"""Moved to new, worked there, and moved back: by the same journal, so that only what has changed is carried."""
import pytest
from lib.cutover import ANN, cutover, entry, status
from lib.mailbox import Mail, fill, look, message
from lib.moved import counts, expunge, late, move, shas, uids

# What sweeps have seen before the way back, and what they have not.
noted = pytest.mark.parametrize("is_noted", [True, False], ids=["noted by a sweep", "not noted"])


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


def note(place, is_noted, folder="INBOX"):
    """A sweep that looks at the folder on both sides, since mail has come late to it; how many."""
    if is_noted:
        late(place.old, folder, "late")
        done = cutover(place)
        assert done.status == 0, done.log
    return int(is_noted)


def back(place, to="old"):
    done = cutover(place, ANN, "--to", to)
    assert done.status == 0 and done.states[-1] == "done", (to, done.lines, done.log)
    assert entry(place)["route"] == to


def test_there_and_back_and_there_again(moved):
    journal = journals(moved)
    assert len(journal) == 1 and copied(moved) == 15
    for number, (to, here, there) in enumerate((("old", moved.new, moved.old), ("new", moved.old, moved.new)), start=1):
        work(here, f"turn{number}")
        back(moved, to)
        assert shas(here) == shas(there)
        assert copied(moved) == 15 + 2 * number, to
        assert "\\flagged" in look(there.imap(ANN))["INBOX"][2].flags
        assert journals(moved) == journal


def test_late_mail_on_new_behind_the_way_back(moved):
    """Sweeps look at new then, and nothing that its user has removed on old comes back."""
    work(moved.new, "Neu")
    back(moved)
    expunge(moved.old, "INBOX", "1:2")
    late(moved.new, "INBOX", "late")
    for _ in range(2):
        assert cutover(moved).status == 0
        assert counts(moved.old) == {"INBOX": 10, "Work": 5, "Neu": 1}


def test_mail_that_came_late_to_old_is_not_carried_twice(moved):
    """It goes to new by the last look at old, and is not new on new."""
    late(moved.old, "INBOX", "late")
    back(moved)
    assert counts(moved.old) == counts(moved.new) == {"INBOX": 11, "Work": 5}


def test_the_first_sweep_of_each_flip_is_the_first(moved):
    """The first one has a policy of its own, and is counted anew behind each flip of the same user, also when somebody
    has changed his route by hand in between."""
    assert status(moved)[ANN]["sweeps"] == 1
    assert cutover(moved).status == 0
    assert status(moved)[ANN]["sweeps"] == 2
    for to in ("old", "new"):
        back(moved, to)
        assert status(moved)[ANN]["sweeps"] == 1
    moved.maptool("set", "--force", "--why", "by hand", ANN, "route=old")
    assert cutover(moved).status == 0
    assert status(moved)[ANN]["sweeps"] == 1


def test_a_third_server_is_refused(moved):
    done = cutover(moved, ANN, "--to", "other")
    assert done.status == 69 and "third server" in done.log


# --- What has a number on old only ----------------------------------------------------------------

def test_what_came_to_new_before_a_sweep_comes_back(moved):
    """The sweep has asked new what is new there, for its own sake."""
    late(moved.new, "INBOX", "for its user")
    note(moved, True)
    back(moved)
    assert shas(moved.old) == shas(moved.new)
    assert counts(moved.old) == {"INBOX": 12, "Work": 5}


@noted
def test_a_folder_renamed_on_new(moved, is_noted):
    moved.new.imap(ANN).rename("Work", "Arbeit")
    n = note(moved, is_noted, "Work")
    back(moved)

    assert counts(moved.old) == {"INBOX": 10, "Arbeit": 5, "Work": n}


@noted
def test_a_folder_of_new_under_another_uidvalidity(moved, is_noted):
    """Restored: the same messages in a folder of the same name, and one that is new."""
    client = moved.new.imap(ANN)
    client.delete("Work")
    fill(client, {"Work": [Mail(message(f"w{i}")) for i in range(5)] + [Mail(message("own"))]})
    n = note(moved, is_noted, "Work")
    back(moved)
    assert shas(moved.old) == shas(moved.new)
    assert counts(moved.old) == {"INBOX": 10, "Work": 6 + n}


def test_equal_messages_of_such_a_folder_stay_as_many(moved):
    for _ in range(3):
        late(moved.old, "Work", "twin")
    assert cutover(moved).status == 0
    client = moved.new.imap(ANN)
    client.delete("Work")
    fill(client, {"Work": [Mail(message("twin"))] * 4})
    note(moved, True)
    back(moved)
    twin = shas(moved.new)["Work"]
    assert len(twin) == 4 and [sha for sha in shas(moved.old)["Work"] if sha in twin] == twin


@noted
def test_moved_on_new_is_moved_on_old(moved, is_noted):
    move(moved.new, "INBOX", "1:3", "Work")
    n = note(moved, is_noted)
    copies = copied(moved)
    back(moved)
    assert shas(moved.old) == shas(moved.new)
    assert counts(moved.old) == {"INBOX": 7 + n, "Work": 8}
    assert copied(moved) == copies


# --- What was removed -------------------------------------------------------------------------------

@noted
@pytest.mark.parametrize("trash", ["Trash", "Deleted Items", "INBOX.Trash"])
def test_removed_on_new_goes_to_trash_on_old(moved, trash, is_noted):
    """Old has no special uses."""
    if trash != "Trash":
        moved.old.imap(ANN).create(f'"{trash}"')
    expunge(moved.new, "INBOX", "1:2")
    n = note(moved, is_noted)
    gone = shas(moved.old)["INBOX"]
    back(moved)
    assert counts(moved.old) == {"INBOX": 8 + n, "Work": 5, trash: 2}
    assert shas(moved.old)["INBOX"] == shas(moved.new)["INBOX"]
    assert sorted(shas(moved.old)["INBOX"] + shas(moved.old)[trash]) == gone
    assert cutover(moved).status == 0
    assert counts(moved.old) == {"INBOX": 8 + n, "Work": 5, trash: 2}


def test_round_and_round(moved):
    """Each time the user works where he is, somebody is still on the other side, and mail comes late to it."""
    removed = set()
    for number, to in enumerate(("old", "new", "old", "new"), start=1):
        here, there = (moved.new, moved.old) if to == "old" else (moved.old, moved.new)
        before = {sha for v in shas(here).values() for sha in v}
        late(here, "INBOX", f"to its user {number}")
        first, second, third = uids(here, "INBOX")[:3]
        expunge(here, "INBOX", first)
        removed |= before - {sha for v in shas(here).values() for sha in v}
        move(here, "INBOX", f"{second},{third}", "Work")
        late(there, "INBOX", f"late {number}")
        if number % 2:
            assert cutover(moved).status == 0
        back(moved, to)
        wanted = {name: v for name, v in shas(here).items() if name != "Trash"}
        assert {name: v for name, v in shas(there).items() if name != "Trash"} == wanted, (number, to)
        all_there = [sha for name, v in wanted.items() for sha in v]
        assert len(all_there) == len(set(all_there)) == 15 + number
        assert not removed & set(all_there)
