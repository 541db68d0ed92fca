# SPDX-License-Identifier: ISC
"""Memory stays flat: a mailbox of very many messages, and a very large message (plain build)."""
from lib.mailbox import ROOT, Mail, argv, fill, look, message, run
from lib.measure import RSS_MAX_KIB, measured, put_in_maildir

ANN = "ann@example.org"
PLAIN = ROOT / "build" / "bin" / "coexist-sync"
MESSAGES = 100_000


def test_very_many_messages(dovecot, tmp_path):
    old, new = dovecot("old"), dovecot("new")
    put_in_maildir(old, ANN, MESSAGES)
    line = argv(old, new, tmp_path, binary=PLAIN)
    status, rss = measured(line)
    assert status == 0 and rss < RSS_MAX_KIB, rss
    client = new.imap(ANN)
    assert int(client.select("INBOX")[1][0]) == MESSAGES
    old.imap(ANN).append("INBOX", None, None, message("one more"))
    status, rss = measured(line)
    assert status == 0 and rss < RSS_MAX_KIB, rss
    client.noop()
    assert int(client.select("INBOX")[1][0]) == MESSAGES + 1


def test_a_very_large_message(dovecot, tmp_path):
    old, new = dovecot("old"), dovecot("new")
    fill(old.imap(ANN), {"INBOX": [Mail(message("large", ("r" * 76 + "\r\n") * (100 * 1024 * 1024 // 78)))]})
    status, rss = measured(argv(old, new, tmp_path, binary=PLAIN))
    assert status == 0 and rss < RSS_MAX_KIB, rss
    assert look(old.imap(ANN)) == look(new.imap(ANN))
    assert run(argv(old, new, tmp_path)).messages_skipped == 1
