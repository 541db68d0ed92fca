# SPDX-License-Identifier: ISC
"""Mailboxes that show nothing, or less than their quota says, and targets that have no room: somebody looks before anything is lost."""
import json
import threading

import pytest
from lib.cutover import ANN, cutover, entry, imap_servers, sync
from lib.fakeimap import CAPABILITIES, FakeImap
from lib.mailbox import Mail, argv, copy, fill, look, message, run, same
from test_copy_items import command, items, mails, target

BOB, CAT = "bob@example.org", "cat@example.org"
# What is told over IMAP; without a rule nothing is kept.
TOLD = "mail_plugins = quota\nprotocol imap {\n  mail_plugins = $mail_plugins imap_quota\n}\n"


def quota(limit, more=""):
    return TOLD + f"plugin {{\n  quota = count:User quota\n  quota_vsizes = yes\n  quota_rule = *:storage={limit}\n{more}}}\n"


def large(n):
    return [Mail(message(f"m{i}", ("x" * 70 + "\r\n") * 1000)) for i in range(n)]


def test_a_target_that_is_too_small(dovecot, tmp_path):
    """It is told with the numbers, and nothing is sent before somebody has accepted that."""
    old, new = dovecot("old", conf=quota("100M")), dovecot("new", conf=quota("1M"))
    fill(old.imap(ANN), {"INBOX": large(30)})
    done = copy(old, new, tmp_path)
    assert done.status == 73 and "E-QUOTA: 2.1 MiB in 30 messages are to be sent, and its quota leaves 1.0 of 1.0 MiB" in done.log, done.log
    assert not look(new.imap(ANN))["INBOX"]
    [item] = items(tmp_path)
    assert (item["code"], item["class"], item["folder"]) == ("E-QUOTA", "withheld", "(quota)")
    # As far as it goes.
    assert command(tmp_path, "accept", "E-QUOTA", "--why=there will be more")[0] == 0
    done = copy(old, new, tmp_path)
    assert done.status == 73 and "OVERQUOTA" in done.log, done.log
    assert 5 < len(look(new.imap(ANN))["INBOX"]) < 30
    new.stop()
    new.conf = quota("10M")
    new.start()
    done = copy(old, new, tmp_path)
    assert (done.status, done.items_accepted) == (0, 0), done.log
    same(look(old.imap(ANN)), look(new.imap(ANN)))
    assert {i["state"] for i in items(tmp_path, "--all")} == {"gone"}


def test_a_quota_that_nobody_has_set(dovecot, tmp_path):
    """And a mailbox that is new: only that is asked about, and by the name of its code."""
    old, new = dovecot("old", conf=TOLD), dovecot("new", conf=TOLD)
    assert b"QUOTA" in old.imap(ANN).capability()[1][0]
    done = copy(old, new, tmp_path)
    assert (done.status, [(e["code"], e["folder"]) for e in done.exceptions]) == (1, [("E-EMPTY", "INBOX")]), done.log
    assert copy(old, new, tmp_path, "--accept=E-EMPTY").status == 0
    assert copy(old, new, tmp_path).status == 0
    fill(old.imap(ANN), {"INBOX": [Mail(message("first"))]})
    done = copy(old, new, tmp_path)
    assert (done.status, done.messages_copied, done.items_accepted) == (0, 1, 0), done.log


@pytest.mark.parametrize("name, offers, reply, is_told", [
    ("masked", b"", b"", False),
    ("of nothing", b" QUOTA", b'* QUOTAROOT INBOX ""\r\n* QUOTA "" (STORAGE 0 0 MESSAGE 0 0)\r\n{tag} OK\r\n', False),
    ("refused", b" QUOTA", b"{tag} NO not here\r\n", False),
    ("not to be read", b" QUOTA", b"* QUOTA User quota (STORAGE lots)\r\n{tag} OK\r\n", False),
    ("as it is", b" QUOTA", b'* QUOTA "" (STORAGE 1 1000 MESSAGE 4 1000)\r\n{tag} OK\r\n', False),
    ("much more", b" QUOTA", b'* QUOTA "" (STORAGE 100000 200000)\r\n{tag} OK\r\n', True),
])
def test_what_a_server_says(tmp_path, name, offers, reply, is_told):
    script = {"GETQUOTAROOT": reply} if reply else {}
    with FakeImap(mails(4), script, capabilities=CAPABILITIES + offers) as source, target(()) as new:
        done = run(argv(source, new, tmp_path))
        assert (done.status, done.messages_copied, done.items_withheld) == (int(is_told), 4, int(is_told)), done.log
        assert (b"GETQUOTAROOT" in source.received) == bool(offers)
        assert done.lines_unread == 0, done.log
        if not is_told:
            # A copy that has been through once asks no more.
            source.received = b""
            assert run(argv(source, new, tmp_path)).status == 0 and b"GETQUOTAROOT" not in source.received
            return
        [item] = items(tmp_path)
        assert (item["code"], item["folder"]) == ("E-EMPTY", "(quota)") and "97.7 MiB" in item["error"], item
        assert command(tmp_path, "accept", "--code=E-EMPTY", "--why=the rest is a calendar")[0] == 0
        done = run(argv(source, new, tmp_path))
        assert (done.status, done.items_accepted) == (0, 1), done.log


def test_a_source_that_tells_no_sizes_of_folders(tmp_path):
    """Without STATUS=SIZE and without a quota of its own the sizes of its messages are asked for, and nothing is sent in vain."""
    many = [b"Subject: %d\r\n\r\n%b\r\n" % (i, b"x" * 2000) for i in range(4)]
    reply = b'* QUOTA "" (STORAGE 9995 10000)\r\n{tag} OK\r\n'
    with FakeImap(many) as source, FakeImap(script={"GETQUOTAROOT": reply}, capabilities=CAPABILITIES + b" QUOTA") as new:
        done = run(argv(source, new, tmp_path))
        assert done.status == 73 and "E-QUOTA: 0.0 MiB in 4 messages are to be sent, and its quota leaves 0.0 of 9.8 MiB" in done.log, done.log
        assert not new.appended
        # What a filter leaves out needs no room.
        done = run(argv(source, new, tmp_path, "--without-flag=keyword", "--max-size=1k"))
        assert done.status != 73 and not new.appended, done.log


def test_a_decision_while_it_is_copied(tmp_path):
    """It counts for the pass that is under way."""
    asked, go = threading.Event(), threading.Event()

    def body(server, tag, line):
        if len(server.messages) > 4:
            asked.set()
            go.wait(60)
        return server._ordinary("BODY", tag, line)
    with FakeImap(mails(4), {"BODY": body}) as source, target({2}) as new:
        assert run(argv(source, new, tmp_path, "--settle=0s")).status == 1
        wanted = command(tmp_path, "items", "--subjects", "--source", f"imap://ann%40example.org@127.0.0.1:{source.imap_port}/",
                         "--source-password-file", tmp_path / "source.password")
        assert wanted[0] == 1 and '2026-11-02T09:00:00Z, "2", 25 octets' in wanted[1], wanted
        assert '"2"' not in command(tmp_path, "items")[1]
        source.messages.append(mails(5)[4])
        result = []
        thread = threading.Thread(target=lambda: result.append(run(argv(source, new, tmp_path, "--settle=0s", "--timeout=60s"))))
        thread.start()
        assert asked.wait(60)
        status, out, err = command(tmp_path, "accept", "--code=E-REFUSED", "--why=spam")
        go.set()
        thread.join()
        assert status == 0 and "somebody is at work" in out, (out, err)
        # What was told before it is counted.
        assert (result[0].status, result[0].items_accepted) == (1, 1), result[0].log
        done = run(argv(source, new, tmp_path, "--settle=0s"))
        assert (done.status, done.items_accepted, len(new.messages)) == (0, 1, 4), done.log
        assert items(tmp_path) == [] and items(tmp_path, "--all")[0]["reason"] == "spam"


def test_cut_overs(dovecot, site, tmp_path):
    """One that has just come, one who is accepted with the command, and a shared mailbox that was emptied by accident in between."""
    limit = quota("100M", "  quota_max_mail_size = 50k\n")
    users = {ANN: "ann-secret", BOB: "bob-secret", CAT: "cat-secret"}
    old, new = dovecot("old", users=users), dovecot("new", users=users, conf=limit)
    place = site(imap_servers(tmp_path, old=old, new=new))
    place.init({user: "old" for user in users})
    done = cutover(place, CAT)
    assert done.status not in (0, 1) and "class withheld" in done.log and "holding" not in done.states, done.log
    assert entry(place, CAT)["route"] == "old"
    assert sync(place, "accept", CAT, "E-EMPTY", "--why=has just come").returncode == 0
    done = cutover(place, CAT)
    assert done.status == 0 and entry(place, CAT)["route"] == "new", done.log
    done = cutover(place, BOB, "--accept=E-EMPTY")
    assert done.status == 0 and entry(place, BOB)["route"] == "new", done.log
    # The first copy, which one message keeps from going on.
    fill(old.imap(ANN), {"INBOX": [Mail(message(f"shared {i}")) for i in range(4)] + large(1)})
    done = cutover(place, ANN)
    assert done.status not in (0, 1) and entry(place, ANN)["route"] == "old", done.log
    [item] = json.loads(sync(place, "items", "--json", "--subjects", ANN).stdout)
    assert (item["code"], item["subject"]) == ("E-REFUSED", "m0")
    before = look(new.imap(ANN))
    assert len(before["INBOX"]) == 4
    client = old.imap(ANN)
    client.select()
    client.store("1:*", "+FLAGS", "\\Deleted")
    client.expunge()
    done = cutover(place, ANN, "--delete-percent=100")
    assert done.status not in (0, 1) and "holding" not in done.states, done.log
    assert "E-EMPTY" in [i["code"] for i in json.loads(sync(place, "items", "--json", ANN).stdout)]
    assert look(new.imap(ANN)) == before and entry(place, ANN)["route"] == "old"
    fill(old.imap(ANN), {"INBOX": [Mail(message(f"shared {i}")) for i in range(4)]})  # from the backup
    done = cutover(place, ANN)
    assert done.status == 0 and entry(place, ANN)["route"] == "new", done.log
    assert len(look(new.imap(ANN))["INBOX"]) == 4
