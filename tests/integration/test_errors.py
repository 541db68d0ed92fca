# SPDX-License-Identifier: ISC
"""What an administrator sees when something is wrong: one clear line, and a documented exit status.

Every program is asked the same questions, so that none forgets one.
"""
import os
import socket
import subprocess

import pytest

from lib.smtp import Client
from lib.wait import free_port

DAEMONS = ["mapd", "lookup", "relay", "milter"]
EX_USAGE, EX_NOINPUT, EX_CONFIG = 64, 66, 78


def program(site, name):
    return site.bin / ("maptool" if name == "maptool" else f"coexist-{name}")


def run(site, name, *args, conf=None, timeout=20):
    return subprocess.run([program(site, name), "-c", conf or site.conf, *args], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout)


def one_line(done, *words):
    """stderr is one line that holds these words; log lines do not count."""
    lines = [line for line in done.stderr.splitlines() if line and not line.startswith("time=")]
    assert len(lines) == 1, done.stderr
    for word in words:
        assert word in lines[0], (word, lines[0])


@pytest.fixture
def targets():
    """Two servers that nobody has to reach."""
    return {"old": {"smtp": f"smtp://127.0.0.1:{free_port()}"}, "new": {"smtp": f"smtp://127.0.0.1:{free_port()}"}}


@pytest.mark.parametrize("name", DAEMONS + ["maptool"])
def test_help_and_version(site, targets, name):
    here = site(servers=targets)
    for option, word in (("--help", "usage"), ("--version", "0.")):
        done = subprocess.run([program(here, name), option], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert done.returncode == 0 and word in done.stdout and done.stderr == "", done


@pytest.mark.parametrize("name", DAEMONS)
def test_check_only(site, targets, name):
    here = site(servers=targets)
    done = run(here, name, "-n")
    assert done.returncode == 0 and done.stderr == "", done


@pytest.mark.parametrize("name", DAEMONS + ["maptool"])
def test_unknown_option(site, targets, name):
    done = run(site(servers=targets), name, "--frobnicate")
    assert done.returncode == EX_USAGE and "--frobnicate" in done.stderr, done


@pytest.mark.parametrize("name", DAEMONS + ["maptool"])
@pytest.mark.parametrize("line, word", [
    ('spool = "yes"', "spool"), ('relay { workers = "many" }', "workers"),
    ('domain "example.net" { default = nowhere }', "nowhere"), ("}", "}")])
def test_bad_configuration_names_file_and_line(site, targets, name, line, word):
    here = site(servers=targets)
    number = len(here.conf.read_text().splitlines()) + 1
    with open(here.conf, "a") as out:
        out.write(line + "\n")
    done = run(here, name, "-n") if name != "maptool" else run(here, name, "status")
    assert done.returncode == EX_CONFIG, done
    one_line(done, f"{here.conf}:{number}")


@pytest.mark.parametrize("name", DAEMONS + ["maptool"])
def test_no_configuration(site, targets, name):
    here = site(servers=targets)
    args = ["status"] if name == "maptool" else []
    done = run(here, name, *args, conf=here.dir / "none.conf")
    assert done.returncode in (EX_NOINPUT, EX_CONFIG), done
    one_line(done, "none.conf", "No such file")


@pytest.mark.parametrize("name, port", [("lookup", "lookup_port"), ("relay", "relay_port"), ("milter", "milter_port")])
def test_port_in_use(site, targets, name, port):
    here = site(servers=targets)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", getattr(here, port)))
        taken.listen()
        done = run(here, name)
    assert 64 <= done.returncode <= 78, done
    one_line(done, str(getattr(here, port)), "in use")


@pytest.mark.parametrize("name", ["relay", "milter"])
@pytest.mark.parametrize("fault", ["missing", "mode", "content"])
def test_trace_key_file(site, targets, name, fault):
    here = site(servers=targets)
    key = here.dir / "trace.key"
    if fault == "missing":
        key.unlink()
    elif fault == "mode":
        key.chmod(0o644)
    else:
        key.write_text("k1 not-a-key\n")
    done = run(here, name)
    assert 64 <= done.returncode <= 78, done
    one_line(done, "trace.key")
    assert "not-a-key" not in done.stderr


def test_second_mapd(site, targets):
    here = site(servers=targets).init()
    done = run(here, "mapd")
    assert 64 <= done.returncode <= 78, done
    one_line(done, "coexist-mapd")
    assert here.running("mapd")


def test_no_map(site, targets):
    here = site(servers=targets)
    for name, args in (("maptool", ["list"]), ("mapd", [])):
        done = run(here, name, *args)
        assert 64 <= done.returncode <= 78, done
        one_line(done, "maptool init")


@pytest.mark.skipif(os.geteuid() != 0, reason="runs a command as another user, which needs root")
def test_no_permission(site, targets):
    here = site(servers=targets).init()
    here.stop("mapd")
    done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", program(here, "mapd"), "-c", here.conf],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=20)
    assert 64 <= done.returncode <= 78, done
    one_line(done, "ermission denied")


def test_unreachable_server(site, targets):
    """The sender keeps the mail, and the log says which server and why."""
    here = site(servers=targets).init({"ann@example.org": "old"})
    here.start("relay")
    with Client(here.relay_port) as client:
        client.ehlo("client.test")
        client.cmd("MAIL FROM:<sender@example.net>")
        reply = client.cmd("RCPT TO:<ann@example.org>")
        assert reply.code == 451 and reply.text.startswith("4.4.1"), reply
    log = here.log("relay").read_text()
    assert "server=old" in log and "refused" in log, log
