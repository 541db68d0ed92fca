# SPDX-License-Identifier: ISC
"""The world of one run: two real Dovecots, or a Dovecot and a Cyrus, a real Postfix, our programs, and a link between any two of them.

    with World(folder, has_disk=False) as world:
        world.kill("relay")  world.start("relay")  world.stop("mapd")  world.go("mapd")
        world.entry(user)                 {"route":, "state":, "epoch":}; None when mapd does not answer
        world.full()  world.room()        of the disk below the state
        world.heal()                      everything runs, all links are open

All of it is fresh for each run, on ports of its own, in a mount namespace of its own (enter_namespace()).
"""
import ctypes
import os
import signal
import subprocess
import threading
from pathlib import Path
from types import SimpleNamespace

from lib.coexist import Coexist, ProgramError
from lib.cutover import imap_servers
from lib.cyrus import Cyrus
from lib.dovecot import Dovecot
from lib.guest_init import make_private
from lib.mapsock import MapSocket
from lib.postfix import Postfix
from lib.process import children
from lib.wait import free_port, wait_for
from links import Links
from schedule import STARTED, USERS

DOMAIN = "example.org"
CLONE_NEWNS, PR_SET_PDEATHSIG = 0x20000, 1
DISK_MIB = 160
# Whatever waits is told so soon; a run lasts seconds.
SETTINGS = {
    "relay": {"hold_wait": "200ms", "connect_timeout": "3s", "reply_timeout": "4s", "dot_timeout": "4s", "command_timeout": "10s",
              "data_timeout": "10s"},
    "sync": {"sweep_interval": "1s", "hold": "8s", "imap_timeout": "4s", "delta_max": "4s", "barrier": "3s"},
}
POSTFIX_TIMEOUTS = {f"{kind}_{step}_timeout": "4s" for kind in ("smtp", "lmtp")
                    for step in ("connect", "helo", "mail", "rcpt", "data_init", "data_xfer", "data_done", "rset", "quit")}
POSTFIX_TIMEOUTS["lmtp_lhlo_timeout"] = POSTFIX_TIMEOUTS.pop("lmtp_helo_timeout")
ASK_S = 1            # for an answer of mapd that an act waits for


def address(name):
    return f"{name}@{DOMAIN}"


def enter_namespace():
    """What is mounted from here on only this process and its children see, and it ends with them."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "no mount namespace of its own")
    folder = os.getcwd()
    make_private()
    os.chdir(folder)


def end_with_parent():
    """A run does not outlive whoever has asked for it: its servers and programs end with it, by what their libraries see to."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def tree(pid):
    """A process and all that come from it."""
    out = [pid]
    try:
        for child in children(pid):
            out += tree(child.pid)
    except OSError:
        pass
    return out


def tell(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


class World:
    def __init__(self, folder, has_disk=False, has_cyrus=False):
        self.folder, self.has_disk, self.has_cyrus = Path(folder), has_disk, has_cyrus
        self.users = [address(name) for name in USERS]
        self.servers, self.links, self.site, self.mx = {}, None, None, None
        self.down = set()           # killed by us, or not wanted
        self.stopped = {}           # name -> process ids
        self.crashes = []
        self.lock = threading.Lock()
        self.was_full = False

    def __enter__(self):
        try:
            self.begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def begin(self):
        known = {user: "secret" for user in self.users}
        self.links = Links()
        behind = {}
        for name in ("old", "new"):
            # Both have a dot between the parts of a folder's name.
            kind, how = (Cyrus, {"unixhierarchysep": "no"}) if self.has_cyrus and name == "new" else (Dovecot, {})
            server = self.servers[name] = kind(self.folder / name, users=known, hostname=f"{name}.test", **how)
            server.start()
            secret = {key: getattr(server, key) for key in ("master_password", "admin_password") if hasattr(server, key)}
            behind[name] = SimpleNamespace(**secret, lmtp_port=self.links.add(f"{name}.lmtp", server.lmtp_port),
                                           imap_port=self.links.add(f"{name}.imap", server.imap_port))
        self.site = Coexist(self.folder / "coexist", imap_servers(self.folder, **behind), settings=SETTINGS)
        lmtp_port = free_port()
        self.site.settings["relay"]["listen"].append(f"lmtp://127.0.0.1:{lmtp_port}")
        self.site.write_conf()
        if self.has_disk:
            # Behind an error of the disk Berkeley DB closes its environment without giving everything back.
            (self.folder / "leaks").write_text("leak:libdb\n")
            os.environ["LSAN_OPTIONS"] = f"suppressions={self.folder / 'leaks'}:print_suppressions=0"
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", self.site.state], check=True)
        self.site.maptool("init")
        self.site.start("mapd")
        with MapSocket(self.site.run) as map_:
            for user in self.users:
                map_.ok(op="set", key=user, set={"route": "old"})
        self.site.start("lookup", "relay", "milter")
        self.ports = {"smtp": self.links.add("door.smtp", self.site.relay_port), "lmtp": self.links.add("door.lmtp", lmtp_port)}
        maps = f"socketmap:inet:127.0.0.1:{self.site.lookup_port}"
        main = {"relay_domains": DOMAIN, "transport_maps": f"{maps}:transport", "relay_recipient_maps": f"{maps}:recipients",
                "smtpd_milters": f"inet:127.0.0.1:{self.site.milter_port}", "smtpd_reject_unlisted_recipient": "no", **POSTFIX_TIMEOUTS}
        self.mx = Postfix(self.folder / "mx", main=main)
        self.mx.start()
        self.ports["mx"] = self.links.add("door.mx", self.mx.smtp_port)

    def __exit__(self, *_):
        for name in list(self.stopped):
            self.go(name)
        if self.site:
            for name in STARTED:
                if name in self.site.processes:
                    tell(tree(self.site.pid(name)), signal.SIGKILL)
        for actor in (self.mx, self.site, *self.servers.values()):
            try:
                if actor:
                    actor.close()
            except AssertionError as problem:
                self.crashes.append(str(problem))
        if self.links:
            self.links.end()

    # --- Processes -----------------------------------------------------------------------

    def pids(self, name):
        """Of a program, or of one that it has started."""
        owner, _, part = name.partition("-")
        if not self.site.running(owner):
            return []
        if part == "worker":
            below = children(self.site.pid(owner))
            return tree(below[-1].pid) if below else []
        return tree(self.site.pid(owner))

    def kill(self, name):
        pids = self.pids(name)
        tell(pids, signal.SIGKILL)
        if name in STARTED and pids:
            self.down.add(name)
            self.stopped.pop(name, None)
            self.site.kill(name)

    def start(self, name):
        """False when it will not; the disk may be full."""
        if self.site.running(name):
            return True
        self.look(name)
        self.site.processes.pop(name, None)
        try:
            self.site.start(name, args=("run",) if name == "sync" else (), timeout=15)
        except ProgramError:
            return False
        self.down.discard(name)
        return True

    def look(self, name):
        """Whoever has ended, and was not ended by us, has to have had a reason."""
        if name not in self.site.processes or self.site.running(name) or name in self.down:
            return
        status = self.site.processes[name].returncode
        # Whoever has a store cannot go on with one that could not be written.
        if not (self.was_full and name in ("mapd", "sync")):
            self.crashes.append(f"coexist-{name} ended by itself, with status {status}: {self.site.tail(name, lines=5)}")
        self.down.add(name)

    def stop(self, name):
        pids = self.pids(name)
        tell(pids, signal.SIGSTOP)
        self.stopped.setdefault(name, []).extend(pids)

    def go(self, name):
        tell(self.stopped.pop(name, []), signal.SIGCONT)

    # --- The map, the disk -----------------------------------------------------------------

    def entry(self, user):
        try:
            with MapSocket(self.site.run, timeout=ASK_S) as map_:
                found = map_.ok(op="get", key=user)["entry"]
        except (OSError, AssertionError, ValueError):
            return None
        return {key: found[key] for key in ("route", "state", "epoch")}

    def full(self):
        self.was_full = True
        room = os.statvfs(self.site.state)
        with open(self.site.state / "ballast", "ab") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, file.tell() + room.f_bavail * room.f_bsize)
            except OSError:
                pass

    def room(self):
        (self.site.state / "ballast").unlink(missing_ok=True)

    def log_text(self, name):
        path = self.site.log(name)
        return path.read_text(errors="replace") if path.exists() else ""

    def heal(self, wanted):
        """wanted: the programs that shall run."""
        self.links.open_all()
        self.room()
        for name in list(self.stopped):
            self.go(name)
        for name in wanted:
            if not self.site.running(name):
                wait_for(lambda name=name: self.start(name), 30, f"coexist-{name} to start when all is well")
