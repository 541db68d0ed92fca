# SPDX-License-Identifier: ISC
"""The programs under test, with a configuration, state and sockets of their own.

    site = Coexist(tmp_path / "site", servers={"old": {"smtp": f"lmtp://127.0.0.1:{old.lmtp_port}"},
                                               "new": {"smtp": f"lmtp://127.0.0.1:{new.lmtp_port}"}})
    site.init({"ann@example.org": "old", "bob@example.org": "new"})   # maptool init and set, then mapd
    site.start("lookup", "relay", "milter")
    site.maptool("set", "ann@example.org", "route=new")
    site.json("get", "ann@example.org")["route"]
    site.kill("mapd"); site.start("mapd")                             # kill -9
    site.events("relay", "rcpt_accept")                               # log lines as dicts
    site.close()                                                      # the fixture does it

Binaries come from build/asan, from build/bin with plain=True, or from $COEXIST_BIN.
settings: {"relay": {...}, "milter": {...}, "lookup": {...}, "mapd": {...}, "": {...}} on top of the
defaults; a value may be text, number, bool or list.
"""
import atexit
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from . import certs
from .wait import free_port, wait_for

ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = ("mapd", "lookup", "relay", "milter", "sync")
PAIR = re.compile(r'([A-Za-z0-9_.]+)=("(?:[^"\\]|\\.)*"|\S*)')
ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|(.))")
NAMES = {"n": "\n", "t": "\t", "r": "\r"}
SANITIZER = re.compile(r"ERROR: \w+Sanitizer|runtime error:|WARNING: ThreadSanitizer")


class ProgramError(AssertionError):
    """One of our programs did not do what it was told; the text ends with its log."""


def parse_line(line):
    """A log line as a dict; {} when it is none."""
    out = {}
    for key, value in PAIR.findall(line):
        if value.startswith('"'):
            value = ESCAPE.sub(lambda m: chr(int(m[1], 16)) if m[1] else NAMES.get(m[2], m[2]), value[1:-1])
        out[key] = value
    return out


def literal(value):
    """A configuration value in libconfuse's notation."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "{" + ", ".join(literal(v) for v in value) + "}"
    if isinstance(value, int):
        return str(value)
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


class Reaper:
    """Cleans up should a test process die without doing so: kills programs, removes folders."""

    CODE = """
import os, shutil, sys
left = set()
for line in sys.stdin:
    (left.add if line[0] == "+" else left.discard)(line[1:].rstrip())
for item in sorted(left, reverse=True):
    if item.startswith("/"):
        shutil.rmtree(item, ignore_errors=True)
    else:
        try:
            os.killpg(int(item), 9)
        except OSError:
            pass
"""

    def __init__(self):
        self.process = subprocess.Popen([sys.executable, "-I", "-S", "-c", self.CODE], stdin=subprocess.PIPE, text=True,
                                        start_new_session=True)
        atexit.register(self.close)

    def note(self, sign, item):
        """sign "+": kill this process group, or remove this folder, at the end; "-": no longer."""
        self.process.stdin.write(f"{sign}{item}\n")
        self.process.stdin.flush()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


_reaper = []


def reaper():
    if not _reaper or _reaper[0][0] != os.getpid():
        _reaper[:] = [(os.getpid(), Reaper())]
    return _reaper[0][1]


def binary_dir(plain=False):
    if os.environ.get("COEXIST_BIN"):
        return Path(os.environ["COEXIST_BIN"]).resolve()
    return ROOT / "build" / ("bin" if plain else "asan")


class Coexist:
    """See the top of this file."""

    def __init__(self, folder, servers, domains=None, settings=None, plain=False, tls=False):
        self.dir = Path(folder).resolve()
        self.dir.mkdir(parents=True, exist_ok=True)
        self.bin = binary_dir(plain)
        # On tmpfs as in production, and short: a socket address holds 107 bytes.
        shm = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.run = Path(tempfile.mkdtemp(prefix="coexist-", dir=shm))
        reaper().note("+", self.run)
        self.state = self.dir / "state"
        self.state.mkdir(exist_ok=True)
        self.conf = self.dir / "coexist.conf"
        self.relay_port, self.lookup_port, self.milter_port = free_port(), free_port(), free_port()
        self.servers = {name: dict(server) for name, server in servers.items()}
        self.domains = {n: dict(d) for n, d in (domains or {"example.org": {}}).items()}
        self.settings = {
            "": {"state": str(self.state), "run": str(self.run)},
            "relay": {"listen": [f"127.0.0.1:{self.relay_port}"], "hostname": "relay.test",
                      "trace_key_file": str(self.dir / "trace.key"), "workers": 1},
            "milter": {"listen": f"inet:127.0.0.1:{self.milter_port}"},
            "lookup": {"socketmap": f"inet:127.0.0.1:{self.lookup_port}"},
            "mapd": {"emergency": "0s", "backup": "0s"},    # synced files for each start of each test
        }
        if tls:
            certs.install(self.dir, "relay.test")
            self.settings["relay"].update(tls_cert_file=str(self.dir / "cert.pem"),
                                          tls_key_file=str(self.dir / "key.pem"))
        for section, values in (settings or {}).items():
            self.settings.setdefault(section, {}).update(values)
        self.processes = {}
        self.write_conf()

    # --- Configuration -----------------------------------------------------------

    def write_conf(self):
        """Write coexist.conf from settings, domains and servers; programs read it on SIGHUP."""
        key = self.dir / "trace.key"
        if not key.exists():
            key.touch(0o600)
            key.write_text(f"k1 {os.urandom(32).hex()}\n")
        out = [f"{k} = {literal(v)}" for k, v in self.settings[""].items()]
        for name, domain in self.domains.items():
            values = {"model": "central", "default": "reject", **domain}
            out.append(section(f"domain {literal(name)}", values))
        for name, server in self.servers.items():
            out.append(section(f"server {literal(name)}", {"tls": "none", **server}))
        for name, values in self.settings.items():
            if name:
                out.append(section(name, values))
        self.conf.write_text("\n".join(out) + "\n")

    # --- The map -------------------------------------------------------------------

    def maptool(self, *args, check=True, input=None, timeout=60):
        """Run maptool; the finished process with stdout and stderr as text."""
        done = subprocess.run([self.bin / "maptool", "-c", self.conf, *args], input=input, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout)
        if SANITIZER.search(done.stderr):
            raise ProgramError(f"maptool {' '.join(args)}:\n{done.stderr}")
        tells = args[:1] == ("status",) and done.returncode in (1, 2)   # what it found, for monitoring
        if check and done.returncode and not tells:
            raise ProgramError(f"maptool {' '.join(args)}: status {done.returncode}: {done.stderr.strip()}\n"
                               f"{self.tail('mapd')}")
        return done

    def json(self, *args, **kwargs):
        """maptool ... --json, parsed."""
        return json.loads(self.maptool(*args, "--json", **kwargs).stdout)

    def init(self, routes=None):
        """A fresh map with these users, {address: server}, and a running mapd."""
        self.maptool("init")
        self.start("mapd")
        for address, server in (routes or {}).items():
            self.set(address, server)
        return self

    def set(self, address, server):
        self.maptool("set", address, f"route={server}")

    # --- Processes -------------------------------------------------------------------

    def start(self, *names, timeout=30, args=()):
        """Start programs ("mapd", "relay", ...) and wait until each says that it is ready."""
        for name in names:
            assert name in PROGRAMS, name
            assert not self.running(name), f"{name} runs already"
            log = self.log(name)
            log.touch()
            mark = log.stat().st_size
            with open(log, "ab") as out:
                process = subprocess.Popen([self.bin / f"coexist-{name}", "-c", self.conf, *args],
                                           stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, env=self.env())
            self.processes[name] = process
            reaper().note("+", process.pid)

            def ready():
                with open(log, "rb") as file:
                    file.seek(mark)
                    text = file.read()
                if b"event=ready" in text:
                    return True
                if process.poll() is not None:
                    raise ProgramError(f"coexist-{name} ended with status {process.returncode} while starting\n"
                                       f"{self.tail(name)}")
                return False

            try:
                wait_for(ready, timeout, f"coexist-{name} to be ready")
            except AssertionError as problem:
                self.kill(name)
                if isinstance(problem, ProgramError):
                    raise
                raise ProgramError(f"{problem}\n{self.tail(name)}") from None
        return self

    def env(self):
        return dict(os.environ, ASAN_OPTIONS="detect_leaks=1:abort_on_error=0:exitcode=86",
                    UBSAN_OPTIONS="print_stacktrace=1")

    def running(self, name):
        process = self.processes.get(name)
        return process is not None and process.poll() is None

    def pid(self, name):
        return self.processes[name].pid

    def signal(self, name, number):
        self.processes[name].send_signal(number)

    def reload(self, name):
        """Write the configuration anew and send SIGHUP."""
        self.write_conf()
        self.signal(name, signal.SIGHUP)

    def stop(self, name, timeout=30):
        """SIGTERM, and the program must end cleanly."""
        process = self.processes[name]
        process.terminate()
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill(name)
            raise ProgramError(f"coexist-{name} did not stop in {timeout} s\n{self.tail(name)}") from None
        self._forget(name)
        if status != 0:
            raise ProgramError(f"coexist-{name} ended with status {status} on SIGTERM\n{self.tail(name)}")

    def kill(self, name):
        """kill -9, workers included."""
        process = self.processes.get(name)
        if process is None:
            return
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
        self._forget(name)

    def kill_one(self, name):
        """kill -9 of the main process alone; what it leaves running is its own affair."""
        self.processes[name].kill()
        self.processes[name].wait()
        self._forget(name)

    def _forget(self, name):
        reaper().note("-", self.processes.pop(name).pid)

    def close(self):
        """End everything; raises when a sanitizer has something to say in any log."""
        groups = [p.pid for p in self.processes.values()]
        for name in list(self.processes):
            self.kill(name)
        for group in groups:
            try:
                os.killpg(group, signal.SIGKILL)
            except ProcessLookupError:
                pass
        shutil.rmtree(self.run, ignore_errors=True)
        reaper().note("-", self.run)
        for name in PROGRAMS:
            if self.log(name).exists():
                text = self.log(name).read_text(errors="replace")
                found = SANITIZER.search(text)
                if found:
                    raise ProgramError(f"coexist-{name}:\n{text[found.start():found.start() + 6000]}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # --- Logs -------------------------------------------------------------------------

    def log(self, name):
        return self.dir / f"{name}.log"

    def events(self, name, event=None, **fields):
        """Log lines as dicts, those of one event and with these fields if given."""
        lines = self.log(name).read_text(errors="replace").splitlines() if self.log(name).exists() else []
        found = [parse_line(line) for line in lines]
        return [e for e in found if "event" in e and (event is None or e["event"] == event)
                and all(e.get(k) == str(v) for k, v in fields.items())]

    def wait_event(self, name, event, timeout=20, count=1, **fields):
        """Wait until the log holds count such lines; returns the last one."""
        return wait_for(lambda: (self.events(name, event, **fields) if len(self.events(name, event, **fields)) >= count
                                 else None), timeout, f"event={event} {fields} of coexist-{name}")[-1]

    def tail(self, *names, lines=30):
        """The ends of the logs, for messages about failures."""
        out = []
        for name in names or PROGRAMS:
            if self.log(name).exists() and self.log(name).stat().st_size:
                text = self.log(name).read_text(errors="replace").splitlines()[-lines:]
                out.append(f"--- {self.log(name)}\n" + "\n".join(text))
        return "\n".join(out)


def section(title, values):
    body = "\n".join(f"    {key} = {literal(value)}" for key, value in values.items())
    return f"{title} {{\n{body}\n}}"
