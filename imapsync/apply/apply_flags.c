/* SPDX-License-Identifier: ISC */
/*
 * apply_flags: flags are only added and taken away, never set, so what the target's user has done
 * to other flags stays.
 *
 * Where the plan knows the target's flags as of a MODSEQ and the end can guard, a message that
 * somebody has changed since is left for the next pass.  Our own adding counts as such a change, so
 * a taking away behind it goes without the guard, and only for those that passed it.
 *
 * Where the end tells what came of it, what is not there is set once more.
 *
 * Flags that the target refuses, or drops, are not common to both sides, and the next pass may try
 * again.
 */
#include <stdlib.h>

#include "base/core/mem.h"
#include "imapsync/apply/apply_parts.h"

static uint64_t guard(const struct apply_window *w, const struct apply_group *g)
{
    bool can = w->job->target->ops->can(w->job->target) & END_CAN_GUARD;
    return can && !g->part.is_ours ? g->folder->modseq : 0;
}

static bool has_two_steps(const struct apply_window *w, const struct apply_group *g)
{
    return guard(w, g) != 0 && !flags_empty(&g->part.add) && !flags_empty(&g->part.remove);
}

static void prepare(struct apply_window *w, struct apply_group *g)
{
    (void)w;
    g->intent.add = g->change->add;
    g->intent.remove = g->change->remove;
}

static void store(struct apply_window *w, struct apply_group *g, bool is_removal, uint64_t since,
    struct end_ticket *t)
{
    struct end *e = w->job->target;
    const struct end_flags f = {.is_removal = is_removal,
        .flags = is_removal ? &g->part.remove : &g->part.add,
        .keywords = g->folder->keywords,
        .unchanged_since = since,
        .there = is_removal ? NULL : &g->again->there};
    t->result = END_PENDING;
    e->ops->flags(e, g->uids, g->n_uids, &f, since != 0 ? &g->answer : NULL, t);
}

/* Adding, or taking away, and without a guard both; then what had to wait for the guard. */
static void begin(struct apply_window *w, struct apply_group *g)
{
    bool adds = !flags_empty(&g->part.add), removes = !flags_empty(&g->part.remove);
    uint64_t since = g->step == 0 ? guard(w, g) : 0;
    if (g->step == 0 && adds) {
        (void)apply_look_again(g);
        store(w, g, false, since, &g->first);
    }
    if (removes && (g->step > 0 || !has_two_steps(w, g)))
        store(w, g, true, since, &g->second);
}

/* Of one message; one that is not there, or was not told, lacks nothing. */
static struct flags dropped(const struct apply_group *g, size_t k)
{
    const struct listed *l = end_changes_find(&g->again->there, g->uids[k]);
    return l && l->has_flags ? flags_minus(&g->part.add, &l->flags) : (struct flags){0};
}

/* Flags that were set with an OK, and are not there: set once more, and then named. */
static void check(struct apply_window *w, struct apply_group *g)
{
    struct apply_lost all = {0};
    uint32_t *places = mem_realloc_array(NULL, g->n_uids + 1, sizeof(*places));
    size_t n = 0;
    end_changes_finish(&g->again->there);
    for (size_t k = 0; k < g->n_uids; k++) {
        struct flags less = dropped(g, k);
        if (flags_empty(&less))
            continue;
        places[n++] = g->which[k];
        all.add = flags_or(&all.add, &less);
    }
    if (n > 0 && g->part.is_second)
        apply_spare(w, g, places, n, &all, "it says OK, and they are not there");
    else if (n > 0)
        apply_set_again(g, &all.add);
    free(places);
}

static bool answered(struct apply_window *w, struct apply_group *g)
{
    const struct err *why = NULL;
    bool is_taken = apply_is_taken(w, g, &g->first, &why) & apply_is_taken(w, g, &g->second, &why);
    if (why)
        return apply_halve(w, g, why);
    if (!is_taken)
        return true;
    if (g->step == 0)
        apply_take_out(w, g, &g->answer);
    if (g->step == 0 && !flags_empty(&g->part.add))
        check(w, g);
    if (g->step == 0 && has_two_steps(w, g))
        return false;
    apply_taken(w, g);
    return apply_next_part(w, g);
}

/* What both sides have in common is without the flags that the target has refused to add, and with
 * those that it has refused to take away. */
static struct flags common(const struct apply_group *g, size_t k)
{
    struct flags now = g->change->now;
    if (!g->lost)
        return now;
    now = flags_minus(&now, &g->lost[k].add);
    return flags_or(&now, &g->lost[k].remove);
}

static bool has_some(const struct apply_group *g, size_t k)
{
    if (!g->lost)
        return true;
    struct flags add = flags_minus(&g->change->add, &g->lost[k].add);
    struct flags remove = flags_minus(&g->change->remove, &g->lost[k].remove);
    return !flags_empty(&add) || !flags_empty(&remove);
}

static void put(struct apply_window *w, struct apply_group *g)
{
    struct journal *j = w->job->journal;
    for (size_t k = 0; k < g->n_uids; k++) {
        const struct plan_op *op = g->ops[g->which[k]];
        journal_pair_put(j, g->folder->record->id,
            &(struct pair){.src_uid = op->src_uid,
                .tgt_uid = op->tgt_uid,
                .state = op->src_uid != 0 ? PAIR_STORED : PAIR_GONE,
                .is_touched = op->is_touched,
                .flags = common(g, g->which[k])},
            NULL);
        w->job->n_flagged += has_some(g, g->which[k]);
        g->folder->n_flagged += has_some(g, g->which[k]);
    }
}

const struct apply_kind apply_flags = {
    .intent = INTENT_FLAGS, .prepare = prepare, .begin = begin, .answered = answered, .put = put};
