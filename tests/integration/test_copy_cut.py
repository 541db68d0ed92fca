# SPDX-License-Identifier: ISC
"""BYE, or a reset, at any command of a pass between real servers: run again, the mailboxes are the same.

A relay on one side counts the commands of an undisturbed pass; then pass after pass carries over a change of
the same kind, and each time the connection ends at another command.  test_copy_bye.py does it with scripted
servers.  `make check` takes a sample, `make soak` everything.
"""
import itertools

import pytest
from conftest import Stage
from lib.changes import CHANGES, stock
from lib.chaos import IS_SOAK
from lib.cutover import cutover, entry, imap_servers
from lib.mailbox import copy, same
from lib.proxy import WAYS, Proxy
from lib.sides import KINDS, Side

PASSES = [("dovecot", "dovecot", kind) for kind in CHANGES]
if IS_SOAK:
    PASSES += [(*pair, "all") for pair in (("cyrus", "dovecot"), ("dovecot", "cyrus"), ("courier", "dovecot"), ("dovecot", "courier"))]
SAMPLE = 4  # of each kind of pass and side
# Of first copies and cut-overs each attempt needs mailboxes of its own.
ATTEMPTS = 400 if IS_SOAK else SAMPLE + 1


def address(kind, side, n=0):
    return f"{kind}-{side}-{n}@example.org"


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """(role, kind) -> server, with all users that the tests below want there."""
    stage, made = Stage(tmp_path_factory.mktemp("servers")), {}
    sides = ("source", "target")
    users = {role: {kind: {} for kind in KINDS} for role in ("old", "new")}
    for source, target, change in PASSES:
        for role, kind in (("old", source), ("new", target)):
            users[role][kind].update({address(f"{source}-{target}-{change}", side): "secret" for side in sides})
    for role in users:
        users[role]["dovecot"].update({address(kind, side, n): "secret" for kind in ("first", "cutover") for side in sides
                                       for n in range(ATTEMPTS)})

    def get(role, kind):
        if (role, kind) not in made:
            made[role, kind] = stage.enter(KINDS[kind].make(stage.path(f"{role}-{kind}"), users=users[role][kind], hostname=f"{role}.test"))
        return made[role, kind]
    yield get
    stage.close()


def points(steps, salt):
    """(way, step) to try: all, or some that meet beginning, middle and end, and by and by each way."""
    if IS_SOAK:
        return list(itertools.product(WAYS, range(1, steps + 1)))
    ways = list(WAYS)
    return [(ways[(i * 2 + salt) % len(ways)], 1 + (steps - 1) * (i * 2 + salt % 2 + 1) // (2 * SAMPLE + 1)) for i in range(SAMPLE)]


class Pair:
    """Both mailboxes of one user behind a relay each."""

    def __init__(self, servers, source, target, user, *more, target_user=None):
        self.more = more
        self.old, self.new = Side(servers("old", source), source, user), Side(servers("new", target), target, target_user or user)
        self.new.uids("INBOX")
        self.users = {"user": user, "target_user": target_user or user}
        self.relays = {"source": Proxy(self.old.server), "target": Proxy(self.new.server)}

    def run(self, folder, side=None, way=None, step=0):
        for name, relay in self.relays.items():
            relay.cut(*((way, step) if name == side else ()))
        done = copy(self.relays["source"], self.relays["target"], folder, "--timeout=30s", "--settle=300ms", *self.more, **self.users)
        for relay in self.relays.values():
            relay.drained()
        return done

    def close(self):
        """There may be a thousand pairs."""
        for side in (self.old, self.new):
            side.client.logout()
        for relay in self.relays.values():
            relay.close()

    def judge(self, folder, where):
        """One undisturbed run makes it whole; another one has nothing to do."""
        done = self.run(folder)
        assert done.status == 0, (where, done.log)
        same(self.old.look(), self.new.look())
        again = self.run(folder)
        assert (again.status, again.messages_copied, again.flags_changed, again.messages_deleted, again.messages_kept) == \
            (0, 0, 0, 0, 0), (where, again.counts, again.log)
        same(self.old.look(), self.new.look())


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize("source, target, kind", PASSES)
def test_cut_at_any_command_of_a_pass(servers, tmp_path, source, target, kind, side):
    # With all kinds of changes goes a comparison.
    pair = Pair(servers, source, target, address(f"{source}-{target}-{kind}", side), *(["--verify"] if kind == "all" else []))
    stock(pair.old, 300 if IS_SOAK else 12)
    assert pair.run(tmp_path).status == 0
    CHANGES[kind](pair.old, 0)
    assert pair.run(tmp_path).status == 0
    steps = pair.relays[side].steps
    assert steps > 4
    pair.judge(tmp_path, "undisturbed")
    fired = 0
    for n, (way, step) in enumerate(points(steps, list(CHANGES).index(kind) + (side == "target")), start=1):
        CHANGES[kind](pair.old, n)
        done = pair.run(tmp_path, side, way, step)
        where = (way, step, pair.relays[side].fired)
        fired += bool(pair.relays[side].fired)
        assert done.status in (0, 75), (where, done.log)
        if done.status == 0:
            same(pair.old.look(), pair.new.look())
        pair.judge(tmp_path, where)
    assert fired > n // 2


@pytest.mark.parametrize("side", ["source", "target"])
def test_cut_at_any_command_of_a_first_copy(servers, tmp_path, side):
    user = address("first", side)
    stock(Side(servers("old", "dovecot"), "dovecot", user), 4)
    whole = Pair(servers, "dovecot", "dovecot", user)
    assert whole.run(tmp_path / "whole").status == 0
    steps, fired = whole.relays[side].steps, 0
    for n, (way, step) in enumerate(points(steps, side == "target"), start=1):
        pair = Pair(servers, "dovecot", "dovecot", user, target_user=address("first", side, n))
        done = pair.run(tmp_path / f"run{n}", side, way, step)
        where = (way, step, pair.relays[side].fired)
        fired += bool(pair.relays[side].fired)
        assert done.status in (0, 75), (where, done.log)
        pair.judge(tmp_path / f"run{n}", where)
        pair.close()
    assert fired > n // 2


@pytest.mark.parametrize("side", ["source", "target"])
def test_cut_at_any_command_of_a_cutover(servers, site, tmp_path, side):
    """The user is on one side, and the next attempt ends well."""
    relays = {"source": Proxy(servers("old", "dovecot")), "target": Proxy(servers("new", "dovecot"))}
    place = site(imap_servers(tmp_path, old=relays["source"], new=relays["target"]), settings={"sync": {"imap_timeout": "10s"}})
    place.init({address("cutover", side, n): "old" for n in range(ATTEMPTS)})

    def go(n, way=None, step=0):
        for name, relay in relays.items():
            relay.cut(*((way, step) if name == side else ()))
        done = cutover(place, address("cutover", side, n))
        for relay in relays.values():
            relay.drained()
        return done

    def prepared(n):
        old = Side(relays["source"], "dovecot", address("cutover", side, n))
        stock(old, 2)
        return old, Side(relays["target"], "dovecot", address("cutover", side, n))
    prepared(0)
    assert go(0).status == 0
    steps, fired = relays[side].steps, 0
    for n, (way, step) in enumerate(points(steps, side == "target"), start=1):
        old, new = prepared(n)
        done = go(n, way, step)
        where = (way, step, relays[side].fired)
        fired += bool(relays[side].fired)
        route = entry(place, old.user)
        # 1: moved, and the first sweep was cut off.
        assert (route["state"], route["route"]) == ("active", "new" if done.status in (0, 1) else "old"), (where, route, done.log)
        assert done.status in (0, 1, 65, 75), (where, done.log)
        again = go(n)
        assert again.status == 0 and entry(place, old.user)["route"] == "new", (where, again.log)
        same(old.look(), new.look())
        assert go(n).status == 0
        same(old.look(), new.look())
        for user in (old, new):
            user.client.logout()
    assert fired > n // 2
