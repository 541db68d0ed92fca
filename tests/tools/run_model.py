#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Checks docs/model/route.pml with Spin.

The protocol as written must be searched to the end without an error in every
scope; each mutation must give a counterexample; each place that makes the
proof worth something must be reached.

    run_model.py                  everything, two searches at a time
    run_model.py --deep           the protocol alone in larger scopes: minutes, 6 GiB
    run_model.py --list           names of the mutations
    run_model.py --trace NAME     the shortest counterexample of one, in words
"""

import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODEL = os.path.join(ROOT, "docs", "model", "route.pml")
BUILD = os.path.join(ROOT, "build", "model")
CC = os.environ.get("CC", "cc")

DEPTH = "20000"  # the longest run has a few hundred steps
MEMORY_MIB = 900  # per search, and two run at a time
DEEP_MEMORY_MIB = 6000
SECONDS_MAX = 300
DEEP_SECONDS_MAX = 3600

# Each search is exhaustive within its scope. One scope with everything at
# once would take hours; --deep goes further than these do.
SCOPES = [
    ("two consumers, mapd killed", "CONSUMERS=2 STOPS=0 KILLS=0 OWN_ENTRY"),
    ("two holds, two messages, consumer and mapd killed", "CONSUMERS=1 HOLDS=2 MESSAGES=2 STOPS=0"),
    ("two consumers, one killed, one stopped", "CONSUMERS=2 CRASHES=0"),
    ("data file replaced between two messages", "CONSUMERS=1 MESSAGES=2 STOPS=0 KILLS=0 REBUILDS=1"),
    ("mapd killed twice", "CONSUMERS=1 CRASHES=2 STOPS=0 KILLS=0"),
    ("machine rebooted", "CONSUMERS=1 REBOOTS=1 STOPS=0 KILLS=0"),
    ("two holds, two messages, consumer stopped", "CONSUMERS=1 HOLDS=2 MESSAGES=2 CRASHES=0"),
    ("maptool at work without a mapd", "CONSUMERS=1 OFFLINE=1 STOPS=0"),
]

DEEP = [
    ("two consumers, one killed, one stopped, mapd killed", "CONSUMERS=2"),
    ("two holds, two messages, every fault, data file replaced", "CONSUMERS=1 HOLDS=2 MESSAGES=2 REBUILDS=1"),
]

# No run of the protocol is endless, so "when nobody can move" is reached.
ENDING = ("CONSUMERS=1 STOPS=0 KILLS=0", "every run comes to an end")

ONE = "CONSUMERS=1"
TWO_HOLDS = "CONSUMERS=1 HOLDS=2 CRASHES=0"
MUTATIONS = [
    ("NO_FENCE_MAPD", ONE),
    ("NO_FENCE_CONSUMER", ONE),
    ("NO_SCAN", ONE),
    ("NO_RECHECK", ONE),
    ("RECHECK_OLD_FILE", ONE),
    ("NO_BARRIER", ONE),
    ("NO_CAS", TWO_HOLDS),
    ("NO_DEADLINE_CHECK", ONE),
    ("PUBLISH_BEFORE_COMMIT", ONE),
    ("SERVE_BEFORE_PUBLISH", ONE),
    ("NO_RELEASE", ONE),
    ("NO_VALID_CHECK", ONE),
    ("NO_ABSENT_CLAIM", ONE),
    ("NO_LINK_CHECK", TWO_HOLDS),
    ("REAP_DEAD", ONE),
    ("FORGET_AMBIGUOUS", ONE),
    ("NO_BOOT_MARK", ONE + " REBOOTS=1 CRASHES=0"),
    ("SEQUENCE_RESTARTS", ONE + " OFFLINE=1"),
    ("DEADLINE_FORGOTTEN", ONE),
    ("BARRIER_BLOCKS", ONE),
]

PLACES = [
    ("FLIP_CLEAR", ONE),
    ("FLIP_AMBIGUOUS", ONE),
    ("BARRIER_LATE", ONE),
    ("FLIP_REFUSED", ONE),
    ("DOT_TO_NEW", ONE),
    ("RECHECK_DIFFERS", ONE),
    ("FILE_AGAIN", TWO_HOLDS),
    ("STATE_UNKNOWN", ONE),
    ("RESULT_REPEATED", ONE),
]


class Failure(Exception):
    pass


def run(argv, cwd, seconds=SECONDS_MAX):
    """Output of a command; Failure when it takes too long."""
    try:
        return subprocess.run(argv, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise Failure(f"{argv[0]}: not done after {seconds} s") from None


def build(name, defines, cflags, memory=MEMORY_MIB):
    """Compiles a verifier in its own folder and returns that folder."""
    folder = os.path.join(BUILD, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    for argv in (["spin", "-a"] + defines + [MODEL],
                 [CC] + cflags + [f"-DMEMLIM={memory}", "-o", "pan", "pan.c"]):
        done = run(argv, folder)
        if done.returncode != 0 or "Error" in done.stdout:
            raise Failure(f"{argv[0]} failed: {done.stdout.strip()[:400]}")
    return folder


def options(scope):
    return ["-D" + word for word in scope.split()]


def search(folder, flags=(), seconds=SECONDS_MAX):
    """Runs the verifier; returns its output, the number of states and of errors."""
    out = run(["./pan", "-n", "-w22", "-m" + DEPTH] + list(flags), folder, seconds).stdout
    states = re.search(r"(\d+) states, stored", out)
    errors = re.search(r"errors: (\d+)", out)
    if not states or not errors:
        raise Failure(f"pan said: {out.strip()[-300:]}")
    return out, int(states.group(1)), int(errors.group(1))


def must_hold(name, scope, cflags, flags=(), memory=MEMORY_MIB, seconds=SECONDS_MAX):
    out, states, errors = search(build(name, options(scope), cflags, memory), flags, seconds)
    if errors:
        raise Failure(f"{re.search(r'^pan:.*', out, re.M).group(0)}, see build/model/{name}")
    if "Full statespace search" not in out:
        raise Failure("the search was not a full one")
    for sign in ("max search depth too small", "Search not completed", "out of memory", "hash-compact"):
        if sign.lower() in out.lower():
            raise Failure(f"the search is incomplete: {sign}")
    return states


def check_scope(number, title, scope):
    states = must_hold(f"scope{number}", scope, ["-O2", "-DSAFETY", "-DCOLLAPSE"])
    return f"correct protocol: {title}: {states} states, no error"


def check_deep(number, title, scope):
    states = must_hold(f"deep{number}", scope, ["-O2", "-DSAFETY", "-DCOLLAPSE"], (),
                       DEEP_MEMORY_MIB, DEEP_SECONDS_MAX)
    return f"correct protocol: {title}: {states} states, no error"


def check_ending(scope, title):
    # Nothing is marked as progress, so that any cycle at all is an error.
    states = must_hold("ending", scope, ["-O2", "-DNP", "-DCOLLAPSE"], ["-l"])
    return f"correct protocol: {title}: {states} states, no error"


def violated(name, defines):
    """A search that must fail, at -O0: it is short, and compiling would take longer."""
    out, states, errors = search(build(name, defines, ["-O0", "-DSAFETY"]))
    found = re.search(r"assertion violated (.*) \(at depth (\d+)\)", out)
    return found if errors else None


def check_mutation(name, scope):
    found = violated(name, ["-D" + name] + options(scope))
    if not found:
        raise Failure(f"{name}: no counterexample")
    return f"with {name}: counterexample of {found.group(2)} steps"


def check_place(name, scope):
    if not violated("reach_" + name, ["-DREACH=" + name] + options(scope)):
        raise Failure(f"{name}: never reached")
    return f"reached: {name}"


def trace(name):
    scope = dict(MUTATIONS).get(name)
    if scope is None:
        raise Failure(f"no mutation of that name: {name} (try --list)")
    defines = ["-DTALK", "-D" + name] + options(scope)
    # Breadth first gives the shortest one.
    folder = build("trace_" + name, defines, ["-O2", "-DSAFETY", "-DBFS"])
    search(folder)
    told = run(["spin", "-t", "-T", "-k", "route.pml.trail"] + defines + [MODEL], folder).stdout
    print(told.split("spin: trail ends")[0].strip())


def all_jobs():
    jobs = [(f"correct protocol: {title}", check_scope, (number, title, scope))
            for number, (title, scope) in enumerate(SCOPES, 1)]
    jobs.insert(1, ("correct protocol: " + ENDING[1], check_ending, ENDING))
    jobs += [("with " + name, check_mutation, (name, scope)) for name, scope in MUTATIONS]
    jobs += [("reached: " + name, check_place, (name, scope)) for name, scope in PLACES]
    return jobs


def deep_jobs():
    return [(f"correct protocol: {title}", check_deep, (number, title, scope))
            for number, (title, scope) in enumerate(DEEP, 1)]


def check_all(jobs):
    passed = failed = 0
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        waiting = [(title, pool.submit(check, *args)) for title, check, args in jobs]
        for title, job in waiting:
            try:
                print(f"model: {job.result()}", flush=True)
                passed += 1
            except Failure as why:
                print(f"model: FAILED: {title}: {why}", flush=True)
                failed += 1
    print(f"model: {time.monotonic() - began:.0f} seconds")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def main(args):
    if args == ["--list"]:
        print("\n".join(name for name, _ in MUTATIONS))
        return 0
    for tool, package in (("spin", "spin"), (CC.split()[0], "gcc")):
        if not shutil.which(tool):
            print(f"model: {tool} is missing: install the Debian package {package}", file=sys.stderr)
            return 1
    if len(args) == 2 and args[0] == "--trace":
        try:
            trace(args[1])
        except Failure as why:
            print(f"model: {why}", file=sys.stderr)
            return 1
        return 0
    if args == ["--deep"]:
        return check_all(deep_jobs())
    if args:
        print(__doc__.strip(), file=sys.stderr)
        return 64
    return check_all(all_jobs())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
