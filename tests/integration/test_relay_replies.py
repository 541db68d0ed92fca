# SPDX-License-Identifier: ISC
"""What a server says counts, however it says it and whenever: long replies, LF alone, a refusal while content is still being sent,
"too many recipients".  What we say ourselves keeps to the limits of RFC 5321."""
import socket
import threading
import time

import pytest

from lib.relay import Gate, envelope
from lib.smtp import Client, Step, message, raw, send, wait

ANN, BOB = "ann@example.org", "bob@example.org"
LINE_MAX, LINES_MAX = 8192, 1000


def long_line(code, length, end=b"\r\n"):
    head = f"{code} {code // 100}.7.1 ".encode()
    return head + b"x" * (length - len(head) - len(end)) + end


def many_lines(code, count, end=b"\r\n"):
    return b"".join(f"{code}-line {n}".encode() + end for n in range(1, count)) + f"{code} end".encode() + end


SHAPES = {
    "1100": lambda code: long_line(code, 1100),
    "limit-1": lambda code: long_line(code, LINE_MAX - 1),
    "limit": lambda code: long_line(code, LINE_MAX),
    "80-lines": lambda code: many_lines(code, 80),
    "999-lines": lambda code: many_lines(code, LINES_MAX - 1),
    "1000-lines": lambda code: many_lines(code, LINES_MAX),
    "1000-long-lines": lambda code: b"".join(long_line(code, 1000).replace(b" ", b"-", 1) for _ in range(LINES_MAX - 1)) + b"%d end\r\n" % code,
    "LF": lambda code: b"%d fine\n" % code,
    "LF-lines": lambda code: many_lines(code, 3, b"\n"),
    "mixed-ends": lambda code: b"%d-a\n%d-b\r\n%d c\n" % (code, code, code),
    "no-text": lambda code: b"%d\n" % code,
    "NUL": lambda code: b"%d a\0b\xff\r\n" % code,
    "CR": lambda code: b"%d a\rb\r\r\n" % code,
    "line-without-code": lambda code: b"%d-a\r\nb\n%d c\r\n" % (code, code),
}
GOOD = {"connect": 220, "mail": 250, "rcpt": 250, "data": 354, "dot": 250, "rset": 250, "quit": 221}


def scripted_raw(reply, in_bytes=False):
    """Sends reply as it is, with the effect of its code on the session."""
    return Step(text=reply[:3].decode(), wire=[reply[n:n + 1] for n in range(len(reply))] if in_bytes else [reply])


def each_shape(gate, point, code):
    for shape, make in SHAPES.items():
        gate.old.script = {point: scripted_raw(make(code))}
        # A connection that waits in the pool has the greeting behind it.
        for session in gate.old.sessions:
            session.shutdown()
        yield shape


@pytest.mark.parametrize("point", list(GOOD))
def test_a_good_reply_counts(site, scripted, point):
    gate = Gate(site, scripted)
    for n, shape in enumerate(each_shape(gate, point, GOOD[point])):
        if point == "rset":
            with gate.client() as c:
                envelope(c, ANN)
                assert c.cmd("RSET").code == 250
        outcome = gate.send([ANN], token=shape)
        assert outcome.accepted == [ANN], (shape, outcome)
        assert len(gate.old.messages) == n + 1, shape
    assert not gate.events("refuse")


@pytest.mark.parametrize("point", ["mail", "rcpt", "data", "dot"])
def test_a_refusal_counts(site, scripted, point):
    gate = Gate(site, scripted)
    for shape in each_shape(gate, point, 550):
        outcome = gate.send([ANN], token=shape)
        reply = outcome.rcpts[ANN] if point in ("mail", "rcpt") else outcome.data
        assert reply.code == 550 and len(reply.text) <= 506, (shape, outcome)


@pytest.mark.parametrize("shape", ["1100", "LF", "80-lines"])
def test_byte_by_byte(site, scripted, shape):
    gate = Gate(site, scripted, old={"dot": scripted_raw(SHAPES[shape](250), in_bytes=True)})
    assert gate.send([ANN]).accepted == [ANN]
    assert len(gate.old.messages) == 1


@pytest.mark.parametrize("reply", [long_line(250, LINE_MAX + 1), long_line(250, 20000), many_lines(250, LINES_MAX + 1)])
def test_beyond_the_limits_behind_the_dot(site, scripted, reply):
    """The server has the message: its code counts, and only the connection is given up."""
    gate = Gate(site, scripted, old={"dot": [scripted_raw(reply), None]})
    for n in range(2):
        assert gate.send([ANN], token=f"t{n}").accepted == [ANN]
    assert len(gate.old.messages) == 2 and len(gate.old.sessions) >= 2
    assert not gate.events("refuse")


def test_one_long_refusal_beside_an_accepted_recipient(site, scripted):
    gate = Gate(site, scripted, old={"rcpt": {ANN: scripted_raw(long_line(550, 5000)), None: "250 ok"}})
    outcome = gate.send([BOB, ANN])
    assert outcome.rcpts[BOB].code == 250 and outcome.rcpts[ANN].code == 550 and outcome.data.code == 250


@pytest.mark.parametrize("lines", [2, 64, 999])
def test_all_of_a_long_hello_is_learned(site, scripted, lines):
    hello = "\r\n".join(["250-scripted.test", *(f"250-X-{n:070}" for n in range(lines - 2)), "250 SIZE 200000"])
    gate = Gate(site, scripted, old={"ehlo": hello}, new={"ehlo": hello})
    with gate.client() as c:
        outcome = c.transaction("s@example.net", [ANN], message("size"), mail_args=" SIZE=1000")
    assert outcome.data.code == 250
    assert any(line.startswith("MAIL FROM:<s@example.net> SIZE=") for line in gate.old.commands())


@pytest.mark.parametrize("reply", [b"220 go\n250 injected\n", b"220 go\n\r", b"220-a\n220 go\nx"])
def test_text_behind_a_starttls_answer_that_ends_with_lf(site, scripted, reply):
    """LF as an end of line must not hide what follows it in the clear."""
    gate = Gate(site, scripted, extensions=["PIPELINING", "STARTTLS"], server={"tls": "may"},
                old={"starttls": raw(reply)})
    outcome = gate.send([ANN])
    assert outcome.rcpts[ANN].code == 451 and "inject" in outcome.rcpts[ANN].text
    assert not any(line.startswith("MAIL") for line in gate.old.commands())


# --- Refusals that come early ------------------------------------------------------------------

def gives_up(reply, after=100_000, then=None):
    """A way for a server to receive content: it stops after so many bytes, says reply, and goes away as told."""
    def data(session):
        n = 0
        while n < after:
            n += len(session.file.readline())
        session.sock.sendall(reply)
        if then == "reset":
            session.was_reset = True
            session.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            session.ended = True
        elif then == "close":
            session.ended = True
        else:
            while session.file.readline():
                pass
    return data


BIG = b"Subject: big\r\n\r\n" + (b"x" * 76 + b"\r\n") * 65000


def early_gate(site, scripted, reply, then, **kwargs):
    gate = Gate(site, scripted, **kwargs)
    gate.old.data_hook = gives_up(reply, then=then)
    return gate


@pytest.mark.parametrize("then", [None, "close"])
@pytest.mark.parametrize("reply,code", [(b"552 5.3.4 too big\r\n", 552), (b"452 4.3.1 disk\r\n", 452), (b"554-no\n554 no\n", 554),
                                        (b"421 4.3.2 bye\r\n", 451), (b"250 2.0.0 stored\r\n", 451)])
def test_an_answer_before_the_end(site, scripted, reply, code, then):
    gate = early_gate(site, scripted, reply, then)
    outcome = gate.send([ANN], text=BIG)
    assert outcome.data.code == code, outcome
    event = gate.wait_event("refuse", code=str(code))
    assert event["duplicate"] == "no" or reply.startswith(b"250")
    # The next message goes its way, on another connection.
    gate.old.data_hook = None
    assert gate.send([ANN]).data.code == 250
    assert len(gate.old.messages) == 1


def test_an_answer_before_the_end_over_tls(site, scripted):
    gate = early_gate(site, scripted, b"552 5.3.4 too big\r\n", None, extensions=["PIPELINING", "STARTTLS"], server={"tls": "encrypt"})
    assert gate.send([ANN], text=BIG).data.code == 552


def test_a_small_message_that_is_refused_at_once(site, scripted):
    """The answer comes with the 354."""
    gate = Gate(site, scripted, old={"data": raw(b"354 go\r\n552 5.3.4 too big\r\n")})
    with gate.client() as c:
        envelope(c, ANN)
        assert c.cmd("DATA").code == 354
        c.write(b"Subject: x\r\n\r\n")
        gate.old.reached("data").wait(20)
        c.write(b"body\r\n.\r\n")
        assert c.reply().code == 552


# --- An answer in time ---------------------------------------------------------------------------

def trickles(session, _):
    """A reply of one byte every tenth of a second, without an end."""
    session.sock.sendall(b"250 ")
    while not session.server.stopping:
        session.sock.sendall(b"x")
        session.server.never.wait(0.1)
    return Step(text=None)


def reads_slowly(session):
    """Takes the content, and never so little that it could be called dead."""
    session.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    while not session.server.stopping and session.sock.recv(20000):
        session.server.never.wait(0.1)


STALLS = {
    "354": ({"data": wait(threading.Event(), "354 go")}, None),
    "dot": ({"dot": wait(threading.Event())}, None),
    "trickle": ({"dot": trickles}, None),
    "slow-tail": ({}, reads_slowly),
}


@pytest.mark.parametrize("how", STALLS)
def test_an_answer_within_dot_timeout(site, scripted, how):
    """Whatever the server does, the client hears 451 within dot_timeout and 5 s, and no step buys it more time."""
    script, hook = STALLS[how]
    gate = Gate(site, scripted, settings={"dot_timeout": "1500ms", "reply_timeout": "60s"}, old=script)
    gate.old.never, gate.old.data_hook = threading.Event(), hook
    with gate.client() as c:
        envelope(c, ANN)
        assert c.cmd("DATA").code == 354
        c.write((BIG[:400 * 1000] + b"\r\n" if hook else b"Subject: x\r\n\r\nx\r\n") + b".\r\n")
        start = time.monotonic()
        assert c.reply().code == 451
        assert time.monotonic() - start < 1.5 + 5
    assert "timed out" in gate.wait_event("refuse")["text"]


def test_lmtp_answers_one_by_one_have_one_time(site, scripted):
    def late(session, recipient):
        session.server.never.wait({ANN: 2, BOB: 3}[recipient])
        return "250 2.0.0 stored"
    gate = Gate(site, scripted, lmtp=True, settings={"dot_timeout": "4s"}, old={"dot": late}, start=False)
    gate.old.never = threading.Event()
    gate.site.settings["relay"]["listen"] = [f"lmtp://127.0.0.1:{gate.site.relay_port}"]
    gate.site.write_conf()
    gate.site.start("relay")
    outcome = gate.send([ANN, BOB], lmtp=True)
    assert [r.code for r in outcome.data] == [250, 451], outcome


# --- Too many recipients -----------------------------------------------------------------------

@pytest.mark.parametrize("text", ["552 5.5.3 too many", "550 5.5.3 too many", "552 too many", "452 4.5.3 too many", "450 4.5.3 too many",
                                  "503 5.5.3 too many", "550 4.5.3 too many"])
def test_too_many_recipients(site, scripted, text):
    gate = Gate(site, scripted, old={"rcpt": {BOB: text, None: "250 ok"}})
    outcome = gate.send([ANN, BOB])
    assert (outcome.rcpts[BOB].code, outcome.rcpts[BOB].text[:5]) == (452, "4.5.3"), outcome
    assert outcome.data.code == 250


@pytest.mark.parametrize("text,code", [("552 5.5.3 too many", 452), ("552 full", 552), ("452 4.5.3 too many", 452), ("552 5.2.2 full", 552)])
def test_too_many_recipients_at_the_first(site, scripted, text, code):
    gate = Gate(site, scripted, old={"rcpt": text})
    assert gate.send([ANN]).rcpts[ANN].code == code


def test_a_server_that_refuses_the_gateway_itself(site, scripted):
    gate = Gate(site, scripted, old={"rcpt": "554 5.7.1 <gw[127.0.0.1]>: Client host rejected: Access denied"})
    assert gate.send([ANN]).rcpts[ANN].code == 554
    event = gate.wait_event("server_refuses_us", server="old", code="554")
    assert event["level"] == "error"


def test_a_timed_out_connection_is_replaced(site, scripted):
    gate = Gate(site, scripted, old={"mail": ["250 ok", "451 4.4.2 timeout", "250 ok"]})
    assert gate.send([ANN]).data.code == 250
    assert gate.send([ANN]).data.code == 250
    assert len(gate.old.messages) == 2


def test_a_connection_that_wants_another_hello_is_replaced(site, scripted):
    gate = Gate(site, scripted, old={"mail": lambda session, _: "503 5.5.2 Send hello first" if session.commands.count("DATA") else "250 ok"})
    assert [gate.send([ANN]).data.code for _ in range(2)] == [250] * 2


def test_a_timed_out_connection_is_not_its_own_replacement(site, scripted):
    """There is room for one connection: the useless one leaves, whatever else comes free."""
    gate = Gate(site, scripted, server={"smtp_connections_max": 1},
                old={"mail": lambda session, _: "451 4.4.2 timeout" if session.commands.count("DATA") else "250 ok"})
    assert [gate.send([ANN]).data.code for _ in range(3)] == [250] * 3
    useless = [s.commands.count("MAIL FROM:<s@example.net>") for s in gate.old.sessions if "DATA" in s.commands]
    assert sorted(useless) == [1, 2, 2]


# --- Our own lines -----------------------------------------------------------------------------

def lines_of(port, *commands):
    with Client(port) as c:
        for command in ("EHLO client.test", *commands):
            c.write(command.encode() + b"\r\n")
            while True:
                line = c.file.readline()
                yield line
                if line[3:4] != b"-":
                    break


@pytest.mark.parametrize("text", ["550 5.1.1 " + "x" * 600, "550 " + "word " * 200, "451 4.999.999 " + "y " * 300, "500 " + "z" * 900])
def test_our_lines_keep_to_512_octets(site, scripted, text):
    gate = Gate(site, scripted, old={"rcpt": text})
    lines = list(lines_of(gate.port, "MAIL FROM:<s@example.net>", f"RCPT TO:<{ANN}>", "X" * 1000, "RCPT TO:<" + "a" * 60 + "@" + "b" * 300 + ">"))
    assert 500 < max(map(len, lines)) <= 512, lines
    assert all(line.endswith(b"\r\n") for line in lines)


# --- Real servers -----------------------------------------------------------------------------

def test_postfix_with_a_long_reject_text(site, postfix):
    mx = postfix(main={"relay_domains": "example.org", "relay_transport": "discard:",
                       "smtpd_recipient_restrictions": "check_recipient_access inline:{{%s = 550 5.7.1 %s}}, permit" % (ANN, "policy " + "y" * 1200),
                       "header_checks": "regexp:{{/^Subject: bad/ REJECT %s}}" % ("z" * 1200)})
    made = site({"old": {"smtp": f"smtp://127.0.0.1:{mx.smtp_port}"}})
    made.init({ANN: "old", BOB: "old"}).start("relay")
    assert send(made.relay_port, "s@example.net", [ANN], message("a")).rcpts[ANN].code == 550
    outcome = send(made.relay_port, "s@example.net", [BOB, ANN], message("b"))
    assert outcome.rcpts[BOB].code == 250 and outcome.rcpts[ANN].code == 550 and outcome.data.code == 250
    assert send(made.relay_port, "s@example.net", [BOB], b"Subject: bad\r\n\r\nx\r\n").data.code == 550


@pytest.mark.parametrize("text", ["x" * 1500, "\\n".join(f"line {n}" for n in range(80)), "word " * 400], ids=["one-word", "80-lines", "words"])
def test_exim_with_a_long_deny_text(site, exim, text):
    mx = exim(acl_rcpt=f"  deny local_parts = ann\n       message = {text}\n  accept\n")
    made = site({"old": {"smtp": f"smtp://127.0.0.1:{mx.smtp_port}"}})
    made.init({ANN: "old", BOB: "old"}).start("relay")
    assert send(made.relay_port, "s@example.net", [ANN], message("a")).rcpts[ANN].code == 550
    outcome = send(made.relay_port, "s@example.net", [BOB, ANN], message("b"))
    assert outcome.rcpts[BOB].code == 250 and outcome.rcpts[ANN].code == 550 and outcome.data.code == 250
