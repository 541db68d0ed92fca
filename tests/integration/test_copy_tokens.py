# SPDX-License-Identifier: ISC
"""Only what has changed is asked for, by whatever the servers offer."""
import pytest
from lib.cutover import ANN, cutover, imap_servers
from lib.fakeimap import CAPABILITIES, FakeImap
from lib.imap import quoted
from lib.mailbox import Mail, copy, fill, look, message, same, to_wire
from lib.proxy import Proxy

# What a server does not offer, or a proxy in front of it does not let through.
HIDDEN = {"all": [], "no-qresync": ["QRESYNC"], "no-esearch": ["QRESYNC", "ESEARCH"],
          "neither": ["QRESYNC", "CONDSTORE", "ESEARCH"]}
SEPARATOR = {"dovecot": ".", "cyrus": "/"}


def store(client, folder, uids, how, flags):
    client.select(quoted(to_wire(folder)))
    assert client.uid("STORE", uids, how, f"({flags})")[0] == "OK"


@pytest.mark.parametrize("kind", SEPARATOR)
@pytest.mark.parametrize("offer", HIDDEN)
def test_changes_by_each_way(request, dovecot, tmp_path, kind, offer):
    old = Proxy(request.getfixturevalue(kind)("old"), hide=HIDDEN[offer])
    new, separator = dovecot("new", separator="/"), SEPARATOR[kind]
    client = old.imap(ANN)
    new.imap(ANN).select("INBOX")  # made now, and not in the middle of the copy with another UIDVALIDITY
    fill(client, {"INBOX": [Mail(message(f"m{i}")) for i in range(30)], "Work": [Mail(message("w"))]}, separator)
    assert copy(old, new, tmp_path).status == 0
    store(client, "INBOX", "4:5", "+FLAGS", "\\Seen Later")
    store(client, "INBOX", "9,30", "+FLAGS", "\\Deleted")
    assert client.uid("EXPUNGE", "9,30")[0] == "OK"
    fill(client, {"INBOX": [Mail(message("late"))]}, separator)
    old.forget()
    second = copy(old, new, tmp_path)
    assert second.status == 0, second.log
    assert (second.messages_copied, second.flags_changed, second.messages_deleted, second.messages_skipped) == (1, 2, 2, 26 + 1)
    same(look(old.imap(ANN), separator), look(new.imap(ANN), "/"))
    assert (old.count(rb".*\(QRESYNC \(") > 0) == (offer == "all")
    assert (old.count(rb".*CHANGEDSINCE") > 0) == (offer in ("no-qresync", "no-esearch"))
    assert (old.count(rb"UID SEARCH") > 0) == (offer == "no-qresync")
    store(client, "INBOX", "4", "-FLAGS", "Later")
    third = copy(old, new, tmp_path)
    assert (third.messages_copied, third.flags_changed, third.messages_deleted) == (0, 1, 0), third.log
    same(look(old.imap(ANN), separator), look(new.imap(ANN), "/"))


def test_a_server_that_has_made_its_index_again(dovecot, tmp_path):
    """Its MODSEQs begin anew under the same UIDs: all is listed, and nothing is copied or taken away because of it."""
    server = dovecot("old")
    old, new = Proxy(server), dovecot("new", separator="/")
    client = old.imap(ANN)
    fill(client, {"INBOX": [Mail(message(f"m{i}")) for i in range(20)]})
    for i in range(1, 21):
        store(client, "INBOX", str(i), "+FLAGS", "\\Flagged")
    client.logout()
    assert copy(old, new, tmp_path).status == 0
    server.stop()
    for index in (server.dir / "var" / "mail" / ANN / "Maildir").glob("dovecot.index*"):
        index.unlink()
    server.start()
    client = old.imap(ANN)
    store(client, "INBOX", "3", "-FLAGS", "\\Flagged")
    fill(client, {"INBOX": [Mail(message("late"))]})
    old.forget()
    second = copy(old, new, tmp_path)
    assert (second.status, second.messages_copied, second.messages_adopted, second.messages_deleted, second.flags_changed) == \
        (0, 1, 0, 0, 1), second.log
    assert old.count(rb".*\(UID FLAGS INTERNALDATE\)\r\n") > 0
    same(look(old.imap(ANN)), look(new.imap(ANN), "/"))


def test_a_server_that_remembers_no_modseqs(dovecot, tmp_path):
    """It offers CONDSTORE and QRESYNC, and says NOMODSEQ of each folder."""
    server = dovecot("old", mail_location="maildir:/var/mail/%Lu/Maildir:INDEX=MEMORY")
    old, new = Proxy(server), dovecot("new", separator="/")
    client = old.imap(ANN)
    fill(client, {"INBOX": [Mail(message(f"m{i}")) for i in range(12)]})
    client.select("INBOX")
    assert client.response("NOMODSEQ")[1] != [None]
    assert copy(old, new, tmp_path).status == 0
    store(client, "INBOX", "4:5", "+FLAGS", "\\Seen Later")
    store(client, "INBOX", "9", "+FLAGS", "\\Deleted")
    assert client.uid("EXPUNGE", "9")[0] == "OK"
    fill(client, {"INBOX": [Mail(message("late"))]})
    old.forget()
    second = copy(old, new, tmp_path)
    assert (second.status, second.messages_copied, second.messages_deleted, second.flags_changed) == (0, 1, 1, 2), second.log
    assert old.count(rb".*(\(QRESYNC \(|CHANGEDSINCE)") == 0
    same(look(old.imap(ANN)), look(new.imap(ANN), "/"))


def test_a_hold_lists_what_has_changed(dovecot, site, tmp_path):
    """Opened by the first pass, to list and to read, by the comparison before the hold and twice by the first sweep, which
    looks at all and then counts."""
    folders = 30
    old, new = Proxy(dovecot("old")), Proxy(dovecot("new"))
    place = site(imap_servers(tmp_path, old=old, new=new))
    place.init({ANN: "old"})
    fill(old.imap(ANN), {f"F{i}": [Mail(message(f"m{i}"))] for i in range(folders)})
    done = cutover(place, ANN)
    assert done.status == 0, done.log
    same(look(old.server.imap(ANN, master=True)), look(new.server.imap(ANN, master=True)))
    for server in (old, new):
        assert server.count(rb"EXAMINE") < 5.5 * folders, server.count(rb"EXAMINE")


@pytest.mark.parametrize("told", [b" MESSAGELIMIT=100", b""], ids=["told", "found out"])
def test_a_server_that_answers_for_so_many_at_a_time(dovecot, tmp_path, told):
    """RFC 9738: what is cut is asked for in portions of the server's own number, and nothing is missing."""
    sizes = []

    def fetch(server, tag, line):
        asked = server.asked(line)
        sizes.append(len(asked))
        return b"".join(b'* %d FETCH (UID %d FLAGS () INTERNALDATE "02-Nov-2026 09:00:00 +0000")\r\n' % (u, u)
                        for u in asked[-100:]) + tag + \
            (b" OK [MESSAGELIMIT 100 %d] a part\r\n" % asked[-100] if len(asked) > 100 else b" OK done\r\n")
    new = dovecot("new")
    with FakeImap([b"Subject: %d\r\n\r\nx\r\n" % i for i in range(250)], {"FETCH": fetch},
                  CAPABILITIES + told) as source:
        done = copy(source, new, tmp_path)
        assert (done.status, done.messages_copied) == (0, 250), done.log
        assert sizes == ([] if told else [250]) + [100, 100, 50]
        again = copy(source, new, tmp_path)
        assert (again.status, again.messages_copied, again.messages_deleted) == (0, 0, 0), again.log
    assert len(new.messages(ANN)) == 250
