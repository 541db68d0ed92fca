# SPDX-License-Identifier: ISC
"""A server that was restored from a backup gives UIDs a second time, under the same UIDVALIDITY."""
import collections

import pytest
from lib.imap import quoted
from lib.mailbox import Mail, copy, fill, look, message
from lib.restored import back_up, restore

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


@pytest.mark.parametrize("what", SERVERS)
def test_uids_are_given_again(request, dovecot, tmp_path, what):
    kind, conf = SERVERS[what]
    old, new = request.getfixturevalue(kind)("old", conf=conf), dovecot("new")
    separator = SEPARATOR[kind]
    fill(old.imap(ANN), {"INBOX": [Mail(message(f"m{i}")) for i in range(6)], "Work": [Mail(message("w"))]}, separator)
    back_up(old)
    fill(old.imap(ANN), {"INBOX": [Mail(message(f"lost{i}")) for i in range(4)]}, separator)
    flag(old, "2")
    first = copy(old, new, tmp_path)
    assert (first.status, first.messages_copied) == (0, 11), first.log
    # The flag is gone, four messages are, and two others have the UIDs of those.
    restore(old)
    fill(old.imap(ANN), {"INBOX": [Mail(message(f"later{i}")) for i in range(2)]}, separator)
    second = copy(old, new, tmp_path)
    assert (second.status, second.messages_copied, second.messages_deleted) == (0, 2, 0), second.log
    # What the restore took away is kept, messages and flags: nobody has deleted it.
    want, got = look(old.imap(ANN), separator), look(new.imap(ANN))
    there = collections.Counter(mail.sha for mail in got["INBOX"])
    assert not collections.Counter(mail.sha for mail in want["INBOX"]) - there
    assert there.total() == len(there) == 12
    assert want["Work"] == got["Work"]
    third = copy(old, new, tmp_path, "--verify")
    assert (third.status, third.messages_copied, third.messages_deleted) == (0, 0, 0), third.log
