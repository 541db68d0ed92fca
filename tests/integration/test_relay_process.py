# SPDX-License-Identifier: ISC
"""The relay's processes: deaths, reload, drain and starts that fail."""
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from lib.chaos import KILLS
from lib.mapsock import MapSocket
from lib.process import children, state
from lib.smtp import Client, message, send, wait
from lib.wait import free_port, listens, wait_for

ANN = "ann@example.org"


@pytest.fixture
def gate(site, scripted):
    """A relay in front of one scripted server, started by the test."""
    def make(workers=1, script=None, plain=False, **relay):
        target = scripted(script)
        made = site({"old": {"smtp": f"smtp://127.0.0.1:{target.port}"}}, plain=plain,
                    settings={"relay": {"workers": workers, "sessions_per_client_max": 1000, **relay}})
        made.init({ANN: "old"})
        made.target = target
        return made.start("relay")
    return make


def workers(site):
    return children(site.pid("relay"))


def hello(site, port=None):
    """The name in the greeting."""
    with Client(port or site.relay_port) as client:
        return client.greeting.text.split()[0]


class Sender(threading.Thread):
    """Sends one message after the other until told to stop, each until it is acknowledged."""

    def __init__(self, port, name):
        super().__init__()
        self.port, self.name = port, name
        self.acked = []
        self.stopping = threading.Event()
        self.problem = None

    def run(self):
        number = 0
        while not self.stopping.is_set() and self.problem is None:
            token = f"{self.name}-{number}"
            try:
                outcome = send(self.port, "s@example.net", ANN, message(token))
            except OSError:
                continue
            codes = [reply.code for reply in (outcome.mail, *outcome.rcpts.values(), outcome.data) if reply]
            if outcome.accepted:
                self.acked.append(token)
                number += 1
            elif any(500 <= code < 600 for code in codes):
                self.problem = outcome


def test_worker_killed_50_times_while_mail_flows(gate):
    site = gate(workers=2, plain=True)
    senders = [Sender(site.relay_port, f"sender{n}") for n in range(4)]
    rnd, born = random.Random(7), {}
    for sender in senders:
        sender.start()
    try:
        for kill in range(KILLS):
            before = sum(len(s.acked) for s in senders)
            wait_for(lambda before=before: sum(len(s.acked) for s in senders) > before + 5, 20, "mail to flow")
            wait_for(lambda: len(workers(site)) == 2, 20, "two workers")
            oldest = workers(site)[0]
            # Old enough to be replaced at once; the moment of the kill is what is random here.
            time.sleep(max(0, born.setdefault(oldest.pid, time.monotonic()) + 0.5 + rnd.random() * 0.1 - time.monotonic()))
            for worker in workers(site):
                born.setdefault(worker.pid, time.monotonic())
            oldest.kill()
            wait_for(lambda kill=kill: len(site.events("relay", "worker_died")) > kill, 20, "the death to be noticed")
    finally:
        for sender in senders:
            sender.stopping.set()
        for sender in senders:
            sender.join()
    assert not [s.problem for s in senders if s.problem]
    acked = {token for sender in senders for token in sender.acked}
    assert len(acked) > KILLS
    stored = {m.data.partition(b"Subject: ")[2].partition(b"\r\n")[0].decode() for m in site.target.messages}
    assert acked <= stored, acked - stored
    site.stop("relay")


def test_what_waits_behind_a_dead_worker_is_served(gate):
    site = gate()
    worker = workers(site)[0]
    worker.stop()
    with socket.create_connection(("127.0.0.1", site.relay_port), 20) as waiting:
        worker.kill()
        assert waiting.recv(100).startswith(b"220 ")


def test_a_pause_for_workers_that_die_young(gate):
    site = gate()
    def died_again():
        n = len(site.events("relay", "worker_died"))
        wait_for(lambda: workers(site), 20, "a worker")[0].kill()
        return int(site.wait_event("relay", "worker_died", count=n + 1)["pause_ms"])
    assert died_again() == 0
    # Where the test is too slow the one or other has lived long.
    wait_for(lambda: died_again() >= 50, 60, "a pause")
    assert "signal 9" in site.events("relay", "worker_died")[0]["error"]
    assert send(site.relay_port, "s@example.net", ANN, message("alive")).accepted


def test_reload(gate):
    site = gate(workers=2)
    old = {w.pid for w in workers(site)}
    with Client(site.relay_port) as idle, Client(site.relay_port) as busy:
        idle.ehlo()
        busy.ehlo()
        assert busy.cmd("MAIL FROM:<s@example.net>").code == 250
        assert busy.cmd(f"RCPT TO:<{ANN}>").code == 250
        site.settings["relay"].update(hostname="renamed.test", workers=3)
        site.reload("relay")
        site.wait_event("relay", "reloaded", workers="3")
        # Idle ones are told, transactions end well.
        assert idle.reply().code == 421
        assert hello(site) == "renamed.test"
        assert busy.cmd("DATA").code == 354
        busy.write(message("over the reload") + b".\r\n")
        assert busy.reply().code == 250
        assert busy.reply().code == 421
    wait_for(lambda: not old & {w.pid for w in workers(site)}, 20, "the old workers to end")
    assert len(workers(site)) == 3
    # Fewer workers serve the sockets of all.
    site.settings["relay"].update(workers=1)
    site.reload("relay")
    site.wait_event("relay", "reloaded", workers="1")
    wait_for(lambda: len(workers(site)) == 1, 20, "one worker to be left")
    assert {hello(site) for _ in range(20)} == {"renamed.test"}
    site.stop("relay")


def test_reload_under_load(gate):
    site = gate(workers=2, plain=True)
    senders = [Sender(site.relay_port, f"sender{n}") for n in range(4)]
    for sender in senders:
        sender.start()
    try:
        for number in range(1, 6):
            before = sum(len(s.acked) for s in senders)
            wait_for(lambda before=before: sum(len(s.acked) for s in senders) > before + 20, 20, "mail to flow")
            site.reload("relay")
            site.wait_event("relay", "reloaded", count=number)
    finally:
        for sender in senders:
            sender.stopping.set()
        for sender in senders:
            sender.join()
    assert not [s.problem for s in senders if s.problem]
    assert len(site.target.messages) == sum(len(s.acked) for s in senders)


CORES = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A machine with as many cores as a file has bytes. */
long sysconf(int name)
{
    long (*real)(int) = (long (*)(int))dlsym(RTLD_NEXT, "sysconf");
    struct stat st;

    return name == _SC_NPROCESSORS_ONLN && stat(getenv("CORES"), &st) == 0 ? (long)st.st_size : real(name);
}
"""


def test_cores_that_come_and_go(gate, tmp_path):
    """Each socket has its worker for as long as it is there; a reload counts anew."""
    library, cores = tmp_path / "cores.so", tmp_path / "cores"
    subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-o", library, "-", "-ldl"], input=CORES, text=True, check=True)
    site = gate(workers=0, plain=True)
    site.stop("relay")
    plain_env = site.env
    site.env = lambda: dict(plain_env(), LD_PRELOAD=str(library), CORES=str(cores))
    cores.write_text("***")
    site.start("relay")
    for now in ("*", "*****"):
        cores.write_text(now)
        before = {w.pid for w in workers(site)}
        assert len(before) == 3
        for worker in workers(site):
            worker.kill()
        wait_for(lambda before=before: len({w.pid for w in workers(site)} - before) == 3, 20, "a worker for each socket")
        assert send(site.relay_port, "s@example.net", ANN, message("served")).accepted
    site.reload("relay")
    site.wait_event("relay", "reloaded", workers="5")
    site.stop("relay")


def test_names_of_sessions(gate):
    """However many workers start in the same moment, no two sessions are named alike: each has its worker's pid in front."""
    site = gate(workers=3)
    pids = {w.pid for w in workers(site)}

    def named():
        assert send(site.relay_port, "s@example.net", ANN, message("named")).accepted
        sids = [e["sid"].partition("-") for e in site.events("relay", "rcpt_accept")]
        assert len(set(sids)) == len(sids)
        assert {int(worker, 16) & 0x3fffff for worker, _, _ in sids} <= {pid & 0x3fffff for pid in pids}
        return len({worker for worker, _, _ in sids}) == len(pids)
    wait_for(named, 20, "each worker to have had a session")


def test_reload_of_addresses(gate):
    site = gate()
    first, second = site.relay_port, free_port()
    for listen, closed in (([first, second], None), ([second], first)):
        site.settings["relay"]["listen"] = [f"127.0.0.1:{port}" for port in listen]
        done = len(site.events("relay", "reloaded"))
        site.reload("relay")
        site.wait_event("relay", "reloaded", count=done + 1)
        for port in listen:
            assert hello(site, port) == "relay.test"
        if closed:
            wait_for(lambda closed=closed: not listens(closed), 20, "the old address to be left")


@pytest.mark.parametrize("fault, words", [
    ({"workers": "many"}, ["workers", "coexist.conf:"]), ({"trace_key_file": "/nowhere/trace.key"}, ["/nowhere/trace.key"]),
    ({"tls_cert_file": "/nowhere/cert.pem", "tls_key_file": "/nowhere/key.pem"}, ["/nowhere/"]),
    ({"listen": []}, ["listen"]), ({"listen": ["192.0.2.1:2525"]}, ["192.0.2.1:2525"])])
def test_reload_with_a_fault(gate, fault, words):
    site = gate()
    before = [w.pid for w in workers(site)]
    site.settings["relay"].update({"hostname": "renamed.test", **fault})
    site.reload("relay")
    failed = site.wait_event("relay", "reload_failed")
    assert all(word in failed["error"] for word in words), failed
    assert len(site.events("relay", "reload_failed")) == 1
    assert [w.pid for w in workers(site)] == before
    assert hello(site) == "relay.test"


def test_reload_whose_workers_do_not_come_up(gate):
    """The file is good, and the new run directory is not: only a worker finds out."""
    site = gate()
    before = [w.pid for w in workers(site)]
    run = site.settings[""]["run"]
    blocked = site.dir / "no-directory"
    blocked.write_text("")
    site.settings[""]["run"] = str(blocked)
    site.reload("relay")
    failed = site.wait_event("relay", "reload_failed")
    assert str(blocked) in failed["error"], failed
    wait_for(lambda: [w.pid for w in workers(site)] == before, 20, "only the old workers to be left")
    assert send(site.relay_port, "s@example.net", ANN, message("still")).accepted
    site.settings[""]["run"] = run
    site.reload("relay")
    site.wait_event("relay", "reloaded")


def test_drain(gate):
    go = threading.Event()
    site = gate(script={"dot": wait(go)})
    with Client(site.relay_port) as idle, Client(site.relay_port) as busy:
        idle.ehlo()
        busy.ehlo()
        assert busy.cmd("MAIL FROM:<s@example.net>").code == 250
        assert busy.cmd(f"RCPT TO:<{ANN}>").code == 250
        assert busy.cmd("DATA").code == 354
        busy.write(message("drained") + b".\r\n")
        assert site.target.reached("dot").wait(20)
        site.signal("relay", signal.SIGTERM)
        assert idle.reply().code == 421
        wait_for(lambda: not listens(site.relay_port), 20, "the port to be free")
        assert site.running("relay")
        go.set()
        assert busy.reply().code == 250
        assert busy.reply().code == 421
    assert site.processes["relay"].wait(20) == 0
    assert site.events("relay", "stopped")


def test_drain_in_each_phase(gate):
    """Whoever is in a transaction has stop_timeout to end it; then, too, a client is told before it is cut off."""
    never = threading.Event()
    site = gate(script={"rcpt": {"bob@example.org": wait(never)}}, hold_wait="2m", stop_timeout="5s")
    for user in ("bob@example.org", "held@example.org"):
        site.set(user, "old")
    with MapSocket(site.run) as control:
        control.ok(op="hold", key="held@example.org", owner="test", deadline_ms=120000, id="hold-1", why="")

    def client(*lines):
        c = Client(site.relay_port)
        for line in lines:
            assert c.cmd(line).code in (250, 354), line
        return c

    mail, rcpt = ("EHLO c.test", "MAIL FROM:<s@example.net>"), f"RCPT TO:<{ANN}>"
    early = {"greeted": client(), "hello": client("EHLO c.test")}
    cut = {"mail": client(*mail), "rcpt": client(*mail, rcpt), "data": client(*mail, rcpt, "DATA"),
           "body": client(*mail, rcpt, "DATA"), "asked": client(*mail), "held": client(*mail)}
    cut["body"].write(b"Subject: half\r\n\r\nof it\r\n")
    cut["asked"].write(b"RCPT TO:<bob@example.org>\r\n")
    cut["held"].write(b"RCPT TO:<held@example.org>\r\n")
    ends = client(*mail, rcpt, "DATA")
    site.wait_event("relay", "rcpt_hold")
    wait_for(lambda: "RCPT TO:<bob@example.org>" in site.target.commands(), 20, "the server to be asked")
    started = time.monotonic()
    site.signal("relay", signal.SIGTERM)
    for c in early.values():
        assert (c.reply().code, c.reply().code) == (421, 0)
    ends.write(message("in time") + b".\r\n")
    assert (ends.reply().code, ends.reply().code) == (250, 421)
    for phase, c in cut.items():
        assert (c.reply().code, c.reply().code) == (421, 0), phase
    assert time.monotonic() - started < 20      # much less than without the setting
    assert site.processes["relay"].wait(20) == 0
    assert len(site.target.messages) == 1


def in_data(site, text, timeout=60):
    client = Client(site.relay_port, timeout=timeout)
    assert client.ehlo().code == 250
    assert client.cmd("MAIL FROM:<s@example.net>").code == 250
    assert client.cmd(f"RCPT TO:<{ANN}>").code == 250
    assert client.cmd("DATA").code == 354
    client.write(text)
    return client


# A stop that waits for nothing: whoever outlives a reload does so because it is none.
HASTY = {"stop_timeout": "0s", "stop_dot_timeout": "0s"}


def test_reload_finishes_what_it_has(gate):
    """An upload that is slower than any stop, and an answer to the dot that comes behind any stop's patience."""
    go = threading.Event()
    site = gate(script={"dot": lambda session, line: wait(go) if session.sender == "slow@example.net" else "250 2.0.0 stored"},
                **HASTY)
    upload = in_data(site, b"Subject: upload\r\n\r\n")
    with Client(site.relay_port) as dotted:
        dotted.ehlo()
        for line, code in (("MAIL FROM:<slow@example.net>", 250), (f"RCPT TO:<{ANN}>", 250), ("DATA", 354)):
            assert dotted.cmd(line).code == code
        dotted.write(message("dotted") + b".\r\n")
        assert site.target.reached("dot").wait(20)
        site.reload("relay")
        site.wait_event("relay", "draining", why="reload")
        for n in range(30):
            upload.write(b"slow line\r\n")
            time.sleep(0.1)     # what is tested is that time passes
        upload.write(b".\r\n")
        assert (upload.reply().code, upload.reply().code) == (250, 421)
        assert not site.events("relay", "worker_stopped")
        go.set()
        assert (dotted.reply().code, dotted.reply().code) == (250, 421)
    upload.close()
    site.wait_event("relay", "worker_stopped")
    assert len(site.target.messages) == 2
    assert not site.events("relay", "deliver", duplicate="possible") and not site.events("relay", "abort")


def test_nothing_outlives_a_reload_for_ever(gate):
    """A client that sends a line now and then ends with its session, a server that is silent with its dot."""
    never = threading.Event()
    site = gate(script={"dot": wait(never)}, session_timeout="5s", dot_timeout="7s", data_timeout="1m")
    dotted, upload = in_data(site, message("dotted") + b".\r\n"), in_data(site, b"Subject: upload\r\n\r\n")
    assert site.target.reached("dot").wait(20)
    old = workers(site)[0].pid
    site.reload("relay")
    site.wait_event("relay", "draining", why="reload")
    assert (upload.reply().code, upload.reply().code) == (421, 0)
    assert dotted.reply().code in (421, 451)
    wait_for(lambda: state(old) is None, 20, "the old worker to end")
    assert site.events("relay", "refuse", duplicate="possible") and not site.events("relay", "worker_killed")


def test_stop_while_a_reload_drains(gate):
    """Old generations have the time of a stop then, and not an hour: first for uploads, then for open dots."""
    never = threading.Event()
    site = gate(script={"dot": wait(never)}, stop_timeout="1s", stop_dot_timeout="3s")
    upload, dotted = in_data(site, b"Subject: upload\r\n\r\n"), in_data(site, message("dotted") + b".\r\n")
    assert site.target.reached("dot").wait(20)
    for n in range(1, 4):
        site.reload("relay")
        site.wait_event("relay", "reloaded", count=n)
    started = time.monotonic()
    site.signal("relay", signal.SIGTERM)
    assert (upload.reply().code, upload.reply().code) == (421, 0)
    first = time.monotonic() - started
    assert (dotted.reply().code, dotted.reply().code) == (421, 0)
    second = time.monotonic() - started
    assert 0.9 < first < second and second > 3.9, (first, second)
    assert site.processes["relay"].wait(20) == 0
    assert site.events("relay", "refuse", duplicate="possible")
    assert not site.events("relay", "worker_killed") and not site.events("relay", "worker_died")


def test_many_reloads_leave_a_few_generations(gate):
    """Each old worker has a client that does not end; those of the oldest generations are ended."""
    site = gate(**HASTY)
    uploads = []
    for n in range(1, 11):
        uploads.append(in_data(site, b"Subject: upload\r\n\r\n"))
        site.reload("relay")
        site.wait_event("relay", "reloaded", count=n)
        wait_for(lambda n=n: len(site.events("relay", "draining", why="reload")) == n, 20, "the old worker to drain")
    for upload in uploads[:2]:
        assert (upload.reply().code, upload.reply().code) == (421, 0)
    wait_for(lambda: len(workers(site)) == 9, 20, "eight old workers and a new one")
    for upload in uploads[2:]:
        upload.write(b"the end\r\n.\r\n")
        assert (upload.reply().code, upload.reply().code) == (250, 421)
    wait_for(lambda: len(workers(site)) == 1, 20, "one worker")
    assert not site.events("relay", "worker_died")


def test_hangup_of_the_whole_group_at_a_start(gate):
    """A terminal that goes away, or a supervisor that signals all: workers leave it to their master."""
    site = gate(workers=8)
    for n in range(10):
        before = len(site.events("relay", "reloaded"))
        site.signal("relay", signal.SIGHUP)
        wait_for(lambda: len(workers(site)) > 8 or len(site.events("relay", "reloaded")) > before, 20, "new workers")
        os.killpg(site.pid("relay"), signal.SIGHUP)
        wait_for(lambda before=before: len(site.events("relay", "reloaded")) > before, 20, "the reload")
    assert not site.events("relay", "worker_died") and not site.events("relay", "reload_failed")
    site.stop("relay")


def test_interrupt_of_the_whole_group(gate):
    """Ctrl-C in a terminal reaches master and workers at the same time."""
    site = gate(workers=2)
    os.killpg(site.pid("relay"), signal.SIGINT)
    assert site.processes["relay"].wait(20) == 0
    assert not site.events("relay", "worker_died")


def test_workers_end_with_their_master(gate):
    site = gate(workers=2)
    orphans = [w.pid for w in workers(site)]
    site.kill_one("relay")
    site.start("relay")     # on the same port, at once
    wait_for(lambda: all(state(pid) is None for pid in orphans), 20, "the workers to end")
    assert send(site.relay_port, "s@example.net", ANN, message("again")).accepted


def failed_start(site):
    done = subprocess.run([site.bin / "coexist-relay", "-c", site.conf], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=20)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("time=")]
    assert len(lines) == 1 and lines[0].startswith("coexist-relay: "), done.stderr
    return done.returncode, lines[0]


@pytest.mark.parametrize("settings, status, words", [
    ({"relay": {"listen": []}}, 78, ["coexist.conf", "listen"]),
    ({"relay": {"listen": ["192.0.2.1:2525"]}}, 69, ["192.0.2.1:2525"]),
    ({"relay": {"listen": ["mail.example.org:25"]}}, 78, ["mail.example.org", "address"]),
    ({"relay": {"trace_key_file": "/nowhere/trace.key"}}, 69, ["/nowhere/trace.key"]),
    ({"relay": {"tls_cert_file": "/nowhere/cert.pem", "tls_key_file": "/nowhere/key.pem"}}, None, ["/nowhere/"]),
    ({"": {"run": "/proc/nowhere"}}, 69, ["run: /proc/nowhere", "coexist-mapd", "No such file"]),
    ({"": {"run": "/nowhere/run"}}, 69, ["run: /nowhere/run", "No such file"]),
    ({"": {"run": "/dev/null"}}, None, ["run: /dev/null", "Not a directory"]),
    ({"relay": {"user": "nobody-of-that-name"}}, 67, ["nobody-of-that-name"])])
def test_starts_that_fail(site, settings, status, words):
    here = site({"old": {"smtp": f"smtp://127.0.0.1:{free_port()}"}}, settings=settings)
    if "user" in settings.get("relay", {}) and os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    code, line = failed_start(here)
    assert code == status or (status is None and 64 <= code <= 78), (code, line)
    assert all(word in line for word in words), line


def test_no_server_and_no_domain(site):
    for servers, domains, word in (({}, None, "server"), ({"old": {"imap": "imap://127.0.0.1"}}, None, "server"),
                                   ({"old": {"smtp": "smtp://127.0.0.1:25"}}, {}, "domain")):
        here = site(servers, domains=domains)
        if domains == {}:
            here.domains = {}
            here.write_conf()
        code, line = failed_start(here)
        assert code == 78 and word in line, line


def test_port_in_use_by_another_relay(gate, site):
    """SO_REUSEPORT must not let two relays share a port in silence."""
    first = gate()
    second = site({"old": {"smtp": f"smtp://127.0.0.1:{free_port()}"}},
                  settings={"relay": {"listen": [f"127.0.0.1:{first.relay_port}"]}})
    code, line = failed_start(second)
    assert code == 69 and f"127.0.0.1:{first.relay_port}" in line and "in use" in line, line


def let_others_in(folder):
    for path in (folder, *folder.parents):
        if path.as_posix().startswith("/tmp/"):
            path.chmod(0o755)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_workers_are_somebody_else(site, scripted):
    """The master stays root for ports and keys below 1024 and 0600; workers cannot go back, and a reload works."""
    target = scripted()
    made = site({"old": {"smtp": f"smtp://127.0.0.1:{target.port}"}}, settings={"": {"group": "nogroup"}, "relay": {"user": "nobody"}})
    let_others_in(made.dir)
    made.init({ANN: "old"})
    made.start("relay")
    for name in ("relay.test", "renamed.test"):
        assert {os.stat(f"/proc/{w.pid}").st_uid for w in workers(made)} == {pwd.getpwnam("nobody").pw_uid}
        assert hello(made) == name
        assert send(made.relay_port, "s@example.net", ANN, message(f"to-{name}")).accepted
        made.settings["relay"]["hostname"] = "renamed.test"
        made.reload("relay")
        made.wait_event("relay", "reloaded")
        wait_for(lambda: len(workers(made)) == 1, 20, "the old worker to end")
    made.stop("relay")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
@pytest.mark.parametrize("closed", ["above", "run", "claims"])
def test_no_right_to_the_run_folder(site, closed):
    """Not the same as one that mapd has yet to fill: no time will help."""
    here = site({"old": {"smtp": f"smtp://127.0.0.1:{free_port()}"}}, settings={"relay": {"user": "nobody"}})
    let_others_in(here.dir)
    above = here.dir / "above"
    run = above / "run"
    (run / "claims").mkdir(parents=True)
    for folder in (above, run, run / "claims"):
        folder.chmod(0o755)
    {"above": above, "run": run, "claims": run / "claims"}[closed].chmod(0o700)
    here.settings[""]["run"] = str(run)
    here.write_conf()
    code, line = failed_start(here)
    assert code == 77 and str(run) in line and "ermission denied" in line, (code, line)


@pytest.mark.skipif(os.geteuid() != 0, reason="runs a command as another user, which needs root")
def test_no_permission(site):
    here = site({"old": {"smtp": f"smtp://127.0.0.1:{free_port()}"}}, settings={"relay": {"listen": ["127.0.0.1:25"]}})
    key = here.dir / "trace.key"
    let_others_in(here.dir)
    for owner, word in (("root", "trace.key"), ("nobody", "127.0.0.1:25")):
        shutil.chown(key, owner)
        done = subprocess.run(["setpriv", "--reuid=nobody", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all",
                               here.bin / "coexist-relay", "-c", here.conf],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=20)
        assert done.returncode == 77 and word in done.stderr and "ermission denied" in done.stderr, done
        assert len(done.stderr.splitlines()) == 1, done
