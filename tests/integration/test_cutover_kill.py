# SPDX-License-Identifier: ISC
"""A cut-over that is killed anywhere: run again, nothing is lost or twice, and the user is on one side."""
import collections

from lib import smtp
from lib.chaos import KILLS
from lib.cutover import argv, cutover, entry, imap_servers, status, token
from lib.mailbox import Mail, fill, look, message, same
from lib.strace import Sample, by_step, calls_in, killed_at, record, sampled

SAMPLES = KILLS + 6


def spec():
    return {name: [Mail(message(f"{name} {i}", "z" * 70 + "\r\n"), flags) for i, flags in enumerate([("\\Seen",), (), ("Work",)])]
            for name in ("INBOX", "Eins", "Zwei")}


def offer(place, user, number):
    """One message through the relay; True when it was accepted."""
    return smtp.send(place.relay_port, "w@example.net", user, smtp.message(f"mail-{number}", to=user)).accepted == [user]


def test_killed_at_any_system_call(dovecot, site, tmp_path):
    users = [f"u{i}@example.org" for i in range(2 * SAMPLES + 2)]
    whole = users[0]
    known = dict.fromkeys(users, "secret")
    old, new = dovecot("old", users=known), dovecot("new", users=known)
    # Who is held is told so at once: this test's sender gives up.
    place = site(imap_servers(tmp_path, old=old, new=new), settings={"relay": {"hold_wait": "0ms"}}, plain=True)
    place.init()
    place.maptool("import", "--route", "old", "-", input="".join(f"{u}\n" for u in users))
    place.start("relay")
    # What is asked once a day, of the servers' administrators, comes with the first user only.
    assert cutover(place, users.pop(), "--accept=E-EMPTY").status == 0
    fill(old.imap(whole), spec())
    assert len(record(argv(place, "cutover", "--json", whole), tmp_path)) > 200
    states = collections.Counter()
    sample = Sample(lambda: calls_in(tmp_path), lambda calls: sampled(calls, SAMPLES // 2) + by_step(calls, SAMPLES - SAMPLES // 2))
    for at, user in zip(sample, users[1:]):
        fill(old.imap(user), spec())
        accepted = [n for n in (1,) if offer(place, user, n)]
        sample.judge(killed_at(argv(place, "cutover", "--json", user), tmp_path, *at, new))
        state = status(place).get(user, {}).get("state", "none")
        states[state] += 1
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
    assert sample.n_met >= KILLS
    # The sample has met the states that matter.
    assert {"copying", "synced", "draining", "delta", "sweeping"} <= states.keys(), states
    same(look(old.imap(whole)), look(new.imap(whole)))
