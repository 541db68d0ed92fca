# SPDX-License-Identifier: ISC
"""kill -9 of coexist-mapd and of readers: what was acknowledged is there, look-ups never stop or lie."""
import random
import subprocess
import threading
import time

from lib.chaos import KILLS
from lib.mapsock import MapSocket, Probe
from lib.wait import wait_for

SERVERS = {"old": {"smtp": "smtp://10.1.1.5:25"}, "new": {"smtp": "smtp://10.1.2.5:25"}}
USERS = 200


def start(site, **kwargs):
    live = site(SERVERS, plain=True, **kwargs).init()
    live.maptool("import", "--route", "old", "-", input="".join(f"u{i}@example.org\n" for i in range(USERS)))
    return live


class Writer(threading.Thread):
    """Changes random users until told to stop, over as many connections as it takes; notes what was
    acknowledged: {user: (epoch, route)}."""

    def __init__(self, live, seed):
        super().__init__()
        self.live, self.random = live, random.Random(seed)
        self.users = list(range(seed, USERS, 4))
        self.acked, self.unknown, self.count = {}, {}, 0
        self.stopping = threading.Event()
        self.problem = None

    def run(self):
        try:
            while not self.stopping.is_set():
                self.session()
        except Exception as problem:  # pylint: disable=broad-except
            self.problem = problem

    def session(self):
        try:
            map_ = MapSocket(self.live.run)
        except OSError:
            self.stopping.wait(0.002)
            return
        with map_:
            while not self.stopping.is_set():
                user = self.random.choice(self.users)
                route = self.random.choice(["old", "new"])
                self.unknown.setdefault(user, set()).add(route)
                try:
                    reply = map_.call(op="set", key=f"u{user}@example.org", set={"route": route})
                except (OSError, ConnectionError):
                    return
                assert reply["ok"], reply
                self.unknown[user].clear()
                self.acked[user] = (reply["entry"]["epoch"], route)
                self.count += 1


def test_mapd_killed_50_times(site):
    live = start(site)
    writers = [Writer(live, seed) for seed in range(4)]
    rnd = random.Random(11)
    with Probe(live.run) as probe:
        probe.ask(f"spin u {USERS}")
        for writer in writers:
            writer.start()
        try:
            for _ in range(KILLS):
                before = sum(w.count for w in writers)
                wait_for(lambda before=before: sum(w.count for w in writers) > before, 20, "writes to go on")
                time.sleep(rnd.random() * 0.02)     # the moment of the kill is what is random here
                live.kill("mapd")
                live.start("mapd")
        finally:
            for writer in writers:
                writer.stopping.set()
            for writer in writers:
                writer.join()
        assert [w.problem for w in writers] == [None] * 4
        report = probe.report()
        with MapSocket(live.run) as map_:
            for writer in writers:
                for user, (epoch, route) in writer.acked.items():
                    entry = map_.ok(op="get", key=f"u{user}@example.org")["entry"]
                    assert entry["epoch"] >= epoch, (user, epoch, entry)
                    # A change without an answer may have happened behind the last acknowledged one.
                    assert entry["route"] in {route} | writer.unknown[user], (user, route, entry)
                    assert probe.ask(f"get u{user}@example.org") == f"found {entry['route']} active {entry['epoch']}"
            status = map_.ok(op="status")
            assert status["keys"] == USERS
            # The log holds one record per generation, none lost, none twice.
            seen, start_at = [], 1
            while start_at:
                page = map_.ok(op="log", **{"from": start_at})
                seen += [c["generation"] for c in page["changes"]]
                start_at = page["next"]
            assert seen == list(range(1, status["generation"] + 1))
    assert report["lookups"] > 100000
    assert (report["unknown"], report["missing"], report["fell"]) == (0, 0, 0), report
    assert report["max_gap_ms"] < 2000, report


def test_readers_killed_50_times(site):
    """A reader that dies holding whatever it holds hinders neither mapd nor other readers."""
    live = start(site)
    rnd = random.Random(12)
    with MapSocket(live.run) as map_, Probe(live.run) as steady:
        steady.ask(f"spin u {USERS}")
        for i in range(KILLS):
            victim = Probe(live.run)
            victim.ask(f"spin u {USERS}")
            victim.ask("see u1@example.org")
            assert victim.ask("claim") in ("go", "changed")
            map_.ok(op="set", key="u1@example.org", set={"route": ("new", "old")[i % 2]})
            time.sleep(rnd.random() * 0.005)
            victim.kill()
            map_.ok(op="set", key="u2@example.org", set={"route": ("new", "old")[i % 2]})
        report = steady.report()
    assert (report["unknown"], report["missing"], report["fell"]) == (0, 0, 0), report


def test_maptool_killed(site):
    """kill -9 of maptool at any point of a change: it happened as a whole or not at all."""
    live = start(site)
    rnd = random.Random(13)
    for i in range(KILLS):
        route = ("new", "old")[i % 2]
        process = subprocess.Popen([live.bin / "maptool", "-c", live.conf, "import", "--reroute", "--max-drop", "100", "-"],
                                   stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        try:
            process.stdin.write("".join(f"u{i}@example.org,{route}\n" for i in range(USERS)).encode())
            process.stdin.close()
        except BrokenPipeError:
            pass
        time.sleep(rnd.random() * 0.03)
        process.kill()
        process.wait()
        assert len({e["route"] for e in live.json("list")}) == 1


def test_import_is_atomic_under_kill(site):
    """100,001 rows and kill -9 of mapd at a random moment: all of them or none, to readers too."""
    live = site(SERVERS, plain=True).init()
    rows = "".join(f"u{i}@example.org\n" for i in range(100001))
    live.maptool("import", "--route", "old", "-", input=rows)
    rnd = random.Random(14)
    now = "old"
    with Probe(live.run) as probe:
        probe.ask("spin u 100001")
        for _ in range(4):
            wanted = "new" if now == "old" else "old"
            process = subprocess.Popen([live.bin / "maptool", "-c", live.conf, "import", "--reroute", "--max-drop", "100", "-"],
                                       stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            process.stdin.write(rows.replace("\n", f",{wanted}\n").encode())
            process.stdin.close()
            time.sleep(rnd.random() * 2)
            live.kill("mapd")
            live.start("mapd")
            status = process.wait()
            text = live.maptool("export").stdout
            counts = {r: text.count(f",{r},mailbox,") for r in ("old", "new")}
            assert sorted(counts.values()) == [0, 100001], counts
            if status == 0:
                assert counts[wanted] == 100001
            now = "old" if counts["old"] else "new"
            assert probe.ask("get u77777@example.org").startswith(f"found {now} ")
        report = probe.report()
    assert (report["unknown"], report["missing"], report["fell"]) == (0, 0, 0), report
    assert live.json("status")["keys"] == 100001


CALLS = "write,pwrite64,fdatasync,openat,unlink,unlinkat,rename,fallocate,ftruncate,mmap"


def traced(live, *options):
    """strace beside the running mapd, when it has attached."""
    tracer = subprocess.Popen(["strace", "-f", "-qq", "-o", live.dir / "calls", "-e", f"trace={CALLS}", *options,
                               "-p", str(live.pid("mapd"))], stderr=subprocess.DEVNULL)
    status = f"/proc/{live.pid('mapd')}/status"
    wait_for(lambda: "TracerPid:\t0" not in open(status, encoding="ascii").read(), 20, "strace")
    return tracer


def test_import_killed_at_system_calls(site):
    """kill -9 of mapd at sampled system calls of staging, switch and fold: all rows or none, the
    acknowledged import is there, and no look-up misses anybody."""
    live = site(SERVERS, plain=True).init()
    names = [f"u{i}@example.org" for i in range(3001)]
    rnd = random.Random(15)

    def file(route):
        return "".join(f"{name},{route}\n" for name in names)

    def run_import(route):
        return live.maptool("import", "--reroute", "--max-drop", "100", "--source", "s", "-", input=file(route), check=False)

    assert run_import("old").returncode == 0
    tracer = traced(live)
    assert run_import("new").returncode == 0
    live.wait_event("mapd", "import_folded", count=2)
    tracer.terminate()
    tracer.wait()
    total = len((live.dir / "calls").read_text().splitlines())
    assert total > 50
    now = "new"
    with Probe(live.run) as probe:
        probe.ask("spin u 3001")
        for i in range(max(4, KILLS // 8)):
            wanted = "old" if now == "new" else "new"
            tracer = traced(live, "-e", f"inject={CALLS}:signal=SIGKILL:when={rnd.randint(1, total)}")
            status = run_import(wanted).returncode
            live.kill("mapd")
            tracer.kill()
            tracer.wait()
            live.start("mapd")
            counts = {r: len(live.json("list", "--route", r)) for r in ("old", "new")}
            assert sorted(counts.values()) == [0, 3001], (i, counts)
            if status == 0:
                assert counts[wanted] == 3001
            now = "old" if counts["old"] else "new"
            assert probe.ask("get u2999@example.org").startswith(f"found {now} ")
        report = probe.report()
    assert (report["unknown"], report["missing"], report["fell"]) == (0, 0, 0), report
    assert live.json("status")["keys"] == 3001
