# SPDX-License-Identifier: ISC
"""coexist-sync copy and folders that come, go and change between its runs."""
from lib.fakeimap import FakeImap
from lib.mailbox import Mail, argv, copy, fill, look, message, run
from lib.proxy import Proxy

ANN = "ann@example.org"
SPECIAL = """
namespace inbox {
  mailbox Sent {
    special_use = \\Sent
    auto = create
  }
}
"""


def test_two_folders_never_become_one(dovecot, tmp_path):
    """Sent went to the target's own "Gesendet"; later a folder of that very name appears on the source."""
    old = dovecot("old", conf=SPECIAL)
    new = dovecot("new", conf=SPECIAL.replace("mailbox Sent", "mailbox Gesendet"))
    twin = Mail(message("twin"))
    fill(old.imap(ANN), {"Sent": [twin, Mail(message("sent"))]})
    assert copy(old, new, tmp_path).status == 0
    assert len(look(new.imap(ANN))["Gesendet"]) == 2
    fill(old.imap(ANN), {"Gesendet": [twin, Mail(message("other"))]})
    result = copy(old, new, tmp_path)
    assert result.status == 0, result.log
    there = look(new.imap(ANN))
    assert sorted(len(mails) for mails in there.values()) == [0, 2, 2], there
    # And it stays so.
    result = copy(old, new, tmp_path)
    assert (result.status, result.messages_copied) == (0, 0)
    # A message that is deleted in one of them stays in the other.
    client = old.imap(ANN)
    client.select("Sent")
    client.uid("STORE", "1", "+FLAGS", "(\\Deleted)")
    client.expunge()
    assert copy(old, new, tmp_path).status == 0
    assert sorted(len(mails) for mails in look(new.imap(ANN)).values()) == [0, 1, 2]


def status(server, tag, line):
    """Of the folder that was asked for, not of INBOX."""
    return server._ordinary("STATUS", tag, line).replace(b"INBOX", line.split()[2])


LISTING = {"LIST": b'* LIST () "/" A\r\n* LIST () "/" INBOX\r\n{tag} OK done\r\n', "STATUS": status}
MAILS = [b"Subject: %d\r\n\r\nx\r\n" % i for i in range(250)]


def go(source, target, folder, *more):
    return run(argv(source, target, folder, "--timeout=60s", "--settle=0s", *more))


def test_a_folder_that_takes_nothing_is_named_and_the_rest_goes_on(tmp_path):
    """NO [NOPERM] to APPEND is about one folder."""
    def append(server, tag, line):
        return tag + b" NO [NOPERM] not here\r\n" if b'"A"' in line else server._ordinary("APPEND", tag, line)
    with FakeImap(MAILS, LISTING) as source, FakeImap([], {"APPEND": append, **LISTING}) as target:
        result = go(source, target, tmp_path)
        assert result.status == 1 and "NOPERM" in result.log, result.log
        assert (result.folders_failed, result.messages_copied) == (1, 250)
        assert target.appended == MAILS
        # A second run tries again and repeats nothing.
        assert go(source, target, tmp_path).status == 1
        assert target.appended == MAILS
        target.script.pop("APPEND")
        assert go(source, target, tmp_path).status == 0
        assert target.appended == MAILS + MAILS


def test_a_folder_replaced_while_it_is_copied_is_left_alone(tmp_path):
    """STATUS told one UIDVALIDITY, SELECT another: no UID of ours names the message that we mean."""
    def flagged(server, tag, line):
        return server._ordinary("FETCH", tag, line).replace(b"FLAGS ()", b"FLAGS (\\Flagged)")
    with FakeImap(MAILS[:5]) as source, FakeImap() as target:
        assert go(source, target, tmp_path).status == 0
        source.messages.pop()
        source.script["FETCH"] = flagged
        target.script["SELECT"] = b"* 9 EXISTS\r\n* OK [UIDVALIDITY 8] v\r\n{tag} OK done\r\n"
        result = go(source, target, tmp_path)
        assert result.status == 1 and "UIDVALIDITY" in result.log, result.log
        assert b" STORE " not in target.received and b" EXPUNGE " not in target.received
        del target.script["SELECT"]
        result = go(source, target, tmp_path)
        assert (result.status, result.flags_changed) == (0, 4), result.log


def test_a_listing_that_is_too_short_deletes_nothing(tmp_path):
    """The source counts 100 messages and lists 90 of them: that is no deletion."""
    def short(server, tag, line):
        lines = server._ordinary("FETCH", tag, line).split(b"\r\n")
        return b"\r\n".join((lines[:90] if b"1:*" in line.split() else []) + lines[-2:])
    with FakeImap(MAILS[:100]) as source, FakeImap() as target:
        assert go(source, target, tmp_path).status == 0
        target.messages = list(target.appended)
        source.script["FETCH"] = short
        result = go(source, target, tmp_path, "--verify")
        assert result.status != 0
        assert b" EXPUNGE " not in target.received, result.log
        assert "listing_incomplete" in result.log and result.messages_deleted == 0
        del source.script["FETCH"]
        result = go(source, target, tmp_path)
        assert (result.status, result.messages_copied) == (0, 0), result.log
        # One that tells them when it is asked for parts is believed.
        source.script["FETCH"] = lambda server, tag, line: \
            short(server, tag, line) if b"UID FETCH" in line else server._ordinary("FETCH", tag, line)
        result = go(source, target, tmp_path, "--verify")
        assert (result.status, result.messages_copied) == (0, 0), result.log
        # What the server says to be gone is gone.
        gone = b"".join(b"* 91 EXPUNGE\r\n" for _ in range(10))
        source.script["FETCH"] = lambda server, tag, line: short(server, tag, line).replace(b"{tag}", gone + b"{tag}")
        result = go(source, target, tmp_path)
        assert (result.status, result.messages_deleted) == (0, 10), result.log


def test_a_refused_subscription_is_named_and_the_mail_is_copied(tmp_path):
    subscribed = {**LISTING, "LSUB": b'* LSUB () "/" A\r\n{tag} OK done\r\n'}
    with FakeImap(MAILS[:5], subscribed) as source, FakeImap([], {**LISTING, "SUBSCRIBE": b"{tag} NO not you\r\n"}) as target:
        result = go(source, target, tmp_path)
        assert result.status == 1 and "cannot subscribe" in result.log, result.log
        assert target.appended == MAILS[:5] * 2


def test_a_folder_that_was_removed_is_said_to_stay(dovecot, tmp_path):
    old, new = dovecot("old"), dovecot("new")
    fill(old.imap(ANN), {"Work": [Mail(message("one"))], "Else": []})
    assert copy(old, new, tmp_path).folders_vanished == 0
    old.imap(ANN).delete("Work")
    result = copy(old, new, tmp_path)
    assert (result.status, result.folders_vanished, result.deletions_withheld, result.messages_deleted) == (1, 1, 1, 0), \
        result.log
    assert "event=folder_vanished user=ann@example.org folder=Work" in result.log
    assert {name: len(mails) for name, mails in look(new.imap(ANN)).items()} == {"INBOX": 0, "Else": 0, "Work": 1}
    # An operator agrees.
    result = copy(old, new, tmp_path, "--delete-percent=100", "--accept=E-EMPTY")
    assert (result.status, result.folders_vanished, result.messages_deleted) == (0, 0, 1), result.log


def test_a_rename_and_a_move_are_moves_on_the_target(dovecot, tmp_path):
    """Dovecot tells neither MAILBOXID nor EMAILID: contents tell, each read once, and nothing is sent again."""
    old, new = Proxy(dovecot("old")), Proxy(dovecot("new"))
    mails = [Mail(message(f"m{i}")) for i in range(20)]
    fill(old.imap(ANN), {"Work": mails, "Else": [Mail(message("to be moved"), flags=[r"\Flagged"])], "There": []})
    assert copy(old, new, tmp_path).messages_copied == 21
    client = old.server.imap(ANN)
    client.rename("Work", "Arbeit")
    client.select("Else")
    client.uid("MOVE", "1", "There")
    new.forget()
    result = copy(old, new, tmp_path)
    assert (result.status, result.messages_copied, result.messages_moved) == (0, 0, 21), result.log
    assert (result.folders_vanished, result.messages_deleted) == (0, 0), result.log
    assert new.count(b"APPEND") == 0
    there = look(new.server.imap(ANN))
    assert {name: len(v) for name, v in there.items()} == {"INBOX": 0, "Work": 0, "Arbeit": 20, "Else": 0, "There": 1}
    assert "\\flagged" in there["There"][0].flags
    again = copy(old, new, tmp_path)
    assert (again.status, again.messages_copied, again.messages_moved, again.flags_changed) == (0, 0, 0, 0), again.log


def test_what_is_moved_on_the_target_stays_there(dovecot, tmp_path):
    old, new = dovecot("old"), dovecot("new")
    fill(old.imap(ANN), {"Work": [Mail(message(f"m{i}")) for i in range(9)], "Mine": []})
    assert copy(old, new, tmp_path).messages_copied == 9
    fill(old.imap(ANN), {"Work": [Mail(message("later"))]})
    assert copy(old, new, tmp_path).messages_copied == 1
    theirs = new.imap(ANN)
    theirs.select("Work")
    theirs.uid("MOVE", "1", "Mine")
    theirs.uid("STORE", "2", "+FLAGS", r"(\Deleted)")
    theirs.uid("EXPUNGE", "2")
    result = copy(old, new, tmp_path)
    assert (result.status, result.messages_copied, result.messages_away) == (0, 0, 2), result.log
    assert {name: len(v) for name, v in look(new.imap(ANN)).items()} == {"INBOX": 0, "Work": 8, "Mine": 1}


def test_a_target_that_refuses_a_keyword_gets_the_message_without_it(tmp_path):
    def listing(server, tag, line):
        return server._ordinary("FETCH", tag, line).replace(b"UID 3 FLAGS ()", b"UID 3 FLAGS (\\Seen Label)")

    def append(server, tag, line):
        return tag + b" NO no such keyword\r\n" if b"Label" in line else server._ordinary("APPEND", tag, line)
    with FakeImap(MAILS[:20], {"FETCH": listing}) as source, FakeImap([], {"APPEND": append}) as target:
        result = go(source, target, tmp_path)
        assert (result.status, result.messages_copied, result.messages_reduced) == (1, 20, 1), result.log
        assert sorted(target.appended) == sorted(MAILS[:20]) and b'(\\Seen) "' in target.received
        assert go(source, target, tmp_path, "--accept=E-FLAG").status == 0
