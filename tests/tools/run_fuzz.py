#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Runs every libFuzzer target for FUZZ_SECONDS, nproc at a time, and counts findings.

    run_fuzz.py [NAME...]     NAME: fuzz_header, ... (default: all that have a source)

New inputs that reach new code are kept in build/fuzz/corpus/NAME and used again by the next run;
the corpus of the tree (tests/fuzz/corpus/NAME) is read only.  An input that crashes, leaks, hangs or
eats memory is saved as build/fuzz/NAME-crash-... and named: copy it to tests/fuzz/corpus/NAME once
the cause is cured, so that every `make unit` replays it.  Ends with `N passed, N failed`.
"""
import os
import pathlib
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).resolve().parents[2]
SECONDS = int(os.environ.get("FUZZ_SECONDS", "60"))
INPUT_S_MAX = 10
MEMORY_MB_MAX = 2048


def fuzz(name):
    """(name, problem or None, what libFuzzer said at the end)"""
    found = ROOT / "build/fuzz/corpus" / name
    found.mkdir(parents=True, exist_ok=True)
    command = [f"build/fuzz/{name}", f"-max_total_time={SECONDS}", f"-timeout={INPUT_S_MAX}",
               f"-rss_limit_mb={MEMORY_MB_MAX}", "-print_final_stats=1",
               f"-artifact_prefix=build/fuzz/{name}-", str(found)]
    known = ROOT / "tests/fuzz/corpus" / name
    if known.is_dir():
        command.append(str(known))
    words = ROOT / "tests/fuzz" / f"{name}.dict"
    if words.exists():
        command.append(f"-dict={words}")
    try:
        done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=SECONDS + 120, check=False)
    except subprocess.TimeoutExpired:
        return name, f"did not stop {SECONDS + 120} s after its start", ""
    except OSError as error:
        return name, str(error), ""
    text = done.stdout.decode("utf-8", "replace")
    if done.returncode == 0:
        runs = re.search(r"stat::number_of_executed_units:\s*(\d+)", text)
        edges = re.findall(r"cov: (\d+)", text)
        return name, None, f"{runs[1] if runs else '?'} inputs, {edges[-1] if edges else '?'} edges"
    return name, f"status {done.returncode}", text[-6000:]


def main():
    wanted = sys.argv[1:]
    names = [p.stem for p in sorted((ROOT / "tests/fuzz").glob("fuzz_*.c"))]
    names = [n for n in names if not wanted or n in wanted]
    failed = 0
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for name, problem, said in pool.map(fuzz, names):
            if problem:
                failed += 1
                print(f"--- {name}: {problem} ---\n{said.rstrip()}\n--- {name}: failed ---",
                      flush=True)
            else:
                print(f"{name}: {said}", flush=True)
    print(f"{len(names) - failed} passed, {failed} failed")
    return 1 if failed or not names else 0


if __name__ == "__main__":
    sys.exit(main())
