# SPDX-License-Identifier: ISC
"""The largest folder of bench_follow alone: a first copy, one new message, and a little of everything changed.

BENCH_LARGE=N sets its size (100,000).
"""
import bench_follow

TITLE = "A large folder that has changed: seconds and processor time"


def run():
    with bench_follow.site() as (boxes, runner, lines, *_):
        return "\n".join(bench_follow.table(bench_follow.largest(boxes, runner, lines)))
