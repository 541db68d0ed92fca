# SPDX-License-Identifier: ISC
"""Copying a mailbox: coexist-sync beside InterIMAP and mbsync, between two Dovecots with Maildir.

4,000 messages of 92 MB in 8 folders, once over loopback and once through tests/tools/delay_proxy
with a round trip of 20 ms towards both servers.  Every run copies into an empty mailbox; a second
run, with nothing to do, is timed too.  mbsync and InterIMAP run as guests; what starting a guest
costs is measured and taken off.  What arrived is counted after every run.  "bare" is the same mail
out of memory, by nothing but pipelined MULTIAPPENDs: what no copy can be faster than.

BENCH_ROUNDS=N rounds (3), BENCH_TOOLS="coexist-sync bare ..." only these.
"""
import os
import random
import shutil
import socket
import statistics
import subprocess
import threading
import time
from pathlib import Path

from lib.dovecot import Dovecot
from lib.guest import ROOT, Guest
from lib.mailbox import argv, quoted

TITLE = "Copying a mailbox: seconds for the first copy"
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
MESSAGES, FOLDERS, OCTETS = 4000, 8, 92 << 20
BARE_MESSAGES, BARE_OCTETS = 1000, 4 << 20    # of one MULTIAPPEND, as ours has them
USER = "ann@example.org"
LINES = {"loopback": 0, "20 ms": 20}
TOOLS = ("coexist-sync", "bare", "InterIMAP", "mbsync")
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


class Imap:
    """Commands that are sent without waiting for the answers of those before."""

    def __init__(self, port, user, secret):
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.file = self.sock.makefile("rb")
        self.sent = 0
        self.answers = []
        self.file.readline()
        self.send(f'LOGIN "{user}" "{secret}"'.encode())
        self.wait()

    def send(self, *parts):
        self.sent += 1
        self.sock.sendall(b"a%d " % self.sent + b"".join(parts) + b"\r\n")

    def wait(self):
        """Until all is answered, by OK."""
        while len(self.answers) < self.sent:
            line = self.file.readline()
            assert line, "the server has closed the connection"
            if line.startswith(b"a") and line[1:2].isdigit():
                assert line.split()[1] == b"OK", line
                self.answers.append(line)

    def append(self, folder, messages):
        """[(flags, text), ...] by as few commands as may be."""
        reader = threading.Thread(target=self.wait)
        batch, octets = [], 0
        for flags, text in messages:
            batch.append(b" (%s) {%d+}\r\n" % (flags, len(text)) + text)
            octets += len(text)
            if len(batch) == BARE_MESSAGES or octets >= BARE_OCTETS:
                self.send(b"APPEND ", folder, *batch)
                batch, octets = [], 0
            if self.sent - len(self.answers) > 1 and not reader.is_alive():
                reader = threading.Thread(target=self.wait)
                reader.start()
        if batch:
            self.send(b"APPEND ", folder, *batch)
        if reader.ident:
            reader.join()

    def close(self):
        self.wait()
        self.send(b"LOGOUT")
        self.wait()
        self.sock.close()


class Bare:
    def __init__(self):
        self.folders = {}
        for name, flags, text in messages():
            self.folders.setdefault(name, []).append((flags.encode(), text))

    def copy(self, user, ports, secrets):
        started = time.monotonic()
        client = Imap(ports[1], user, secrets[1])
        for name in list(self.folders)[1:]:
            client.send(f"CREATE {name}".encode())
            client.send(f"SUBSCRIBE {name}".encode())
        for name, mails in self.folders.items():
            client.append(name.encode(), mails)
        client.close()
        return time.monotonic() - started, subprocess.CompletedProcess([], 0, "", "")


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


def messages():
    """[(folder, flags, text)], the same ones each time.  Sizes as in real mailboxes: most small, a few large."""
    rng = random.Random(7)
    weights = [rng.lognormvariate(0, 1.4) for _ in range(MESSAGES)]
    scale = (OCTETS - 400 * MESSAGES) / sum(weights)
    names = ["INBOX"] + [f"Folder{i}" for i in range(1, FOLDERS)]
    row = ("0123456789abcdef" * 5)[:76] + "\r\n"
    for i, weight in enumerate(weights):
        body = row * max(1, int(weight * scale / len(row)))
        text = (f"From: sender@example.net\r\nTo: {USER}\r\nSubject: message {i}\r\nMessage-ID: <{i}@example.net>\r\n"
                f"Date: Mon, 02 Nov 2026 09:00:00 +0000\r\n\r\n{i}\r\n{body}")
        yield names[i % FOLDERS], "\\Seen" if i % 3 else "", text.encode()


def fill(server):
    client = server.imap(USER)
    for i in range(1, FOLDERS):
        client.create(f"Folder{i}")
        client.subscribe(f"Folder{i}")
    for folder, flags, text in messages():
        status, answer = client.append(quoted(folder), f"({flags})", None, text)
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
    chosen = os.environ.get("BENCH_TOOLS", " ".join(TOOLS)).split()
    tools = {name: made() for name, made in zip(TOOLS, (lambda: Ours(old, new), Bare, lambda: InterImap("interimap"),
                                                        lambda: Isync("isync"))) if name in chosen}
    idle = {name: min(t.timed("/usr/bin/true")[0] for _ in range(3)) if isinstance(t, Tool) else 0
            for name, t in tools.items()}
    first = {(line, name): [] for line in LINES for name in TOOLS}
    again = {key: [] for key in first}
    for line, delay in LINES.items():
        proxy = Proxy(delay, (old, new))
        for number in range(ROUNDS):
            for name, tool in tools.items():
                user = users.pop()
                for into in (first, again) if name != "bare" else (first,):
                    seconds, done = tool.copy(user, proxy.ports, ("source-secret", "target-secret"))
                    assert done.returncode == 0, (name, done.stdout[-500:], done.stderr[-2000:])
                    into[line, name].append(max(seconds - idle[name], 0.001))
                assert count(new, user) == MESSAGES, (name, count(new, user))
                print(f"   {line} {number + 1}: {name} {first[line, name][-1]:.2f} s" +
                      (f", again {again[line, name][-1]:.2f} s" if again[line, name] else ""), flush=True)
        proxy.close()
    return report(first, again)


def median(values):
    return statistics.median(values) if values else None


def seconds(value):
    return "-" if value is None else f"{value:.2f}"


def ratio(a, b):
    return seconds(a / b if a and b else None)


def report(first, again):
    rows = ["| line | coexist-sync | bare MULTIAPPENDs | InterIMAP | mbsync | ours / bare | ours / InterIMAP | ours / mbsync | "
            "again: ours | InterIMAP | mbsync |", "|---|" + "---|" * 10]
    for line in LINES:
        one, two = ({name: median(into[line, name]) for name in TOOLS} for into in (first, again))
        ours = one[TOOLS[0]]
        cells = [*map(seconds, one.values()), *(ratio(ours, one[name]) for name in TOOLS[1:]),
                 *(seconds(two[name]) for name in TOOLS if name != "bare")]
        rows.append(f"| {line} | " + " | ".join(cells) + " |")
    return (f"{MESSAGES:,} messages, {OCTETS >> 20} MB, {FOLDERS} folders, from one Dovecot with Maildir to another\n"
            "(`mail_fsync = optimized`). \"bare\" is the same mail out of memory by pipelined MULTIAPPENDs; \"again\" is\n"
            "a second run with nothing to do. The line of 20 ms is `tests/tools/delay_proxy.c` in front of both servers.\n"
            f"Medians of {ROUNDS} rounds.\n\n" + "\n".join(rows) + "\n")
