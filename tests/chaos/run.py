# SPDX-License-Identifier: ISC
"""One run of a schedule: its steps, then quiet, then the judge.

    result = run(schedule, folder)       Result(verdicts, story, seconds, counts)
"""
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import ledger as book
from evidence import gather
from judge import Verdict, judge
from lib.cutover import cutover
from lib.wait import wait_for
from people import Attempt, Client, Person
from schedule import FOLDERS, STARTED, USERS
from world import World, address

SLOW_S = 10          # until() waits no longer for a state: its attempt may hang until a later step,
LONG_S = 20          # but for the last one
FAULTS = ("kill", "stop", "cut", "cutat", "lose", "close", "stall", "hang", "slow", "full")
SETTLE_S = 60        # for each part of the quiet, when all faults have ended
POLL_S = 0.2         # between two looks at Postfix's queue


@dataclass
class Result:
    seed: int
    verdicts: list = field(default_factory=list)
    story: list = field(default_factory=list)
    seconds: float = 0.0
    accepted: int = 0
    acts: int = 0
    flips: int = 0       # of the map, there and back
    back: int = 0


def flips_of(changes):
    """The servers to which users were moved, one for each flip."""
    routes, out = {}, []
    for change in changes:
        if routes.setdefault(change.user, change.route) != change.route:
            out.append(change.route)
        routes[change.user] = change.route
    return out


class Run:
    def __init__(self, schedule, folder, sabotage=None):
        self.schedule, self.folder, self.sabotage = schedule, Path(folder), sabotage
        self.clients, self.attempts, self.story, self.stuck = {}, [], [], []
        self.started = time.monotonic()
        self.has_daemon = schedule.has("daemon")
        self.faults = 0

    def tell(self, text):
        self.story.append(f"{1000 * (time.monotonic() - self.started):6.0f} ms  {text}")

    def go(self):
        # Whoever replays it finds it beside the logs.
        (self.folder / "schedule").write_text(self.schedule.text())
        with World(self.folder, has_disk=self.schedule.has("disk"), has_cyrus=self.schedule.has("cyrus")) as world:
            self.world, self.ledger = world, book.Ledger(self.folder / "ledger")
            self.people = {name: Person(world, self.ledger, address(name)) for name in USERS}
            if self.has_daemon:
                world.start("sync")
            for step in self.schedule.steps:
                self.update()
                self.tell(" ".join(step))
                self.faults += step[0] in FAULTS
                getattr(self, "on_" + step[0])(*step[1:])
            self.quiet()
            if self.sabotage:
                self.sabotage(self)
            evidence = gather(world)
            evidence.stuck += self.stuck
        lines = book.read(self.folder / "ledger")
        self.ledger.close()
        verdicts = judge(lines, evidence)
        verdicts += [Verdict("CRASHED", "", "", text) for text in world.crashes if text not in evidence.crashes]
        flips = flips_of(evidence.changes)
        (self.folder / "story").write_text("\n".join([*self.story, *map(str, verdicts)]) + "\n")
        return Result(self.schedule.seed, verdicts, self.story, time.monotonic() - self.started,
                      accepted=sum(line["event"] == "reply" and line["code"] == 250 for line in lines),
                      acts=sum(line["event"] in ("append", "flag", "move", "copy", "delete") for line in lines),
                      flips=len(flips), back=flips.count("old"))

    # --- Steps ---------------------------------------------------------------------------

    def on_daemon(self):
        pass

    on_cyrus = on_disk = on_daemon

    def on_fill(self, name, count):
        for number in range(int(count)):
            self.people[name].act("append", FOLDERS[number % len(FOLDERS)])

    def on_mail(self, door, names, count):
        key = (door, names)
        if key not in self.clients:
            self.clients[key] = Client(self.world, self.ledger, door, [address(name) for name in names.split(",")])
        self.clients[key].send(int(count))

    def on_do(self, name, what, *words):
        self.people[name].act(what, *words)

    def on_late(self, name, folder):
        self.people[name].late(folder)

    def on_move(self, name, server):
        self.begin("cutover", name, "--to", server, "--accept=E-EMPTY")
        self.ledger.write("turn", user=address(name), to=server)

    def on_rollback(self, name):
        if self.has_daemon:
            self.begin("rollback", name)
        else:
            for attempt in self.mine(name)[-1:]:
                attempt.signal(signal.SIGINT)

    def begin(self, command, name, *more):
        self.people[name].is_settled = False
        self.people[name].has_moved = True
        self.attempts.append(Attempt(self.world, command, address(name), *more))
        self.attempts[-1].faults = self.faults

    def update(self):
        """An attempt that has come to its end, with no other beside it, leaves nothing in doubt; nor does one that was
        rolled back, if nothing was broken since it began."""
        for name, person in self.people.items():
            mine = self.mine(name)
            if person.is_settled or not mine or not all(attempt.is_over for attempt in mine):
                continue
            last = [attempt for attempt in mine if attempt.command == "cutover"][-1:]
            is_released = last and last[0].faults == self.faults and last[0].states[-1:] in (["released"], ["rolled-back"])
            person.is_settled = bool(last) and (last[0].status == 0 or (is_released and not person.has_flipped()))

    def mine(self, name):
        return [attempt for attempt in self.attempts if attempt.user == address(name)]

    def on_until(self, name, state):
        """The last one, "done", is waited for until the command has ended: a way back begins with a sweep that is done."""
        mine = [attempt for attempt in self.mine(name) if attempt.command == "cutover"]
        deadline = time.monotonic() + (LONG_S if state == "done" else SLOW_S)
        while mine and not mine[-1].is_over and (state == "done" or state not in mine[-1].states) and time.monotonic() < deadline:
            time.sleep(0.005)
        if mine:
            self.tell(f"  {name}: {' '.join(mine[-1].states)}" + (f", status {mine[-1].status}" if mine[-1].is_over else ""))

    def on_pass(self, milliseconds):
        time.sleep(int(milliseconds) / 1000)

    def on_kill(self, name):
        if name == "mover":
            self.last_mover(signal.SIGKILL)
        else:
            self.world.kill(name)

    def on_stop(self, name):
        if name == "mover":
            self.last_mover(signal.SIGSTOP)
        else:
            self.world.stop(name)

    def on_go(self, name):
        if name == "mover":
            self.all_movers(signal.SIGCONT)
        else:
            self.world.go(name)

    def last_mover(self, number):
        if self.attempts:
            self.attempts[-1].signal(number)

    def all_movers(self, number):
        for attempt in self.attempts:
            attempt.signal(number)

    def on_start(self, name):
        if name != "sync" or self.has_daemon:
            self.world.start(name)

    def on_cut(self, link):
        self.world.links.cut(link)

    def on_cutat(self, link, octets):
        self.world.links.cut_at(link, int(octets))

    def on_lose(self, link):
        self.world.links.lose(link)

    def on_close(self, link):
        self.world.links.close_link(link)

    def on_stall(self, link):
        self.world.links.stall(link)

    def on_hang(self, link):
        self.world.links.hang(link)

    def on_slow(self, link, milliseconds):
        self.world.links.slow(link, int(milliseconds))

    def on_open(self, link):
        self.world.links.open_link(link)

    def on_full(self):
        self.world.full()

    def on_room(self):
        self.world.room()

    # --- Quiet -----------------------------------------------------------------------------

    def quiet(self):
        """All faults end.  From here on everything has to come to rest without help, but that what was begun is asked for again."""
        self.tell("all faults end")
        for name in STARTED:
            self.world.look(name)
        self.all_movers(signal.SIGCONT)
        self.world.heal([name for name in STARTED if name != "sync" or self.has_daemon])
        self.settle(lambda: all(attempt.is_over for attempt in self.attempts), lambda: "a command does not end: " +
                    ", ".join(f"{a.command} {a.user}: {' '.join(a.states)}" for a in self.attempts if not a.is_over))
        self.settle(lambda: all(not client.at_work for client in self.clients.values()), lambda: "mail is not accepted: " +
                    "; ".join(client.last for client in self.clients.values() if client.at_work))
        self.settle(self.has_no_queue, lambda: f"Postfix keeps mail: {self.world.mx.mailq()}", POLL_S)
        self.tell("all mail is accepted")
        for client in self.clients.values():
            client.end()
        for user in sorted({attempt.user for attempt in self.attempts if attempt.command == "cutover"}):
            self.finish(user)
        self.tell("all is quiet")

    def settle(self, condition, text, interval=0.02):
        try:
            wait_for(condition, SETTLE_S, "quiet", interval)
        except AssertionError:
            self.stuck.append(("", text()))

    def has_no_queue(self):
        """A message that goes from one queue to the next meanwhile may be missed in both.  One that Postfix finds locked by a
        delivery that is just ending it puts aside for a minute, whatever its configuration says."""
        if not self.world.mx.queue() and not self.world.mx.queue():
            return True
        self.world.mx.run("/usr/sbin/postqueue", "-f", check=False)
        return False

    def finish(self, user):
        """What a user's attempts have begun is brought to its end, and looked at once more."""
        deadline = time.monotonic() + SETTLE_S
        done, rounds = None, 0
        while rounds < 2 and time.monotonic() < deadline:
            done = cutover(self.world.site, user, "--accept=E-EMPTY")
            rounds = rounds + 1 if done.status == 0 else 0
            if done.status:
                self.tell(f"cutover {user}: status {done.status}: {done.log.strip().splitlines()[-1:]}")
                time.sleep(0.3)
        if rounds < 2:
            self.stuck.append((user, f"the cut-over does not end: status {done and done.status}: {done and done.log.strip()[-500:]}"))


def run(schedule, folder, sabotage=None):
    return Run(schedule, folder, sabotage).go()
