# SPDX-License-Identifier: ISC
"""Dates that only headers tell, and what a target refuses or does not keep."""

GROUPS = [
    ("imapsync/ends/arrival.c", ["test_arrival"], [
        ("a date in the future is believed",
         "return s >= 0 && s <= now_s + ARRIVAL_AHEAD_S;",
         "(void)now_s; return s >= 0;"),
        ("two digits are always of the last century",
         "p->year += p->year < 50 ? 2000 : 1900;",
         "p->year += 1900;"),
        ("the last Date counts",
         'if (slice_eq_nocase(f.name, SLICE_LIT("Date")) && !date.p)',
         'if (slice_eq_nocase(f.name, SLICE_LIT("Date")))'),
    ]),
    ("imapsync/ends/imap_attributes.c", ["test_imap_whole"], [
        ("who asks what the server has gets what the header tells",
         "if (q->want & END_WANT_FLAGS && lacks(q, q->uids[i]) & END_WANT_DATES)",
         "if (lacks(q, q->uids[i]) & END_WANT_DATES)"),
    ]),
    ("imapsync/copy/pass_flags.c", ["test_copy_refusals"], [
        ("what does not go is sent with every sweep",
         "if (all->c->tell.n_held == 0) return;",
         "return;"),
        ("the folders of what rests are not looked at again",
         "pass_leave_op(all, op);",
         "(void)op;"),
        ("what rests is told as mended",
         "copy_tell_rests(",
         "if (false) copy_tell_rests("),
        ("what has nowhere to go rests",
         ".never_rests = s->has_no_place",
         ".never_rests = false"),
    ]),
    ("imapsync/apply/apply_halves.c", ["test_copy_refusals"], [
        ("those that are left speak for the folder",
         "g->has_taken || g->ops[g->which[0]]->was_refused",
         "g->has_taken"),
        ("the second flag is guarded against the first",
         "second.is_ours = true;",
         "second.is_ours = false;"),
        ("messages are halved for ever",
         "if (g->alone->n == APPLY_ALONE_MAX) spare_all(w, g);",
         "if (g->alone->n == APPLY_ALONE_MAX) g->alone->n = 0;"),
    ]),
    ("imapsync/apply/apply_flags.c", ["test_copy_refusals"], [
        ("what was refused is common to both",
         "now = flags_minus(&now, &g->lost[k].add);",
         "(void)k;"),
        ("what was dropped is not set again",
         "else if (n > 0) apply_set_again(g, &all.add);",
         "else if (false) apply_set_again(g, &all.add);"),
    ]),
    ("imapsync/apply/apply_turns.c", ["test_copy_refusals"], [
        ("marks of a removal that was refused stay",
         "if (g->intent.id != 0 && !(g->is_halved && g->kind == &apply_remove))",
         "if (g->intent.id != 0)"),
    ]),
    ("imapsync/copy/folder_stored.c", ["test_copy_refusals"], [
        ("what was dropped when it was stored is common to both",
         "pairs[i].flags = flags_minus(&pairs[i].flags, &v[i].lacks);",
         "(void)v[i].lacks;"),
    ]),
]
