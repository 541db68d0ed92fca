#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""make check: everything that CI runs, in one place, ending in one line that counts.

Each step prints its own lines as it runs.  A step that closes with "N passed, N failed" adds its
counts; any other step counts as one.  The last line of all is the sum, and the exit status is 1
when anything failed or nothing ran.
"""
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree

PYTHON = sys.executable
JOBS = str(max(2, os.cpu_count() or 2))
# The integration tests mostly wait for servers.
WORKERS = str(int(JOBS) * 3)
REPORT = "build/check-integration.xml"

# -Werror only here: a user's newer compiler may warn about what ours does not know.
STEPS = [
    ("build", ["make", "-s", "-j" + JOBS, "all", "asan", "helpers", "WERROR=-Werror"]),
    ("lint", ["make", "-s", "lint"]),
    ("unit", ["make", "-s", "-j" + JOBS, "unit", "WERROR=-Werror"]),
    # Once more as on a machine that booted a minute ago: no test may count on an older clock.
    ("uptime", [PYTHON, "tests/tools/run_unit.py", "--uptime", "60"]),
    ("model", ["make", "-s", "model"]),
    ("sim", ["make", "-s", "-j" + JOBS, "sim", "WERROR=-Werror"]),
    ("sim-faults", ["make", "-s", "sim-faults"]),
    ("chaos-teeth", [PYTHON, "tests/chaos/chaos.py", "--teeth"]),
    ("chaos", [PYTHON, "tests/chaos/chaos.py", "-n", "40"]),
    ("integration", [PYTHON, "-m", "pytest", "-q", "-n", WORKERS, "--dist", "loadfile",
                     "--junitxml=" + REPORT, "-p", "no:cacheprovider", "tests/integration"]),
]
# The integration tests run mail servers as guests, which need root for their private mounts; another
# uptime is a time namespace, which needs it too.
AS_ROOT = {"integration", "uptime", "chaos", "chaos-teeth"}
COUNTS = re.compile(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$")


def as_root(command):
    """The command under sudo when we are not root; without sudo it runs and says what it needs."""
    if os.geteuid() == 0 or not shutil.which("sudo"):
        return command
    kept = [f"{k}={os.environ[k]}" for k in ("HOME", "XDG_CACHE_HOME", "PATH", "COEXIST_KILLS") if k in os.environ]
    return ["sudo", "env", *kept, *command]


def integration_counts():
    """Counts from pytest's own report: its last line changes its wording with the result."""
    try:
        suites = list(xml.etree.ElementTree.parse(REPORT).getroot().iter("testsuite"))
    except (OSError, xml.etree.ElementTree.ParseError):
        return 0, 1, 0
    total = sum(int(s.get("tests", 0)) for s in suites)
    failed = sum(int(s.get("failures", 0)) + int(s.get("errors", 0)) for s in suites)
    skipped = sum(int(s.get("skipped", 0)) for s in suites)
    return total - failed - skipped, failed, skipped


def run(name, command):
    """Runs one step, shows its output as it comes, returns (passed, failed, skipped)."""
    print(f"== {name}: {' '.join(command)}", flush=True)
    started = time.monotonic()
    counts = None
    has_report = any(REPORT in word for word in command)
    if has_report and os.path.exists(REPORT):
        os.unlink(REPORT)
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace") as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            found = COUNTS.match(line.strip())
            if found:
                counts = tuple(int(n or 0) for n in found.groups())
        status = process.wait()
    if has_report:
        counts = integration_counts()
    if counts is None:
        counts = (1, 0, 0) if status == 0 else (0, 1, 0)
    passed, failed, skipped = counts
    if status != 0 and failed == 0:
        failed = 1
    print(f"== {name}: {'ok' if failed == 0 else 'FAILED'} in {time.monotonic() - started:.0f} s\n",
          flush=True)
    return passed, failed, skipped


def main():
    totals = [0, 0, 0]
    only = sys.argv[1:]
    os.makedirs("build", exist_ok=True)
    for name, command in STEPS:
        if only and name not in only:
            continue
        result = run(name, as_root(command) if name in AS_ROOT else command)
        totals = [a + b for a, b in zip(totals, result)]
        if name == "build" and result[1]:
            break  # nothing after this could mean anything
    skipped = f", {totals[2]} skipped" if totals[2] else ""
    print(f"{totals[0]} passed, {totals[1]} failed{skipped}")
    return 0 if totals[1] == 0 and totals[0] > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
