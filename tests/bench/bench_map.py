# SPDX-License-Identifier: ISC
"""The map under load: many entries and writers, barriers, and a start behind a kill (imports: bench_import.py).

Changes stand beside what the machine does by itself: fdatasync by one thread.
"""
import json
import os
import shutil
import statistics
import struct
import threading
import time
from pathlib import Path

from lib.coexist import Coexist
from lib.guest import ROOT
from lib.mapsock import MapSocket, Probe
from lib.wait import wait_for

TITLE = "The map: changes, barriers and starts"
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
LARGE = int(os.environ.get("BENCH_MAP_KEYS", "1000000"))
VERY_LARGE = 3 * LARGE
WORK = ROOT / "build" / "bench" / "map"
FILES, WAITING = 64, 500


def site_of(name):
    shutil.rmtree(WORK / name, ignore_errors=True)  # of a run that was killed
    (WORK / name).mkdir(parents=True)
    return Coexist(WORK / name, plain=True, servers={"old": {"smtp": "smtp://127.0.0.1:2"},
                                                     "new": {"smtp": "smtp://127.0.0.1:3"}})


def csv_of(path, keys, route="old"):
    with open(path, "w", encoding="utf-8") as out:
        out.write("key,route\n")
        out.writelines(f"user{i}@example.org,{route}\n" for i in range(keys))
    return path


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def fsyncs(folder, seconds=2):
    """Appends of 200 octets, each made durable, per second: what one writer can have at most."""
    fd = os.open(folder / "fsync", os.O_CREAT | os.O_WRONLY)
    start, n = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        os.write(fd, bytes(200))
        os.fdatasync(fd)
        n += 1
    os.close(fd)
    return n / (time.perf_counter() - start)


def fill(site, keys):
    """An import of so many, and its rows folded: until then each change waits for a part of that."""
    site.maptool("import", str(csv_of(site.dir / "map.csv", keys)), timeout=1800)
    start = time.perf_counter()
    wait_for(lambda: site.events("mapd", "import_folded"), 900, "the import to be folded")
    return time.perf_counter() - start


def changes_per_second(site, writers, keys, seconds=3):
    counts = [0] * writers
    end = time.perf_counter() + seconds

    def write(i):
        with MapSocket(site.run) as map:
            k = i
            while time.perf_counter() < end:
                map.ok(op="set", key=f"user{k % keys}@example.org", set={"note": str(k)})
                counts[i] += 1
                k += 7919 * writers
    threads = [threading.Thread(target=write, args=(i,)) for i in range(writers)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return sum(counts) / seconds


def starts(site):
    """After kill -9: until mapd serves again; and how long a consumer takes to have the map."""
    back, consumer, gaps = [], [], []
    for _ in range(ROUNDS):
        with Probe(site.run) as probe:
            probe.ask(f"spin user {LARGE}")
            site.kill("mapd")
            start = time.perf_counter()
            site.start("mapd", timeout=120)
            back.append(time.perf_counter() - start)
            seen = probe.report()
            gaps.append(seen["max_gap_ms"])
            assert seen["missing"] == seen["fell"] == 0, seen
        start = time.perf_counter()
        with Probe(site.run) as probe:
            probe.ask("get user1@example.org")
            consumer.append(1000 * (time.perf_counter() - start))
    return statistics.median(back), statistics.median(consumer), max(gaps)


def large():
    out = ["| entries | fdatasync of 200 octets | one writer | 64 writers | one / fdatasync | 64 / fdatasync |",
           "|---|---|---|---|---|---|"]
    after = ""
    for keys in (LARGE, VERY_LARGE):
        with site_of(str(keys)) as site:
            site.init()
            fold = fill(site, keys)
            print(f"   {keys:,} entries: folded in {fold:.0f} s", flush=True)
            bare = [fsyncs(site.dir) for _ in range(ROUNDS)]
            one = [changes_per_second(site, 1, keys) for _ in range(ROUNDS)]
            many = [changes_per_second(site, 64, keys) for _ in range(ROUNDS)]
            f, a, b = map(statistics.median, (bare, one, many))
            out.append(f"| {keys:,} | {f:,.0f} | {a:,.0f} | {b:,.0f} | {a / f:.2f} | {b / f:.2f} |")
            if keys == LARGE:
                back, consumer, gap = starts(site)
                after = (f"With {keys:,} entries mapd serves again {back:.2f} s after `kill -9`; a consumer looked all of them up "
                         f"meanwhile, none was missing, and the longest look-up took {gap} ms. A process that starts, maps the "
                         f"snapshot and looks one address up: {consumer:.1f} ms.")
    return [*out, "", after]


def barriers():
    """FILES consumers with a claim each, WAITING barriers that wait for it: mapd's share of a core, and another's get."""
    with site_of("barriers") as site:
        site.init()
        site.set("held@example.org", "old")
        probes = [Probe(site.run) for _ in range(FILES)]
        sockets = []
        try:
            for probe in probes:
                probe.ask("see held@example.org")
                assert probe.ask("claim") == "go"
            with MapSocket(site.run) as map:
                epoch = map.ok(op="hold", key="held@example.org", owner="bench", deadline_ms=600000)["epoch"]
            body = json.dumps({"op": "barrier", "key": "held@example.org", "epoch": epoch, "timeout_ms": 60000}).encode()
            for _ in range(WAITING):
                one = MapSocket(site.run)
                one.socket.sendall(struct.pack(">I", len(body)) + body)
                sockets.append(one)
            pid = site.processes["mapd"].pid
            with MapSocket(site.run) as map:
                waits, cpu, start = [], cpu_seconds(pid), time.perf_counter()
                while time.perf_counter() - start < 5:
                    t = time.perf_counter()
                    map.ok(op="get", key="held@example.org")
                    waits.append(1000 * (time.perf_counter() - t))
                    time.sleep(0.01)
                share = (cpu_seconds(pid) - cpu) / (time.perf_counter() - start)
            for probe in probes:
                probe.ask("end answered")
            start = time.perf_counter()
            replies = [s.receive() for s in sockets]
            assert all(reply.get("result") == "clear" for reply in replies), replies[0]
            clear = 1000 * (time.perf_counter() - start)
        finally:
            for each in (*sockets, *probes):
                each.close()
    waits.sort()
    return [f"{FILES} consumers with a claim on one address and {WAITING} barriers that wait for it: mapd uses {100 * share:.1f} % of a core "
            f"(100 requests a second of another client among it), whose `get` takes {waits[len(waits) // 2]:.2f} ms (p50), "
            f"{waits[len(waits) * 99 // 100]:.2f} (p99), {waits[-1]:.2f} (longest). When the last claim ends all have their answer "
            f"within {clear:.0f} ms."]


def run():
    return "\n".join([*large(), "", *barriers(), "", f"Medians of {ROUNDS} rounds."])
