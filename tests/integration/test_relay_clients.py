# SPDX-License-Identifier: ISC
"""Clients that are not quite right: odd forms of commands, an early end, health checks."""
import socket
import struct
import threading

import pytest

from lib.relay import Gate, body_of, envelope
from lib.smtp import CLOSED, message, wait, wire
from lib.wait import wait_for

TEXT = message("odd")


def half_close(client):
    client.sock.shutdown(socket.SHUT_WR)


def reset(client):
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


# What is sent, what the server hears.
SENDERS = [("MAIL FROM:s@example.net", "s@example.net"), ("mail from: s@example.net", "s@example.net"),
           ("MAIL FROM:  <s@example.net>  ", "s@example.net"), ("MAIL FROM:<s@example.net.>", "s@example.net"),
           ("MAIL FROM:<@a.example,@b.example:s@example.net>", "s@example.net"), ("MAIL\tFROM:\t<s@example.net>\tSIZE=5", "s@example.net"),
           ("MAIL FROM:s@example.net SIZE=5 BODY=8BITMIME", "s@example.net"), ("MAIL FROM:<root>", "root@relay.test"),
           ("MAIL FROM:root", "root@relay.test"), ("MAIL FROM:< >", ""), ("MAIL FROM:<s@foo-.example.com>", "s@foo-.example.com"),
           ('MAIL FROM:"a b"@example.net', '"a b"@example.net'),
           # By RFC 821 and 822, read as Postfix reads it.
           ('MAIL FROM:<"a".x@example.net>', "a.x@example.net"), ('MAIL FROM:<x."a b"@example.net>', '"x.a b"@example.net'),
           ("MAIL FROM:<a:b@example.net>", '"a:b"@example.net'), ("MAIL FROM:<CORP\\scan@example.net>", "CORPscan@example.net"),
           ("MAIL FROM:<a\\ b@example.net>", '"a b"@example.net'), ("MAIL FROM:<a\\b>", "ab@relay.test")]
RECIPIENTS = ["RCPT TO:ann@example.org", "rcpt to: ann@example.org ", "RCPT TO:<ann@example.org.>", "RCPT TO:ann@example.org.",
              "RCPT TO:<@a.example:ann@example.org>", "RCPT TO:<@a.example,@b.example:ann@example.org.>", "RCPT TO:< ann@example.org >",
              "RCPT\tTO:<ann@example.org>", 'RCPT TO:<"ann"@example.org>', "RCPT TO:<\\ann@example.org>"]


def test_forms_of_a_sender(site, scripted):
    gate = Gate(site, scripted)
    for line, sender in SENDERS:
        with gate.client() as c:
            assert c.cmd(line).code == 250, line
            assert c.cmd("RCPT TO:<ann@example.org>").code == 250
            assert c.cmd("DATA").code == 354
            c.write(wire(TEXT))
            assert c.reply().code == 250
        assert gate.old.messages[-1].sender == sender, line


def test_forms_of_a_recipient(site, scripted):
    """What is decided on is what the server gets."""
    gate = Gate(site, scripted)
    for line in RECIPIENTS:
        with gate.client() as c:
            assert c.cmd("MAIL FROM:<s@example.net>").code == 250
            assert c.cmd(line).code == 250, line
            assert c.cmd(line.replace("ann", "nobody")).text.startswith("5.1.1"), line
            assert c.cmd(line.replace("example.org", "evil.test")).text.startswith("5.7.1"), line
            assert c.cmd("DATA").code == 354
            c.write(wire(TEXT))
            assert c.reply().code == 250
        ann = '"ann"@example.org' if '"' in line else "ann@example.org"
        assert gate.old.messages[-1].recipients == [ann], line
        assert f"for <{ann}>;".encode() in gate.old.messages[-1].data
    assert {e["rcpt"] for e in gate.events("rcpt_accept")} == {"ann@example.org", '"ann"@example.org'}


@pytest.mark.parametrize("local", ["x\\@evil.test", '"x@evil".test', "x\\%evil.test", "evil.test\\!x", "x:y\\@z", '"x%y"."z"'])
def test_no_foreign_address_in_an_old_form(site, scripted, local):
    """What a local part by older rules says is judged, whatever its quotes and backslashes."""
    gate = Gate(site, scripted, domains={"example.org": {"default": "old"}})
    with gate.client() as c:
        assert c.cmd("MAIL FROM:<s@example.net>").code == 250
        assert c.cmd("RCPT TO:<x:y@example.org>").code == 250
        assert c.cmd(f"RCPT TO:<{local}@example.org>").text.startswith("5.1.1")
    assert [line for line in gate.old.commands() if "RCPT" in line] == ['RCPT TO:<"x:y"@example.org>']


def test_a_route_in_front_relays_nothing(site, scripted):
    gate = Gate(site, scripted, settings={"errors_max": 1000})
    with gate.client() as c:
        c.cmd("MAIL FROM:<s@example.net>")
        for path in ("<@example.org:x@evil.test>", "@example.org:x@evil.test", "<@example.org:@evil.test:ann@example.org>",
                     "<@evil.test:ann%evil.test@example.org>", "<@example.org>", "<@example.org:ann>", "<@evil.test>:ann@example.org",
                     "ann@example.org,x@evil.test", "ann@example.org x@evil.test", "<ann@example.org><x@evil.test>", "ann",
                     "<ann@example.org..>", "<ann@.example.org>", "ann@example.org>", "<ann@example.org", "<<ann@example.org>>"):
            assert c.cmd(f"RCPT TO:{path}").code >= 500, path
    assert all("RCPT" not in line for line in gate.old.commands() + gate.new.commands())


def test_strict_syntax(site, scripted):
    gate = Gate(site, scripted, settings={"strict_syntax": "yes", "errors_max": 1000})
    with gate.client() as c:
        for line, _ in SENDERS:
            code = c.cmd(line).code
            plain = line in ("MAIL FROM:  <s@example.net>  ", "MAIL FROM:<@a.example,@b.example:s@example.net>", "MAIL FROM:<s@foo-.example.com>")
            assert (code == 250) == plain, line
            c.cmd("RSET")
        envelope(c, "bob@example.org")
        for line in RECIPIENTS:
            assert (c.cmd(line).code == 250) == (line in ("RCPT TO:<@a.example:ann@example.org>", 'RCPT TO:<"ann"@example.org>')), line


@pytest.mark.parametrize("name,shown", [("a_b", "a_b"), ("[10.1.1.1]", "[10.1.1.1]"), ("[IPv6:::1]", "[IPv6:::1]"), ("mx.test:25", "mx.test:25"),
                                        ("it's-mine", "it's-mine"), ("x" * 255, "x" * 255), ("a b", "a?b"), ("a(b)", "a?b?"), ("a,b", "a?b"),
                                        ("a;b", "a?b"), ("a@b", "a?b"), ('"x"', "?x?"), ("<x>", "?x?"), ("a\\b", "a?b"), ("a\tb", "a?b"),
                                        ("x ([10.9.9.9]) by y", "x??[10.9.9.9]??by?y")])
def test_names_of_clients(site, scripted, name, shown):
    """Who is of another mind about names still gets its mail delivered; no name ends its word in the field."""
    gate = Gate(site, scripted)
    with gate.client(hello=False) as c:
        for verb in ("EHLO", "HELO"):
            assert c.cmd(f"{verb} {name}").code == 250
        assert c.transaction("s@example.net", ["ann@example.org"], TEXT).data.code == 250
    assert gate.old.messages[-1].data.startswith(f"Received: from {shown} ([127.0.0.1])\r\n".encode())


@pytest.mark.parametrize("strict,name", [("no", "MÜLLER-PC"), ("no", ""), ("no", "x" * 256), ("no", "a\x01b"), ("yes", "a b"), ("yes", "a(b)"),
                                         ("yes", "it's-mine"), ("yes", "a\tb"), ("yes", "<x>")])
def test_names_that_are_refused(site, scripted, strict, name):
    gate = Gate(site, scripted, settings={"strict_syntax": strict})
    with gate.client(hello=False) as c:
        for verb in ("EHLO", "HELO"):
            assert c.cmd(f"{verb} {name}").code == 501
        assert c.cmd("QUIT now").code == (221 if strict == "no" else 501)


# --- The early end -----------------------------------------------------------------


@pytest.mark.parametrize("slow", ["none", "data", "dot"])
@pytest.mark.parametrize("tail", [b"", b"QUIT\r\n"])
def test_half_close_behind_the_dot(site, scripted, slow, tail):
    """nc -N: the client has closed its side, its message is delivered and answered."""
    go = threading.Event()
    gate = Gate(site, scripted, old={} if slow == "none" else {slow: wait(go, "354 go" if slow == "data" else "250 2.0.0 stored")})
    with gate.client() as c:
        envelope(c, "ann@example.org")
        assert c.cmd("DATA").code == 354
        c.write(wire(TEXT) + tail)
        half_close(c)
        if slow != "none":
            assert gate.old.reached(slow).wait(20)
            go.set()
        assert c.reply().code == 250
        assert c.reply() == CLOSED if not tail else c.reply().code in (221, 0)
    assert [body_of(m.data) for m in gate.old.messages] == [TEXT]
    gate.wait_event("deliver", client_gone="no")
    assert not gate.events("client_lost") and not gate.events("abort")


@pytest.mark.parametrize("part", ["envelope", "content", "dot without its end"])
def test_half_close_before_the_dot(site, scripted, part):
    gate = Gate(site, scripted)
    with gate.client() as c:
        envelope(c, "ann@example.org")
        if part != "envelope":
            assert c.cmd("DATA").code == 354
            c.write(wire(TEXT)[:-5] if part == "content" else wire(TEXT)[:-1])
        half_close(c)
        assert c.reply() == CLOSED
    gate.wait_event("abort", why="the client is gone")
    assert not gate.old.messages


def test_client_that_leaves_while_a_recipient_waits(site, scripted):
    go = threading.Event()
    gate = Gate(site, scripted, old={"rcpt": wait(go)})
    with gate.client() as c:
        assert c.cmd("MAIL FROM:<s@example.net>").code == 250
        c.write(b"RCPT TO:<ann@example.org>\r\n")
        assert gate.old.reached("rcpt").wait(20)
    gate.wait_event("abort", why="the client is gone", state="asked")
    go.set()


def test_client_that_closed_both_sides_behind_the_dot(site, scripted):
    go = threading.Event()
    gate = Gate(site, scripted, old={"dot": wait(go)})
    with gate.client() as c:
        envelope(c, "ann@example.org")
        assert c.cmd("DATA").code == 354
        c.write(wire(TEXT))
        assert gate.old.reached("dot").wait(20)
    go.set()
    gate.wait_event("deliver")
    assert gate.send("ann@example.org").data.code == 250


# --- Health checks -----------------------------------------------------------------


def test_health_checks_are_quiet(site, scripted):
    """A check each second for ever fills no log; one that began a message and was lost has its line."""
    gate = Gate(site, scripted)
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", gate.port)) as s:       # speaks early
            s.sendall(b"EHLO check\r\n")
            s.shutdown(socket.SHUT_WR)                                      # or it came too late to be early
            while s.recv(4096):
                pass
        reset(gate.client(hello=False))
        reset(gate.client())
        c = gate.client()
        assert c.cmd("QUIT").code == 221
        reset(c)
        gate.client(hello=False).close()
    c = gate.client()
    assert c.cmd("MAIL FROM:<s@example.net>").code == 250
    reset(c)
    gate.wait_event("client_lost")
    assert len(gate.events("client_lost")) == 1
    assert not gate.events("session_refused") and not gate.events("client_timeout")


def test_whoever_is_refused_has_a_line(site, scripted):
    gate = Gate(site, scripted, settings={"errors_max": 1})
    with gate.client() as c:
        assert [c.cmd("X").code for _ in range(2)] == [500, 421]
    assert wait_for(lambda: gate.events("session_refused", code="421"), 30, "the line")
