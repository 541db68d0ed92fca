# SPDX-License-Identifier: ISC
"""What is copied by a filter, what a dry run does, and what people see."""

GROUPS = [
    ("imapsync/plan/filter.c", ["test_filter"], [
        ("the first day that is left out is copied",
         "(!f->has_before || day < f->before)",
         "(!f->has_before || day <= f->before)"),
        ("days are those of UTC",
         "day_of(m->date_s + m->zone_min * INT64_C(60))",
         "day_of(m->date_s)"),
        ("a message of which no size is told is left out",
         "return !m->has_size || m->size == 0 ||",
         "return"),
        ("one of the flags is enough",
         "for (size_t i = 0; m->has_flags && i < f->n_with; i++)",
         "for (size_t i = 0; m->has_flags && i < f->n_with && i < 1; i++)"),
    ]),
    ("imapsync/plan/plan.c", ["test_plan_mirror"], [
        ("a filter keeps away what takes the place of a copy that goes",
         "!f->is_released && plan_message_of",
         "plan_message_of"),
    ]),
    ("imapsync/copy/filtered.c", ["test_copy_filter"], [
        ("a folder of which something was left out is not listed again",
         "w->n_exceptions++;",
         ""),
    ]),
    ("imapsync/copy/verify_folder.c", ["test_copy_filter"], [
        ("what was left out is missing",
         "if (filtered_has(k->c, k->record.id, uid))",
         "if (false)"),
    ]),
    ("imapsync/ends/dry_end.c", ["test_copy_dry"], [
        ("a dry run makes folders",
         "bool is_good = folder_list_add(&dry_of(end)->made, name, -1, 0, use, &err) == 0;",
         "bool is_good = true; inner_of(end)->ops->make(inner_of(end), name, use, &(struct end_ticket){0}); (void)err;"),
    ]),
    ("imapsync/copy/report.c", ["test_report"], [
        ("a pass that is begun again counts what failed twice",
         "if (!is_verdict(&rows[i]) && rows[i].merge == MERGE_LAST)",
         "if (!is_verdict(&rows[i]) && rows[i].merge == MERGE_MOST)"),
    ]),
    ("imapsync/speed.c", ["test_speed"], [
        ("the speed is that of the whole run",
         "if (s->newest.ms - s->v[next].ms <= window_ms)",
         "if (s->newest.ms - s->v[next].ms <= 1000 * window_ms)"),
        ("a stop is not seen",
         "return &s->v[at];",
         "return &s->v[(at + 1) % SPEED_SAMPLES];"),
    ]),
    ("imapsync/summary.c", ["test_summary"], [
        ("what the second pass has copied replaces what the first one had",
         "to.copied += was->copied;",
         ""),
    ]),
    ("imapsync/width.c", ["test_bar"], [
        ("wide characters count as one",
         "code) ? 2 : 1;",
         "code) ? 1 : 1;"),
    ]),
]
