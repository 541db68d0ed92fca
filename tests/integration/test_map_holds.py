# SPDX-License-Identifier: ISC
"""Holds, flips and barriers, driven through the control socket."""
import os
import signal
import threading

import pytest

from lib.mapsock import MapSocket, Probe
from lib.wait import wait_for

SERVERS = {"old": {"smtp": "smtp://10.1.1.5:25"}, "new": {"smtp": "smtp://10.1.2.5:25"}}
ANN = "ann@example.org"


@pytest.fixture
def live(site):
    return site(SERVERS, plain=True).init({ANN: "old", "bob@example.org": "old"})


@pytest.fixture
def map_(live):
    with MapSocket(live.run) as out:
        yield out


@pytest.fixture
def probe(live):
    with Probe(live.run) as out:
        yield out


def hold(map_, key=ANN, ms=60000, **more):
    return map_.ok(op="hold", key=key, owner="test", deadline_ms=ms, **more)["epoch"]


def barrier(map_, epoch, timeout_ms=0, key=ANN):
    return map_.ok(op="barrier", key=key, epoch=epoch, timeout_ms=timeout_ms)["result"]


# --- Deadlines ------------------------------------------------------------------------------------

def test_deadline(live, map_):
    epoch = hold(map_, ms=200)
    live.wait_event("mapd", "hold_expired", key=ANN)
    entry = wait_for(lambda: (lambda e: e if e["state"] == "active" else None)(
        map_.ok(op="get", key=ANN)["entry"]), 20, "the release")
    assert (entry["route"], entry["epoch"] > epoch) == ("old", True)
    assert "is not held" in map_.error(op="flip", key=ANN, epoch=epoch, route="new")["text"]
    assert "is not held" in map_.error(op="release", key=ANN, epoch=epoch)["text"]


def test_deadline_after_a_restart(live, map_, probe):
    epoch = hold(map_, ms=60000)
    short = hold(map_, key="bob@example.org", ms=1000)
    live.kill("mapd")
    # Nobody can release it now; look-ups go on saying held.
    assert probe.ask(f"get {ANN}") == f"found old held {epoch}"
    live.start("mapd")
    live.wait_event("mapd", "hold_expired", key="bob@example.org", epoch=short)
    wait_for(lambda: probe.ask("get bob@example.org").startswith("found old active"), 20, "bob's release")
    assert probe.ask(f"get {ANN}") == f"found old held {epoch}"
    with MapSocket(live.run) as again:
        assert again.ok(op="flip", key=ANN, epoch=epoch, route="new")["entry"]["route"] == "new"


# --- Request ids ---------------------------------------------------------------------------------------

def test_repeated_requests(live, map_):
    epoch = hold(map_, id="h-1")
    assert hold(map_, id="h-1") == epoch
    first = map_.ok(op="flip", key=ANN, epoch=epoch, route="new", id="f-1")
    live.kill("mapd")
    live.start("mapd")
    with MapSocket(live.run) as again:
        assert again.ok(op="flip", key=ANN, epoch=epoch, route="new", id="f-1") == first
        error = again.error(op="flip", key=ANN, epoch=epoch, route="old", id="f-1")
        assert (error["code"], error["class"]) == (64, "permanent")
        assert "another request" in error["text"]
        assert again.ok(op="status")["generation"] == first["generation"]


# --- Two at once -----------------------------------------------------------------------------------------

def test_two_flippers(live):
    """Of two who hold and flip the same users, exactly one wins each time, and the log agrees."""
    users = [f"u{i}@example.org" for i in range(100)]
    live.maptool("import", "--route", "old", "-", input="\n".join(users) + "\n")
    won = {"a": 0, "b": 0}
    problems = []

    def flipper(name):
        with MapSocket(live.run) as map_:
            for user in users:
                reply = map_.call(op="hold", key=user, owner=name, deadline_ms=60000)
                if reply["ok"]:
                    done = map_.call(op="flip", key=user, epoch=reply["epoch"], route="new", why=name)
                    won[name] += done["ok"]
                    if not done["ok"]:
                        problems.append(done)
                elif "already held by" not in reply["error"]["text"]:
                    problems.append(reply)

    threads = [threading.Thread(target=flipper, args=(name,)) for name in won]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    with MapSocket(live.run) as map_:
        changes = map_.ok(op="log", **{"from": 103})["changes"]
    flips = [c for c in changes if c["old"]["state"] == "held" and c["new"]["state"] == "active"]
    assert len(flips) == won["a"] + won["b"] >= 100
    assert {c["key"] for c in flips} == set(users)
    # Between a hold and its flip nobody else has touched the key.
    state = {}
    for change in changes:
        holder = change["new"].get("hold", {}).get("owner")
        if holder:
            assert change["key"] not in state
            state[change["key"]] = holder
        else:
            assert state.pop(change["key"]) == change["why"]


def test_stale_epochs(map_):
    first = hold(map_)
    second = map_.ok(op="release", key=ANN, epoch=first)["epoch"]
    third = hold(map_)
    for epoch in (first, second):
        error = map_.error(op="flip", key=ANN, epoch=epoch, route="new")
        assert error["code"] == 1 and f"epoch {third}, not {epoch}" in error["text"]
    assert map_.ok(op="flip", key=ANN, epoch=third, route="new")["epoch"] > third


# --- Barriers ----------------------------------------------------------------------------------------------

def test_barrier_without_claims(map_):
    assert barrier(map_, hold(map_)) == "clear"


def test_barrier_waits_for_a_claim(map_, probe):
    assert probe.ask(f"see {ANN}").startswith("found old active")
    assert probe.ask("claim") == "go"
    epoch = hold(map_)
    assert barrier(map_, epoch) == "timeout"
    assert barrier(map_, epoch, timeout_ms=100) == "timeout"
    assert barrier(map_, epoch, key="bob@example.org") == "clear"
    map_.send(op="barrier", key=ANN, epoch=epoch, timeout_ms=20000)
    assert probe.ask("end answered") == "ok"
    assert map_.receive()["result"] == "clear"


def test_barrier_hinders_nobody(live, map_, probe):
    probe.ask(f"see {ANN}")
    assert probe.ask("claim") == "go"
    epoch = hold(map_)
    with MapSocket(live.run) as waiting:
        waiting.send(op="barrier", key=ANN, epoch=epoch, timeout_ms=20000)
        for i in range(50):
            map_.ok(op="set", key="bob@example.org", set={"route": ("new", "old")[i % 2]})
        probe.ask("end answered")
        assert waiting.receive()["result"] == "clear"


def test_old_decision_cannot_be_claimed(map_, probe):
    """Who saw the entry before the hold and claims behind it finds out."""
    probe.ask(f"see {ANN}")
    epoch = hold(map_)
    assert probe.ask("claim") == "changed"
    assert barrier(map_, epoch) == "clear"


def test_claim_under_the_new_epoch_is_no_matter(map_, probe):
    epoch = map_.ok(op="flip", key=ANN, epoch=hold(map_), route="new")["epoch"]
    probe.ask(f"see {ANN}")
    assert probe.ask("claim") == "go"
    assert barrier(map_, epoch) == "clear"


def test_stopped_consumer(map_, probe):
    """SIGSTOP between claim and answer: the flip is late, never wrong."""
    probe.ask(f"see {ANN}")
    assert probe.ask("claim") == "go"
    os.kill(probe.pid, signal.SIGSTOP)
    try:
        epoch = hold(map_, ms=3000)
        assert barrier(map_, epoch, timeout_ms=200) == "timeout"
        wait_for(lambda: map_.ok(op="get", key=ANN)["entry"]["state"] == "active", 20, "the deadline")
        assert "deadline is over" in map_.error(op="flip", key=ANN, epoch=epoch, route="new")["text"]
    finally:
        os.kill(probe.pid, signal.SIGCONT)
    assert probe.ask("end answered") == "ok"
    assert barrier(map_, hold(map_)) == "clear"


def test_killed_consumer(live, map_):
    """kill -9 between claim and answer: nobody knows whether the message is stored."""
    probe = Probe(live.run)
    probe.ask(f"see {ANN}")
    assert probe.ask("claim") == "go"
    epoch = hold(map_)
    probe.kill()
    assert barrier(map_, epoch) == "ambiguous"
    assert barrier(map_, epoch, key="bob@example.org") == "clear"
    # A mapd that has just started sees it too.
    live.kill("mapd")
    live.start("mapd")
    with MapSocket(live.run) as again:
        assert barrier(again, epoch) == "ambiguous"


def test_answer_that_never_came(map_, probe):
    probe.ask(f"see {ANN}")
    assert probe.ask("claim") == "go"
    epoch = hold(map_)
    probe.ask("end ambiguous")
    assert barrier(map_, epoch) == "ambiguous"


def test_barrier_of_a_domain(map_, probe):
    probe.ask("see @example.org")
    assert probe.ask("claim") == "go"
    epoch = hold(map_, key="@example.org")
    assert barrier(map_, epoch, key="@example.org") == "timeout"
    probe.ask("end answered")
    assert barrier(map_, epoch, key="@example.org") == "clear"


def test_client_leaves_during_its_barrier(live, map_, probe):
    probe.ask(f"see {ANN}")
    probe.ask("claim")
    epoch = hold(map_)
    for _ in range(20):
        with MapSocket(live.run) as leaving:
            leaving.send(op="barrier", key=ANN, epoch=epoch, timeout_ms=20000)
    assert map_.ok(op="status")["held"] == 1
    probe.ask("end answered")
    assert barrier(map_, epoch) == "clear"
