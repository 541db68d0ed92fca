#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Takes the best of what fuzzing found (build/fuzz/corpus) into the corpus of the tree.

    fuzz_corpus.py [NAME...]     NAME: fuzz_header, ... (default: all that have a source)

Files whose name a person gave (seeds, crashes of the past) stay for ever.  Beside them libFuzzer's
merge mode says which features of the code each input reaches, and the inputs that add most for
their size are taken, up to FILES_MAX files and BYTES_MAX octets a target, under the name of their
hash.  Running it again with nothing new changes nothing.  Ends with `N passed, N failed`.
"""
import hashlib
import pathlib
import re
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

import run_fuzz

FILES_MAX = 40
BYTES_MAX = 64 * 1024
CHOSEN = re.compile(r"[0-9a-f]{40}")
MERGE_S_MAX = 600


def features_of(name, files):
    """{file: set of features}: what libFuzzer's merge wrote into its control file."""
    with tempfile.TemporaryDirectory(dir=run_fuzz.ROOT / "build/fuzz") as work:
        work = pathlib.Path(work)
        (work / "in").mkdir()
        (work / "out").mkdir()
        by_name = {}
        for path in files:
            copy = work / "in" / hashlib.sha1(path.read_bytes()).hexdigest()
            by_name.setdefault(copy.name, path)
            shutil.copyfile(path, copy)
        control = work / "control"
        status, text = run_fuzz.run(
            name, ["-merge=1", f"-merge_control_file={control}", work / "out", work / "in"], MERGE_S_MAX)
        if status != 0 or run_fuzz.FINDING.search(text):
            raise RuntimeError(text[-3000:])
        lines = control.read_text().splitlines()
    count = int(lines[0])
    paths = [by_name[pathlib.Path(line).name] for line in lines[2:2 + count]]
    features = {}
    for line in lines[2 + count:]:
        words = line.split()
        # Each input lists only what no smaller one had reached, so the sets share nothing.
        if words[0] == "FT":
            features[paths[int(words[1])]] = set(words[2:])
    return features


def choose(features, kept, room):
    """Inputs with most new features first, small before large, until nothing is new or room ends."""
    reached = set().union(*(features.get(path, set()) for path in kept)) if kept else set()
    left = {path: found for path, found in features.items() if path not in kept}
    files, octets = room
    chosen = []
    while files > 0:
        fitting = [p for p in left if p.stat().st_size <= octets and left[p] - reached]
        if not fitting:
            break
        best = max(fitting, key=lambda p: (len(left[p] - reached), -p.stat().st_size, p.name))
        reached |= left.pop(best)
        chosen.append(best)
        files, octets = files - 1, octets - best.stat().st_size
    return chosen


def renew(name):
    """(name, problem or None, what was done)"""
    corpus = run_fuzz.CORPUS / name
    corpus.mkdir(parents=True, exist_ok=True)
    mine = [p for p in sorted(corpus.iterdir()) if p.is_file()]
    kept = [p for p in mine if not CHOSEN.fullmatch(p.name)]
    earlier = [p for p in mine if p not in kept]
    found = run_fuzz.FOUND / name
    fresh = [p for p in sorted(found.iterdir()) if p.is_file()] if found.is_dir() else []
    try:
        features = features_of(name, [*kept, *earlier, *fresh])
    except RuntimeError as why:
        return name, "merge failed", str(why)
    chosen = choose(features, kept, (FILES_MAX - len(kept), BYTES_MAX - sum(p.stat().st_size for p in kept)))
    content = {hashlib.sha1(p.read_bytes()).hexdigest(): p.read_bytes() for p in chosen}
    for path in earlier:
        if path.name not in content:
            path.unlink()
    for digest, octets in content.items():
        (corpus / digest).write_bytes(octets)
    return name, None, f"{len(kept)} kept, {len(content)} chosen of {len(features)}"


def main():
    names = run_fuzz.targets(sys.argv[1:])
    failed = 0
    with ThreadPoolExecutor(2) as pool:
        for name, problem, said in pool.map(renew, names):
            failed += problem is not None
            print(f"{name}: {problem + ': ' if problem else ''}{said}", flush=True)
    print(f"{len(names) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
