# SPDX-License-Identifier: ISC
"""coexist-sync copy out of and into mbox files: a real Dovecot reads what it wrote in place, and it reads what Dovecot and others wrote."""
import hashlib
import mailbox
import os
import re
import shutil
import subprocess

import pytest
from lib.chaos import IS_SOAK, KILLS
from lib.imap import quoted
from lib.mailbox import ROOT, Mail, argv, copy, fill, look, message, run, same, sample
from lib.strace import Sample, calls_in, killed_at, record, sampled

ANN = "ann@example.org"
COMPLAINTS = "Error|Panic|[Cc]orrupt|[Dd]uplicate|Broken"
SAMPLES = KILLS if IS_SOAK or KILLS > 50 else 15


@pytest.fixture
def old(dovecot):
    return dovecot("old")


@pytest.fixture
def reader(dovecot):
    """A Dovecot that keeps mail in mbox files."""
    return dovecot("reader", mail_location="mbox:/var/mail/%Lu/mail", separator="/", conf="mailbox_list_index = no\n")


def place(server, user=ANN):
    """Where this server keeps the mail of a user, made for it."""
    path = server.dir / "var" / "mail" / user / "mail"
    owner = server.dir.joinpath("var", "mail").stat()
    path.mkdir(parents=True, exist_ok=True)
    for folder in (path.parent, path):
        os.chown(folder, owner.st_uid, owner.st_gid)
        folder.chmod(0o700)
    return path


def digests(path):
    return {p: hashlib.sha256(p.read_bytes()).digest() for p in path.rglob("*") if p.is_file() and ".imap" not in p.parts}


def test_export_is_read_by_dovecot(old, reader, tmp_path):
    fill(old.imap(ANN), sample())
    path = place(reader)
    first = copy(old, f"mbox:{path}", tmp_path, "--verify")
    assert first.status == 0, first.log
    assert (first.messages_copied, first.messages_failed, first.folders_failed) == (33, 0, 0)
    assert first.verified["missing"] == first.verified["different"] == first.verified["extra"] == 0
    before = digests(path)
    same(look(old.imap(ANN)), look(reader.imap(ANN), separator="/"))
    lines = {line.split(b'"/" ')[1].strip(b'"').replace(b"/", b".") for line in reader.imap(ANN).lsub()[1] if line}
    assert lines == {line.split(b'"." ')[1].strip(b'"') for line in old.imap(ANN).lsub()[1] if line}
    assert not re.search(COMPLAINTS, reader.log.read_text()), reader.tail()
    again = copy(old, f"mbox:{path}", tmp_path)
    assert again.status == 0, again.log
    assert (again.messages_copied, again.messages_skipped, again.flags_changed) == (0, 33, 0)
    assert digests(path) == before


def test_import_of_what_dovecot_wrote(old, reader, tmp_path):
    fill(reader.imap(ANN), sample(), separator="/")
    reader.deliver(ANN, b"Subject: new\r\n\r\njust delivered\r\nFrom here on it rains\r\n>From there as well\r\n")
    want = look(reader.imap(ANN), separator="/")
    reader.stop()
    path = place(reader)
    before = digests(path)
    first = copy(f"mbox:{path}", old, tmp_path, "--verify")
    assert first.status == 0, first.log
    assert (first.messages_copied, first.messages_failed) == (34, 0)
    same(want, look(old.imap(ANN)))
    after = digests(path)
    assert {p: after[p] for p in before} == before
    again = copy(f"mbox:{path}", old, tmp_path)
    assert (again.status, again.messages_copied, again.messages_skipped) == (0, 0, 34), again.log


def uids(client, folder):
    assert client.select(quoted(folder), readonly=True)[0] == "OK"
    return [int(n) for n in client.uid("SEARCH", "ALL")[1][0].split()]


def test_changes_travel_both_beside_dovecot(old, reader, tmp_path):
    """Dovecot and we work on the same files; a copy after each says only what changed."""
    source = old.imap(ANN)
    fill(source, {"INBOX": [Mail(message(f"m{i}")) for i in range(6)], "Work": [Mail(message("w"))]})
    path = place(reader)
    assert copy(old, f"mbox:{path}", tmp_path).status == 0
    target = reader.imap(ANN)
    assert uids(target, "INBOX") == [1, 2, 3, 4, 5, 6]
    target.select("INBOX")
    fill(target, {"INBOX": [Mail(message("their own"))]}, separator="/")
    reader.deliver(ANN, message("delivered"))
    assert target.uid("STORE", "2", "+FLAGS", "(\\Flagged Theirs)")[0] == "OK"
    target.logout()  # what Dovecot has not written yet would win
    source.select("INBOX")
    assert source.uid("STORE", "1:2", "+FLAGS", "(\\Seen Later Word-of-some-length Another-one-too)")[0] == "OK"
    assert source.uid("STORE", "3", "+FLAGS", "(\\Deleted)")[0] == "OK"
    assert source.uid("EXPUNGE", "3")[0] == "OK"
    fill(source, {"Work": [Mail(message("w2"), ("Fresh",))]})
    second = copy(old, f"mbox:{path}", tmp_path)
    assert second.status == 0, second.log
    assert (second.messages_copied, second.flags_changed, second.messages_deleted) == (1, 2, 1)
    shown = look(reader.imap(ANN), separator="/")
    assert len(shown["INBOX"]) == 7 and [seen.flags for seen in shown["Work"]] == [frozenset(), {"fresh"}]
    words = {"\\seen", "later", "word-of-some-length", "another-one-too"}
    assert [seen.flags for seen in shown["INBOX"][:2]] == [words, words | {"\\flagged", "theirs"}]
    assert uids(reader.imap(ANN), "INBOX") == [1, 2, 4, 5, 6, 7, 8]
    again = copy(old, f"mbox:{path}", tmp_path)
    assert (again.status, again.messages_copied, again.flags_changed, again.messages_deleted) == (0, 0, 0, 0), again.log
    assert not re.search(COMPLAINTS, reader.log.read_text()), reader.tail()


def test_dovecot_stores_into_the_file_meanwhile(old, reader, tmp_path):
    """Neither overwrites the other, and no UID is given twice."""
    fill(old.imap(ANN), {"INBOX": [Mail(message(f"ours {i}", "x\r\n" * 100), ("\\Seen", "Word")) for i in range(300)]})
    path = place(reader)
    client = reader.imap(ANN)
    client.select("INBOX")
    runs = subprocess.Popen(argv(old, f"mbox:{path}", tmp_path), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    n = 0
    try:
        while (runs.poll() is None and n < 500) or n < 3:
            n += 1
            fill(client, {"INBOX": [Mail(message(f"theirs {n}"), ("Other",))]}, separator="/")
        assert runs.wait(60) == 0
    finally:
        runs.kill()
        runs.communicate()
    shown = look(reader.imap(ANN), separator="/")["INBOX"]
    assert len(shown) == 300 + n and len(set(seen.sha for seen in shown)) == 300 + n
    assert sum("word" in seen.flags for seen in shown) == 300 and sum("other" in seen.flags for seen in shown) == n
    again = copy(old, f"mbox:{path}", tmp_path)
    assert (again.status, again.messages_copied) == (0, 0), again.log
    assert not re.search(COMPLAINTS, reader.log.read_text()), reader.tail()


def test_a_folder_with_messages_and_folders(old, tmp_path):
    """One of them gets another name, and nothing is lost."""
    fill(old.imap(ANN), {"Work": [Mail(message("w"))], "Work.Deep": [Mail(message("d"))], "INBOX": []})
    path = tmp_path / "box"
    first = copy(old, f"mbox:{path}", tmp_path, "--verify")
    assert (first.status, first.messages_copied, first.verified["missing"]) == (0, 2, 0), first.log
    again = copy(old, f"mbox:{path}", tmp_path)
    assert (again.status, again.messages_copied) == (0, 0), again.log


def test_one_file_is_a_mailbox(old, tmp_path):
    """A spool of the system's, in which nothing but INBOX is; and it is INBOX beside a folder of files."""
    spool = tmp_path / "spool"
    spool.write_bytes(b"From a@b Thu Nov 26 10:00:00 2026\nSubject: one\n\n1\n\nFrom a@b Thu Nov 26 10:00:01 2026\nSubject: two\n\n2\n\n")
    before = spool.read_bytes()
    first = copy(f"mbox:{spool}", old, tmp_path)
    assert (first.status, first.messages_copied) == (0, 2), first.log
    with spool.open("ab") as f:
        f.write(b"From a@b Thu Nov 26 10:00:02 2026\nSubject: three\n\n3\n\n")
    second = copy(f"mbox:{spool}", old, tmp_path)
    assert (second.status, second.messages_copied) == (0, 1), second.log
    (tmp_path / "folders").mkdir()
    third = copy(f"mbox:{tmp_path / 'folders'}:INBOX={spool}", old, tmp_path / "third")
    assert (third.status, third.messages_copied, third.messages_adopted) == (0, 0, 3), third.log
    assert spool.read_bytes().startswith(before) and sorted(p.name for p in tmp_path.glob("*spool*")) == ["spool"]


def test_what_is_none_is_refused(old, tmp_path):
    kept = tmp_path / "maildir"
    (kept / "cur").mkdir(parents=True)
    for source, target in ((f"mbox:{tmp_path / 'nowhere'}", old), (f"mbox:{kept}", old), (old, f"mbox:{kept}"), ("mbox:", old)):
        done = copy(source, target, tmp_path)
        assert done.status != 0 and not done.counts, done.log
    assert [p.name for p in kept.iterdir()] == ["cur"]


def tellable(path):
    """Subjects, flags, keywords and bodies of each file.  The lock of one that was killed names it, and stops nobody."""
    names = [str(p.relative_to(path)) for p in path.rglob("*")
             if p.is_file() and ".imap" not in p.parts and p.name[0] != "." and p.suffix != ".lock"]
    return {name: sorted((m["Subject"], m.get_flags(), (m["X-Keywords"] or "").strip(), m.get_payload()) for m in mailbox.mbox(path / name, create=False))
            for name in names}


def test_killed_at_any_system_call(old, tmp_path):
    """What was being written is whole or cut off, and comes once; UIDs are given once."""
    spec = {"INBOX": [Mail(message(f"m{i}", "x\r\n" * i), ("\\Seen", "Word")) for i in range(8)], "Work.Deep": [Mail(message("w"))]}
    fill(old.imap(ANN), spec)
    sync = ROOT / "build" / "bin" / "coexist-sync"

    def line(n):
        return argv(old, f"mbox:{tmp_path / f'box{n}'}", tmp_path / f"run{n}", "--settle=100ms", binary=sync)

    (tmp_path / "run0").mkdir()
    assert len(record(line(0), tmp_path)) > 60
    shown = tellable(tmp_path / "box0")
    sample_of = Sample(lambda: calls_in(tmp_path), lambda calls: sampled(calls, SAMPLES))
    for n, at in enumerate(sample_of, start=1):
        sample_of.judge(killed_at(line(n), tmp_path, *at, old))
        second = run(line(n))
        assert second.status == 0, (at, second.log)
        assert tellable(tmp_path / f"box{n}") == shown, at
        third = run(line(n))
        assert (third.status, third.messages_copied) == (0, 0), (at, third.counts)
        shutil.rmtree(tmp_path / f"box{n}")
        shutil.rmtree(tmp_path / f"run{n}")
    assert sample_of.n_met > SAMPLES // 2
