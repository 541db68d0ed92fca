# SPDX-License-Identifier: ISC
"""A server that runs out of an unpacked tree (tests/tools/peers.py), leaving no trace.

Guest is the base of Dovecot, Postfix, Sendmail, Exim and Cyrus.  An instance owns one folder:

    DIR/inst -> /inst in the guest: logs, keys, whatever the test wants to hand in
    DIR/etc  -> the server's own folder in /etc      DIR/var -> /var     DIR/run -> /run     DIR/tmp -> /tmp

The tree below is read-only and shared by all instances.  stop() is what an administrator does,
kill() is a power failure of that server; both may be followed by start() with the same mail.
The guest dies with the process that started it.
"""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

from .wait import listens, wait_for

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import peers  # noqa: E402

ROOT = Path(__file__).resolve().parents[3]
INIT = Path(__file__).with_name("guest_init.py")
SOCKET_PATH_MAX = 107
DEVICES = ["null", "zero", "full", "random", "urandom"]


class GuestError(AssertionError):
    """A guest server did not do what it was told; the text ends with the tail of its log."""


class DevLog(threading.Thread):
    """/dev/log of one guest: every syslog message becomes a line of a file."""

    def __init__(self, folder, log):
        super().__init__(daemon=True)
        path = folder / "devlog"
        path.unlink(missing_ok=True)
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        if len(str(path)) < SOCKET_PATH_MAX:
            self.sock.bind(str(path))
        else:
            fd = os.open(folder, os.O_PATH | os.O_DIRECTORY)
            try:
                self.sock.bind(f"/proc/self/fd/{fd}/devlog")
            finally:
                os.close(fd)
        path.chmod(0o666)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.log = log
        self.start()

    def run(self):
        with open(self.log, "ab", buffering=0) as out:
            while line := self.sock.recv(65536):
                out.write(line.rstrip(b"\n\0") + b"\n")
        self.sock.close()

    def close(self):
        self.sock.shutdown(socket.SHUT_RD)
        self.join()


class Guest:
    """One instance of a guest server.  Subclasses say how it is configured and started."""

    tree_name = ""
    etc = ""                # the server's folder in /etc
    hostname = "guest.test"

    def __init__(self, folder):
        self.dir = Path(folder).resolve()
        self.tree = Path(os.path.realpath(peers.get([self.tree_name])[self.tree_name]))
        self.process = None
        self.control = None
        self.devlog = None
        for name in ("inst", "etc", "var", "run", "tmp"):
            (self.dir / name).mkdir(parents=True, exist_ok=True)
        self.dir.chmod(0o755)
        (self.dir / "tmp").chmod(0o1777)
        self.log = self.dir / "inst" / "log"

    # For subclasses.

    def argv(self):
        """The command that runs the server in the foreground."""
        raise NotImplementedError

    def ports(self):
        """The ports that listen once the server is up."""
        return []

    # For tests.

    def start(self, timeout=30):
        """Start the server and wait until its ports listen."""
        assert not self.running(), f"{self.tree_name} runs already"
        if os.geteuid() != 0:
            raise GuestError("guest servers need root for their private mounts: run as root or with sudo")
        if not os.path.exists("/proc/self/ns"):
            raise GuestError("guest servers need /proc here: mount -t proc proc /proc")
        self.devlog = DevLog(self.dir / "inst", self.log)
        read_end, self.control = os.pipe()
        (self.dir / "init.pid").unlink(missing_ok=True)
        try:
            with open(self.dir / "inst" / "stderr", "ab") as err:
                self.process = subprocess.Popen(
                    [*self._init(self.argv()), str(read_end)], stdin=subprocess.DEVNULL, stdout=err, stderr=err,
                    pass_fds=[read_end], start_new_session=True)
        finally:
            os.close(read_end)

        def up():
            if self.process.poll() is not None:
                raise GuestError(f"{self.tree_name} ended with status {self.process.returncode} "
                                 f"while starting\n{self.tail()}")
            return (self.dir / "init.pid").exists() and all(listens(p) for p in self.ports())

        try:
            wait_for(up, timeout, f"{self.tree_name} to listen on {self.ports()}")
        except AssertionError as problem:
            self.kill()
            raise GuestError(f"{problem}\n{self.tail()}") from None
        return self

    def running(self):
        return self.process is not None and self.process.poll() is None

    def stop(self, timeout=20):
        """Stop the server as its administrator would (SIGTERM)."""
        if self.running():
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
                raise GuestError(f"{self.tree_name} did not stop in {timeout} s\n{self.tail()}") from None
        self.kill()

    def kill(self):
        """End every process of the guest at once with SIGKILL."""
        if self.control is not None:
            os.close(self.control)
            self.control = None
        if self.process is not None:
            # Its first process ends with the pipe, and the kernel everything in it before that is waited for:
            # who starts the guest again finds no lock of the one before.
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None
        if self.devlog is not None:
            self.devlog.close()
            self.devlog = None

    close = kill

    def signal(self, number):
        """Send a signal to the server's main process (SIGHUP, SIGTERM)."""
        self.process.send_signal(number)

    def run(self, *argv, input=None, check=True, timeout=60):
        """Run a command inside: in the running guest, else with the same mounts on its own."""
        if self.running():
            pid = (self.dir / "init.pid").read_text()
            command = ["nsenter", f"--target={pid}", "--mount", "--pid", "--uts", "--root", "--wd", "--", *argv]
        else:
            command = self._init(list(argv))
        done = subprocess.run(command, input=input, stdin=subprocess.DEVNULL if input is None else None,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout,
                              env=self._env(), errors="replace")
        if check and done.returncode:
            raise GuestError(f"{' '.join(argv)} in {self.tree_name}: status {done.returncode}: "
                             f"{(done.stderr or done.stdout).strip()}")
        return done

    def tail(self, lines=30):
        """The last lines of the server's logs, for messages about failures."""
        out = []
        for path in (self.dir / "inst" / "stderr", self.log):
            if path.exists() and path.stat().st_size:
                text = path.read_text(errors="replace").splitlines()[-lines:]
                out.append(f"--- {path}\n" + "\n".join(text))
        return "\n".join(out)

    def logged(self, text):
        """Whether the log holds this text."""
        return self.count_logged(text) > 0

    def count_logged(self, text):
        return self.log.read_text(errors="replace").count(text) if self.log.exists() else 0

    def __enter__(self):
        return self if self.running() else self.start()

    def __exit__(self, *_):
        self.kill()

    # Inside.

    def write(self, path, text, mode=0o644, user=None, group=None):
        """Write a file below the instance's folder ("etc/main.cf")."""
        target = self.dir / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)
        self.own(path, user, group)
        return target

    def folder(self, path, mode=0o755, user=None, group=None):
        target = self.dir / path
        target.mkdir(parents=True, exist_ok=True)
        target.chmod(mode)
        self.own(path, user, group)
        return target

    def own(self, path, user=None, group=None):
        if user or group:
            uid = peers.USERS[user] if user else -1
            shutil.chown(self.dir / path, uid, peers.GROUPS[group or user])

    def binds(self):
        pairs = [(self.dir / "inst", "/inst"), (self.dir / "var", "/var"), (self.dir / "run", "/run"),
                 (self.dir / "tmp", "/tmp")]
        if self.etc:
            pairs.append((self.dir / "etc", self.etc))
        return [(str(a), b) for a, b in pairs]

    def _env(self):
        return {"PATH": "/usr/sbin:/usr/bin", "LC_ALL": "C", "HOME": "/", "TZ": "UTC"}

    def _init(self, argv):
        name = f"spec-{threading.get_ident()}.json"
        spec = {"tree": str(self.tree), "binds": self.binds(), "devices": DEVICES, "argv": argv,
                "env": self._env(), "hostname": self.hostname, "pid_file": str(self.dir / "init.pid")}
        (self.dir / name).write_text(json.dumps(spec))
        return [sys.executable, "-I", "-S", str(INIT), str(self.dir / name)]
