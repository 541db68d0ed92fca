# SPDX-License-Identifier: ISC
"""First process of a guest: private mounts, chroot, then the server.  Started by guest.py.

    python3 -I -S guest_init.py SPEC.json [CONTROL-FD]

Unshares mounts, process ids and the host name, so that nothing stays behind on the machine: when
this process ends, for whatever reason, the kernel ends everything in the guest and drops its
mounts.  It ends when the server does, on SIGTERM (after the server has stopped), or when the
other end of CONTROL-FD closes, which is how the death of the test that owns the guest ends it too.

Exit status: that of the server; 125 with one line on stderr when the guest cannot be set up.
"""
import ctypes
import errno
import json
import os
import resource
import select
import signal
import sys
import time

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWPID = 0x20000, 0x4000000, 0x20000000
MS_RDONLY, MS_NOSUID, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 32, 4096, 16384, 1 << 18
PR_SET_PDEATHSIG = 1
FILES = 8192
# What a server leaves running when it ends (Sendmail: deliveries) may take this long.
LINGER_S = 5
NOBODY = (-1, 0)
LIBC = ctypes.CDLL(None, use_errno=True)


def fail(what):
    os.write(2, f"guest: {what}\n".encode())
    os._exit(125)


def must(result, what):
    if result < 0:
        fail(f"{what}: {os.strerror(ctypes.get_errno())}")


def mount(source, target, kind, flags):
    return LIBC.mount(source.encode() if source else None, target.encode(),
                      kind.encode() if kind else None, ctypes.c_ulong(flags), None)


def bind(source, target):
    must(mount(source, target, None, MS_BIND), f"cannot bind {source} to {target}")


def make_private():
    """Keep our mounts out of the machine's.

    Where the tests themselves run in a chroot, "/" need not be a mount point; then the change has
    to be made at the root of the mount namespace, above the chroot, and we come back afterwards.
    """
    if mount(None, "/", None, MS_REC | MS_PRIVATE) == 0:
        return
    if ctypes.get_errno() != errno.EINVAL:
        must(-1, "cannot make mounts private")
    here = os.open("/", os.O_PATH | os.O_DIRECTORY)
    os.chroot("/usr")   # any folder: the current one is now outside of the root
    while os.stat(".").st_ino != os.stat("..").st_ino or os.stat(".").st_dev != os.stat("..").st_dev:
        os.chdir("..")
    os.chroot(".")
    must(mount(None, "/", None, MS_REC | MS_PRIVATE), "cannot make mounts private")
    os.fchdir(here)
    os.chroot(".")
    os.close(here)


def enter(spec):
    """Build the guest's view of the file system and step into it."""
    tree = spec["tree"]
    os.chdir("/")
    make_private()
    bind(tree, tree)
    must(mount(None, tree, None, MS_REMOUNT | MS_BIND | MS_RDONLY), f"cannot make {tree} read-only")
    for device in spec["devices"]:
        bind(f"/dev/{device}", f"{tree}/dev/{device}")
    must(mount("tmpfs", f"{tree}/dev/shm", "tmpfs", MS_NOSUID), "cannot mount /dev/shm")
    for source, target in spec["binds"]:
        bind(source, tree + target)
    # Some sandboxes refuse a new proc; the servers do without.
    mount("proc", f"{tree}/proc", "proc", MS_NOSUID)
    os.chroot(tree)
    os.chdir("/")
    name = spec["hostname"].encode()
    LIBC.sethostname(name, len(name))


def exit_code(status):
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def reap():
    """(pid, status) of a process that ended; pid 0 while none has; NOBODY when none is left."""
    try:
        return os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return NOBODY


def first_process(spec, control):
    """Process 1 of the guest: start the server, reap orphans, watch the control pipe."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if control is not None:
        os.set_inheritable(control, False)
    enter(spec)
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    os.set_blocking(wake_read, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    server = os.fork()
    if server == 0:
        os.umask(0o022)
        os.setsid()
        # Sendmail and Postfix close every descriptor up to the limit before they run a program.
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
        try:
            os.execve(spec["argv"][0], spec["argv"], spec["env"])
        except OSError as problem:
            fail(f"cannot run {spec['argv'][0]}: {problem.strerror}")
    signal.signal(signal.SIGTERM, lambda *_: os.kill(server, signal.SIGTERM))
    signal.signal(signal.SIGHUP, lambda *_: os.kill(server, signal.SIGHUP))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    # Not select(): a test process with many open files gives us descriptors beyond its 1024.
    watched = select.poll()
    for fd in [wake_read] + ([control] if control is not None else []):
        watched.register(fd, select.POLLIN)
    code, deadline = None, None
    while True:
        pid = reap()
        while pid != NOBODY and pid[0]:
            if pid[0] == server:
                code, deadline = exit_code(pid[1]), time.monotonic() + LINGER_S
            pid = reap()
        patience = None if deadline is None else deadline - time.monotonic()
        if pid == NOBODY or (patience is not None and patience <= 0):
            os._exit(code or 0)
        ready = [fd for fd, _ in watched.poll(None if patience is None else patience * 1000)]
        if control in ready:
            os._exit(0)
        if wake_read in ready:
            os.read(wake_read, 512)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        spec = json.load(file)
    control = int(sys.argv[2]) if len(sys.argv) > 2 else None
    if LIBC.unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS) < 0:
        fail("this sandbox refuses private mount and process namespaces "
             f"(unshare: {os.strerror(ctypes.get_errno())}), so guest servers cannot run here")
    first = os.fork()
    if first == 0:
        first_process(spec, control)
    if control is not None:
        os.close(control)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda n, _: os.kill(first, n))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with open(spec["pid_file"] + ".new", "w", encoding="ascii") as file:
        file.write(str(first))
    os.rename(spec["pid_file"] + ".new", spec["pid_file"])
    _, status = os.waitpid(first, 0)
    os._exit(exit_code(status))


if __name__ == "__main__":
    main()
