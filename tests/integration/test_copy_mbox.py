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
