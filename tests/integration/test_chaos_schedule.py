# SPDX-License-Identifier: ISC
"""Schedules of tests/chaos as text, from seeds, and made shorter; the rest of the harness is looked at by `chaos.py --teeth`."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "chaos"))

from schedule import WORDS, Schedule, ScheduleError, generate, parse, shrink  # noqa: E402


def test_a_seed_is_the_same_schedule_always_and_as_text():
    verbs = set()
    for seed in range(300):
        schedule = generate(seed)
        assert schedule.text() == generate(seed).text()
        assert parse(schedule.text(), seed) == schedule
        verbs |= {step[0] for step in schedule.steps}
    assert verbs == set(WORDS)
    assert generate(1) != generate(2)


def test_remarks_are_no_steps():
    assert parse("# of last night\n\n  move ann new \n").steps == [["move", "ann", "new"]]


@pytest.mark.parametrize("line, why", [
    ("jump ann", "no such step"), ("move ann", "it has the words"), ("move ann north", "none of old, new"), ("fill ann x", "no number"),
    ("mail smtp ann,zoe 1", "no list of"), ("do ann flag 1 Seen", "no sign"), ("do ann fly 1", "it is: USER append"),
    ("until ann there", "none of prepared"), ("kill postfix", "none of mapd"), ("full now", "it has the words: none")])
def test_what_is_no_step_is_told_with_its_line(line, why):
    with pytest.raises(ScheduleError, match=f"line 2: {line}: .*{why}"):
        parse(f"room\n{line}\n")


def test_shrinking_keeps_what_the_failure_needs():
    steps = [[f"s{number}"] for number in range(24)]
    tried = []

    def fails(schedule):
        tried.append(schedule)
        names = [step[0] for step in schedule.steps]
        return "s5" in names and "s17" in names and names.index("s5") < names.index("s17")
    assert shrink(Schedule(steps), fails).steps == [["s5"], ["s17"]]
    assert len(tried) <= 60
