# SPDX-License-Identifier: ISC
"""SIZE and 8BITMIME: what one server does not take costs no mail for another."""
import signal

import pytest

from lib.relay import Gate, body_of, envelope
from lib.smtp import send, wire
from lib.wait import wait_for

SMALL, BIG = 70000, 200000
ROOM = 1408     # what the offer leaves for our own fields
EIGHT = b"Subject: a\r\n\r\n\xe4\xf6\xfc \xff\r\n.\r\n"


def text_of(size):
    text = b"A: b\r\n\r\n"
    while len(text) < size:
        n = min(900, size - len(text))
        n -= size - len(text) - n == 1      # a line has two bytes at least
        text += b"x" * (n - 2) + b"\r\n"
    assert len(text) == size
    return text


def two_sizes(site, scripted, old=f"SIZE {SMALL}", new=f"SIZE {BIG}", **kwargs):
    gate = Gate(site, scripted, start=False, **kwargs)
    gate.old.extensions = ["PIPELINING", "8BITMIME", *([old] if old else [])]
    gate.new.extensions = ["PIPELINING", "8BITMIME", *([new] if new else [])]
    gate.site.start("relay")
    return gate


def offered(gate):
    with gate.client() as c:
        return next(int(f.split()[1]) for f in c.features if f.startswith("SIZE "))


def wait_offered(gate, size):
    wait_for(lambda: offered(gate) == size, 30, f"SIZE {size}")


def test_the_most_able_server_is_offered(site, scripted):
    gate = two_sizes(site, scripted)
    wait_offered(gate, BIG - ROOM)


@pytest.mark.parametrize("old,new", [(None, "SIZE 70000"), ("SIZE 0", "SIZE 70000"), ("SIZE", "SIZE 70000")])
def test_a_server_without_a_limit_takes_all(site, scripted, old, new):
    gate = two_sizes(site, scripted, old, new, settings={"message_size_max": "100k"})
    gate.send("ann@example.org"), gate.send("cat@example.org")
    assert offered(gate) == 102400
    assert gate.send("ann@example.org", text=text_of(102400), mail_args=" SIZE=102400").data.code == 250


def test_a_server_that_is_down_takes_nothing_away(site, scripted):
    gate = Gate(site, scripted, start=False)
    gate.old.extensions = [f"SIZE {SMALL}"]
    gate.new.stop()
    gate.site.start("relay")
    assert gate.send("ann@example.org").data.code == 250
    for _ in range(2):
        with gate.client() as c:
            assert "8BITMIME" in c.features and f"SIZE {50 << 20}" in c.features
        before = len(gate.events("worker_ready"))
        gate.site.signal("relay", signal.SIGHUP)
        wait_for(lambda: len(gate.events("worker_ready")) > before, 20, "the new worker")


def our_fields(gate, recipient, declared):
    """How many bytes the relay puts in front of a message for this recipient."""
    text = b"A: b\r\n\r\n"
    assert gate.send(recipient, text=text, mail_args=" SIZE=8" if declared else "").data.code == 250
    server = gate.new if recipient.startswith("cat") else gate.old
    return len(server.messages[-1].data) - len(text)


@pytest.mark.parametrize("lmtp", [False, True])
@pytest.mark.parametrize("over", [-1, 0, 1])
def test_declared_size_at_a_servers_limit(site, scripted, over, lmtp):
    gate = two_sizes(site, scripted, lmtp=lmtp)
    size = SMALL - our_fields(gate, "ann@example.org", True) + over
    with gate.client() as c:
        assert c.cmd(f"MAIL FROM:<s@example.net> SIZE={size}").code == 250
        replies = [c.cmd("RCPT TO:<ann@example.org>"), c.cmd("RCPT TO:<cat@example.org>")]
        if over > 0:
            assert (replies[0].code, replies[0].text[:5], replies[1].code) == (552, "5.3.4", 250)
        else:
            assert (replies[0].code, replies[1].code) == (250, 452)
        assert c.cmd("DATA").code == 354
        c.write(wire(text_of(size)))
        assert c.reply().code == 250
    server = gate.new if over > 0 else gate.old
    data = server.messages[-1].data
    assert body_of(data) == text_of(size) and len(data) == (SMALL + over if over <= 0 else len(data))
    assert [line for line in server.commands() if "SIZE=" in line][-1].endswith(f"SIZE={len(data)}")


@pytest.mark.parametrize("lmtp", [False, True])
@pytest.mark.parametrize("declared", ["", " SIZE=1000"])
@pytest.mark.parametrize("over", [-1, 0, 1])
def test_undeclared_size_at_a_servers_limit(site, scripted, over, declared, lmtp):
    """Also when MAIL told a lie: what really comes counts, and the next message goes on."""
    gate = two_sizes(site, scripted, lmtp=lmtp)
    text = text_of(SMALL - our_fields(gate, "ann@example.org", False) + over)
    with gate.client() as c:
        outcome = c.transaction("s@example.net", ["ann@example.org"], text, mail_args=declared)
        assert outcome.data.code == (552 if over > 0 else 250), outcome
        if over > 0:
            assert outcome.data.text.startswith("5.3.4 ") and "old" in outcome.data.text
        assert c.transaction("s@example.net", ["cat@example.org"], text).data.code == 250
    assert [len(m.data) for m in gate.old.messages if len(m.data) > 1000] == ([] if over > 0 else [SMALL + over])
    assert body_of(gate.new.messages[-1].data) == text


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("over", [-1, 0, 1])
def test_what_was_offered_is_kept(site, scripted, over, declared):
    gate = two_sizes(site, scripted, new=f"SIZE {SMALL - 5000}")
    wait_offered(gate, SMALL - ROOM)
    size = SMALL - ROOM + over
    outcome = gate.send("ann@example.org", text=text_of(size), mail_args=f" SIZE={size}" if declared else "")
    assert (outcome.data or outcome.mail).code == (552 if over > 0 else 250), outcome
    assert all(len(m.data) <= SMALL for m in gate.old.messages)


def test_many_recipients_leave_no_room(site, scripted):
    """Each recipient has its stamp; one that does not fit comes in a transaction of its own."""
    names = [f"u{n}@example.org" for n in range(8)]
    gate = two_sizes(site, scripted, routes=dict.fromkeys(names, "old"))
    size = SMALL - our_fields(gate, names[0], True) - 100
    outcome = gate.send(names, text=text_of(size), mail_args=f" SIZE={size}")
    assert [r.code for r in outcome.rcpts.values()] == [250] * 3 + [452] * 5 and outcome.data.code == 250
    assert len(gate.old.messages[-1].data) <= SMALL


def test_8bit_content_goes_as_it_is(site, scripted):
    gate = Gate(site, scripted, start=False)
    gate.old.extensions = ["PIPELINING"]
    gate.site.start("relay")
    for recipient, server in (("ann@example.org", gate.old), ("cat@example.org", gate.new)):
        for declared in (" BODY=8BITMIME", ""):
            with gate.client() as c:
                assert "8BITMIME" in c.features
                assert c.transaction("s@example.net", [recipient], EIGHT, mail_args=declared).data.code == 250
            assert body_of(server.messages[-1].data) == EIGHT
            mail = [line for line in server.commands() if line.startswith("MAIL")][-1]
            assert ("BODY=8BITMIME" in mail) == (server is gate.new and declared != ""), mail


@pytest.mark.parametrize("lmtp", [False, True])
def test_8bit_content_refused_for_one_server(site, scripted, lmtp):
    gate = Gate(site, scripted, start=False, server={"eight_bit": "refuse"}, lmtp=lmtp)
    gate.old.extensions = ["PIPELINING"]
    gate.site.start("relay")
    with gate.client() as c:
        assert c.cmd("MAIL FROM:<s@example.net> BODY=8BITMIME").code == 250
        reply = c.cmd("RCPT TO:<ann@example.org>")
        assert (reply.code, reply.text[:5]) == (554, "5.6.3")
        assert c.cmd("RCPT TO:<cat@example.org>").code == 250
        assert c.cmd("DATA").code == 354
        c.write(wire(EIGHT))
        assert c.reply().code == 250
        # Undeclared: when it comes, wherever it comes.
        for text in (EIGHT, b"Subject: \xfc\r\n\r\nx\r\n", b"A: b\r\n\r\n" + b"x\r\n" * 100000 + b"\xfc\r\n"):
            reply = c.transaction("s@example.net", ["ann@example.org"], text).data
            assert (reply.code, reply.text[:5]) == (554, "5.6.3")
        assert c.transaction("s@example.net", ["ann@example.org"], b"A: b\r\n\r\n~\x7f\r\n").data.code == 250
    assert len(gate.old.messages) == 1 and body_of(gate.new.messages[-1].data) == EIGHT


def test_server_whose_words_change(site, scripted):
    """Each connection has its own EHLO; what was offered to the client holds."""
    gate = Gate(site, scripted)
    with gate.client() as c:
        gate.old.extensions = ["PIPELINING", "SIZE 9000"]
        for session in gate.old.sessions:
            session.shutdown()
        assert wait_for(lambda: c.transaction("s@example.net", ["ann@example.org"], EIGHT, mail_args=" BODY=8BITMIME").data,
                        30, "a new connection").code == 250
        outcome = c.transaction("s@example.net", ["ann@example.org"], text_of(9000))
        assert (outcome.data.code, outcome.data.text[:5]) == (552, "5.3.4")
        assert envelope(c, "cat@example.org").cmd("RSET").code == 250


def test_postfix_in_front(site, scripted, postfix):
    """8-bit mail and mail for the bigger server pass a real Postfix unchanged, one server being down at start and reload."""
    gate = Gate(site, scripted, start=False)
    gate.new.extensions = ["PIPELINING", "8BITMIME", f"SIZE {50 << 20}"]
    gate.old.stop()
    gate.site.start("relay")
    mx = postfix(main={"relay_domains": "example.org", "relay_transport": f"relay:[127.0.0.1]:{gate.port}",
                       "relay_destination_recipient_limit": "1"})
    body = "Grüße, unverändert\r\n".encode("latin-1") + b"x" * 900 + b"\r\n"
    text = b"Subject: a\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + body
    for n in range(2):
        assert send(mx.smtp_port, "s@example.net", ["cat@example.org"], text, mail_args=" BODY=8BITMIME").data.code == 250
        found = gate.new.wait_messages(n + 1)[n].data
        assert found.endswith(b"\r\n\r\n" + body) and b"\r\nContent-Transfer-Encoding: 8bit\r\n" in found, found
        before = len(gate.events("worker_ready"))
        gate.site.signal("relay", signal.SIGHUP)
        wait_for(lambda: len(gate.events("worker_ready")) > before, 20, "the new worker")
    # Now the small one is there, and says so.
    gate.old.extensions = ["PIPELINING", "SIZE 1000000"]
    gate.old.start()
    wait_for(lambda: gate.send("ann@example.org").data, 60, "the old server")
    big = text_of(2_000_000)
    assert send(mx.smtp_port, "s@example.net", ["cat@example.org"], big, mail_args=" SIZE=2000000").data.code == 250
    assert len(gate.new.wait_messages(3)[2].data) > 2_000_000
    assert gate.events("rcpt_refuse") == []
