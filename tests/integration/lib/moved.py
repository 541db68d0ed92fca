# SPDX-License-Identifier: ISC
"""A user who has been cut over, and where his mail is.

    moved                                a fixture: ann is on new and done; .old .new are Dovecots, ten messages in
                                         INBOX (m0 to m9), five in Work (w0 to w4)
    counts(moved.new)                    {folder: messages}
    shas(moved.new)                      {folder: [SHA-256, ...]}, sorted
    late(moved.old, "INBOX", "subject")  a message that comes there by itself
    move(moved.new, "INBOX", "1:3", "Work")
    expunge(moved.new, "INBOX", "1:3")   for ever
    uids(moved.new, "INBOX")             of all messages there, as texts
"""
import pytest

from . import mailbox
from .cutover import ANN, cutover, imap_servers
from .mailbox import Mail, fill, look, message


@pytest.fixture
def moved(dovecot, site, tmp_path):
    old, new = dovecot("old"), dovecot("new")
    made = site(imap_servers(tmp_path, old=old, new=new))
    made.init({ANN: "old"})
    made.old, made.new = old, new
    fill(old.imap(ANN), {"INBOX": [Mail(message(f"m{i}")) for i in range(10)],
                         "Work": [Mail(message(f"w{i}")) for i in range(5)]})
    done = cutover(made)
    assert done.status == 0, done.log
    return made


def counts(server):
    return {name: len(mails) for name, mails in look(server.imap(ANN)).items()}


def shas(server):
    return {name: sorted(mail.sha for mail in mails) for name, mails in look(server.imap(ANN)).items()}


def late(server, folder, subject):
    fill(server.imap(ANN), {folder: [Mail(message(subject))]})


def uids(server, folder):
    client = server.imap(ANN)
    client.select(folder, readonly=True)
    return client.uid("SEARCH", "ALL")[1][0].decode().split()


def move(server, folder, uids, to):
    client = server.imap(ANN)
    client.select(folder)
    status, answer = client.uid("MOVE", uids, to)
    assert status == "OK", answer


def expunge(server, folder, uids):
    mailbox.expunge(server.imap(ANN), folder, uids)
