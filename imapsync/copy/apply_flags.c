/* SPDX-License-Identifier: ISC */
/*
 * apply_flags: flags are only added and taken away, never set, so what the target's user has done
 * to other flags stays.
 *
 * Where the plan knows the target's flags as of a MODSEQ and the end can guard, a message that
 * somebody has changed since is left for the next pass.  Our own adding counts as such a change, so
 * a taking away behind it goes without the guard, and only for those that passed it.
 */
#include <stdlib.h>

#include "imapsync/copy/apply_parts.h"

static uint64_t guard(const struct apply_window *w, const struct apply_group *g)
{
    return w->job->target->ops->can(w->job->target) & END_CAN_GUARD ? g->folder->modseq : 0;
}

static void store(struct apply_window *w, struct apply_group *g, bool is_removal, uint64_t since,
    struct end_ticket *t)
{
    struct end *e = w->job->target;
    const struct end_flags f = {.is_removal = is_removal,
        .flags = is_removal ? &g->change->remove : &g->change->add,
        .keywords = g->folder->keywords,
        .unchanged_since = since};
    *t = (struct end_ticket){0};
    e->ops->flags(e, g->uids, g->n_uids, &f, since != 0 ? &g->answer : NULL, t);
}

/* Adding, or taking away, and without a guard both. */
static int begin_first(struct apply_window *w, struct apply_group *g, struct err *err)
{
    bool adds = !flags_empty(&g->change->add), removes = !flags_empty(&g->change->remove);
    uint64_t since = guard(w, g);
    g->second = g->first = (struct end_ticket){.result = END_OK};
    if (apply_begin_open(w, g, true, err) != 0)
        return -1;
    if (g->is_over)
        return 0;
    if (adds)
        store(w, g, false, since, &g->first);
    if (removes && !(adds && since != 0))
        store(w, g, true, since, &g->second);
    return 0;
}

/* What had to wait for the guard of the first one. */
static int remove_behind_guard(struct apply_window *w, struct err *err)
{
    for (size_t i = 0; i < w->n; i++) {
        struct apply_group *g = &w->v[i];
        bool is_due = guard(w, g) != 0 && !flags_empty(&g->change->add) &&
                      !flags_empty(&g->change->remove) && !g->is_over && g->n_uids > 0;
        if (apply_begin_open(w, g, true, err) != 0)
            return -1;
        if (is_due)
            store(w, g, true, 0, &g->second);
    }
    return end_drain(w->job->target, err);
}

static bool has_both(const struct apply_window *w)
{
    for (size_t i = 0; i < w->n; i++) {
        const struct apply_group *g = &w->v[i];
        if (guard(w, g) != 0 && !flags_empty(&g->change->add) && !flags_empty(&g->change->remove))
            return true;
    }
    return false;
}

static int put_results(struct apply_window *w, struct err *err)
{
    struct journal *j = w->job->journal;
    journal_begin(j);
    for (size_t i = 0; i < w->n; i++) {
        struct apply_group *g = &w->v[i];
        /* Of one that was refused the next pass finds out what was done. */
        if (g->is_over || g->intent.id == 0)
            continue;
        for (size_t k = 0; k < g->n_uids; k++) {
            const struct plan_op *op = &g->ops[g->which[k]];
            journal_pair_put(j, g->folder->record->id,
                &(struct pair){.src_uid = op->src_uid,
                    .tgt_uid = op->tgt_uid,
                    .state = op->src_uid != 0 ? PAIR_STORED : PAIR_GONE,
                    .is_touched = op->is_touched,
                    .flags = g->change->now},
                NULL);
        }
        journal_intent_del(j, g->folder->record->id, g->intent.id);
        w->job->n_flagged += g->n_uids;
    }
    return journal_commit(j, err);
}

int apply_flags(struct apply_window *w, struct err *err)
{
    if (apply_look(w, false, err) != 0)
        return -1;
    for (size_t i = 0; i < w->n; i++) {
        w->v[i].intent.add = w->v[i].change->add;
        w->v[i].intent.remove = w->v[i].change->remove;
    }
    if (apply_put_intents(w, INTENT_FLAGS, err) != 0)
        return -1;
    for (size_t i = 0; i < w->n; i++) {
        if (begin_first(w, &w->v[i], err) != 0)
            return -1;
    }
    if (end_drain(w->job->target, err) != 0)
        return -1;
    for (size_t i = 0; i < w->n; i++) {
        struct apply_group *g = &w->v[i];
        if (!g->is_over && apply_is_done(w, g, &g->first) && apply_is_done(w, g, &g->second))
            apply_take_out(w, g, &g->answer);
    }
    if (has_both(w)) {
        if (remove_behind_guard(w, err) != 0)
            return -1;
        for (size_t i = 0; i < w->n; i++) {
            if (!w->v[i].is_over)
                (void)apply_is_done(w, &w->v[i], &w->v[i].second);
        }
    }
    return put_results(w, err);
}
