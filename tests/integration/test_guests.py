# SPDX-License-Identifier: ISC
"""The guests themselves: every mail server that the other tests rely on does its basic work."""
import os
import smtplib
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from lib import smtp
from lib.sendmail import socketmap
from lib.socketmap import ScriptedSocketMap
from lib.wait import Timeout, free_port, listens, wait_for

ANN, BOB = "ann@example.org", "bob@example.org"
LIB = Path(__file__).resolve().parent / "lib"


def tokens(messages):
    return sorted(m.data.split(b"Subject: ")[1].split(b"\r\n")[0].decode() for m in messages)


def test_dovecot_takes_by_lmtp_and_shows_by_imap(dovecot):
    server = dovecot()
    server.deliver(ANN, smtp.message("one"))
    found = server.messages(ANN)
    assert tokens(found) == ["one"]
    assert (found[0].folder, found[0].uid, found[0].flags) == ("INBOX", 1, frozenset())
    assert found[0].data.endswith(b"\r\n\r\none line 1\r\none line 2\r\none line 3\r\n")
    assert len(server.maildir_files(ANN)) == 1
    assert server.messages(BOB) == []


def test_dovecot_knows_its_users(dovecot):
    server = dovecot()
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        server.deliver("nobody@example.org", smtp.message("one"))
    assert refused.value.recipients["nobody@example.org"][0] == 550
    server.add_user("nobody@example.org")
    server.deliver("nobody@example.org", smtp.message("two"))
    assert tokens(server.messages("nobody@example.org")) == ["two"]
    server.deliver("Ann+Detail@example.org", smtp.message("three"))
    assert tokens(server.messages(ANN)) == ["three"]


def test_dovecot_imap_with_tls_and_master_user(dovecot):
    server = dovecot()
    client = server.imap(ANN, tls=True, master=True)
    assert client.create("Archive")[0] == "OK"
    assert client.append("Archive", "(\\Seen)", None, smtp.message("kept"))[0] == "OK"
    client.logout()
    found = server.messages(ANN)
    assert [(m.folder, m.flags) for m in found] == [("Archive", {"\\Seen"})]


def test_dovecot_keeps_mail_over_stop_and_kill(dovecot):
    server = dovecot()
    server.deliver(ANN, smtp.message("one"))
    server.stop()
    assert not listens(server.lmtp_port)
    server.start()
    server.deliver(ANN, smtp.message("two"))
    server.kill()
    server.start()
    assert tokens(server.messages(ANN)) == ["one", "two"]


def test_courier_shows_what_was_delivered_and_appended(courier):
    server = courier()
    server.deliver(ANN, smtp.message("one"))
    client = server.imap(ANN)
    assert client.create("INBOX.Archive")[0] == "OK"
    assert client.append("INBOX.Archive", "(\\Seen)", None, smtp.message("kept"))[0] == "OK"
    client.logout()
    server.kill()
    server.start()
    assert [(m.folder, m.flags) for m in server.messages(ANN)] == [("INBOX", frozenset()), ("INBOX.Archive", {"\\Seen"})]
    assert server.messages(BOB) == []


def test_postfix_relays_to_dovecot(dovecot, postfix):
    target = dovecot()
    mx = postfix(start=False, main={"relay_domains": "example.org"})
    mx.main["transport_maps"] = mx.table("transport", {"example.org": f"lmtp:inet:127.0.0.1:{target.lmtp_port}"})
    mx.main["relay_recipient_maps"] = mx.table("recipients", {ANN: "x"})
    mx.start()
    outcome = smtp.send(mx.smtp_port, "a@example.net", [ANN, "none@example.org"], smtp.message("one"))
    assert outcome.accepted == [ANN]
    assert outcome.rcpts["none@example.org"].code == 550
    mx.wait_empty()
    assert tokens(target.messages(ANN)) == ["one"]
    assert mx.query(mx.main["relay_recipient_maps"], BOB) is None


def test_postfix_queues_flushes_and_reloads(dovecot, postfix):
    target = dovecot()
    mx = postfix(start=False, main={"relay_domains": "example.org", "minimal_backoff_time": "1h",
                                    "maximal_backoff_time": "2h", "queue_run_delay": "1h"})
    mx.main["transport_maps"] = f"inline:{{ example.org=lmtp:inet:127.0.0.1:{target.lmtp_port} }}"
    mx.start()
    target.stop()
    assert smtp.send(mx.smtp_port, "a@example.net", [ANN], smtp.message("one")).accepted == [ANN]
    wait_for(lambda: mx.queue() and mx.queue()[0]["queue_name"] == "deferred", 20, "a deferred message")
    assert mx.queue()[0]["recipients"][0]["address"] == ANN
    assert ANN in mx.mailq()
    target.start()
    mx.reload()
    mx.flush()
    mx.wait_empty()
    assert tokens(target.messages(ANN)) == ["one"]
    mx.stop()
    mx.start()
    mx.sendmail("a@example.net", [ANN], "Subject: two\n\nlocal\n")
    wait_for(lambda: len(target.messages(ANN)) == 2, 20, "the second message")


def test_sendmail_relays_to_dovecot(dovecot, sendmail):
    target = dovecot()
    mx = sendmail(mailers={"old": target.lmtp_port}, lmtp=["old"], mailertable={"example.org": "old:[127.0.0.1]"})
    assert "mailer old, host [127.0.0.1]" in mx.resolve(ANN)
    assert smtp.send(mx.smtp_port, "a@example.net", [ANN, BOB], smtp.message("one")).accepted == [ANN, BOB]
    mx.wait_empty()
    assert tokens(target.messages(ANN)) == tokens(target.messages(BOB)) == ["one"]


def test_sendmail_is_built_with_socket_map_and_milter(sendmail):
    mx = sendmail(start=False)
    shown = mx.run("/usr/libexec/sendmail/sendmail", "-C", "/dev/null", "-d0.1", "-bp", check=False).stdout
    assert "SOCKETMAP" in shown and "MILTER" in shown


def test_sendmail_routes_by_socket_map(scripted, sendmail):
    old, new = scripted(), scripted()
    answers = {f"ldapmh {ANN}": "OK old.route", f"ldapmh {BOB}": "OK new:[127.0.0.1]",
               "ldapmh eve@example.org": "TEMP later"}
    with ScriptedSocketMap(answers) as maps:
        mx = sendmail(mailers={"old": old.port, "new": new.port}, ldap_route_domains=["example.org"],
                      mailertable={"old.route": "old:[127.0.0.1]"},
                      mailhost_map=socketmap(maps.port))
        addresses = [ANN, "Bob@Example.org", "ann+detail@example.org", "nobody@example.org", "eve@example.org"]
        codes = {a: smtp.send(mx.smtp_port, "a@example.net", a, b"x\n").rcpts[a].code for a in addresses}
        assert list(codes.values()) == [250, 250, 250, 550, 451]
        mx.wait_empty()
    assert sorted(m.recipients[0] for m in old.messages) == ["ann+detail@example.org", ANN]
    assert [m.recipients[0] for m in new.messages] == ["Bob@Example.org"]


def test_sendmail_defers_while_its_milter_is_down(sendmail):
    mx = sendmail(milters={"coexist": f"inet:{free_port()}@127.0.0.1"})
    with smtp.Client(mx.smtp_port) as client:
        replies = [client.greeting, client.ehlo(), client.cmd("MAIL FROM:<a@example.net>")]
    assert any(400 <= reply.code < 500 for reply in replies), replies


def test_exim_relays_to_dovecot(dovecot, exim):
    target = dovecot()
    mx = exim(routes={"example.org": ("lmtp", target.lmtp_port)})
    assert smtp.send(mx.smtp_port, "a@example.net", [ANN], smtp.message("one")).accepted == [ANN]
    mx.wait_empty()
    assert tokens(target.messages(ANN)) == ["one"]


def test_cyrus_logs_in_and_appends(cyrus):
    server = cyrus()
    client = server.imap(ANN, tls=True)
    assert client.append("INBOX", "(\\Flagged)", None, smtp.message("one"))[0] == "OK"
    client.logout()
    server.deliver(ANN, smtp.message("two"))
    found = server.messages(ANN)
    assert [(m.uid, m.flags) for m in found] == [(1, {"\\Flagged"}), (2, frozenset())]
    assert server.imap(ANN, admin=True).select()[1] == [b"2"]
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        server.deliver("nobody@example.org", smtp.message("three"))


def test_instances_do_not_see_each_other(dovecot):
    first, second = dovecot(), dovecot()
    first.deliver(ANN, smtp.message("one"))
    assert len(first.messages(ANN)) == 1 and second.messages(ANN) == []


def test_nothing_stays_behind(dovecot, postfix):
    servers = [dovecot(), postfix()]

    def mounts():
        paths = [str(path) for server in servers for path in (server.tree, server.dir)]
        return [line for line in Path("/proc/mounts").read_text().splitlines() if any(p in line for p in paths)]

    inits = [int((s.dir / "init.pid").read_text()) for s in servers]
    assert mounts() == []
    for server in servers:
        server.kill()
    # At once: whoever starts a guest again must not meet the locks of the one before.
    assert [pid for pid in inits if Path(f"/proc/{pid}").exists()] == []
    assert mounts() == []


def test_guests_die_with_the_process_that_started_them(tmp_path):
    code = (f"import sys; sys.path.insert(0, {str(LIB.parent)!r})\n"
            "from lib.dovecot import Dovecot\n"
            f"Dovecot({str(tmp_path / 'd')!r}).start()\n"
            "import os; os.kill(os.getpid(), 9)\n")
    subprocess.run([sys.executable, "-c", code], check=False)
    pid = int((tmp_path / "d" / "init.pid").read_text())
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"), 30, "the guest to end")


def test_scripted_peer_follows_its_script(scripted):
    go = threading.Event()
    target = scripted({"rcpt": {BOB: "550 5.1.1 not here"}, "dot": [smtp.wait(go), "452 4.3.1 full", smtp.close()]})
    answers = []
    first = threading.Thread(target=lambda: answers.append(smtp.send(target.port, "", [ANN, BOB], b"x\n.y\n")))
    first.start()
    assert target.reached("dot").wait(20)
    assert target.messages == [] and answers == []
    go.set()
    first.join(30)
    assert answers[0].accepted == [ANN] and answers[0].rcpts[BOB].code == 550
    assert [(m.recipients, m.data) for m in target.messages] == [([ANN], b"x\r\n.y\r\n")]
    assert smtp.send(target.port, "", [ANN], b"x\n").data.code == 452
    assert smtp.send(target.port, "", [ANN], b"x\n").data == smtp.CLOSED
    assert "MAIL FROM:<>" in target.commands()
    target.stop()
    assert not listens(target.port)


def test_scripted_lmtp_answers_per_recipient(scripted):
    target = scripted({"dot": {BOB: "450 4.2.1 busy"}}, lmtp=True)
    outcome = smtp.send(target.port, "a@example.net", [ANN, BOB], b"x\n", lmtp=True)
    assert outcome.accepted == [ANN]
    assert [m.recipients for m in target.messages] == [[ANN]]


def test_waiting_names_what_did_not_happen():
    with pytest.raises(Timeout, match="waited 0.1 s for pigs to fly"):
        wait_for(lambda: False, 0.1, "pigs to fly")
