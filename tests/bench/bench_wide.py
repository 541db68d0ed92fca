# SPDX-License-Identifier: ISC
"""Twenty thousand folders: memory and processor time of our own process, for each kind of pass.

From a Dovecot with Maildir, filled behind its back, to one with sdbox.  Neither figure depends on what else the
machine does, so there are no rounds; making as many folders takes the servers some minutes, so this runs only by
its name: make bench wide.

BENCH_WIDE=N another number of folders, BENCH_WIDE_KEEP=1 leaves the servers' folders and uses them again.
"""
import json
import os
import resource
import shutil
import subprocess
from pathlib import Path

from lib.dovecot import Dovecot
from lib.guest import ROOT, peers
from lib.mailbox import argv, message
from lib.measure import maildir_name, measured

TITLE = "Very many folders: memory and processor time"
FOLDERS = int(os.environ.get("BENCH_WIDE", "20000"))
EVERY = 10  # of them one has a message
WORK = ROOT / "build" / "bench" / "wide"
USER = "ann@example.org"
# With its own index of the list each CREATE costs Dovecot the more the more folders there are.
CONF = "default_vsz_limit = 1G\nmailbox_list_index = no\n"
GOAL_MIB, GOAL_S = 32, 2


def names(count):
    """Two levels, as people have them: forty folders in each of many."""
    for i in range(count):
        yield f"Customer {i // 40:04}" + (f"/Project {i % 40:02} of 2026" if i % 40 else "")


def fill(server):
    uid, gid = peers.USERS["vmail"], peers.GROUPS["vmail"]
    base = server.folder(f"var/mail/{USER}", user="vmail") / "Maildir"
    made = [base, *(base / name for name in names(FOLDERS))]
    for path in made:
        for each in (path, path / "cur", path / "new", path / "tmp"):
            each.mkdir()
    for i, path in enumerate(made[1::EVERY]):
        text = f"From: a@example.net\nSubject: {i}\n\n{i}\n"
        (path / "cur" / maildir_name(i, text, "S")).write_text(text)
    (base / "subscriptions").write_text("".join(f"{name}\n" for name in names(FOLDERS)))
    for where, folders, files in os.walk(base):
        for name in [".", *folders, *files]:
            os.chown(Path(where) / name, uid, gid)


def cpu():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Runner:
    def __init__(self, old, new):
        self.old = old
        self.line = argv(old, new, WORK, "--settle=0s", user=USER, binary=ROOT / "build" / "bin" / "coexist-sync")
        self.rows = []

    def run(self, what, *more, is_text=False):
        line = self.line[:-2] + [*more] + self.line[-2:]
        before = cpu()
        status, kib = measured([word for word in line if not is_text or word != "--json"], out=WORK / "out")
        spent = cpu() - before
        assert status == 0, what
        self.rows.append(f"| {what} | {kib / 1024:.1f} | {spent:.2f} |")
        print(f"   {what}: {kib / 1024:.1f} MiB, {spent:.2f} s", flush=True)
        return None if is_text else json.loads((WORK / "out").read_text())


def add(server, folders):
    client = server.imap(USER)
    for name in folders:
        assert client.append(f'"{name}"', None, None, message(f"new in {name}"))[0] == "OK"
    client.logout()


def measure(runner):
    counts = runner.run("first copy")
    assert counts["folders"] == FOLDERS + 1 and counts["messages_copied"] >= FOLDERS // EVERY, counts["messages_copied"]
    runner.run("behind the first copy")
    counts = runner.run("nothing new")
    assert counts["messages_copied"] == 0
    runner.run("nothing new, the report as text", is_text=True)
    add(runner.old, list(names(FOLDERS))[5:FOLDERS:FOLDERS // 100])
    assert runner.run("a new message in each of 100 folders")["messages_copied"] in (100, 101)
    runner.run("the comparison, with all contents", "--verify")
    return "\n".join([f"{FOLDERS:,} folders, of which one in {EVERY} has a message, from a Dovecot with Maildir to one with sdbox. At most",
                      f"{GOAL_MIB} MiB and {GOAL_S} s are wanted for a first copy, and for a pass that finds nothing new.", "",
                      "| what | peak of resident memory, MiB | our processor time, s |", "|---|---|---|", *runner.rows])


def run():
    keeps = "BENCH_WIDE_KEEP" in os.environ
    if keeps and (WORK / "old").exists():
        for name in ("new", "state"):
            subprocess.run(["rm", "-rf", str(WORK / name)], check=True)
    else:
        shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True, exist_ok=True)
    is_new = not (WORK / "old").exists()
    old = Dovecot(WORK / "old", users={USER: "secret"}, conf=CONF, separator="/",
                  mail_location="maildir:/var/mail/%Lu/Maildir:LAYOUT=fs")
    if is_new:
        fill(old)
    old.start()
    new = Dovecot(WORK / "new", users={USER: "secret"}, conf=CONF, separator="/", mail_location="sdbox:/var/mail/%Lu/sdbox").start()
    try:
        return measure(Runner(old, new))
    finally:
        old.close()
        new.close()
        if not keeps:
            shutil.rmtree(WORK, ignore_errors=True)
