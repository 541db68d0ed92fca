# SPDX-License-Identifier: ISC
"""kill -9 at chosen system calls of mapd's threads and of a backup: the map is as it was or as it was told to be, nobody's
look-up says "not found", and no half of a backup or of an emergency file is taken for a whole one."""
import signal
import subprocess
from pathlib import Path

import pytest
from lib.chaos import KILLS
from lib.mapsock import MapSocket, Probe
from lib.strace import CALLS, Sample, by_step, calls_in, killed_at, record, sampled
from lib.wait import wait_for

SERVERS = {"old": {"smtp": "smtp://10.1.1.5:25"}, "new": {"smtp": "smtp://10.1.2.5:25"}}
USERS = 1200        # more than are published in place
NOTE = "n" * 1000   # an import of them all is more than what a checkpoint waits for


@pytest.fixture
def live(site):
    made = site(SERVERS, plain=True, settings={"mapd": {"emergency": "1s", "backup": "0s"}}).init()
    made.maptool("import", "--route", "old", "-", input="".join(f"{user(i)}\n" for i in range(USERS)))
    return made


def user(i):
    return f"u{i}@example.org"


# --- mapd ---------------------------------------------------------------------------------------------

def thread(live, name):
    for comm in Path(f"/proc/{live.pid('mapd')}/task").glob("*/comm"):
        if comm.read_text().strip() == name:
            return comm.parent.name
    raise AssertionError(f"mapd has no thread {name}")


def traced(live, folder, name, work, *options):
    """work() while a thread of mapd is traced; whether mapd was killed meanwhile."""
    command = ["strace", "-o", folder / "calls", "-e", f"trace={CALLS}", *options, "-p", thread(live, name)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as tracer:
        try:
            assert b"attached" in tracer.stderr.readline()
            work()
        finally:
            if live.running("mapd"):
                tracer.terminate()
                tracer.wait()
            else:
                tracer.kill()   # told to stop while its process ends, strace may wait for ever
    return not live.running("mapd")


class Told:
    """What the map was told, one step after the other, until it died."""

    def __init__(self, live):
        self.live = live
        self.acked = self.asked = self.look()
        self.round = 0

    def look(self):
        return {e["key"]: (e["route"], e["state"], e.get("note", "")) for e in self.live.json("list")}

    def steps(self, map_):
        server = ("old", "new")[self.round % 2]
        note = str(self.round) + NOTE

        def held(state):
            return {user(2): (server if state == "active" else self.acked[user(2)][0], state, self.acked[user(2)][2])}

        yield {user(1): (server, "active", self.acked[user(1)][2])}, [dict(op="set", key=user(1), set={"route": server})]
        yield held("held"), [dict(op="hold", key=user(2), owner="test", deadline_ms=60000)]
        epoch = map_.ok(op="get", key=user(2))["entry"]["epoch"]
        yield held("active"), [dict(op="flip", key=user(2), epoch=epoch, route=server),
                               dict(op="retire", key=user(2))]
        rows = [{"key": user(i), "set": {"note": note}} for i in range(USERS)]
        yield ({k: (*v[:2], note) for k, v in self.acked.items()},
               [dict(op="begin"), dict(op="put", rows=rows[:600]), dict(op="put", rows=rows[600:]), dict(op="commit")])
        yield ({user(i): (server, "active", self.acked[user(i)][2]) for i in range(3, USERS)},
               [dict(op="apply", changes=[{"key": user(i), "set": {"route": server}} for i in range(3, USERS)])])

    def work(self):
        self.round += 1
        try:
            with MapSocket(self.live.run) as map_:
                for change, requests in self.steps(map_):
                    self.asked = {**self.acked, **change}
                    for request in requests:
                        map_.ok(**request)
                    self.acked = self.asked
                map_.ok(op="status")        # behind the checkpoint, which nobody waits for
        except OSError:
            wait_for(lambda: not self.live.running("mapd"), 20, "mapd to end")

    def check(self):
        now = self.look()
        assert now in (self.acked, self.asked), {k: (v, self.acked[k], self.asked[k]) for k, v in now.items()
                                                 if v not in (self.acked[k], self.asked[k])} or "half of a change"
        self.acked = now
        if now[user(2)][1] == "held":
            self.live.maptool("release", user(2))
            self.acked = self.look()


def start_again(live):
    live.kill("mapd")
    live.start("mapd")


def test_the_store_thread_killed(live, tmp_path):
    told = Told(live)
    assert not traced(live, tmp_path, "store", told.work)
    told.check()
    n = max(KILLS // 8, 6)
    # The pages of a checkpoint are most of them: half of the sample is one from between every two syncs.
    sample = Sample(lambda: calls_in(tmp_path),
                    lambda calls: sampled(calls, n // 2) + by_step(calls, n - n // 2, "fdatasync"))
    assert {"fdatasync", "write", "openat", "unlink"} <= {name for name, _ in sample.read()}
    with Probe(live.run) as probe:
        probe.ask(f"spin u {USERS}")
        for name, count in sample:
            was_killed = traced(live, tmp_path, "store", told.work, "-e", f"inject={name}:signal=SIGKILL:when={count}")
            sample.judge((None, was_killed))
            start_again(live)
            told.check()
            # The snapshot says what the map does.
            assert live.json("check")["different"] == 0
        report = probe.report()
    assert (report["unknown"], report["missing"], report["fell"]) == (0, 0, 0), report
    assert sample.n_met >= n * 3 // 4


def table(live, name):
    lines = (live.state / "emergency" / name).read_text().splitlines()
    return dict(line.split("\t", 1) for line in lines if not line.startswith("#"))


def test_the_emergency_thread_killed(live, tmp_path):
    """Each file is whole, and the one that says who exists names everybody who did before."""
    files = live.state / "emergency"
    round_ = 1

    def current():
        now = live.json("status")["generation"]
        wait_for(lambda: int((files / "generation").read_text()) == now, 20, "the files to be current")
        return now

    def work():
        # The thread may begin, and end mapd, while the change is answered.
        live.maptool("set", user(1), f"route={('old', 'new')[round_ % 2]}", check=False)
        live.signal("mapd", signal.SIGTERM)
        wait_for(lambda: not live.running("mapd"), 20, "mapd to end")

    current()
    traced(live, tmp_path, "emergency", work)
    n = max(KILLS // 8, 6)
    sample = Sample(lambda: calls_in(tmp_path), lambda calls: sampled(calls, n))
    assert [name for name, _ in sample.read()].count("rename") >= 6
    for name, count in sample:
        round_ += 1
        live.start("mapd")
        before = current()
        traced(live, tmp_path, "emergency", work, "-e", f"inject={name}:signal=SIGKILL:when={count}")
        sample.judge((None, live.processes["mapd"].returncode == -signal.SIGKILL))
        live.kill("mapd")
        generation = int((files / "generation").read_text())
        assert generation in (before, before + 1)
        want = {user(i) for i in range(USERS)} | {"postmaster@example.org", "abuse@example.org", "example.org"}
        assert want <= table(live, "postfix-transport").keys()
        assert {user(i) for i in range(USERS)} <= table(live, "postfix-recipients").keys()
        if generation == before + 1:
            assert table(live, "postfix-transport")[user(1)].endswith(("10.1.1.5]:25", "10.1.2.5]:25")[round_ % 2])
    assert sample.n_met >= n // 2


# --- A backup -----------------------------------------------------------------------------------------

def sets(live):
    """Those that are told, each of which has to be whole."""
    names = [s["name"] for s in live.json("backup", "list")]
    for name in names:
        folder = live.state / "backup" / name
        subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=folder, check=True)
        assert (folder / "map.jsonl.gz").exists() and (folder / "coexist.conf").exists()
    return names


def test_a_backup_killed(live, tmp_path):
    line = [live.bin / "maptool", "-c", live.conf, "backup", "now"]
    record(line, tmp_path)
    n = max(KILLS // 5, 8)
    sample = Sample(lambda: calls_in(tmp_path), lambda calls: sampled(calls, n))
    known = sets(live)
    assert len(known) == 1
    for number, at in enumerate(sample):
        live.maptool("set", user(1), f"note={number}")      # a set of its own
        sample.judge(killed_at(line, tmp_path, *at))
        now = sets(live)
        assert now[:len(known)] == known and len(now) - len(known) <= 1
        known = now
    assert sample.n_met >= n * 3 // 4
    # The next one is made, and the last one can be restored.
    live.maptool("set", user(1), "note=last")
    name = live.maptool("backup", "now").stdout.strip()
    assert sets(live) == [*known, name]
    assert live.json("restore", name, "--dry-run")["unchanged"] == USERS
