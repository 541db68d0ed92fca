# SPDX-License-Identifier: ISC
"""A copy that is killed anywhere goes on where it was: no message twice, none lost."""
import subprocess
import threading

import pytest
from lib.fakeimap import FakeImap
from lib.mailbox import ROOT, Mail, argv, copy, fill, look, message, run, same
from lib.proxy import Proxy
from lib.strace import Sample, calls_in, killed_at, record, sampled
from lib.wait import wait_for

ANN = "ann@example.org"
PLAIN = ROOT / "build" / "bin" / "coexist-sync"
SAMPLES = 60


def spec():
    big = {3: 300_000, 9: 70_000}
    return {name: [Mail(message(f"{name} {i}", "z" * 70 * (big.get(i, 700) // 70) + "\r\n"), flags)
                   for i, flags in enumerate([("\\Seen",), (), ("Work",), ("\\Flagged",)] * 3)]
            for name in ("INBOX", "Eins", "Zwei")}


@pytest.mark.parametrize("multiappend", [True, False])
def test_killed_at_any_system_call(dovecot, tmp_path, multiappend):
    """Every kill is followed by one more run, which must make the mailbox whole."""
    users = {f"u{i}@example.org": "secret" for i in range(2 * SAMPLES + 1)}
    # Without MULTIAPPEND each message is an APPEND of its own.
    offered = "" if multiappend else "imap_capability = IMAP4rev1 SASL-IR LITERAL+ UIDPLUS LIST-EXTENDED LIST-STATUS\n"
    old, new = dovecot("old"), dovecot("new", users=users, conf=offered)
    fill(old.imap(ANN), spec())
    want = look(old.imap(ANN))

    def line(user):
        return argv(old, new, tmp_path / user, "--settle=200ms", binary=PLAIN, target_user=user)

    taken = iter(users)
    assert len(record(line(next(taken)), tmp_path)) > 200
    sample = Sample(lambda: calls_in(tmp_path), lambda calls: sampled(calls, SAMPLES))
    for at, user in zip(sample, taken):
        sample.judge(killed_at(line(user), tmp_path, *at, new))
        second = run(line(user))
        assert second.status == 0, (at, second.log)
        same(want, look(new.imap(user)))
        third = run(line(user))
        assert (third.status, third.messages_copied, third.flags_changed) == (0, 0, 0), (at, third.counts)
    assert sample.n_met >= 50


def test_a_source_that_dies_inside_a_message_leaves_no_half_one(dovecot, tmp_path):
    passed, is_dead = [], threading.Event()

    def dam(data):
        passed.append(len(data))
        if sum(passed) > 1 << 20 and not is_dead.is_set():
            is_dead.wait(60)
            raise ConnectionError("nothing of what lies in buffers comes")
    real, new = dovecot("old"), dovecot("new")
    old = Proxy(real, behind=dam)
    fill(real.imap(ANN), {"INBOX": [Mail(message("big", ("q" * 78 + "\r\n") * 50_000))]})
    child = subprocess.Popen(argv(old, new, tmp_path, "--settle=200ms"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
    wait_for(lambda: any(p.stat().st_size > 100_000 for p in new.dir.rglob("tmp/*")), 20, "the message to arrive in part")
    real.kill()
    is_dead.set()
    child.communicate(timeout=60)
    assert child.returncode in (69, 75)  # lost, or not there when we came back
    assert look(new.imap(ANN))["INBOX"] == []
    real.start()
    done = copy(old, new, tmp_path, "--settle=200ms")
    assert (done.status, done.messages_copied) == (0, 1), done.log
    same(look(real.imap(ANN)), look(new.imap(ANN)))


def test_killed_between_pairs_and_keywords(tmp_path):
    """The target tells no UIDs and has a keyword of its own on what it stored.  Wherever the search for the copies
    is killed, a new keyword of the source is not taken for that one."""
    mail = [b"Subject: one\r\n\r\nbody\r\n"]

    def flags(text):
        def fetch(server, tag, line):
            return b"".join(b'* %d FETCH (UID %d FLAGS (%s) INTERNALDATE "02-Nov-2026 09:00:00 +0000" RFC822.SIZE %d)\r\n'
                            % (u, u, text, len(server.messages[u - 1])) for u in server.asked(line)) + b"{tag} OK done\r\n"
        return fetch

    def append(server, tag, line):
        server.appended += server.literals
        server.messages = list(server.appended)
        return b"{tag} OK done\r\n"

    def attempt(count):
        with FakeImap(mail, {"FETCH": flags(b"Alpha")}) as source, \
                FakeImap([], {"FETCH": flags(b"Alpha Beta"), "APPEND": append}) as target:
            line = argv(source, target, tmp_path / f"run{count}", "--settle=0s", binary=PLAIN)
            # The servers' ports are part of the journal's name, so they stay for the second run.
            killed = count and killed_at(line, tmp_path, "fdatasync", count)[1]
            calls = 0 if count else len([c for c in record(line, tmp_path) if c[0] == "fdatasync"])
            source.script["FETCH"] = flags(b"Alpha Gamma")
            for _ in range(2):
                done = run(line)
                assert done.status == 0, (count, done.log)
            # With the message itself when it was killed before that, else behind it.
            given = [x for x in target.received.split(b"\r\n")
                     if b"Gamma" in x and (b" APPEND " in x or b" STORE " in x and b"+FLAGS" in x)]
            assert given, (count, target.received)
            assert target.appended == mail
            return calls if not count else killed
    calls = attempt(0)
    assert calls > 4
    # Notes about what is on its way are synced by time, so a run may have some calls more or fewer.
    assert sum(attempt(count) for count in range(1, calls + 1)) > 4
