#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""make demo: one domain, two real mail servers, users who move while mail flows.

    demo.py [--seconds N] [--keep]

Two Dovecots are the old and the new server, a real Postfix routes by the socket map with our milter,
our relay takes mail beside it.  Four users get a steady stream through both.  The routes of three are
changed by hand; the fourth has a mailbox with years of mail in it, and coexist-sync cuts him over.  In the
end every mailbox on both servers is read over IMAP and compared with the ledger of what was accepted.

Exit status: 0 when nothing was lost, duplicated or misrouted, 1 otherwise or when an event did not
happen as it should, 69 without the guests, 77 without root, 128+N after signal N.

Everything listens on free loopback ports, lives in build/demo-* and is gone afterwards.
--seconds: how long it all lasts at least.  --keep: leave configuration and logs behind.
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

import demo_move  # noqa: E402
import demo_report  # noqa: E402
import peers  # noqa: E402
from demo_ledger import Found, Ledger, Routes, body_digest, judge  # noqa: E402
from demo_screen import Screen  # noqa: E402
from demo_stream import PAUSE_S, Sender, Watcher, probe, submit  # noqa: E402
from lib import smtp  # noqa: E402
from lib.coexist import Coexist  # noqa: E402
from lib.cutover import imap_servers  # noqa: E402
from lib.cutover import status as records  # noqa: E402
from lib.dovecot import Dovecot  # noqa: E402
from lib.postfix import Postfix  # noqa: E402
from lib.wait import Timeout, free_port, wait_for  # noqa: E402

EX_UNAVAILABLE, EX_NOPERM = 69, 77
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
DOMAIN = "example.org"
START = {"ann": "old", "bob": "old", "cat": "new", "dan": "old"}
MOVER = f"dan@{DOMAIN}"
USERS = {f"{name}@{DOMAIN}": f"{name}-secret" for name in START}
ADDRESSES = {"old": "127.0.1.1", "new": "127.0.1.2"}     # from which the servers send
PATHS = ("relay", "Postfix")
EVENT_S = 30             # no event of the demo may take longer, on a busy machine either


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
        self.watcher = None
        self.ledger = Ledger()
        self.routes = Routes()
        self.moved = {}          # user -> (server before, server after)
        self.before_move = {}    # what was in the mailbox of the user who moves

    # --- The course of events ------------------------------------------------------

    def run(self):
        """The whole demo; True when every message is where it belongs."""
        started = time.monotonic()
        self.start_servers()
        self.furnish()
        self.start_coexist()
        self.start_postfix()
        self.start_stream()
        self.pause(2)
        self.flip("ann", "new", "pilot user")
        self.pause(2)
        self.show_unknown()
        self.pause(1)
        self.show_hold("bob")
        self.pause(1)
        self.show_kill()
        self.pause(1)
        self.flip("cat", "old", "cat was not happy")
        self.pause(1)
        self.show_loop("ann")
        self.pause(1)
        self.cut_over(MOVER, "new")
        self.pause(2)
        self.flip("bob", "new", "second wave")
        self.pause(max(2, self.seconds - (time.monotonic() - started)))
        self.stop_stream()
        return self.compare()

    def say(self, topic, text):
        self.screen.event(topic, text)

    def enter(self, actor):
        """Start something that has to end with the demo."""
        self.actors.append(actor)
        return actor

    def pause(self, seconds):
        """Let the stream run, and show how it goes."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            counts = f"accepted {self.accepted()}, delivered {self.watcher.count}"
            self.screen.status(self.screen.paint("dim", counts))
            for sender in self.senders:
                if sender.problem:
                    raise DemoError(sender.problem)
            time.sleep(0.1)

    def accepted(self):
        """Messages of the stream; what the mailbox that moves had before was never sent."""
        return self.ledger.accepted() - demo_move.COUNT

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

    # --- Set-up ----------------------------------------------------------------------

    def start_servers(self):
        self.servers = {}
        for name in ("old", "new"):
            server = Dovecot(self.folder / name, users=USERS, hostname=f"{name}.test")
            self.servers[name] = self.enter(server).start()
        shown = " and ".join(self.screen.server(name) for name in self.servers)
        self.say("servers", f"{shown}: two Dovecot {guest_version('dovecot')}, LMTP in, IMAP out; "
                 "each knows all four users")
        self.watcher = Watcher({name: server.log for name, server in self.servers.items()})
        self.watcher.start()

    def furnish(self):
        self.before_move = demo_move.furnish(self.servers["old"], MOVER, self.ledger)
        self.say("mailbox", f"dan has {demo_move.COUNT} messages in {len(self.before_move)} folders on "
                 f"{self.screen.server('old')}: " + ", ".join(n for n in demo_move.FOLDERS if not n.isascii()))

    def start_coexist(self):
        servers = imap_servers(self.folder, **self.servers)
        for name, address in ADDRESSES.items():
            servers[name]["from"] = [f"{address}/32"]
        self.site = self.enter(Coexist(self.folder / "coexist", servers, domains={DOMAIN: {"model": "chaining"}}, plain=True,
                                       settings={"sync": {"sweep_interval": "1s"}}))
        self.site.maptool("init")
        self.site.start("mapd")
        table = self.folder / "users.csv"
        table.write_text("address,route\n" + "".join(f"{n}@{DOMAIN},{server}\n" for n, server in START.items()))
        before = time.time()
        self.maptool("map", "import", str(table), shown="import users.csv")
        for name, server in START.items():
            self.routes.change(f"{name}@{DOMAIN}", server, before, time.time())
        self.say("map", ", ".join(f"{name} on {self.screen.server(server)}" for name, server in START.items()))
        self.site.start("lookup", "relay", "milter")
        self.site.start("sync", args=("run",))
        self.say("coexist", "mapd, lookup, relay, milter and sync are ready")

    def start_postfix(self):
        maps = f"socketmap:inet:127.0.0.1:{self.site.lookup_port}"
        main = {
            "relay_domains": DOMAIN,
            "transport_maps": f"{maps}:transport",
            "relay_recipient_maps": f"{maps}:recipients",
            "smtpd_milters": f"inet:127.0.0.1:{self.site.milter_port}",
            # The milter judges.  Postfix would remember a hold per sender and recipient as long as an smtpd lives.
            "smtpd_reject_unlisted_recipient": "no",
        }
        # A second door without the milter, to show that the socket map alone refuses strangers as well.
        self.map_port = free_port()
        master = (f"127.0.0.1:{self.map_port} inet n - n - - smtpd -o smtpd_milters= "
                  "-o smtpd_reject_unlisted_recipient=yes\n")
        self.mx = self.enter(Postfix(self.folder / "mx", hostname="mx.test", main=main, master=master)).start()
        self.say("Postfix", f"{guest_version('postfix')} routes by the socket map, the milter judges every recipient")

    def start_stream(self):
        ports = {"relay": self.site.relay_port, "Postfix": self.mx.smtp_port}
        self.senders = [Sender(self.ledger, user, path, ports[path]) for user in USERS for path in PATHS]
        for sender in self.senders:
            sender.start()
        self.say("stream", f"a message for each user every {PAUSE_S:.2f} s through Postfix, as many through the relay")

    # --- Events ------------------------------------------------------------------------

    def maptool(self, topic, *words, shown=None):
        """Run maptool, and show it as a person would type it."""
        self.screen.command(topic, "maptool " + (shown or " ".join(words)))
        done = self.site.maptool(*words, check=False)
        if done.returncode:
            raise DemoError(f"maptool {' '.join(words)}: status {done.returncode}: {done.stderr.strip()}")

    def route_of(self, user):
        return self.routes.changes[user][-1][2]

    def first_arrival(self, sender, since, what):
        """When the first of the sender's messages after since reached the server that it should go to now."""
        server = self.route_of(sender.user)
        moment = self.watcher.first(server, since, lambda token: token.startswith(sender.prefix), EVENT_S)
        if moment is None:
            raise DemoError(f"no mail for {sender.user} came to {server} through {sender.path} "
                            f"within {EVENT_S} s of the {what}")
        return moment

    def flip(self, name, server, why):
        user = f"{name}@{DOMAIN}"
        before = time.time()
        self.maptool("flip", "set", user, f"route={server}", "--why", why, shown=f'set {user} route={server} --why "{why}"')
        self.routes.change(user, server, before, time.time())
        delays = {}
        for sender in self.senders:
            if sender.user == user:
                delays[sender.path] = 1000 * max(0, self.first_arrival(sender, before, "flip") - before)
        self.say("flip", f"{name}'s mail goes to {self.screen.server(server)} now: the first message came "
                 f"{delays['relay']:.0f} ms later through the relay, {delays['Postfix']:.0f} ms later through Postfix")

    def show_unknown(self):
        stranger = f"nobody@{DOMAIN}"
        self.say("unknown", f"mail for {stranger}, who is not in the map")
        doors = {"relay": self.site.relay_port, "Postfix, milter": self.mx.smtp_port,
                 "Postfix, socket map": self.map_port}
        for door, port in doors.items():
            self.expect("unknown", f"{door + ':':21}", probe(port, stranger), 550, "5.1.1")

    def expect(self, topic, label, reply, code, enhanced):
        """Show a reply; it must be this one."""
        is_right = reply.code == code and reply.text.startswith(enhanced)
        self.say(topic, label + self.screen.paint("good" if is_right else "bad", first_line(reply)))
        if not is_right:
            raise DemoError(f"{label.strip()} the answer should be {code} {enhanced}, but is {first_line(reply)}")

    def show_hold(self, name):
        user = f"{name}@{DOMAIN}"
        senders = {sender.path: sender for sender in self.senders if sender.user == user}
        for sender in senders.values():
            sender.reset()
        self.maptool("hold", "hold", user)
        self.say("hold", f"for two seconds nothing may be delivered to {name}, and nothing may be refused")
        self.pause(2)
        before = time.time()
        self.maptool("hold", "release", user)
        for sender in senders.values():
            self.first_arrival(sender, before, "release")
        self.say("hold", f"the relay let its sender wait {senders['relay'].longest_s:.1f} s and took the message; "
                 f"Postfix said 450 {times(senders['Postfix'].postponed)}, and its sender came back")

    def show_kill(self):
        self.site.kill("mapd")
        count, started = self.watcher.count, time.monotonic()
        self.say("kill -9", "coexist-mapd is dead; look-ups need only the snapshot that it left")
        self.pause(1.5)
        count = self.watcher.count - count
        if not count:
            raise DemoError("no mail was delivered while coexist-mapd was down")
        self.say("kill -9", f"{count} messages delivered in {time.monotonic() - started:.1f} s without it")
        started = time.monotonic()
        self.site.start("mapd")
        self.say("kill -9", f"coexist-mapd is back after {1000 * (time.monotonic() - started):.0f} ms, "
                 "nothing else was restarted")

    def show_loop(self, name):
        """A host elsewhere sends mail back to the gateway, and then the user's own server does."""
        user, token = f"{name}@{DOMAIN}", f"{name}-loop-0001"
        server = self.route_of(user)
        text = smtp.message(token, to=user)
        entry = self.ledger.open(token, user, "loop", text)
        self.say("loop", f"a host outside forwards one of {name}'s messages back to {name}, again and again")
        for number in range(1, 6):
            reply = submit(self.ledger, entry, self.site.relay_port, "writer@example.net", text)
            if reply.code != 250:
                break
            self.say("loop", f"pass {number}: {first_line(reply)}")
            text = wait_for(lambda copies=number: newest_copy(self.servers[server], user, token, copies), EVENT_S,
                            f"the copy in {name}'s mailbox")
        self.expect("loop", f"pass {number}: ", reply, 554, "5.4.6")
        self.say("loop", f"{self.screen.server(server)} itself hands {name}'s mail back, as if it did not know {name} yet")
        self.expect("loop", "RCPT:   ", probe(self.site.relay_port, user, ADDRESSES[server]), 451, "4.4.6")

    def cut_over(self, user, server):
        """The whole mailbox, and then the route, while mail keeps coming."""
        words = f"coexist-sync cutover {user}"
        self.screen.command("cutover", words)
        begin, end = {}, {}

        def step(line):
            begin.setdefault(line["state"], time.time())
            end[line["state"]] = line
            text = f"{line['state']:10} {line['text']}"
            self.say("cutover", self.screen.paint("good", text) if line["state"] == "flipped" else text)
        status, said = demo_move.cut_over(self.site, user, step)
        if status != 0:
            raise DemoError(f"{words}: status {status}: {said}")
        self.moved[user] = (self.route_of(user), server)
        # When the hold began the program knows best: whoever reads its lines may come to that only behind the flip.
        record = records(self.site)[user]
        self.routes.change(user, server, (record["flipped_ms"] - record["held_ms"]) / 1000, begin["flipped"])
        for sender in self.senders:
            if sender.user == user:
                self.first_arrival(sender, begin["flipped"], "cut-over")
        self.say("cutover", f"dan's mail had to wait for {self.screen.paint('bold', str(end['flipped']['hold_ms']) + ' ms')}; "
                 "since then it comes to " + self.screen.server(server))

    # --- The end -------------------------------------------------------------------------

    def stop_stream(self):
        for sender in self.senders:
            sender.ending.set()
        for sender in self.senders:
            sender.join(40)
            if sender.is_alive() or sender.problem:
                raise DemoError(sender.problem or f"{sender.user} through {sender.path}: no answer within 40 s")
        self.mx.wait_empty()
        try:
            wait_for(lambda: self.watcher.count >= self.accepted(), 5, "all deliveries")
        except Timeout:
            pass  # the comparison will say what is missing
        self.watcher.stop()
        for user in self.moved:
            status, said = demo_move.cut_over(self.site, user, lambda line: None)
            if status != 0:
                raise DemoError(f"the last sweep of {user}: status {status}: {said}")
        self.say("stream", f"ended: {self.accepted()} messages accepted, Postfix's queue is empty")

    def compare(self):
        found = [Found(name, user, token_of(copy.data), body_digest(copy.data))
                 for name, server in self.servers.items() for user in USERS for copy in server.messages(user)]
        self.say("compare", f"{len(found)} messages read over IMAP from both servers")
        counts, problems = judge(self.ledger, found, self.watcher.arrivals, self.routes, time.time(), self.moved)
        for user, (source, target) in self.moved.items():
            wrong = [f"altered: {what} on {server}" for server in (source, target) for what in
                     demo_move.differences(self.before_move, demo_move.show(self.servers[server], user))]
            problems += wrong
            if not wrong:
                self.say("compare", f"{user}: the {demo_move.COUNT} old messages have their bytes, folders, flags and dates "
                         f"on {self.screen.server(target)}, and are untouched on {self.screen.server(source)}")
        return demo_report.show(self.screen, self.ledger, self.watcher.arrivals, counts, problems, self.moved)


def times(count):
    return "once" if count == 1 else f"{count} times"


def first_line(reply):
    return f"{reply.code} {reply.text.splitlines()[0]}" if reply.code else "connection closed"


def token_of(message):
    """The token that smtp.message put into the Message-ID."""
    for line in message.replace(b"\r\n", b"\n").partition(b"\n\n")[0].split(b"\n"):
        if line.lower().startswith(b"message-id:"):
            return line.partition(b"<")[2].partition(b"@")[0].decode(errors="replace")
    return "no-message-id"


def newest_copy(server, user, token, count):
    """The last copy of a message once there are count of them, else None."""
    copies = [message.data for message in server.messages(user) if token_of(message.data) == token]
    return copies[-1] if len(copies) >= count else None


def guest_version(name):
    """The upstream version of a guest's main package."""
    tree = json.loads((peers.PEERS / name / "coexist-tree.json").read_text())
    main = peers.GUESTS[name]["packages"][0]
    version = next(p.partition("=")[2] for p in tree["packages"] if p.startswith(main + "="))
    return version.rpartition(":")[2].partition("+")[0].partition("-")[0]


# --- The program -----------------------------------------------------------------------


def as_root():
    """Guests need root for their mounts: go on under sudo if need be."""
    if os.geteuid() == 0:
        return
    if not shutil.which("sudo"):
        print("demo: guest servers need root for their private mounts: run it as root, or install sudo", file=sys.stderr)
        sys.exit(EX_NOPERM)
    kept = [f"{k}={os.environ[k]}" for k in ("HOME", "XDG_CACHE_HOME", "TERM", "NO_COLOR", "PATH") if k in os.environ]
    owner = f"COEXIST_OWNER={os.getuid()}:{os.getgid()}"
    os.execvp("sudo", ["sudo", "env", *kept, owner, sys.executable, *sys.argv])


def give_back():
    """What root made in build/ belongs to the caller of sudo."""
    owner = os.environ.get("COEXIST_OWNER")
    if owner and os.geteuid() == 0:
        uid, _, gid = owner.partition(":")
        for base, _, files in os.walk(ROOT / "build" / "certs"):
            for path in (base, *(os.path.join(base, f) for f in files)):
                os.chown(path, int(uid), int(gid))


def stopped(number, _):
    for other in SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    raise Stopped(number)


def main():
    parser = argparse.ArgumentParser(description="Two mail servers, one domain, users who move while mail flows.")
    parser.add_argument("--seconds", type=float, default=25, help="how long it all lasts at least (25)")
    parser.add_argument("--keep", action="store_true", help="leave configuration and logs in build/demo-*")
    args = parser.parse_args()
    try:
        peers.get(["dovecot", "postfix"])
    except peers.PeersError as problem:
        print(f"demo: {problem}", file=sys.stderr)
        return EX_UNAVAILABLE
    as_root()
    for number in SIGNALS:
        signal.signal(number, stopped)
    screen = Screen()
    screen.title("coexist: one mail domain on two servers, and nobody's mail gets lost while users move",
                 "real servers on free loopback ports, nothing is installed as a service, all of it ends with the demo")
    folder = Path(tempfile.mkdtemp(prefix="demo-", dir=ROOT / "build"))
    folder.chmod(0o755)
    demo = Demo(folder, args.seconds, screen)
    status = 1
    try:
        status = 0 if demo.run() else 1
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
