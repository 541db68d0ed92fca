# SPDX-License-Identifier: ISC
"""Relays in front of a real IMAP server, in place of it: whatever they do not know is the server's.

    cutter = Cutter(server)                a client's connection ends at a chosen command
    cutter.arm("BYE, undone", 7)           at the 7th command from now, of any connection; arm() only counts
    cutter.steps, cutter.fired             commands since then; the one at which it happened
    cutter.drained()                       the server has ended every session that came through here

    door = Door(server)                    an administrator signs in for any user of a server that knows none

One thread serves both directions of a connection, so that a reset is one at once.  It blocks on what it
sends: good for messages that fit into a socket's buffer, and no more.
"""
import base64
import re
import select
import socket
import struct
import threading

from .imap import quoted
from .wait import free_port, release_port, wait_for

LITERAL = re.compile(rb"\{(\d+)\+?\}\r\n$")
BYE = b"* BYE shutting down\r\n"


class Pieces:
    """Splits a stream: (whole line, what follows is a literal of this size or None), (part of a literal, None)."""

    def __init__(self):
        self.rest, self.left = b"", 0

    def feed(self, data):
        self.rest += data
        while self.rest:
            if self.left:
                part, self.rest = self.rest[:self.left], self.rest[self.left:]
                self.left -= len(part)
                yield False, part, 0
                continue
            line, end, rest = self.rest.partition(b"\n")
            if not end:
                return
            self.rest = rest
            found = LITERAL.search(line + end)
            self.left = int(found[1]) if found else 0
            yield True, line + end, self.left


class Relay:
    """Passes everything on.  Subclasses change lines, or end the link by returning False."""

    def __init__(self, server):
        self.server, self.imap_port = server, free_port()
        self.backend_port = server.imap_port
        self.lock, self.n_open = threading.Lock(), 0
        self.listener = socket.create_server(("127.0.0.1", self.imap_port), backlog=50)
        threading.Thread(target=self._accept, daemon=True).start()

    def __getattr__(self, name):
        return getattr(self.server, name)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)  # wakes who waits for the next one
        self.listener.close()
        release_port(self.imap_port)

    def drained(self):
        wait_for(lambda: self.n_open == 0, 20, "the sessions behind a relay to end")

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.n_open += 1
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        try:
            with client, socket.create_connection(("127.0.0.1", self.backend_port)) as server:
                for sock in (client, server):
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                Link(self, client, server).run()
        except OSError:
            pass
        finally:
            with self.lock:
                self.n_open -= 1

    # Each gets a link and a line, and gives what is sent instead, or None when the link has to end.
    def command(self, link, line, literal):
        return line

    def response(self, link, line):
        return line


class Link:
    def __init__(self, relay, client, server):
        self.relay, self.client, self.server = relay, client, server
        self.is_inside = False      # the client's next line goes on with a command
        self.until = None           # octets of the literal that still go through before the end
        self.last_words, self.is_reset, self.tag = b"", False, None

    def run(self):
        up, down = Pieces(), Pieces()
        try:
            while True:
                for sock in select.select([self.client, self.server], [], [])[0]:
                    data = sock.recv(65536)
                    if not data or not (self._up(up, data) if sock is self.client else self._down(down, data)):
                        return
        finally:
            self._end()

    def _up(self, pieces, data):
        for is_line, piece, literal in pieces.feed(data):
            if is_line:
                starts, self.is_inside = not self.is_inside and b" " in piece, bool(literal)
                piece = self.relay.command(self, piece, literal) if starts else piece
                if piece is None:
                    return False
            elif self.until is not None:
                self.server.sendall(piece[:self.until])
                self.until -= len(piece)
                if self.until <= 0:
                    return False
                continue
            self.server.sendall(piece)
        return True

    def _down(self, pieces, data):
        for is_line, piece, _ in pieces.feed(data):
            if is_line:
                piece = self.relay.response(self, piece)
                if piece is None:
                    return False
            self.client.sendall(piece)
        return True

    def _end(self):
        try:
            if self.is_reset:
                self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif self.last_words:
                self.client.sendall(self.last_words)
            self.client.close()
        except OSError:
            pass
        # What the server has got it finishes.
        self.server.shutdown(socket.SHUT_WR)
        self.server.settimeout(20)
        while self.server.recv(65536):
            pass


# Where the command is then: not begun, begun, done without an answer, answered; and how the connection ends.
WAYS = {
    "BYE, undone": ("undone", BYE),
    "reset, undone": ("undone", None),
    "reset, half sent": ("half", None),
    "BYE, done": ("done", BYE),
    "reset, done": ("done", None),
    "reset, half answered": ("half answered", None),
    "BYE, answered": ("answered", BYE),
}


class Cutter(Relay):
    def __init__(self, server):
        super().__init__(server)
        self.arm()

    def arm(self, way=None, at=0):
        with self.lock:
            self.where, self.words = WAYS[way] if way else ("", None)
            self.at, self.steps, self.fired = at, 0, b""

    def command(self, link, line, literal):
        if b" LOGOUT" in line:
            return line
        with self.lock:
            self.steps += 1
            is_it = self.steps == self.at
        if not is_it:
            return line
        self.fired = line
        link.last_words, link.is_reset = self.words or b"", self.words is None
        if self.where == "undone":
            return None
        if self.where == "half" and literal:
            link.until = literal // 2
            return line
        if self.where == "half":
            link.server.sendall(line[:len(line) // 2])
            return None
        link.tag = line.split(b" ")[0]
        return line

    def response(self, link, line):
        if link.tag is None:
            return line
        is_tagged = line.startswith(link.tag + b" ")
        if self.where == "half answered":
            link.client.sendall(line[:len(line) // 2])
            return None
        if is_tagged and self.where == "answered":
            link.client.sendall(line)
        return None if is_tagged else line


class Door(Relay):
    """"master" with "master-secret" may act for everybody, as the proxies in front of such servers let him."""

    master_password = "master-secret"
    PLAIN = re.compile(rb"(\S+) AUTHENTICATE PLAIN (\S+)\r\n", re.I)

    def __init__(self, server):
        super().__init__(server)
        self.lmtp_port = free_port()  # where nobody listens

    def command(self, link, line, literal):
        found = self.PLAIN.fullmatch(line)
        if not found:
            return line
        user, admin, password = base64.b64decode(found[2]).decode().split("\0")
        if (admin, password) != ("master", self.master_password) or user not in self.server.users:
            link.last_words = BYE
            return None
        return found[1] + f" LOGIN {quoted(user)} {quoted(self.server.users[user])}\r\n".encode()

    def response(self, link, line):
        return line.replace(b"CAPABILITY IMAP4rev1", b"CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR")
