#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Mail servers as guests: unpacked Debian packages under build/peers/, never installed.

    peers.py get NAME...     make build/peers/NAME ready (downloads only what no cache has)
    peers.py list            names, and what is ready here
    from peers import get    get(["dovecot"]) -> {"dovecot": Path(tree)}

A tree is the dependency closure of a few packages, unpacked without maintainer scripts, plus the
handful of files in /etc that every server reads.  Trees never change once built: instances mount
them read-only and bring their own /etc/..., /var, /run and /tmp (tests/integration/lib/guest.py).

They are cached by the exact list of package versions, outside the clone, in
${XDG_CACHE_HOME:-~/.cache}/coexist/peers/NAME-HASH; build/peers/NAME is a link to one of them.
Any number of processes may call get at once: one of them builds, under a lock, beside the final
name, and renames.  Without a network the newest cached tree serves, and a line says so.

apt-get does the resolving and the downloading, with status, lists and archives of its own in the
cache folder, so nothing on the machine changes and no root is needed for this part.
"""
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "build" / "peers"

# Raise it when the way a tree is made changes, so that older cached trees are not used.
LAYOUT = 1

BASE = ["dash", "coreutils", "sed", "grep"]

# Packages that only maintainer scripts, cron jobs or interactive tools need.
NOT_NEEDED = [
    "adduser", "cron", "cron-daemon-common", "debconf", "dpkg", "e2fsprogs", "exim4-config",
    "init-system-helpers", "libpam-modules", "libpam-runtime", "lockfile-progs", "logsave",
    "lsb-base", "mariadb-common", "mysql-common", "openssl", "passwd", "procps", "sensible-utils",
    "ssl-cert", "sysvinit-utils", "tar", "ucf", "usrmerge", "gawk", "cpio", "readline-common",
]
NO_PERL = ["perl", "perl-base"]

GUESTS = {
    "dovecot": {"packages": ["dovecot-core", "dovecot-imapd", "dovecot-lmtpd"], "drop": NO_PERL},
    "dovecot-gssapi": {"packages": ["dovecot-core", "dovecot-imapd", "dovecot-lmtpd", "dovecot-gssapi"],
                       "drop": NO_PERL},
    "kerberos": {"packages": ["krb5-kdc", "krb5-admin-server", "krb5-user"], "drop": NO_PERL},
    "postfix": {"packages": ["postfix", "postfix-pcre"], "drop": NO_PERL},
    "sendmail": {"packages": ["sendmail-bin", "sendmail-cf", "m4"], "drop": NO_PERL + ["make"]},
    "exim": {"packages": ["exim4-daemon-heavy"], "drop": NO_PERL},
    "cyrus": {"packages": ["cyrus-imapd", "sasl2-bin"], "drop": NO_PERL,
              "provides": "default-mta, mail-transport-agent"},
    "courier": {"packages": ["courier-imap", "courier-authlib", "courier-authlib-userdb"], "drop": NO_PERL,
                "mount_points": ["etc/courier"]},
    "imap4d": {"packages": ["mailutils-imap4d"], "drop": NO_PERL, "mount_points": ["etc/mailutils"],
               "provides": "default-mta, mail-transport-agent"},
    "nginx": {"packages": ["nginx", "libnginx-mod-mail"], "drop": NO_PERL + ["iproute2"], "mount_points": ["etc/nginx"]},
    "isync": {"packages": ["isync"], "drop": []},
    "interimap": {"packages": ["interimap", "perl"], "drop": []},
}

# One set of accounts for all trees.  The numbers exist only inside the guests; they keep away
# from those that Debian gives to accounts of the machine.
USERS = {
    "root": 0, "daemon": 1, "bin": 2, "mail": 8, "nobody": 65534,
    "postfix": 64001, "smmta": 64002, "smmsp": 64003, "Debian-exim": 64004, "dovecot": 64005,
    "dovenull": 64006, "cyrus": 64007, "vmail": 64008,
}
GROUPS = dict(USERS, postdrop=64011, sasl=64012, nogroup=65534, tty=5, staff=50)

# Mount points that an instance may need (bind mounts need something to sit on).
MOUNT_POINTS = ["dev", "proc", "tmp", "run", "var", "inst", "etc/dovecot", "etc/postfix",
                "etc/mail", "etc/exim4", "etc/sasldb"]
DEVICES = ["null", "zero", "full", "random", "urandom"]
SKIP = ["./usr/share/doc/*", "./usr/share/man/*", "./usr/share/locale/*", "./usr/share/info/*",
        "./usr/share/lintian/*", "./usr/share/bug/*", "./dev/*"]


class PeersError(Exception):
    """One line for a person: what is missing and what to do."""


def cache_dir():
    """The cache outside the clone, or build/cache where the home folder cannot be written."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    path = Path(base) / "coexist" / "peers"
    try:
        path.mkdir(parents=True, exist_ok=True)
        if os.access(path, os.W_OK):
            return path
    except OSError:
        pass
    fallback = ROOT / "build" / "cache" / "peers"
    fallback.mkdir(parents=True, exist_ok=True)
    say(f"{path} cannot be written, caching in {fallback}")
    return fallback


def say(text):
    print(f"peers: {text}", file=sys.stderr, flush=True)


class Apt:
    """apt-get with a state of its own: it believes that nothing but the stand-ins is installed."""

    def __init__(self, cache):
        self.dir = cache / "apt"
        self.lists = None  # the machine's own lists, until they prove useless
        for sub in ("archives/partial", "lists/partial"):
            (self.dir / sub).mkdir(parents=True, exist_ok=True)
        for tool in ("apt-get", "dpkg-deb", "tar"):
            if not shutil.which(tool):
                raise PeersError(f"{tool} is not here: guests come from Debian's packages (Debian 12)")

    def _run(self, guest, *args):
        status = self.dir / "status"
        status.write_text(stand_ins(guest) if guest else "")
        options = {
            "Dir::State::status": status, "Dir::Cache": self.dir, "Debug::NoLocking": "1",
            "Dir::Cache::archives": self.dir / "archives",
            "APT::Install-Recommends": "0", "APT::Sandbox::User": "root", "Acquire::Retries": "3",
            "Acquire::Languages": "none",
        }
        if self.lists:
            options["Dir::State::lists"] = self.lists
        argv = ["apt-get", "-q"] + [f"-o{k}={v}" for k, v in options.items()]
        env = dict(os.environ, LC_ALL="C.UTF-8", DEBIAN_FRONTEND="noninteractive")
        return subprocess.run(argv + list(args), env=env, text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def update(self):
        """Fetch package lists into the cache; the machine's stay as they are."""
        if self.lists:
            return False
        say("fetching package lists")
        self.lists = self.dir / "lists"
        done = self._run(None, "update")
        return done.returncode == 0

    def resolve(self, name):
        """The closure of a guest as sorted "package=version" strings."""
        wanted = GUESTS[name]["packages"] + BASE
        done = self._run(name, "-s", "install", *wanted)
        if done.returncode and self.update():
            done = self._run(name, "-s", "install", *wanted)
        found = [line.split() for line in done.stdout.splitlines() if line.startswith("Inst ")]
        if done.returncode or not found:
            raise PeersError(f"{name}: apt-get cannot resolve {' '.join(wanted)}: {last_line(done)}")
        return sorted(f"{f[1]}={f[2].lstrip('(')}" for f in found)

    def download(self, name, closure):
        """Download the closure; return the paths of the packages."""
        args = ["-y", "--download-only", "install", *closure]
        done = self._run(name, *args)
        if done.returncode and self.update():
            done = self._run(name, *args)
        if done.returncode:
            raise PeersError(f"{name}: download failed: {last_line(done)}")
        archives = {}
        for deb in (self.dir / "archives").glob("*.deb"):
            package, version, _ = deb.name.split("_")
            archives[f"{package}={version.replace('%3a', ':')}"] = deb
        missing = [p for p in closure if p not in archives]
        if missing:
            raise PeersError(f"{name}: not downloaded: {' '.join(missing)}")
        return [archives[p] for p in closure]


def last_line(done):
    lines = [l for l in done.stdout.splitlines() if l.startswith(("E:", "Err:"))] or done.stdout.splitlines()
    return lines[-1] if lines else f"exit status {done.returncode}"


def stand_ins(name):
    """A dpkg status in which what a guest does not need counts as installed."""
    guest = GUESTS[name]
    out = []
    for package in NOT_NEEDED + guest["drop"]:
        out.append(f"Package: {package}\nStatus: install ok installed\nVersion: 99:9999\n"
                   f"Architecture: all\nMulti-Arch: allowed\nMaintainer: none\nDescription: stand-in\n")
    if "provides" in guest:
        out.append("Package: stand-in\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n"
                   f"Provides: {guest['provides']}\nMaintainer: none\nDescription: stand-in\n")
    return "\n".join(out)


def unpack(debs, tree):
    """Unpack packages over a merged /usr, as Debian 12 has it."""
    for top in ("bin", "sbin", "lib", "lib64"):
        (tree / "usr" / top).mkdir(parents=True)
        (tree / top).symlink_to(f"usr/{top}")
    skip = [f"--exclude={pattern}" for pattern in SKIP]
    for deb in debs:
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE) as source:
            target = subprocess.run(["tar", "-x", "--keep-directory-symlink", "-C", tree, *skip],
                                    stdin=source.stdout, stderr=subprocess.PIPE, text=True)
        if source.returncode or target.returncode:
            raise PeersError(f"{deb.name} cannot be unpacked: {target.stderr.strip()[-200:]}")


def furnish(tree, name):
    """The files in /etc, devices and mount points that every guest needs."""
    etc = tree / "etc"
    etc.mkdir(exist_ok=True)
    (etc / "passwd").write_text("".join(
        f"{n}:x:{i}:{GROUPS.get(n, i)}:{n}:/:/usr/sbin/nologin\n" for n, i in USERS.items()))
    members = {"mail": "cyrus", "sasl": "cyrus"}
    (etc / "group").write_text("".join(f"{n}:x:{i}:{members.get(n, '')}\n" for n, i in GROUPS.items()))
    (etc / "hosts").write_text("127.0.0.1 localhost localhost.localdomain\n::1 localhost\n")
    # Nothing listens there: a name that is not in hosts fails at once and nothing leaves the machine.
    (etc / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    (etc / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\nservices: files\n"
                                       "protocols: files\naliases: files\n")
    (etc / "services").write_text("smtp 25/tcp\nsubmission 587/tcp\nlmtp 24/tcp\nimap 143/tcp\nimaps 993/tcp\n"
                                  "domain 53/tcp\ndomain 53/udp\n")
    (etc / "protocols").write_text("ip 0 IP\ntcp 6 TCP\nudp 17 UDP\n")
    (etc / "localtime").unlink(missing_ok=True)
    (etc / "mailname").write_text("guest.test\n")
    if not (tree / "usr/bin/sh").exists():
        (tree / "usr/bin/sh").symlink_to("dash")
    # What the packages have in /var is moved away: instances mount their own.
    if (tree / "var").exists():
        shutil.rmtree(tree / "var")
    for point in MOUNT_POINTS + GUESTS[name].get("mount_points", []):
        (tree / point).mkdir(parents=True, exist_ok=True)
    for device in DEVICES:
        (tree / "dev" / device).touch()
    (tree / "dev" / "log").symlink_to("/inst/devlog")
    (tree / "dev" / "shm").mkdir()


def build(name, closure, apt, cache):
    final = cache / f"{name}-{tree_hash(name, closure)}"
    if (final / "coexist-tree.json").exists():
        return final
    say(f"{name}: unpacking {len(closure)} packages ({', '.join(version_of(name, closure))})")
    debs = apt.download(name, closure)
    aside = cache / f".new-{name}-{os.getpid()}"
    shutil.rmtree(aside, ignore_errors=True)
    try:
        aside.mkdir()
        aside.chmod(0o755)
        unpack(debs, aside)
        furnish(aside, name)
        (aside / "coexist-tree.json").write_text(json.dumps(
            {"layout": LAYOUT, "name": name, "recipe": recipe(name), "packages": closure}, indent=1))
        shutil.rmtree(final, ignore_errors=True)
        aside.rename(final)
    finally:
        if aside.exists():
            shutil.rmtree(aside, ignore_errors=True)
    return final


def version_of(name, closure):
    return [p for p in closure if p.split("=")[0] in GUESTS[name]["packages"][:1]]


def tree_hash(name, closure):
    return hashlib.sha256("\n".join([recipe(name), *closure]).encode()).hexdigest()[:16]


def recipe(name):
    text = json.dumps([LAYOUT, GUESTS[name], BASE, NOT_NEEDED, USERS, MOUNT_POINTS], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def is_ready(tree, name):
    try:
        return json.loads((tree / "coexist-tree.json").read_text())["recipe"] == recipe(name)
    except (OSError, ValueError, KeyError):
        return False


def newest_cached(name, cache):
    trees = [t for t in cache.glob(f"{name}-*") if is_ready(t, name)]
    return max(trees, key=lambda t: (t / "coexist-tree.json").stat().st_mtime, default=None)


def link(name, tree):
    """build/peers/NAME -> tree, replaced in one step."""
    PEERS.mkdir(parents=True, exist_ok=True)
    target = PEERS / name
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    aside = PEERS / f".{name}-{os.getpid()}"
    aside.unlink(missing_ok=True)
    aside.symlink_to(tree)
    aside.rename(target)
    return target


def get(names):
    """Make the named guests ready; return {name: path of its tree}.  Raises PeersError."""
    unknown = [n for n in names if n not in GUESTS]
    if unknown:
        raise PeersError(f"no guest named {', '.join(unknown)} (known: {', '.join(GUESTS)})")
    out = {n: PEERS / n for n in names}
    missing = [n for n in names if not is_ready(PEERS / n, n)]
    if not missing:
        return out
    cache = cache_dir()
    with open(cache / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another process fetches guests, waiting")
            fcntl.flock(lock, fcntl.LOCK_EX)
        apt = Apt(cache)
        for name in missing:
            started = time.monotonic()
            try:
                tree = build(name, apt.resolve(name), apt, cache)
            except PeersError as problem:
                tree = newest_cached(name, cache)
                if tree is None:
                    raise
                say(f"{problem}; using {tree.name} from the cache")
            link(name, tree)
            say(f"{name}: ready ({time.monotonic() - started:.0f} s)")
    return out


def main(argv):
    if len(argv) >= 2 and argv[0] == "get":
        try:
            get(list(GUESTS) if argv[1:] == ["all"] else argv[1:])
        except PeersError as problem:
            say(str(problem))
            return 69
        return 0
    if argv == ["list"]:
        for name in GUESTS:
            print(f"{name:10} {'ready' if is_ready(PEERS / name, name) else '-'}")
        return 0
    print("usage: peers.py get NAME...|all | list", file=sys.stderr)
    return 64


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
