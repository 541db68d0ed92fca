#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""The proof harness: real programs, real servers, faults from a seed, and a judge (docs/chaos.md).

    chaos.py                        so many schedules (-n, 40), from --first on, several at a time
    chaos.py --seed 17 [--shrink]   one of them, told as a story; its folder stays in build/chaos
    chaos.py --replay FILE          a schedule that was kept
    chaos.py --print 17             the schedule of a seed
    chaos.py --teeth                what the judge finds of faults that are planted
    chaos.py --mutants [WORD...]    what it finds of programs that are broken on purpose

Exit status: 0 nothing was lost, doubled, misrouted or worse; 1 something was; 69 without the servers, 77 without root.
"""
import argparse
import collections
import multiprocessing
import os
import shutil
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent / "tools"), str(HERE.parent / "integration")]

import mutants  # noqa: E402
import peers  # noqa: E402
import sabotage  # noqa: E402
import teeth  # noqa: E402
from judge import Verdict, faults  # noqa: E402
from run import Result, run  # noqa: E402
from schedule import Schedule, ScheduleError, generate, parse, shrink  # noqa: E402
from world import end_with_parent, enter_namespace  # noqa: E402

EX_USAGE, EX_UNAVAILABLE, EX_NOPERM = 64, 69, 77
LONGEST_S = 300      # a run that takes longer hangs
WORK = ROOT / "build" / "chaos"
KEPT_MAX = 20        # folders of failed runs,
STORIES_MAX = 2      # and how many of them are told at once


def child(schedule, folder, out, sabotage=None):
    """In a process of its own: its threads, mounts, ports and servers end with it."""
    os.setsid()
    end_with_parent()
    try:
        enter_namespace()
        result = run(schedule, folder, sabotage)
    except Exception as problem:  # noqa: BLE001 - whatever it is, it is this run's result
        import traceback
        text = "".join(traceback.format_exception(problem))
        result = Result(schedule.seed, [Verdict("CRASHED", "", "", f"the harness: {text}")])
    out.send(result)
    out.close()


class Running:
    """One run in a process of its own."""

    def __init__(self, schedule, name, sabotage=None):
        self.schedule, self.folder = schedule, WORK / name
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.folder.chmod(0o755)
        self.pipe, out = multiprocessing.Pipe(duplex=False)
        self.process = multiprocessing.Process(target=child, args=(schedule, self.folder, out, sabotage))
        self.process.start()
        out.close()
        self.deadline = time.monotonic() + LONGEST_S

    def result(self):
        """None as long as it runs."""
        if not self.pipe.poll(0):
            if self.process.is_alive() and time.monotonic() < self.deadline:
                return None
            if not self.pipe.poll(0):
                # Its servers end with the pipe that they hold, and its programs by their reaper.
                self.process.kill()
                return self.over(Result(self.schedule.seed, [Verdict("STUCK", "", "", f"no end within {LONGEST_S} s")]))
        try:
            return self.over(self.pipe.recv())
        except EOFError:
            return self.over(Result(self.schedule.seed, [Verdict("CRASHED", "", "", "the run's process ended by itself")]))

    def over(self, result):
        self.process.join(20)
        self.pipe.close()
        return result


def one(schedule, name, sabotage=None):
    running = Running(schedule, name, sabotage)
    while (result := running.result()) is None:
        time.sleep(0.02)
    return result, running.folder


def many(first, count, jobs, report):
    """Runs them, jobs at a time; report(result, folder) for each."""
    seeds, at_work = iter(range(first, first + count)), []
    is_over = False
    while at_work or not is_over:
        while not is_over and len(at_work) < jobs:
            seed = next(seeds, None)
            is_over = seed is None
            if not is_over:
                at_work.append(Running(generate(seed), f"seed-{seed}"))
        for running in list(at_work):
            result = running.result()
            if result is not None:
                at_work.remove(running)
                report(result, running.folder)
        time.sleep(0.02)


class Report:
    def __init__(self, count):
        self.count, self.done, self.failed, self.kept = count, 0, [], 0
        self.sums, self.explained, self.started = collections.Counter(), 0, time.monotonic()
        self.said = self.started

    def __call__(self, result, folder):
        wrong = faults(result.verdicts)
        self.done += 1
        self.sums.update({name: getattr(result, name) for name in ("accepted", "acts", "flips", "back")})
        self.explained += len(result.verdicts) - len(wrong)
        if wrong:
            self.failed.append(result.seed)
            print(f"chaos: seed {result.seed}: " + "; ".join(str(verdict) for verdict in wrong[:4]), flush=True)
            if self.kept < STORIES_MAX:
                print("\n".join(result.story), flush=True)   # the folder may be out of reach, as in CI
            self.kept += 1
        if not wrong or self.kept > KEPT_MAX:
            shutil.rmtree(folder, ignore_errors=True)
        if time.monotonic() - self.said > 60:
            self.said = time.monotonic()
            print(f"chaos: {self.done} of {self.count} schedules, {len(self.failed)} failed; "
                  f"{(self.said - self.started) / self.done:.2f} s each", flush=True)


def summary(verdicts):
    counts = collections.Counter(verdict.kind for verdict in verdicts)
    return ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())) or "nothing is wrong"


def tell(result, folder):
    print("\n".join(result.story))
    for verdict in result.verdicts:
        print(verdict)
    print(f"chaos: {summary(result.verdicts)}; {result.seconds:.1f} s; logs in {folder.relative_to(ROOT)}")


def shorten(schedule, wrong):
    """A candidate counts when any of its runs has a fault of a kind that the whole one had."""
    kinds, number = {verdict.kind for verdict in wrong}, [0]

    def fails(candidate):
        number[0] += 1
        for _ in range(2):
            result, folder = one(candidate, f"shrink-{schedule.seed}")
            shutil.rmtree(folder, ignore_errors=True)
            if kinds & {verdict.kind for verdict in faults(result.verdicts)}:
                print(f"chaos: {len(candidate.steps)} steps fail", flush=True)
                return True
        return False
    short = shrink(schedule, fails)
    path = WORK / f"seed-{schedule.seed}.schedule"
    path.write_text(short.text())
    print(f"chaos: {len(short.steps)} of {len(schedule.steps)} steps, in {path.relative_to(ROOT)}:\n{short.text()}", end="")


def single(schedule, name, is_shrunk):
    result, folder = one(schedule, name)
    tell(result, folder)
    wrong = faults(result.verdicts)
    if wrong and is_shrunk:
        shorten(schedule, wrong)
    return 1 if wrong else 0


def bite():
    """The judge on what is made up, and on what is planted into real mailboxes; 0 when it finds it."""
    status = teeth.main()
    result, folder = one(parse(sabotage.SCHEDULE), "planted", sabotage.spoil)
    missed, invented = sabotage.missed(faults(result.verdicts))
    print(f"chaos: {len(sabotage.PLANTED) - len(missed)} of {len(sabotage.PLANTED)} faults found that were planted into real mailboxes")
    if missed or invented:
        print(f"chaos: not found: {missed}; found and not planted: {invented}; {folder.relative_to(ROOT)}\n" + "\n".join(map(str, result.verdicts)))
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return status


def main():
    parser = argparse.ArgumentParser(description="Real programs and servers, faults from a seed, and a judge.")
    parser.add_argument("-n", type=int, default=40, help="so many schedules (40)")
    parser.add_argument("--first", type=int, default=1, help="the first seed (1)")
    parser.add_argument("--jobs", type=int, default=3 * (os.cpu_count() or 2), help="at a time (three for each core)")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--replay", metavar="FILE", help="the schedule in this file")
    parser.add_argument("--shrink", action="store_true", help="if it fails, leave steps out as long as it does")
    parser.add_argument("--print", type=int, metavar="SEED", dest="shown", help="the schedule of a seed")
    parser.add_argument("--teeth", action="store_true", help="only what the judge finds of planted faults")
    parser.add_argument("--mutants", nargs="*", metavar="WORD", help="only what is found of programs that are broken on purpose")
    args = parser.parse_args()
    if args.shown is not None:
        print(generate(args.shown).text(), end="")
        return 0
    if os.geteuid() != 0:
        print("chaos: guest servers need root for their private mounts: run it as root, or with sudo", file=sys.stderr)
        return EX_NOPERM
    try:
        peers.get(["dovecot", "postfix", "cyrus"])
        if args.mutants is not None:
            return mutants.main(one, args.mutants)
        if args.teeth:
            return bite()
        if args.replay:
            return single(parse(Path(args.replay).read_text()), "replay", args.shrink)
    except peers.PeersError as problem:
        print(f"chaos: {problem}", file=sys.stderr)
        return EX_UNAVAILABLE
    except (ScheduleError, OSError) as problem:
        print(f"chaos: {args.replay}: {problem}", file=sys.stderr)
        return EX_USAGE
    if args.seed is not None:
        return single(generate(args.seed), f"seed-{args.seed}", args.shrink)
    report = Report(args.n)
    many(args.first, args.n, args.jobs, report)
    seconds = time.monotonic() - report.started
    sums = report.sums
    print(f"chaos: {report.done} schedules in {seconds:.0f} s: {sums['accepted']} messages accepted, {sums['acts']} acts of users, "
          f"{sums['flips']} flips ({sums['back']} of them back); {report.explained} messages doubled by acknowledgements that were lost")
    for seed in report.failed:
        print(f"chaos: tests/chaos/chaos.py --seed {seed} --shrink")
    print(f"{report.done - len(report.failed)} passed, {len(report.failed)} failed")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
