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
    g->away = mem_zalloc(g->n * sizeof(*g->away));
    for (size_t i = 0; i < g->n_uids; i++) {
        if (!end_changes_find(&g->numbers, g->uids[i])) {
            g->away[g->which[i]] = true;
            continue;
        }
        if (apply_has_old_flags(w->job, &g->ops[g->which[i]])) {
            apply_leave(w, g, 1);
            continue;
        }
        g->uids[kept] = g->uids[i];
        g->which[kept] = g->which[i];
        g->intent.new_uids[kept++] = g->ops[g->which[i]].new_uid;
    }
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
        if (apply_begin_open(w, g, false, err) != 0)
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

/* What the journal has of the group's pairs; n each, by operation. */
struct known {
    struct pair *pairs; /* of the folder */
    size_t n_pairs;
    struct content *contents;
    bool *has_content;
};

static int read_known(
    struct apply_window *w, struct apply_group *g, struct known *out, struct err *err)
{
    struct journal *j = w->job->journal;
    uint32_t from = g->folder->record->id;
    if (journal_pairs_all(j, from, &out->pairs, &out->n_pairs, err) != 0)
        return -1;
    for (size_t k = 0; k < g->n; k++) {
        if (apply_content(j, from, &g->ops[k], &out->contents[k], &out->has_content[k], err) != 0)
            return -1;
    }
    return 0;
}

/* tgt_uid 0: it is not there any more. */
static void put_pair(struct apply_window *w, struct apply_group *g, const struct known *known,
    size_t k, uint32_t tgt_uid)
{
    struct journal *j = w->job->journal;
    const struct plan_op *op = &g->ops[k];
    const struct pair *was = apply_find(known->pairs, known->n_pairs, op->src_uid, op->tgt_uid);
    struct pair p = {.src_uid = op->new_uid,
        .tgt_uid = tgt_uid,
        .state = tgt_uid != 0 ? PAIR_STORED : PAIR_AWAY,
        .is_touched = was && was->is_touched,
        .flags = w->job->plan->changes[op->change].now};
    w->job->n_moved += tgt_uid != 0;
    w->job->n_kept += tgt_uid == 0;
    if (op->src_uid != 0)
        journal_pair_del(j, g->folder->record->id, op->src_uid);
    else
        journal_copy_del(j, g->folder->record->id, op->tgt_uid);
    journal_pair_put(j, goes_to(w, g)->id, &p, known->has_content[k] ? &known->contents[k] : NULL);
}

static int put_moved(struct apply_window *w, struct apply_group *g, bool is_told, struct err *err)
{
    struct journal *j = w->job->journal;
    struct known known = {.contents = mem_zalloc((g->n + 1) * sizeof(*known.contents)),
        .has_content = mem_zalloc((g->n + 1) * sizeof(*known.has_content))};
    int result = read_known(w, g, &known, err);
    if (result == 0) {
        journal_begin(j);
        for (size_t k = 0; k < g->n; k++) {
            if (g->away[k])
                put_pair(w, g, &known, k, 0);
        }
        for (size_t k = 0; k < g->n_uids && is_told; k++)
            put_pair(w, g, &known, g->which[k], g->answer.v[k]);
        if (is_told && g->intent.id != 0)
            journal_intent_del(j, g->folder->record->id, g->intent.id);
        result = journal_commit(j, err);
    }
    free(known.pairs);
    free(known.contents);
    free(known.has_content);
    return result;
}

static int put_results(struct apply_window *w, struct err *err)
{
    for (size_t i = 0; i < w->n; i++) {
        struct apply_group *g = &w->v[i];
        bool is_told =
            g->answer.n == g->n_uids &&
            (g->n_uids == 0 || g->answer.uidvalidity == goes_to(w, g)->target.uidvalidity);
        if (g->is_over)
            continue;
        if (!is_told) {
            /* They are there, and the next pass finds out as what. */
            w->job->n_moved += g->n_uids;
            apply_leave(w, g, g->n_uids);
        }
        if (put_moved(w, g, is_told, err) != 0)
            return -1;
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
