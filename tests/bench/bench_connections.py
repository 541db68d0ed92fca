# SPDX-License-Identifier: ISC
"""A first copy over 1, 2 and 4 connections to each server, in turn: 4,000 messages of 92 MB in 20 folders.

Over loopback, through a line of 20 ms, and through one that has 4 MB a second for each connection, as hosted
servers share themselves out (tests/tools/delay_proxy.c).

BENCH_ROUNDS=N rounds (3).
"""
import shutil
import statistics
import subprocess
import time

import bench_copy as base
from lib.dovecot import Dovecot
from lib.guest import ROOT
from lib.mailbox import argv

TITLE = "Copying a mailbox over several connections"
CONNECTIONS = (1, 2, 4)
LINES = {"loopback": 0, "20 ms": 20, "20 ms, 4 MB a second for each connection": "20,4M"}
WORK = ROOT / "build" / "bench" / "connections"


def copy(old, new, user, ports, connections):
    line = argv(old, new, WORK / "ours" / user, f"--connections={connections}", binary=ROOT / "build" / "bin" / "coexist-sync",
                target_user=user)
    for at, (server, port) in zip((-2, -1), zip((old, new), ports)):
        line[at] = line[at].replace(f":{server.imap_port}/", f":{port}/")
    started = time.monotonic()
    done = subprocess.run(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    seconds = time.monotonic() - started
    assert done.returncode == 0, done.stderr[-2000:]
    assert base.count(new, user) == base.MESSAGES
    return seconds


def run():
    base.FOLDERS = 20
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    users = [f"u{i}@example.org" for i in range(len(LINES) * len(CONNECTIONS) * base.ROUNDS)]
    old = Dovecot(WORK / "old", users={base.USER: "source-secret"}, conf=base.CONF).start()
    new = Dovecot(WORK / "new", users=dict.fromkeys(users, "target-secret"), conf=base.CONF).start()
    took = {line: {n: [] for n in CONNECTIONS} for line in LINES}
    try:
        base.fill(old)
        for line, kind in LINES.items():
            proxy = base.Proxy(kind, (old, new))
            for number in range(base.ROUNDS):
                for n in CONNECTIONS:
                    took[line][n].append(copy(old, new, users.pop(), proxy.ports, n))
                    print(f"   {line} {number + 1}: {n} connections {took[line][n][-1]:.2f} s", flush=True)
            proxy.close()
    finally:
        old.close()
        new.close()
        shutil.rmtree(WORK, ignore_errors=True)
    return report(took)


def report(took):
    rows = ["| line | " + " | ".join(f"{n}" for n in CONNECTIONS) + " | 1 / 2 | 1 / 4 |", "|---|" + "---|" * 5]
    for line, of in took.items():
        median = {n: statistics.median(of[n]) for n in CONNECTIONS}
        cells = [*(f"{median[n]:.2f}" for n in CONNECTIONS), *(f"{median[1] / median[n]:.2f}" for n in CONNECTIONS[1:])]
        rows.append(f"| {line} | " + " | ".join(cells) + " |")
    return (f"{base.MESSAGES:,} messages, {base.OCTETS >> 20} MB, {base.FOLDERS} folders, from one Dovecot with Maildir to another\n"
            "(`mail_fsync = optimized`): seconds of `copy --connections N`, and how many times as fast as with one.\n"
            f"Medians of {base.ROUNDS} rounds.\n\n" + "\n".join(rows) + "\n")
