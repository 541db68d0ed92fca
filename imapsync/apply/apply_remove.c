/* SPDX-License-Identifier: ISC */
/*
 * apply_remove: REMOVE.  The copy is looked at first.  One that is not there any more, or that its
 * user has touched, is left alone; its pair is forgotten, for it is theirs now.
 *
 * Marking and removing are two steps.  Where the end can guard, nothing is marked that somebody has
 * changed since we looked; and a folder that is replaced between two steps loses nothing, since
 * what is removed was marked before.
 *
 * Cut between the mark and the removal, the intent says whose mark it is, and the next pass takes
 * it off again before it plans (apply_settle.c).
 */
#include "imapsync/apply/apply_parts.h"

void apply_judge(struct apply_window *w, struct apply_group *g)
{
    for (size_t i = 0; i < g->n; i++) {
        const struct plan_op *op = g->ops[i];
        const struct listed *l = end_changes_find(&g->visit->numbers, op->tgt_uid);
        struct plan_three t = {.base = w->job->plan->changes[op->change].was,
            .storable.system = (uint8_t)g->visit->numbers.storable};
        if (l)
            t.target = l->flags;
        if (!l) {
            g->fates[i] = APPLY_MISSING;
        } else if (plan_is_touched(&t)) {
            g->fates[i] = APPLY_KEPT;
            w->job->n_kept++;
            g->folder->n_kept++;
        }
    }
}

static void begin(struct apply_window *w, struct apply_group *g)
{
    struct end *e = w->job->target;
    uint64_t since = e->ops->can(e) & END_CAN_GUARD ? g->visit->modseq : 0;
    const struct flags deleted = {.system = FLAG_DELETED};
    const struct end_flags mark = {
        .flags = &deleted, .keywords = g->folder->keywords, .unchanged_since = since};
    g->first.result = END_PENDING;
    if (g->step == 0)
        e->ops->flags(e, g->uids, g->n_uids, &mark, since != 0 ? &g->answer : NULL, &g->first);
    else
        e->ops->remove(e, g->uids, g->n_uids, &g->first);
}

/* What somebody has changed since we looked stays as it is, and waits. */
static bool answered(struct apply_window *w, struct apply_group *g)
{
    const struct err *why = NULL;
    bool is_taken = apply_is_taken(w, g, &g->first, &why);
    if (why)
        return apply_halve(w, g, why);
    if (!is_taken)
        return true;
    if (g->step == 0)
        apply_take_out(w, g, &g->answer);
    if (g->step == 0 && g->n_uids > 0)
        return false;
    apply_taken(w, g);
    return apply_next_part(w, g);
}

static void put(struct apply_window *w, struct apply_group *g)
{
    struct journal *j = w->job->journal;
    const uint32_t folder = g->folder->record->id;
    for (size_t k = 0; k < g->n; k++) {
        const struct plan_op *op = g->ops[k];
        if (g->fates[k] == APPLY_WAITS)
            continue;
        if (op->src_uid != 0)
            journal_pair_del(j, folder, op->src_uid);
        else
            journal_copy_del(j, folder, op->tgt_uid);
    }
    w->job->n_deleted += g->n_uids;
    g->folder->n_deleted += g->n_uids;
}

const struct apply_kind apply_remove = {.intent = INTENT_DELETE,
    .looks = true,
    .judge = apply_judge,
    .begin = begin,
    .answered = answered,
    .put = put};
