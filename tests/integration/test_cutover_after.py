# SPDX-License-Identifier: ISC
"""What the user does on new behind the flip, while sweeps still look at old."""
import json
import shutil

import pytest
from lib import smtp
from lib.cutover import ANN, cutover, imap_servers, status, sync
from lib.mailbox import Mail, expunge, fill, look, message
from lib.moved import counts, late, move
from lib.proxy import Proxy
from lib.restored import back_up, restore, work
from lib.wait import wait_for


def test_a_folder_renamed_on_new_does_not_come_back(moved):
    moved.new.imap(ANN).rename("Work", "Arbeit")
    assert cutover(moved).status == 0
    assert counts(moved.new) == {"INBOX": 10, "Arbeit": 5}
    # What is new on old still has to come, and only that.
    late(moved.old, "Work", "late")
    assert cutover(moved).status == 0
    assert counts(moved.new) == {"INBOX": 10, "Arbeit": 5, "Work": 1}
    assert cutover(moved).status == 0
    assert counts(moved.new) == {"INBOX": 10, "Arbeit": 5, "Work": 1}


def test_a_folder_deleted_on_new_stays_deleted(moved):
    moved.new.imap(ANN).delete("Work")
    assert cutover(moved).status == 0
    assert counts(moved.new) == {"INBOX": 10}


def test_a_new_uidvalidity_on_new_repeats_nothing(moved):
    """Its user makes a new folder of the old name: none of what was in the old one comes again."""
    client = moved.new.imap(ANN)
    client.delete("Work")
    client.create("Work")
    fill(client, {"Work": [Mail(message("own"))]})
    # A flag that changes on old must not end up at a message of another folder.
    source = moved.old.imap(ANN)
    source.select("Work")
    source.uid("STORE", "1", "+FLAGS", "(\\Flagged)")
    assert cutover(moved).status == 0
    late(moved.old, "Work", "late")
    assert cutover(moved).status == 0
    there = look(moved.new.imap(ANN))
    assert {name: len(mails) for name, mails in there.items()} == {"INBOX": 10, "Work": 2}
    assert not any("\\flagged" in seen.flags for seen in there["Work"])


def test_flags_of_old_undo_nothing_on_new(moved):
    """Somebody is still on old: what he adds comes, what he takes away or marks as deleted does not."""
    source = moved.old.imap(ANN)
    source.select("INBOX")
    source.uid("STORE", "1", "+FLAGS", "(\\Deleted \\Seen)")
    source.uid("STORE", "2", "+FLAGS", "(\\Flagged)")
    assert cutover(moved).status == 0
    flags = [mail.flags for mail in look(moved.new.imap(ANN))["INBOX"]]
    assert flags[:3] == [{"\\seen"}, {"\\flagged"}, set()]
    source.uid("STORE", "1:2", "-FLAGS", "(\\Seen \\Flagged)")
    assert cutover(moved).status == 0
    assert [mail.flags for mail in look(moved.new.imap(ANN))["INBOX"]] == flags


def test_a_late_message_and_a_user_who_tidies_up(moved):
    client = moved.new.imap(ANN)
    client.select("INBOX")
    client.uid("STORE", "1:4", "+FLAGS", "(\\Deleted)")
    client.expunge()
    moved.old.deliver(ANN, smtp.message("late"))
    assert cutover(moved).status == 0
    assert counts(moved.new)["INBOX"] == 7


def test_a_user_who_goes_back_gets_everything_again(moved):
    """By hand, maptool set: what is on old has to be on new again before the next flip, once."""
    moved.new.imap(ANN).rename("Work", "Arbeit")
    late(moved.old, "Work", "late")
    assert cutover(moved).status == 0
    moved.maptool("set", "--force", "--why", "by hand", ANN, "route=old")
    done = cutover(moved)
    assert done.status == 0 and done.states[-1] == "done", done.log
    assert counts(moved.new) == {"INBOX": 10, "Arbeit": 5, "Work": 6}


def test_unsubscribed_on_new_stays_so(moved):
    client = moved.new.imap(ANN)
    client.unsubscribe("Work")
    late(moved.old, "Work", "late")
    assert cutover(moved).status == 0
    assert counts(moved.new)["Work"] == 6
    assert not any(b"Work" in line for line in client.lsub()[1] if line)


def test_a_server_that_gets_another_address_is_still_the_same(moved):
    """A new name or port in the configuration: the sweeps go on with their journals."""
    moved.servers["old"]["imap"] = f"imap://localhost:{moved.old.imap_port}"
    moved.servers["new"]["imap"] = f"imap://localhost:{moved.new.imap_port}"
    moved.write_conf()
    moved.old.deliver(ANN, smtp.message("late"))
    done = cutover(moved)
    assert done.status == 0, done.log
    assert counts(moved.new) == {"INBOX": 11, "Work": 5}


def test_a_new_uidvalidity_on_old_brings_nothing_back(moved):
    """Old is restored: the same messages under other numbers, and one that is new."""
    expunge(moved.new.imap(ANN), "Work", "1:2")
    client = moved.old.imap(ANN)
    client.delete("Work")
    fill(client, {"Work": [Mail(message(f"w{i}")) for i in range(5)] + [Mail(message("late"))]})
    for _ in range(2):
        assert cutover(moved).status == 0
        assert counts(moved.new) == {"INBOX": 10, "Work": 4}
    # And once more, with what the first restore left.
    client.delete("Work")
    fill(client, {"Work": [Mail(message(f"w{i}")) for i in range(5)] + [Mail(message("late")), Mail(message("later"))]})
    assert cutover(moved).status == 0
    assert counts(moved.new) == {"INBOX": 10, "Work": 5}


def test_a_folder_renamed_on_old_brings_nothing_back(moved):
    """What new's user has deleted of it stays away; a message that comes to the new name is late."""
    expunge(moved.new.imap(ANN), "Work", "1:2")
    moved.old.imap(ANN).rename("Work", "Alt")
    late(moved.old, "Alt", "late")
    for _ in range(2):
        assert cutover(moved).status == 0
        assert counts(moved.new) == {"INBOX": 10, "Work": 3, "Alt": 1}


# --- What the marks know ----------------------------------------------------------------------------

def lose_the_journal(place):
    """All that lies in the folder of the user but the record and the lock."""
    for path in (place.state / "sync").glob("*/*/"):
        if path.is_dir():
            shutil.rmtree(path)


def test_a_lost_journal_brings_nothing_back(moved):
    expunge(moved.new.imap(ANN), "INBOX", "1:4")
    expunge(moved.new.imap(ANN), "Work", "1:2")
    lose_the_journal(moved)
    late(moved.old, "Work", "late")
    for _ in range(2):
        done = cutover(moved)
        assert done.status == 0, done.log
        assert counts(moved.new) == {"INBOX": 6, "Work": 4}
    # Lost again, with what came late deleted too.
    expunge(moved.new.imap(ANN), "Work", "1:*")
    lose_the_journal(moved)
    assert cutover(moved).status == 0
    assert counts(moved.new) == {"INBOX": 6, "Work": 0}
    assert status(moved)[ANN]["late"] == 1


def test_a_lost_journal_changes_no_flags(moved):
    """What is found again has the flags that new's user has given it, and keeps them."""
    source, client = moved.old.imap(ANN), moved.new.imap(ANN)
    source.select("INBOX")
    source.uid("STORE", "1:3", "+FLAGS", "(\\Flagged $old)")
    assert cutover(moved).status == 0
    client.select("INBOX")
    client.uid("STORE", "1", "-FLAGS", "(\\Flagged)")
    client.uid("STORE", "2", "-FLAGS", "($old)")
    client.uid("STORE", "3", "+FLAGS", "(\\Seen)")
    flags = [mail.flags for mail in look(moved.new.imap(ANN))["INBOX"]]
    assert flags[:4] == [{"$old"}, {"\\flagged"}, {"\\flagged", "$old", "\\seen"}, set()]
    lose_the_journal(moved)
    for _ in range(2):
        assert cutover(moved).status == 0
        assert [mail.flags for mail in look(moved.new.imap(ANN))["INBOX"]] == flags
    # What is changed from then on comes as ever.
    source.uid("STORE", "4", "+FLAGS", "(\\Seen)")
    assert cutover(moved).status == 0
    assert [mail.flags for mail in look(moved.new.imap(ANN))["INBOX"]] == flags[:3] + [{"\\seen"}] + flags[4:]


def test_the_first_sweep_takes_no_flag_from_what_was_touched(dovecot, site, tmp_path):
    """Between the flip and the first sweep both users are at work: what new's user has changed keeps its flags."""
    old, new = dovecot("old"), dovecot("new")

    def before(command):
        """Old hears of it when the first sweep lists its folders."""
        if not command.startswith(b"LIST ") or place.json("get", ANN)["route"] != "new" or place.is_changed:
            return
        place.is_changed = True
        source, client = old.imap(ANN), new.imap(ANN)
        source.select("INBOX")
        source.uid("STORE", "1:4", "-FLAGS", "(\\Seen)")
        client.select("INBOX")
        client.uid("STORE", "1", "+FLAGS", "(\\Flagged)")
        client.uid("STORE", "2", "-FLAGS", "(\\Answered)")
        client.uid("STORE", "3", "-FLAGS", "($old)")
    place = site(imap_servers(tmp_path, old=Proxy(old, before), new=new))
    place.is_changed = False
    place.init({ANN: "old"})
    fill(old.imap(ANN), {"INBOX": [Mail(message(f"m{i}"), ("\\Seen", "\\Answered", "$old")) for i in range(4)]})
    done = cutover(place)
    assert (done.status, place.is_changed) == (0, True), done.log
    assert [mail.flags for mail in look(new.imap(ANN))["INBOX"]] == [
        {"\\seen", "\\answered", "\\flagged", "$old"}, {"\\seen", "$old"}, {"\\seen", "\\answered"}, {"\\answered", "$old"}]


@pytest.mark.parametrize("is_deleted,n_late", [(False, 2), (True, 2), (False, 3), (True, 5)])
def test_old_is_restored_and_gives_its_uids_again(moved, is_deleted, n_late):
    """From a backup, under the same UIDVALIDITY: what comes under a number that was given before is late mail, and
    what the backup has of old times brings nothing back."""
    back_up(moved.old)
    for i in range(3):
        late(moved.old, "INBOX", f"after the backup {i}")
    work(moved.old.imap(ANN), "INBOX")
    assert cutover(moved).status == 0
    assert counts(moved.new) == {"INBOX": 13, "Work": 5}
    expunge(moved.new.imap(ANN), "INBOX", "1:4")
    if is_deleted:
        expunge(moved.new.imap(ANN), "INBOX", "1:*")
        assert cutover(moved).status == 0
    there = counts(moved.new)["INBOX"]
    restore(moved.old)
    for i in range(n_late):
        late(moved.old, "INBOX", f"late {i}")
    for _ in range(2):
        assert cutover(moved).status == 0
        assert counts(moved.new) == {"INBOX": there + n_late, "Work": 5}
    late(moved.old, "INBOX", "and once more")
    assert cutover(moved).status == 0
    assert counts(moved.new) == {"INBOX": there + n_late + 1, "Work": 5}


@pytest.mark.parametrize("n_own", [1, 3, 5])
def test_new_is_restored_and_gives_its_uids_again(moved, n_own):
    """What came late since the backup comes again; what its user has removed before it does not, and what he has got
    under the UIDs of late mail is his."""
    expunge(moved.new.imap(ANN), "INBOX", "1:4")
    assert cutover(moved).status == 0
    back_up(moved.new)
    for i in range(3):
        late(moved.old, "INBOX", f"after the backup {i}")
    for _ in range(2):
        work(moved.new.imap(ANN), "INBOX")
        assert cutover(moved).status == 0
        assert counts(moved.new) == {"INBOX": 9, "Work": 5}
    restore(moved.new)
    fill(moved.new.imap(ANN), {"INBOX": [Mail(message(f"own {i}")) for i in range(n_own)]})
    source = moved.old.imap(ANN)
    source.select("INBOX")
    source.uid("STORE", "11:13", "+FLAGS", "(\\Flagged)")
    for _ in range(2):
        assert cutover(moved).status == 0
        assert counts(moved.new) == {"INBOX": 9 + n_own, "Work": 5}
    flagged = [seen.sha for seen in look(moved.new.imap(ANN))["INBOX"] if "\\flagged" in seen.flags]
    assert sorted(flagged) == sorted(seen.sha for seen in look(source)["INBOX"][10:])


def test_new_is_restored_and_old_has_moved_it(moved):
    back_up(moved.new)
    late(moved.old, "INBOX", "after the backup")
    assert cutover(moved).status == 0
    restore(moved.new)
    move(moved.old, "INBOX", "11", "Work")
    for _ in range(2):
        assert cutover(moved).status == 0
        assert counts(moved.new) == {"INBOX": 10, "Work": 6}


def test_a_lost_journal_and_a_new_uidvalidity(moved):
    """A restore of old's disk, and nothing is left that knows a UID."""
    expunge(moved.new.imap(ANN), "Work", "1:2")
    lose_the_journal(moved)
    client = moved.old.imap(ANN)
    client.delete("Work")
    fill(client, {"Work": [Mail(message("late"))] + [Mail(message(f"w{i}")) for i in range(5)]})
    for _ in range(2):
        assert cutover(moved).status == 0
        assert counts(moved.new) == {"INBOX": 10, "Work": 4}


@pytest.mark.parametrize("target", ["INBOX", "Work", "Neu"])
def test_a_copy_on_old_brings_nothing_back(moved, target):
    expunge(moved.new.imap(ANN), "INBOX", "1:4")
    client = moved.old.imap(ANN)
    if target == "Neu":
        client.create("Neu")
    client.select("INBOX")
    assert client.uid("COPY", "1:3", target)[0] == "OK"
    for _ in range(2):
        assert cutover(moved).status == 0
        assert counts(moved.new) == {"INBOX": 6, "Work": 5}
    assert status(moved)[ANN]["late"] == 0


def test_a_move_on_old_brings_nothing_back(moved):
    expunge(moved.new.imap(ANN), "INBOX", "1:4")
    client = moved.old.imap(ANN)
    client.select("INBOX")
    client.uid("MOVE", "1:10", "Work")
    assert cutover(moved).status == 0
    assert counts(moved.new) == {"INBOX": 6, "Work": 5}


def test_what_was_deleted_before_the_flip_stays_so(dovecot, site, tmp_path):
    """Deleted on old while it was copied, and restored there behind the flip."""
    old, new = dovecot("old"), dovecot("new")
    place = site(imap_servers(tmp_path, old=old, new=new))
    place.init({ANN: "old"})
    fill(old.imap(ANN), {"INBOX": [Mail(message(f"m{i}")) for i in range(5)], "Zu": [Mail(message("zu"))]})
    assert look(new.imap(ANN)) is not None
    stone = new.dir / "var" / "mail" / ANN / "Maildir" / ".Zu"
    stone.write_text("")
    assert cutover(place).status == 73
    stone.unlink()
    expunge(old.imap(ANN), "INBOX", "1:2")
    assert cutover(place).status == 0
    fill(old.imap(ANN), {"INBOX": [Mail(message(f"m{i}")) for i in range(2)] + [Mail(message("late"))]})
    assert cutover(place).status == 0
    assert counts(new) == {"INBOX": 4, "Zu": 1}


def test_folders_that_rules_name(dovecot, site, tmp_path):
    """What a rule leaves out is told before the flip, and stays out behind it; a name that one gives holds, and so does who
    subscribes to it."""
    old, new = dovecot("old"), dovecot("new")
    place = site(imap_servers(tmp_path, old=old, new=new),
                 settings={"sync": {"folder_map": ["Work=Arbeit"], "folder_exclude": ["Spam*"]}})
    place.init({ANN: "old"})
    fill(old.imap(ANN), {name: [Mail(message(name))] for name in ("INBOX", "Work", "Work.2019", "Spam", "Zu")})
    for name in ("Work", "Work.2019", "Spam"):
        old.imap(ANN).subscribe(name)
    old.imap(ANN).unsubscribe("Zu")
    assert look(new.imap(ANN)) is not None
    stone = new.dir / "var" / "mail" / ANN / "Maildir" / ".Zu"
    stone.write_text("")
    assert cutover(place).status == 73
    stone.unlink()
    [item] = [i for i in json.loads(sync(place, "items", "--json", "--all", ANN).stdout) if i["code"] == "E-LEFT-OUT"]
    assert (item["folder"], item["state"], item["by"]) == ("Spam", "accepted", "include and exclude"), item
    assert cutover(place).status == 0
    there = {"INBOX": 1, "Arbeit": 1, "Arbeit.2019": 1, "Zu": 1}
    assert counts(new) == there and subscribed(new) == {"Arbeit", "Arbeit.2019"}
    new.imap(ANN).unsubscribe("Arbeit")
    for name in ("Work", "Spam"):
        late(old, name, "late")
    for _ in range(2):
        assert cutover(place).status == 0
        assert counts(new) == {**there, "Arbeit": 2} and subscribed(new) == {"Arbeit.2019"}
    # And on the way back they are what they were.
    late(new, "Arbeit", "own")
    done = cutover(place, ANN, "--to", "old")
    assert done.status == 0, done.log
    assert counts(old) == {"INBOX": 1, "Work": 3, "Work.2019": 1, "Spam": 2, "Zu": 1}


def subscribed(server):
    return {line.split()[-1].strip(b'"').decode() for line in server.imap(ANN).lsub()[1] if line} - {"INBOX"}


def test_equal_late_messages_all_come(moved):
    late(moved.old, "INBOX", "again")
    late(moved.old, "Work", "again")
    late(moved.old, "INBOX", "again")
    assert cutover(moved).status == 0
    assert counts(moved.new) == {"INBOX": 12, "Work": 6}


def test_users_without_marks_get_them_from_their_journal(moved):
    """Flipped before there were marks."""
    for path in (moved.state / "sync" / "marks").iterdir():
        path.unlink()
    expunge(moved.new.imap(ANN), "Work", "1:2")
    moved.old.imap(ANN).rename("Work", "Alt")
    late(moved.old, "Alt", "late")
    assert cutover(moved).status == 0
    assert counts(moved.new) == {"INBOX": 10, "Work": 3, "Alt": 1}
    # And have them from then on.
    lose_the_journal(moved)
    expunge(moved.new.imap(ANN), "Alt", "1:*")
    assert cutover(moved).status == 0
    assert counts(moved.new) == {"INBOX": 10, "Work": 3, "Alt": 0}


@pytest.mark.parametrize("n_late", [1, 2])
def test_what_comes_while_a_sweep_counts_is_late_mail(dovecot, site, tmp_path, n_late):
    """A queue that had resolved the address before the flip delivers between a pass and its count."""
    old, new, lists = dovecot("old"), dovecot("new"), []

    def before(command):
        """From the flip on, old gets a message before each of some listings but the first."""
        if not command.startswith(b"LIST ") or place.json("get", ANN)["route"] != "new":
            return
        lists.append(command)
        if 1 < len(lists) <= 1 + n_late:
            fill(old.imap(ANN), {"INBOX": [Mail(message(f"late {len(lists)}"))]})
    place = site(imap_servers(tmp_path, old=Proxy(old, before), new=new))
    place.init({ANN: "old"})
    fill(old.imap(ANN), {"INBOX": [Mail(message("early"))]})
    done = cutover(place)
    assert (done.status, done.states[-1]) == (0, "done"), done.log
    assert counts(new) == {"INBOX": 1 + n_late} and status(place)[ANN]["late"] == n_late


# --- Retired ----------------------------------------------------------------------------------------

def retire(place):
    done = cutover(place, command="retire")
    return done.status, done.log


def test_retired_when_nothing_comes_any_more(moved):
    """Two looks with some time between them, and nothing in either; until then the route is the cut-over's."""
    assert sync(moved, "retire", "bob@example.org").returncode == 67
    status_, text = retire(moved)
    assert status_ == 75 and "ask again when that is 60 s ago" in text
    moved.settings.setdefault("sync", {})["sweep_interval"] = "100ms"
    moved.write_conf()
    late(moved.old, "INBOX", "late")
    status_, text = retire(moved)
    assert status_ == 75 and "mail for ann@example.org still comes to old" in text
    assert counts(moved.new) == {"INBOX": 11, "Work": 5}
    assert retire(moved)[0] == 75
    refused = moved.maptool("set", ANN, "route=old", check=False)
    assert refused.returncode == 1 and "coexist-sync retire" in refused.stderr and "moved_by" in moved.json("get", ANN)
    done = wait_for(lambda: (done := cutover(moved, command="retire")).status == 0 and done, 20, "two looks that find nothing")
    assert done.states == ["done", "retired"]
    assert status(moved)[ANN]["state"] == "retired" and "moved_by" not in moved.json("get", ANN)
    assert retire(moved)[0] == 0
    # Old has all that it had, there is no way back, and the route is anybody's.
    assert counts(moved.old) == {"INBOX": 11, "Work": 5}
    for more in ([], ["--to", "old"]):
        done = cutover(moved, ANN, *more)
        assert done.status == 69 and "there is no way back" in done.log
    assert sync(moved, "rollback", ANN).returncode == 67
    moved.maptool("set", ANN, "route=old")
    assert cutover(moved).status == 0 and "moved_by" in moved.json("get", ANN)


def test_retired_only_behind_a_flip_that_still_stands(moved):
    moved.maptool("set", "--force", "--why", "by hand", ANN, "route=old")
    status_, text = retire(moved)
    assert status_ == 67 and "there is nothing to retire" in text


# --- The map is restored ----------------------------------------------------------------------------

def test_a_restored_map_that_does_not_know_of_the_flip(dovecot, site, tmp_path):
    """Nobody guesses: she is held until somebody says who is right, and her cut-over waits for that."""
    old = dovecot("old")
    place = site(imap_servers(tmp_path, old=old, new=dovecot("new")))
    place.init({ANN: "old", "bob@example.org": "old"})
    fill(old.imap(ANN), {"INBOX": [Mail(message("m"))]})
    backup = place.maptool("backup", "now").stdout.strip()
    assert cutover(place).status == 0
    by = place.json("get", ANN)["moved_by"]
    place.stop("mapd")
    shutil.rmtree(place.state / "map")
    place.maptool("init")
    place.start("mapd")
    noted = place.state / "sync" / "moved"
    line = noted.read_bytes()
    noted.write_bytes(b"\0garbage\n" + line + line.replace(b"ann@", b"bob@") + line[:30])
    done = place.maptool("restore", backup, check=False)
    assert done.returncode == 1 and "sync/moved: 3 lines make no sense and are passed over, the first is line 1" in done.stderr
    assert "  ann@example.org  old     new" in done.stdout and "bob@" not in done.stdout
    assert place.json("explain", ANN)["decision"] == "hold"
    for command in ("cutover", "retire"):
        done = cutover(place, command=command)
        assert done.status == 75 and f"maptool restore --take map|sync {ANN}" in done.log
    assert status(place)[ANN]["state"] == "done"
    place.maptool("restore", "--take", "sync", ANN)
    entry = place.json("get", ANN)
    assert (entry["route"], entry["state"], entry["moved_by"]) == ("new", "active", by)
    assert cutover(place).status == 0
    # Said to be on old, she is, and her cut-over says nothing more of her.
    place.maptool("restore", backup, check=False)
    place.maptool("restore", "--take", "map", ANN)
    assert cutover(place, command="retire").status == 67
    assert place.maptool("restore", backup).stderr.count("\n") == 1
