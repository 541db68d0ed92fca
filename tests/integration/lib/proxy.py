# SPDX-License-Identifier: ISC
"""A proxy in front of a real IMAP server, in place of it: whatever it does not know is the server's.

    proxy = Proxy(server)                  passes everything on, and keeps the commands that clients say
    proxy.commands                         of all connections, each its first line, without the tag
    proxy.count(rb"APPEND "), .forget()    how many begin so; from now on
    proxy.heard                            octets that the server has answered
    Proxy(server, before=f, behind=g)      f(command) is called before the server hears it, g(octets) before the client
                                           hears the server; an OSError of g ends the link, with all that is on its way
    Proxy(server, hide=["QRESYNC"])        capabilities that clients do not get to see
    Proxy(server, show=["AUTH=PLAIN"])     and such that the server does not know of
    proxy.hold(rb"APPEND ", 60)            from the first one on nothing is answered, until 60 have come:
                                           a client that waits sooner waits for ever
    proxy.hold_each(rb"APPEND ", f)        who has said it (proxy.said) hears nothing more until f(), which is asked behind
                                           whatever goes through here
    proxy.cut("BYE, undone", 7)            the 7th command from now, of any connection, is the last; cut() only counts
    proxy.steps, proxy.fired               commands since then; the one at which it happened
    proxy.drained()                        the server has ended every session that came through here

    Door(server)                           an administrator signs in for any user of a server that knows none

They stand in front of each other as well.  One thread serves all connections of a proxy.  A delay in time is
the business of tests/tools/delay_proxy.c.
"""
import base64
import re
import selectors
import socket
import struct
import threading

from .imap import quoted
from .wait import free_port, release_port, wait_for

LITERAL = re.compile(rb"\{(\d+)\+?\}\r\n$")
CAPABILITIES = re.compile(rb"((?:^\* |\[)CAPABILITY )([^\]\r]*)")
BYE = b"* BYE shutting down\r\n"
FULL = 1 << 20  # of what one side has not taken yet; the other is not read then

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


class Pieces:
    """Splits a stream: (True, whole line, size of the literal that follows or None), (False, part of a literal, None)."""

    def __init__(self):
        self.rest, self.left = b"", 0

    def feed(self, data):
        data, at = self.rest + data, 0
        while at < len(data):
            if self.left:
                end = min(at + self.left, len(data))
                self.left -= end - at
                yield False, data[at:end], None
            else:
                end = data.find(b"\n", at) + 1
                if not end:
                    break
                found = LITERAL.search(data[at:end])
                self.left = int(found[1]) if found else 0
                yield True, data[at:end], self.left if found else None
            at = end
        self.rest = data[at:]


class Proxy:
    """See the top of this file.  Subclasses change lines, or end the link by returning None."""

    def __init__(self, server, before=None, behind=None, hide=(), show=()):
        self.server, self.before, self.behind, self.imap_port = server, before, behind, free_port()
        self.hide, self.show = [{name.encode() for name in names} for names in (hide, show)]
        self.lock, self.links, self.commands, self.held = threading.Lock(), frozenset(), [], None
        self.heard = 0
        self.held_each, self.said = None, set()
        self.cut()
        self.listener = socket.create_server(("127.0.0.1", self.imap_port), backlog=50)
        self.is_open = True
        threading.Thread(target=self._run, daemon=True).start()

    def __getattr__(self, name):
        return getattr(self.server, name)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)  # wakes who waits for the next one
        release_port(self.imap_port)

    def count(self, command):
        pattern = re.compile(command, re.S)
        return sum(bool(pattern.match(line)) for line in list(self.commands))

    def forget(self):
        self.commands, self.heard = [], 0

    def hold(self, command, until):
        self.held = (command, until)

    def hold_each(self, command, until):
        self.said = set()
        self.held_each = (re.compile(command, re.S), until) if until else None

    def cut(self, way=None, at=0):
        with self.lock:
            self.where, self.words = WAYS[way] if way else ("", None)
            self.at, self.steps, self.fired = at, 0, b""

    def drained(self):
        wait_for(lambda: not self.links, 20, "the sessions behind a proxy to end")

    # Each gets a link and a line, and gives what is sent instead, or None when the link has to end.
    def command(self, link, line, literal):
        tag, _, words = line.partition(b" ")
        self.commands.append(words)
        if self.held_each and self.held_each[0].match(words):
            self.said.add(link)
        if self.before:
            self.before(words)
        if words.startswith(b"LOGOUT"):
            return line
        with self.lock:
            self.steps += 1
            if self.steps != self.at:
                return line
            self.fired = line
            return link.cut(self.where, self.words, tag, line, literal)

    def response(self, link, line):
        if self.hide or self.show:
            line = CAPABILITIES.sub(self._shown, line)
        return link.cut_answer(line) if link.tag else line

    def _shown(self, found):
        names = [name for name in found[2].split(b" ") if name not in self.hide]
        return found[1] + b" ".join(names + sorted(self.show.difference(names)))

    def is_held(self):
        return self.held and 0 < self.count(self.held[0]) < self.held[1]

    def _run(self):
        with selectors.DefaultSelector() as poll:
            poll.register(self.listener, selectors.EVENT_READ)
            while self.is_open or self.links:
                for key, events in poll.select():
                    if key.data is None:
                        self._accept(poll)
                    elif events & selectors.EVENT_READ:
                        key.data[0].hears(key.data[1])
                is_held = self.is_held()
                waiting = self.said if self.held_each and not self.held_each[1]() else ()
                self.links = frozenset(link for link in self.links if link.goes_on(poll, is_held or link in waiting))

    def _accept(self, poll):
        try:
            client, _ = self.listener.accept()
        except OSError:
            poll.unregister(self.listener)
            self.listener.close()
            self.is_open = False
            return
        try:
            self.links = self.links | {Link(self, client, socket.create_connection(("127.0.0.1", self.server.imap_port)))}
        except OSError:
            client.close()


class Half:
    """One of the two connections of a link, with what is still to be said there."""

    def __init__(self, sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        self.sock, self.pieces, self.unsent = sock, Pieces(), bytearray()
        self.watched, self.is_shut, self.is_finished = 0, False, False

    def receive(self):
        """None: nothing yet; no octets: the end."""
        try:
            data = self.sock.recv(65536)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        self.is_finished = not data
        return data

    def send(self):
        """True when nothing is left, be it that nobody takes it."""
        try:
            while self.unsent:
                del self.unsent[:self.sock.send(self.unsent)]
        except BlockingIOError:
            return False
        except OSError:
            self.unsent.clear()
        return True

    def shut(self):
        if not self.is_shut:
            self.is_shut = True
            try:
                self.sock.shutdown(socket.SHUT_WR)
            except OSError:
                self.is_finished = True

    def watch(self, poll, events, data):
        if events and self.watched:
            poll.modify(self.sock, events, data)
        elif events:
            poll.register(self.sock, events, data)
        elif self.watched:
            poll.unregister(self.sock)
        self.watched = events

    def close(self, poll):
        self.watch(poll, 0, None)
        self.sock.close()
        self.sock = None


class Link:
    """A client's connection and ours to the server.  When it is over, the server still finishes what it has got."""

    def __init__(self, proxy, client, server):
        self.proxy, self.client, self.server = proxy, Half(client), Half(server)
        self.is_inside = False      # the client's next line goes on with a command
        self.is_over, self.is_reset = False, False
        self.until = None           # octets of the literal that still go through before the end
        self.where, self.last_words, self.tag = "", b"", None

    def hears(self, half):
        data = half.receive()
        if data is None or self.is_over:
            return
        if half is self.server and not self._may_hear(data):
            self.is_over = self.server.is_finished = True
            self.client.unsent.clear()
        elif not data or not (self._up(data) if half is self.client else self._down(data)):
            self.is_over = True
            self.client.unsent += self.last_words

    def _may_hear(self, data):
        self.proxy.heard += len(data)
        try:
            if data and self.proxy.behind:
                self.proxy.behind(data)
        except OSError:
            return False
        return True

    def goes_on(self, poll, is_held):
        """Sends what can be sent, and says what to wait for; False when there is nothing."""
        for half, other in ((self.client, self.server), (self.server, self.client)):
            if half.sock is None:
                continue
            may_send = self.is_over or half is self.server or not is_held
            is_sent = may_send and half.send()
            events = selectors.EVENT_WRITE if may_send and not is_sent else 0
            if self.is_over and (is_sent if half is self.client else half.is_finished):
                if half is self.client and self.is_reset:
                    half.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                half.close(poll)
                continue
            if self.is_over and half is self.server and is_sent:
                half.shut()
            if half is self.server if self.is_over else len(other.unsent) < FULL:
                events |= selectors.EVENT_READ
            half.watch(poll, events, (self, half))
        return self.client.sock or self.server.sock

    def cut(self, where, words, tag, line, literal):
        """What of the last command still goes through."""
        self.last_words, self.is_reset = words or b"", words is None
        if where == "undone":
            return None
        if where != "half":
            self.where, self.tag = where, tag
        elif literal:
            self.until = literal // 2
        else:
            self.server.unsent += line[:len(line) // 2]
            return None
        return line

    def cut_answer(self, line):
        if self.where == "half answered":
            self.client.unsent += line[:len(line) // 2]
            return None
        if not line.startswith(self.tag + b" "):
            return line
        if self.where == "answered":
            self.client.unsent += line
        return None

    def _up(self, data):
        for is_line, piece, literal in self.client.pieces.feed(data):
            if is_line:
                starts, self.is_inside = not self.is_inside and b" " in piece, literal is not None
                piece = self.proxy.command(self, piece, literal) if starts else piece
                if piece is None:
                    return False
            elif self.until is not None:
                self.server.unsent += piece[:self.until]
                self.until -= len(piece)
                if self.until <= 0:
                    return False
                continue
            self.server.unsent += piece
        return True

    def _down(self, data):
        for is_line, piece, _ in self.server.pieces.feed(data):
            if is_line:
                piece = self.proxy.response(self, piece)
                if piece is None:
                    return False
            self.client.unsent += piece
        return True


class Door(Proxy):
    """"master" with "master-secret" may act for everybody, as the proxies in front of such servers let him."""

    master_password = "master-secret"
    PLAIN = re.compile(rb"(\S+) AUTHENTICATE PLAIN (\S+)\r\n", re.I)

    def __init__(self, server):
        super().__init__(server, show=["AUTH=PLAIN", "SASL-IR"])
        self.lmtp_port = free_port()  # where nobody listens

    def command(self, link, line, literal):
        found = self.PLAIN.fullmatch(line)
        if found:
            user, admin, password = base64.b64decode(found[2]).decode().split("\0")
            if (admin, password) != ("master", self.master_password) or user not in self.server.users:
                link.last_words = BYE
                return None
            line = found[1] + f" LOGIN {quoted(user)} {quoted(self.server.users[user])}\r\n".encode()
        return super().command(link, line, literal)
