# SPDX-License-Identifier: ISC
"""Half a million messages in one folder: memory of each kind of pass, and the journal on the disk.

From a Dovecot with Maildir, filled behind its back, to one with mdbox.  Neither memory nor
processor time nor octets depend on what else the machine does; the first copy takes some minutes,
so this runs only by its name: make bench size.

BENCH_SIZE=N another number of messages.
"""
import json
import os
import resource
import shutil

from lib.dovecot import Dovecot
from lib.guest import ROOT
from lib.mailbox import argv, message
from lib.measure import measured, put_in_maildir

TITLE = "A very large folder: memory and journal"
SIZE = int(os.environ.get("BENCH_SIZE", "500000"))
WORK = ROOT / "build" / "bench" / "size"
USER = "ann@example.org"
# The server's process that moves messages in a Maildir of this size takes more than the 256 MiB that it may have.
CONF = "default_vsz_limit = 1G\n"


def cpu():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def on_disk(folder):
    return sum(p.stat().st_blocks * 512 for p in folder.rglob("*") if p.is_file())


def add(server, count):
    client = server.imap(USER)
    for i in range(count):
        client.append("INBOX", None, None, message(f"new {i} of {count}"))
    client.logout()


def change(server):
    """The changes of docs/benchmarks.md's large folder: 1,000 flags, 100 moves, 50 deletions, 100 new ones."""
    client = server.imap(USER)
    client.create("Moved")
    client.select("INBOX")
    client.uid("STORE", "1:1000", "+FLAGS.SILENT", "(\\Flagged)")
    client.uid("MOVE", "1001:1100", "Moved")
    client.uid("STORE", "1101:1150", "+FLAGS.SILENT", "(\\Deleted)")
    client.uid("EXPUNGE", "1101:1150")
    client.logout()
    add(server, 100)


class Runner:
    def __init__(self, old, new):
        self.line = argv(old, new, WORK, "--settle=0s", user=USER, binary=ROOT / "build" / "bin" / "coexist-sync")
        self.rows = []

    def run(self, what, *more):
        before = cpu()
        status, kib = measured(self.line[:-2] + [*more] + self.line[-2:], out=WORK / "counts")
        assert status == 0, what
        counts = json.loads((WORK / "counts").read_text())
        self.rows.append(f"| {what} | {kib / 1024:.1f} | {cpu() - before:.1f} |")
        print(f"   {what}: {kib / 1024:.1f} MiB, {cpu() - before:.1f} s", flush=True)
        return counts


def run():
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    old = Dovecot(WORK / "old", users={USER: "secret"}, conf=CONF).start()
    new = Dovecot(WORK / "new", users={USER: "secret"}, conf=CONF, mail_location="mdbox:/var/mail/%Lu/mdbox").start()
    try:
        put_in_maildir(old, USER, SIZE)
        return measure(old, new)
    finally:
        old.close()
        new.close()
        shutil.rmtree(WORK, ignore_errors=True)


def measure(old, new):
    runner = Runner(old, new)
    assert runner.run("first copy")["messages_copied"] == SIZE
    octets = on_disk(WORK / "state") / SIZE
    runner.run("nothing new")
    add(old, 1)
    assert runner.run("one new message, behind the first copy: looks at the whole target")["messages_copied"] == 1
    change(old)
    counts = runner.run("1,000 flags, 100 moved, 50 deleted, 100 new")
    assert (counts["messages_copied"], counts["messages_moved"], counts["messages_deleted"]) == (100, 100, 50), counts
    runner.run("the comparison, with all contents", "--verify")
    shutil.rmtree(WORK / "state")
    runner.run("the journal lost, the same messages on both sides")
    return "\n".join([f"{SIZE:,} small messages in one folder, from a Dovecot with Maildir to one with mdbox. The journal has",
                      f"{octets:.0f} octets a message on the disk.", "",
                      "| what | peak of resident memory, MiB | our processor time, s |", "|---|---|---|", *runner.rows])
