# SPDX-License-Identifier: ISC
"""A mailbox into a Maildir and into mboxes, beside `cp -r` of the same files and a sync.

The source is a Maildir, so that no server's time counts.  Everything is on the disk when either is done: cp has a
sync behind it, ours acknowledges nothing that is not.  cp knows neither UIDs nor flags nor a journal, and may do all
of its writing at once.
"""
import os
import random
import shutil
import statistics
import subprocess
import time
from pathlib import Path

TITLE = "Export of a mailbox, and cp"
ROOT = Path(__file__).resolve().parents[2]
SYNC = ROOT / "build" / "bin" / "coexist-sync"
WORK = ROOT / "build" / "bench" / "export"
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
FOLDERS, MESSAGES = 10, 10000
SIZES = [2000, 5000, 8000, 20000, 60000]


def fill(path):
    rng = random.Random(1)
    octets = 0
    for number in range(FOLDERS):
        folder = path if number == 0 else path / f".Folder{number}"
        for part in ("cur", "new", "tmp"):
            (folder / part).mkdir(parents=True)
        for i in range(MESSAGES // FOLDERS):
            n = number * MESSAGES + i
            body = "".join(f"line {k} of {n} {'x' * 60}\r\n" for k in range(rng.choice(SIZES) // 80))
            data = f"From: a@example.org\r\nSubject: {n}\r\nMessage-ID: <{n}@example.org>\r\n\r\n{body}".encode()
            (folder / "cur" / f"{1000000000 + n}.M1P1Q{n}.host:2,S").write_bytes(data)
            octets += len(data)
    return octets


def export(form):
    return [SYNC, "export", "--state", WORK / "state", "--format", form, f"maildir:{WORK / 'source'}", WORK / "out"]


TOOLS = {"cp -r; sync": ["sh", "-c", f"cp -r '{WORK / 'source'}' '{WORK / 'out'}' && sync"],
         "export, maildir": export("maildir"), "export, mbox": export("mbox")}


def run():
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    try:
        octets = fill(WORK / "source")
        subprocess.run(export("maildir"), check=True, stdout=subprocess.DEVNULL)  # the source gets its UIDs
        taken = {name: [] for name in TOOLS}
        for number in range(ROUNDS):
            for name, command in TOOLS.items():
                for rest in ("out", "state"):
                    shutil.rmtree(WORK / rest, ignore_errors=True)
                subprocess.run(["sync"], check=True)
                begun = time.monotonic()
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                taken[name].append(time.monotonic() - begun)
                print(f"   {number + 1}: {name} {taken[name][-1]:.2f} s", flush=True)
        return report(octets, {name: statistics.median(v) for name, v in taken.items()})
    finally:
        shutil.rmtree(WORK, ignore_errors=True)


def report(octets, medians):
    copy = medians["cp -r; sync"]
    rows = ["| | seconds | MB/s | cp / it |", "|---|---|---|---|"]
    rows += [f"| {name} | {s:.2f} | {octets / s / 1e6:.0f} | {copy / s:.2f} |" for name, s in medians.items()]
    return (f"{MESSAGES:,} messages, {octets >> 20} MB, {FOLDERS} folders, out of a Maildir; medians of {ROUNDS} rounds.\n"
            "Wanted: a Maildir at 0.7 times the speed of cp or more.\n\n" + "\n".join(rows) + "\n")
