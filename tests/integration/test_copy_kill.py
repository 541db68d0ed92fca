# SPDX-License-Identifier: ISC
"""kill -9 at sampled system calls of a pass that carries over new mail, flags, moves or deletions: run again, it is whole.

test_copy_resume.py does this with a first copy, test_cutover_kill.py with a cut-over.  Pass after pass carries
over a change of the same kind, each killed at another call.
"""
import pytest
from lib.changes import CHANGES, stock
from lib.chaos import IS_SOAK, KILLS
from lib.mailbox import ROOT, argv, run, same
from lib.sides import Side
from lib.strace import Sample, calls_in, killed_at, record, sampled

ANN = "ann@example.org"
PLAIN = ROOT / "build" / "bin" / "coexist-sync"
SAMPLES = KILLS if IS_SOAK or KILLS > 50 else 12


@pytest.mark.parametrize("kind", CHANGES)
def test_killed_at_any_system_call_of_a_pass(dovecot, tmp_path, kind):
    old, new = Side(dovecot("old"), "dovecot", ANN), Side(dovecot("new"), "dovecot", ANN)
    stock(old, 2 * SAMPLES + 4)
    line = argv(old.server, new.server, tmp_path, "--settle=200ms", binary=PLAIN)
    assert run(line).status == 0
    CHANGES[kind](old, 0)
    assert len(record(line, tmp_path)) > 60
    same(old.look(), new.look())
    sample = Sample(lambda: calls_in(tmp_path), lambda calls: sampled(calls, SAMPLES))
    for n, at in enumerate(sample, start=1):
        CHANGES[kind](old, n)
        sample.judge(killed_at(line, tmp_path, *at, new.server))
        second = run(line)
        assert second.status == 0, (at, second.log)
        same(old.look(), new.look())
        third = run(line)
        assert (third.status, third.messages_copied, third.flags_changed, third.messages_deleted, third.messages_kept) == \
            (0, 0, 0, 0, 0), (at, third.counts)
    assert sample.n_met > SAMPLES * 2 // 3
