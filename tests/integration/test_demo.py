# SPDX-License-Identifier: ISC
"""The demo runs, leaves nothing behind, and its comparison sees what it is there to see: lost,
duplicated, misrouted and altered mail."""
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

import demo  # noqa: E402
from demo_ledger import Found, Ledger, Routes, body_digest, judge  # noqa: E402

DEMO = Path(demo.__file__)
ANN = "ann@example.org"
TEXT = b"Subject: x\r\n\r\nbody\r\n"
DIGEST = body_digest(TEXT)


class Case:
    """ann was on old until the flip, which ran from time 100 to time 101."""

    def __init__(self):
        self.ledger, self.routes = Ledger(), Routes()
        self.routes.change(ANN, "old", 0, 1)
        self.routes.change(ANN, "new", 100, 101)
        self.found, self.arrivals, self.moves = [], {}, {}

    def sent(self, token, at, code=250):
        entry = self.ledger.open(token, ANN, "relay", TEXT)
        entry.dot_times.append(at)
        self.ledger.after_dot(entry, code)
        return self

    def arrived(self, token, server, at, user=ANN, digest=DIGEST):
        self.found.append(Found(server, user, token, digest))
        self.arrivals.setdefault((server, token), []).append(at)
        return self

    def copied(self, token, digest=DIGEST):
        """coexist-sync has brought it to new."""
        self.found.append(Found("new", ANN, token, digest))
        return self

    def moved(self):
        self.moves = {ANN: ("old", "new")}
        return self

    def verdict(self):
        counts, problems = judge(self.ledger, self.found, self.arrivals, self.routes, 1000, self.moves)
        rows = list(counts.values())
        total = tuple(sum(getattr(r, k) for r in rows) for k in ("lost", "duplicated", "misrouted", "altered"))
        assert all(r.is_good for r in rows) == (total == (0, 0, 0, 0)) and (len(problems) > 0) == any(total)
        return total


@pytest.mark.parametrize("name, case, expected", [
    ("before the flip on old", Case().sent("a", 50).arrived("a", "old", 50.1), (0, 0, 0, 0)),
    ("after the flip on new", Case().sent("a", 150).arrived("a", "new", 150.1), (0, 0, 0, 0)),
    ("during the flip on old", Case().sent("a", 100.5).arrived("a", "old", 100.6), (0, 0, 0, 0)),
    ("during the flip on new", Case().sent("a", 100.5).arrived("a", "new", 100.6), (0, 0, 0, 0)),
    ("queued before, delivered to old after", Case().sent("a", 99).arrived("a", "old", 103), (0, 0, 0, 0)),
    ("queued before, delivered to new after", Case().sent("a", 99).arrived("a", "new", 103), (0, 0, 0, 0)),
    ("new before the flip", Case().sent("a", 50).arrived("a", "new", 50.1), (0, 0, 1, 0)),
    ("old after the flip", Case().sent("a", 101.1).arrived("a", "old", 101.2), (0, 0, 1, 0)),
    ("moved, from before", Case().moved().sent("a", 50).arrived("a", "old", 50.1).copied("a"), (0, 0, 0, 0)),
    ("moved, came late to old", Case().moved().sent("a", 99).arrived("a", "old", 103).copied("a"), (0, 0, 0, 0)),
    ("moved, after the flip", Case().moved().sent("a", 150).arrived("a", "new", 150.1), (0, 0, 0, 0)),
    ("moved, left on old", Case().moved().sent("a", 50).arrived("a", "old", 50.1), (1, 0, 0, 0)),
    ("moved, copied twice", Case().moved().sent("a", 50).arrived("a", "old", 50.1).copied("a").copied("a"), (0, 1, 0, 0)),
    ("moved, and to old again", Case().moved().sent("a", 150).arrived("a", "old", 150.1).copied("a"), (0, 0, 1, 0)),
    ("moved, copy altered", Case().moved().sent("a", 50).arrived("a", "old", 50.1).copied("a", "other"), (0, 0, 0, 1)),
    ("in another mailbox", Case().sent("a", 50).arrived("a", "old", 50.1, user="bob@example.org"), (0, 0, 1, 0)),
    ("accepted and nowhere", Case().sent("a", 50), (1, 0, 0, 0)),
    ("on both servers", Case().sent("a", 99).arrived("a", "old", 102).arrived("a", "new", 102), (0, 1, 0, 0)),
    ("twice on one", Case().sent("a", 50).arrived("a", "old", 51).arrived("a", "old", 52), (0, 1, 0, 0)),
    ("refused and nowhere", Case().sent("a", 50, 450), (0, 0, 0, 0)),
    ("refused and delivered", Case().sent("a", 50, 450).arrived("a", "old", 51), (0, 1, 0, 0)),
    ("no answer, delivered", Case().sent("a", 50, 0).arrived("a", "old", 51), (0, 0, 0, 0)),
    ("no answer, not delivered", Case().sent("a", 50, 0), (0, 0, 0, 0)),
    ("accepted twice, there twice", Case().sent("a", 50).sent("a", 51).arrived("a", "old", 50).arrived("a", "old", 51),
     (0, 0, 0, 0)),
    ("another body", Case().sent("a", 50).arrived("a", "old", 51, digest="other"), (0, 0, 0, 1)),
    ("from nowhere", Case().arrived("ghost", "new", 150), (0, 1, 0, 0)),
])
def test_judge(name, case, expected):
    assert case.verdict() == expected, name


def test_the_body_counts_and_the_header_does_not():
    assert body_digest(b"Received: here\r\n" + TEXT) == DIGEST == body_digest(TEXT.replace(b"\r\n", b"\n"))
    assert body_digest(TEXT + b"more\r\n") != DIGEST


def leftovers():
    """What a demo could leave behind: folders, and mounts over its folders or the guests' trees."""
    mounts = Path("/proc/mounts").read_text().splitlines()
    return {*(demo.ROOT / "build").glob("demo-*"), *(m for m in mounts if "/demo-" in m or "/peers/" in m)}


def test_the_demo_from_end_to_end():
    before = leftovers()
    done = subprocess.run([sys.executable, DEMO, "--seconds", "0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=300)
    assert done.returncode == 0, done.stdout
    assert done.stdout.rstrip().endswith("lost 0, duplicated 0, misrouted 0"), done.stdout
    assert "\x1b" not in done.stdout and "\r" not in done.stdout, "colours where no terminal is"
    for text in ("ann's mail goes to new now", "550 5.1.1 Recipient unknown", "554 5.4.6", "coexist-mapd is back"):
        assert text in done.stdout, done.stdout
    assert leftovers() == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_demo_is_gone_when_it_is_stopped(number):
    before = leftovers()
    with subprocess.Popen([sys.executable, DEMO], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True) as process:
        guard = threading.Timer(200, process.kill)
        guard.start()
        for line in process.stdout:
            if " stream " in line:
                process.send_signal(number)
                break
        rest = process.stdout.read()
        guard.cancel()
    assert process.returncode == 128 + number, rest
    assert rest.endswith("  stopped\n") and "Traceback" not in rest, rest
    assert leftovers() == before
