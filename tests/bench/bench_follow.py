# SPDX-License-Identifier: ISC
"""Following a mailbox: what the passes behind the first copy cost, beside InterIMAP and mbsync.

Folders by round trips: nothing new, one new message in each of many folders, many new folders; a
large folder with a little of everything changed; and the hold of a cut-over.  Each program has a
mailbox of its own on both servers, with the same content and the same changes.  A line of 20 ms is
tests/tools/delay_proxy; "trips" is the wall time on it less that on loopback, in round trips.

Beside the large folder: "bare", the same changes by nothing but pipelined commands, and the
processor time of each client; beside the hold: the bare LIST-STATUS of both servers.  A tenth of
the large folder is followed on both lines, all of it on loopback alone, as each first copy takes
a minute; the changes are made and followed ROUNDS times, with the medians shown.

BENCH_LARGE=N sets the size of the large folder (100,000), BENCH_FOLDERS=N the most folders (1,000);
with more than 100 folders, and with mbsync in the large one, the slow peers are left out.  A run of
a peer that takes longer than BENCH_PATIENCE seconds (120) is given up and shown as such.
"""
import contextlib
import json
import os
import resource
import shutil
import statistics
import subprocess
import time

from bench_copy import CONF, Imap, InterImap, Isync, Proxy
from lib.coexist import Coexist
from lib.cutover import argv as cutover_argv, imap_servers
from lib.dovecot import Dovecot
from lib.guest import ROOT
from lib.mailbox import argv
from lib.measure import maildir_name

TITLE = "Following a mailbox: round trips and seconds"
LARGE = int(os.environ.get("BENCH_LARGE", "100000"))
FOLDERS = int(os.environ.get("BENCH_FOLDERS", "1000"))
TRIP_MS = 20
PATIENCE = int(os.environ.get("BENCH_PATIENCE", "120"))
TOOLS = ("coexist-sync", "InterIMAP", "mbsync")
SOME = 100  # folders that the peers are asked to follow
FLAGS, MOVES, DELETIONS, NEW = 1000, 100, 50, 100  # changes of a large folder
ROUNDS = 3
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
            text = TEXT.format(self.made)
            self.old.write(f"{base}/cur/{maildir_name(self.made, text, 'S')}", text, user="vmail")

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

    def remove(self):
        for server in (self.old, self.new):
            shutil.rmtree(server.dir / "var/mail" / self.user, ignore_errors=True)

    def count(self):
        client = self.new.imap(self.user)
        total = sum(int(client.select(line.decode().rsplit(" ", 1)[1], readonly=True)[1][0]) for line in client.list()[1])
        client.logout()
        return total

    def change(self, size, turn):
        """On the old server; each turn other messages of the folder, which had so many at first."""
        client = self.old.imap(self.user)
        client.create("Moved")
        client.subscribe("Moved")
        client.select("INBOX")
        client.uid("STORE", uids(turn * FLAGS, FLAGS), "+FLAGS.SILENT", "(\\Flagged)")
        client.uid("MOVE", uids(size // 2 + turn * MOVES, MOVES), "Moved")
        gone = uids(size - (turn + 1) * DELETIONS, DELETIONS)
        client.uid("STORE", gone, "+FLAGS.SILENT", "(\\Deleted)")
        client.uid("EXPUNGE", gone)
        client.logout()
        self.put("", NEW)
        self.settle()

    def bare(self, size, turn, ports):
        """As many changes on the new server by commands alone, behind the same ones on the old one."""
        self.change(size, turn + ROUNDS)
        started = time.monotonic()
        old, new = (Imap(port, self.user, SECRET) for port in ports)
        listing = b'LIST "" "*" RETURN (SUBSCRIBED STATUS (MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ))'
        for client in (old, new):
            client.send(listing)
            client.send(b"EXAMINE INBOX" if client is old else b"SELECT INBOX")
        old.send(b"UID FETCH %d:* (UID BODY.PEEK[])" % (size + (turn + ROUNDS) * NEW + 1))
        new.append(b"INBOX", [(b"\\Seen", TEXT.format(i).replace("\n", "\r\n").encode()) for i in range(NEW)])
        new.send(b"UID STORE %s -FLAGS.SILENT (\\Flagged)" % uids(turn * FLAGS, FLAGS).encode())
        new.send(b"UID MOVE %s Moved" % uids(size // 4 + turn * MOVES, MOVES).encode())
        gone = uids(size // 4 * 3 + turn * DELETIONS, DELETIONS).encode()
        new.send(b"UID STORE %s +FLAGS.SILENT (\\Deleted)" % gone)
        new.send(b"UID EXPUNGE %s" % gone)
        for client in (old, new):
            client.close()
        return time.monotonic() - started


def uids(behind, count):
    return f"{behind + 1}:{behind + count}"


def cpu():
    """Of all processes that this one has waited for, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Runner:
    """The three programs; each call is (seconds, or None when it was given up); `cpu` is the last one's."""

    def __init__(self, old, new):
        self.old, self.new = old, new
        self.guests = {"InterIMAP": InterImap("interimap", WORK), "mbsync": Isync("isync", WORK)}
        self.idle, self.idle_cpu, self.cpu = {}, {}, 0
        for name, guest in self.guests.items():
            before = cpu()
            self.idle[name] = min(guest.timed("/usr/bin/true")[0] for _ in range(3))
            self.idle_cpu[name] = (cpu() - before) / 3

    def run(self, name, user, ports):
        before = cpu()
        seconds = self._run(name, user, ports)
        self.cpu = max(0.001, cpu() - before - self.idle_cpu.get(name, 0))
        return seconds

    def _run(self, name, user, ports):
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


def scenario(title, boxes, runner, lines, prepare, change=None, tools=TOOLS):
    """Prepares every program's mailboxes, copies them, makes the change, and times the pass behind it on each line."""
    row = {}
    for name in tools:
        for line, proxy in lines.items():
            box = next(boxes)
            prepare(box)
            box.settle()
            if change:
                if runner.run(name, box.user, proxy.ports) is None:
                    row[name, line] = None
                    continue
                runner.run(name, box.user, proxy.ports)
                change(box)
            take(row, name, line, [timed(runner, name, box, proxy)])
            if row[name, line] is not None:
                check(title, name, box)
            print(f"   {title}, {line}: {name} {shown(row[name, line])}, cpu {row[name, line, 'cpu']:.2f}", flush=True)
            box.remove()
    return title, row


def timed(runner, name, box, proxy):
    return runner.run(name, box.user, proxy.ports), runner.cpu


def take(row, name, line, runs):
    """The median of its (seconds, cpu), or that it was given up."""
    row[name, line] = None if any(s is None for s, _ in runs) else statistics.median(s for s, _ in runs)
    row[name, line, "cpu"] = statistics.median(c for _, c in runs)


def check(title, name, box):
    there, here = box.count(), count(box)
    assert there == here, f"{title}: {name} leaves {there} of {here} messages on the new server"


def large(size, boxes, runner, lines):
    """Rows of a large folder: the first copy, the pass behind it, and the changes, ROUNDS times."""
    names = (f"{size:,} messages into one folder: first copy", f"{size:,} messages: one is new, behind the first copy",
             f"{size:,} messages: {FLAGS:,} flags, {MOVES} moved, {DELETIONS} deleted, {NEW} new")
    rows = [(name, {}) for name in names]
    for name in TOOLS[:2]:
        for line, proxy in lines.items():
            box = next(boxes)
            box.put("", size)
            box.settle()
            for title, row in rows:
                runs = []
                for turn in range(ROUNDS if title == names[-1] else 1):
                    if title == names[1]:
                        box.put("", 1)
                        box.settle()
                    elif title == names[2]:
                        box.change(size, turn)
                    runs.append(timed(runner, name, box, proxy))
                take(row, name, line, runs)
                print(f"   {title}, {line}: {name} {shown(row[name, line])}, cpu {row[name, line, 'cpu']:.2f}", flush=True)
                if row[name, line] is None:
                    break
            else:
                check(names[-1], name, box)
            if name == TOOLS[0]:
                take(rows[-1][1], "bare", line, [(box.bare(size, turn, proxy.ports), 0) for turn in range(ROUNDS)])
                print(f"   {names[-1]}, {line}: bare {shown(rows[-1][1]['bare', line])}", flush=True)
            box.remove()
    return rows


def count(box):
    client = box.old.imap(box.user)
    total = sum(int(client.select(line.decode().rsplit(" ", 1)[1], readonly=True)[1][0]) for line in client.list()[1])
    client.logout()
    return total


def shown(seconds):
    return f"> {PATIENCE} s" if seconds is None else f"{seconds:.2f} s"


def trips(title, row, name):
    """Of a first copy the disk decides: tests/integration/test_copy_trips.py counts its turns."""
    if title.endswith("first copy"):
        return "-"
    far, near = row.get((name, f"{TRIP_MS} ms")), row.get((name, "loopback"))
    return "-" if far is None or near is None else f"{max(0.0, (far - near) * 1000 / TRIP_MS):.0f}"


def holds(old, new, boxes, lines):
    """[(folders, line, hold in ms, bare LIST-STATUS of both servers in ms)] of one cut-over each."""
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
                out.append((n, line, flipped[0]["hold_ms"], bare_listing(box)))
                print(f"   hold, {n} folders, {line}: {out[-1][2]} ms", flush=True)
        finally:
            site.close()
    return out


def bare_listing(box):
    """Of both servers, one after the other, without a line in between."""
    spent = 0.0
    for server in (box.old, box.new):
        client = Imap(server.imap_port, box.user, SECRET)
        started = time.monotonic()
        client.send(b'LIST "" "*" RETURN (SUBSCRIBED STATUS (MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ))')
        client.wait()
        spent += time.monotonic() - started
        client.close()
    return round(spent * 1000)


@contextlib.contextmanager
def site():
    """The servers with nothing in them: boxes, the programs, the lines, and both servers."""
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    users = {f"u{i:03}@example.org": SECRET for i in range(64)}
    old = Dovecot(WORK / "old", users=users, conf=CONF).start()
    new = Dovecot(WORK / "new", users=users, conf=CONF).start()
    lines = {"loopback": Proxy(0, (old, new)), f"{TRIP_MS} ms": Proxy(TRIP_MS, (old, new))}
    try:
        yield (Box(old, new, user) for user in sorted(users)), Runner(old, new), lines, old, new
    finally:
        for proxy in lines.values():
            proxy.close()
        old.close()
        new.close()
        shutil.rmtree(WORK, ignore_errors=True)


def largest(boxes, runner, lines):
    return large(LARGE, boxes, runner, {"loopback": lines["loopback"]})


def run():
    some = min(SOME, FOLDERS)
    ours = TOOLS[:1]
    with site() as (boxes, runner, lines, old, new):
        def quiet(n, tools):
            return scenario(f"nothing new, {n:,} folders", boxes, runner, lines, lambda b: b.folders(0, n, 10 if n == 1 else 1),
                            lambda b: None, tools)

        def made(n, tools):
            return scenario(f"{n:,} new folders of 1 message", boxes, runner, lines, lambda b: b.folders(0, n, 1), tools=tools)

        rows = [quiet(1, TOOLS), quiet(some, TOOLS)]
        if FOLDERS > some:
            rows.append(quiet(FOLDERS, ours))
        rows.append(scenario(f"a new message in each of {some} folders", boxes, runner, lines,
                             lambda b: b.folders(0, some, 10), lambda b: (b.folders(0, some, 1), b.settle())))
        rows.append(made(some, TOOLS))
        if FOLDERS > some:
            rows.append(made(FOLDERS, ours))
        held = holds(old, new, boxes, lines)
        rows += large(LARGE // 10, boxes, runner, lines)
        rows += largest(boxes, runner, lines)
        return report(rows, held)


def cell(title, row, name):
    if (name, "loopback") not in row:
        return "-"
    far = row.get((name, f"{TRIP_MS} ms"))
    used = row.get((name, "loopback", "cpu"))
    return ", ".join([shown(row[name, "loopback"]), "-" if far is None else shown(far), trips(title, row, name),
                      "-" if used is None else f"{used:.2f} s"])


def ratio(row, ours, theirs):
    return "-" if not row.get(ours) or not row.get(theirs) else f"{row[ours] / row[theirs]:.2f}"


def beside(rows):
    """What is to be reached with the largest folder, which has the last three rows."""
    first, _, changed = (row for _, row in rows[-3:])
    ours, peer, bare = ((name, "loopback") for name in ("coexist-sync", "InterIMAP", "bare"))
    return (f"With {LARGE:,} messages the first copy takes {ratio(first, ours, peer)} of InterIMAP's time (at most 0.8); the changes take\n"
            f"{ratio(changed, (*ours, 'cpu'), (*peer, 'cpu'))} of its processor time (at most 0.2), and {ratio(changed, ours, bare)} of the time of the bare\n"
            "commands (at most 1.1).")


def table(rows):
    names = (*TOOLS, "bare")
    out = ["Between two Dovecots with Maildir (`mail_fsync = optimized`), one run each, medians of three for the changes of a",
           "large folder; every program has mailboxes of its own with the same changes.",
           f"\"trips\" is what a line of {TRIP_MS} ms adds, in round trips; \"cpu\" is the client's",
           "processor time on loopback. \"bare\" is the same changes by pipelined commands alone.", "",
           "| what | " + " | ".join(f"{n}: loopback, {TRIP_MS} ms, trips, cpu" for n in names) + " |", "|---|" + "---|" * len(names)]
    out += [f"| {title} | " + " | ".join(cell(title, row, n) for n in names) + " |" for title, row in rows]
    return out + ["", beside(rows)]


def report(rows, held):
    out = table(rows)
    out += ["", "The hold of a cut-over (nothing arrives meanwhile), beside the bare LIST-STATUS of both servers on loopback:", "",
            f"| folders of 10 messages | loopback, ms | {TRIP_MS} ms, ms | LIST-STATUS, ms | at most, by the goal: 10 trips and 2.5 of them |",
            "|---|---|---|---|---|"]
    for n in sorted({h[0] for h in held}):
        ms = {line: value for k, line, value, _ in held if k == n}
        bare = min(h[3] for h in held if h[0] == n)
        out.append(f"| {n:,} | {ms['loopback']} | {ms[f'{TRIP_MS} ms']} | {bare} | {10 * TRIP_MS + 2.5 * bare:.0f} |")
    return "\n".join(out)
