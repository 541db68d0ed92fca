# SPDX-License-Identifier: ISC
"""Copying a mailbox: coexist-sync beside InterIMAP and mbsync, between two Dovecots with Maildir.

4,000 messages of 92 MB in 8 folders, once over loopback and once through tests/tools/delay_proxy
with a round trip of 20 ms towards both servers.  Every run copies into an empty mailbox; a second
run, with nothing to do, is timed too.  mbsync and InterIMAP run as guests; what starting a guest
costs is measured and taken off.  What arrived is counted after every run.
"""
import os
import random
import shutil
import statistics
import subprocess
import time
from pathlib import Path

from lib.dovecot import Dovecot
from lib.guest import ROOT, Guest
from lib.mailbox import argv, quoted

TITLE = "Copying a mailbox: seconds for the first copy"
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
MESSAGES, FOLDERS, OCTETS = 4000, 8, 92 << 20
USER = "ann@example.org"
LINES = {"loopback": 0, "20 ms": 20}
TOOLS = ("coexist-sync", "InterIMAP", "mbsync")
WORK = ROOT / "build" / "bench" / "copy"
# Durable as Dovecot is out of the box.
CONF = "mail_fsync = optimized\n"


class Tool(Guest):
    """A guest that is only run, never started."""

    def __init__(self, name, work=WORK):
        super().__init__(work / f"tool-{name}")

    def timed(self, *command, timeout=900):
        started = time.monotonic()
        done = self.run(*command, check=False, timeout=timeout)
        return time.monotonic() - started, done


class Isync(Tool):
    tree_name = "isync"

    def copy(self, user, ports, secrets, source=USER, timeout=900):
        stores = "".join(f"IMAPStore {name}\nHost 127.0.0.1\nPort {port}\nUser {who}\nPass {secret}\nSSLType None\n"
                         f"AuthMechs LOGIN\n\n" for name, port, who, secret in
                         zip(("far", "near"), ports, (source, user), secrets))
        self.write("inst/config", stores + "Channel all\nFar :far:\nNear :near:\nPatterns *\nCreate Near\nSync Pull\nExpunge Near\n"
                   f"CopyArrivalDate yes\nSyncState /var/{user}/\n")
        (self.dir / "var" / user).mkdir(parents=True, exist_ok=True)
        return self.timed("/usr/bin/mbsync", "-q", "-c", "/inst/config", "-a", timeout=timeout)


class InterImap(Tool):
    tree_name = "interimap"

    def copy(self, user, ports, secrets, source=USER, timeout=900):
        sides = "".join(f"[{name}]\ntype = imap\nhost = 127.0.0.1\nport = {port}\nSTARTTLS = NO\nusername = {who}\n"
                        f"password = {secret}\n\n" for name, port, who, secret in
                        zip(("local", "remote"), reversed(ports), (user, source), reversed(secrets)))
        self.write("inst/config", f"database = /var/{user}.db\n\n" + sides, mode=0o600)
        return self.timed("/usr/bin/perl", "-T", "/usr/bin/interimap", "--quiet", "--config=/inst/config", timeout=timeout)


class Ours:
    def __init__(self, old, new):
        self.old, self.new = old, new

    def copy(self, user, ports, secrets):
        line = argv(self.old, self.new, WORK / "ours" / user, binary=ROOT / "build" / "bin" / "coexist-sync",
                    target_user=user)
        for at, (server, port) in zip((-2, -1), zip((self.old, self.new), ports)):
            line[at] = line[at].replace(f":{server.imap_port}/", f":{port}/")
        started = time.monotonic()
        done = subprocess.run(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        return time.monotonic() - started, done


class Proxy:
    """delay_proxy in front of both servers; without a delay the servers' own ports."""

    def __init__(self, delay_ms, servers):
        self.process = None
        self.ports = [s.imap_port for s in servers]
        if delay_ms:
            self.process = subprocess.Popen(
                [ROOT / "build" / "bin" / "delay_proxy", str(delay_ms), *[f"127.0.0.1:{p}" for p in self.ports]],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            self.ports = [int(p) for p in self.process.stdout.readline().split()[1:]]

    def close(self):
        if self.process:
            self.process.stdin.close()
            self.process.wait()


def fill(server):
    """Sizes as in real mailboxes: most messages small, a few large."""
    rng = random.Random(7)
    weights = [rng.lognormvariate(0, 1.4) for _ in range(MESSAGES)]
    scale = (OCTETS - 400 * MESSAGES) / sum(weights)
    client = server.imap(USER)
    names = ["INBOX"] + [f"Folder{i}" for i in range(1, FOLDERS)]
    for name in names[1:]:
        client.create(name)
        client.subscribe(name)
    row = ("0123456789abcdef" * 5)[:76] + "\r\n"
    for i, weight in enumerate(weights):
        body = row * max(1, int(weight * scale / len(row)))
        text = (f"From: sender@example.net\r\nTo: {USER}\r\nSubject: message {i}\r\nMessage-ID: <{i}@example.net>\r\n"
                f"Date: Mon, 02 Nov 2026 09:00:00 +0000\r\n\r\n{i}\r\n{body}")
        status, answer = client.append(quoted(names[i % FOLDERS]), "(\\Seen)" if i % 3 else None, None, text.encode())
        assert status == "OK", answer
    client.logout()


def count(server, user):
    client = server.imap(user)
    total = 0
    for line in client.list()[1]:
        name = line.decode().rsplit(" ", 1)[1]
        total += int(client.select(name, readonly=True)[1][0])
    client.logout()
    return total


def run():
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    users = {f"u{i}@example.org": "target-secret" for i in range(len(LINES) * len(TOOLS) * ROUNDS)}
    old = Dovecot(WORK / "old", users={USER: "source-secret"}, conf=CONF).start()
    new = Dovecot(WORK / "new", users=users, conf=CONF).start()
    try:
        fill(old)
        return measure(old, new, sorted(users))
    finally:
        old.close()
        new.close()
        shutil.rmtree(WORK, ignore_errors=True)


def measure(old, new, users):
    tools = dict(zip(TOOLS, (Ours(old, new), InterImap("interimap"), Isync("isync"))))
    idle = {name: min(t.timed("/usr/bin/true")[0] for _ in range(3)) if isinstance(t, Tool) else 0
            for name, t in tools.items()}
    first = {(line, name): [] for line in LINES for name in TOOLS}
    again = {key: [] for key in first}
    for line, delay in LINES.items():
        proxy = Proxy(delay, (old, new))
        for number in range(ROUNDS):
            for name, tool in tools.items():
                user = users.pop()
                for into in (first, again):
                    seconds, done = tool.copy(user, proxy.ports, ("source-secret", "target-secret"))
                    assert done.returncode == 0, (name, done.stdout[-500:], done.stderr[-2000:])
                    into[line, name].append(max(seconds - idle[name], 0.001))
                assert count(new, user) == MESSAGES, (name, count(new, user))
                print(f"   {line} {number + 1}: {name} {first[line, name][-1]:.2f} s, again {again[line, name][-1]:.2f} s",
                      flush=True)
        proxy.close()
    return report(first, again)


def report(first, again):
    rows = ["| line | coexist-sync | InterIMAP | mbsync | ours / InterIMAP | ours / mbsync | again: ours | InterIMAP | mbsync |",
            "|---|---|---|---|---|---|---|---|---|"]
    for line in LINES:
        one = {name: statistics.median(first[line, name]) for name in TOOLS}
        two = {name: statistics.median(again[line, name]) for name in TOOLS}
        ours = one[TOOLS[0]]
        rows.append(f"| {line} | {ours:.2f} | {one['InterIMAP']:.2f} | {one['mbsync']:.2f} | {ours / one['InterIMAP']:.2f} | "
                    f"{ours / one['mbsync']:.2f} | {two[TOOLS[0]]:.2f} | {two['InterIMAP']:.2f} | {two['mbsync']:.2f} |")
    return (f"{MESSAGES:,} messages, {OCTETS >> 20} MB, {FOLDERS} folders, from one Dovecot with Maildir to another\n"
            "(`mail_fsync = optimized`). \"again\" is a second run with nothing to do. The line of 20 ms is\n"
            f"`tests/tools/delay_proxy.c` in front of both servers. Medians of {ROUNDS} rounds.\n\n" + "\n".join(rows) + "\n")
