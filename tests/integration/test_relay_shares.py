# SPDX-License-Identifier: ISC
"""What one client or one server may cost the others: shares of a server's connections, and servers that are down."""
import threading
import time

import pytest

from lib.mapsock import MapSocket
from lib.relay import Gate, envelope
from lib.smtp import CLOSED, close, message, wait, wire
from lib.wait import wait_for

ANN, BOB = "ann@example.org", "bob@example.org"
BOUND = 30      # s, in which a victim is served; the relay ends a transaction behind 10 s


class Hog(threading.Thread):
    """A client that has a connection of the server, and does everything to keep it."""

    def __init__(self, gate, step, pause, source=None, data=False):
        super().__init__(daemon=True)
        self.client = gate.client(timeout=100, source=source)
        envelope(self.client, ANN)
        if data:
            assert self.client.cmd("DATA").code == 354
            self.client.write(b"Subject: hog\r\n\r\n")
        self.step, self.pause = step, pause
        self.over = threading.Event()
        self.n_steps, self.ended = 0, None
        self.start()

    def run(self):
        while not self.over.wait(self.pause):
            try:
                reply = self.step(self.client)
            except OSError:
                reply = CLOSED
            if reply is not None and reply.code not in (250, 252, 550):
                self.ended = reply
                return
            self.n_steps += 1

    def stop(self):
        self.over.set()
        self.join(30)
        self.client.close()


def same_recipient(client):
    return client.cmd(f"RCPT TO:<{ANN}>")


def noops(client):
    client.write(b"NOOP\r\n" * 3)
    return [client.reply() for _ in range(3)][-1]


def content(size):
    def step(client):
        client.sock.setblocking(True)
        client.write((b"x" * 62 + b"\r\n") * (size // 64))
        client.sock.settimeout(0.001)
        try:
            reply = client.reply()
            return reply if reply.code else CLOSED
        except TimeoutError:
            client.file = client.sock.makefile("rb")
            return None
        finally:
            client.sock.settimeout(100)
    return step


def served(gate, recipient=BOB, **kwargs):
    started = time.monotonic()
    with gate.client(timeout=100, **kwargs) as c:
        outcome = c.transaction("victim@example.net", [recipient], message("victim"))
    reply = outcome.data or outcome.rcpts[recipient]
    return reply.code, time.monotonic() - started


@pytest.mark.parametrize("step, pause, data", [
    (same_recipient, 2, False), (noops, 0.5, False), (content(32 * 1024), 4, True)], ids=["recipient", "noop", "content"])
@pytest.mark.parametrize("hogs", ["one client", "its own client", "several clients"])
def test_steps_do_not_keep_a_server(site, scripted, step, pause, data, hogs):
    gate = Gate(site, scripted, server={"smtp_connections_max": 2})
    sources = {"one client": ["127.0.0.2"] * 2, "its own client": [None] * 2, "several clients": ["127.0.0.2", "127.0.0.3"]}[hogs]
    busy = [Hog(gate, step, pause, source, data) for source in sources]
    code, took = served(gate)
    wait_for(lambda: any(hog.ended for hog in busy), 20, "a hog to hear of its end")
    for hog in busy:
        hog.stop()
    ends = [hog.ended for hog in busy if hog.ended is not None]
    assert code == 250 and took < BOUND, (code, took)
    assert ends and {reply.code for reply in ends} <= {421, 0}, ends
    assert {e["wanted"] for e in gate.events("client_timeout")} == {"old"}
    assert [m.sender for m in gate.old.messages] == ["victim@example.net"]


def test_a_decent_client_alone_is_not_hurt(site, scripted):
    """It has everything and waits for itself: whoever moves on ends by itself, as behind an MTA."""
    gate = Gate(site, scripted, server={"smtp_connections_max": 2})
    busy = [Hog(gate, content(64 * 1024), 0.2, None, True) for _ in range(2)]
    result = []
    waiting = threading.Thread(target=lambda: result.append(served(gate)))
    waiting.start()
    wait_for(lambda: all(hog.n_steps >= 70 for hog in busy), 60, "uploads that outlast every patience")
    for hog in busy:
        hog.over.set()
        hog.join(30)
        hog.client.write(b".\r\n")
        assert hog.client.reply().code == 250
        hog.client.close()
    waiting.join(60)
    assert result[0][0] == 250 and not gate.events("client_timeout")


def test_a_decent_client_with_everything_gives_some(site, scripted):
    """Its oldest transaction is the one to end, although it moves on; one is enough."""
    gate = Gate(site, scripted, server={"smtp_connections_max": 2})
    busy = [Hog(gate, content(64 * 1024), 0.2, "127.0.0.2", True) for _ in range(2)]
    code, took = served(gate)
    assert code == 250 and took < BOUND, (code, took)
    wait_for(lambda: busy[0].ended is not None, 20, "the oldest to hear of its end")
    assert busy[1].ended is None
    for hog in busy:
        hog.stop()
    assert len(gate.events("client_timeout")) == 1


def test_an_open_dot_is_never_cut_for_others(site, scripted):
    go = threading.Event()
    gate = Gate(site, scripted, old={"dot": lambda s, _: wait(go) if s.sender == "s@example.net" else "250 2.0.0 ok"},
                server={"smtp_connections_max": 1})
    with gate.client(timeout=100, source="127.0.0.2") as dotted:
        envelope(dotted, ANN)
        assert dotted.cmd("DATA").code == 354
        dotted.write(wire(message("dotted")))
        assert gate.old.reached("dot").wait(20)
        result = []
        waiting = threading.Thread(target=lambda: result.append(served(gate)))
        waiting.start()
        waiting.join(14)
        assert waiting.is_alive()
        go.set()
        assert dotted.reply().code == 250
        waiting.join(60)
    assert result[0][0] == 250
    assert len(gate.old.messages) == 2 and not gate.events("client_timeout")


def test_one_that_waits_for_a_hold_keeps_nothing(site, scripted):
    """The recipient that is held is put off, and the others of the transaction go on."""
    gate = Gate(site, scripted, server={"smtp_connections_max": 1}, settings={"hold_wait": "2m"})
    with MapSocket(gate.site.run) as control:
        control.ok(op="hold", key=BOB, owner="test", deadline_ms=120000, id="hold-1", why="")
    with gate.client(timeout=100) as holding:
        envelope(holding, ANN)
        holding.write(f"RCPT TO:<{BOB}>\r\n".encode())
        gate.wait_event("rcpt_hold")
        result = []
        waiting = threading.Thread(target=lambda: result.append(served(gate, ANN)))
        waiting.start()
        assert holding.reply().code == 450
        assert holding.cmd("DATA").code == 354
        holding.write(wire(message("held")))
        assert holding.reply().code == 250
        waiting.join(60)
    assert result[0][0] == 250 and result[0][1] < BOUND


@pytest.mark.parametrize("command", [f"RCPT TO:<{ANN}>", "NOOP"])
def test_the_envelope_has_one_deadline(site, scripted, command):
    gate = Gate(site, scripted, settings={"envelope_timeout": "2s"})
    with gate.client() as c:
        started = time.monotonic()
        envelope(c, ANN)
        reply = c.cmd(command)
        while reply.code == 250:
            time.sleep(0.05)    # a step, and then another one
            reply = c.cmd(command)
        assert reply.code in (421, 0) and 1.5 < time.monotonic() - started < 10
    assert gate.events("client_timeout")
    # The content and a second envelope have times of their own.
    with gate.client() as c:
        for _ in range(2):
            envelope(c, ANN)
            assert c.cmd("DATA").code == 354
            started = time.monotonic()
            while time.monotonic() - started < 2.2:
                c.write(b"line\r\n")
                time.sleep(0.05)
            c.write(b".\r\n")
            assert c.reply().code == 250


def test_what_a_server_takes_is_not_the_clients_time(site, scripted):
    """A slow server would have the same client sent away at each try."""
    never = threading.Event()
    gate = Gate(site, scripted, settings={"envelope_timeout": "2s"}, old={"rcpt": lambda *_: "250 2.1.5 ok" if not never.wait(0.6) else ""})
    with gate.client() as c:
        envelope(c, *[ANN] * 5)
        assert c.cmd("DATA").code == 354
        c.write(wire(message("slow")))
        assert c.reply().code == 250
    assert not gate.events("client_timeout")


# --- Servers that are down -----------------------------------------------------------------


def refused(gate, recipient=ANN):
    started = time.monotonic()
    reply = gate.send(recipient).rcpts[recipient]
    assert (reply.code, reply.text[:5]) == (451, "4.4.1"), reply
    return time.monotonic() - started


@pytest.mark.parametrize("fault", ["silent", "closes", "busy"])
def test_known_to_be_down(site, scripted, fault):
    """The first one finds out, the others hear it at once.  Where that is no matter of time, each may find out by itself;
    else one connection now and then does."""
    never = threading.Event()
    step = {"silent": wait(never), "closes": close(), "busy": close("421 4.3.2 too busy")}[fault]
    gate = Gate(site, scripted, old={"connect": step}, settings={"connect_timeout": "6s"})
    refused(gate)
    gate.wait_event("server_down")
    tried = len(gate.old.sessions)
    started = time.monotonic()
    assert max(refused(gate) for _ in range(20)) < 4
    if fault == "silent":
        assert len(gate.old.sessions) - tried <= 2 + (time.monotonic() - started)
    assert gate.send("cat@example.org").accepted and len(gate.events("server_down")) == 1
    gate.old.script = {}
    if fault == "silent":
        gate.wait_event("server_up")
    assert gate.send(ANN).accepted


def test_a_server_that_was_never_tried_is_not_down(site, scripted):
    """The first request waits for an answer, however long that takes."""
    go = threading.Event()
    gate = Gate(site, scripted, old={"connect": wait(go, "220 scripted.test ready")})
    result = []
    sender = threading.Thread(target=lambda: result.append(gate.send(ANN)))
    sender.start()
    assert gate.old.reached("connect").wait(20)
    sender.join(1)
    assert sender.is_alive()
    go.set()
    sender.join(30)
    assert result[0].accepted and not gate.events("server_down")


def test_a_server_that_takes_few_connections_is_not_down(site, scripted):
    """Whoever cannot have one of its own waits for those that live."""
    lock, live = threading.Lock(), []

    def connect(session, _line):
        with lock:
            live[:] = [s for s in live if s.is_alive()]
            if len(live) >= 2:
                return close("421 4.3.2 too many connections")
            live.append(session)
        return "220 scripted.test ready"

    gate = Gate(site, scripted, old={"connect": connect})
    codes = []

    def work(number):
        for _ in range(5):
            codes.append(gate.send(ANN, token=f"t{number}").accepted)

    threads = [threading.Thread(target=work, args=[n]) for n in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert codes == [[ANN]] * 30
