# SPDX-License-Identifier: ISC
"""Memory stays flat: a mailbox of very many messages, and a very large message (plain build)."""
import re
import subprocess
import time
from pathlib import Path

from lib.mailbox import ROOT, Mail, argv, fill, look, message, run

ANN = "ann@example.org"
PLAIN = ROOT / "build" / "bin" / "coexist-sync"
RSS_MAX_KIB = 32 << 10
MESSAGES = 100_000


def measured(line):
    """Exit status and the largest resident set of the process, in KiB.

    VmHWM, because the resource usage of a child begins with that of the process that started it.
    """
    child = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    peak = 0
    while child.poll() is None:
        try:
            text = Path(f"/proc/{child.pid}/status").read_text()
        except OSError:
            continue
        found = re.search(r"VmHWM:\s+(\d+)", text)
        peak = int(found[1]) if found else peak
        time.sleep(0.01)
    return child.returncode, peak


def put_in_maildir(server, count):
    """Messages in the user's INBOX, behind the server's back; much faster than APPEND."""
    maildir = f"var/mail/{ANN}/Maildir"
    for folder in (f"var/mail/{ANN}", maildir, f"{maildir}/cur", f"{maildir}/new", f"{maildir}/tmp"):
        server.folder(folder, user="vmail")
    for i in range(count):
        server.write(f"{maildir}/cur/{1700000000 + i}.M{i}P1.host:2,{'S' if i % 3 else ''}",
                     f"From: a@example.net\nSubject: {i}\n\n{i}\n", user="vmail")


def test_very_many_messages(dovecot, tmp_path):
    old, new = dovecot("old"), dovecot("new")
    put_in_maildir(old, MESSAGES)
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
