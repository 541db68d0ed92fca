# SPDX-License-Identifier: ISC
"""The demo's book-keeping: what was sent, where it arrived, and whether that was right.

A message is wanted once on a server that was its recipient's route at some moment between the
acceptance and the delivery.  Everything else is counted as lost, duplicated or misrouted.  Of a user whose
mailbox has moved every message is wanted once on the new server; what had come to the old one is there too.
"""
import hashlib
import threading
import time
from dataclasses import dataclass, field


@dataclass
class Sent:
    """All submissions of one message: normally one, several for a message that was sent in a loop."""
    token: str
    user: str
    path: str                                      # "Postfix" or "relay"
    digest: str = ""
    dot_times: list = field(default_factory=list)  # just before each final dot went out
    accepted: int = 0
    ambiguous: int = 0                             # the connection ended behind the dot


@dataclass(frozen=True)
class Found:
    """One copy in a mailbox."""
    server: str
    user: str
    token: str
    digest: str


def body_digest(message):
    """Digest of the body, which no server may change; header fields are added on the way."""
    body = message.replace(b"\r\n", b"\n").partition(b"\n\n")[2]
    return hashlib.sha256(body).hexdigest()


class Routes:
    """Which server a user's mail belonged to at which time, as far as an outsider can say.

    A change happens between the call of maptool and its return: within that span both are right.
    """

    def __init__(self):
        self.changes = {}    # user -> [(before, after, server)]

    def change(self, user, server, before, after):
        self.changes.setdefault(user, []).append((before, after, server))

    def allowed(self, user, begin, end):
        """The servers that were the user's route at some moment of the span."""
        out = set()
        changes = self.changes.get(user, [])
        for number, (before, _, server) in enumerate(changes):
            until = changes[number + 1][1] if number + 1 < len(changes) else float("inf")
            if before <= end and begin <= until:
                out.add(server)
        return out


class Ledger:
    def __init__(self):
        self.sent = {}       # token -> Sent, in order of creation
        self.lock = threading.Lock()

    def open(self, token, user, path, message):
        with self.lock:
            return self.sent.setdefault(token, Sent(token, user, path, body_digest(message)))

    def before_dot(self, entry):
        with self.lock:
            entry.dot_times.append(time.time())

    def after_dot(self, entry, code):
        with self.lock:
            if code == 250:
                entry.accepted += 1
            elif code == 0:
                entry.ambiguous += 1

    def accepted(self):
        with self.lock:
            return sum(e.accepted for e in self.sent.values())


@dataclass
class Count:
    """One row of the table."""
    accepted: int = 0
    on: dict = field(default_factory=dict)
    lost: int = 0
    duplicated: int = 0
    misrouted: int = 0
    altered: int = 0

    @property
    def is_good(self):
        return not (self.lost or self.duplicated or self.misrouted or self.altered)


def judge(ledger, found, arrivals, routes, now, moved=None):
    """Compare; returns ({(user, path): Count}, [line about each problem]).

    moved: {user: (server before, server after)} of those whose mailbox was moved.
    """
    counts, problems = {}, []
    copies = {}
    for copy in found:
        copies.setdefault(copy.token, []).append(copy)
    for token in copies:
        if token not in ledger.sent:
            # Nobody sent it: a copy too many, in the row of the mailbox that has it.
            ledger.sent[token] = Sent(token, copies[token][0].user, "unknown", copies[token][0].digest, [0.0])
    for token, entry in ledger.sent.items():
        row = counts.setdefault((entry.user, entry.path), Count())
        all_copies = copies.get(token, [])
        source = (moved or {}).get(entry.user, (None, None))[0]
        # The originals that a moved mailbox has left behind are no second delivery.
        here = [copy for copy in all_copies if copy.server != source]
        row.accepted += entry.accepted
        missing = entry.accepted - len(here)
        extra = len(here) - entry.accepted - entry.ambiguous
        if missing > 0:
            row.lost += missing
            problems.append(f"lost: {token}, accepted {entry.accepted} times, found {len(here)} times")
        if extra > 0:
            row.duplicated += extra
            problems.append(f"duplicated: {token}, accepted {entry.accepted} times, found {len(here)} times")
        for copy in all_copies:
            row.on[copy.server] = row.on.get(copy.server, 0) + 1
            arrived = max(arrivals.get((copy.server, token), [now]))
            begin = min(entry.dot_times, default=0.0)
            if copy.user != entry.user or copy.server not in routes.allowed(entry.user, begin, arrived):
                row.misrouted += 1
                problems.append(f"misrouted: {token} is in {copy.user}'s mailbox on {copy.server}")
            if copy.digest != entry.digest:
                row.altered += 1
                problems.append(f"altered: {token} on {copy.server}")
    return counts, problems
