# SPDX-License-Identifier: ISC
"""SMTP and LMTP from both ends: a client that shows every reply, and a server that follows a script.

Client
    send(port, "a@example.net", ["ann@example.org"], message)   -> Outcome(mail, rcpts, data, ...)
    with Client(port) as c: c.ehlo(); c.cmd("MAIL FROM:<>"); c.write(b"..."); c.reply()

Server
    with ScriptedSmtp({"rcpt": {"bob@example.org": "550 5.1.1 no such user"},
                       "dot": wait(event, "250 2.0.0 stored")}) as target:
        target.reached("dot").wait(10)
        target.messages      # [Received(sender, recipients, data, session)], acknowledged ones only
        target.sessions[0].commands

A script maps a stage (connect ehlo helo lhlo starttls mail rcpt data dot rset noop vrfy quit other) to a
step: a reply text, one of the steps below, a list of steps (one per use, the last one stays), a
table by address (rcpt only), or a function of (session, line) that returns a step.
"""
import socket
import ssl
import threading
from typing import NamedTuple

from . import certs
from .wait import free_port, wait_for


class Reply(NamedTuple):
    """One reply: code 0 means that the connection ended instead."""
    code: int
    text: str

    def __str__(self):
        return f"{self.code} {self.text}" if self.code else "connection closed"


CLOSED = Reply(0, "")


class Outcome(NamedTuple):
    """What a transaction got.  data is None when no recipient was accepted; with LMTP it is the
    list of one reply per accepted recipient."""
    mail: Reply
    rcpts: dict
    data: object

    @property
    def accepted(self):
        """Recipients that the server took responsibility for."""
        good = [r for r, reply in self.rcpts.items() if reply.code == 250]
        if isinstance(self.data, list):
            return [r for r, reply in zip(good, self.data) if reply.code == 250]
        return good if self.data is not None and self.data.code == 250 else []


class Client:
    """A client that sends exactly what it is told to."""

    def __init__(self, port, host="127.0.0.1", lmtp=False, timeout=60, source=None, greeting=True):
        self.lmtp = lmtp
        self.sock = socket.create_connection((host, port), timeout, (source, 0) if source else None)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.sock.makefile("rb")
        self.features = []
        self.greeting = self.reply() if greeting else None

    def write(self, data):
        self.sock.sendall(data)

    def reply(self):
        """The next reply, CLOSED at the end of the connection."""
        lines = []
        while True:
            try:
                line = self.file.readline(4096)
            except ConnectionError:
                return CLOSED
            if not line:
                return CLOSED
            assert line.endswith(b"\r\n"), f"not a reply line: {line!r}"
            text = line[:-2].decode("utf-8", "backslashreplace")
            lines.append(text[4:])
            if text[3:4] != "-":
                return Reply(int(text[:3]), "\n".join(lines))

    def cmd(self, line):
        """Send one command line and return its reply."""
        try:
            self.write(line.encode() + b"\r\n")
        except ConnectionError:
            return CLOSED
        return self.reply()

    def ehlo(self, name="client.test"):
        reply = self.cmd(("LHLO " if self.lmtp else "EHLO ") + name)
        self.features = reply.text.split("\n")[1:]
        return reply

    def starttls(self, verify=False):
        reply = self.cmd("STARTTLS")
        if reply.code != 220:
            return reply
        if verify:
            context = certs.client_context()
        else:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        self.sock = context.wrap_socket(self.sock, server_hostname="localhost")
        self.file = self.sock.makefile("rb")
        return reply

    def transaction(self, sender, recipients, message, mail_args="", rcpt_args=""):
        """MAIL to the reply behind the dot, without pipelining.  message: bytes, any line ends."""
        mail = self.cmd(f"MAIL FROM:<{sender}>{mail_args}")
        rcpts = {}
        if mail.code != 250:
            return Outcome(mail, rcpts, None)
        for recipient in recipients:
            rcpts[recipient] = self.cmd(f"RCPT TO:<{recipient}>{rcpt_args}")
        good = [r for r in rcpts.values() if r.code == 250]
        if not good:
            self.cmd("RSET")
            return Outcome(mail, rcpts, None)
        go = self.cmd("DATA")
        if go.code != 354:
            return Outcome(mail, rcpts, [go] * len(good) if self.lmtp else go)
        self.write(wire(message))
        return Outcome(mail, rcpts, [self.reply() for _ in good] if self.lmtp else self.reply())

    def close(self):
        self.file.close()
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def wire(message):
    """Message bytes as they go over the wire behind DATA: CRLF, dots doubled, the final dot."""
    lines = message.replace(b"\r\n", b"\n").split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    return b"".join((b"." if line.startswith(b".") else b"") + line + b"\r\n" for line in lines) + b".\r\n"


def send(port, sender, recipients, message, lmtp=False, timeout=60, **kwargs):
    """One message over a connection of its own; never raises for what the server answers."""
    if isinstance(recipients, str):
        recipients = [recipients]
    with Client(port, lmtp=lmtp, timeout=timeout) as client:
        if client.greeting.code != 220:
            return Outcome(client.greeting, {}, None)
        hello = client.ehlo()
        if hello.code != 250:
            return Outcome(hello, {}, None)
        outcome = client.transaction(sender, recipients, message, **kwargs)
        client.cmd("QUIT")
        return outcome


def message(token, sender="sender@example.net", to="ann@example.org", body_lines=3, extra=""):
    """A small message that can be found again: the token is in Message-ID, Subject and body."""
    body = "".join(f"{token} line {n}\r\n" for n in range(1, body_lines + 1))
    return (f"From: <{sender}>\r\nTo: <{to}>\r\nSubject: {token}\r\nMessage-ID: <{token}@test>\r\n"
            f"Date: Mon, 02 Nov 2026 09:00:00 +0000\r\n{extra}\r\n{body}").encode()


# --- The scripted server ---------------------------------------------------------


class Step(NamedTuple):
    text: object = None      # reply, or None for none at all
    event: object = None     # wait for it first
    close: bool = False      # close after the reply
    reset: bool = False      # close with RST, so that the peer sees an error, not an end
    raw: bytes = b""         # bytes to send instead of a reply
    wire: tuple = ()         # pieces to send for text, which only tells the code


def wait(event, text="250 2.0.0 ok"):
    """Answer once the event is set (or the server stops)."""
    return Step(text=text, event=event)


def close(text=None):
    """Close the connection, after a last reply if one is given."""
    return Step(text=text, close=True)


def reset():
    return Step(close=True, reset=True)


def raw(data, close=False):
    """Send these bytes as they are."""
    return Step(raw=data, close=close)


class Received(NamedTuple):
    sender: str
    recipients: list
    data: bytes          # dots undone, final dot removed
    session: object


STAGES = ("connect", "ehlo", "helo", "lhlo", "starttls", "mail", "rcpt", "data", "dot", "rset", "noop", "vrfy", "quit")
DEFAULTS = {
    "connect": "220 scripted.test ready", "helo": "250 scripted.test", "starttls": "220 2.0.0 go ahead",
    "mail": "250 2.1.0 ok", "rcpt": "250 2.1.5 ok", "data": "354 go ahead", "dot": "250 2.0.0 stored",
    "rset": "250 2.0.0 ok", "noop": "250 2.0.0 ok", "vrfy": "252 2.0.0 cannot say", "quit": "221 2.0.0 bye",
    "other": "500 5.5.1 what?",
}


class Session(threading.Thread):
    """One connection to the scripted server."""

    def __init__(self, server, sock, peer):
        super().__init__(daemon=True)
        self.server = server
        self.sock = sock
        self.peer = peer
        self.commands = []      # every line received outside data, as text
        self.sender = None
        self.recipients = []    # accepted ones of the transaction at hand
        self.ended = False
        self.was_reset = False
        self.file = sock.makefile("rb")

    def run(self):
        try:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.answer("connect", ""):
                while not self.ended:
                    line = self.file.readline(65536)
                    if not line:
                        break
                    self.command(line.rstrip(b"\r\n").decode("utf-8", "backslashreplace"))
        except (OSError, ssl.SSLError, ValueError):
            pass
        finally:
            # The file object shares the descriptor: only shutdown tells the peer for certain.
            if not self.was_reset:
                self.shutdown()
            self.file.close()
            self.sock.close()

    def shutdown(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def command(self, line):
        self.commands.append(line)
        verb = line.split(" ")[0].lower()
        stage = verb if verb in STAGES and verb not in ("connect", "dot") else "other"
        if stage in ("mail", "rset"):
            self.sender, self.recipients = None, []
        code = self.answer(stage, line)
        if stage == "mail" and code == 250:
            self.sender = address_in(line)
        elif stage == "rcpt" and code in (250, 251):
            self.recipients.append(address_in(line))
        elif stage == "data" and code == 354:
            (self.server.data_hook or Session.data)(self)
        elif stage == "starttls" and code == 220:
            self.sock = certs_server_context().wrap_socket(self.sock, server_side=True)
            self.file = self.sock.makefile("rb")
        elif stage == "quit":
            self.ended = True

    def data(self):
        lines = []
        while True:
            line = self.file.readline()
            if not line.endswith(b"\n"):
                return
            if line == b".\r\n":
                break
            lines.append(line[1:] if line.startswith(b".") else line)
        body = b"".join(lines)
        asked = list(self.recipients) if self.server.lmtp else [""]
        good = []

        def settle(number, code):
            # Before the last reply leaves, so that whoever has read it finds the message.
            if code == 250:
                good.extend([asked[number]] if self.server.lmtp else self.recipients)
            if number == len(asked) - 1 and good:
                self.server.store(Received(self.sender, list(good), body, self))

        for n, recipient in enumerate(asked):
            self.answer("dot", recipient, lambda code, n=n: settle(n, code))
        self.sender, self.recipients = None, []

    def answer(self, stage, line, before=None):
        """Follow the script for one stage; the code sent, or 0 when there was no reply.  before is
        called with the code just before it is sent."""
        self.server.reached(stage).set()
        step = self.server.step(stage, self, line)
        if step.event is not None:
            while not step.event.wait(0.05) and not self.server.stopping:
                pass
        code = int(step.text[:3]) if step.text is not None and not step.raw else 0
        if before is not None:
            before(code)
        if step.raw:
            self.sock.sendall(step.raw)
        elif step.wire:
            for piece in step.wire:
                self.sock.sendall(piece)
        elif step.text is not None:
            self.sock.sendall(step.text.encode() + b"\r\n")
        if step.close:
            self.ended = True
            if step.reset:
                self.was_reset = True
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            else:
                self.shutdown()
        return code


def address_in(line):
    return line.partition("<")[2].rpartition(">")[0].partition("> ")[0]


_server_context = []


def certs_server_context():
    if not _server_context:
        cert, key = certs.issue("scripted.test")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        _server_context.append(context)
    return _server_context[0]


class ScriptedSmtp:
    """A target server under the test's control.  script may be changed at any time."""

    EXTENSIONS = ("PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "SIZE 104857600")

    def __init__(self, script=None, lmtp=False, extensions=EXTENSIONS, port=None, host="127.0.0.1"):
        self.script = dict(script or {})
        self.lmtp = lmtp
        self.extensions = list(extensions)
        self.host = host
        self.port = port or free_port()
        self.messages = []
        self.sessions = []
        self.data_hook = None   # a function of the session that takes the content instead
        self.stopping = False
        self._uses = {}
        self._reached = {}
        self._lock = threading.Lock()
        self._listener = None

    def start(self):
        self.stopping = False
        self._listener = socket.create_server((self.host, self.port), backlog=100)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
        return self

    def stop(self):
        """Stop listening and cut all connections."""
        self.stopping = True
        if self._listener is not None:
            # close alone does not wake the thread that waits in accept
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        for session in self.sessions:
            session.shutdown()

    close = stop

    def _accept(self, listener):
        while True:
            try:
                sock, peer = listener.accept()
            except OSError:
                return
            session = Session(self, sock, peer)
            self.sessions.append(session)
            session.start()

    def reached(self, stage):
        """An Event that is set as soon as any session came to this stage."""
        with self._lock:
            return self._reached.setdefault(stage, threading.Event())

    def step(self, stage, session, line):
        entry = self.script.get(stage)
        if stage == "rcpt" and isinstance(entry, dict):
            entry = entry.get(address_in(line), entry.get(None))
        elif stage == "dot" and isinstance(entry, dict):
            entry = entry.get(line, entry.get(None))
        if isinstance(entry, list):
            with self._lock:
                use = self._uses.get(stage, 0)
                self._uses[stage] = use + 1
            entry = entry[min(use, len(entry) - 1)]
        if callable(entry):
            entry = entry(session, line)
        if entry is None:
            if stage in ("ehlo", "lhlo"):
                names = ["scripted.test", *self.extensions]
                entry = "\r\n".join(f"250{'-' if n < len(names) - 1 else ' '}{name}" for n, name in enumerate(names))
            else:
                entry = DEFAULTS[stage]
        return entry if isinstance(entry, Step) else Step(text=entry)

    def store(self, received):
        with self._lock:
            self.messages.append(received)

    def wait_messages(self, count, timeout=20):
        """Wait until at least count messages are acknowledged; returns all of them."""
        wait_for(lambda: len(self.messages) >= count, timeout, f"{count} messages (have {len(self.messages)})")
        return self.messages

    def commands(self):
        """All command lines of all sessions, in order per session."""
        return [line for session in self.sessions for line in session.commands]

    def __enter__(self):
        return self if self._listener else self.start()

    def __exit__(self, *_):
        self.stop()
