#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Breaks the code in small ways, one at a time, and says which unit test notices.

    mutate.py [WORD...]       only mutations whose file or description has one of the words
    mutate.py --check         only: is each mutated piece still in its file, exactly once?
    mutate.py --list          what there is

The mutations are in tests/mutants/*.py: per file of ours the tests that answer for it and a list of
(what breaks, the code, what stands there instead).  Blanks and line breaks of the code do not
matter; code that is not found exactly once is an error, so a mutation moves with what it mutates.

Each mutation is made in a copy of the tree below build/mutants, where make rebuilds what depends on
it, and the tests run until one fails, crashes or takes too long.  A mutation that no test notices
counts as failed, unless it weakens only the order of memory accesses: no test on x86 can see that, and
the mutation names the one of docs/model that shows why the order is needed (make model).
Ends with `N passed, N failed`.
"""
import concurrent.futures
import importlib.util
import os
import pathlib
import queue
import re
import shutil
import signal
import subprocess
import sys
import time

import run_model
import run_unit

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORK = ROOT / "build/mutants"
BUILT = "build/obj/asan"
JOBS = max(2, os.cpu_count() or 2)
BUILD_S_MAX = 300
FAILED_TEST = re.compile(r"^\[  FAILED  \] (\w+)$", re.M)


class Mutation:
    def __init__(self, path, tests, what, code, instead, order=None):
        self.path, self.tests, self.what, self.code, self.instead = path, tests, what, code, instead
        self.order = order          # name in the model, of a mutation of memory order

    def __str__(self):
        return f"{self.path}: {self.what}"

    def apply(self, text):
        """The mutated text; ValueError when the code is not there exactly once."""
        pattern = r"\s*".join(re.escape(part) for part in split_at_blanks(self.code))
        found = list(re.finditer(pattern, text))
        if len(found) != 1:
            raise ValueError(f"{self}: the code to mutate is there {len(found)} times:\n    {self.code}")
        return text[:found[0].start()] + self.instead + text[found[0].end():]


def split_at_blanks(code):
    """Words and single signs: between any two of them a formatter may break a line."""
    return re.findall(r"\w+|[^\w\s]", code)


def load():
    mutations = []
    for path in sorted((ROOT / "tests/mutants").glob("*.py")):
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for file, tests, rows in module.GROUPS:
            mutations += [Mutation(file, tests, *row) for row in rows]
    return mutations


def check(mutations):
    """Prints what cannot be applied; the mutations that can be, and how many cannot."""
    known = {name for name, _ in run_model.MUTATIONS}
    good = []
    for m in mutations:
        try:
            text = (ROOT / m.path).read_text()
            if m.apply(text) == text:
                raise ValueError(f"{m}: nothing is changed")
            if m.order and m.order not in known:
                raise ValueError(f"{m}: the model has no mutation {m.order}")
            good.append(m)
        except (OSError, ValueError) as why:
            print(f"BAD       {why}", flush=True)
    return good, len(mutations) - len(good)


# --- A copy of the tree ----------------------------------------------------------------------------

def target(test):
    return f"build/{'unit' if test.startswith('test_') else 'replay'}/{test}"


def make(folder, targets, jobs=1):
    """Output of a build that failed, None of one that did not."""
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    command = ["make", "-s", f"-j{jobs}", *targets]
    if os.environ.get("CC"):
        command.append("CC=" + os.environ["CC"])
    done = subprocess.run(command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", timeout=BUILD_S_MAX, check=False)
    return done.stdout if done.returncode else None


class Copy:
    """The tree and its objects as hard links: what make writes anew is a new file."""

    def __init__(self, number, tests):
        self.folder = WORK / f"copy{number}"
        shutil.rmtree(self.folder, ignore_errors=True)
        listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True,
                                stdout=subprocess.PIPE, text=True).stdout.splitlines()
        built = [str(p.relative_to(ROOT)) for p in (ROOT / BUILT).rglob("*") if p.is_file()]
        self.files = {name: ROOT / name for name in [*listed, *built, *map(target, tests)] if (ROOT / name).is_file()}
        for name in self.files:
            self.restore(name)

    def restore(self, name):
        mine = self.folder / name
        mine.parent.mkdir(parents=True, exist_ok=True)
        mine.unlink(missing_ok=True)
        # make's lists of dependencies are written in place, so they are copied.
        if name.endswith(".d"):
            shutil.copy2(self.files[name], mine)
        else:
            os.link(self.files[name], mine)

    def reset(self):
        for name, original in self.files.items():
            mine = self.folder / name
            if not mine.exists() or mine.stat().st_mtime_ns != original.stat().st_mtime_ns:
                self.restore(name)

    def write(self, name, text):
        (self.folder / name).unlink()
        (self.folder / name).write_text(text)


def run_test(folder, test, seconds_max):
    """What noticed, or None."""
    corpus = pathlib.Path(folder) / "tests/fuzz/corpus" / test
    command = [target(test)] + ([str(corpus)] if corpus.is_dir() else [])
    with subprocess.Popen(command, cwd=folder, env=run_unit.ENVIRONMENT, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True) as process:
        try:
            output = process.communicate(timeout=seconds_max)[0].decode("utf-8", "replace")
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return f"{test}: more than {seconds_max:.0f} s"
    if process.returncode == 0:
        return None
    names = sorted(set(FAILED_TEST.findall(output)))
    if names:
        return f"{test}: {', '.join(names[:3])}{' ...' if len(names) > 3 else ''}"
    return f"{test}: ends with status {process.returncode}"


# --- The run ----------------------------------------------------------------------------------------

def baseline(tests):
    """{test: seconds it may take}; the tests must pass on the code as it is."""
    problem = make(ROOT, [target(t) for t in tests], JOBS)
    if problem:
        sys.exit(f"{problem}mutants: the tree does not build\n0 passed, 1 failed")

    def once(test):
        started = time.monotonic()
        return test, run_test(ROOT, test, run_unit.TIMEOUT_S), time.monotonic() - started
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        results = list(pool.map(once, tests))
    broken = [noticed for _, noticed, _ in results if noticed]
    if broken:
        sys.exit("\n".join(broken) + "\nmutants: the tests fail without any mutation\n0 passed, 1 failed")
    return {test: 10 + 10 * seconds for test, _, seconds in results}


def attempt(copies, mutation, limits):
    """(what noticed or None, problem or None)"""
    copy = copies.get()
    try:
        copy.write(mutation.path, mutation.apply((ROOT / mutation.path).read_text()))
        for test in mutation.tests:
            problem = make(copy.folder, [target(test)])
            if problem:
                return None, "does not compile:\n" + problem[-1500:]
            noticed = run_test(copy.folder, test, limits[test])
            if noticed:
                return noticed, None
        return None, None
    finally:
        copy.reset()
        copies.put(copy)


def run(mutations, bad):
    started = time.monotonic()
    tests = sorted({t for m in mutations for t in m.tests})
    limits = baseline(tests)
    copies = queue.Queue()
    for number in range(JOBS):
        copies.put(Copy(number, tests))
    passed, failed, orders = 0, [f"{bad} that cannot be applied, see above"] if bad else [], []
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        tried = pool.map(lambda m: attempt(copies, m, limits), mutations)
        for mutation, (noticed, problem) in zip(mutations, tried):
            if problem:
                failed.append(f"{mutation}: {problem}")
                print(f"BAD       {mutation}: {problem}", flush=True)
            elif mutation.order and not noticed:
                orders.append(f"model     {mutation} -- only the model can: {mutation.order}")
            elif noticed:
                passed += 1
                print(f"noticed   {mutation} -- {noticed}", flush=True)
            else:
                failed.append(str(mutation))
                print(f"SURVIVED  {mutation} -- not by {', '.join(mutation.tests)}", flush=True)
    print("\n".join(orders))
    if failed:
        print("\nnot noticed:\n    " + "\n    ".join(failed))
    print(f"mutants: {len(mutations)} mutations in {time.monotonic() - started:.0f} s, "
          f"{len(orders)} of memory order left to the model")
    n_failed = len(failed) + max(0, bad - 1)
    print(f"{passed} passed, {n_failed} failed")
    return 1 if failed or not passed else 0


def main(args):
    options = [a for a in args if a.startswith("--")]
    words = [a for a in args if not a.startswith("--")]
    mutations = [m for m in load() if not words or any(w in str(m) for w in words)]
    if options == ["--list"]:
        print("\n".join(map(str, mutations)))
        return 0
    mutations, bad = check(mutations)
    if options == ["--check"]:
        print(f"{len(mutations)} passed, {bad} failed")
        return 1 if bad else 0
    return run(mutations, bad)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
