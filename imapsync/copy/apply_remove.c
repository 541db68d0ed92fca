/* SPDX-License-Identifier: ISC */
/*
 * apply_remove: TRASH and REMOVE.  The copy is looked at first.  One that is not there any more, or
 * that its user has touched, is left alone; its pair is forgotten, for it is theirs now.
 *
 * Marking and removing are two steps over all folders.  Where the end can guard, nothing is marked
 * that somebody has changed since we looked; and a folder that is replaced between two steps loses
 * nothing, since what is removed was marked before.
 *
 * Cut between the mark and the removal, the next pass knows by the intent whose mark it is.
 */
#include <stdlib.h>

#include "base/core/mem.h"
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
    g->unmark = mem_realloc_array(NULL, g->n + 1, sizeof(*g->unmark));
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
            /* Then our mark is not to stay either. */
            if (t.is_begun && t.target.system & FLAG_DELETED)
                g->unmark[g->n_unmark++] = op->tgt_uid;
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

static void unmark(struct apply_window *w, struct apply_group *g)
{
    const struct flags deleted = {.system = FLAG_DELETED};
    const struct end_flags f = {
        .is_removal = true, .flags = &deleted, .keywords = g->folder->keywords};
    g->second = (struct end_ticket){0};
    w->job->target->ops->flags(w->job->target, g->unmark, g->n_unmark, &f, NULL, &g->second);
}

static int change(struct apply_window *w, enum turn turn, struct err *err)
{
    for (size_t i = 0; i < w->n; i++) {
        struct apply_group *g = &w->v[i];
        g->first = g->second = (struct end_ticket){.result = END_OK};
        if (apply_begin_open(w, g, turn != TURN_TRASH, err) != 0)
            return -1;
        if (!g->is_over && g->n_uids > 0)
            begin(w, g, turn);
        if (!g->is_over && g->n_unmark > 0 && turn != TURN_REMOVE)
            unmark(w, g);
    }
    if (end_drain(w->job->target, err) != 0)
        return -1;
    for (size_t i = 0; i < w->n; i++) {
        struct apply_group *g = &w->v[i];
        if (!g->is_over && apply_is_done(w, g, &g->first))
            (void)apply_is_done(w, g, &g->second);
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

static bool is_judged(const struct apply_group *g, uint32_t uid)
{
    for (size_t k = 0; k < g->n; k++) {
        if (g->ops[k].tgt_uid == uid)
            return !(g->waits && g->waits[k]);
    }
    return false;
}

/* What an earlier pass has begun, and this one has finished or found to be theirs. */
static void close_begun(struct apply_window *w, struct apply_group *g)
{
    struct apply_group *o = apply_opener(w, g);
    for (size_t i = 0; i < o->n_begun; i++) {
        bool is_over = true;
        for (size_t k = 0; k < o->begun[i].n; k++)
            is_over = is_over && is_judged(g, o->begun[i].uids[k]);
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
            if (g->waits && g->waits[k])
                continue;
            if (g->ops[k].src_uid != 0)
                journal_pair_del(j, folder, g->ops[k].src_uid);
            else
                journal_copy_del(j, folder, g->ops[k].tgt_uid);
        }
        close_begun(w, g);
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
    if (load_begun(w, err) != 0 || apply_look(w, true, err) != 0)
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
