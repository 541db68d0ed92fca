# SPDX-License-Identifier: ISC
"""A full or failing disk: changes fail with a clear error, look-ups go on, nothing that was acknowledged is lost."""
import subprocess

import pytest

from lib.coexist import ProgramError
from lib.mapsock import MapSocket, Probe
from lib.wait import wait_for

SERVERS = {"old": {"smtp": "smtp://10.1.1.5:25"}, "new": {"smtp": "smtp://10.1.2.5:25"}}


@pytest.fixture
def small(site, request):
    """A site whose state lies on a file system of 24 MiB, which has no room for a reserve."""
    live = site(SERVERS, plain=True, settings={"mapd": {"cache_size": "8M", "emergency": "1d"}})
    size = getattr(request, "param", "24m")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", live.state], stderr=subprocess.PIPE,
                          check=False)
    if done.returncode:
        pytest.skip("cannot mount a small file system here")
    try:
        yield live.init({"ann@example.org": "old"})
    finally:
        live.kill("mapd")
        subprocess.run(["umount", live.state], check=True)


def fill(live, filler="14M"):
    """Fills the disk from outside, and uses up what is left by changes; what was acknowledged, and the error."""
    acked, note = {}, "n" * 1000
    subprocess.run(["fallocate", "-l", filler, live.state / "filler"], check=True)
    with MapSocket(live.run) as map_:
        for i in range(40000):
            reply = map_.call(op="set", key=f"u{i}@example.org", set={"route": "old", "note": note})
            if not reply["ok"]:
                return acked, reply["error"]
            acked[f"u{i}@example.org"] = reply["entry"]["epoch"]
    raise AssertionError("the disk was never full")


def check_all(live, acked):
    with MapSocket(live.run) as map_:
        for key, epoch in acked.items():
            assert map_.ok(op="get", key=key)["entry"]["epoch"] == epoch


def fill_to_the_last(path):
    with open(path, "wb", buffering=0) as out:
        try:
            while out.write(b"x" * 4096):
                pass
        except OSError:
            pass


def test_disk_full(small):
    with Probe(small.run) as probe:
        acked, error = fill(small)
        assert "No space left on device" in error["text"] and error["class"] == "temporary", error
        # Reading goes on, here and in the snapshot.
        assert small.json("get", "ann@example.org")["route"] == "old"
        assert probe.ask("get ann@example.org") == "found old active 1"
        last = list(acked)[-1]
        assert probe.ask(f"get {last}") == f"found old active {acked[last]}"
        assert probe.ask(f"get u{len(acked)}@example.org").startswith("not_found")
        # A backup that has no room is none, and takes none.
        fill_to_the_last(small.state / "filler2")
        before = small.json("backup", "list")
        done = small.maptool("backup", "now", check=False)
        assert done.returncode == 75 and "no backup: " in done.stderr and "No space left on device" in done.stderr
        assert small.json("backup", "list") == before and not list((small.state / "backup").glob(".new*"))
        (small.state / "filler2").unlink()
        # Once there is room again, so do changes.
        (small.state / "filler").unlink()
        small.set("ann@example.org", "new")
    small.kill("mapd")
    small.start("mapd")
    check_all(small, acked)
    assert small.json("get", "ann@example.org")["route"] == "new"


@pytest.mark.parametrize("end", ("kill", "stop"))
def test_start_on_a_full_disk(small, end):
    """It says what is wrong, in few words; look-ups go on, and with room again everything is there."""
    files = small.state / "emergency"
    wait_for(lambda: (files / "generation").exists(), 20, "the first files")
    acked, _ = fill(small)
    fill_to_the_last(small.state / "filler2")
    getattr(small, end)("mapd")
    # The files for the day when nothing runs are those of before, all of them.
    assert end == "kill" or "No space left" in small.wait_event("mapd", "emergency_failed")["error"]
    assert int((files / "generation").read_text()) <= 1
    assert "postmaster@example.org\t" in (files / "postfix-transport").read_text()
    assert (files / "postfix-recipients").read_text().endswith("\tOK\n")
    (small.state / "filler2").unlink()
    before = len(small.events("mapd"))
    with pytest.raises(ProgramError, match="status 74 while starting") as problem:
        small.start("mapd")
    assert "cannot be recovered (is the disk full?)" in str(problem.value)
    last = small.log("mapd").read_text().splitlines()[-1]
    assert last.startswith("coexist-mapd: ") and "No space left on device" in last
    assert len(small.events("mapd")) - before < 10
    with Probe(small.run) as probe:
        assert probe.ask("get ann@example.org") == "found old active 1"
    (small.state / "filler").unlink()
    small.start("mapd")
    check_all(small, acked)
    small.set("ann@example.org", "new")


@pytest.mark.parametrize("small", ("96m",), indirect=True)
@pytest.mark.parametrize("end", ("kill", "stop"))
def test_the_reserve(small, end):
    """With a reserve it starts on the full disk, also after a reboot, and makes a new one later."""
    reserve = small.state / "map/reserve"
    assert reserve.stat().st_blocks * 512 >= 16 << 20
    acked, _ = fill(small, "70M")
    getattr(small, end)("mapd")
    for path in small.run.glob("map.*"):
        path.unlink()
    small.start("mapd")
    assert "No space left on device" in small.wait_event("mapd", "reserve_used")["error"]
    assert not reserve.exists()
    check_all(small, acked)
    with Probe(small.run) as probe:
        assert probe.ask("get ann@example.org") == "found old active 1"
    small.set("ann@example.org", "new")
    (small.state / "filler").unlink()
    small.stop("mapd")
    small.start("mapd")
    assert reserve.exists()
    check_all(small, acked)


def test_full_run_folder(site):
    """What cannot be shown is not changed; look-ups go on, and so do changes once there is room."""
    live = site(SERVERS, plain=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", live.run], stderr=subprocess.PIPE, check=False).returncode:
        pytest.skip("cannot mount a small file system here")
    try:
        live.init({"ann@example.org": "old"})
        subprocess.run(["fallocate", "-l", "3500K", live.run / "filler"], check=True)
        rows = "".join(f"u{i}@example.org\n" for i in range(6000))
        with Probe(live.run) as probe:
            done = live.maptool("import", "--route", "old", "-", input=rows, check=False)
            assert done.returncode == 75 and "No space left on device" in done.stderr, done
            assert "cannot be published" in done.stderr
            assert probe.ask("get ann@example.org") == "found old active 1"
            assert live.json("status")["keys"] == 1 and not [p for p in live.run.glob("map.*") if p.suffix not in (".ctl", ".1")]
            live.set("ann@example.org", "new")      # fits in place
            assert probe.ask("get ann@example.org").startswith("found new active")
            (live.run / "filler").unlink()
            live.maptool("import", "--route", "old", "-", input=rows)
            assert probe.ask("get u5999@example.org").startswith("found old active")
    finally:
        live.kill("mapd")
        subprocess.run(["umount", live.run], check=True)


@pytest.mark.parametrize("error", ("EIO", "ENOSPC"))
def test_a_failed_sync_is_not_tried_again(site, error):
    """Behind it another one would succeed although pages are lost: mapd ends, and the next start recovers."""
    live = site(SERVERS, plain=True).init({"ann@example.org": "old"})
    acked = {}
    with subprocess.Popen(["strace", "-f", "-o", live.dir / "calls", "-e", "trace=fdatasync", "-e",
                           f"inject=fdatasync:error={error}:when=3", "-p", str(live.pid("mapd"))],
                          stderr=subprocess.PIPE) as tracer:
        try:
            assert b"attached" in tracer.stderr.readline()
            with MapSocket(live.run) as map_, pytest.raises(OSError):
                for i in range(10):
                    acked[f"u{i}@example.org"] = map_.ok(op="set", key=f"u{i}@example.org", set={"route": "old"},
                                                         id=f"r{i}")["entry"]["epoch"]
            live.wait_event("mapd", "bdb_sync_failed")
        finally:
            tracer.kill()  # told to stop while its process ends, strace may wait for ever
    wait_for(lambda: not live.running("mapd"), 20, "mapd to end")
    live.kill("mapd")
    with Probe(live.run) as probe:
        assert probe.ask(f"get {list(acked)[-1]}").startswith("found old")
        # What was not answered may be in the map after the recovery, but was never seen before it.
        assert probe.ask(f"get u{len(acked)}@example.org").startswith("not_found")
    live.start("mapd")
    check_all(live, acked)
    with MapSocket(live.run) as map_:
        again = map_.ok(op="set", key=f"u{len(acked)}@example.org", set={"route": "old"}, id=f"r{len(acked)}")
        assert again["entry"]["epoch"] > max(acked.values())
