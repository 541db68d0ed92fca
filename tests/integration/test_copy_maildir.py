# SPDX-License-Identifier: ISC
"""coexist-sync copy out of and into a Maildir: what it wrote is read by a real Dovecot in place, and both work on it."""
import os
import re
import shutil
import subprocess

import pytest
from lib.chaos import IS_SOAK, KILLS
from lib.fakeimap import FakeImap
from lib.imap import quoted
from lib.mailbox import ROOT, Mail, argv, copy, fill, look, message, run, same, sample, to_wire
from lib.strace import Sample, calls_in, killed_at, record, sampled
from lib.wait import wait_for

ANN = "ann@example.org"
COMPLAINTS = "Error|Panic|[Cc]orrupt|[Dd]uplicate|Broken"  # of Dovecot, about files that are not as it would have them
SAMPLES = KILLS if IS_SOAK or KILLS > 50 else 25


@pytest.fixture
def old(dovecot):
    return dovecot("old")


@pytest.fixture
def reader(dovecot):
    """A Dovecot whose mailbox of ann is empty: the copy goes where it will look."""
    return dovecot("reader")


def place(server, user=ANN):
    """Where this server keeps the mail of a user, made for it."""
    home = server.dir / "var" / "mail" / user
    owner = home.parent.stat()
    path = home / "Maildir"
    path.mkdir(parents=True, exist_ok=True)
    for folder in (home, path):
        os.chown(folder, owner.st_uid, owner.st_gid)
        folder.chmod(0o700)
    return path


def uids(client, folder):
    assert client.select(quoted(folder), readonly=True)[0] == "OK"
    return [int(n) for n in client.uid("SEARCH", "ALL")[1][0].split()]


def listed(path):
    """UIDs by base name, as the list of a folder has them."""
    lines = (path / "dovecot-uidlist").read_text().splitlines()
    assert lines[0].startswith("3 V")
    return {line.split(":", 1)[1]: int(line.split(" ", 1)[0]) for line in lines[1:]}


def subscribed(client):
    return {line.split(b'"." ')[1].strip(b'"') for line in client.lsub()[1] if line}


def files(path):
    return sorted(p for p in path.rglob("*") if p.parent.name in ("cur", "new") and p.is_file())


def test_export_is_read_by_dovecot(old, reader, tmp_path):
    fill(old.imap(ANN), sample())
    path = place(reader)
    first = copy(old, path, tmp_path, "--verify")
    assert first.status == 0, first.log
    assert (first.messages_copied, first.messages_failed, first.folders_failed) == (33, 0, 0)
    assert first.verified["missing"] == first.verified["different"] == first.verified["extra"] == 0
    written = {p.name for p in files(path)}
    before = {name: listed(path / name) for name in (".", "." + to_wire("Entwürfe"), ".Projekte.Kunde A")}
    same(look(old.imap(ANN)), look(reader.imap(ANN)))
    # Dovecot took the UIDs that it found, in every folder, and complained of nothing.
    for name, rows in before.items():
        assert listed(path / name) == rows
        assert uids(reader.imap(ANN), name[1:] or "INBOX") == sorted(rows.values())
    assert subscribed(reader.imap(ANN)) == subscribed(old.imap(ANN))
    assert {p.name for p in files(path)} == written
    assert not re.search(COMPLAINTS, reader.log.read_text()), reader.tail()
    again = copy(old, path, tmp_path)
    assert again.status == 0, again.log
    assert (again.messages_copied, again.messages_skipped, again.flags_changed) == (0, 33, 0)
    assert again.folders_unchanged == again.folders


def test_a_lost_journal_makes_no_duplicate(old, tmp_path):
    fill(old.imap(ANN), sample())
    path = tmp_path / "box"
    assert copy(old, path, tmp_path / "one").status == 0
    before = files(path)
    again = copy(old, path, tmp_path / "two")
    assert again.status == 0, again.log
    assert (again.messages_copied, again.messages_adopted) == (0, 33)
    assert files(path) == before


def test_import(old, reader, tmp_path):
    """What Dovecot wrote, with line ends of LF, letters for keywords and a mail that nobody has seen yet."""
    fill(old.imap(ANN), sample())
    old.deliver(ANN, b"Subject: new\r\n\r\njust delivered\r\n")
    want = look(old.imap(ANN))
    old.stop()
    path = old.dir / "var" / "mail" / ANN / "Maildir"
    before = files(path)
    first = copy(path, reader, tmp_path, "--verify")
    assert first.status == 0, first.log
    assert (first.messages_copied, first.messages_failed) == (34, 0)
    same(want, look(reader.imap(ANN)))
    assert files(path) == before
    again = copy(path, reader, tmp_path)
    assert (again.status, again.messages_copied, again.messages_skipped) == (0, 0, 34)
    assert again.folders_unchanged == again.folders
    old.start()
    same(want, look(old.imap(ANN)))


def test_changes_travel_both_beside_dovecot(old, reader, tmp_path):
    """Dovecot and we work on the same files; a copy after each says only what changed."""
    source = old.imap(ANN)
    fill(source, {"INBOX": [Mail(message(f"m{i}")) for i in range(6)], "Work": [Mail(message("w"))]})
    path = place(reader)
    assert copy(old, path, tmp_path).status == 0
    target = reader.imap(ANN)
    target.select("INBOX")
    fill(target, {"INBOX": [Mail(message("their own"))]})
    reader.deliver(ANN, message("delivered"))
    assert target.uid("STORE", "2", "+FLAGS", "(\\Flagged Theirs)")[0] == "OK"
    source.select("INBOX")
    assert source.uid("STORE", "1:2", "+FLAGS", "(\\Seen Later)")[0] == "OK"
    assert source.uid("STORE", "3", "+FLAGS", "(\\Deleted)")[0] == "OK"
    assert source.uid("EXPUNGE", "3")[0] == "OK"
    fill(source, {"Work": [Mail(message("w2"))]})
    second = copy(old, path, tmp_path)
    assert second.status == 0, second.log
    assert (second.messages_copied, second.flags_changed, second.messages_deleted) == (1, 2, 1)
    shown = look(reader.imap(ANN))
    assert len(shown["INBOX"]) == 7 and len(shown["Work"]) == 2
    assert [seen.flags for seen in shown["INBOX"][:2]] == [{"\\seen", "later"}, {"\\seen", "later", "\\flagged", "theirs"}]
    ours = sorted(listed(path).values())
    assert len(set(ours)) == len(ours) and set(uids(reader.imap(ANN), "INBOX")) <= set(ours)
    assert not re.search(COMPLAINTS, reader.log.read_text()), reader.tail()


def test_moves_and_renames_follow(old, reader, tmp_path):
    source = old.imap(ANN)
    fill(source, {"INBOX": [Mail(message(f"m{i}", f"{i}\r\n"), ("\\Seen", "Kept")) for i in range(4)], "Work": [], "Old.Deep": [Mail(message("deep"))]})
    path = place(reader)
    assert copy(old, path, tmp_path).status == 0
    names = {p.name for p in files(path)}
    source.select("INBOX")
    assert source.uid("MOVE", "2:3", "Work")[0] == "OK"
    assert source.rename("Old.Deep", "Young")[0] == "OK"
    second = copy(old, path, tmp_path)
    assert second.status == 0, second.log
    assert second.messages_copied == 0, second.counts
    # This source tells no MAILBOXIDs: the messages of a renamed folder move, and the empty one stays.
    shown = look(reader.imap(ANN))
    assert shown.pop("Old.Deep") == []
    same({k: v for k, v in look(old.imap(ANN)).items() if k != "Old"}, shown)
    assert len({p.name for p in files(path)} & names) == 2
    assert not re.search(COMPLAINTS, reader.log.read_text()), reader.tail()


def put(folder, name, data=b"Subject: x\n\nbody\n", where="cur"):
    for part in ("cur", "new", "tmp"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / where / name).write_bytes(data)
    return folder / where / name


def test_odd_things_cost_themselves(reader, tmp_path):
    """No list, a torn list, names that nobody can keep, links, a wrong size, a folder without cur."""
    path = tmp_path / "box"
    for i in range(3):
        put(path, f"100{i}.M1P1Q{i}.host,S=3,W=3:2,S", b"Subject: %d\n\nbody %d\n" % (i, i))
    put(path, "1009.x", b"Subject: nine\r\n\r\nbody\r\n", where="new")
    put(path, "1010.odd\nname")
    (path / "cur" / "1011.link").symlink_to("/etc/hostname")
    (path / "cur" / "1012.folder").mkdir()
    put(path / ".Torn", "2001.a:2,F")
    put(path / ".Torn", "2002.b:2,")
    (path / ".Torn" / "dovecot-uidlist").write_bytes(b"3 V77 N9 Gabc\n5 :2001.a\nrubbish\n7 :20")
    put(path / ".Twice", "3001.a:2,F", b"Subject: one\n\n1\n")
    put(path / ".Twice", "3001.a:2,S", b"Subject: one\n\n1\n")
    (path / ".Bare" / "new").mkdir(parents=True)
    (path / ".cache").mkdir()
    outside = tmp_path / "outside"
    put(outside, "4001.a")
    (path / ".Link").symlink_to(outside)
    done = copy(path, reader, tmp_path)
    assert done.status != 0
    shown = look(reader.imap(ANN))
    assert len(shown["INBOX"]) == 4 and len(shown["Torn"]) == 2 and len(shown["Twice"]) == 1, shown
    assert shown.keys() >= {"INBOX", "Torn", "Twice"} and "Link" not in shown and "cache" not in shown
    assert listed(path / ".Torn") == {"2001.a": 5, "2002.b": 9}
    for words in ("1011.link", "1010.odd", ".Link", "Bare", "not what its name says", "3001.a"):
        assert words in done.log, (words, done.log)
    again = copy(path, reader, tmp_path)
    assert again.messages_copied == 0


def test_wrong_places_are_refused(old, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "letter").write_text("no mail")
    for source, target in ((tmp_path / "nowhere", old), (home, old), (old, home)):
        done = copy(source, target, tmp_path)
        assert done.status != 0 and not done.counts, done.log
    assert sorted(p.name for p in home.iterdir()) == ["letter"]
    box = tmp_path / "box"
    put(box, "1.a")
    (tmp_path / "same").symlink_to(box)
    assert "same mailbox" in copy(box, tmp_path / "same", tmp_path).log


def test_dovecot_stores_into_the_folder_meanwhile(old, reader, tmp_path):
    """Both give UIDs of one list: none twice, and nobody loses a message or a flag."""
    fill(old.imap(ANN), {"INBOX": [Mail(message(f"ours {i}", "x\r\n" * 100), ("\\Seen", "Word")) for i in range(300)]})
    path = place(reader)
    assert copy(old, path, tmp_path).messages_copied == 300
    fill(old.imap(ANN), {"INBOX": [Mail(message(f"more {i}", "x\r\n" * 100), ("\\Seen", "Word")) for i in range(300)]})
    client = reader.imap(ANN)
    client.select("INBOX")
    runs = subprocess.Popen(argv(old, path, tmp_path), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    n = 0
    try:
        while runs.poll() is None and n < 2000:
            n += 1
            fill(client, {"INBOX": [Mail(message(f"theirs {n}"), ("Other",))]})
            assert client.uid("STORE", str(n), "+FLAGS", "(\\Flagged)")[0] == "OK"
        assert runs.wait(60) == 0
    finally:
        runs.kill()
        runs.communicate()
    shown = look(reader.imap(ANN))["INBOX"]
    assert len(shown) == 600 + n and len(set(seen.sha for seen in shown)) == 600 + n
    assert sum("word" in seen.flags for seen in shown) == 600 and sum("other" in seen.flags for seen in shown) == n
    assert sum("\\flagged" in seen.flags for seen in shown) == n
    numbers = uids(reader.imap(ANN), "INBOX")
    assert len(set(numbers)) == len(numbers) and set(numbers) <= set(listed(path).values())
    again = copy(old, path, tmp_path)
    assert (again.status, again.messages_copied) == (0, 0)
    assert not re.search(COMPLAINTS, reader.log.read_text()), reader.tail()


def test_a_dead_lock_holds_nobody_up(old, tmp_path):
    fill(old.imap(ANN), {"INBOX": [Mail(message("one"))]})
    path = tmp_path / "box"
    assert copy(old, path, tmp_path).status == 0
    fill(old.imap(ANN), {"INBOX": [Mail(message("two"))]})
    dead = subprocess.Popen(["true"])
    dead.wait()
    (path / "dovecot-uidlist.lock").write_text(f"{dead.pid}:{os.uname().nodename}")
    second = copy(old, path, tmp_path)
    assert (second.status, second.messages_copied) == (0, 1), second.log
    assert not (path / "dovecot-uidlist.lock").exists()


def test_a_living_lock_is_waited_for(old, tmp_path):
    fill(old.imap(ANN), {"INBOX": [Mail(message("one"))]})
    path = tmp_path / "box"
    assert copy(old, path, tmp_path).status == 0
    fill(old.imap(ANN), {"INBOX": [Mail(message("two"))]})
    lock = path / "dovecot-uidlist.lock"
    lock.write_text(f"{os.getpid()}:{os.uname().nodename}")
    runs = subprocess.Popen(argv(old, path, tmp_path), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        wait_for(lambda: any((path / "tmp").iterdir()), 30, "the message to wait for the lock")
        assert len(files(path)) == 1
        lock.unlink()
        assert runs.wait(30) == 0
        assert len(files(path)) == 2
    finally:
        runs.kill()
        runs.communicate()


def test_between_maildirs_folders_are_renamed(tmp_path):
    """Both tell IDs: a folder that got another name is renamed, a file that was moved is moved."""
    box, other = tmp_path / "box", tmp_path / "other"
    for i in range(4):
        put(box, f"100{i}.M1P1Q{i}.host:2,S", message(f"m{i}"))
    put(box / ".A.B", "2001.M1P1Q1.host:2,FS", message("deep"))
    assert copy(box, other, tmp_path).status == 0
    names = {p.name for p in files(other)}
    (box / ".A.B").rename(box / ".C")
    (box / "cur" / "1001.M1P1Q1.host:2,S").rename(box / ".C" / "cur" / "1001.M1P1Q1.host:2,S")
    second = copy(box, other, tmp_path)
    assert (second.status, second.messages_copied) == (0, 0), second.log
    assert "folder_renamed" in second.log
    assert not (other / ".A.B").exists() and len(files(other / ".C")) == 2 and len(files(other)) == 5
    assert len({p.name for p in files(other)} & names) == 4
    assert copy(box, other, tmp_path).messages_copied == 0


def contents(path):
    """What is in a mailbox: by folder, the flags and the octets, as often as they are there."""
    return sorted((str(p.parent.parent.relative_to(path)), p.name.partition(":2,")[2], p.read_bytes()) for p in files(path))


def test_killed_at_any_system_call(old, tmp_path):
    """What was being written is whole or not there, and comes once; UIDs are given once."""
    spec = {"INBOX": [Mail(message(f"m{i}", "x\r\n" * i), ("\\Seen", "Word")) for i in range(8)], "Work.Deep": [Mail(message("w"))]}
    fill(old.imap(ANN), spec)
    want, plain = tmp_path / "want", ROOT / "build" / "bin" / "coexist-sync"
    assert copy(old, want, tmp_path / "whole").status == 0

    def line(n):
        return argv(old, tmp_path / f"box{n}", tmp_path / f"run{n}", "--settle=100ms", binary=plain)

    (tmp_path / "run0").mkdir()
    assert len(record(line(0), tmp_path)) > 60
    assert contents(tmp_path / "box0") == contents(want)
    sample = Sample(lambda: calls_in(tmp_path), lambda calls: sampled(calls, SAMPLES))
    for n, at in enumerate(sample, start=1):
        sample.judge(killed_at(line(n), tmp_path, *at, old))
        second = run(line(n))
        assert second.status == 0, (at, second.log)
        assert contents(tmp_path / f"box{n}") == contents(want), at
        for folder in (".", ".Work.Deep"):
            assert len(set(listed(tmp_path / f"box{n}" / folder).values())) >= len(files(tmp_path / f"box{n}" / folder / "cur"))
        third = run(line(n))
        assert (third.status, third.messages_copied) == (0, 0), (at, third.counts)
        shutil.rmtree(tmp_path / f"box{n}")
        shutil.rmtree(tmp_path / f"run{n}")
    assert sample.n_met > SAMPLES // 2


def test_recent_is_never_carried(tmp_path):
    """Neither out of what is new in a Maildir nor into one, nor where a server lists it among the flags."""
    mail = b"Subject: new\r\n\r\nbody\r\n"
    files = tmp_path / "mail"
    with FakeImap([mail, mail + b"2\r\n"]) as here, FakeImap() as there:
        here.kept["INBOX".encode(), 1] = [rb"\Recent"]
        here.kept["INBOX".encode(), 2] = [rb"\Recent", rb"\Seen"]
        done = run(argv(here, files, tmp_path / "in", "--settle=0s"))
        assert (done.status, done.messages_copied) == (0, 2), done.log
        found = sorted(p.name.partition(":2,")[2] for name in ("cur", "new") for p in (files / name).iterdir())
        assert found == ["", "S"], found
        (files / "new" / "1.M1.host").write_bytes(mail + b"3\r\n")
        done = run(argv(files, there, tmp_path / "out", "--settle=0s"))
        assert (done.status, done.messages_copied) == (0, 3), done.log
        assert rb"\Recent" not in there.received and sorted(there.kept.values()) == [[], [], [rb"\Seen"]], there.kept
