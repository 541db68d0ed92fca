# SPDX-License-Identifier: ISC
"""Mailboxes that are not whose they seem: both ends are one, two users have one, or the administrator's is
given in place of a user's."""
import pytest
from lib.cutover import cutover, entry, imap_servers
from lib.mailbox import Mail, copy, fill, look, message

ANN, BOB, CAT = "ann@example.org", "bob@example.org", "cat@example.org"


def one_mailbox(server, *users):
    """They are all given that of the first one."""
    for user in users[1:]:
        (server.dir / "var" / "mail" / user).symlink_to(users[0])


@pytest.mark.parametrize("count", [0, 2])
def test_both_ends_are_one(dovecot, tmp_path, count):
    old = dovecot("old", users={ANN: "ann-secret", BOB: "bob-secret"})
    fill(old.imap(ANN), {"INBOX": [Mail(message(f"m{i}")) for i in range(count)], "Work": [Mail(message("w"))]})
    one_mailbox(old, ANN, BOB)
    before = look(old.imap(ANN))
    done = copy(old, old, tmp_path, user=ANN, target_user=BOB)
    assert done.status == 64 and "the same mailbox" in done.log, done.log
    assert look(old.imap(ANN)) == before


def test_twins_are_two(dovecot, tmp_path):
    """The same messages, in the same second, under the same numbers."""
    old, new = dovecot("old"), dovecot("new")
    for server in (old, new):
        fill(server.imap(ANN), {"INBOX": [Mail(message("m"))]})
    done = copy(old, new, tmp_path)
    assert (done.status, done.messages_adopted) == (0, 1), done.log


@pytest.mark.parametrize("is_given_his", [True, False])
def test_the_administrators_own(dovecot, tmp_path, is_given_his):
    old, new = dovecot("old"), dovecot("new")
    old.users["master"] = old.master_password
    old.write_users()
    fill(old.imap("master"), {"INBOX": [Mail(message("none of your business"))]})
    if is_given_his:
        one_mailbox(old, "master", ANN)
    old.users = {ANN: old.master_password}
    for _ in range(2):
        done = copy(old, new, tmp_path, "--source-admin=master", "--accept=E-EMPTY")
        if is_given_his:
            assert done.status == 77 and "is that of master" in done.log, done.log
            assert "INBOX" not in look(new.imap(ANN)) or not look(new.imap(ANN))["INBOX"]
        else:
            assert done.status == 0, done.log
    # Whether he has one is asked for once.
    assert sum("Login: user=<master>" in line for line in old.tail(100000).splitlines()) <= 2


def test_two_users_have_one(dovecot, site, tmp_path):
    old, new = dovecot("old"), dovecot("new")
    fill(old.imap(ANN), {"INBOX": [Mail(message("m"))]})
    fill(old.imap(CAT), {"INBOX": [Mail(message("m"))]})
    one_mailbox(old, ANN, BOB)
    place = site(imap_servers(tmp_path, old=old, new=new))
    place.init({ANN: "old", BOB: "old", CAT: "old"})
    for user in (ANN, CAT):
        done = cutover(place, user)
        assert done.status in (0, 1), done.log
        assert entry(place, user)["route"] == "new"
    done = cutover(place, BOB)
    assert done.status == 78 and ANN in done.log and BOB in done.log and "the same mailbox" in done.log, done.log
    assert entry(place, BOB)["route"] == "old" and not look(new.imap(BOB))["INBOX"]
    # Twice is no other user.
    assert cutover(place, ANN).status in (0, 1, 65)
    # What is known and cannot be read is no licence.
    for file in (place.state / "sync" / "mailboxes").iterdir():
        if file.suffix != ".lock":
            file.write_text("{")
    done = cutover(place, BOB)
    assert done.status == 65 and "is damaged: remove it" in done.log, done.log
