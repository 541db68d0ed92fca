#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Runs every libFuzzer target for FUZZ_SECONDS, nproc at a time, and counts findings.

    run_fuzz.py [NAME...]     NAME: fuzz_header, ... (default: all that have a source)

The first target is a planted error, which must be noticed.  New inputs that reach new code are kept
in build/fuzz/corpus/NAME and used again by the next run; fuzz_corpus.py takes the best of them into
the tree's corpus (tests/fuzz/corpus/NAME), which is read only here.  An input that crashes, leaks,
hangs or eats memory is saved as build/fuzz/NAME-crash-... and named: copy it to tests/fuzz/corpus/NAME
under a name that tells what it is, so that every `make unit` replays it.  Any word of a sanitizer
fails the target, whatever the exit status.  Ends with `N passed, N failed`.
"""
import os
import pathlib
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).resolve().parents[2]
CORPUS = ROOT / "tests/fuzz/corpus"
FOUND = ROOT / "build/fuzz/corpus"
SECONDS = int(os.environ.get("FUZZ_SECONDS", "60"))
INPUT_S_MAX = 10
MEMORY_MB_MAX = 2048
PLANTED = "planted_error"

FINDING = re.compile(r"runtime error:|ERROR: |WARNING: \w+Sanitizer")
ENVIRONMENT = dict(
    os.environ,
    ASAN_OPTIONS="detect_stack_use_after_return=1:" + os.environ.get("ASAN_OPTIONS", ""),
    UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1:" + os.environ.get("UBSAN_OPTIONS", ""),
)


def targets(wanted):
    """Names of the targets that have a source, all or the wanted ones."""
    names = [p.stem for p in sorted((ROOT / "tests/fuzz").glob("fuzz_*.c"))]
    unknown = set(wanted) - set(names)
    if unknown:
        sys.exit(f"no such target: {', '.join(sorted(unknown))}")
    return [n for n in names if not wanted or n in wanted]


def run(name, options, seconds_max):
    """(exit status or None, output) of one libFuzzer run."""
    command = [f"build/fuzz/{name}", f"-timeout={INPUT_S_MAX}", f"-rss_limit_mb={MEMORY_MB_MAX}",
               f"-artifact_prefix=build/fuzz/{name}-", *map(str, options)]
    try:
        done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=seconds_max, check=False)
    except subprocess.TimeoutExpired as late:
        text = (late.stdout or b"").decode("utf-8", "replace")
        return None, text + f"\ndid not stop {seconds_max} s after its start\n"
    except OSError as error:
        return None, str(error)
    return done.returncode, done.stdout.decode("utf-8", "replace")


def fuzz(name):
    """(name, problem or None, what libFuzzer said at the end)"""
    (FOUND / name).mkdir(parents=True, exist_ok=True)
    options = [f"-max_total_time={SECONDS}", "-print_final_stats=1", FOUND / name]
    if (CORPUS / name).is_dir():
        options.append(CORPUS / name)
    words = ROOT / "tests/fuzz" / f"{name}.dict"
    if words.exists():
        options.append(f"-dict={words}")
    status, text = run(name, options, SECONDS + 120)
    found = FINDING.search(text)
    if status == 0 and not found:
        runs = re.search(r"stat::number_of_executed_units:\s*(\d+)", text)
        edges = re.findall(r"cov: (\d+)", text)
        return name, None, f"{runs[1] if runs else '?'} inputs, {edges[-1] if edges else '?'} edges"
    return name, f"status {status}" + (f", said '{found[0].strip()}'" if found else ""), text[-6000:]


def planted_is_noticed():
    """Without this, a build that goes on behind an error would pass every target."""
    status, text = run(PLANTED, ["-runs=10"], 60)
    for crash in (ROOT / "build/fuzz").glob(f"{PLANTED}-*"):
        crash.unlink()
    return status not in (0, None) and FINDING.search(text) is not None


def main():
    names = targets(sys.argv[1:])
    if not planted_is_noticed():
        print(f"{PLANTED}: nobody noticed it, so no other target can be believed\n0 passed, 1 failed")
        return 1
    print(f"{PLANTED}: noticed", flush=True)
    failed = 0
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for name, problem, said in pool.map(fuzz, names):
            if problem:
                failed += 1
                print(f"--- {name}: {problem} ---\n{said.rstrip()}\n--- {name}: failed ---",
                      flush=True)
            else:
                print(f"{name}: {said}", flush=True)
    print(f"{len(names) + 1 - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
