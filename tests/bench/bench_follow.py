# SPDX-License-Identifier: ISC
"""Following a mailbox: what the passes behind the first copy cost, beside InterIMAP and mbsync.

Folders by round trips: nothing new, one new message in each of many folders, many new folders; a
large folder with a little of everything changed; and the hold of a cut-over.  Each program has a
mailbox of its own on both servers, with the same content and the same changes.  A line of 20 ms is
tests/tools/delay_proxy; "trips" is the wall time on it less that on loopback, in round trips.

Beside the large folder: "bare", the same changes by nothing but pipelined commands, and the
processor time of each client; beside the hold: the bare LIST-STATUS of both servers.

BENCH_LARGE=N sets the size of the large folder (100,000), BENCH_FOLDERS=N the most folders (1,000);
with more than 100 folders, and with mbsync in the large one, only ours runs, as the peers take
minutes.  A run of a peer that takes longer than PATIENCE seconds is given up and shown as such.
"""
import json
import os
import resource
import shutil
import subprocess
import time

from bench_copy import CONF, Imap, InterImap, Isync, Proxy
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
SOME = 100  # folders that the peers are asked to follow
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

    def bare_large(self, ports):
        """As many changes of the same kinds as change_large() has made, on the new server by commands alone."""
        started = time.monotonic()
        old, new = (Imap(port, self.user, SECRET) for port in ports)
        listing = b'LIST "" "*" RETURN (SUBSCRIBED STATUS (MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ))'
        for client in (old, new):
            client.send(listing)
            client.send(b"EXAMINE INBOX" if client is old else b"SELECT INBOX")
        old.send(b"UID FETCH %d:* (UID BODY.PEEK[])" % (LARGE + 1))
        new.append(b"INBOX", [(b"\\Seen", TEXT.format(i).replace("\n", "\r\n").encode()) for i in range(LARGE // 1000)])
        new.send(b"UID STORE 1:%d -FLAGS.SILENT (\\Flagged)" % (LARGE // 100))
        new.send(b"UID MOVE %d:%d Moved" % (LARGE // 4 + 1, LARGE // 4 + LARGE // 1000))
        gone = b"%d:%d" % (LARGE // 4 * 3 + 1, LARGE // 4 * 3 + LARGE // 2000)
        new.send(b"UID STORE %s +FLAGS.SILENT (\\Deleted)" % gone)
        new.send(b"UID EXPUNGE %s" % gone)
        for client in (old, new):
            client.close()
        return time.monotonic() - started


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


def scenario(title, boxes, runner, lines, prepare, change=None, tools=TOOLS, bare=None, first=None):
    """Prepares every program's mailboxes, copies them, makes the change, and times the pass behind it on each line.
    first: a row that the copies themselves go to."""
    row = {}
    for name in tools:
        for line, proxy in lines.items():
            box = next(boxes)
            prepare(box)
            box.settle()
            if change:
                before = runner.run(name, box.user, proxy.ports)
                if first is not None:
                    first[name, line], first[name, line, "cpu"] = before, runner.cpu
                if before is None:
                    row[name, line] = None
                    continue
                runner.run(name, box.user, proxy.ports)
                change(box)
            row[name, line] = runner.run(name, box.user, proxy.ports)
            row[name, line, "cpu"] = runner.cpu
            if row[name, line] is not None:
                there, here = box.count(), count(box)
                assert there == here, f"{title}: {name} leaves {there} of {here} messages on the new server"
            print(f"   {title}, {line}: {name} {shown(row[name, line])}, cpu {row[name, line, 'cpu']:.2f}", flush=True)
            if bare and name == TOOLS[0]:
                row["bare", line] = bare(box, proxy.ports)
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


def run():
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    users = {f"u{i:03}@example.org": SECRET for i in range(64)}
    old = Dovecot(WORK / "old", users=users, conf=CONF).start()
    new = Dovecot(WORK / "new", users=users, conf=CONF).start()
    boxes = (Box(old, new, user) for user in sorted(users))
    lines = {"loopback": Proxy(0, (old, new)), f"{TRIP_MS} ms": Proxy(TRIP_MS, (old, new))}
    some = min(SOME, FOLDERS)
    ours = TOOLS[:1]
    first = {}
    try:
        runner = Runner(old, new)

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
        large = scenario(f"{LARGE:,} messages: 1 % flags, 0.1 % moved, 0.05 % deleted, 0.1 % new", boxes, runner, lines,
                         lambda b: b.put("", LARGE), Box.change_large, TOOLS[:2], Box.bare_large, first)
        rows += [(f"{LARGE:,} messages into one folder: first copy", first), large]
        return report(rows, held)
    finally:
        for proxy in lines.values():
            proxy.close()
        old.close()
        new.close()
        shutil.rmtree(WORK, ignore_errors=True)


def cell(row, name):
    if (name, "loopback") not in row:
        return "-"
    far = row.get((name, f"{TRIP_MS} ms"))
    used = row.get((name, "loopback", "cpu"))
    return ", ".join([shown(row[name, "loopback"]), "-" if far is None else shown(far), trips(row, name),
                      "-" if used is None else f"{used:.2f} s"])


def report(rows, held):
    names = (*TOOLS, "bare")
    out = ["Between two Dovecots with Maildir (`mail_fsync = optimized`), one run each; every program has mailboxes of its",
           f"own with the same changes. \"trips\" is what a line of {TRIP_MS} ms adds, in round trips; \"cpu\" is the client's",
           "processor time on loopback. \"bare\" is the same changes by pipelined commands alone.", "",
           "| what | " + " | ".join(f"{n}: loopback, {TRIP_MS} ms, trips, cpu" for n in names) + " |", "|---|" + "---|" * len(names)]
    out += [f"| {title} | " + " | ".join(cell(row, n) for n in names) + " |" for title, row in rows]
    out += ["", "The hold of a cut-over (nothing arrives meanwhile), beside the bare LIST-STATUS of both servers on loopback:", "",
            f"| folders of 10 messages | loopback, ms | {TRIP_MS} ms, ms | LIST-STATUS, ms | at most, by the goal: 10 trips and 2.5 of them |",
            "|---|---|---|---|---|"]
    for n in sorted({h[0] for h in held}):
        ms = {line: value for k, line, value, _ in held if k == n}
        bare = min(h[3] for h in held if h[0] == n)
        out.append(f"| {n:,} | {ms['loopback']} | {ms[f'{TRIP_MS} ms']} | {bare} | {10 * TRIP_MS + 2.5 * bare:.0f} |")
    return "\n".join(out)
