# SPDX-License-Identifier: ISC
"""kill -9 at chosen system calls, without a change to the program.

    calls = record(line, folder)            [(name, count), ...] of a run to its end
    sample = Sample(lambda: calls_in(folder), lambda calls: sampled(calls, 50))
    for at in sample:
        sample.judge(killed_at(line, folder, *at, target))
    assert sample.n_met > 40
"""
import collections
import re
import subprocess

from .wait import wait_for

# Calls with an effect outside the process, and those that wait: where a kill can matter.
CALLS = ("write,pwrite64,fdatasync,fsync,openat,rename,unlink,ftruncate,sendto,recvfrom,poll,close,connect,"
         "renameat,renameat2,linkat,unlinkat,mkdirat,utimensat")


def only(paths):
    """Options: only calls that are about these paths count, or are hit."""
    return [word for path in paths for word in ("-P", str(path))]


def strace(line, out, *options):
    return subprocess.run(["strace", "-f", "-o", str(out), "-e", f"trace={CALLS}", *options, *line], text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)


def record(line, folder, paths=()):
    """strace counts each system call for itself: the n-th call of a process is the k-th of its name."""
    done = strace(line, folder / "calls", *only(paths))
    assert done.returncode == 0, done.stderr
    return calls_in(folder)


def calls_in(folder):
    """Those of the run that ended last; strace counts those of each process for itself."""
    seen, calls = collections.Counter(), []
    for pid, name in re.findall(r"^(\d+ +)?(\w+)\(", (folder / "calls").read_text(), re.M):
        seen[pid, name] += 1
        calls.append((name, seen[pid, name]))
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


class Sample:
    """The calls that pick(calls of a whole run) gives, one after the other, each to kill a run at.

    How often a program waits and commits differs from run to run.  A run that came to its end before its call
    was reached is a new recording of a whole one: the same place of that is tried, once.
    """

    def __init__(self, read, pick):
        self.read, self.pick, self.points = read, pick, pick(read())
        self.n_met, self.was_killed = 0, False

    def __len__(self):
        return len(self.points)

    def __iter__(self):
        for i in range(len(self.points)):
            for _ in range(2):
                yield self.points[i]
                if self.was_killed:
                    break
                self.points = self.pick(self.read())

    def judge(self, outcome):
        """outcome: of killed_at, for the call that was given last."""
        done, self.was_killed = outcome
        self.n_met += self.was_killed
        return done


def killed_at(line, folder, name, count, *servers, paths=()):
    """(finished process, whether a kill came, to it or to a process of its).  What the servers have got by then they have
    done when this returns: a busy machine lets a server sleep on what it has received for longer than any program waits for that."""
    before = [(server, server.sessions()) for server in servers]
    done = strace(line, folder / "calls", "-y", "-e", f"inject={name}:signal=SIGKILL:when={count}", *only(paths))
    for server, known in before:
        wait_for(lambda server=server, known=known: server.sessions() <= known, 20, "the sessions of the killed one to end")
    return done, "+++ killed by SIGKILL +++" in (folder / "calls").read_text()
