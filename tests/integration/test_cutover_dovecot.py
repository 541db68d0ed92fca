# SPDX-License-Identifier: ISC
"""coexist-sync cutover between two Dovecots while mail flows through the relay."""
import pytest
from lib.cutover import ANN, Stream, cutover, entry, imap_servers, status
from lib.mailbox import fill, look, same, sample
from lib.wait import wait_for

STATES = ["prepared", "copying", "synced", "holding", "draining", "delta", "verified", "flipped", "sweeping", "done"]


@pytest.fixture
def place(dovecot, site, tmp_path):
    old, new = dovecot("old"), dovecot("new", separator="/")
    made = site(imap_servers(tmp_path, old=old, new=new))
    made.init({ANN: "old", "bob@example.org": "old", "cat@example.org": "new"})
    made.old, made.new = old, new
    return made


def test_a_user_moves_while_mail_flows(place):
    old, new = place.old, place.new
    fill(old.imap(ANN), sample(60))
    before = look(old.imap(ANN))
    place.start("relay")
    with Stream(place, [ANN, "bob@example.org"]) as mail:
        wait_for(lambda: mail.count() > 20, 20, "some mail")
        moved = cutover(place)
        assert moved.status == 0, moved.log
        count = mail.count()
        wait_for(lambda: mail.count() > count + 20, 20, "mail behind the flip")
    assert moved.states == STATES
    assert entry(place)["route"] == "new" and entry(place)["state"] == "active"
    assert moved.line("flipped")["hold_ms"] < 10000
    mail.judge({ANN: (old, new)})
    # What was there before is there, with flags and dates, and nothing has been touched on old.
    there = look(new.imap(ANN), "/")
    for name, seen in before.items():
        assert set(seen) <= set(there[name]), name
        assert set(seen) <= set(look(old.imap(ANN))[name]), name
    same({n: s for n, s in before.items() if n != "INBOX"}, {n: s for n, s in there.items() if n != "INBOX"})
    # bob has not noticed anything.
    assert entry(place, "bob@example.org")["route"] == "old" and not new.messages("bob@example.org")
    record = status(place)[ANN]
    assert (record["state"], record["error"], record["late"]) == ("done", "", 0)
    again = cutover(place)
    assert (again.status, again.states) == (0, ["sweeping", "done"]), again.log


@pytest.mark.parametrize("deliver_as", ["bob@tenant.test", "@tenant.test"])
def test_the_mailbox_has_the_name_that_mail_is_delivered_by(place, deliver_as):
    bob, mailbox = "bob@example.org", "bob@tenant.test"
    for server in (place.old, place.new):
        server.add_user(mailbox)
    fill(place.old.imap(mailbox, password="secret"), sample(12))
    before = look(place.old.imap(mailbox, password="secret"))
    place.maptool("set", bob, f"deliver_as={deliver_as}")
    moved = cutover(place, bob)
    assert moved.status == 0, moved.log
    assert moved.line("prepared")["text"].startswith(f"{mailbox} moves from old to new")
    same(before, look(place.new.imap(mailbox, password="secret"), "/"))
