# SPDX-License-Identifier: ISC
"""coexist-sync copy between Dovecot and Cyrus, in both directions, in both of Cyrus' name styles."""
import re

import pytest
from lib.imap import quoted
from lib.mailbox import Mail, copy, fill, look, message, same, sample, to_wire

ANN = "ann@example.org"




def as_on_cyrus(shown, prefix):
    """Cyrus takes no quotation mark in a name."""
    return {name if name == "INBOX" else prefix + name.replace('"', "_"): mails for name, mails in shown.items()}


def stems(shown):
    """What Cyrus does not take has a name with a digest behind it."""
    return {re.sub("-[0-9a-f]{8}$", "", name): mails for name, mails in shown.items()}


@pytest.mark.parametrize("altnamespace, hierarchy", [("yes", "yes"), ("no", "no")])
def test_dovecot_to_cyrus_and_back(dovecot, cyrus, tmp_path, altnamespace, hierarchy):
    old, new = dovecot("old"), cyrus("new", altnamespace=altnamespace, unixhierarchysep=hierarchy)
    third = dovecot("third")
    separator = "/" if hierarchy == "yes" else "."
    fill(old.imap(ANN), sample())
    there = copy(old, new, tmp_path / "there", "--verify")
    assert (there.status, there.messages_copied, there.messages_failed) == (0, 33, 0), there.log
    shown = stems(look(new.imap(ANN), separator))
    same(as_on_cyrus(look(old.imap(ANN)), "" if altnamespace == "yes" else "INBOX."), shown)
    again = copy(old, new, tmp_path / "there")
    assert (again.status, again.messages_copied, again.flags_changed) == (0, 0, 0), again.log
    back = copy(new, third, tmp_path / "back", "--verify")
    assert (back.status, back.messages_copied, back.messages_failed) == (0, 33, 0), back.log
    same(as_on_cyrus(look(old.imap(ANN)), ""), stems(look(third.imap(ANN))))
    again = copy(new, third, tmp_path / "back")
    assert (again.status, again.messages_copied, again.flags_changed) == (0, 0, 0), again.log


def test_changes_travel_from_cyrus(dovecot, cyrus, tmp_path):
    old, new = cyrus("old"), dovecot("new")
    client = old.imap(ANN)
    fill(client, {"INBOX": [Mail(message(f"m{i}")) for i in range(6)], "Work": [Mail(message("w"))]}, "/")
    assert copy(old, new, tmp_path).status == 0
    client.select(quoted("INBOX"))
    assert client.uid("STORE", "1:2", "+FLAGS", "(\\Seen Later)")[0] == "OK"
    assert client.uid("STORE", "3", "+FLAGS", "(\\Deleted)")[0] == "OK"
    assert client.uid("EXPUNGE", "3")[0] == "OK"
    fill(client, {"Work": [Mail(message("w2"))], "Späte": [Mail(message("s"))]}, "/")
    second = copy(old, new, tmp_path)
    assert second.status == 0, second.log
    assert (second.messages_copied, second.flags_changed, second.messages_deleted) == (2, 2, 1)
    same(look(old.imap(ANN), "/"), look(new.imap(ANN)))
    assert to_wire("Späte") in [n for n in look(new.imap(ANN))]


def test_what_cyrus_refuses_is_named_and_the_rest_goes_on(dovecot, cyrus, tmp_path):
    old, new = dovecot("old"), cyrus("new", conf="maxmessagesize: 100000\n")
    big = message("too big", "x" * 70 + "\r\n")[:-2] + b"y" * 200000 + b"\r\n"
    mails = [Mail(message(f"m{i}")) for i in range(20)]
    mails[7] = Mail(big)
    mails[13] = Mail(b"this is no header at all\r\n\r\nbody\r\n")
    fill(old.imap(ANN), {"INBOX": mails})
    first = copy(old, new, tmp_path)
    assert first.status == 1, first.log
    refused = {e["uid"]: e["error"] for e in first.exceptions}
    assert 8 in refused and first.messages_failed == len(refused)
    assert first.messages_copied == 20 - len(refused)
    assert len(look(new.imap(ANN), "/")["INBOX"]) == 20 - len(refused)
    # Tried again, still refused, and nothing comes twice.
    again = copy(old, new, tmp_path)
    assert (again.status, again.messages_copied, again.messages_failed) == (1, 0, len(refused))
    assert len(look(new.imap(ANN), "/")["INBOX"]) == 20 - len(refused)


def test_an_administrator_copies_for_the_user(dovecot, cyrus, tmp_path):
    old, new = cyrus("old"), dovecot("new")
    fill(old.imap(ANN), {"INBOX": [Mail(message("one"))]}, "/")
    old.users = {ANN: old.admin_password}
    new.users, kept = {ANN: new.master_password}, new.users
    done = copy(old, new, tmp_path, "--source-admin=cyrus", "--target-admin=master")
    assert done.status == 0, done.log
    new.users = kept
    assert len(look(new.imap(ANN))["INBOX"]) == 1


def test_names_that_come_out_the_same_stay_apart(dovecot, cyrus, tmp_path):
    """Cyrus takes neither "x%y" nor 'x"y'; each of them gets a folder of its own."""
    old, new = dovecot("old"), cyrus("new")
    client = old.imap(ANN)
    for name in ("x*y", "x%y", 'x"y', "x_y"):
        fill(client, {name: [Mail(message(f"in {name}"))]})
    result = copy(old, new, tmp_path)
    assert result.status == 0, result.log
    there = {name: len(mails) for name, mails in look(new.imap(ANN), "/").items()}
    assert len(there) == 5 and sum(there.values()) == 4 and {"INBOX", "x*y", "x_y"} < set(there), there
    assert sum(bool(re.fullmatch("x_y-[0-9a-f]{8}", name)) for name in there) == 2, there
    again = copy(old, new, tmp_path)
    assert (again.status, again.messages_copied) == (0, 0), again.log


def test_dates_that_cyrus_refuses(dovecot, cyrus, tmp_path):
    """Nothing before 1970: the message is worth more than its date, and the loss is named, until it is accepted."""
    old, new = dovecot("old"), cyrus("new")
    dates = ['" 1-Jan-1904 00:00:00 +0000"', '"31-Dec-1969 23:59:59 +0000"', '" 1-Jan-1970 00:00:00 +1200"', '"17-Jul-1996 02:44:25 -0700"']
    fill(old.imap(ANN), {"INBOX": [Mail(message(f"m{i}"), ("\\Seen",), date) for i, date in enumerate(dates)]})
    first = copy(old, new, tmp_path, "--verify")
    assert (first.status, first.messages_copied, first.messages_reduced, first.messages_failed) == (1, 4, 3, 0), first.log
    assert [e["uid"] for e in sorted(first.exceptions, key=lambda e: e["uid"])] == [1, 2, 3]
    there = look(new.imap(ANN), "/")["INBOX"]
    assert sorted(seen.date for seen in there) == [86400, 86400, 86400, 837596665]
    assert all(seen.flags == {"\\seen"} for seen in there)
    again = copy(old, new, tmp_path, "--verify", "--accept=E-DATE")
    assert (again.status, again.messages_copied, again.flags_changed) == (0, 0, 0), again.log
