# SPDX-License-Identifier: ISC
"""Only what has changed is asked for, by whatever the servers offer."""
import pytest
from lib.cutover import ANN, cutover, imap_servers
from lib.imap import quoted
from lib.mailbox import Mail, copy, fill, look, message, same, to_wire
from lib.recorder import Recorder

BASE = "imap_capability = IMAP4rev1 SASL-IR LITERAL+ UIDPLUS MULTIAPPEND LIST-EXTENDED LIST-STATUS SPECIAL-USE"
OFFERS = {
    "all": "",
    "no-qresync": BASE + " ENABLE CONDSTORE ESEARCH\n",
    "no-esearch": BASE + " ENABLE CONDSTORE\n",
    "neither": BASE + "\n",
}


def store(client, folder, uids, how, flags):
    client.select(quoted(to_wire(folder)))
    assert client.uid("STORE", uids, how, f"({flags})")[0] == "OK"


@pytest.mark.parametrize("offer", OFFERS)
def test_changes_by_each_way(dovecot, tmp_path, offer):
    old, new = Recorder(dovecot("old", conf=OFFERS[offer])), dovecot("new", separator="/")
    client = old.imap(ANN)
    new.imap(ANN).select("INBOX")  # made now, and not in the middle of the copy with another UIDVALIDITY
    fill(client, {"INBOX": [Mail(message(f"m{i}")) for i in range(30)], "Work": [Mail(message("w"))]})
    assert copy(old, new, tmp_path).status == 0
    store(client, "INBOX", "4:5", "+FLAGS", "\\Seen Later")
    store(client, "INBOX", "9,30", "+FLAGS", "\\Deleted")
    assert client.uid("EXPUNGE", "9,30")[0] == "OK"
    fill(client, {"INBOX": [Mail(message("late"))]})
    before = len(old.said)
    second = copy(old, new, tmp_path)
    assert second.status == 0, second.log
    assert (second.messages_copied, second.flags_changed, second.messages_deleted, second.messages_skipped) == (1, 2, 2, 26 + 1)
    same(look(old.imap(ANN)), look(new.imap(ANN), "/"))
    said = old.said[before:]
    assert (b"(QRESYNC (" in said) == (offer == "all")
    assert (b"CHANGEDSINCE" in said) == (offer in ("no-qresync", "no-esearch"))
    assert (b"UID SEARCH" in said) == (offer == "no-qresync")
    store(client, "INBOX", "4", "-FLAGS", "Later")
    third = copy(old, new, tmp_path)
    assert (third.messages_copied, third.flags_changed, third.messages_deleted) == (0, 1, 0), third.log
    same(look(old.imap(ANN)), look(new.imap(ANN), "/"))


def test_a_hold_lists_what_has_changed(dovecot, site, tmp_path):
    """Opened by the first pass, to list and to read, by the comparison before the hold and by the first sweep."""
    folders = 30
    old, new = Recorder(dovecot("old")), Recorder(dovecot("new"))
    place = site(imap_servers(tmp_path, old=old, new=new))
    place.init({ANN: "old"})
    fill(old.imap(ANN), {f"F{i}": [Mail(message(f"m{i}"))] for i in range(folders)})
    done = cutover(place, ANN)
    assert done.status == 0, done.log
    same(look(old.server.imap(ANN, master=True)), look(new.server.imap(ANN, master=True)))
    for server in (old, new):
        assert server.count(b"EXAMINE") < 4.5 * folders, server.count(b"EXAMINE")
