# SPDX-License-Identifier: ISC
"""Following a mailbox: what the passes behind the first copy cost, beside InterIMAP and mbsync.

Folders by round trips: nothing new, one new message in each of many folders, many new folders; a
large folder with a little of everything changed; and the hold of a cut-over.  Each program has a
mailbox of its own on both servers, with the same content and the same changes.  A line of 20 ms is
tests/tools/delay_proxy; "trips" is the wall time on it less that on loopback, in round trips.

BENCH_LARGE=N sets the size of the large folder (100,000), BENCH_FOLDERS=N the most folders (1,000).
A run of a peer that takes longer than PATIENCE seconds is given up and shown as such.
"""
import json
import os
import shutil
import subprocess
import time

from bench_copy import CONF, InterImap, Isync, Proxy
from lib.coexist import Coexist
from lib.cutover import argv as cutover_argv, imap_servers
from lib.dovecot import Dovecot
from lib.guest import ROOT
from lib.mailbox import argv

TITLE = "Following a mailbox: round trips and seconds"
LARGE = int(os.environ.get("BENCH_LARGE", "100000"))
FOLDERS = int(os.environ.get("BENCH_FOLDERS", "1000"))
TRIP_MS = 20
PATIENCE = 120
TOOLS = ("coexist-sync", "InterIMAP", "mbsync")
WORK = ROOT / "build" / "bench" / "follow"
SECRET = "secret"
TEXT = "From: a@example.net\nTo: b@example.org\nSubject: {0}\nMessage-ID: <{0}@example.net>\n\n{0}\n" + "x" * 500 + "\n"


class Box:
    """One program's mailbox: an old and a new account of the same name, filled behind the servers' backs."""

    def __init__(self, old, new, user):
        self.old, self.new, self.user = old, new, user
        self.made = 0

    def put(self, folder, count):
        base = f"var/mail/{self.user}/Maildir" + (f"/.{folder}" if folder else "")
        for path in (f"var/mail/{self.user}", f"var/mail/{self.user}/Maildir", base, *(f"{base}/{d}" for d in ("cur", "new", "tmp"))):
            self.old.folder(path, user="vmail")
        for _ in range(count):
            self.made += 1
            self.old.write(f"{base}/cur/{1700000000 + self.made}.M{self.made}P1.host:2,S", TEXT.format(self.made), user="vmail")

    def folders(self, first, last, count):
        for i in range(first, last):
            self.put(f"F{i}" if i else "", count)
        names = "".join(f"F{i}\n" for i in range(1, last))
        self.old.write(f"var/mail/{self.user}/Maildir/subscriptions", names, user="vmail")

    def settle(self):
        """Lets the server look at what was put there, so that no program pays for it."""
        client = self.old.imap(self.user)
        for line in client.list()[1]:
            client.select(line.decode().rsplit(" ", 1)[1], readonly=True)
        client.logout()

    def count(self):
        client = self.new.imap(self.user)
        total = sum(int(client.select(line.decode().rsplit(" ", 1)[1], readonly=True)[1][0]) for line in client.list()[1])
        client.logout()
        return total

    def change_large(self):
        """1 % flags, 0.1 % moved, 0.05 % deleted, 0.1 % new."""
        client = self.old.imap(self.user)
        client.create("Moved")
        client.subscribe("Moved")
        client.select("INBOX")
        client.uid("STORE", f"1:{LARGE // 100}", "+FLAGS.SILENT", "(\\Flagged)")
        client.uid("MOVE", f"{LARGE // 2 + 1}:{LARGE // 2 + LARGE // 1000}", "Moved")
        client.uid("STORE", f"{LARGE - LARGE // 2000 + 1}:{LARGE}", "+FLAGS.SILENT", "(\\Deleted)")
        client.uid("EXPUNGE", f"{LARGE - LARGE // 2000 + 1}:{LARGE}")
        client.logout()
        self.put("", LARGE // 1000)
        self.settle()


class Runner:
    """The three programs; each call is (seconds, or None when it was given up)."""

    def __init__(self, old, new):
        self.old, self.new = old, new
        self.guests = {"InterIMAP": InterImap("interimap", WORK), "mbsync": Isync("isync", WORK)}
        self.idle = {n: min(g.timed("/usr/bin/true")[0] for _ in range(3)) for n, g in self.guests.items()}

    def run(self, name, user, ports):
        started = time.monotonic()
        try:
            if name in self.guests:
                seconds, done = self.guests[name].copy(user, ports, (SECRET, SECRET), source=user, timeout=PATIENCE)
                seconds -= self.idle[name]
            else:
                line = argv(self.old, self.new, WORK / "ours" / user, "--settle=0s", user=user,
                            binary=ROOT / "build" / "bin" / "coexist-sync")
                for at, (server, port) in zip((-2, -1), zip((self.old, self.new), ports)):
                    line[at] = line[at].replace(f":{server.imap_port}/", f":{port}/")
                done = subprocess.run(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                seconds = time.monotonic() - started
        except subprocess.TimeoutExpired:
            return None
        assert done.returncode == 0, (name, done.stdout[-500:], done.stderr[-2000:])
        return max(seconds, 0.001)


def scenario(title, boxes, runner, lines, prepare, change=None):
    """Prepares every program's mailboxes, copies them, makes the change, and times the pass behind it on each line."""
    row = {}
    for name in TOOLS:
        for line, proxy in lines.items():
            box = next(boxes)
            prepare(box)
            box.settle()
            if change:
                before = runner.run(name, box.user, proxy.ports)
                if before is None:
                    row[name, line] = None
                    continue
                runner.run(name, box.user, proxy.ports)
                change(box)
            row[name, line] = runner.run(name, box.user, proxy.ports)
            if row[name, line] is not None:
                there, here = box.count(), count(box)
                assert there == here, f"{title}: {name} leaves {there} of {here} messages on the new server"
            print(f"   {title}, {line}: {name} {shown(row[name, line])}", flush=True)
            shutil.rmtree(box.old.dir / "var/mail" / box.user, ignore_errors=True)
            shutil.rmtree(box.new.dir / "var/mail" / box.user, ignore_errors=True)
    return title, row


def count(box):
    client = box.old.imap(box.user)
    total = sum(int(client.select(line.decode().rsplit(" ", 1)[1], readonly=True)[1][0]) for line in client.list()[1])
    client.logout()
    return total


def shown(seconds):
    return f"> {PATIENCE} s" if seconds is None else f"{seconds:.2f} s"


def trips(row, name):
    far, near = row.get((name, f"{TRIP_MS} ms")), row.get((name, "loopback"))
    return "-" if far is None or near is None else f"{max(0.0, (far - near) * 1000 / TRIP_MS):.0f}"


def holds(old, new, boxes, lines):
    """[(folders, line, hold in ms)] of one cut-over each."""
    out = []
    for line, proxy in lines.items():
        folder = WORK / f"site-{line.replace(' ', '')}"
        folder.mkdir(parents=True)
        servers = imap_servers(folder, old=old, new=new)
        for name, port in zip(("old", "new"), proxy.ports):
            servers[name]["imap"] = f"imap://127.0.0.1:{port}"
        site = Coexist(folder / "site", servers, plain=True)
        try:
            picked = []
            for n in sorted({1, 10, min(100, FOLDERS), FOLDERS}):
                box = next(boxes)
                box.folders(0, n, 10)
                box.settle()
                picked.append((n, box))
            site.init({box.user: "old" for _, box in picked})
            for n, box in picked:
                done = subprocess.run(cutover_argv(site, "cutover", "--json", box.user), stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                assert done.returncode == 0, done.stderr[-1000:]
                flipped = [x for x in map(json.loads, done.stdout.splitlines()) if x.get("state") == "flipped"]
                out.append((n, line, flipped[0]["hold_ms"]))
                print(f"   hold, {n} folders, {line}: {out[-1][2]} ms", flush=True)
        finally:
            site.close()
    return out


def run():
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    users = {f"u{i:03}@example.org": SECRET for i in range(64)}
    old = Dovecot(WORK / "old", users=users, conf=CONF).start()
    new = Dovecot(WORK / "new", users=users, conf=CONF).start()
    boxes = (Box(old, new, user) for user in sorted(users))
    lines = {"loopback": Proxy(0, (old, new)), f"{TRIP_MS} ms": Proxy(TRIP_MS, (old, new))}
    changed = min(100, FOLDERS)
    try:
        runner = Runner(old, new)
        rows = [
            scenario("nothing new, 1 folder", boxes, runner, lines, lambda b: b.folders(0, 1, 10), lambda b: None),
            scenario(f"nothing new, {FOLDERS:,} folders", boxes, runner, lines, lambda b: b.folders(0, FOLDERS, 1), lambda b: None),
            scenario(f"a new message in each of {changed} folders", boxes, runner, lines, lambda b: b.folders(0, changed, 10),
                     lambda b: (b.folders(0, changed, 1), b.settle())),
            scenario(f"{FOLDERS:,} new folders of 1 message", boxes, runner, lines, lambda b: b.folders(0, FOLDERS, 1)),
            scenario(f"{LARGE:,} messages in one folder: first copy", boxes, runner, {"loopback": lines["loopback"]},
                     lambda b: b.put("", LARGE)),
            scenario(f"{LARGE:,} messages: 1 % flags, 0.1 % moved, 0.05 % deleted, 0.1 % new", boxes, runner, lines,
                     lambda b: b.put("", LARGE), Box.change_large),
        ]
        return report(rows, holds(old, new, boxes, lines))
    finally:
        for proxy in lines.values():
            proxy.close()
        old.close()
        new.close()
        shutil.rmtree(WORK, ignore_errors=True)


def report(rows, held):
    out = ["Between two Dovecots with Maildir (`mail_fsync = optimized`), one run each; every program has mailboxes of its",
           f"own with the same changes. \"trips\" is what a line of {TRIP_MS} ms adds, in round trips.", "",
           "| what | " + " | ".join(f"{n}: s, s at {TRIP_MS} ms, trips" for n in TOOLS) + " |", "|---|" + "---|" * len(TOOLS)]
    for title, row in rows:
        cells = [f"{shown(row[n, 'loopback'])}, {shown(row[n, f'{TRIP_MS} ms']) if (n, f'{TRIP_MS} ms') in row else '-'}, {trips(row, n)}"
                 for n in TOOLS]
        out.append(f"| {title} | " + " | ".join(cells) + " |")
    out += ["", "The hold of a cut-over (nothing arrives meanwhile):", "", "| folders of 10 messages | loopback, ms | "
            f"{TRIP_MS} ms, ms |", "|---|---|---|"]
    for n in sorted({n for n, _, _ in held}):
        ms = {line: value for k, line, value in held if k == n}
        out.append(f"| {n:,} | {ms['loopback']} | {ms[f'{TRIP_MS} ms']} |")
    return "\n".join(out)
