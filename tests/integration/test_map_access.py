# SPDX-License-Identifier: ISC
"""A user for each program: who may change the map, and what a program that was taken over can reach."""
import json
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from lib.coexist import ProgramError
from lib.smtp import message, send
from lib.socketmap import SocketMapClient
from lib.wait import free_port, wait_for

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
    relay = made.pid("relay")
    worker = Path(f"/proc/{relay}/task/{relay}/children").read_text().split()
    assert [ids(pid) for pid in worker] == [({str(RELAY)}, {RELAY, GROUP})]
    assert owner(made.state) == (0, 0, 0o755)
    assert owner(made.state / "map")[::2] == (MAPD, 0o700)
    assert owner(made.run) == (MAPD, GROUP, 0o750)
    assert owner(made.run / "map.ctl") == (MAPD, GROUP, 0o640)
    assert owner(made.run / "mapd.sock") == (MAPD, GROUP, 0o660)


def test_a_socket_is_made_by_the_user_of_its_program(users):
    """The owner of a folder may put links in it all the time, so root makes no socket there."""
    made = users.site
    folder = made.run / "lookup"
    folder.mkdir()
    os.chown(folder, LOOKUP, LOOKUP)
    made.stop("lookup")
    made.settings["lookup"]["socketmap"] = f"unix:{folder}/sock"
    made.write_conf()
    made.start("lookup")
    assert owner(folder / "sock")[:2] == (LOOKUP, LOOKUP)


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
    reads = [{"op": "get", "key": "ann@example.org"}, {"op": "log"}]
    for uid in (RELAY, LOOKUP):
        replies, _ = ask_as(uid, made.run, *reads, *changes)
        assert len(replies) == len(reads) + len(changes)
        for reply in replies:
            assert not reply["ok"] and reply["error"]["code"] == 77, reply
            assert f"user uid{uid} has the snapshot to read" in reply["error"]["text"]
    replies, _ = ask_as(61998, made.run, *reads, *changes)  # somebody else of the group
    assert [r["ok"] for r in replies] == [True] * len(reads) + [False] * len(changes), replies
    for reply in replies[len(reads):]:
        assert reply["error"]["code"] == 77 and "may read the map but not change it" in reply["error"]["text"], reply
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


def connect_as(uid, run):
    """A connection of that user, who is in the group."""
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(20)
    os.setegid(GROUP)
    os.seteuid(uid)
    try:
        client.connect(str(run / "mapd.sock"))
    finally:
        os.seteuid(0)
        os.setegid(0)
    return client


def ask(client, request):
    """The reply on an open connection, None when mapd has closed it."""
    body = json.dumps(request).encode()
    try:
        client.sendall(struct.pack(">I", len(body)) + body)
        head = client.recv(4, socket.MSG_WAITALL)
    except (BrokenPipeError, ConnectionResetError):
        return None
    return json.loads(client.recv(struct.unpack(">I", head)[0], socket.MSG_WAITALL)) if head else None


def test_open_connections_lose_what_a_reload_takes(users):
    """Whoever may do less than before is sent away; nobody else is."""
    made = users.site
    get = {"op": "get", "key": "ann@example.org"}
    clients = {uid: connect_as(uid, made.run) for uid in (WRITER, 61997, 61998, SYNC, MAPD)}
    for uid, client in clients.items():
        assert ask(client, get)["ok"], uid
    del made.settings["mapd"]["writers"]
    made.settings["milter"] = {"user": 61997}
    made.reload("mapd")
    made.wait_event("mapd", "reloaded")
    assert {uid for uid, client in clients.items() if ask(client, get) is None} == {WRITER, 61997}
    for client in clients.values():
        client.close()


def test_no_other_name_for_a_writer(users):
    """A user is who he is, whatever the configuration calls him."""
    made = users.site
    made.settings["relay"]["user"] = f"{WRITER}:{RELAY}"
    made.reload("mapd")
    assert "relay.user: user" in made.wait_event("mapd", "reload_failed")["error"]
    made.stop("mapd")
    with pytest.raises(ProgramError, match="status 78"):
        made.start("mapd")


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


# --- Claims -------------------------------------------------------------------------------------------

def claims_of(run):
    return sorted(path for path in (run / "claims").iterdir() if not path.name.startswith("."))


def test_claims_of_others(users):
    """No other program removes, renames, opens or locks the claims of the relay, nor mapd's mark."""
    made = users.site
    folder = made.run / "claims"
    assert owner(folder) == (MAPD, GROUP, 0o3770)
    mine, = claims_of(made.run)
    assert owner(mine) == (RELAY, RELAY, 0o640)
    lines = [line for path in (mine, folder / ".seen") for line in (
        f"os.unlink({str(path)!r})", f"os.rename({str(path)!r}, {str(folder / 'x')!r})", f"open({str(path)!r}, 'r+b')",
        f"os.truncate({str(path)!r}, 0)", f"os.chmod({str(path)!r}, 0o666)")]
    lines += [f"fcntl.flock(open({str(mine)!r}, 'rb'), fcntl.LOCK_SH | fcntl.LOCK_NB)", f"os.link({str(mine)!r}, {str(folder / 'y')!r})",
              f"open({str(folder / 'z')!r}, 'w'); os.rename({str(folder / 'z')!r}, {str(mine)!r})"]
    done = run_as(LOOKUP, REFUSED, json.dumps(lines))
    assert set(done.stdout.splitlines()) <= {"Permission denied", "Operation not permitted"} and not done.stderr, done
    assert len(done.stdout.splitlines()) == len(lines)
    assert ask_as(SYNC, made.run, {"op": "barrier", "key": "ann@example.org", "epoch": 9, "timeout_ms": 20000})[0][0]["result"] in (
        "clear", "ambiguous")


STRANGERS = """
import os, socket, sys
os.chdir(sys.argv[1])
os.mkfifo("fifo")
os.symlink("/nonexistent", "dangling")
os.symlink("/dev/zero", "link")
os.mkdir("folder")
socket.socket(socket.AF_UNIX).bind("socket")
"""
CLOSED = """
import fcntl, os, sys, time
os.umask(0)
fd = os.open(sys.argv[1] + "/closed", os.O_RDWR | os.O_CREAT, 0o600)
fcntl.flock(fd, fcntl.LOCK_EX)
print("here", flush=True)
sys.stdin.read()
"""


def test_strangers_among_the_claims(users):
    """What is no file neither hangs nor blinds a barrier; a file that mapd may not read makes it late, and is named."""
    made = users.site
    barrier = {"op": "barrier", "key": "ann@example.org", "epoch": 9, "timeout_ms": 2000}
    done = run_as(LOOKUP, STRANGERS, made.run / "claims")
    assert not done.stderr
    assert ask_as(SYNC, made.run, barrier)[0][0]["result"] == "clear"
    assert len(claims_of(made.run)) == 1
    holder = subprocess.Popen(["setpriv", f"--reuid={LOOKUP}", f"--regid={LOOKUP}", f"--groups={GROUP}", sys.executable, "-I", "-c", CLOSED,
                               str(made.run / "claims")], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"here\n"
        assert ask_as(SYNC, made.run, barrier)[0][0]["result"] == "timeout"
        assert made.wait_event("mapd", "claims_closed")["uid"] == str(LOOKUP)
    finally:
        holder.communicate()
    (made.run / "claims" / "closed").unlink()
    assert ask_as(SYNC, made.run, barrier)[0][0]["result"] == "clear"


def test_the_relay_waits_for_the_claims_folder(users):
    """Whoever starts first: without a mapd that has made the folder there is a temporary answer, and then mail flows."""
    made = users.site
    made.stop("relay")
    made.stop("mapd")
    subprocess.run(["rm", "-r", made.run], check=True)
    made.run.mkdir(0o750)
    os.chown(made.run, MAPD, GROUP)
    made.start("relay")
    assert not (made.run / "claims").exists()
    first = send(made.relay_port, "sender@example.net", "ann@example.org", message("early"))
    assert not first.accepted
    made.start("mapd")
    wait_for(lambda: send(made.relay_port, "sender@example.net", "ann@example.org", message("late")).accepted, 20, "mail to flow")
    assert [owner(path)[0] for path in claims_of(made.run) if not path.name.startswith("dead")] == [RELAY]


# --- The lock, and what mapd needs of its own ------------------------------------------------------------

HOLD = """
import fcntl, os, sys
locks = [os.open(path, os.O_RDONLY) for path in sys.argv[1:]]
for fd in locks:
    fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
print("here", flush=True)
sys.stdin.read()
"""


def test_a_reader_cannot_keep_mapd_from_starting(users):
    made = users.site
    assert owner(made.run / "mapd.lock") == (MAPD, GROUP, 0o600)
    assert "Permission denied" in run_as(RELAY, REFUSED, json.dumps([f"open({str(made.run / 'mapd.lock')!r}, 'rb')"])).stdout
    made.stop("mapd")
    holder = subprocess.Popen(["setpriv", f"--reuid={RELAY}", f"--regid={RELAY}", f"--groups={GROUP}", sys.executable, "-I", "-c", HOLD,
                               *made.run.glob("map.*")], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"here\n"
        made.start("mapd")
        made.set("ann@example.org", "new")
    finally:
        holder.communicate()


@pytest.fixture
def live(site):
    return site({"old": {"smtp": "smtp://10.1.1.5:25"}, "new": {"smtp": "smtp://10.1.2.5:25"}}).init({"ann@example.org": "old"})


def replace(path):
    aside = path.with_name("aside")
    aside.write_bytes(path.read_bytes())
    aside.chmod(0o640)
    aside.rename(path)


LOST = {"ctl removed": lambda run: (run / "map.ctl").unlink(), "ctl replaced": lambda run: replace(run / "map.ctl"),
        "socket removed": lambda run: (run / "mapd.sock").unlink(), "lock removed": lambda run: (run / "mapd.lock").unlink(),
        "claims removed": lambda run: subprocess.run(["rm", "-r", run / "claims"], check=True),
        "all removed": lambda run: subprocess.run(["rm", "-r", run], check=True)}


@pytest.mark.parametrize("how", LOST)
def test_mapd_ends_when_its_files_are_gone(live, how):
    """Nobody sees what it would publish: it ends, and a start repairs everything, holds included."""
    live.start("lookup")
    live.json("hold", "ann@example.org")
    LOST[how](live.run)
    assert live.processes["mapd"].wait(20) == 75
    assert "was removed or replaced" in live.log("mapd").read_text()
    if how in ("ctl removed", "all removed"):
        with SocketMapClient(live.lookup_port) as asks:
            wait_for(lambda: asks.query("transport", "bob@example.org")[0] == "TEMP", 30, "readers to know that they know nothing")
    live.processes.pop("mapd")
    live.start("mapd")
    live.maptool("release", "ann@example.org")
    live.set("ann@example.org", "new")
    assert live.json("get", "ann@example.org")["route"] == "new"


def test_a_change_notices_too(live):
    """The first change behind the loss is refused, not half done, and mapd ends at once."""
    (live.run / "map.ctl").unlink()
    live.maptool("set", "ann@example.org", "route=new", check=False)
    assert live.processes["mapd"].wait(20) == 75
    live.processes.pop("mapd")
    live.start("mapd")
    live.set("ann@example.org", "old")


SLOW_NAMES = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

/* A directory service that hangs: who asks it leaves a mark and waits for ever. */
static void ask(void)
{
    if (access(getenv("NAMES_HANG"), F_OK) == 0) {
        close(open(getenv("NAMES_MARK"), O_WRONLY | O_CREAT, 0600));
        for (;;)
            pause();
    }
}

struct passwd *getpwuid(uid_t uid)
{
    ask();
    (void)uid;
    return NULL;
}

/* One that is away. */
struct passwd *getpwnam(const char *name)
{
    (void)name;
    errno = EIO;
    return NULL;
}

int getpwuid_r(uid_t uid, struct passwd *pwd, char *buf, size_t n, struct passwd **result)
{
    ask();
    (void)uid, (void)pwd, (void)buf, (void)n;
    *result = NULL;
    return 0;
}
"""


@pytest.fixture
def slow(site, tmp_path):
    """A mapd whose names come from a directory service that hangs from `hang` on, and marks who asks it."""
    library, hang, mark = tmp_path / "slow.so", tmp_path / "hang", tmp_path / "mark"
    subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-o", library, "-"], input=SLOW_NAMES, text=True, check=True)
    made = site({name: {"smtp": f"smtp://127.0.0.1:{free_port()}"} for name in SERVERS}, plain=True)
    made.init({"ann@example.org": "old"})
    made.stop("mapd")
    plain_env = made.env

    def start():
        made.env = lambda: dict(plain_env(), LD_PRELOAD=str(library), NAMES_HANG=str(hang), NAMES_MARK=str(mark))
        try:
            made.start("mapd")
        finally:
            made.env = plain_env

    return SimpleNamespace(site=made, hang=hang, mark=mark, start=start)


def ask_thrice(made):
    for _ in range(3):
        replies, problem = ask_as(0, made.run, {"op": "get", "key": "ann@example.org"},
                                  {"op": "set", "key": "ann@example.org", "set": {"note": "x"}})
        assert [r["ok"] for r in replies] == [True, True], (replies, problem)


def test_nobody_waits_for_a_slow_name_service(slow):
    """The names of users are known from the start: no request asks a directory service."""
    slow.start()
    slow.hang.touch()
    ask_thrice(slow.site)
    assert not slow.mark.exists()


def test_a_stop_waits_for_no_name_service(slow):
    """A reload has asked and gets no answer: meanwhile all goes on, and a stop leaves the question behind."""
    slow.start()
    slow.hang.touch()
    slow.site.reload("mapd")
    wait_for(slow.mark.exists, 20, "the reload to ask for a name")
    ask_thrice(slow.site)
    slow.site.stop("mapd")
    slow.site.start("mapd")
    ask_thrice(slow.site)


@pytest.mark.parametrize("section, mapd", [("relay", {"user": MAPD}), ("relay", {}), ("milter", {}), ("lookup", {})])
def test_a_user_of_whom_nobody_can_tell(slow, section, mapd):
    """mapd would not shut that user out, or not see the claims, until its next start: so it starts when it can ask."""
    slow.site.settings["mapd"] = mapd
    slow.site.settings[section] = {"user": "somebody"}
    slow.site.write_conf()
    with pytest.raises(ProgramError, match=f"{section}.user: look up user somebody"):
        slow.start()
