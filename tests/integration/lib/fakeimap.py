# SPDX-License-Identifier: ISC
"""An IMAP server under the test's control, for everything that a real one never says.

    with FakeImap([b"Subject: one\r\n\r\nbody\r\n"], {"LIST": b'* LIST () "/" ..\r\n{tag} OK\r\n'}) as server:
        server.imap_port
        server.received       # every byte that any client sent
        server.appended       # messages taken by APPEND

A script maps a command (or "greeting") to bytes, in which {tag} stands for the tag, or to a
function of (server, tag, line) that gives bytes.  None closes the connection, SILENT answers
nothing.  What is not in the script is answered as an ordinary server would, with one INBOX.
A client is served when those before it have left and all that they had said is done: how long a busy machine
lets a server sleep on that is no matter of these tests.
"""
import re
import socket
import threading

from .wait import free_port

SILENT = object()
CAPABILITIES = b"IMAP4rev1 SASL-IR AUTH=PLAIN LITERAL+ UIDPLUS MULTIAPPEND NAMESPACE"
LITERAL = re.compile(rb"\{(\d+)\+?\}\r\n$")
APPENDED = re.compile(rb"(?:\(([^)]*)\) )?(?:\"[^\"]*\" )?\{\d+\+?\}\r\n")
CHANGE = re.compile(rb"([+-])FLAGS(?:\.SILENT)? \(([^)]*)\)")
SET = re.compile(r"(\d+)(?::(\d+|\*))?")
NAME = re.compile(rb'\S+ \S+ (?:"((?:[^"\\]|\\.)*)"|(\S+))')


def named(line):
    """The folder of a command: its first argument."""
    quoted, atom = NAME.match(line).groups()
    return atom if quoted is None else quoted


class FakeImap:
    def __init__(self, messages=(), script=None, capabilities=CAPABILITIES):
        self.messages = list(messages)
        self.script = dict(script or {})
        self.capabilities = capabilities
        self.users = {"ann@example.org": "ann-secret"}
        self.appended = []
        self.received = b""
        self.uidvalidity = 7
        self.stored_in = []  # the folder of each
        self.kept = {}  # flags, by folder and UID
        self.selected = b"INBOX"
        self.last = {}  # of a folder: UIDs ascend for ever; what is taken off the end was deleted
        self.before_consent = lambda: None  # called before each "+" to a literal
        self.imap_port = free_port()
        self.listener = socket.create_server(("127.0.0.1", self.imap_port), backlog=20)
        self.sockets, self.sessions = [], []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)  # wakes who waits for the next one
        self.listener.close()
        for sock in self.sockets:
            sock.close()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            # As every server does; else a "+" waits for the client's delayed ACK.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sessions.append(threading.Thread(target=self._serve, args=(sock, list(self.sessions)), daemon=True))
            self.sessions[-1].start()

    def _serve(self, sock, before):
        for session in before:
            session.join(20)
        self.sockets.append(sock)
        try:
            self._talk(sock, sock.makefile("rb"))
        except (OSError, ValueError):
            pass
        finally:
            sock.close()

    def _answer(self, name, tag, line):
        entry = self.script.get(name)
        if callable(entry):
            entry = entry(self, tag, line)
        elif entry is None and name not in self.script:
            entry = self._ordinary(name, tag, line)
        return entry.replace(b"{tag}", tag) if isinstance(entry, bytes) else entry

    def _talk(self, sock, file):
        greeting = self._answer("greeting", b"*", b"")
        if greeting is SILENT:
            file.readline()  # until the client gives up
        if greeting is None or greeting is SILENT:
            return
        sock.sendall(greeting)
        while True:
            line = self._command(sock, file)
            if not line:
                return
            tag, _, rest = line.partition(b" ")
            words = rest.split()
            name = words[0].upper().decode("latin-1") if words else ""
            if name == "UID":
                name = words[1].upper().decode("latin-1")
                if b"BODY.PEEK[]" in rest:
                    name = "BODY"
            answer = self._answer(name, tag, line)
            if answer is None:
                return
            if answer is not SILENT:
                sock.sendall(answer)
            if name == "LOGOUT":
                return

    def _command(self, sock, file):
        """One command with its literals, which are kept out of the line."""
        line, literals = b"", []
        while True:
            part = file.readline(1 << 20)
            self.received += part
            line += part
            found = LITERAL.search(part)
            if not found:
                break
            if b"+}" not in found[0]:
                self.before_consent()
                sock.sendall(b"+ go\r\n")
            data = file.read(int(found[1]))
            if len(data) < int(found[1]):
                raise ValueError("the client went away inside a literal")
            self.received += data[:1000]
            literals.append(data)
        self.literals = literals
        return line

    def _ordinary(self, name, tag, line):
        if name in ("EXAMINE", "SELECT"):
            self.selected = named(line)
        folder = named(line) if name in ("STATUS", "APPEND") else self.selected
        stored = self.stored(folder)
        last = self.last[folder] = max(self.last.get(folder, 0), len(stored))
        if name == "greeting":
            return b"* OK [CAPABILITY " + self.capabilities + b"] ready\r\n"
        if name == "CAPABILITY":
            return b"* CAPABILITY " + self.capabilities + b"\r\n{tag} OK done\r\n"
        if name in ("AUTHENTICATE", "LOGIN"):
            return b"{tag} OK [CAPABILITY " + self.capabilities + b"] in\r\n"
        if name == "NAMESPACE":
            return b'* NAMESPACE (("" "/")) NIL NIL\r\n{tag} OK done\r\n'
        if name == "LIST":
            return b'* LIST () "/" INBOX\r\n{tag} OK done\r\n'
        if name == "STATUS":
            return (f"* STATUS INBOX (MESSAGES {len(stored)} UIDNEXT {last + 1} UIDVALIDITY {self.uidvalidity})\r\n"
                    "{tag} OK done\r\n").encode()
        if name in ("EXAMINE", "SELECT"):
            return (f"* {len(stored)} EXISTS\r\n* OK [UIDVALIDITY {self.uidvalidity}] v\r\n"
                    f"* OK [UIDNEXT {last + 1}] n\r\n").encode() + b"{tag} OK [READ-ONLY] done\r\n"
        if name == "FETCH":
            lines = b"".join(b'* %d FETCH (UID %d FLAGS (%b) INTERNALDATE "02-Nov-2026 09:00:00 +0000" RFC822.SIZE %d)\r\n' %
                             (u, u, b" ".join(self.kept.get((folder, u), [])), len(stored[u - 1])) for u in self.asked(line))
            return lines + b"{tag} OK done\r\n"
        if name == "STORE":
            sign, flags = CHANGE.search(line).groups()
            for uid in self.asked(line):
                others = [f for f in self.kept.get((folder, uid), []) if f not in flags.split()]
                self.kept[folder, uid] = others + flags.split() if sign == b"+" else others
            return b"{tag} OK done\r\n"
        if name == "BODY":
            bodies = b"".join(b"* %d FETCH (UID %d BODY[] {%d}\r\n%s)\r\n" %
                              (u, u, len(stored[u - 1]), stored[u - 1]) for u in self.asked(line))
            return bodies + b"{tag} OK done\r\n"
        if name == "APPEND":
            first, last = len(stored) + 1, len(stored) + len(self.literals)
            self.appended += self.literals
            self.stored_in += [named(line)] * len(self.literals)
            self.kept.update({(named(line), first + i): flags.split() for i, flags in enumerate(APPENDED.findall(line))})
            return f"{{tag}} OK [APPENDUID {self.uidvalidity} {first}:{last}] done\r\n".encode()
        if name == "LOGOUT":
            return b"* BYE bye\r\n{tag} OK done\r\n"
        return b"{tag} OK done\r\n"

    def stored(self, folder):
        """What is in it: what was there from the beginning, and behind it what was appended to it."""
        return self.messages + [m for m, f in zip(self.appended, self.stored_in) if f == folder]

    def asked(self, line):
        """UIDs of ours that a FETCH names; they are the positions as well."""
        last = len(self.stored(self.selected))
        uids = set()
        words = line.upper().split()
        for part in words[3 if words[1] == b"UID" else 2].decode().split(","):
            first, end = SET.fullmatch(part).groups()
            end = first if end is None else last if end == "*" else end
            low, high = sorted((int(first), int(end)))
            uids |= set(range(low, min(high, last) + 1))
        return sorted(u for u in uids if 1 <= u <= last)
