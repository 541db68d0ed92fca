# SPDX-License-Identifier: ISC
"""An import of a million lines: how long it takes, and how long others wait meanwhile.

The import goes into an empty map (all lines are new), then once more with another route for all of
them.  Beside it one client asks `get`, and another one holds, flips and releases a user of his own,
each as fast as it is answered.  mapd's peak is VmHWM.  Then it is told how long the fold goes on
behind the switch, with the same two clients.

BENCH_ROWS=N sets the number of lines (1,000,000).
"""
import os
import shutil
import statistics
import subprocess
import threading
import time

from lib.coexist import Coexist
from lib.guest import ROOT
from lib.mapsock import MapSocket

TITLE = "Importing a large file"
ROWS = int(os.environ.get("BENCH_ROWS", "1000000"))
WORK = ROOT / "build" / "bench" / "import"
SERVERS = {"old": {"smtp": "smtp://10.1.1.5:25"}, "new": {"smtp": "smtp://10.1.2.5:25"}}


class Client(threading.Thread):
    """Asks again and again, and notes how long each answer took."""

    def __init__(self, run, turn):
        super().__init__()
        self.map, self.turn = MapSocket(run), turn
        self.waits, self.done = [], threading.Event()

    def run(self):
        n = 0
        while not self.done.is_set():
            for request in self.turn(n):
                begun = time.monotonic()
                reply = self.map.call(**request)
                self.waits.append((time.monotonic() - begun) * 1000)
                assert reply["ok"], reply
            n += 1
            self.done.wait(0.001)

    def figures(self):
        """Ends it: p50, p99 and the longest in ms."""
        self.done.set()
        self.join()
        waits = sorted(self.waits)
        return statistics.median(waits), waits[len(waits) * 99 // 100], waits[-1]


def gets(_):
    return [{"op": "get", "key": "hand@example.org"}]


class Holds:
    """hold and release, or hold and flip, of one user; each reply's epoch is wanted by the next request."""

    def __init__(self, run):
        self.map = MapSocket(run)

    def __call__(self, n):
        hold = {"op": "hold", "key": "moved@example.org", "owner": "bench", "deadline_ms": 60000}
        yield hold
        epoch = self.map.ok(op="get", key="moved@example.org")["entry"]["epoch"]
        if n % 2:
            yield {"op": "flip", "key": "moved@example.org", "epoch": epoch, "route": "new", "id": f"{time.monotonic_ns()}"}
        else:
            yield {"op": "release", "key": "moved@example.org"}


def memory(pid, name):
    for line in open(f"/proc/{pid}/status", encoding="ascii"):
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    return 0


def beside(site, what, work):
    clients = [Client(site.run, gets), Client(site.run, Holds(site.run))]
    for client in clients:
        client.start()
    begun = time.monotonic()
    try:
        work()
    finally:
        taken = time.monotonic() - begun
        figures = [client.figures() for client in clients]
    cells = " | ".join(f"{p50:.1f} / {p99:.1f} / {longest:.0f}" for p50, p99, longest in figures)
    return f"| {what} | {taken:.1f} | {cells} | {memory(site.pid('mapd'), 'VmHWM'):.0f} | {memory(site.pid('mapd'), 'VmRSS'):.0f} |"


def folded(site):
    """Until an empty import has had its turn, which waits for the fold before it."""
    with MapSocket(site.run, timeout=600) as map_:
        map_.ok(op="begin")
        map_.ok(op="commit")


def run():
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    site = Coexist(WORK, SERVERS, plain=True).init()
    lines = ["| what | s | get: p50 / p99 / longest ms | hold, flip, release | mapd peak MiB | then MiB |", "|---|---|---|---|---|---|"]
    try:
        for key in ("hand", "moved"):
            site.maptool("set", f"{key}@example.org", "route=old")
        for route in ("old", "new"):
            csv = WORK / f"{route}.csv"
            with open(csv, "w", encoding="ascii") as out:
                out.writelines(f"user{i:07}@example.org,{route}\n" for i in range(ROWS))
            argv = [str(site.bin / "maptool"), "-c", str(site.conf), "import", "--source", "bench", "--reroute", "--max-drop", "100", str(csv)]
            what = f"{ROWS:,} new lines" if route == "old" else "all of them to another route"
            lines.append(beside(site, what, lambda argv=argv: subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)))
            print(lines[-1], flush=True)
            lines.append(beside(site, "the fold behind it", lambda: folded(site)))
            print(lines[-1], flush=True)
    finally:
        site.close()
    return "\n".join(lines)
