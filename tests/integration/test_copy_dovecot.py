# SPDX-License-Identifier: ISC
"""coexist-sync copy between two Dovecots: everything arrives, and again means only what changed."""
import pytest
from lib.imap import quoted
from lib.mailbox import Mail, copy, fill, look, message, same, sample, to_wire

ANN = "ann@example.org"


def store(client, folder, uids, how, flags):
    client.select(quoted(to_wire(folder)))
    assert client.uid("STORE", uids, how, f"({flags})")[0] == "OK"


@pytest.fixture
def servers(dovecot):
    return dovecot("old"), dovecot("new", separator="/")


def test_everything_arrives_once(servers, tmp_path):
    old, new = servers
    fill(old.imap(ANN), sample())
    first = copy(old, new, tmp_path, "--verify")
    assert first.status == 0, first.log
    assert (first.messages_copied, first.messages_failed, first.folders_failed) == (33, 0, 0)
    assert first.verified["missing"] == first.verified["different"] == first.verified["extra"] == 0
    same(look(old.imap(ANN)), look(new.imap(ANN), "/"))
    again = copy(old, new, tmp_path)
    assert again.status == 0, again.log
    assert (again.messages_copied, again.messages_skipped, again.flags_changed) == (0, 33, 0)
    assert again.folders_unchanged == again.folders
    subscribed = {line.split(b' "/" ')[1].strip(b'"') for line in new.imap(ANN).lsub()[1]}
    assert to_wire("Projekte/Kunde A").encode() in subscribed


def test_only_changes_travel(servers, tmp_path):
    old, new = servers
    client = old.imap(ANN)
    fill(client, {"INBOX": [Mail(message(f"m{i}")) for i in range(6)], "Work": [Mail(message("w"))]})
    assert copy(old, new, tmp_path).status == 0
    store(client, "INBOX", "1:2", "+FLAGS", "\\Seen Later")
    store(client, "INBOX", "3", "+FLAGS", "\\Deleted")
    assert client.uid("EXPUNGE", "3")[0] == "OK"
    fill(client, {"Work": [Mail(message("w2"))]})
    second = copy(old, new, tmp_path)
    assert second.status == 0, second.log
    assert (second.messages_copied, second.flags_changed, second.messages_deleted) == (1, 2, 1)
    same(look(old.imap(ANN)), look(new.imap(ANN), "/"))
    store(client, "INBOX", "1", "-FLAGS", "Later")
    third = copy(old, new, tmp_path)
    assert (third.messages_copied, third.flags_changed, third.messages_deleted) == (0, 1, 0)
    same(look(old.imap(ANN)), look(new.imap(ANN), "/"))


def test_what_the_user_does_on_the_target_stays(servers, tmp_path):
    old, new = servers
    source, target = old.imap(ANN), new.imap(ANN)
    fill(source, {"INBOX": [Mail(message(f"m{i}")) for i in range(5)]})
    assert copy(old, new, tmp_path).status == 0
    fill(target, {"INBOX": [Mail(message("their own"))]})
    store(target, "INBOX", "1", "+FLAGS", "\\Flagged")
    store(target, "INBOX", "2", "+FLAGS", "\\Deleted")
    assert target.uid("EXPUNGE", "2")[0] == "OK"
    store(source, "INBOX", "1", "+FLAGS", "\\Seen")
    store(source, "INBOX", "1,4", "+FLAGS", "\\Deleted")
    assert source.uid("EXPUNGE", "4")[0] == "OK"
    second = copy(old, new, tmp_path)
    assert second.status == 0, second.log
    assert (second.messages_copied, second.messages_deleted) == (0, 1)
    shown = look(new.imap(ANN))["INBOX"]
    # 1 has both changes, 2 does not come back, 4 is gone, and the user's own message is untouched.
    assert len(shown) == 4
    assert shown[0].flags == {"\\flagged", "\\seen", "\\deleted"}
    # A message that the target's user has touched outlives its original.
    store(target, "INBOX", "3", "+FLAGS", "\\Answered")
    store(source, "INBOX", "3", "+FLAGS", "\\Deleted")
    assert source.uid("EXPUNGE", "3")[0] == "OK"
    third = copy(old, new, tmp_path)
    assert (third.messages_deleted, third.messages_kept) == (0, 1)
    assert len(look(new.imap(ANN))["INBOX"]) == 4


def test_a_lost_journal_makes_no_duplicate(servers, tmp_path):
    old, new = servers
    fill(old.imap(ANN), sample())
    assert copy(old, new, tmp_path / "one").status == 0
    again = copy(old, new, tmp_path / "two")
    assert again.status == 0, again.log
    assert (again.messages_copied, again.messages_adopted) == (0, 33)
    same(look(old.imap(ANN)), look(new.imap(ANN), "/"))


def test_many_deletions_are_withheld(servers, tmp_path):
    """The ceiling is the mailbox's: no folder here loses more than it might by itself."""
    old, new = servers
    client = old.imap(ANN)
    names = ["INBOX", *(f"F{i}" for i in range(6))]
    fill(client, {name: [Mail(message(f"{name}-{i}")) for i in range(20)] for name in names})
    assert copy(old, new, tmp_path).status == 0
    for name in names:
        store(client, name, "1:20", "+FLAGS", "\\Deleted")
        assert client.expunge()[0] == "OK"
    held = copy(old, new, tmp_path)
    assert held.status == 1
    assert held.messages_deleted <= 50
    assert held.messages_deleted + held.deletions_withheld == 140
    assert sum(len(box) for box in look(new.imap(ANN), "/").values()) == held.deletions_withheld
    allowed = copy(old, new, tmp_path, "--delete-percent=100", "--accept=E-EMPTY")
    assert (allowed.status, allowed.messages_deleted) == (0, held.deletions_withheld)
    same(look(old.imap(ANN)), look(new.imap(ANN), "/"))
