# SPDX-License-Identifier: ISC
"""coexist-sync copy with real Courier: a source and a target that can do little.

Neither MULTIAPPEND nor LITERAL+ nor CONDSTORE, every folder below "INBOX.", no APPEND to a folder
that the same connection has open read-only, and no lasting UIDVALIDITY for a folder that nobody
has ever opened for writing.
"""
import shutil

from lib.imap import quoted
from lib.mailbox import Mail, copy, fill, look, message, same, sample

ANN = "ann@example.org"
SPEC = {
    "INBOX": [Mail(message("one"), ("\\Seen",)), Mail(message("two"), ("\\Flagged", "\\Answered")), Mail(message("three", "ü\r\n"))],
    "Entwürfe": [Mail(message("d"), ("\\Draft",))],
    "Work.2024": [Mail(message("w"), (), '"17-Jul-1996 02:44:25 -0700"')],
    "leer": [],
}


def ended(octets):
    """Courier ends the last line."""
    return octets.rstrip(b"\r\n") + b"\r\n"


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


def test_folders_that_nobody_has_opened(courier, dovecot, tmp_path):
    """Their numbers are made up at each look until they are opened for writing: the first look does that."""
    old, new = courier("old"), dovecot("new")
    for i in range(3):
        old.deliver(ANN, message(f"m{i}"))
    first = copy(old, new, tmp_path, "--verify")
    assert (first.status, first.messages_copied) == (0, 3), first.log
    again = copy(old, new, tmp_path, "--verify")
    assert (again.status, again.messages_copied, again.messages_adopted) == (0, 0, 0), again.log


def test_dovecot_to_courier(dovecot, courier, tmp_path):
    old, new = dovecot("old"), courier("new")
    spec = sample()
    del spec['quo"te']  # Courier has no such folder names
    fill(old.imap(ANN), spec)
    count = sum(len(mails) for mails in spec.values())
    first = copy(old, new, tmp_path, "--verify")
    assert (first.status, first.messages_copied, first.messages_failed) == (0, count, 0), first.log
    same(look(old.imap(ANN), text=ended), without_prefix(look(new.imap(ANN), text=ended)))
    change(old.imap(ANN), "INBOX")
    second = copy(old, new, tmp_path, "--verify")
    assert (second.status, second.messages_copied, second.messages_deleted) == (0, 1, 1), second.log
    same(look(old.imap(ANN), text=ended), without_prefix(look(new.imap(ANN), text=ended)))


def test_courier_to_courier(courier, tmp_path):
    old, new = courier("old"), courier("new")
    fill(old.imap(ANN), below_inbox(SPEC))
    first = copy(old, new, tmp_path, "--verify")
    assert (first.status, first.messages_copied, first.messages_failed) == (0, 5, 0), first.log
    same(look(old.imap(ANN)), look(new.imap(ANN)))
    again = copy(old, new, tmp_path, "--verify")
    assert (again.status, again.messages_copied, again.flags_changed) == (0, 0, 0), again.log


def test_a_folder_that_has_mail_of_its_own(dovecot, courier, tmp_path):
    """Courier refuses an APPEND to a folder that the connection has looked into."""
    old, new = dovecot("old"), courier("new")
    assert new.imap(ANN).append("INBOX", "", '" 1-Nov-2026 10:00:00 +0100"', message("welcome"))[0] == "OK"
    fill(old.imap(ANN), {"INBOX": [Mail(message(f"m{i}")) for i in range(5)]})
    first = copy(old, new, tmp_path)
    assert (first.status, first.messages_copied, first.messages_failed) == (0, 5, 0), first.log
    assert len(look(new.imap(ANN))["INBOX"]) == 6


def test_a_lost_journal_doubles_nothing(dovecot, courier, tmp_path):
    old, new = dovecot("old"), courier("new")
    fill(old.imap(ANN), {"INBOX": [Mail(message(f"m{i}")) for i in range(5)]})
    assert copy(old, new, tmp_path).status == 0
    shutil.rmtree(tmp_path / "state")
    fill(old.imap(ANN), {"INBOX": [Mail(message("new"))]})
    again = copy(old, new, tmp_path)
    assert (again.status, again.messages_copied, again.messages_adopted) == (0, 1, 5), again.log
    assert len(look(new.imap(ANN))["INBOX"]) == 6


def test_folders_that_no_client_has_opened(courier, dovecot, tmp_path):
    """Each EXAMINE of them has another UIDVALIDITY; still everything comes once, and what the target
    stores with other octets (CR CR LF) as well."""
    old, new = courier("old"), dovecot("new")
    client = old.imap(ANN)
    assert client.create("INBOX.Work")[0] == "OK"
    client.logout()
    for folder in ("", "Work"):
        for i in range(5):
            odd = b"a\r\r\nb\r\n" if i == 0 else b""
            old.deliver(ANN, message(f"{folder or 'INBOX'} {i}") + odd, folder)
    first = copy(old, new, tmp_path)
    assert (first.messages_copied, first.messages_failed) == (10, 0), first.log
    second = copy(old, new, tmp_path)
    assert (second.status, second.messages_copied, second.messages_adopted) == (0, 0, 0), second.log
    old.deliver(ANN, message("one more"), "Work")
    third = copy(old, new, tmp_path)
    assert (third.status, third.messages_copied, third.messages_adopted) == (0, 1, 0), third.log
    assert {name: len(mails) for name, mails in look(new.imap(ANN)).items()} == {"INBOX": 5, "Work": 6}
