# SPDX-License-Identifier: ISC
"""A server that was restored from a backup gives UIDs a second time, under the same UIDVALIDITY."""
import collections

import pytest
from lib.imap import quoted
from lib.mailbox import Mail, copy, expunge, fill, look, message
from lib.restored import back_up, restore, work

ANN = "ann@example.org"
SEPARATOR = {"dovecot": ".", "cyrus": "/"}
# What the server offers decides how the copy finds out.
PLAIN = "IMAP4rev1 SASL-IR LITERAL+ UIDPLUS MULTIAPPEND LIST-EXTENDED LIST-STATUS SPECIAL-USE"
SERVERS = {
    "dovecot": ("dovecot", ""),
    "dovecot-condstore": ("dovecot", f"imap_capability = {PLAIN} ENABLE CONDSTORE ESEARCH\n"),
    "dovecot-plain": ("dovecot", f"imap_capability = {PLAIN}\n"),
    "cyrus": ("cyrus", ""),
    "cyrus-condstore": ("cyrus", "suppress_capabilities: QRESYNC\n"),
    "cyrus-plain": ("cyrus", "suppress_capabilities: QRESYNC CONDSTORE ESEARCH\n"),
}


def flag(server, uid):
    client = server.imap(ANN)
    client.select(quoted("INBOX"))
    assert client.uid("STORE", uid, "+FLAGS", "(\\Flagged)")[0] == "OK"
    client.logout()


# UIDNEXT tells it as long as less mail has come than was lost, MODSEQ also later.
GIVEN = [(what, 2) for what in SERVERS] + [(what, n) for what in SERVERS if "plain" not in what for n in (4, 7)]


@pytest.mark.parametrize("what,n_later", GIVEN)
def test_uids_are_given_again(request, dovecot, tmp_path, what, n_later):
    kind, conf = SERVERS[what]
    old, new = request.getfixturevalue(kind)("old", conf=conf), dovecot("new")
    separator = SEPARATOR[kind]
    fill(old.imap(ANN), {"INBOX": [Mail(message(f"m{i}")) for i in range(6)], "Work": [Mail(message("w"))]}, separator)
    back_up(old)
    fill(old.imap(ANN), {"INBOX": [Mail(message(f"lost{i}")) for i in range(4)]}, separator)
    flag(old, "2")
    work(old.imap(ANN), "INBOX")
    first = copy(old, new, tmp_path)
    assert (first.status, first.messages_copied) == (0, 11), first.log
    # The flag is gone, four messages are, and others have the UIDs of those.
    restore(old)
    fill(old.imap(ANN), {"INBOX": [Mail(message(f"later{i}")) for i in range(n_later)]}, separator)
    second = copy(old, new, tmp_path)
    assert (second.status, second.messages_copied, second.messages_deleted) == (0, n_later, 0), second.log
    # What the restore took away is kept, messages and flags: nobody has deleted it.
    want, got = look(old.imap(ANN), separator), look(new.imap(ANN))
    there = collections.Counter(mail.sha for mail in got["INBOX"])
    assert not collections.Counter(mail.sha for mail in want["INBOX"]) - there
    assert there.total() == len(there) == 10 + n_later
    assert want["Work"] == got["Work"]
    third = copy(old, new, tmp_path, "--verify")
    assert (third.status, third.messages_copied, third.messages_deleted) == (0, 0, 0), third.log


TARGETS = [(what, n) for what in SERVERS for n in ((2, 4, 7) if "plain" not in what else (2,))]


@pytest.mark.parametrize("what,n_own", TARGETS)
def test_the_target_gives_its_uids_again(request, dovecot, tmp_path, what, n_own):
    """What it has lost comes again, and what its user has under the UIDs of that is left alone."""
    kind, conf = SERVERS[what]
    old, new = dovecot("old"), request.getfixturevalue(kind)("new", conf=conf)
    separator = SEPARATOR[kind]
    fill(old.imap(ANN), {"INBOX": [Mail(message(f"m{i}")) for i in range(6)], "Work": [Mail(message("w"))]}, ".")
    assert copy(old, new, tmp_path).messages_copied == 7
    back_up(new)
    fill(old.imap(ANN), {"INBOX": [Mail(message(f"after{i}")) for i in range(4)]}, ".")
    assert copy(old, new, tmp_path).messages_copied == 4
    work(new.imap(ANN), "INBOX")
    # A pass that finds nothing new knows what numbers there were.
    assert copy(old, new, tmp_path).messages_copied == 0
    restore(new)
    fill(new.imap(ANN), {"INBOX": [Mail(message(f"own{i}")) for i in range(n_own)]}, separator)
    # Without a look these would be done to what the user has.
    flag(old, "7")
    expunge(old.imap(ANN), "INBOX", "8")
    third = copy(old, new, tmp_path)
    assert (third.status, third.messages_copied, third.messages_deleted) == (0, 3, 0), third.log
    want, got = look(old.imap(ANN)), look(new.imap(ANN), separator)
    own = [seen for seen in got["INBOX"] if seen.sha not in {mail.sha for mail in want["INBOX"]}]
    assert len(own) == n_own and not any("\\flagged" in seen.flags for seen in own)
    assert len(got["INBOX"]) == 9 + n_own and got["Work"] == want["Work"]
    there = {seen.sha: "\\flagged" in seen.flags for seen in got["INBOX"]}
    assert all(there[seen.sha] == ("\\flagged" in seen.flags) for seen in want["INBOX"])
    fourth = copy(old, new, tmp_path, "--verify")
    assert (fourth.status, fourth.messages_copied, fourth.messages_deleted) == (0, 0, 0), fourth.log
