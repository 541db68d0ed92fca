# SPDX-License-Identifier: ISC
"""Round trips of a program, counted and not timed: a relay in front of its servers that works in turns.

    turns = Lockstep(old, new)              server.proxy_port is its port from now on
    done, trips = turns.run(line)
    done = turns.through(line)              without counting, as fast as it goes

A turn: the program has taken all that it was given, has said what it has to say and waits.  Only then do the servers
hear it; and only when they have answered all of it does the program hear them.  So each turn is one round trip on a line
that is long enough, whatever the machine does meanwhile.  Connecting is one, and the greeting another half.
For conversations that fit into the buffers of a socket.
"""
import re
import select
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from .mailbox import result_of

CONNECTING = 1.5
ROOM = 4 << 20


class Line:
    """One connection: `asked` are tags without an answer."""

    def __init__(self, client, port):
        self.client = client
        self.server = socket.create_connection(("127.0.0.1", port))
        for side in (client, self.server):
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            side.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ROOM)
        self.said, self.heard = b"", b""
        self.asked = set()
        self.is_over = False
        self.port = client.getpeername()[1]

    def listen(self):
        """What the program has said since; whether that was anything."""
        got = False
        while not self.is_over and select.select([self.client], [], [], 0)[0]:
            octets = self.client.recv(1 << 20)
            self.is_over = not octets
            self.said += octets
            got = True
        return got

    def ask(self):
        self.asked |= set(re.findall(rb"^c\d+ ", self.said, re.M))
        said, self.said = self.said, b""
        self.server.sendall(said)

    def answer(self):
        while self.asked and not re.search(rb"(^|\n)\+[^\n]*\n$", self.heard):
            octets = self.server.recv(1 << 20)
            if not octets:
                break
            self.heard += octets
            self.asked -= set(re.findall(rb"^c\d+ (?=\S[^\n]*\n)", self.heard, re.M))

    def tell(self):
        heard, self.heard = self.heard, b""
        self.client.sendall(heard)

    def pass_on(self):
        """What either side has said since goes to the other at once; whether that was anything."""
        got = self.listen()
        said, self.said = self.said, b""
        self.server.sendall(said)
        while select.select([self.server], [], [], 0)[0]:
            octets = self.server.recv(1 << 20)
            if not octets:
                break
            self.client.sendall(octets)
            got = True
        return got

    def close(self):
        self.client.close()
        self.server.close()


class Lockstep:
    def __init__(self, *servers):
        self.servers = servers
        self.lines = []
        self.listeners = [socket.create_server(("127.0.0.1", 0)) for _ in servers]
        for server, listener in zip(servers, self.listeners):
            server.proxy_port = listener.getsockname()[1]

    def close(self):
        for server, listener in zip(self.servers, self.listeners):
            del server.proxy_port
            listener.close()

    def run(self, line):
        """(what mailbox.run() tells, round trips)."""
        self.trips = CONNECTING
        return self._run(line, self._turn), self.trips

    def through(self, line):
        return self._run(line, self._pass)

    def _run(self, line, step):
        self.lines = []
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as log:
            child = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=out, stderr=log, start_new_session=True)
            while child.poll() is None:
                if not step(child.pid):
                    time.sleep(0.0005)
            for one in self.lines:
                one.close()
            out.seek(0), log.seek(0)
            return result_of(child.returncode, out.read(), log.read())

    def _pass(self, _pid):
        self._accept()
        return any([one.pass_on() for one in self.lines])

    def _turn(self, pid):
        if not self._waits(pid) or not any(one.said for one in self.lines):
            return False
        self.trips += 1
        for step in (Line.ask, Line.answer, Line.tell):
            for one in self.lines:
                step(one)
        return True

    def _accept(self):
        for server, listener in zip(self.servers, self.listeners):
            while select.select([listener], [], [], 0)[0]:
                one = Line(listener.accept()[0], server.imap_port)
                one.client.sendall(one.server.recv(1 << 16))  # the greeting
                self.lines.append(one)

    def _waits(self, pid):
        """Twice in a row, since it may have woken in between."""
        return all(self._is_quiet(pid) for _ in range(2))

    def _is_quiet(self, pid):
        self._accept()
        if any([one.listen() for one in self.lines]) or not self.lines:
            return False
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            return False
        return state == "S" and not self._has_unread() and not any([one.listen() for one in self.lines])

    def _has_unread(self):
        ports = {one.port for one in self.lines if not one.is_over}
        for row in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            words = row.split()
            if int(words[1].split(":")[1], 16) in ports and int(words[4].split(":")[1], 16) > 0:
                return True
        return False
