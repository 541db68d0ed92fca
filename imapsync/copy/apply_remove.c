/* SPDX-License-Identifier: ISC */
/*
 * apply_remove: TRASH and REMOVE.  The copy is looked at first.  One that is not there any more, or
 * that its user has touched, is left alone; its pair is forgotten, for it is theirs now.
 *
 * Cut between the mark and the removal, the next pass knows by the intent whose mark it is.
 */
#include <stdlib.h>

#include "imapsync/copy/apply_parts.h"

static bool have(const struct intent *v, size_t n, uint32_t uid)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < v[i].n; k++) {
            if (v[i].uids[k] == uid)
                return true;
        }
    }
    return false;
}

static int load_begun(struct apply_window *w, struct err *err)
{
    for (size_t i = 0; i < w->n; i++) {
        struct apply_group *g = &w->v[i];
        if (g->is_first && journal_intents(w->job->journal, g->folder->record->id, INTENT_DELETE,
                               &g->begun, &g->n_begun, err) != 0)
            return -1;
    }
    return 0;
}

/* Only what is as the plan saw it stays in the group. */
static void judge(struct apply_window *w, struct apply_group *g)
{
    const struct apply_group *o = apply_opener(w, g);
    size_t kept = 0;
    for (size_t i = 0; i < g->n_uids; i++) {
        const struct plan_op *op = &g->ops[g->which[i]];
        const struct listed *l = end_changes_find(&g->numbers, op->tgt_uid);
        struct plan_three t = {.base = w->job->plan->changes[op->change].was,
            .storable.system = (uint8_t)o->numbers.storable,
            .is_begun = have(o->begun, o->n_begun, op->tgt_uid)};
        if (l)
            t.target = l->flags;
        if (!l)
            continue;
        if (plan_is_touched(&t)) {
            w->job->n_kept++;
            continue;
        }
        g->uids[kept] = g->uids[i];
        g->which[kept++] = g->which[i];
    }
    g->n_uids = kept;
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
        if (g->ops->kind == PLAN_TRASH)
            e->ops->move(e, g->uids, g->n_uids, w->job->trash, NULL, &g->first);
        else
            e->ops->remove(e, g->uids, g->n_uids, &g->first);
    }
    if (end_drain(e, err) != 0)
        return -1;
    for (size_t i = 0; i < w->n; i++) {
        if (!w->v[i].is_over)
            (void)apply_is_done(w, &w->v[i], &w->v[i].first);
    }
    return 0;
}

/* What an earlier pass has begun and this one has finished. */
static void close_begun(struct apply_window *w, struct apply_group *g)
{
    struct apply_group *o = apply_opener(w, g);
    for (size_t i = 0; i < o->n_begun; i++) {
        bool is_over = true;
        for (size_t k = 0; k < o->begun[i].n; k++)
            is_over = is_over && have(&g->intent, 1, o->begun[i].uids[k]);
        if (is_over)
            journal_intent_del(w->job->journal, g->folder->record->id, o->begun[i].id);
    }
}

static int put_results(struct apply_window *w, struct err *err)
{
    struct journal *j = w->job->journal;
    journal_begin(j);
    for (size_t i = 0; i < w->n; i++) {
        struct apply_group *g = &w->v[i];
        uint32_t folder = g->folder->record->id;
        if (g->is_over)
            continue;
        for (size_t k = 0; k < g->n; k++) {
            if (g->ops[k].src_uid != 0)
                journal_pair_del(j, folder, g->ops[k].src_uid);
            else
                journal_copy_del(j, folder, g->ops[k].tgt_uid);
        }
        if (g->intent.id != 0) {
            close_begun(w, g);
            journal_intent_del(j, folder, g->intent.id);
        }
        w->job->n_deleted += g->n_uids;
    }
    return journal_commit(j, err);
}

int apply_remove(struct apply_window *w, struct err *err)
{
    if (w->v[0].ops->kind == PLAN_TRASH && w->job->trash.n == 0) {
        for (size_t i = 0; i < w->n; i++)
            apply_refuse(w, &w->v[i], "the target has no Trash");
        return 0;
    }
    if (load_begun(w, err) != 0 || apply_look(w, true, err) != 0)
        return -1;
    for (size_t i = 0; i < w->n; i++) {
        if (!w->v[i].is_over)
            judge(w, &w->v[i]);
    }
    if (apply_put_intents(w, INTENT_DELETE, err) != 0 || change(w, err) != 0)
        return -1;
    return put_results(w, err);
}
