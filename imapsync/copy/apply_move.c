/* SPDX-License-Identifier: ISC */
/*
 * apply_move: our copies follow their messages into another folder.  The target says which UIDs
 * they have there; where it does not, or was cut off, the intent stays, and apply_settle() looks
 * for them above the UIDNEXT that the other folder had before.
 *
 * A copy that is not there is left to the next pass, whose plan is told so.
 */
#include <stdlib.h>

#include "base/core/mem.h"
#include "imapsync/copy/apply_parts.h"

static const struct journal_folder *goes_to(
    const struct apply_window *w, const struct apply_group *g)
{
    return w->job->folders[g->ops[0].to].record;
}

static int look(struct apply_window *w, struct err *err)
{
    struct end *e = w->job->target;
    for (size_t i = 0; i < w->n; i++) {
        struct apply_group *g = &w->v[i];
        if (end_room(e, err) != 0)
            return -1;
        g->to = (struct folder){.name = goes_to(w, g)->target.name};
        g->to_told = (struct end_ticket){0};
        e->ops->status(e, &g->to, &g->to_told);
    }
    return apply_look(w, true, err);
}

static void judge(struct apply_window *w, struct apply_group *g)
{
    size_t kept = 0;
    bool is_there = g->to_told.result == END_OK && g->to.has & FOLDER_HAS_UIDNEXT &&
                    g->to.uidvalidity == goes_to(w, g)->target.uidvalidity;
    if (!is_there) {
        apply_refuse(w, g, "the folder that messages are moved to is not there, or was replaced");
        return;
    }
    g->intent.new_uids = mem_realloc_array(NULL, g->n_uids + 1, sizeof(*g->intent.new_uids));
    for (size_t i = 0; i < g->n_uids; i++) {
        if (!end_changes_find(&g->numbers, g->uids[i]))
            continue;
        g->uids[kept] = g->uids[i];
        g->which[kept] = g->which[i];
        g->intent.new_uids[kept++] = g->ops[g->which[i]].new_uid;
    }
    apply_leave(w, g, g->n_uids - kept);
    g->n_uids = kept;
    g->intent.tgt_uidnext = g->to.uidnext;
    g->intent.to = goes_to(w, g)->id;
}

static int change(struct apply_window *w, struct err *err)
{
    struct end *e = w->job->target;
    for (size_t i = 0; i < w->n; i++) {
        struct apply_group *g = &w->v[i];
        g->first = (struct end_ticket){.result = END_OK};
        if (apply_begin_open(w, g, err) != 0)
            return -1;
        if (g->is_over || g->n_uids == 0)
            continue;
        g->first.result = END_PENDING;
        e->ops->move(e, g->uids, g->n_uids, g->to.name, &g->answer, &g->first);
    }
    if (end_drain(e, err) != 0)
        return -1;
    for (size_t i = 0; i < w->n; i++) {
        if (!w->v[i].is_over)
            (void)apply_is_done(w, &w->v[i], &w->v[i].first);
    }
    return 0;
}

static int put_moved(struct apply_window *w, struct apply_group *g, struct err *err)
{
    struct journal *j = w->job->journal;
    uint32_t from = g->folder->record->id;
    struct pair *pairs;
    size_t n;
    struct content *known = mem_realloc_array(NULL, g->n_uids + 1, sizeof(*known));
    bool *has = mem_zalloc((g->n_uids + 1) * sizeof(*has));
    int result = journal_pairs(j, from, &pairs, &n, err);
    for (size_t k = 0; result == 0 && k < g->n_uids; k++)
        result = journal_content(j, from, g->ops[g->which[k]].src_uid, &known[k], &has[k], err);
    if (result == 0) {
        journal_begin(j);
        for (size_t k = 0; k < g->n_uids; k++) {
            const struct plan_op *op = &g->ops[g->which[k]];
            const struct pair *was = apply_find(pairs, n, op->src_uid);
            struct pair p = {.src_uid = op->new_uid,
                .tgt_uid = g->answer.v[k],
                .state = PAIR_STORED,
                .is_touched = was && was->is_touched,
                .flags = w->job->plan->changes[op->change].now};
            if (p.tgt_uid == 0) {
                apply_leave(w, g, 1);
                continue;
            }
            journal_pair_del(j, from, op->src_uid);
            journal_pair_put(j, g->intent.to, &p, has[k] ? &known[k] : NULL);
            w->job->n_moved++;
        }
        journal_intent_del(j, from, g->intent.id);
        result = journal_commit(j, err);
    }
    free(known);
    free(has);
    free(pairs);
    return result;
}

static int put_results(struct apply_window *w, struct err *err)
{
    for (size_t i = 0; i < w->n; i++) {
        struct apply_group *g = &w->v[i];
        if (g->is_over || g->n_uids == 0)
            continue;
        bool is_told =
            g->answer.n == g->n_uids && g->answer.uidvalidity == goes_to(w, g)->target.uidvalidity;
        if (!is_told) {
            w->job->n_moved += g->n_uids;
            apply_leave(w, g, g->n_uids);
        } else if (put_moved(w, g, err) != 0) {
            return -1;
        }
    }
    return 0;
}

int apply_move(struct apply_window *w, struct err *err)
{
    if (look(w, err) != 0)
        return -1;
    for (size_t i = 0; i < w->n; i++) {
        if (!w->v[i].is_over)
            judge(w, &w->v[i]);
    }
    if (apply_put_intents(w, INTENT_MOVE, err) != 0 || change(w, err) != 0)
        return -1;
    return put_results(w, err);
}
