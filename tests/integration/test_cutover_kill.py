# SPDX-License-Identifier: ISC
"""A cut-over that is killed anywhere: run again, nothing is lost or twice, and the user is on one side."""
import collections
import itertools

import pytest
from lib import smtp
from lib.chaos import KILLS
from lib.cutover import argv, cutover, entry, imap_servers, status, store_logs, token
from lib.mailbox import Mail, fill, look, message, same
from lib.strace import Sample, calls_in, killed_at, record, sampled

SAMPLES = KILLS + 6


def spec():
    return {name: [Mail(message(f"{name} {i}", "z" * 70 + "\r\n"), flags) for i, flags in enumerate([("\\Seen",), (), ("Work",)])]
            for name in ("INBOX", "Eins", "Zwei")}


def offer(place, user, number):
    """One message through the relay; True when it was accepted."""
    return smtp.send(place.relay_port, "w@example.net", user, smtp.message(f"mail-{number}", to=user)).accepted == [user]


@pytest.fixture
def make(dovecot, site, tmp_path):
    """(place, old, new, users) with a mailbox for each; one more has been cut over already: what is asked once a day,
    of the servers' administrators, comes with the first user only."""
    def build(n):
        users = [f"u{i}@example.org" for i in range(n + 1)]
        known = dict.fromkeys(users, "secret")
        old, new = dovecot("old", users=known), dovecot("new", users=known)
        # Who is held is told so at once: this test's sender gives up.
        place = site(imap_servers(tmp_path, old=old, new=new), settings={"relay": {"hold_wait": "0ms"}}, plain=True)
        place.init()
        place.maptool("import", "--route", "old", "-", input="".join(f"{u}\n" for u in users))
        place.start("relay")
        assert cutover(place, users.pop(), "--accept=E-EMPTY").status == 0
        for user in users:
            fill(old.imap(user), spec())
        return place, old, new, users
    return build


def kill_and_judge(place, old, new, user, tmp_path, sample, at, paths=()):
    """The state in which the kill has left the user, who is moved after all."""
    accepted = [n for n in (1,) if offer(place, user, n)]
    sample.judge(killed_at(argv(place, "cutover", "--json", user), tmp_path, *at, new, paths=paths))
    state = status(place).get(user, {}).get("state", "none")
    # Whatever has happened, there is one route, and mail follows it or waits.
    before = entry(place, user)
    assert before["route"] in ("old", "new")
    accepted += [n for n in (2,) if offer(place, user, n)]
    assert (2 in accepted) == (before["state"] == "active"), (at, before)
    again = cutover(place, user)
    assert again.status == 0, (at, state, again.log)
    assert (entry(place, user)["route"], entry(place, user)["state"]) == ("new", "active")
    accepted += [n for n in (3,) if offer(place, user, n)]
    assert 3 in accepted
    there = look(new.imap(user))
    for name, seen in look(old.imap(user)).items():
        assert not collections.Counter(seen) - collections.Counter(there[name]), (at, name)
    found = collections.Counter(token(m.data) for m in new.messages(user))
    assert all(count == 1 for count in found.values()), (at, state, found)
    assert found.keys() >= {f"mail-{n}" for n in accepted}, (at, state, found)
    assert len(found) == 9 + len(accepted)
    return state


def test_killed_at_any_system_call(make, tmp_path):
    """Whichever process it is that comes to the call first; a worker is begun again, and may be killed again."""
    place, old, new, users = make(2 * SAMPLES)
    whole = users.pop(0)
    assert len(record(argv(place, "cutover", "--json", whole), tmp_path)) > 200
    sample = Sample(lambda: calls_in(tmp_path), lambda calls: sampled(calls, SAMPLES // 2))
    for at, user in zip(sample, users):
        kill_and_judge(place, old, new, user, tmp_path, sample, at)
    assert sample.n_met >= KILLS // 2
    same(look(old.imap(whole)), look(new.imap(whole)))


def test_killed_at_each_step(make, tmp_path):
    """The supervisor, which writes down each step before it is taken: its worker ends with it."""
    place, old, new, users = make(40)
    logs = store_logs(place)
    record(argv(place, "cutover", "--json", users.pop(0)), tmp_path, logs)
    sample = Sample(lambda: calls_in(tmp_path), lambda calls: [c for c in calls if c[0] == "fdatasync"])
    assert 8 <= len(sample) < len(users), sample.points
    wanted, states = {"copying", "synced", "draining", "delta", "sweeping"}, set()
    # A new log file is one more commit, and the steps behind it are each one further: a second round meets what is left.
    for number, (at, user) in enumerate(zip(itertools.chain(sample, itertools.cycle(sample.points)), users)):
        if number >= len(sample) and wanted <= states:
            break
        states.add(kill_and_judge(place, old, new, user, tmp_path, sample, at, logs))
    assert wanted <= states, states
