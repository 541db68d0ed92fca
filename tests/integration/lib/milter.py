# SPDX-License-Identifier: ISC
"""The milter protocol as a mail server speaks it, well or badly.

    with MilterClient(site.milter_port) as mta:
        mta.negotiate(); mta.connect("192.0.2.1")
        mta.mail("<a@example.net>")
        mta.rcpt("<ann@example.org>").code       # 250 for "continue", else the code of the reply
        mta.headers([("Subject", "x")])
        mta.end()                                # Verdict(code, text, inserted=[(index, name, value)])
        mta.send(b"X", b"..."); mta.raw(b"...")  # anything else; receive() gives (command, data) or None

What was negotiated is respected: steps that the milter does not want are not sent, and nothing is
waited for where it does not answer.  offer_* say what this mail server offers.
"""
import socket
import struct
import threading
from typing import NamedTuple

from .wait import free_port

ACTIONS_ALL = 0x1FF
STEPS_ALL = 0x1FFFFF
ADDHDRS, SETSYMLIST = 0x01, 0x100
NO_STEP = {"C": 0x01, "H": 0x02, "M": 0x04, "R": 0x08, "B": 0x10, "L": 0x20, "N": 0x40, "U": 0x100, "T": 0x200}
NO_REPLY = {"L": 0x80, "C": 0x1000, "H": 0x2000, "M": 0x4000, "R": 0x8000, "T": 0x10000, "U": 0x20000,
            "N": 0x40000, "B": 0x80000}


class Verdict(NamedTuple):
    """250 is "continue"; 451 and 550 stand for tempfail and reject without a text; 0 is a hang-up."""
    code: int
    text: str = ""
    inserted: tuple = ()


class MilterClient:
    def __init__(self, port, timeout=20):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout)
        self.actions = self.steps = 0
        self.symbols = {}

    # --- Packets ------------------------------------------------------------------

    def raw(self, data):
        self.sock.sendall(data)

    def send(self, command, data=b""):
        self.raw(struct.pack("!I", 1 + len(data)) + command + data)

    def receive(self):
        """(command, data), or None when the milter has hung up."""
        try:
            head = self._read(4)
            body = self._read(struct.unpack("!I", head)[0]) if head else None
        except ConnectionError:
            return None
        return (body[:1], body[1:]) if body else None

    def _read(self, size):
        data = b""
        while len(data) < size:
            piece = self.sock.recv(size - len(data))
            if not piece:
                return None
            data += piece
        return data

    # --- Steps ----------------------------------------------------------------------

    def negotiate(self, version=6, offer_actions=ACTIONS_ALL, offer_steps=STEPS_ALL):
        """True when the milter agrees."""
        self.send(b"O", struct.pack("!III", version, offer_actions, offer_steps))
        answer = self.receive()
        if answer is None:
            return False
        command, data = answer
        assert command == b"O", answer
        _, self.actions, self.steps = struct.unpack("!III", data[:12])
        assert self.actions & ~offer_actions == 0 and self.steps & ~offer_steps == 0, "asks for more than was offered"
        rest = data[12:]
        while rest:
            stage = struct.unpack("!I", rest[:4])[0]
            text, _, rest = rest[4:].partition(b"\0")
            self.symbols[stage] = text.decode()
        return True

    def step(self, command, data=b"", macros=None):
        """Send one step, if the milter wants it, and read the answer, if it gives one."""
        if self.steps & NO_STEP.get(command, 0):
            return Verdict(250)
        if macros:
            self.send(b"D", command.encode() + b"".join(f"{k}\0{v}\0".encode() for k, v in macros.items()))
        self.send(command.encode(), data)
        return Verdict(250) if self.steps & NO_REPLY.get(command, 0) else self.verdict()

    def verdict(self):
        inserted = []
        while True:
            answer = self.receive()
            if answer is None:
                return Verdict(0, "", tuple(inserted))
            command, data = answer
            if command == b"i":
                name, value = data[4:].split(b"\0")[:2]
                inserted.append((struct.unpack("!I", data[:4])[0], name.decode(), value.decode()))
            elif command == b"y":
                text = data.rstrip(b"\0").decode()
                return Verdict(int(text[:3]), text[4:], tuple(inserted))
            elif command in b"cart":
                return Verdict({b"c": 250, b"a": 250, b"r": 550, b"t": 451}[command], "", tuple(inserted))
            else:
                raise AssertionError(f"unexpected answer {command!r} {data!r}")

    def connect(self, address="192.0.2.1", macros=None):
        family = b"6" if ":" in address else b"4"
        return self.step("C", b"client.test\0" + family + struct.pack("!H", 40000) + address.encode() + b"\0", macros)

    def connect_unknown(self, macros=None):
        """A client without an address, such as the mail server's own submission."""
        return self.step("C", b"localhost\0U", macros)

    def mail(self, sender="<a@example.net>"):
        return self.step("M", sender.encode() + b"\0")

    def rcpt(self, recipient, resolved=None):
        """resolved: what the mail server tells as {rcpt_addr}; by default it tells nothing."""
        return self.step("R", recipient.encode() + b"\0", macros=resolved and {"{rcpt_addr}": resolved})

    def headers(self, fields):
        for name, value in fields:
            got = self.step("L", name.encode() + b"\0" + value.encode() + b"\0")
            assert got.code == 250, got
        return self.step("N")

    def end(self, qid="4ABC"):
        return self.step("E", macros={"i": qid})

    def abort(self):
        self.send(b"A")

    def message(self, recipients, fields=(("Subject", "x"),), sender="<a@example.net>"):
        """A whole message; (verdicts by recipient, verdict on the message or None)."""
        got = self.mail(sender)
        assert got.code == 250, got
        rcpts = {r: self.rcpt(f"<{r}>") for r in recipients}
        if not any(v.code == 250 for v in rcpts.values()):
            self.abort()
            return rcpts, None
        self.headers(fields)
        return rcpts, self.end()

    def quit(self):
        self.send(b"Q")

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def session(port, address="192.0.2.1"):
    """A client that has negotiated and introduced its SMTP client."""
    mta = MilterClient(port)
    assert mta.negotiate()
    assert mta.connect(address).code == 250
    return mta


class MilterProxy:
    """Stands between a mail server and the milter and fails at a chosen step.

    with MilterProxy(site.milter_port) as proxy:      # proxy.port
        proxy.fail("R", hang=False)                   # hang up when the mail server sends this step; None: never
        proxy.failed                                  # how often it has
    """

    def __init__(self, target):
        self.target = target
        self.port = free_port()
        self.command, self.hang, self.failed = None, False, 0
        self.ended = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=50)
        threading.Thread(target=self._accept, daemon=True).start()

    def fail(self, command, hang=False):
        self.command, self.hang = command, hang

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, mta):
        with mta:
            try:
                milter = socket.create_connection(("127.0.0.1", self.target), 20)
            except OSError:
                return
            with milter:
                back = threading.Thread(target=self._copy, args=(milter, mta), daemon=True)
                back.start()
                self._forward(mta, milter)
                for sock in (milter, mta):
                    try:
                        sock.shutdown(socket.SHUT_RDWR)
                    except OSError:
                        pass
                back.join(10)

    def _forward(self, mta, milter):
        file = mta.makefile("rb")
        try:
            while len(head := file.read(4)) == 4:
                body = file.read(struct.unpack("!I", head)[0])
                if self.command is not None and body[:1] == self.command.encode():
                    self.failed += 1
                    if self.hang:
                        self.ended.wait(60)
                    return
                milter.sendall(head + body)
        except OSError:
            pass

    @staticmethod
    def _copy(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            pass

    def close(self):
        self.ended.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
