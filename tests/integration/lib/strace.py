# SPDX-License-Identifier: ISC
"""kill -9 at chosen system calls, without a change to the program.

    calls = record(line, folder)            [(name, count), ...] of a run to its end
    for name, count in sampled(calls, 50):
        done = killed_at(line, folder, name, count)
"""
import collections
import re
import signal
import subprocess

# Calls with an effect outside the process, and those that wait: where a kill can matter.
CALLS = "write,pwrite64,fdatasync,fsync,openat,rename,unlink,ftruncate,sendto,recvfrom,poll,close,connect"


def strace(line, out, *options):
    return subprocess.run(["strace", "-f", "-o", str(out), "-e", f"trace={CALLS}", *options, *line], text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)


def record(line, folder):
    """strace counts each system call for itself: the n-th call of all is the k-th of its name."""
    done = strace(line, folder / "calls")
    assert done.returncode == 0, done.stderr
    seen, calls = collections.Counter(), []
    for name in re.findall(r"^\d+ +(\w+)\(", (folder / "calls").read_text(), re.M):
        seen[name] += 1
        calls.append((name, seen[name]))
    return calls


def sampled(calls, count):
    """That many of them, evenly, the first and the last one too."""
    return [calls[i * (len(calls) - 1) // (count - 1)] for i in range(count)]


def by_step(calls, count, marker="rename"):
    """That many, the same number from each stretch that ends with a call of `marker`: a program that writes down
    each step before it takes it is met in all of them, however short.  The marker itself is one of them: how
    often a program waits differs from run to run, what it writes down does not."""
    stretches = [[]]
    for call in calls:
        stretches[-1].append(call)
        if call[0] == marker:
            stretches.append([])
    stretches = [s for s in stretches if s]
    out = []
    for number, stretch in enumerate(stretches):
        share = count // len(stretches) + (number < count % len(stretches))
        out += [stretch[(i + 1) * len(stretch) // share - 1] for i in range(share)]
    return out


def killed_at(line, folder, name, count):
    """(finished process, whether the kill came)"""
    done = strace(line, folder / "calls", "-y", "-e", f"inject={name}:signal=SIGKILL:when={count}")
    return done, done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)
