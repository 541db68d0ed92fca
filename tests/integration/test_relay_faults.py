# SPDX-License-Identifier: ISC
"""Barrier and flip against a relay that is slow, stopped or killed at the worst points; memory and descriptors."""
import resource
import socket
import threading

import pytest

from lib.mapsock import MapSocket
from lib.process import children
from lib.relay import Gate, body_of, envelope
from lib.smtp import Client, close, message, send, wait, wire
from lib.wait import wait_for


def worker_of(gate):
    """The worker that serves; a new one right after a kill."""
    return wait_for(lambda: children(gate.site.pid("relay")), 20, "a worker")[0]


def token_of(received):
    return [line for line in received.data.split(b"\r\n") if line.startswith(b"Subject: ")][0][9:].decode()


def test_barrier_waits_for_an_open_dot(site, scripted):
    """The barrier is exact: a delivery that a slow target holds open keeps the flip waiting."""
    release = threading.Event()
    gate = Gate(site, scripted, old={"dot": wait(release)})
    result = []
    thread = threading.Thread(target=lambda: result.append(gate.send("ann@example.org")))
    thread.start()
    gate.old.reached("dot").wait(20)
    with MapSocket(gate.site.run) as control:
        held = control.ok(op="hold", key="ann@example.org", owner="test", deadline_ms=60000, id="hold-1", why="")
        ask = dict(op="barrier", key="ann@example.org", epoch=held["epoch"])
        assert control.ok(**ask, timeout_ms=300)["result"] == "timeout"
        # Another user is not concerned.
        other = control.ok(op="hold", key="bob@example.org", owner="test", deadline_ms=60000, id="hold-2", why="")
        assert control.ok(op="barrier", key="bob@example.org", epoch=other["epoch"], timeout_ms=5000)["result"] == "clear"
        control.send(**ask, timeout_ms=30000)
        release.set()
        assert control.receive()["result"] == "clear"
        thread.join(20)
        assert result[0].data.code == 250
        control.ok(op="flip", key="ann@example.org", epoch=held["epoch"], route="new", id="flip-1", why="")
    assert gate.send("ann@example.org").data.code == 250
    assert len(gate.old.messages) == len(gate.new.messages) == 1


def test_barrier_tells_of_a_killed_worker(site, scripted):
    """The dot went out and nobody knows the answer: the old server may still store the message."""
    never = threading.Event()
    gate = Gate(site, scripted, old={"dot": wait(never)})
    thread = threading.Thread(target=lambda: gate.send("ann@example.org"))
    thread.start()
    gate.old.reached("dot").wait(20)
    worker_of(gate).kill()
    thread.join(20)
    with MapSocket(gate.site.run) as control:
        held = control.ok(op="hold", key="ann@example.org", owner="test", deadline_ms=60000, id="hold-1", why="")
        assert control.ok(op="barrier", key="ann@example.org", epoch=held["epoch"], timeout_ms=5000)["result"] == "ambiguous"


def test_barrier_tells_of_a_lost_answer(site, scripted):
    gate = Gate(site, scripted, old={"dot": close()})
    assert gate.send("ann@example.org").data.code == 451
    with MapSocket(gate.site.run) as control:
        held = control.ok(op="hold", key="ann@example.org", owner="test", deadline_ms=60000, id="hold-1", why="")
        assert control.ok(op="barrier", key="ann@example.org", epoch=held["epoch"], timeout_ms=5000)["result"] == "ambiguous"


def flip(gate, key, route, number):
    with MapSocket(gate.site.run) as control:
        held = control.ok(op="hold", key=key, owner="test", deadline_ms=60000, id=f"hold-{number}", why="")
        result = control.ok(op="barrier", key=key, epoch=held["epoch"], timeout_ms=2000)["result"]
        if result != "timeout":
            control.ok(op="flip", key=key, epoch=held["epoch"], route=route, id=f"flip-{number}", why="")
        else:
            control.ok(op="release", key=key, epoch=held["epoch"], id=f"release-{number}", why="")
        return result


@pytest.mark.parametrize("point", ["rcpt", "data", "header", "body"])
def test_stopped_before_its_dot_and_flipped_meanwhile(site, scripted, point):
    """No dot under an old epoch: the worker finds out at the claim, and the sender keeps the mail."""
    gate = Gate(site, scripted)
    text = wire(message("late"))
    with gate.client() as c:
        envelope(c, "ann@example.org")
        if point != "rcpt":
            assert c.cmd("DATA").code == 354
        if point == "header":
            c.write(text[:20])
        if point == "body":
            c.write(text[:-5])
            gate.old.reached("data").wait(20)
        worker = worker_of(gate)
        worker.stop()
        assert flip(gate, "ann@example.org", "new", 1) == "clear"
        if point == "rcpt":
            c.write(b"DATA\r\n")
        else:
            c.write({"data": text, "header": text[20:], "body": text[-5:]}[point])
        worker.go_on()
        if point == "rcpt":
            assert c.reply().code == 354
            c.write(text)
        reply = c.reply()
        assert (reply.code, reply.text[:5]) == (451, "4.3.0")
        assert c.transaction("s@example.net", ["ann@example.org"], message("again")).data.code == 250
    assert not gate.old.messages and [token_of(m) for m in gate.new.messages] == ["again"]


def test_stopped_behind_its_dot(site, scripted):
    """The barrier cannot know, so it times out and the flip does not happen."""
    release = threading.Event()
    gate = Gate(site, scripted, old={"dot": wait(release)})
    result = []
    thread = threading.Thread(target=lambda: result.append(gate.send("ann@example.org")))
    thread.start()
    gate.old.reached("dot").wait(20)
    worker = worker_of(gate)
    worker.stop()
    release.set()
    gate.old.wait_messages(1)
    assert flip(gate, "ann@example.org", "new", 1) == "timeout"
    worker.go_on()
    thread.join(20)
    assert result[0].data.code == 250
    assert wait_for(lambda: flip(gate, "ann@example.org", "new", 2) == "clear", 20, "the second try")
    assert gate.send("ann@example.org").data.code == 250 and len(gate.new.messages) == 1


def test_route_changed_between_rcpt_and_dot(site, scripted):
    gate = Gate(site, scripted)
    with gate.client() as c:
        envelope(c, "ann@example.org")
        gate.site.set("ann@example.org", "new")
        assert c.cmd("DATA").code == 354
        c.write(wire(message("x")))
        assert c.reply().code == 451
    assert not gate.old.messages and not gate.new.messages


def test_client_that_leaves_behind_the_dot(site, scripted):
    """The claim ends with what really happened, not with the client."""
    release = threading.Event()
    gate = Gate(site, scripted, old={"dot": wait(release)})
    c = gate.client()
    envelope(c, "ann@example.org")
    assert c.cmd("DATA").code == 354
    c.write(wire(message("x")))
    gate.old.reached("dot").wait(20)
    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    c.close()
    gate.wait_event("client_lost")
    release.set()
    event = gate.wait_event("deliver")
    assert event["client_gone"] == "yes" and event["duplicate"] == "no"
    assert flip(gate, "ann@example.org", "new", 1) == "clear"


def test_memory_stays_flat(site, scripted):
    """Back-pressure in both directions: a big message for a slow target is not kept."""
    slow = threading.Event()
    gate = Gate(site, scripted, plain=True)
    small = message("small")
    for _ in range(20):
        assert gate.send("ann@example.org", text=small).data.code == 250
    worker = worker_of(gate)
    before = worker.rss_kib()
    text = b"Subject: big\r\n\r\n" + b"0123456789abcdef" * 60 + b"\r\n" + (b"x" * 70 + b"\r\n") * 500000

    def reading(session):
        original = session.data

        def data():
            slow.wait(2)
            original()
        return data

    def on_data(session, _line):
        session.data = reading(session)
        return "354 go ahead"

    gate.old.script = {"data": on_data}
    assert gate.send("ann@example.org", text=text).data.code == 250
    assert worker_of(gate).pid == worker.pid
    assert worker.peak_kib() - before < 6 * 1024, (before, worker.peak_kib())
    assert body_of(gate.old.messages[-1].data) == text


def test_many_recipients_are_forgotten(site, scripted):
    """What a transaction with many recipients took is given back at its end, not when the client leaves."""
    gate = Gate(site, scripted, plain=True)
    clients = []
    for number in range(10):
        c = gate.client()
        assert c.cmd("MAIL FROM:<s@example.net>").code == 250
        c.write(b"RCPT TO:<ann@example.org>\r\n" * 1000)
        assert {c.reply().code for _ in range(1000)} == {250}
        assert (c.cmd("DATA").code, c.write(wire(message(str(number)))), c.reply().code) == (354, None, 250)
        if not clients:
            before = worker_of(gate).rss_kib()
        clients.append(c)
    assert worker_of(gate).rss_kib() - before < 4096
    for c in clients:
        c.close()


def test_flood_keeps_memory_flat(site, scripted):
    """A11, G24: commands that cost nothing leave nothing behind."""
    gate = Gate(site, scripted, plain=True, settings={"errors_max": 1000})
    with gate.client() as c:
        worker = worker_of(gate)
        c.cmd("NOOP")
        before = worker.rss_kib()
        for verb in (b"NOOP\r\n", b"RSET\r\n"):
            for _ in range(5):
                c.write(verb * 100)
                for _ in range(100):
                    assert c.reply().code in (250, 421)
        assert worker.rss_kib() - before < 1024


def test_stale_reply_on_a_pooled_connection(site, scripted):
    """What a server says between two transactions is no answer to the next MAIL."""
    gate = Gate(site, scripted)
    assert gate.send("ann@example.org").data.code == 250
    used = next(s for s in gate.old.sessions if "DATA" in s.commands)
    with gate.client() as c:
        worker = worker_of(gate)
        worker.stop()
        # The client is first in line when the worker wakes up.
        c.write(b"MAIL FROM:<s@example.net>\r\nRCPT TO:<ann@example.org>\r\n")
        used.sock.sendall(b"550 5.1.1 no such user\r\n")
        worker.go_on()
        assert [c.reply().code for _ in range(2)] == [250, 250]
    assert used.commands.count("MAIL FROM:<s@example.net>") == 1


@pytest.mark.parametrize("phase", ["rcpt", "content"])
def test_idle_clients_do_not_keep_a_server(site, scripted, phase):
    """G23: whoever stops behind RCPT, or in the content, has a connection that others wait for."""
    gate = Gate(site, scripted, server={"smtp_connections_max": 1})
    with gate.client(timeout=20) as idle:
        envelope(idle, "ann@example.org")
        if phase == "content":
            assert idle.cmd("DATA").code == 354
            idle.write(b"Subject: slow\r\n\r\nslow\r\n")
        assert gate.send("ann@example.org").data.code == 250
        reply = idle.reply()
        assert reply.code == 421 and "others wait" in reply.text
    assert [e["wanted"] for e in gate.events("client_timeout")] == ["old"]


@pytest.mark.parametrize("command", ["NOOP", "RCPT TO:<nobody@example.org>"])
def test_talking_is_no_progress(site, scripted, command):
    """G23: a connection that others wait for is not kept by commands that bring the message no further."""
    gate = Gate(site, scripted, server={"smtp_connections_max": 1})
    over = threading.Event()
    codes = []

    def talk(client):
        while not over.wait(2) and (not codes or codes[-1] != 421):
            codes.append(client.cmd(command).code)

    with gate.client(timeout=20) as idle:
        talker = threading.Thread(target=talk, args=[envelope(idle, "ann@example.org")])
        talker.start()
        try:
            assert gate.send("ann@example.org").data.code == 250
        finally:
            over.set()
            talker.join()
    assert len(codes) >= 3 and set(codes[:3]) <= {250, 550}
    assert [e["wanted"] for e in gate.events("client_timeout")] == ["old"]


@pytest.mark.parametrize("command", ["mail", "rcpt", "data", "dot"])
def test_reply_byte_by_byte(site, scripted, command):
    """A10 from the other side: the deadline is one for the whole reply, or the client would give up before us."""
    given_up = threading.Event()

    def drip(session, _line):
        for byte in b"250-still working\r\n" * 40:
            if given_up.wait(0.1) or session.server.stopping:
                break
            session.sock.sendall(bytes([byte]))
        return close()

    gate = Gate(site, scripted, old={command: drip}, settings={"reply_timeout": "3s", "dot_timeout": "3s"})
    with gate.client(timeout=20) as c:
        outcome = c.transaction("s@example.net", ["ann@example.org"], message("x"))
        given_up.set()
    reply = outcome.data or outcome.rcpts["ann@example.org"]
    assert (reply.code, reply.text[:5]) == (451, "4.4.1") and "timed out" in reply.text
    if command == "dot":
        assert gate.wait_event("refuse")["duplicate"] == "possible"


def test_client_above_its_limit_takes_no_places(site, scripted):
    """A11: who hears 421 is still there for a moment, and must not keep others out meanwhile."""
    gate = Gate(site, scripted, settings={"sessions_max": 20, "sessions_per_client_max": 5})
    greedy = [socket.create_connection(("127.0.0.1", gate.port), source_address=("127.0.0.2", 0)) for _ in range(60)]
    with gate.client(hello=False) as c:
        assert c.greeting.code == 220
    assert len(gate.events("session_refused", code="421")) <= 55
    for s in greedy:
        s.close()


def test_starved_of_descriptors(site, scripted):
    """G25: with no descriptor left nothing is lost, and it recovers by itself."""
    gate = Gate(site, scripted, plain=True, settings={"sessions_per_client_max": 1000})
    resource.prlimit(worker_of(gate).pid, resource.RLIMIT_NOFILE, (64, 64))
    clients = [socket.create_connection(("127.0.0.1", gate.port)) for _ in range(80)]
    assert gate.site.running("relay")
    for c in clients:
        c.close()
    wait_for(lambda: send(gate.port, "s@example.net", "ann@example.org", message("after")).accepted, 20, "mail to flow again")
