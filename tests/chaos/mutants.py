# SPDX-License-Identifier: ISC
"""Does the harness bite?  The programs are broken in ways that lose, double or misroute mail, and the judge has to name it.

    main(one, words=())     each mutation (or those whose description has one of the words); the exit status
    mutants.py --check      only: is each mutated piece still in its file, exactly once? (make lint)

A mutation is made in a copy of the tree, as those of tests/mutants are (tests/tools/mutate.py), and the programs are built
there.  Its schedule leads to the place where it matters; a whole program passes the same schedule (main checks that too).
"""
import os
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

import mutate  # noqa: E402
from judge import faults  # noqa: E402
from schedule import parse  # noqa: E402

FOUND_MIN_PERCENT = 95
TRIES = 3            # how a schedule and a program meet is up to the machine

MAIL = """\
mail smtp ann 6
mail lmtp bob 3
pass 300
"""
LOST_REPLY = """\
mail smtp ann 1
pass 300
lose old.lmtp
mail smtp ann 2
pass 300
"""
LOST_TARGET = """\
close old.lmtp
mail smtp ann 1
pass 300
open old.lmtp
"""
# A delivery whose dot is on its way while its user is moved.
UNDER_WAY = """\
fill ann 2
mail smtp ann 1
pass 300
hang old.lmtp
mail smtp ann 1
pass 300
move ann new
until ann flipped
open old.lmtp
"""
AND_KILLED = UNDER_WAY.replace("move ann new", "kill relay-worker\nmove ann new")
# A client takes its time between RCPT and the dot.
SLOW_CLIENT = """\
fill ann 2
hang door.smtp
mail smtp ann 1
pass 500
move ann new
until ann done
open door.smtp
"""
MOVED = """\
fill ann 7
move ann new
until ann done
"""
LATE = """\
fill ann 3
move ann new
until ann done
late ann INBOX
late ann Work
"""
CHANGED_BEFORE = """\
daemon
fill ann 7
move ann new
until ann copying
rollback ann
until ann done
pass 100
do ann delete 2
do ann flag 3 +\\Answered
do ann flag 4 +\\Flagged
do ann move 5 Work
move ann new
until ann done
"""
BACK = """\
fill ann 7
move ann new
until ann done
do ann delete 2
do ann flag 3 +\\Answered
do ann flag 4 +\\Flagged
late ann INBOX
move ann old
until ann done
"""
# The mover dies while mail waits, and clients come.
HELD = """\
daemon
fill ann 4
slow new.imap 25
move ann new
until ann holding
kill sync
mail mx ann 2
mail smtp ann 2
pass 600
"""
# Path, what breaks, the code, what stands there instead, the program, its schedule, what the judge may call it.
MUTATIONS = [
    ("relay/data_codec.c", "a dot is not doubled", 'put(&sink, in.p + from, i - from); put(&sink, ".", 1); from = i;',
     "put(&sink, in.p + from, i - from); from = i;", "relay", MAIL, {"CORRUPT", "STUCK", "LOST", "GHOST"}),
    ("relay/cutthrough.c", "a lost answer to the dot is a known outcome", "ct->is_ambiguous = true; ct->todo |= CUT_UNCLAIM;",
     "ct->todo |= CUT_UNCLAIM;", "relay", LOST_REPLY, {"DUP"}),
    ("relay/session_target.c", "a route that has changed since RCPT is gone to all the same", "case CLAIMS_CHANGED:",
     "case CLAIMS_CHANGED: cutthrough_claimed(ct, NULL); return;", "relay", SLOW_CLIENT, {"MISROUTED"}),
    ("maps/claims.c", "a claim has no key", None, None, "relay", UNDER_WAY, {"MISROUTED"}),
    ("maps/claims.c", "the second look-up is left out", None, None, "relay", SLOW_CLIENT, {"MISROUTED"}),
    ("maps/claims_scan.c", "a claim before its dot is no claim", None, None, "mapd", UNDER_WAY, {"MISROUTED"}),
    ("maps/claims_scan.c", "a dead process's claims are forgotten", None, None, "mapd", AND_KILLED, {"MISROUTED"}),
    ("relay/answer.c", "a lost connection is a refusal", None, None, "relay", LOST_TARGET, {"REFUSED"}),
    ("imapsync/move/sweep.c", "a sweep copies nothing", "if (move_job_pass(j, policy, &new, err) != 0) return -1; late += new;",
     "new = 0; (void)policy; late += new;", "sync", LATE, {"LOST", "STUCK"}),
    ("imapsync/plan/policy.c", "what is deleted before the flip stays on new", ".deletions = PLAN_DELETIONS_REMOVE,",
     ".deletions = PLAN_DELETIONS_STAY,", "sync", CHANGED_BEFORE, {"RESURRECTED"}),
    ("imapsync/plan/policy.c", "what is deleted on new stays on old on the way back", ".deletions = PLAN_DELETIONS_TRASH,",
     ".deletions = PLAN_DELETIONS_STAY,", "sync", BACK, {"RESURRECTED"}),
    ("imapsync/ends/imap_append.c", "flags do not come along", "if (m->flags)", "if (m->flags && false)", "sync", MOVED, {"FLAGDIFF", "STUCK"}),
    ("imapsync/ends/imap_append.c", "dates do not come along", "if (m->has_date) {", "if (m->has_date && false) {", "sync", MOVED,
     {"FLAGDIFF", "STUCK"}),
    ("maps/decide.c", "a hold is deferred with a code for good", None, None, "relay", HELD, {"REFUSED"}),
]


def mutation(row):
    """Those without code are of tests/mutants, where the tests that answer for the file know them too."""
    path, what, code, instead = row[:4]
    if code is None:
        return next(m for m in mutate.load() if m.path == path and m.what == what)
    return mutate.Mutation(path, [], what, code, instead)


class Tree(mutate.Copy):
    """With the programs as they are, so that only what depends on the mutation is made anew."""

    def __init__(self):
        super().__init__("-chaos", [])
        for path in (mutate.ROOT / "build/asan").iterdir():
            self.files[str(path.relative_to(mutate.ROOT))] = path
            self.restore(str(path.relative_to(mutate.ROOT)))


def found(one, schedule, kinds, tries=TRIES):
    """What the judge has said that may be said of it, and all that it has said."""
    said = []
    for _ in range(tries):
        result, folder = one(parse(schedule), "mutant")
        shutil.rmtree(folder, ignore_errors=True)
        said += [str(verdict)[:300] for verdict in faults(result.verdicts)]
        if kinds & {verdict.kind for verdict in faults(result.verdicts)}:
            return said[-1], said
    return None, said


def main(one, words=()):
    rows = [row for row in MUTATIONS if not words or any(word in " ".join(row[:2]) for word in words)]
    passed, failed = 0, 0
    for schedule in sorted({row[5] for row in rows}):
        whole, said = found(one, schedule, set(), tries=1)
        if said:
            failed += 1
            print(f"FAILED    nothing is broken, and it is found: {said}\n{schedule}", flush=True)
    tree = Tree()
    for row in rows:
        made = mutation(row)
        tree.reset()
        tree.write(made.path, made.apply((mutate.ROOT / made.path).read_text()))
        problem = mutate.make(tree.folder, [f"build/asan/coexist-{row[4]}"], mutate.JOBS)
        if problem:
            print(f"BAD       {made}: it does not build:\n{problem}", flush=True)
            failed += 1
            continue
        os.environ["COEXIST_BIN"] = str(Path(tree.folder) / "build/asan")
        name, said = found(one, row[5], row[6])
        del os.environ["COEXIST_BIN"]
        passed, failed = (passed + 1, failed) if name else (passed, failed + 1)
        print(f"{'found' if name else 'NOT FOUND'}     {made}: {name or said}", flush=True)
    shutil.rmtree(tree.folder, ignore_errors=True)
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and 100 * passed >= FOUND_MIN_PERCENT * (passed + failed) else 1


if __name__ == "__main__":
    sys.exit(1 if mutate.check([mutation(row) for row in MUTATIONS])[1] else 0)
