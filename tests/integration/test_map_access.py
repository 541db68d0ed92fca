# SPDX-License-Identifier: ISC
"""A user for each program: who may change the map, and what a program that was taken over can reach."""
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from lib.smtp import message, send
from lib.wait import free_port

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become other users")
# Numbers, as no test may make users on the host.
GROUP, MAPD, RELAY, LOOKUP, SYNC, WRITER = 61000, 61001, 61002, 61003, 61004, 61005
SERVERS = ("old", "new")

ASK = """
import json, socket, struct, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
for request in json.loads(sys.argv[2]):
    body = json.dumps(request).encode()
    s.sendall(struct.pack(">I", len(body)) + body)
    n = struct.unpack(">I", s.recv(4, socket.MSG_WAITALL))[0]
    print(s.recv(n, socket.MSG_WAITALL).decode())
"""
# Each line of code has to fail with an OSError.
REFUSED = """
import fcntl, json, os, sys
for line in json.loads(sys.argv[1]):
    try:
        exec(line)
    except OSError as refusal:
        print(refusal.strerror)
    else:
        print("DONE:", line)
"""


def run_as(uid, code, *args, groups=(GROUP,)):
    """Runs Python as a program of that user would be."""
    return subprocess.run(["setpriv", f"--reuid={uid}", f"--regid={uid}", "--groups=" + ",".join(map(str, (uid, *groups))),
                           sys.executable, "-I", "-c", code, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=60, check=False)


def ask_as(uid, run, *requests):
    done = run_as(uid, ASK, run / "mapd.sock", json.dumps(requests))
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def owner(path):
    st = path.lstat()
    return st.st_uid, st.st_gid, st.st_mode & 0o7777


def open_way(made):
    """Other users may come as far as the folders of the test."""
    for folder in (made.dir, *made.dir.parents):
        if folder.as_posix().startswith(("/tmp/", "/dev/shm/")):
            folder.chmod(folder.stat().st_mode | 0o055)


@pytest.fixture
def users(site, scripted):
    old = scripted()
    made = site({"old": {"smtp": f"smtp://127.0.0.1:{old.port}"}, "new": {"smtp": f"smtp://127.0.0.1:{free_port()}"}},
                settings={"": {"group": GROUP}, "mapd": {"user": MAPD, "writers": [WRITER]}, "relay": {"user": RELAY},
                          "lookup": {"user": LOOKUP}, "sync": {"user": SYNC}})
    open_way(made)
    made.state.rmdir()
    made.run.rmdir()
    made.init({"ann@example.org": "old"})
    made.start("relay", "lookup")
    return SimpleNamespace(site=made, old=old)


def test_each_program_has_its_user(users):
    made = users.site

    def ids(pid):
        lines = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
        return set(lines["Uid"].split()), {int(g) for g in lines["Groups"].split()}
    assert ids(made.pid("mapd")) == ({str(MAPD)}, {MAPD, GROUP, RELAY})
    assert ids(made.pid("lookup")) == ({str(LOOKUP)}, {LOOKUP, GROUP})
    worker = subprocess.run(["pgrep", "-P", str(made.pid("relay"))], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    assert [ids(pid) for pid in worker] == [({str(RELAY)}, {RELAY, GROUP})]
    assert owner(made.state) == (0, 0, 0o755)
    assert owner(made.state / "map")[::2] == (MAPD, 0o700)
    assert owner(made.run) == (MAPD, GROUP, 0o750)
    assert owner(made.run / "map.ctl") == (MAPD, GROUP, 0o640)
    assert owner(made.run / "mapd.sock") == (MAPD, GROUP, 0o660)


def test_mail_flows(users):
    sent = send(users.site.relay_port, "sender@example.net", "ann@example.org", message("before"))
    assert sent.accepted == ["ann@example.org"], users.site.tail()


def test_only_named_users_change_the_map(users):
    made = users.site
    set_ = {"op": "set", "key": "ann@example.org", "set": {"route": "new"}}
    changes = [set_, {"op": "del", "key": "ann@example.org"},
               {"op": "hold", "key": "ann@example.org", "owner": "x", "deadline_ms": 1000},
               {"op": "release", "key": "ann@example.org", "epoch": 1}, {"op": "begin"}, {"op": "commit"},
               {"op": "flip", "key": "ann@example.org", "epoch": 1, "route": "new"},
               {"op": "barrier", "key": "ann@example.org", "epoch": 1, "timeout_ms": 0}]
    for uid in (RELAY, LOOKUP):
        replies, _ = ask_as(uid, made.run, {"op": "get", "key": "ann@example.org"}, *changes)
        assert replies[0]["ok"]
        for reply in replies[1:]:
            assert not reply["ok"] and reply["error"]["code"] == 77, reply
            assert f"user uid{uid} may read the map but not change it" in reply["error"]["text"]
    assert made.json("get", "ann@example.org")["route"] == "old"
    _, problem = ask_as(61999, made.run, set_)
    assert "PermissionError" not in problem  # in the group: it may read
    done = run_as(61999, ASK, made.run / "mapd.sock", "[]", groups=())
    assert "PermissionError" in done.stderr
    for uid in (SYNC, WRITER, MAPD):
        replies, problem = ask_as(uid, made.run, set_)
        assert replies and replies[0]["ok"], (uid, replies, problem)


def test_writers_change_with_a_reload(users):
    made = users.site
    set_ = {"op": "set", "key": "ann@example.org", "set": {"route": "new"}}
    made.settings["mapd"]["writers"] = ["no-such-user-here"]
    made.reload("mapd")
    assert "no-such-user-here" in made.wait_event("mapd", "reload_failed")["error"]
    assert ask_as(WRITER, made.run, set_)[0][0]["ok"]
    del made.settings["mapd"]["writers"]
    made.reload("mapd")
    made.wait_event("mapd", "reloaded")
    assert ask_as(WRITER, made.run, set_)[0][0]["error"]["code"] == 77


def test_what_a_worker_reaches(users):
    made = users.site
    key = made.dir / "milter.key"
    key.touch(0o600)
    os.chown(key, LOOKUP, LOOKUP)
    run, state = made.run, made.state
    database = sorted((state / "map").iterdir())
    assert database
    lines = [f"open({str(path)!r}, {mode!r})" for path in database for mode in ("rb", "r+b")]
    lines += [f"os.listdir({str(state / 'map')!r})", f"open({str(key)!r}, 'rb')", f"open({str(made.dir / 'trace.key')!r}, 'rb')",
              f"open({str(run / 'map.ctl')!r}, 'r+b')", f"os.unlink({str(run / 'map.ctl')!r})",
              f"os.rename({str(run / 'map.ctl')!r}, {str(run / 'x')!r})", f"open({str(run / 'y')!r}, 'w')",
              f"os.unlink({str(run / 'mapd.sock')!r})", f"os.rmdir({str(run / 'claims')!r})",
              f"os.rename({str(run / 'claims')!r}, {str(run / 'c')!r})", f"open({str(state / 'z')!r}, 'w')",
              *[f"open({str(path)!r}, 'r+b')" for path in run.glob("map.*")]]
    done = run_as(RELAY, REFUSED, json.dumps(lines))
    assert not done.stderr and len(done.stdout.splitlines()) == len(lines)
    assert set(done.stdout.splitlines()) == {"Permission denied"}, done.stdout
    assert run_as(RELAY, REFUSED, json.dumps([f"open({str(run / 'map.ctl')!r}, 'rb')"])).stdout.startswith("DONE")


def test_a_user_for_all_is_refused(site):
    made = site({"old": {"smtp": "smtp://127.0.0.1:1"}}, settings={"": {"user": "nobody"}})
    done = subprocess.run([made.bin / "coexist-mapd", "-n", "-c", made.conf], stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 78 and "each program has a user of its own" in done.stderr


def test_root_makes_nothing_in_a_foreign_folder(site):
    made = site({"old": {"smtp": "smtp://127.0.0.1:1"}}, settings={"mapd": {"user": MAPD}})
    open_way(made)
    made.run.rmdir()
    made.run.mkdir()
    os.chown(made.run, WRITER, WRITER)
    done = made.maptool("init", check=False)
    assert done.returncode == 77 and f"belongs to user {WRITER}" in done.stderr, done.stderr
    made.settings[""]["run"] = str(made.run / "deeper")
    made.write_conf()
    done = made.maptool("init", check=False)
    assert done.returncode == 77 and "root makes nothing in" in done.stderr, done.stderr
    assert not list(made.run.iterdir())
