# SPDX-License-Identifier: ISC
"""coexist-sync copy with real Courier: a source and a target that can do little.

Neither MULTIAPPEND nor LITERAL+ nor CONDSTORE, every folder below "INBOX.", no APPEND to a folder
that the same connection has open read-only, and no lasting UIDVALIDITY for a folder that nobody
has ever opened for writing.
"""
from lib.imap import quoted
from lib.mailbox import Mail, copy, fill, look, message, same

ANN = "ann@example.org"
SPEC = {
    "INBOX": [Mail(message("one"), ("\\Seen",)), Mail(message("two"), ("\\Flagged", "\\Answered")), Mail(message("three", "ü\r\n"))],
    "Entwürfe": [Mail(message("d"), ("\\Draft",))],
    "Work.2024": [Mail(message("w"), (), '"17-Jul-1996 02:44:25 -0700"')],
    "leer": [],
}


def below_inbox(spec):
    return {name if name == "INBOX" else f"INBOX.{name}": mails for name, mails in spec.items()}


def without_prefix(shown):
    return {name if name == "INBOX" else name.removeprefix("INBOX."): mails for name, mails in shown.items()}


def change(client, folder):
    """One new message, new flags on the first, and the second is gone."""
    assert client.append(quoted(folder), "(\\Seen)", '" 2-Nov-2026 10:00:00 +0100"', message("later"))[0] == "OK"
    assert client.select(quoted(folder))[0] == "OK"
    assert client.store("1", "-FLAGS", "(\\Seen)")[0] == "OK"
    assert client.store("1", "+FLAGS", "(\\Answered)")[0] == "OK"
    assert client.store("2", "+FLAGS", "(\\Deleted)")[0] == "OK"
    assert client.expunge()[0] == "OK"


def test_courier_to_dovecot(courier, dovecot, tmp_path):
    old, new = courier("old"), dovecot("new")
    fill(old.imap(ANN), below_inbox(SPEC))
    first = copy(old, new, tmp_path, "--verify")
    assert (first.status, first.messages_copied, first.messages_failed) == (0, 5, 0), first.log
    same(without_prefix(look(old.imap(ANN))), look(new.imap(ANN)))
    again = copy(old, new, tmp_path, "--verify")
    assert (again.status, again.messages_copied, again.flags_changed) == (0, 0, 0), again.log
    change(old.imap(ANN), "INBOX")
    third = copy(old, new, tmp_path, "--verify")
    assert (third.status, third.messages_copied, third.flags_changed, third.messages_deleted) == (0, 1, 1, 1), third.log
    same(without_prefix(look(old.imap(ANN))), look(new.imap(ANN)))
