/* SPDX-License-Identifier: ISC */
/*
 * apply_move: our copies follow their messages into another folder.  The target says which UIDs
 * they have there; where it does not, or was cut off, the intent stays, and apply_settle() looks
 * for them above the UIDNEXT that the other folder had before.
 *
 * A copy that is not there any more was removed or moved by its user: its pair follows the message
 * without it (AWAY), and it counts as kept.
 */
#include <stdlib.h>

#include "base/core/mem.h"
#include "imapsync/copy/apply_parts.h"

/* What the journal has of a pair. */
struct apply_known {
    struct content content;
    bool has_content, is_touched;
};

static const struct journal_folder *goes_to(
    const struct apply_window *w, const struct apply_group *g)
{
    return w->job->folders[g->ops[0]->to].record;
}

static void ask(struct apply_window *w, struct apply_group *g)
{
    struct end *e = w->job->target;
    g->to = (struct folder){.name = goes_to(w, g)->target.name};
    g->to_told = (struct end_ticket){0};
    e->ops->status(e, &g->to, &g->to_told);
}

static void judge(struct apply_window *w, struct apply_group *g)
{
    bool is_there = g->to_told.result == END_OK && g->to.has & FOLDER_HAS_UIDNEXT &&
                    g->to.uidvalidity == goes_to(w, g)->target.uidvalidity;
    if (!is_there) {
        apply_refuse(w, g, "the folder that messages are moved to is not there, or was replaced");
        return;
    }
    for (size_t i = 0; i < g->n; i++) {
        if (!end_changes_find(&g->visit->numbers, g->ops[i]->tgt_uid))
            g->fates[i] = APPLY_MISSING;
    }
}

static void prepare(struct apply_window *w, struct apply_group *g)
{
    for (size_t i = 0; i < g->n; i++) {
        if (g->fates[i] == APPLY_DUE && apply_has_old_flags(w->job, g->ops[i])) {
            apply_leave(w->job, g->ops[i]);
            g->fates[i] = APPLY_WAITS;
        }
    }
    apply_choose(g);
    g->intent.new_uids = mem_realloc_array(NULL, g->n_uids + 1, sizeof(*g->intent.new_uids));
    for (size_t k = 0; k < g->n_uids; k++)
        g->intent.new_uids[k] = g->ops[g->which[k]]->new_uid;
    g->intent.tgt_uidnext = g->to.uidnext;
    g->intent.to = goes_to(w, g)->id;
}

static void begin(struct apply_window *w, struct apply_group *g)
{
    struct end *e = w->job->target;
    g->first.result = END_PENDING;
    e->ops->move(e, g->uids, g->n_uids, g->to.name, &g->answer, &g->first);
}

static bool answered(struct apply_window *w, struct apply_group *g)
{
    (void)apply_is_done(w, g, &g->first);
    return true;
}

static int read_known(struct apply_window *w, struct apply_group *g, struct err *err)
{
    struct journal *j = w->job->journal;
    const uint32_t from = g->folder->record->id;
    struct pair *pairs = NULL;
    size_t n_pairs;
    g->known = mem_zalloc((g->n + 1) * sizeof(*g->known));
    int result = journal_pairs_all(j, from, &pairs, &n_pairs, err);
    for (size_t k = 0; result == 0 && k < g->n; k++) {
        const struct plan_op *op = g->ops[k];
        struct apply_known *known = &g->known[k];
        const struct pair *was = apply_find(pairs, n_pairs, op->src_uid, op->tgt_uid);
        known->is_touched = was && was->is_touched;
        result = apply_content(j, from, op, &known->content, &known->has_content, err);
    }
    free(pairs);
    return result;
}

/* tgt_uid 0: it is not there any more. */
static void put_pair(struct apply_window *w, struct apply_group *g, size_t k, uint32_t tgt_uid)
{
    struct journal *j = w->job->journal;
    const struct plan_op *op = g->ops[k];
    const struct apply_known *known = &g->known[k];
    struct pair p = {.src_uid = op->new_uid,
        .tgt_uid = tgt_uid,
        .state = tgt_uid != 0 ? PAIR_STORED : PAIR_AWAY,
        .is_touched = known->is_touched,
        .flags = w->job->plan->changes[op->change].now};
    w->job->n_moved += tgt_uid != 0;
    w->job->n_kept += tgt_uid == 0;
    if (op->src_uid != 0)
        journal_pair_del(j, g->folder->record->id, op->src_uid);
    else
        journal_copy_del(j, g->folder->record->id, op->tgt_uid);
    journal_pair_put(j, goes_to(w, g)->id, &p, known->has_content ? &known->content : NULL);
}

static void put(struct apply_window *w, struct apply_group *g)
{
    bool is_told = g->answer.n == g->n_uids &&
                   (g->n_uids == 0 || g->answer.uidvalidity == goes_to(w, g)->target.uidvalidity);
    for (size_t k = 0; k < g->n; k++) {
        if (g->fates[k] == APPLY_MISSING)
            put_pair(w, g, k, 0);
    }
    for (size_t k = 0; k < g->n_uids && is_told; k++)
        put_pair(w, g, g->which[k], g->answer.v[k]);
    if (is_told)
        return;
    /* They are there, and the next pass finds out as what. */
    w->job->n_moved += g->n_uids;
    for (size_t k = 0; k < g->n_uids; k++)
        apply_leave(w->job, g->ops[g->which[k]]);
    g->intent.id = 0;
}

const struct apply_kind apply_move = {.intent = INTENT_MOVE,
    .is_sure = true,
    .looks = true,
    .ask = ask,
    .judge = judge,
    .prepare = prepare,
    .begin = begin,
    .answered = answered,
    .read = read_known,
    .put = put};
