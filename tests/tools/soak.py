#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""make soak: what takes too long for `make check`, about ten minutes on two cores.

    fuzz     every fuzz target for FUZZ_SECONDS (half a minute when that is not set)
    threads  the integration tests of the programs with threads, built with ThreadSanitizer

Ends with `N passed, N failed`, the sum of both.  What ThreadSanitizer says of foreign libraries is
named, with the reason, in tests/tools/tsan.supp; a report in any log fails the test it happened in.
"""
import os
import platform
import shutil
import sys

import check

os.environ.setdefault("FUZZ_SECONDS", "30")
# mapd answers on its loop while a thread of its own works on the store, libmilter has a thread per
# connection, and the socket map reads what another process writes.
WITH_THREADS = ["test_map_daemon.py", "test_map_holds.py", "test_milter_wire.py", "test_lookup_socketmap.py"]
LEFT_OUT = [
    ("test_map_daemon.py::test_replies_that_nobody_reads",
     "measures mapd's memory, of which the sanitizer takes several times as much"),
]


def thread_tests():
    folder = "tests/integration/"
    command = [check.PYTHON, "-m", "pytest", "-q", "-n", check.JOBS, "--dist", "loadfile",
               "--junitxml=" + check.REPORT, "-p", "no:cacheprovider"]
    for name, why in LEFT_OUT:
        print(f"soak: without {name}: it {why}", flush=True)
        command += ["--deselect", folder + name]
    command += [folder + name for name in WITH_THREADS]
    # The sanitizer's fixed places in memory and addresses chosen at random do not always agree.
    if shutil.which("setarch"):
        command = ["setarch", platform.machine(), "-R", *command]
    return ["env", "COEXIST_BIN=build/tsan", f"TSAN_OPTIONS=suppressions={os.getcwd()}/tests/tools/tsan.supp "
            "halt_on_error=0 exitcode=66", *command]


STEPS = [
    ("build", ["make", "-s", "-j" + check.JOBS, "tsan", "fuzzers", "helpers"]),
    ("fuzz", [check.PYTHON, "tests/tools/run_fuzz.py"]),
    ("integration", thread_tests),
]


def main():
    totals = [0, 0, 0]
    for name, command in STEPS:
        command = command() if callable(command) else command
        result = check.run(name, check.as_root(command) if name == "integration" else command)
        totals = [a + b for a, b in zip(totals, result)]
        if name == "build" and result[1]:
            break
    print(f"{totals[0]} passed, {totals[1]} failed")
    return 0 if totals[1] == 0 and totals[0] > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
