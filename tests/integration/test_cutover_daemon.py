# SPDX-License-Identifier: ISC
"""coexist-sync run: cut-overs over its socket, sweeps, recovery, a clean stop."""
import os
import resource
import signal
import socket
import subprocess
import threading
import time

import pytest
from lib import smtp
from lib.cutover import ANN, argv, cutover, entry, imap_servers, status, sync
from lib.mailbox import Mail, fill, look, message, same
from lib.process import Process, children
from lib.wait import wait_for

BOB = "bob@example.org"


@pytest.fixture
def make(dovecot, site, tmp_path, scripted):
    """A site with the daemon; old's door for mail is a script, or Dovecot's own with script=None."""
    gates = []

    def build(script=None, **settings):
        old, new = dovecot("old"), dovecot("new")
        servers = imap_servers(tmp_path, old=old, new=new)
        place_target = None
        if script:
            gates.append(script["gate"])
            place_target = scripted({"dot": smtp.wait(script["gate"])}, lmtp=True)
            servers["old"]["smtp"] = f"lmtp://127.0.0.1:{place_target.port}"
        made = site(servers, settings={"relay": {"hold_wait": "0ms"}, "sync": {"sweep_interval": "200ms", **settings}})
        made.init({ANN: "old", BOB: "old"})
        made.old, made.new, made.target = old, new, place_target
        for user in (ANN, BOB):
            fill(old.imap(user), {"INBOX": [Mail(message(f"m{i}")) for i in range(5)], "Work": [Mail(message("w"))]})
        made.start("sync", args=("run",))
        return made
    yield build
    for gate in gates:
        gate.set()


def state(place, user=ANN):
    return status(place).get(user, {}).get("state")


@pytest.fixture
def held(make):
    """A cut-over that stands at the barrier until place.gate is set: (place, process)."""
    gate = threading.Event()
    place = make({"gate": gate}, barrier="30s")
    place.gate = gate
    place.start("relay")
    sender = threading.Thread(target=smtp.send, args=(place.relay_port, "w@example.net", ANN, smtp.message("pending")), daemon=True)
    sender.start()
    assert place.target.reached("dot").wait(20)
    process = subprocess.Popen(argv(place, "cutover", ANN), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, env=place.env())
    wait_for(lambda: state(place) == "draining", 20, "the hold")
    return place, process


def test_a_cut_over_and_its_sweeps(make):
    place = make()
    old, new = place.old, place.new
    place.maptool("set", "info@example.org", "kind=alias", f"to={ANN}")
    place.maptool("set", "staff@example.org", "kind=group", "route=old", f"to={ANN},{BOB}")
    done = cutover(place)
    assert done.status == 0 and done.states[-1] == "done", done.log
    # What moves with the user is told before the copy and with the flip, here and in the log.
    follow = "1 alias follows; 1 group on old has this member"
    told = [line for line in done.lines if "follow" in line]
    assert [(line["state"], line["follow"], line["followers"]) for line in told] == [
        (state, follow, ["info@example.org", "staff@example.org"]) for state in ("prepared", "flipped")]
    assert place.events("sync", "cutover", user=ANN, state="prepared")[0]["text"] == follow
    assert place.events("sync", "cutover", user=ANN, state="flipped")[0]["text"].endswith(f" ms; {follow}")
    # A colleague on old still delivers there.
    old.deliver(ANN, smtp.message("late-1"))
    wait_for(lambda: sum(b"<late-1@" in m.data for m in new.messages(ANN)) == 1, 20, "the sweep")
    # What the user deletes on new stays deleted, and nothing on old is touched.
    client = new.imap(ANN)
    client.select("INBOX")
    client.uid("STORE", "1:3", "+FLAGS", "(\\Deleted)")
    client.expunge()
    old.deliver(ANN, smtp.message("late-2"))
    wait_for(lambda: sum(b"<late-2@" in m.data for m in new.messages(ANN)) == 1, 20, "the sweep")
    assert len(new.messages(ANN)) == 8 - 3 and len(old.messages(ANN)) == 8
    wait_for(lambda: status(place)[ANN]["late"] == 2, 20, "the record")
    assert state(place) == "done" and state(place, BOB) is None
    # Commands do not mind the sweeps, which come five times a second here.
    assert all(cutover(place).status == 0 for _ in range(20))
    text = sync(place, "status").stdout
    assert ANN in text and "done" in text
    # The old server goes away for a while: noted, and forgotten when it is back.
    old.stop()
    wait_for(lambda: status(place)[ANN]["error"], 20, "the error")
    old.start()
    old.deliver(ANN, smtp.message("late-3"))
    wait_for(lambda: not status(place)[ANN]["error"] and status(place)[ANN]["late"] == 3, 20, "the sweep")
    # Retired, she is left alone from then on.
    wait_for(lambda: cutover(place, command="retire").status == 0, 20, "sweeps that find nothing")
    assert state(place) == "retired" and "moved_by" not in entry(place)
    sweeps = status(place)[ANN]["sweeps"]
    assert cutover(place, BOB).status == 0
    wait_for(lambda: status(place)[BOB]["sweeps"] > 3, 20, "two rounds")
    assert status(place)[ANN]["sweeps"] == sweeps
    place.stop("sync")


def test_a_client_that_leaves(held):
    place, process = held
    process.kill()
    process.communicate()
    place.gate.set()
    wait_for(lambda: state(place) == "done", 20, "the cut-over")
    assert entry(place)["route"] == "new"
    same(look(place.old.imap(ANN)), look(place.new.imap(ANN)))


def test_rollback_while_it_runs(held):
    place, process = held
    back = subprocess.Popen(argv(place, "rollback", ANN), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, env=place.env())
    # Mail is let through again before the barrier is over or not, but never flipped.
    place.gate.set()
    out, err = back.communicate(timeout=60)
    process.communicate(timeout=60)
    if back.returncode == 0:
        assert process.returncode == 75
        assert (entry(place)["route"], entry(place)["state"], state(place)) == ("old", "active", "rolled-back"), err
    else:
        # The gate was faster than the request.
        assert back.returncode == 69 and entry(place)["route"] == "new", (out, err)


def test_killed_while_mail_waits(held):
    place, process = held
    place.kill("sync")
    assert process.wait(20) == 75
    assert entry(place)["state"] == "held"
    place.start("sync", args=("run",))
    wait_for(lambda: state(place) == "released", 20, "the release")
    assert (entry(place)["route"], entry(place)["state"]) == ("old", "active")
    place.gate.set()
    assert cutover(place).status == 0


def test_who_waits_comes_before_the_sweeps(held):
    """Who is to be swept on a server that hangs does not keep the one from his mail."""
    place, process = held
    assert cutover(place, BOB).status == 0
    place.kill("sync")
    assert process.wait(20) == 75
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place.servers["old"]["imap"] = f"imap://127.0.0.1:{silent.getsockname()[1]}"
        place.write_conf()
        place.start("sync", args=("run",))
        wait_for(lambda: place.events("sync", "cutover_state", user=ANN, to="released"), 30, "the release")
        assert entry(place)["state"] == "active"
        place.stop("sync")


def test_a_server_that_is_silent_costs_one_timeout_a_round(make):
    """Not one for each of its users."""
    place = make(sweep_interval="1h")
    users = [ANN, BOB, "cat@example.org"]
    place.maptool("set", users[2], "route=old")
    fill(place.old.imap(users[2]), {"INBOX": [Mail(message("m"))]})
    assert all(cutover(place, user).status == 0 for user in users)
    place.stop("sync")
    real = place.servers["old"]["imap"]
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place.servers["old"]["imap"] = f"imap://127.0.0.1:{silent.getsockname()[1]}"
        place.settings["sync"].update(sweep_interval="200ms", imap_timeout="500ms")
        place.write_conf()
        place.start("sync", args=("run",))
        place.wait_event("sync", "tend_failed")
        daemon = Process(place.pid("sync"))
        wait_for(lambda: not children(daemon.pid), 30, "the sweep to end")
        silent.settimeout(0)
        with silent.accept()[0], pytest.raises(BlockingIOError):
            silent.accept()
    assert len(place.events("sync", "tend_failed")) == 1
    assert [e["server"] for e in place.events("sync", "server_silent")] == ["old"]
    # It is back, and so are all of them.
    place.servers["old"]["imap"] = real
    place.settings["sync"]["imap_timeout"] = "2m"
    began = time.time() * 1000
    place.write_conf()
    place.reload("sync")
    wait_for(lambda: all(r["swept_ms"] > began and not r["error"] for r in status(place).values()), 30, "the sweeps")
    place.stop("sync")


def test_stopped_while_mail_waits(held):
    """SIGTERM: who waits comes to the end first."""
    place, process = held
    place.signal("sync", signal.SIGTERM)
    place.gate.set()
    assert place.processes["sync"].wait(30) == 0
    assert process.wait(20) in (0, 75)
    e = entry(place)
    assert e["state"] == "active" and (e["route"] == "new") == (state(place) in ("flipped", "sweeping", "done"))


def test_one_after_the_other(make):
    place = make(jobs_max=1)
    results = {}

    def run(user):
        results[user] = cutover(place, user).status
    threads = [threading.Thread(target=run, args=(user,)) for user in (ANN, BOB)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {ANN: 0, BOB: 0}
    assert cutover(place, "nobody@example.org").status == 67
    assert cutover(place, command="rollback").status == 69


def test_starved_of_descriptors(make):
    place = make()
    daemon = Process(place.pid("sync"))
    n_open = len(os.listdir(f"/proc/{daemon.pid}/fd"))
    soft, hard = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (n_open + 10, hard))
    visitors = [socket.socket(socket.AF_UNIX) for _ in range(30)]
    for s in visitors:
        s.connect(str(place.run / "sync.sock"))
    place.wait_event("sync", "accept_failed", count=3)
    before = daemon.cpu_seconds()
    place.wait_event("sync", "accept_failed", count=13)
    assert len(place.events("sync", "accept_failed")) < 100
    assert daemon.cpu_seconds() - before < 0.2
    for s in visitors:
        s.close()
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (soft, hard))
    assert cutover(place).status == 0


def test_what_is_no_request(make):
    place = make()
    for data in (b"", b"\0\0\0\0", b"\0\0\0\x02[]", b"\xff\xff\xff\xff", b"\0\0\0\x02{}", b"\0\0\0\x10not json at all!!"):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(20)
            s.connect(str(place.run / "sync.sock"))
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            try:
                answer = b"".join(iter(lambda: s.recv(4096), b""))
            except ConnectionResetError:
                answer = b""
            # What is a frame with an object gets an answer, and the whole of it.
            wanted = len(answer) == 4 + int.from_bytes(answer[:4], "big") and b'"status":64' in answer if data.endswith(b"{}") else not answer
            assert wanted, (data, answer, place.tail("sync"))
    assert sync(place, "run").returncode == 75
    place.reload("sync")
    place.wait_event("sync", "reloaded")
    assert cutover(place).status == 0
    place.stop("sync")


def test_reloaded_very_often(make):
    """Each with a cut-over or a sweep under way, which keep the configuration that they began with."""
    place = make()
    assert cutover(place).status == 0
    for i in range(100):
        place.settings["sync"]["sweep_interval"] = f"{200 + i}ms"
        place.reload("sync")
        wait_for(lambda: len(place.events("sync", "reloaded")) == i + 1, 20, f"reload {i + 1}")
        assert not place.events("sync", "reload_failed")
    assert cutover(place, BOB).status == 0
    place.stop("sync")


# --- Workers --------------------------------------------------------------------------------------------

def worker_of(place):
    return wait_for(lambda: children(place.pid("sync")), 20, "a worker")[0].pid


def test_a_worker_that_is_killed_is_begun_again(held):
    """Behind a release, since mail may wait; whoever has asked goes on waiting."""
    place, process = held
    os.kill(worker_of(place), signal.SIGKILL)
    wait_for(lambda: place.events("sync", "worker_died", user=ANN, state="draining"), 20, "its death")
    wait_for(lambda: place.events("sync", "cutover_state", user=ANN, to="released"), 20, "the release")
    place.gate.set()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0 and "signal 9" in out, (out, err)
    assert entry(place)["route"] == "new" and "request" not in status(place)[ANN]
    same(look(place.old.imap(ANN)), look(place.new.imap(ANN)))


def test_set_aside_after_too_many_deaths(held):
    place, process = held
    seen = set()

    def kill_the_next():
        for worker in children(place.pid("sync")):
            if worker.pid not in seen:
                seen.add(worker.pid)
                os.kill(worker.pid, signal.SIGKILL)
        return process.poll() is not None
    wait_for(kill_the_next, 40, "the user to be set aside")
    out, err = process.communicate()
    assert process.returncode == 70 and "set aside after 3 deaths" in err, (out, err)
    found = status(place)[ANN]["request"]
    assert (found["phase"], found["kind"]) == ("set-aside", "cutover") and "signal 9" in found["why"]
    assert "set aside: the worker of ann@example.org was ended by signal 9" in sync(place, "status").stdout
    # The others go on, nothing begins by itself, also behind a restart, and his mail is let through.
    assert cutover(place, BOB).status == 0
    place.kill("sync")
    place.start("sync", args=("run",))
    wait_for(lambda: entry(place)["state"] == "active", 20, "the release")
    assert status(place)[ANN]["request"]["phase"] == "set-aside"
    place.gate.set()
    assert cutover(place).status == 0
    assert "request" not in status(place)[ANN]


def test_what_may_go_better_later_is_tried_again(make):
    place = make()
    place.old.stop()
    done = cutover(place)
    assert done.status == 69 and "it is tried again in 60 s" in done.log, done.log
    found = status(place)[ANN]["request"]
    assert (found["phase"], found["failures"], found["kind"]) == ("waiting", 1, "cutover")
    # Somebody who does not want it any more, and somebody who does not want to wait.
    assert cutover(place, command="rollback").status == 0
    assert "request" not in status(place)[ANN]
    assert cutover(place).status == 69
    place.old.start()
    assert cutover(place).status == 0
    assert "request" not in status(place)[ANN]


def test_several_users_at_once(make, tmp_path):
    place = make()
    users = tmp_path / "users"
    users.write_text(f"# two of them\n{BOB}\n\nnobody@example.org\n")
    done = cutover(place, ANN, f"--file={users}")
    assert done.status == 67 and "1 of 3 users have failed" in done.log, done
    ended = {line["user"]: line["status"] for line in done.lines if "status" in line}
    assert ended == {ANN: 0, BOB: 0, "nobody@example.org": 67}
    assert state(place) == state(place, BOB) == "done"


def test_ten_thousand_at_once(make, tmp_path):
    """None is lost, whoever goes away, the supervisor included; and status is quick."""
    with socket.create_server(("127.0.0.1", 0)) as old, socket.create_server(("127.0.0.1", 0)) as new:
        place = make()
        place.stop("sync")
        for name, silent in (("old", old), ("new", new)):
            place.servers[name]["imap"] = f"imap://127.0.0.1:{silent.getsockname()[1]}"
        place.write_conf()
        place.start("sync", args=("run",))
        names = [f"u{i:05}@example.org" for i in range(10000)]
        users = tmp_path / "users"
        users.write_text("\n".join(names))
        place.maptool("import", "--route", "old", "-", input=users.read_text())
        asking = subprocess.Popen(argv(place, "cutover", f"--file={users}"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, env=place.env())
        wait_for(lambda: len(status(place)) == 10000, 60, "all of them to be known")
        asking.kill()
        asking.wait()
        place.kill("sync")
        found = status(place)
        assert sorted(found) == names and all(r["request"]["kind"] == "cutover" for r in found.values())
        place.start("sync", args=("run",))
        found = status(place)
        assert sorted(found) == names and {r["request"]["phase"] for r in found.values()} <= {"running", "waiting"}
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime + Process(place.pid("sync")).cpu_seconds()
        text = sync(place, "status").stdout
        took = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime + Process(place.pid("sync")).cpu_seconds() - before
        assert text.splitlines()[-1].startswith("10000 users")
        assert took < 3  # of a build with sanitizers, both sides; what it is without them is the bench's to say
        place.kill("sync")
