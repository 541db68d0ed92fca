# SPDX-License-Identifier: ISC
"""Memory stays flat: a mailbox of very many messages, and a very large message (plain build)."""
import shutil

import pytest
from lib.chaos import IS_SOAK
from lib.mailbox import ROOT, Mail, argv, fill, look, message, run
from lib.measure import RSS_MAX_KIB, measured, put_in_maildir

ANN = "ann@example.org"
PLAIN = ROOT / "build" / "bin" / "coexist-sync"
FEW, SOME, MANY = 40_000, 60_000, 120_000  # from the second on as much is on its way at once as ever is
FEW_KIB, GOAL_KIB, GOAL_MESSAGES = 18 << 10, 24 << 10, 500_000


def peaks(old, new, folder, count):
    """{what: KiB} of everything that is done with a folder of so many messages."""
    put_in_maildir(old, ANN, count)
    line = argv(old, new, folder, "--settle=0s", binary=PLAIN)
    client = old.imap(ANN)
    out = {}

    def step(what, *more):
        status, out[what] = measured(line[:-2] + [*more] + line[-2:])
        assert status == 0, what

    step("first copy")
    step("nothing new")
    for what in ("delta that looks at the whole target", "delta"):
        client.append("INBOX", None, None, message(what))
        step(what)
    client.create("Moved")
    client.select("INBOX")
    for what, command in (("STORE", ("1:1000", "+FLAGS.SILENT", "(\\Flagged)")), ("MOVE", ("1001:1100", "Moved")),
                          ("STORE", ("1101:1150", "+FLAGS.SILENT", "(\\Deleted)")), ("EXPUNGE", ("1101:1150",))):
        assert client.uid(what, *command)[0] == "OK"
    client.close()
    step("flags, moves and deletions")
    step("comparison", "--verify")
    shutil.rmtree(folder / "state")
    step("journal lost")
    there = new.imap(ANN)
    assert int(there.select("INBOX")[1][0]) == count + 2 - 150
    assert int(there.select("Moved")[1][0]) == 100
    return out


def test_many_messages(dovecot, tmp_path):
    some = peaks(dovecot("old"), dovecot("new"), tmp_path / "some", FEW)
    print(some)
    assert max(some.values()) <= FEW_KIB, some


@pytest.mark.skipif(not IS_SOAK, reason="takes minutes: make soak")
def test_very_many_messages(dovecot, tmp_path):
    """What memory grows by from one size to the other, for half a million."""
    some = peaks(dovecot("old"), dovecot("new"), tmp_path / "some", SOME)
    many = peaks(dovecot("old2"), dovecot("new2"), tmp_path / "many", MANY)
    print(some, many)
    for what, rss in many.items():
        each = max(0, rss - some[what]) / (MANY - SOME)
        assert rss + each * (GOAL_MESSAGES - MANY) <= GOAL_KIB, (what, some, many)


def test_a_very_large_message(dovecot, tmp_path):
    old, new = dovecot("old"), dovecot("new")
    fill(old.imap(ANN), {"INBOX": [Mail(message("large", ("r" * 76 + "\r\n") * (100 * 1024 * 1024 // 78)))]})
    status, rss = measured(argv(old, new, tmp_path, binary=PLAIN))
    assert status == 0 and rss < RSS_MAX_KIB, rss
    assert look(old.imap(ANN)) == look(new.imap(ANN))
    assert run(argv(old, new, tmp_path)).messages_skipped == 1
