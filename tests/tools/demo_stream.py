# SPDX-License-Identifier: ISC
"""The demo's mail: senders that write, and a watcher that sees where it arrives."""
import calendar
import re
import threading
import time
from pathlib import Path

from lib import smtp

PAUSE_S = 0.15          # of each sender between two messages
RETRY_S = 0.3           # before a message that was refused for now is tried again


class Sender(threading.Thread):
    """One user's mail through one door: a message, its reply, a pause."""

    def __init__(self, ledger, user, path, port):
        super().__init__(daemon=True)
        self.ledger, self.user, self.path, self.port = ledger, user, path, port
        self.prefix = f"{user.partition('@')[0]}-{path.lower()}-"
        self.number = 0
        self.postponed = 0       # 4xx replies so far
        self.longest_s = 0.0     # longest wait for an answer since reset() was called
        self.problem = None
        self.ending = threading.Event()

    def reset(self):
        self.postponed, self.longest_s = 0, 0.0

    def run(self):
        try:
            while not self.ending.wait(PAUSE_S):
                self.number += 1
                self.send_one(f"{self.prefix}{self.number:04}")
        except (OSError, AssertionError, ValueError) as problem:
            self.problem = f"{self.user} through {self.path}: {problem!r}"

    def send_one(self, token):
        # Different people write: a sender of its own for every message.
        sender = f"writer-{token}@example.net"
        text = smtp.message(token, sender=sender, to=self.user, body_lines=20)
        entry = self.ledger.open(token, self.user, self.path, text)
        while True:
            started = time.monotonic()
            code = submit(self.ledger, entry, self.port, sender, text).code
            self.longest_s = max(self.longest_s, time.monotonic() - started)
            if code == 250 or code >= 500 or entry.ambiguous:
                return
            self.postponed += code > 0
            if self.ending.wait(RETRY_S):
                return


def submit(ledger, entry, port, sender, text):
    """One message over a connection of its own, noted in the ledger; the reply that decided."""
    with smtp.Client(port) as client:
        if client.greeting.code != 220:
            return client.greeting
        client.ehlo("writer.example.net")
        for line in (f"MAIL FROM:<{sender}>", f"RCPT TO:<{entry.user}>", "DATA"):
            reply = client.cmd(line)
            if reply.code not in (250, 354):
                return reply
        ledger.before_dot(entry)
        client.write(smtp.wire(text))
        reply = client.reply()
        ledger.after_dot(entry, reply.code)
        return reply


def probe(port, recipient, source=None):
    """The reply that RCPT gets for this recipient, asked from this address."""
    with smtp.Client(port, source=source) as client:
        client.ehlo("writer.example.net")
        client.cmd("MAIL FROM:<writer@example.net>")
        return client.cmd(f"RCPT TO:<{recipient}>")


# Dovecot's log, in UTC: time, microseconds, token.
SAVED = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\.(\d{6}) lmtp\([^)]*\).*"
                   r" msgid=<([^@>]*)@[^>]*>: saved mail to ")


class Watcher(threading.Thread):
    """Follows the servers' logs: when did which message arrive where.  For times and for the screen;
    what counts in the end is what IMAP shows."""

    def __init__(self, logs):
        super().__init__(daemon=True)
        self.logs = {name: Path(path) for name, path in logs.items()}
        self.arrivals = {}   # (server, token) -> [time, ...]
        self.count = 0
        self.changed = threading.Condition()
        self.ending = threading.Event()

    def run(self):
        offsets = dict.fromkeys(self.logs, 0)
        while True:
            last_round = self.ending.is_set()
            for server, path in self.logs.items():
                offsets[server] = self.read(server, path, offsets[server])
            if last_round:
                return
            self.ending.wait(0.01)

    def read(self, server, path, offset):
        with open(path, "rb") as file:
            file.seek(offset)
            data = file.read()
        whole = data[:data.rfind(b"\n") + 1]
        arrivals = [found for line in whole.decode(errors="replace").splitlines() if (found := SAVED.match(line))]
        if arrivals:
            with self.changed:
                for found in arrivals:
                    second = calendar.timegm(time.strptime(found[1], "%Y-%m-%d %H:%M:%S"))
                    self.arrivals.setdefault((server, found[3]), []).append(second + int(found[2]) / 1e6)
                    self.count += 1
                self.changed.notify_all()
        return offset + len(whole)

    def first(self, server, since, wanted, timeout):
        """Time of the first arrival on the server after since whose token wanted() likes; None if none comes."""
        deadline = time.monotonic() + timeout
        with self.changed:
            while True:
                times = [t for (s, token), ts in self.arrivals.items() if s == server and wanted(token)
                         for t in ts if t >= since]
                if times:
                    return min(times)
                left = deadline - time.monotonic()
                if left <= 0 or not self.changed.wait(left):
                    return None

    def stop(self):
        self.ending.set()
        self.join()
