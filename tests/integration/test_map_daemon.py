# SPDX-License-Identifier: ISC
"""coexist-mapd as a process: start, stop, reload, its socket, who may do what."""
import os
import random
import resource
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path

import pytest

from lib.mapsock import MapSocket, Probe
from lib.process import Process
from lib.wait import wait_for

SERVERS = {"old": {"smtp": "smtp://10.1.1.5:25"}, "new": {"smtp": "smtp://10.1.2.5:25"}}
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")


@pytest.fixture
def live(site):
    return site(SERVERS).init({"ann@example.org": "old"})


def run_mapd(site, *args):
    return subprocess.run([site.bin / "coexist-mapd", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=60, check=False)


# --- Start and stop ---------------------------------------------------------------------------------

def test_no_map_is_made_in_passing(site):
    made = site(SERVERS)
    done = run_mapd(made, "-c", made.conf)
    assert done.returncode == 66 and "there is no map in" in done.stderr and "maptool init" in done.stderr
    assert not (made.state / "map").exists()


def test_wrong_use(live, tmp_path):
    assert run_mapd(live, "-c", live.conf, "-n").returncode == 0
    assert run_mapd(live, "-c", live.conf, "extra").returncode == 64
    assert run_mapd(live, "--help").returncode == 0
    assert run_mapd(live, "--version").returncode == 0
    (tmp_path / "bad.conf").write_text("stat = 7\n")
    done = run_mapd(live, "-c", tmp_path / "bad.conf")
    assert done.returncode == 78 and "bad.conf" in done.stderr


def test_second_mapd(live):
    done = run_mapd(live, "-c", live.conf)
    assert done.returncode == 75 and "another coexist-mapd runs" in done.stderr, done.stderr
    live.set("bob@example.org", "new")


def test_waits_for_a_maptool_that_has_the_map(site):
    """A maptool without a mapd holds the lock for a moment; a start waits for it."""
    made = site(SERVERS)
    made.maptool("init")
    process = subprocess.Popen([made.bin / "maptool", "-c", made.conf, "import", "-"], stdin=subprocess.PIPE, text=True)
    process.stdin.write("ann@example.org,old\n")
    process.stdin.flush()

    def locked():
        return subprocess.run(["flock", "-n", made.state / "map/lock", "true"], check=False).returncode != 0
    wait_for(locked, 20, "maptool to hold the lock")
    mapd = subprocess.Popen([made.bin / "coexist-mapd", "-c", made.conf], stderr=subprocess.PIPE, text=True)
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            mapd.wait(0.3)
        process.communicate("")
        assert process.returncode == 0
        assert made.json("get", "ann@example.org")["route"] == "old"
        wait_for(lambda: made.json("status")["running"], 20, "mapd to answer")
    finally:
        mapd.terminate()
        mapd.communicate()
    assert mapd.returncode == 0


def test_stop_and_start_again(live):
    live.stop("mapd")
    assert not (live.run / "mapd.sock").exists()
    assert live.json("explain", "ann@example.org")["server"] == "old"
    live.start("mapd")
    assert live.json("get", "ann@example.org")["epoch"] == 1


def test_reload(live):
    live.servers["third"] = {"smtp": "smtp://10.1.3.5:25"}
    live.reload("mapd")
    live.wait_event("mapd", "reloaded")
    live.set("ann@example.org", "third")
    # A bad file keeps the old configuration.
    live.servers["fourth"] = {"smtp": "nonsense"}
    live.reload("mapd")
    live.wait_event("mapd", "reload_failed")
    with MapSocket(live.run) as map_:
        assert map_.ok(op="set", key="bob@example.org", set={"route": "third"})["changed"] == 1
        assert "servers: old, new, third" in map_.error(op="set", key="bob@example.org", set={"route": "x"})["text"]
    del live.servers["fourth"]
    live.settings[""]["run"] = str(live.run) + "x"
    live.reload("mapd")
    live.wait_event("mapd", "reload_failed", count=2)


def test_stop_answers_what_it_was_asked(live):
    """SIGTERM among requests: every one that got its answer is in the map."""
    answered = []
    with MapSocket(live.run) as map_:
        try:
            for i in range(100):
                map_.send(op="set", key=f"u{i}@example.org", set={"route": "old"})
                if i == 50:
                    live.signal("mapd", signal.SIGTERM)
        except OSError:
            pass
        try:
            for i in range(100):
                assert map_.receive()["ok"]
                answered.append(i)
        except (ConnectionError, OSError):
            pass
    assert live.processes["mapd"].wait(30) == 0
    live.kill("mapd")
    live.start("mapd")
    keys = {e["key"] for e in live.json("list")}
    assert {f"u{i}@example.org" for i in answered} <= keys


# --- The socket -----------------------------------------------------------------------------------------

GARBAGE = {
    "text": b"GET / HTTP/1.0\r\n\r\n",
    "no length": struct.pack(">I", 0),
    "too long": struct.pack(">I", (16 << 20) + 1),
    "no JSON": struct.pack(">I", 4) + b"{]}[",
    "no object": struct.pack(">I", 2) + b"[]",
    "member twice": struct.pack(">I", 27) + b'{"op":"status","op":"list"}',
    "not UTF-8": struct.pack(">I", 10) + b'{"op":"\xff"}',
    "deep": struct.pack(">I", 100000) + b"[" * 100000,
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_drops_the_peer_only(live, name):
    with MapSocket(live.run) as other:
        with socket.socket(socket.AF_UNIX) as bad:
            bad.settimeout(20)
            bad.connect(str(live.run / "mapd.sock"))
            bad.sendall(GARBAGE[name])
            try:
                assert bad.recv(1) == b""
            except ConnectionError:
                pass
        assert other.ok(op="get", key="ann@example.org")["entry"]["route"] == "old"
    live.wait_event("mapd", "control_dropped")
    assert live.running("mapd")


def test_random_bytes(live):
    rnd = random.Random(1)
    for _ in range(200):
        with socket.socket(socket.AF_UNIX) as bad:
            bad.connect(str(live.run / "mapd.sock"))
            try:
                bad.sendall(rnd.randbytes(rnd.randrange(1, 200)))
            except ConnectionError:
                pass
    assert live.json("get", "ann@example.org")["route"] == "old"


def test_half_a_frame_hinders_nobody(live):
    with MapSocket(live.run) as slow:
        slow.socket.sendall(struct.pack(">I", 100) + b'{"op"')
        assert live.json("get", "ann@example.org")["route"] == "old"


def test_requests_in_pieces_and_in_one_piece(live):
    body = b'{"op":"get","key":"ann@example.org"}'
    frame = struct.pack(">I", len(body)) + body
    with MapSocket(live.run) as map_:
        for byte in frame:
            map_.socket.sendall(bytes([byte]))
        assert map_.receive()["ok"]
        map_.socket.sendall(frame * 50)
        for _ in range(50):
            assert map_.receive()["entry"]["route"] == "old"


def test_clients_are_limited(live):
    """1,000 at a time: one who is silent makes room, one with an import in the works does not."""
    sockets = []
    try:
        for _ in range(1000):
            sockets.append(MapSocket(live.run))
        sockets[0].ok(op="status")
        with MapSocket(live.run) as late:
            assert late.ok(op="status")
        assert sockets[0].ok(op="status"), "who asked a moment ago stays"
        with pytest.raises((ConnectionError, OSError)):
            sockets[1].call(op="status")
        sockets[1].close()
        sockets[1] = MapSocket(live.run)
        for map_ in sockets:
            map_.ok(op="begin")
        with MapSocket(live.run) as late:
            with pytest.raises((ConnectionError, OSError)):
                late.call(op="status")
        live.wait_event("mapd", "control_full")
        sockets[0].ok(op="abort")
        wait_for(lambda: live.maptool("status", check=False).returncode == 0, 20, "a place to be free")
    finally:
        for map_ in sockets:
            map_.close()


def test_starved_of_descriptors(site):
    """G25: no busy loop while no descriptor is free, and it recovers by itself."""
    live = site(SERVERS, plain=True).init({"ann@example.org": "old"})
    resource.prlimit(live.pid("mapd"), resource.RLIMIT_NOFILE, (40, 40))
    sockets = []
    try:
        for _ in range(60):
            sockets.append(MapSocket(live.run))
        live.wait_event("mapd", "accept_failed", count=3)
        seconds = [Process(live.pid("mapd")).cpu_seconds()]
        live.wait_event("mapd", "accept_failed", count=13)
        seconds.append(Process(live.pid("mapd")).cpu_seconds())
        assert len(live.events("mapd", "accept_failed")) < 100
        assert seconds[1] - seconds[0] < 0.1
        assert sockets[0].ok(op="get", key="ann@example.org")["entry"]["route"] == "old"
    finally:
        for map_ in sockets:
            map_.close()
    live.set("ann@example.org", "new")


def test_replies_that_nobody_reads(site):
    """A client gets its next reply when it has taken the one before; behind a dead one nothing is done."""
    live = site(SERVERS, plain=True).init()
    rows = [{"key": f"u{i}@example.org", "set": {"route": "old", "note": "n" * 900}} for i in range(1000)]
    with MapSocket(live.run) as map_:
        for request in ({"op": "begin"}, {"op": "put", "rows": rows}, {"op": "commit"}):
            map_.ok(**request)
        before = Process(live.pid("mapd")).rss_kib()
        body = b'{"op":"list"}'
        sockets = [MapSocket(live.run) for _ in range(20)]
        for lazy in sockets:
            lazy.socket.sendall((struct.pack(">I", len(body)) + body) * 1000)
        for _ in range(200):
            map_.ok(op="get", key="u1@example.org")
        grown = Process(live.pid("mapd")).rss_kib() - before
        for lazy in sockets:
            lazy.close()
        assert grown < 64 << 10, f"{grown} KiB"


AS_READER = """
import socket, sys
sockets = []
for _ in range(int(sys.argv[2])):
    sockets.append(socket.socket(socket.AF_UNIX))
    sockets[-1].connect(sys.argv[1])
print(len(sockets), flush=True)
sys.stdin.read()
"""

ASKS = """
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
body = b'{"op":"get","key":"ann@example.org"}'
s.sendall(len(body).to_bytes(4, "big") + body)
print(s.recv(65536)[4:].decode())
"""


@AS_ROOT
def test_readers_do_not_lock_out_a_change(live):
    """Silent ones who may only read make room, when all places are taken, for changes and for others who read."""
    for folder in (live.run, *live.dir.parents):
        if folder.stat().st_uid == os.geteuid() and folder.as_posix().startswith(("/tmp/", "/dev/shm/")):
            folder.chmod(folder.stat().st_mode | 0o055)
    (live.run / "mapd.sock").chmod(0o666)
    readers = subprocess.Popen(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "/usr/bin/python3",
                                "-c", AS_READER, live.run / "mapd.sock", "1000"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert readers.stdout.readline() == b"1000\n"
        for route in ("new", "old"):
            live.set("ann@example.org", route)
        live.wait_event("mapd", "control_dropped", who="uid65534", reason="its place is needed")
        asked = subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "/usr/bin/python3",
                                "-c", ASKS, live.run / "mapd.sock"], capture_output=True, timeout=60, check=True)
        assert b'"ok":true' in asked.stdout
    finally:
        readers.communicate()


@AS_ROOT
def test_rights(live):
    """Root and mapd's own user may write, others may read, and only through an open socket."""
    for folder in (live.run, *live.dir.parents):
        if folder.stat().st_uid == os.geteuid() and folder.as_posix().startswith(("/tmp/", "/dev/shm/")):
            folder.chmod(folder.stat().st_mode | 0o055)
    sock = live.run / "mapd.sock"
    ask = ("import json,socket,struct,sys\ns=socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n"
           "for r in json.loads(sys.argv[2]):\n    b=json.dumps(r).encode()\n    s.sendall(struct.pack('>I',len(b))+b)\n"
           "    n=struct.unpack('>I',s.recv(4,socket.MSG_WAITALL))[0]\n    print(s.recv(n,socket.MSG_WAITALL).decode())\n")
    requests = '[{"op":"get","key":"ann@example.org"},{"op":"set","key":"ann@example.org","set":{"route":"new"}},' \
               '{"op":"barrier","key":"ann@example.org","epoch":1,"timeout_ms":0},{"op":"status"}]'

    def as_nobody():
        return subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "/usr/bin/python3", "-c", ask,
                               str(sock), requests], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              check=False)
    assert "PermissionError" in as_nobody().stderr
    sock.chmod(0o666)
    lines = as_nobody().stdout.splitlines()
    assert len(lines) == 4 and '"route":"old"' in lines[0] and '"keys":1' in lines[3]
    for line in lines[1:3]:
        assert '"code":77' in line and "uid65534 may read the map but not change it" in line
    assert live.json("get", "ann@example.org")["route"] == "old"


@AS_ROOT
def test_started_as_root(site):
    """mapd becomes its user, whose files stay usable whoever worked on the map meanwhile."""
    made = site(SERVERS, settings={"mapd": {"user": "nobody"}})
    for folder in made.dir.parents:
        if folder.as_posix().startswith("/tmp/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    made.dir.chmod(0o755)
    made.state.rmdir()
    made.run.rmdir()
    made.maptool("init")
    made.set("ann@example.org", "old")
    assert (made.state / "map").owner() == made.run.owner() == "nobody"
    made.start("mapd")
    status = (Path("/proc") / str(made.pid("mapd")) / "status").read_text()
    assert "\nUid:\t65534\t65534\t65534\t65534\n" in status
    made.set("ann@example.org", "new")
    made.stop("mapd")
    made.set("bob@example.org", "new")
    made.start("mapd")
    assert [c["who"] for c in made.json("log")] == ["root"] * 3


def test_old_changes_leave_the_log(site):
    """log_keep: old changes go, the newest stay, and entries, epochs and generations are as they were."""
    live = site(SERVERS, settings={"mapd": {"log_keep": "2s"}}).init({"ann@example.org": "old"})
    live.set("ann@example.org", "new")
    live.stop("mapd")
    changed = time.time()
    wait_for(lambda: time.time() - changed > 4, 20, "the changes to be older than log_keep")
    live.start("mapd")
    live.set("bob@example.org", "old")
    # The request of which it became aware goes first, so that nobody waits for this.
    wait_for(lambda: [c["generation"] for c in live.json("log")] == [3], 20, "the old changes to go")
    assert live.json("get", "ann@example.org")["epoch"] == 2
    live.set("ann@example.org", "old")
    assert live.json("get", "ann@example.org")["epoch"] == 4
    live.kill("mapd")
    live.start("mapd")
    assert live.json("status")["generation"] == 4


# --- Many at once ------------------------------------------------------------------------------------------

def test_waiting_requests_share_a_commit(site):
    """64 clients at once are much faster than one by one, and every answer is true."""
    live = site(SERVERS, plain=True).init()
    sockets = [MapSocket(live.run) for _ in range(64)]
    try:
        for round_ in range(10):
            for i, map_ in enumerate(sockets):
                map_.send(op="set", key=f"u{i}@example.org", set={"route": ("old", "new")[round_ % 2]})
            epochs = [map_.receive()["entry"]["epoch"] for map_ in sockets]
            assert len(set(epochs)) == 64
    finally:
        for map_ in sockets:
            map_.close()
    assert live.json("status")["generation"] == 640


def test_seen_as_soon_as_it_is_answered(site):
    live = site(SERVERS, plain=True).init({"ann@example.org": "old"})
    with MapSocket(live.run) as map_, Probe(live.run) as probe:
        for i in range(200):
            epoch = map_.ok(op="set", key="ann@example.org", set={"route": ("new", "old")[i % 2]})["entry"]["epoch"]
            assert probe.ask("get ann@example.org") == f"found {('new', 'old')[i % 2]} active {epoch}"

