# SPDX-License-Identifier: ISC
"""Random histories on real servers: users on both sides, before and during passes that are killed or cut off; then quiet.

What the simulation (docs/simulation.md) does with a model in great number, here with Dovecot, Cyrus and
Courier.  COEXIST_SEED=n repeats one history; how its passes and its users meet is up to the machine.
"""
import hashlib
import os
import random
import subprocess
import threading

import pytest
from conftest import Stage
from lib import strace
from lib.chaos import HISTORIES
from lib.courier import Courier
from lib.cutover import argv as cutover_argv
from lib.cutover import cutover, entry, imap_servers
from lib.mailbox import ROOT, argv, run
from lib.proxy import WAYS, Door, Proxy
from lib.sides import KINDS, Side
from lib.story import FOLDERS, Tale, User, body, places

PLAIN = ROOT / "build" / "bin" / "coexist-sync"
SEEDS = [int(os.environ["COEXIST_SEED"])] if "COEXIST_SEED" in os.environ else range(1, HISTORIES + 1)
PAIRS = [("dovecot", "dovecot"), ("cyrus", "dovecot"), ("dovecot", "cyrus"), ("courier", "dovecot"), ("dovecot", "courier"), ("cyrus", "courier")]
# A pass of this size makes more of each.
KILLED_IN = {"sendto": 25, "recvfrom": 40, "pwrite64": 25, "fdatasync": 12, "poll": 40}
ALL = ("deliver", "deliver", "flag", "flag", "remove", "move")


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    stage, made = Stage(tmp_path_factory.mktemp("servers")), {}
    users = {f"{kind}{seed}@example.org": "secret" for seed in SEEDS for kind in ("copy", "move")}

    def get(role, kind):
        if (role, kind) not in made:
            made[role, kind] = stage.enter(KINDS[kind].make(stage.path(f"{role}-{kind}"), users=users, hostname=f"{role}.test"))
        return made[role, kind]
    yield get
    stage.close()


class History:
    """Two sides, a user on each, and passes that come to some end."""

    def __init__(self, servers, seed, kind, folder):
        self.rng, self.folder = random.Random(f"{kind} {seed}"), folder
        self.tale = Tale(self.rng)
        kinds = PAIRS[(seed - 1) % len(PAIRS)]
        user = f"{kind}{seed}@example.org"
        self.old, self.new = [Side(servers(role, k), k, user) for role, k in zip(("old", "new"), kinds)]
        self.here, self.there = User(self.tale, self.old, False), User(self.tale, self.new, True)
        for side in (self.old, self.new):
            side.fill({name: [] for name in FOLDERS})
        self.relays = [Proxy(side.server) for side in (self.old, self.new)]
        self.tale.tell(f"{kind} {seed}: {kinds}")

    def users_act(self, most_here, most_there, **kwargs):
        for user, most in ((self.here, most_here), (self.there, most_there)):
            for _ in range(self.rng.randrange(most + 1)):
                user.act(**kwargs)

    def meanwhile(self, most_here, most_there, work):
        """work() while both users go on."""
        self.tale.is_sure = False
        acting = [threading.Thread(target=self.acts, args=(user, self.rng.randrange(most + 1), kinds)) for user, most, kinds
                  in ((self.here, *most_here), (self.there, *most_there))]
        for thread in acting:
            thread.start()
        try:
            return work()
        finally:
            for thread in acting:
                thread.join()

    @staticmethod
    def acts(user, count, kinds):
        for _ in range(count):
            user.act(kinds)

    def disturbed(self, line):
        """One pass, to its end or not: the tale knows.  True when it ended well."""
        how = self.rng.choice(("kill", "kill", "cut", "whole"))
        for relay in self.relays:
            relay.cut()
        if how == "cut":
            way, step = self.rng.choice(list(WAYS)), self.rng.randrange(3, 30)
            self.rng.choice(self.relays).cut(way, step)
            how = f"{way} at command {step}"
        call = self.rng.choice(list(KILLED_IN))
        count = self.rng.randrange(1, KILLED_IN[call])
        if how == "kill":
            how = f"killed at {call} {count}"
            done, was_killed = strace.killed_at(line, self.folder, call, count)
            status = -9 if was_killed else done.returncode
        else:
            status = subprocess.run(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, check=False).returncode
        for relay in self.relays:
            relay.drained()
        self.tale.tell(f"pass, {how}: {status}")
        assert status in (0, 1, -9, 65, 75), self.tale.log
        return status == 0


    def look(self):
        names = {hashlib.sha256(body(token)).hexdigest(): token for token in self.tale.lives}
        return [places(side.look(), lambda seen: names.get(seen.sha, seen.sha)) for side in (self.old, self.new)]

    def is_right(self, wrong):
        assert not wrong, "\n".join(wrong + self.tale.log)
        if "COEXIST_SEED" in os.environ:
            print("\n".join(self.tale.log))


@pytest.mark.parametrize("seed", SEEDS)
def test_copies(servers, tmp_path, seed):
    history = History(servers, seed, "copy", tmp_path)
    line = argv(*history.relays, tmp_path, "--settle=300ms", "--timeout=30s", "--accept=E-EMPTY", binary=PLAIN, user=history.old.user)
    for _ in range(8):
        history.here.act(("deliver",))
    for _ in range(history.rng.randrange(3, 7)):
        is_over = history.meanwhile((5, ALL), (3, ALL), lambda: history.disturbed(line))
        history.tale.is_sure = is_over
        history.users_act(6, 4)
    for relay in history.relays:
        relay.cut()
    counts = []
    for _ in range(4):
        done = run(line)
        counts.append((done.status, done.messages_copied, done.flags_changed, done.messages_deleted))
        if counts[-1][1:] == (0, 0, 0):
            break
    history.tale.tell(f"quiet: {counts}")
    assert counts[-1] == (0, 0, 0, 0), (done.log, history.tale.log)
    history.is_right(history.tale.judge(*history.look()))


@pytest.mark.parametrize("seed", SEEDS)
def test_cutovers(servers, site, tmp_path, seed):
    """Attempts are killed or cut off until one flips; then both users go on, and sweeps are."""
    history = History(servers, seed, "move", tmp_path)
    tale, user = history.tale, history.old.user
    doors = [Proxy(Door(relay.server)) if isinstance(relay.server, Courier) else relay for relay in history.relays]
    history.relays = doors
    place = site(imap_servers(tmp_path, old=doors[0], new=doors[1]), settings={"sync": {"imap_timeout": "10s"}}, plain=True)
    place.init({user: "old"})
    line = cutover_argv(place, "cutover", "--json", "--accept=E-EMPTY", user)
    for _ in range(8):
        history.here.act(("deliver",))
    for _ in range(history.rng.randrange(1, 4)):
        # What arrives in the second before the flip is late; what is moved then was there before.
        tale.has_twins = False
        is_over = history.meanwhile((4, ("deliver", "flag", "remove")), (2, ("deliver",)), lambda: history.disturbed(line))
        tale.is_sure = is_over
        if entry(place, user)["route"] == "new":
            break
        tale.has_twins = True
        history.users_act(6, 0)
    for relay in doors:
        relay.cut()
    for _ in range(2):
        done = cutover(place, user)
        assert done.status == 0, (done.log, tale.log)
    assert entry(place, user)["route"] == "new"
    tale.tell("flipped")
    old, new = history.look()
    history.is_right(tale.judge(old, new))
    tale.flip(new)
    for _ in range(history.rng.randrange(1, 4)):
        history.users_act(5, 5)
        tale.is_sure = history.meanwhile((3, ALL), (3, ALL), lambda: history.disturbed(line))
    for relay in doors:
        relay.cut()
    for _ in range(2):
        done = cutover(place, user)
        assert done.status == 0, (done.log, tale.log)
    history.is_right(tale.judge_flipped(history.look()[1]))
