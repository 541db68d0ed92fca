#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""make demo: one domain, two real mail servers, users whose routes change while mail flows.

    demo.py [--seconds N] [--keep]

Two Dovecots are the old and the new server, a real Postfix routes by the socket map with our milter,
our relay takes mail beside it.  Three users get a steady stream through both.  In the end every
mailbox on both servers is read over IMAP and compared with the ledger of what was accepted:
exit 0 when nothing was lost, duplicated or misrouted, 1 otherwise, 69 or 77 when the demo cannot run.

Everything listens on free loopback ports, lives in build/demo-* and is gone afterwards.
--seconds: how long the stream lasts at least.  --keep: leave configuration and logs behind.
"""
import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent / "integration")]

import peers  # noqa: E402
from demo_ledger import Found, Ledger, Routes, body_digest, judge  # noqa: E402
from demo_screen import Screen  # noqa: E402
from demo_stream import PAUSE_S, Sender, Watcher, probe, submit  # noqa: E402
from lib import smtp  # noqa: E402
from lib.coexist import Coexist  # noqa: E402
from lib.dovecot import Dovecot  # noqa: E402
from lib.postfix import Postfix  # noqa: E402
from lib.wait import Timeout, free_port, wait_for  # noqa: E402

EX_UNAVAILABLE, EX_NOPERM = 69, 77
DOMAIN = "example.org"
NAMES = ("ann", "bob", "cat")
USERS = {f"{name}@{DOMAIN}": f"{name}-secret" for name in NAMES}
PATHS = ("Postfix", "relay")


class DemoError(Exception):
    """The demo cannot go on; one line that says why."""


class Stopped(Exception):
    """A signal ended the demo."""


class Demo:
    def __init__(self, folder, seconds, screen):
        self.folder = folder
        self.seconds = seconds
        self.screen = screen
        self.actors = []
        self.senders = []
        self.ports = {}
        self.ledger = Ledger()
        self.routes = Routes()
        self.watcher = None

    # --- Set-up ------------------------------------------------------------------

    def enter(self, actor):
        self.actors.append(actor)
        return actor

    def start_servers(self):
        versions = {name: guest_version(name) for name in ("dovecot", "postfix")}
        self.old = self.enter(Dovecot(self.folder / "old", users=USERS, hostname="old.test")).start()
        self.new = self.enter(Dovecot(self.folder / "new", users=USERS, hostname="new.test")).start()
        self.screen.event("servers", f"{self.screen.server('old')} and {self.screen.server('new')}: two Dovecot "
                          f"{versions['dovecot']}, LMTP in, IMAP out; each knows all three users")
        servers = {name: {"smtp": f"lmtp://127.0.0.1:{s.lmtp_port}", "imap": f"imap://127.0.0.1:{s.imap_port}"}
                   for name, s in (("old", self.old), ("new", self.new))}
        self.site = self.enter(Coexist(self.folder / "coexist", servers, domains={DOMAIN: {}}, plain=True))
        self.site.maptool("init")
        self.site.start("mapd")
        table = self.folder / "users.csv"
        table.write_text("address,route\n" + "".join(f"{u},{'new' if u.startswith('cat') else 'old'}\n" for u in USERS))
        before = time.time()
        self.maptool("import", str(table), shown="import users.csv", topic="map")
        for user in USERS:
            self.routes.change(user, "new" if user.startswith("cat") else "old", before, time.time())
        self.screen.event("map", ", ".join(f"{n} on {self.screen.server('new' if n == 'cat' else 'old')}" for n in NAMES))
        self.site.start("lookup", "relay", "milter")
        self.screen.event("coexist", "mapd, lookup, relay and milter are ready")
        maps = f"socketmap:inet:127.0.0.1:{self.site.lookup_port}"
        self.map_port = free_port()
        self.mx = self.enter(Postfix(self.folder / "mx", hostname="mx.test", main={
            "relay_domains": DOMAIN, "transport_maps": f"{maps}:transport", "relay_recipient_maps": f"{maps}:recipients",
            "smtpd_milters": f"inet:127.0.0.1:{self.site.milter_port}",
            # The milter judges.  Postfix would remember a hold per sender and recipient as long as an smtpd lives.
            "smtpd_reject_unlisted_recipient": "no"},
            # A second door without the milter, to show that the socket map alone refuses strangers as well.
            master=f"127.0.0.1:{self.map_port} inet n - n - - smtpd -o smtpd_milters= "
                   "-o smtpd_reject_unlisted_recipient=yes\n")).start()
        self.screen.event("Postfix", f"{versions['postfix']} routes by the socket map and asks the milter about every recipient")
        self.ports = {"Postfix": self.mx.smtp_port, "relay": self.site.relay_port}
        self.watcher = Watcher({"old": self.old.log, "new": self.new.log})
        self.watcher.start()

    # --- Actions -----------------------------------------------------------------

    def maptool(self, *words, shown=None, topic=None, check=True):
        if topic:
            self.screen.last_topic = None
            self.screen.event(topic, self.screen.paint("dim", "$ maptool " + (shown or " ".join(words))))
        done = self.site.maptool(*words, check=False)
        if check and done.returncode:
            raise DemoError(f"maptool {' '.join(words)}: status {done.returncode}: {done.stderr.strip()}")
        return done

    def flip(self, name, server, why):
        user = f"{name}@{DOMAIN}"
        before = time.time()
        self.maptool("set", user, f"route={server}", "--why", why, shown=f'set {user} route={server} --why "{why}"', topic="flip")
        after = time.time()
        self.routes.change(user, server, before, after)
        parts = []
        for path in ("relay", "Postfix"):
            first = self.watcher.first(server, before, lambda t, p=path: t.startswith(f"{name}-{p.lower()}-"), 10)
            if first is None:
                raise DemoError(f"no mail for {name} came to {server} through {path} within 10 s of the flip")
            parts.append(f"{max(0, first - before) * 1000:.0f} ms later through {'the relay' if path == 'relay' else path}")
        self.screen.event("flip", f"{name}'s mail now goes to {self.screen.server(server)}: the first message came "
                          + ", ".join(parts))

    def show_unknown(self):
        stranger = f"nobody@{DOMAIN}"
        self.screen.event("unknown", f"mail for {stranger}, who is not in the map")
        doors = (("relay", self.site.relay_port), ("Postfix, milter", self.mx.smtp_port), ("Postfix, socket map", self.map_port))
        for door, port in doors:
            reply = probe(port, stranger)
            good = reply.code == 550 and reply.text.startswith("5.1.1")
            self.screen.event("unknown", f"{door + ':':21}" + self.screen.paint("good" if good else "bad", first_line(reply)))
            if not good:
                raise DemoError(f"{door} should refuse {stranger} with 550 5.1.1, but said {first_line(reply)}")

    def show_hold(self):
        user = f"bob@{DOMAIN}"
        senders = {s.path: s for s in self.senders if s.user == user}
        server = self.name_of_route(user)
        for sender in senders.values():
            sender.reset()
        self.maptool("hold", user, topic="hold")
        self.screen.event("hold", "for two seconds nothing may be delivered to bob, and nothing may be refused")
        self.pause(2)
        moment = time.time()
        self.maptool("release", user, topic="hold")
        for path, sender in senders.items():
            if self.watcher.first(server, moment, lambda t, s=sender: t.startswith(s.prefix), 10) is None:
                raise DemoError(f"no mail for bob came through {path} within 10 s of the release")
        self.screen.event("hold", f"the relay let its sender wait {senders['relay'].longest_s:.1f} s and then took the message; "
                          f"Postfix said 450 {times(senders['Postfix'].postponed)}, and its sender came back")

    def show_kill(self):
        self.site.kill("mapd")
        before, moment = self.watcher.count, time.time()
        self.screen.event("kill -9", "coexist-mapd is dead; look-ups need only its snapshot")
        self.pause(1.5)
        count = self.watcher.count - before
        if not count:
            raise DemoError("no mail was delivered while coexist-mapd was down")
        self.screen.event("kill -9", f"{count} messages delivered in {time.time() - moment:.1f} s without it")
        started = time.monotonic()
        self.site.start("mapd")
        self.screen.event("kill -9", f"coexist-mapd is back after {(time.monotonic() - started) * 1000:.0f} ms, nothing else was restarted")

    def show_loop(self):
        """The new server is misconfigured and sends ann's mail back to the gateway."""
        user, token = f"ann@{DOMAIN}", "ann-loop-0001"
        name = self.name_of_route(user)
        server = {"old": self.old, "new": self.new}[name]
        text = smtp.message(token, to=user)
        entry = self.ledger.open(token, user, "loop", text)
        self.screen.event("loop", f"{self.screen.server(name)} sends one of ann's messages back to the relay, "
                          "again and again")
        for number in range(1, 6):
            reply = submit(self.ledger, entry, self.site.relay_port, "writer@example.net", text)
            if reply.code != 250:
                break
            self.screen.event("loop", f"pass {number}: {first_line(reply)}")
            text = wait_for(lambda n=number: newest_copy(server, user, token, n), 10, "the copy in ann's mailbox")
        good = reply.code == 554 and reply.text.startswith("5.4.6")
        self.screen.event("loop", f"pass {number}: " + self.screen.paint("good" if good else "bad", first_line(reply)))
        if not good:
            raise DemoError(f"a loop should end with 554 5.4.6, but the relay said {first_line(reply)}")

    def name_of_route(self, user):
        return self.routes.changes[user][-1][2]

    # --- The course of events -------------------------------------------------------

    def pause(self, seconds):
        """Let the stream run, and show how it goes."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.screen.status(self.screen.paint(
                "dim", f"accepted {self.ledger.accepted()}, delivered {self.watcher.count}"))
            for sender in self.senders:
                if sender.problem:
                    raise DemoError(sender.problem)
            time.sleep(0.1)

    def run(self):
        started = time.monotonic()
        self.start_servers()
        self.senders = [Sender(self.ledger, user, path, self.ports[path]) for user in USERS for path in PATHS]
        for sender in self.senders:
            sender.start()
        self.screen.event("stream", f"a message for each user every {PAUSE_S:.2f} s through Postfix, and as many through the relay")
        self.pause(2)
        self.flip("ann", "new", "pilot user")
        self.pause(2)
        self.show_unknown()
        self.pause(1)
        self.show_hold()
        self.pause(1)
        self.show_kill()
        self.pause(1)
        self.flip("cat", "old", "cat was not happy")
        self.pause(1)
        self.show_loop()
        self.pause(1)
        self.flip("bob", "new", "second wave")
        self.pause(max(2, self.seconds - (time.monotonic() - started)))
        self.stop_stream()
        return self.compare()

    def stop_stream(self):
        for sender in self.senders:
            sender.ending.set()
        for sender in self.senders:
            sender.join(40)
            if sender.is_alive():
                raise DemoError(f"{sender.user} through {sender.path}: no answer within 40 s")
        self.mx.wait_empty()
        try:
            wait_for(lambda: self.watcher.count >= self.ledger.accepted(), 5, "all deliveries")
        except Timeout:
            pass  # the comparison will say what is missing
        self.watcher.stop()
        self.screen.event("stream", f"ended: {self.ledger.accepted()} messages accepted, Postfix's queue is empty")

    def compare(self):
        found = []
        for name, server in (("old", self.old), ("new", self.new)):
            for user in USERS:
                for copy in server.messages(user):
                    found.append(Found(name, user, token_of(copy.data), body_digest(copy.data)))
        self.screen.event("compare", f"{len(found)} messages read over IMAP from both servers")
        counts, problems = judge(self.ledger, found, self.watcher.arrivals, self.routes, time.time())
        self.show_course()
        self.show_table(counts)
        for problem in problems[:20]:
            self.screen.print("  " + self.screen.paint("bad", problem))
        total = {key: sum(getattr(row, key) for row in counts.values()) for key in ("lost", "duplicated", "misrouted", "altered")}
        good = not any(total.values()) and self.ledger.accepted() > 0
        text = f"lost {total['lost']}, duplicated {total['duplicated']}, misrouted {total['misrouted']}"
        if total["altered"]:
            text += f", altered {total['altered']}"
        self.screen.print()
        self.screen.print("  " + self.screen.paint("good" if good else "bad", text))
        self.screen.print()
        return 0 if good else 1

    def show_course(self):
        """Where each user's mail arrived, in the order in which it was accepted."""
        self.screen.print()
        width = max(20, min(100, shutil.get_terminal_size().columns - 22 if self.screen.is_tty else 58))
        self.screen.print("  " + self.screen.paint("dim", "where the mail arrived over time: o = old, N = new"))
        for name in NAMES:
            for path in PATHS:
                entries = [e for e in self.ledger.sent.values() if e.user.startswith(name + "@") and e.path == path and e.accepted]
                marks = [self.mark(entry) for entry in entries]
                step = max(1, -(-len(marks) // width))
                shown = "".join(self.screen.paint("old" if m == "o" else "new" if m == "N" else "bad", m)
                                for m in marks[::step])
                self.screen.print(f"  {name if path == PATHS[0] else '':5} {path:8} {shown}")
        self.screen.print()

    def mark(self, entry):
        on = [s for s in ("old", "new") if (s, entry.token) in self.watcher.arrivals]
        return {("old",): "o", ("new",): "N"}.get(tuple(on), "?")

    def show_table(self, counts):
        rows = []
        for (user, path), row in sorted(counts.items()):
            rows.append([user.partition("@")[0], path, row.accepted, row.on.get("old", 0), row.on.get("new", 0), row.lost,
                         row.duplicated, row.misrouted])
        for above, row in reversed(list(zip(rows, rows[1:]))):
            row[0] = "" if row[0] == above[0] else row[0]
        totals = [sum(r[n] for r in rows) for n in range(2, 8)]
        rows.append(["all", "", *totals])

        def paint(row, column, text):
            if column in (3, 4):
                return self.screen.paint(("old", "new")[column - 3], text)
            if column >= 5:
                return self.screen.paint("good" if text.strip() == "0" else "bad", text)
            return self.screen.paint("bold", text) if column == 0 else text

        self.screen.table(["user", "through", "accepted", "on old", "on new", "lost", "duplicated", "misrouted"], rows, paint)

    def close(self):
        for sender in self.senders:
            sender.ending.set()
        if self.watcher is not None:
            self.watcher.stop()
        for actor in reversed(self.actors):
            try:
                actor.close()
            except AssertionError as problem:
                self.screen.print(str(problem))


def times(count):
    return "once" if count == 1 else f"{count} times"


def first_line(reply):
    return f"{reply.code} {reply.text.splitlines()[0]}" if reply.code else "connection closed"


def token_of(message):
    """The token that smtp.message put into the Message-ID."""
    head = message.replace(b"\r\n", b"\n").partition(b"\n\n")[0]
    for line in head.split(b"\n"):
        if line.lower().startswith(b"message-id:"):
            return line.partition(b"<")[2].partition(b"@")[0].decode(errors="replace")
    return "no-message-id"


def newest_copy(server, user, token, count):
    """The last of at least count copies, as it came, without the fields that the server put on top."""
    copies = [m.data for m in server.messages(user) if token_of(m.data) == token]
    return copies[-1] if len(copies) >= count else None


def guest_version(name):
    packages = json.loads((peers.PEERS / name / "coexist-tree.json").read_text())["packages"]
    first = peers.GUESTS[name]["packages"][0]
    version = next(p.partition("=")[2] for p in packages if p.startswith(first + "="))
    return version.rpartition(":")[2].partition("+")[0].partition("-")[0]


def stopped(number, _):
    for other in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(other, signal.SIG_IGN)
    raise Stopped(number)


def as_root():
    """Guests need root for their mounts: go on under sudo if need be."""
    if os.geteuid() == 0:
        return
    if not shutil.which("sudo"):
        raise SystemExit("demo: guest servers need root for their private mounts: run make demo as root, or install sudo")
    keep = [f"{k}={os.environ[k]}" for k in ("HOME", "XDG_CACHE_HOME", "TERM", "NO_COLOR", "PATH") if k in os.environ]
    os.execvp("sudo", ["sudo", "env", *keep, f"COEXIST_OWNER={os.getuid()}:{os.getgid()}", sys.executable, *sys.argv])


def give_back():
    """What root made in build/ belongs to the caller of sudo."""
    owner = os.environ.get("COEXIST_OWNER")
    if owner and os.geteuid() == 0:
        uid, _, gid = owner.partition(":")
        for base, _, files in os.walk(ROOT / "build" / "certs"):
            for path in (base, *(os.path.join(base, f) for f in files)):
                os.chown(path, int(uid), int(gid))


def main():
    parser = argparse.ArgumentParser(description="Two mail servers, one domain, users who move while mail flows.")
    parser.add_argument("--seconds", type=float, default=25, help="how long the stream lasts at least (25)")
    parser.add_argument("--keep", action="store_true", help="leave configuration and logs in build/demo-*")
    args = parser.parse_args()
    screen = Screen()
    screen.title("coexist: one mail domain on two servers, and nobody's mail gets lost while users move",
                 "real servers on free loopback ports, nothing is installed as a service, all of it ends with the demo")
    try:
        peers.get(["dovecot", "postfix"])
    except peers.PeersError as problem:
        print(f"demo: {problem}", file=sys.stderr)
        return EX_UNAVAILABLE
    as_root()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stopped)
    folder = Path(tempfile.mkdtemp(prefix="demo-", dir=ROOT / "build"))
    folder.chmod(0o755)
    demo = Demo(folder, args.seconds, screen)
    status = 1
    try:
        status = demo.run()
    except (DemoError, AssertionError) as problem:
        screen.print()
        screen.print("  " + screen.paint("bad", f"demo: {problem}"))
    except Stopped as stop:
        screen.print()
        screen.print("  stopped")
        status = 128 + stop.args[0]
    finally:
        demo.close()
        give_back()
        if args.keep or status == 1:
            screen.print(f"  configuration and logs are in {folder.relative_to(ROOT)}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
