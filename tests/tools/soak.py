#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""make soak: what takes too long for `make check`, about forty minutes on two cores.

    fuzz       every fuzz target for FUZZ_SECONDS (half a minute when that is not set)
    threads    the integration tests of the programs with threads, built with ThreadSanitizer
    mailboxes  the tests with tables or sizes of which `make check` takes a sample: each pair of servers, BYE and a
               reset at each command, COEXIST_HISTORIES (60) random histories of both kinds

Ends with `N passed, N failed`, the sum of all.  What ThreadSanitizer says of foreign libraries is
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
WITH_TABLES = ["test_copy_pairs.py", "test_copy_cut.py", "test_copy_histories.py", "test_copy_kill.py", "test_copy_size.py",
               "test_copy_lies.py", "test_copy_odd.py"]
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


def table_tests():
    histories = [f"COEXIST_HISTORIES={os.environ['COEXIST_HISTORIES']}"] if "COEXIST_HISTORIES" in os.environ else []
    return ["env", "COEXIST_SOAK=1", *histories, check.PYTHON, "-m", "pytest", "-q", "-n", check.JOBS, "--junitxml=" + check.REPORT,
            "-p", "no:cacheprovider", *("tests/integration/" + name for name in WITH_TABLES)]


STEPS = [
    ("build", ["make", "-s", "-j" + check.JOBS, "all", "asan", "tsan", "fuzzers", "helpers"]),
    ("fuzz", [check.PYTHON, "tests/tools/run_fuzz.py"]),
    ("threads", thread_tests),
    ("mailboxes", table_tests),
]


AS_ROOT = {"threads", "mailboxes"}


def main():
    totals = [0, 0, 0]
    for name, command in STEPS:
        command = command() if callable(command) else command
        result = check.run(name, check.as_root(command) if name in AS_ROOT else command)
        totals = [a + b for a, b in zip(totals, result)]
        if name == "build" and result[1]:
            break
    print(f"{totals[0]} passed, {totals[1]} failed")
    return 0 if totals[1] == 0 and totals[0] > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
