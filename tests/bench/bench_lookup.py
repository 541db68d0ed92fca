# SPDX-License-Identifier: ISC
"""The map: look-ups per second on one thread, and when another process sees a change."""
import os
import shutil
import statistics
import subprocess

from lib.coexist import Coexist
from lib.guest import ROOT

TITLE = "The map: look-ups and visibility of a change"
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
KEYS = [1000, 100000, 1000000]
WORK = ROOT / "build" / "bench" / "lookup"


def run_helper(name, *args):
    """Its lines as {first word: {key: number}}."""
    done = subprocess.run([ROOT / "build" / "bin" / name, *map(str, args)], check=True, text=True,
                          stdout=subprocess.PIPE, timeout=600)
    return {words[0]: {k: float(v) for k, v in (w.split("=") for w in words[1:])}
            for words in map(str.split, done.stdout.splitlines())}


def lookups():
    out = ["| recipients | bare memory | found | not found | whole decision | found / memory | MiB |", "|---|---|---|---|---|---|---|"]
    for keys in KEYS:
        rounds = [run_helper("bench_lookup", keys, 2) for _ in range(ROUNDS)]

        def median(line, field="per_second"):
            return statistics.median(r[line][field] for r in rounds)
        out.append(f"| {keys:,} | {median('memory'):,.0f} | {median('hit'):,.0f} | {median('miss'):,.0f} | {median('decide'):,.0f} "
                   f"| {median('hit') / median('memory'):.2f} | {median('build', 'mib'):.0f} |")
    return out


def visibility():
    shutil.rmtree(WORK, ignore_errors=True)  # of a run that was killed
    WORK.mkdir(parents=True)
    out = ["| microseconds | p50 | p99 | longest |", "|---|---|---|---|"]
    with Coexist(WORK / "site", plain=True, servers={"old": {"smtp": "smtp://127.0.0.1:2"}}) as site:
        site.init({"user@example.org": "old"})
        rounds = [run_helper("bench_visible", site.run, "user@example.org", 2000) for _ in range(ROUNDS)]
    for line, text in (("reply_to_old", "from mapd's reply to the last look-up elsewhere that saw the old value"),
                       ("reply_to_visible", "from the reply to the first look-up elsewhere that saw the new one"),
                       ("request_to_visible", "from the request to the same")):
        values = [statistics.median(r[line][f] for r in rounds) for f in ("p50_us", "p99_us", "max_us")]
        out.append(f"| {text} | " + " | ".join(f"{v:.1f}" for v in values) + " |")
    return out


def run():
    return "\n".join([
        "Look-ups per second of one thread's processor time, random keys out of the snapshot; \"bare memory\" reads one",
        "octet from a random place of an area of that size, each place known only when the one before was read:", "",
        *lookups(), "",
        "A change of one entry, durable in the database when mapd replies; another process looks it up all",
        "the time. It became visible between the first two lines; 0 is before the client had its reply:", "",
        *visibility(), "", f"Medians of {ROUNDS} rounds."])
