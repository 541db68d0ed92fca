#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Runs every unit test, replays every fuzz corpus and simulates a few mailbox copies; prints the output of
failures only.

    run_unit.py [NAME...]         NAME: test_slice, fuzz_header, simulation, stories, promises (default: all that there are)
    run_unit.py --uptime S ...    the same on a machine that booted S seconds ago, as the tests see it
                                  (a time namespace, which takes root; else it is skipped and says so)

A test program that crashes, is reported by a sanitizer, runs longer than TIMEOUT_S or does not
print cmocka's summary counts as a failure.  Ends with `N passed, N failed`; the status is 1 when
something failed or when no test ran.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).resolve().parents[2]
TIMEOUT_S = 180
HISTORIES = 400  # of the simulation; `make sim` runs many more

PASSED = re.compile(r"^\[  PASSED  \] (\d+) test", re.M)
FAILED = re.compile(r"^\[  FAILED  \] (\d+) test", re.M)
SKIPPED = re.compile(r"^\[  SKIPPED \] (\d+) test", re.M)

ENVIRONMENT = dict(
    os.environ,
    ASAN_OPTIONS="abort_on_error=0:detect_leaks=1:detect_stack_use_after_return=1:"
                 + os.environ.get("ASAN_OPTIONS", ""),
    UBSAN_OPTIONS="print_stacktrace=1:" + os.environ.get("UBSAN_OPTIONS", ""),
    CMOCKA_MESSAGE_OUTPUT="STDOUT",
)


def run(command):
    try:
        done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as late:
        text = (late.stdout or b"").decode("utf-8", "replace")
        return 1, text + f"\nstill running after {TIMEOUT_S} s\n"
    except OSError as error:
        return 1, f"{error}\n"
    return done.returncode, done.stdout.decode("utf-8", "replace")


def unit(name):
    """(passed, failed, skipped, output of a failure or None)"""
    status, output = run([f"build/unit/{name}"])
    passed = sum(map(int, PASSED.findall(output)))
    failed = sum(map(int, FAILED.findall(output)))
    skipped = sum(map(int, SKIPPED.findall(output)))
    if status != 0 and failed == 0:
        failed = 1
    if passed + failed + skipped == 0:
        failed, output = 1, output + "no cmocka summary\n"
    return passed, failed, skipped, output if failed else None


def replay(name):
    corpus = ROOT / "tests/fuzz/corpus" / name
    status, output = run([f"build/replay/{name}"] + ([str(corpus)] if corpus.is_dir() else []))
    return (1, 0, 0, None) if status == 0 else (0, 1, 0, output)


SIMULATED = re.compile(r"^(\d+) passed, (\d+) failed$", re.M)


def simulate(name):
    """New histories, some of them over several connections, or those that were kept because they failed once."""
    stories = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "tests/sim/stories").iterdir())
    what = {"simulation": ["-j", "1", "-n", str(HISTORIES)], "connections": ["-j", "1", "-c", "3", "-n", str(HISTORIES // 4)]}
    status, output = run(["build/sim/sim", *what.get(name, stories)])
    counted = SIMULATED.search(output)
    passed, failed = map(int, counted.groups()) if counted else (0, 1)
    failed = failed or int(status != 0)
    return passed, failed, 0, output if failed else None


def promises(_):
    """What an end promises, on the model's end, on a Maildir and on mboxes."""
    passed = failed = 0
    said = ""
    with tempfile.TemporaryDirectory(prefix="coexist-promises.") as folder:
        for where in ([], [f"maildir:{folder}/maildir"], [f"mbox:{folder}/mbox"]):
            status, output = run(["build/sim/promises", *where])
            counted = SIMULATED.search(output)
            ok, bad = map(int, counted.groups()) if counted else (0, 1)
            passed, failed, said = passed + ok, failed + (bad or int(status != 0)), said + output
    return passed, failed, 0, said if failed else None


def at_uptime(seconds, arguments):
    """Runs this program again in a time namespace; returns only when there can be none."""
    behind = int(seconds - time.clock_gettime(time.CLOCK_BOOTTIME))
    namespace = ["unshare", "--time", "--fork", "--monotonic", str(behind), "--boottime", str(behind)]
    unshare = shutil.which("unshare")
    if not unshare or subprocess.run([*namespace, "true"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL, check=False).returncode != 0:
        print(f"unit: not run as {seconds} s after the boot: a time namespace takes root and a kernel that has them\n"
              "0 passed, 0 failed, 1 skipped")
        sys.exit(0)
    os.execv(unshare, [*namespace, sys.executable, __file__, *arguments])


def main():
    wanted = sys.argv[1:]
    if wanted[:1] == ["--uptime"]:
        at_uptime(int(wanted[1]), wanted[2:])
    jobs = [(unit, p.stem) for p in sorted((ROOT / "tests/unit").glob("test_*.c"))]
    jobs += [(replay, p.stem) for p in sorted((ROOT / "tests/fuzz").glob("fuzz_*.c"))]
    jobs += [(simulate, "simulation"), (simulate, "connections"), (simulate, "stories"), (promises, "promises")]
    jobs = [job for job in jobs if not wanted or job[1] in wanted]
    passed = failed = skipped = 0
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        results = pool.map(lambda job: job[0](job[1]), jobs)
        for (_, name), (ok, bad, left_out, output) in zip(jobs, results):
            passed, failed, skipped = passed + ok, failed + bad, skipped + left_out
            if output is not None:
                print(f"--- {name} ---\n{output.rstrip()}\n--- {name}: failed ---", flush=True)
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed or passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
