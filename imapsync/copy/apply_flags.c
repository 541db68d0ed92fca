/* SPDX-License-Identifier: ISC */
/*
 * apply_flags: flags are only added and taken away, never set, so what the target's user has done
 * to other flags stays.
 *
 * Where the plan knows the target's flags as of a MODSEQ and the end can guard, a message that
 * somebody has changed since is left for the next pass.  Our own adding counts as such a change, so
 * a taking away behind it goes without the guard, and only for those that passed it.
 */
#include "imapsync/copy/apply_parts.h"

static uint64_t guard(const struct apply_window *w, const struct apply_group *g)
{
    return w->job->target->ops->can(w->job->target) & END_CAN_GUARD ? g->folder->modseq : 0;
}

static bool has_two_steps(const struct apply_window *w, const struct apply_group *g)
{
    return guard(w, g) != 0 && !flags_empty(&g->change->add) && !flags_empty(&g->change->remove);
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
        .flags = is_removal ? &g->change->remove : &g->change->add,
        .keywords = g->folder->keywords,
        .unchanged_since = since};
    t->result = END_PENDING;
    e->ops->flags(e, g->uids, g->n_uids, &f, since != 0 ? &g->answer : NULL, t);
}

/* Adding, or taking away, and without a guard both; then what had to wait for the guard. */
static void begin(struct apply_window *w, struct apply_group *g)
{
    bool adds = !flags_empty(&g->change->add), removes = !flags_empty(&g->change->remove);
    uint64_t since = g->step == 0 ? guard(w, g) : 0;
    if (g->step == 0 && adds)
        store(w, g, false, since, &g->first);
    if (removes && (g->step > 0 || !has_two_steps(w, g)))
        store(w, g, true, since, &g->second);
}

static bool answered(struct apply_window *w, struct apply_group *g)
{
    if (!apply_is_done(w, g, &g->first) || !apply_is_done(w, g, &g->second))
        return true;
    if (g->step == 0)
        apply_take_out(w, g, &g->answer);
    return g->step > 0 || !has_two_steps(w, g);
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
                .flags = g->change->now},
            NULL);
    }
    w->job->n_flagged += g->n_uids;
    g->folder->n_flagged += g->n_uids;
}

const struct apply_kind apply_flags = {
    .intent = INTENT_FLAGS, .prepare = prepare, .begin = begin, .answered = answered, .put = put};
