/* SPDX-License-Identifier: ISC */
/*
 * apply_remove: TRASH and REMOVE.  The copy is looked at first.  One that is not there any more, or
 * that its user has touched, is left alone; its pair is forgotten, for it is theirs now.
 *
 * Marking and removing are two steps over all folders.  Where the end can guard, nothing is marked
 * that somebody has changed since we looked; and a folder that is replaced between two steps loses
 * nothing, since what is removed was marked before.
 *
 * Cut between the mark and the removal, the intent says whose mark it is, and the next pass takes
 * it off again before it plans (apply_settle.c).
 */
#include <stdlib.h>

#include "base/core/mem.h"
#include "imapsync/copy/apply_parts.h"

/* Only what is as the plan saw it stays in the group. */
static void judge(struct apply_window *w, struct apply_group *g)
{
    const struct apply_group *o = apply_opener(w, g);
    size_t kept = 0;
    for (size_t i = 0; i < g->n_uids; i++) {
        const struct plan_op *op = &g->ops[g->which[i]];
        const struct listed *l = end_changes_find(&g->numbers, op->tgt_uid);
        struct plan_three t = {.base = w->job->plan->changes[op->change].was,
            .storable.system = (uint8_t)o->numbers.storable};
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

enum turn { TURN_MARK, TURN_REMOVE, TURN_TRASH };

static void begin(struct apply_window *w, struct apply_group *g, enum turn turn)
{
    struct end *e = w->job->target;
    uint64_t since = e->ops->can(e) & END_CAN_GUARD ? apply_opener(w, g)->modseq : 0;
    const struct flags deleted = {.system = FLAG_DELETED};
    const struct end_flags mark = {
        .flags = &deleted, .keywords = g->folder->keywords, .unchanged_since = since};
    g->first = (struct end_ticket){0};
    if (turn == TURN_MARK)
        e->ops->flags(e, g->uids, g->n_uids, &mark, since != 0 ? &g->answer : NULL, &g->first);
    else if (turn == TURN_REMOVE)
        e->ops->remove(e, g->uids, g->n_uids, &g->first);
    else
        e->ops->move(e, g->uids, g->n_uids, w->job->trash, NULL, &g->first);
}

static int change(struct apply_window *w, enum turn turn, struct err *err)
{
    for (size_t i = 0; i < w->n; i++) {
        struct apply_group *g = &w->v[i];
        g->first = (struct end_ticket){.result = END_OK};
        if (apply_begin_open(w, g, turn != TURN_TRASH, err) != 0)
            return -1;
        if (!g->is_over && g->n_uids > 0)
            begin(w, g, turn);
    }
    if (end_drain(w->job->target, err) != 0)
        return -1;
    for (size_t i = 0; i < w->n; i++) {
        struct apply_group *g = &w->v[i];
        if (!g->is_over)
            (void)apply_is_done(w, g, &g->first);
    }
    return 0;
}

/* What somebody has changed since we looked stays as it is, and waits. */
static void wait_for_next(struct apply_window *w)
{
    for (size_t i = 0; i < w->n; i++) {
        struct apply_group *g = &w->v[i];
        bool *waits = mem_zalloc(g->n * sizeof(*waits));
        size_t before = g->n_uids;
        for (size_t k = 0; k < before; k++)
            waits[g->which[k]] = true;
        if (!g->is_over)
            apply_take_out(w, g, &g->answer);
        for (size_t k = 0; k < g->n_uids; k++)
            waits[g->which[k]] = false;
        g->waits = waits;
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
            if (g->waits && g->waits[k])
                continue;
            if (g->ops[k].src_uid != 0)
                journal_pair_del(j, folder, g->ops[k].src_uid);
            else
                journal_copy_del(j, folder, g->ops[k].tgt_uid);
        }
        if (g->intent.id != 0)
            journal_intent_del(j, folder, g->intent.id);
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
    if (apply_look(w, true, err) != 0)
        return -1;
    for (size_t i = 0; i < w->n; i++) {
        if (!w->v[i].is_over)
            judge(w, &w->v[i]);
    }
    if (apply_put_intents(w, INTENT_DELETE, err) != 0)
        return -1;
    if (w->v[0].ops->kind == PLAN_TRASH) {
        if (change(w, TURN_TRASH, err) != 0)
            return -1;
    } else {
        if (change(w, TURN_MARK, err) != 0)
            return -1;
        wait_for_next(w);
        if (change(w, TURN_REMOVE, err) != 0)
            return -1;
    }
    return put_results(w, err);
}
