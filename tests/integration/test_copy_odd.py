# SPDX-License-Identifier: ISC
"""Four hundred odd messages (lib/odd.py) through servers and files: each arrives octet for octet, or is named.

What servers change of themselves (line ends, how a message ends, NUL) is no other content, and counts here by itself.
"""
import collections

import pytest
from conftest import Stage
from lib.chaos import IS_SOAK
from lib.courier import Courier
from lib.cyrus import Cyrus
from lib.dovecot import Dovecot
from lib.fakeimap import FakeImap
from lib.imap import fetch_folder
from lib.mailbox import argv, run
from lib.odd import bare, corpus

ANN = "ann@example.org"
USERS = {ANN: "secret"}
ODD = corpus()
NAMES, MAILS = list(ODD), list(ODD.values())


def go(source, target, folder, *more):
    return run(argv(source, target, folder, "--timeout=60s", "--settle=0s", *more))


def shown(server):
    """{UID: octets} of INBOX."""
    client = server.imap(ANN)
    out = {m.uid: m.data for m in fetch_folder(client, "INBOX")}
    client.logout()
    return out


def compared(there, here, items):
    """Each of `there` is in `here`, or has an item: (octet for octet, with other line ends, not so there), lists of UIDs."""
    left = collections.Counter(here)
    exact, changed, lost, rest = [], [], [], []
    for uid, octets in there.items():
        (exact if left[octets] and uid not in items else rest).append(uid)
        left[octets] -= bool(left[octets] and uid not in items)
    like = collections.Counter(bare(octets) for octets in left.elements())
    for uid in sorted(rest, key=lambda uid: uid in items):
        key = bare(there[uid])
        (changed if like[key] and uid not in items else lost).append(uid)
        like[key] -= bool(like[key])
    assert set(lost) <= items.keys(), [uid for uid in lost if uid not in items]
    assert like.total() <= len([uid for uid in lost if items[uid] == "E-DIFFERENT"]), "messages of nobody"
    return exact, changed, lost


def named(result):
    return {e["uid"]: e["code"] for e in result.exceptions if e["code"] != "E-MISSING"}


def copied(source, target, folder, there):
    """Twice: what the first run has not named is there, and the second one finds nothing to do and all as it was."""
    first = go(source, target, folder, "--verify")
    here = target.appended if isinstance(target, FakeImap) else list(shown(target).values())
    items = named(first)
    exact, changed, lost = compared(there, here, items)
    assert first.status == (1 if items else 0), first.log
    assert first.messages_failed + first.verified["different"] == len(items), (first.counts, items)
    again = go(source, target, folder, "--verify")
    assert (again.status, again.messages_copied, again.messages_deleted) == (first.status, 0, 0), again.log
    assert again.verified == first.verified and named(again).keys() == items.keys(), again.log
    assert (target.appended if isinstance(target, FakeImap) else list(shown(target).values())) == here
    return exact, changed, lost, items


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """A Dovecot that has taken all of them from a server that shows them as they are."""
    stage = Stage(tmp_path_factory.mktemp("odd"))
    server = stage.enter(Dovecot(stage.path("old"), users=USERS, hostname="old.test"))
    with FakeImap(MAILS) as source:
        _, _, lost, items = copied(source, server, stage.path("first"), dict(enumerate(MAILS, 1)))
    # It takes no message of no octets; what it does to others is to the ends of lines and to NUL.
    assert [NAMES[uid - 1] for uid in lost] == ["empty"] and set(items.values()) == {"E-REFUSED"}
    yield server
    stage.close()


# Of those that Dovecot shows: what has to arrive in every octet, and what may be named.
TARGETS = {"dovecot": (Dovecot, 395, 1), "cyrus": (Cyrus, 295, 100), "courier": (Courier, 255, 30)}


@pytest.mark.parametrize("kind", TARGETS)
def test_odd_messages_between_servers(kind, old, stage, tmp_path):
    make, least, most = TARGETS[kind]
    new = stage.enter(make(stage.path("new"), users=USERS, hostname="new.test"))
    exact, changed, lost, items = copied(old, new, tmp_path, shown(old))
    print(kind, len(exact), len(changed), collections.Counter(items.values()))
    assert len(exact) >= least and len(lost) <= most, (len(exact), len(changed), len(lost))


@pytest.mark.skipif(not IS_SOAK, reason="what Dovecot shows of them is tried with each server: make soak")
def test_odd_messages_as_they_are(stage, tmp_path):
    """Cyrus takes no NUL, no bare line feed and no header that is none, and says so of each."""
    new = stage.enter(Cyrus(stage.path("new"), users=USERS, hostname="new.test"))
    with FakeImap(MAILS) as source:
        exact, changed, lost, items = copied(source, new, tmp_path, dict(enumerate(MAILS, 1)))
    assert len(exact) >= 250 and not changed, (len(exact), len(changed), len(lost))


def test_odd_messages_through_files(tmp_path):
    """Out of a server into a Maildir, octet for octet, and out of it into another server."""
    box = tmp_path / "box"
    with FakeImap(MAILS) as source:
        first = go(source, box, tmp_path / "out", "--verify")
        assert (first.status, first.messages_copied) == (0, len(MAILS)), first.log
        again = go(source, box, tmp_path / "out", "--verify")
        assert (again.status, again.messages_copied) == (0, 0), again.log
    files = collections.Counter(p.read_bytes() for p in box.rglob("*") if p.parent.name in ("cur", "new"))
    assert files == collections.Counter(MAILS)
    with FakeImap() as target:
        # A line feed that has no CR in front of it gets one on the way out, as from every server with files.
        exact, changed, lost, _ = copied(box, target, tmp_path / "in", dict(enumerate(MAILS, 1)))
        assert len(exact) > 300 and not lost
