/* SPDX-License-Identifier: ISC */
/*
 * apply_move: our copies follow their messages into another folder.  The target says which UIDs
 * they have there; where it does not, or was cut off, the intent stays, and apply_settle() looks
 * for them above the UIDNEXT that the other folder had before.
 *
 * A copy that is not there any more was removed or moved by its user: its pair follows the message
 * without it (AWAY), and it counts as kept.
 *
 * A NO may come behind a part of a move.  Only when a look shows that nothing was done it is tried
 * again in halves; else the intent stays, and the folder is left to the next pass.
 *
 * What goes to Trash is the copy of nothing.  It stands alone there, as one that the source's user
 * has removed: its message may have been moved between the looks at two folders, and then the next
 * plan finds it new in one and lost in the other.  One that is not there, or that its user has
 * touched, is left alone, and its pair forgotten.
 */
#include <stdlib.h>

#include "base/core/mem.h"
#include "imapsync/apply/apply_parts.h"

/* What the journal has of a pair. */
struct apply_known {
    struct content content;
    bool has_content, is_touched;
    struct flags flags;
};

static const struct journal_folder *goes_to(
    const struct apply_window *w, const struct apply_group *g)
{
    return g->kind == &apply_trash ? w->job->trash : w->job->folders[g->ops[0]->to].record;
}

static void ask(struct apply_window *w, struct apply_group *g)
{
    struct end *e = w->job->target;
    if (!goes_to(w, g))
        return;
    g->to = (struct folder){.name = goes_to(w, g)->target.name};
    g->to_told = (struct end_ticket){0};
    e->ops->status(e, &g->to, &g->to_told);
}

static void stay(struct apply_window *w, struct apply_group *g, const char *why)
{
    const struct apply_lost no_place = {.has_no_place = true};
    apply_spare(w, g, g->which, g->n_uids, &no_place, why);
    g->state = APPLY_OVER;
}

/* false: it stays.  That is about the other folder, and what else is to be done in this one is. */
static bool may_go(struct apply_window *w, struct apply_group *g)
{
    const struct journal_folder *to = goes_to(w, g);
    bool is_there = to && g->to_told.result == END_OK && g->to.has & FOLDER_HAS_UIDNEXT &&
                    g->to.uidvalidity == to->target.uidvalidity;
    if (!to)
        stay(w, g, "it has no Trash");
    else if (!is_there)
        stay(w, g, "the folder that it goes to is not there, or was replaced");
    return is_there;
}

static void judge_trash(struct apply_window *w, struct apply_group *g)
{
    if (may_go(w, g))
        apply_judge(w, g);
}

static void judge(struct apply_window *w, struct apply_group *g)
{
    if (!may_go(w, g))
        return;
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

/* A move; or, behind a NO, a look whether it has done anything at all. */
static void begin(struct apply_window *w, struct apply_group *g)
{
    struct end *e = w->job->target;
    g->first.result = END_PENDING;
    if (g->step == 0) {
        end_uids_fini(&g->answer);
        e->ops->move(e, g->uids, g->n_uids, g->to.name, &g->answer, &g->first);
        return;
    }
    struct apply_again *a = apply_look_again(g);
    a->to = (struct folder){.name = g->to.name};
    e->ops->attributes(e, g->uids, g->n_uids, END_WANT_FLAGS, &a->there, &g->first);
    e->ops->status(e, &a->to, &a->told);
}

static bool is_told(const struct apply_window *w, const struct apply_group *g)
{
    return g->answer.n == g->n_uids &&
           (g->n_uids == 0 || g->answer.uidvalidity == goes_to(w, g)->target.uidvalidity);
}

static void take_moved(struct apply_window *w, struct apply_group *g)
{
    if (!g->moved)
        g->moved = mem_zalloc((g->n + 1) * sizeof(*g->moved));
    g->is_untold = g->is_untold || !is_told(w, g);
    for (size_t k = 0; k < g->n_uids && is_told(w, g); k++)
        g->moved[g->which[k]] = g->answer.v[k];
}

/* The UIDNEXT of the other folder if nothing has come there but what we were told of. */
static uint32_t expected_next(const struct apply_window *w, const struct apply_group *g)
{
    uint32_t next = g->to.uidnext;
    for (size_t i = 0; i < w->n; i++) {
        const struct apply_group *o = &w->v[i];
        bool goes_there = o->moved && slice_eq(o->to.name, g->to.name);
        for (size_t k = 0; goes_there && k < o->n; k++)
            next = o->moved[k] >= next ? o->moved[k] + 1 : next;
    }
    return next;
}

/* All are where they were, without the mark of a removal that a copy would have got, and nothing
 * has come into the other folder. */
static bool is_without_effect(const struct apply_window *w, struct apply_group *g)
{
    struct apply_again *a = g->again;
    bool is = g->first.result == END_OK && a->told.result == END_OK &&
              a->to.has & FOLDER_HAS_UIDNEXT &&
              a->to.uidvalidity == goes_to(w, g)->target.uidvalidity &&
              a->to.uidnext == expected_next(w, g);
    end_changes_finish(&a->there);
    for (size_t k = 0; is && k < g->n_uids; k++) {
        const struct listed *now = end_changes_find(&a->there, g->uids[k]);
        const struct listed *was = end_changes_find(&g->visit->numbers, g->uids[k]);
        is = now && was && !((now->flags.system ^ was->flags.system) & FLAG_DELETED);
    }
    return is;
}

static bool answered(struct apply_window *w, struct apply_group *g)
{
    const struct err *why = NULL;
    if (g->step > 0 && is_without_effect(w, g)) {
        g->step = 0;
        return apply_halve(w, g, &g->again->why);
    }
    if (g->step > 0) {
        (void)err_wrap(&g->again->why, "%s: cannot change messages", w->job->target->label);
        apply_refuse(w, g, g->again->why.text);
        return true;
    }
    bool is_taken = apply_is_taken(w, g, &g->first, &why);
    if (why) {
        apply_look_again(g)->why = *why;
        return false;
    }
    if (!is_taken)
        return true;
    take_moved(w, g);
    apply_taken(w, g);
    return apply_next_part(w, g);
}

static int read_known(struct apply_window *w, struct apply_group *g, struct err *err)
{
    struct journal *j = w->job->journal;
    const uint32_t from = g->folder->record->id;
    g->known = mem_zalloc((g->n + 1) * sizeof(*g->known));
    for (size_t k = 0; k < g->n; k++) {
        const struct plan_op *op = g->ops[k];
        struct apply_known *known = &g->known[k];
        struct pair was;
        bool found;
        if (journal_pair_get(j, from, op->src_uid, op->tgt_uid, &was, &found, err) != 0 ||
            apply_content(j, from, op, &known->content, &known->has_content, err) != 0)
            return -1;
        known->is_touched = found && was.is_touched;
        if (found)
            known->flags = was.flags;
    }
    return 0;
}

static void drop(struct apply_window *w, struct apply_group *g, const struct plan_op *op)
{
    if (op->src_uid != 0)
        journal_pair_del(w->job->journal, g->folder->record->id, op->src_uid);
    else
        journal_copy_del(w->job->journal, g->folder->record->id, op->tgt_uid);
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
    g->folder->n_moved += tgt_uid != 0;
    g->folder->n_kept += tgt_uid == 0;
    drop(w, g, op);
    journal_pair_put(j, goes_to(w, g)->id, &p, known->has_content ? &known->content : NULL);
}

/* They are there, and the next pass finds out as what. */
static void leave(struct apply_window *w, struct apply_group *g)
{
    for (size_t k = 0; k < g->n_uids; k++)
        apply_leave(w->job, g->ops[g->which[k]]);
    g->intent.id = 0;
}

/* Keywords are a folder's, and are not translated for a pair that does not live long. */
static void put_in_trash(struct apply_window *w, struct apply_group *g, size_t k, uint32_t tgt_uid)
{
    const struct apply_known *known = &g->known[k];
    const struct pair p = {.tgt_uid = tgt_uid,
        .state = PAIR_GONE,
        .is_removed = true,
        .flags.system = known->flags.system};
    drop(w, g, g->ops[k]);
    journal_pair_put(
        w->job->journal, goes_to(w, g)->id, &p, known->has_content ? &known->content : NULL);
}

static void put_trash(struct apply_window *w, struct apply_group *g)
{
    for (size_t k = 0; k < g->n; k++) {
        if (g->fates[k] == APPLY_MISSING || g->fates[k] == APPLY_KEPT)
            drop(w, g, g->ops[k]);
    }
    w->job->n_deleted += g->n_uids;
    g->folder->n_deleted += g->n_uids;
    if (g->is_untold) {
        leave(w, g);
        return;
    }
    for (size_t k = 0; k < g->n_uids; k++)
        put_in_trash(w, g, g->which[k], g->moved[g->which[k]]);
}

static void put(struct apply_window *w, struct apply_group *g)
{
    for (size_t k = 0; k < g->n; k++) {
        if (g->fates[k] == APPLY_MISSING && g->ops[k]->src_uid != 0) {
            put_pair(w, g, k, 0);
        } else if (g->fates[k] == APPLY_MISSING) {
            /* It stood alone, and its message is new. */
            drop(w, g, g->ops[k]);
            apply_leave(w->job, g->ops[k]);
        }
    }
    if (g->is_untold) {
        w->job->n_moved += g->n_uids;
        g->folder->n_moved += g->n_uids;
        leave(w, g);
        return;
    }
    for (size_t k = 0; k < g->n_uids; k++)
        put_pair(w, g, g->which[k], g->moved[g->which[k]]);
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
const struct apply_kind apply_trash = {.intent = INTENT_MOVE,
    .is_sure = true,
    .looks = true,
    .ask = ask,
    .judge = judge_trash,
    .prepare = prepare,
    .begin = begin,
    .answered = answered,
    .read = read_known,
    .put = put_trash};
