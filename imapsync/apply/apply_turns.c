/* SPDX-License-Identifier: ISC */
/*
 * apply_turns: the operations of a window, of all kinds and in all its folders, in turns.  What is
 * begun in a turn does not wait for anything else of it:
 *
 *   look      all folders are opened, and what is to be moved or removed is looked at
 *   change    flags, moves, and the marks of what is to be removed
 *   finish    the removals; moves of messages whose flags were changed; flags that had to wait for
 *             a guard
 *
 * Before each of them one transaction has the results of the turn before and the intents of this
 * one, so no message has two open intents, and none is removed whose mark was not answered.
 *
 * A folder is opened in each turn, so that what is changed meets what others have done meanwhile,
 * but for moves where it is open already: these leave only when the target has said that it is the
 * one that it was, which would be a round trip for each folder.
 */
#include <stdlib.h>

#include "base/core/clock.h"
#include "base/core/mem.h"
#include "imapsync/apply/apply_parts.h"

/* --- Groups -------------------------------------------------------------------------------- */

void apply_choose(struct apply_group *g)
{
    g->n_uids = 0;
    for (size_t i = g->part.from; i < g->part.end; i++) {
        if (g->fates[i] != APPLY_DUE)
            continue;
        g->uids[g->n_uids] = g->ops[i]->tgt_uid;
        g->which[g->n_uids++] = (uint32_t)i;
    }
}

/* Both folders of a move tell it again. */
void apply_leave(struct apply_job *job, const struct plan_op *op)
{
    job->folders[op->folder].is_left = true;
    if (op->kind == PLAN_MOVE)
        job->folders[op->to].is_left = true;
}

static void leave_all(struct apply_window *w, struct apply_group *g)
{
    g->state = APPLY_OVER;
    for (size_t i = 0; i < g->n; i++) {
        if (g->fates[i] == APPLY_DUE)
            apply_leave(w->job, g->ops[i]);
    }
}

void apply_refuse(struct apply_window *w, struct apply_group *g, const char *why)
{
    struct apply_job *job = w->job;
    bool is_told = g->folder->is_refused;
    g->folder->is_refused = true;
    leave_all(w, g);
    if (!is_told && job->exception)
        job->exception(job->arg, g->visit->at, 0, why);
}

static void refuse(struct apply_window *w, struct apply_group *g, const struct end_ticket *t)
{
    struct err why = t->err;
    (void)err_wrap(&why, "%s: %s", w->job->target->label,
        t == &g->visit->opened ? "cannot open the folder" : "cannot change messages");
    apply_refuse(w, g, why.text);
}

bool apply_is_done(struct apply_window *w, struct apply_group *g, const struct end_ticket *t)
{
    bool is_refused = t->result == END_NO;
    if (is_refused && g->state != APPLY_OVER)
        refuse(w, g, g->visit->opened.result == END_NO ? &g->visit->opened : t);
    return !is_refused;
}

bool apply_is_taken(struct apply_window *w, struct apply_group *g, const struct end_ticket *t,
    const struct err **why_out)
{
    bool is_about_messages = t->result == END_NO && g->visit->opened.result != END_NO &&
                             g->state != APPLY_OVER && apply_may_halve(&t->err);
    if (is_about_messages && !*why_out)
        *why_out = &t->err;
    return !is_about_messages && apply_is_done(w, g, t);
}

int apply_by_place(const void *a, const void *b)
{
    const struct apply_place *x = a, *y = b;
    if (x->folder != y->folder)
        return x->folder < y->folder ? -1 : 1;
    return x->uid < y->uid ? -1 : x->uid > y->uid;
}

bool apply_has_old_flags(const struct apply_job *job, const struct plan_op *op)
{
    const struct apply_place at = {op->folder, op->tgt_uid};
    return mem_search(&at, job->unflagged, job->n_unflagged, sizeof(at), apply_by_place) != NULL;
}

static bool is_among(const struct end_uids *uids, uint32_t uid)
{
    for (size_t i = 0; i < uids->n; i++) {
        if (uids->v[i] == uid)
            return true;
    }
    return false;
}

void apply_take_out(struct apply_window *w, struct apply_group *g, const struct end_uids *modified)
{
    struct apply_job *job = w->job;
    for (size_t k = 0; k < g->n_uids; k++) {
        const struct plan_op *op = g->ops[g->which[k]];
        if (!is_among(modified, op->tgt_uid))
            continue;
        g->fates[g->which[k]] = APPLY_WAITS;
        apply_leave(job, op);
        job->unflagged =
            mem_realloc_array(job->unflagged, job->n_unflagged + 1, sizeof(*job->unflagged));
        job->unflagged[job->n_unflagged++] = (struct apply_place){op->folder, op->tgt_uid};
    }
    apply_choose(g);
}

/* --- Looking ------------------------------------------------------------------------------- */

static int open_visit(struct apply_window *w, struct apply_visit *v, bool is_known, struct err *err)
{
    struct end *e = w->job->target;
    const struct journal_end *to = &v->folder->record->target;
    if (end_room(e, err) != 0)
        return -1;
    v->opened = (struct end_ticket){0};
    v->is_known = is_known;
    w->open = v;
    e->ops->open(e,
        &(struct end_open){.folder = to->name,
            .is_for_writing = true,
            .is_only_opened = true,
            .may_stay_open = true,
            .is_known = is_known,
            .uidvalidity = to->uidvalidity},
        &v->numbers, &v->opened);
    return end_room(e, err);
}

static int look_at(struct apply_window *w, struct apply_visit *v, struct err *err)
{
    struct end *e = w->job->target;
    if (open_visit(w, v, false, err) != 0)
        return -1;
    for (size_t i = 0; i < v->n; i++) {
        struct apply_group *g = &v->v[i];
        if (!g->kind->looks)
            continue;
        g->first.result = END_PENDING;
        e->ops->attributes(e, g->uids, g->n_uids, END_WANT_FLAGS, &v->numbers, &g->first);
        if (end_room(e, err) != 0)
            return -1;
    }
    return 0;
}

static void judge(struct apply_window *w, struct apply_group *g)
{
    struct apply_visit *v = g->visit;
    if (apply_is_done(w, g, &v->opened) && apply_is_done(w, g, &g->first) && g->kind->judge)
        g->kind->judge(w, g);
}

static int look(struct apply_window *w, struct err *err)
{
    struct end *e = w->job->target;
    for (size_t i = 0; i < w->n; i++) {
        if (!w->v[i].kind->ask)
            continue;
        if (end_room(e, err) != 0)
            return -1;
        w->v[i].kind->ask(w, &w->v[i]);
    }
    for (size_t i = 0; i < w->n_visits; i++) {
        if (look_at(w, &w->visits[i], err) != 0)
            return -1;
    }
    if (end_drain(e, err) != 0)
        return -1;
    for (size_t i = 0; i < w->n_visits; i++) {
        end_changes_finish(&w->visits[i].numbers);
        w->visits[i].modseq = w->visits[i].numbers.modseq;
    }
    for (size_t i = 0; i < w->n; i++)
        judge(w, &w->v[i]);
    return 0;
}

/* --- The journal --------------------------------------------------------------------------- */

/* The flags of its messages are not in the journal yet. */
static bool has_to_wait(const struct apply_group *g)
{
    const struct apply_visit *v = g->visit;
    for (size_t i = 0; g->is_late && i < v->n; i++) {
        if (v->v[i].kind == &apply_flags && v->v[i].state < APPLY_DONE)
            return true;
    }
    return false;
}

static void prepare(struct apply_window *w, struct apply_group *g)
{
    /* Flags come before what was refused. */
    if (g->folder->is_refused && g->kind != &apply_flags) {
        leave_all(w, g);
        return;
    }
    if (g->kind->prepare)
        g->kind->prepare(w, g);
    apply_choose(g);
    g->state = g->n_uids > 0 ? APPLY_RUNS : APPLY_DONE;
    g->intent.kind = g->kind->intent;
    g->intent.uids = g->uids;
    g->intent.n = g->n_uids;
}

static void put(struct apply_window *w, struct apply_group *g)
{
    struct journal *j = w->job->journal;
    const uint32_t folder = g->folder->record->id;
    if (g->state == APPLY_RUNS && g->intent.id == 0) {
        g->intent.time_ms = clock_wall_ms();
        journal_intent_put(j, folder, &g->intent);
    } else if (g->state == APPLY_DONE) {
        g->kind->put(w, g);
        if (g->intent.id != 0 && !(g->is_halved && g->kind == &apply_remove))
            journal_intent_del(j, folder, g->intent.id);
        g->state = APPLY_OVER;
    } else if (g->state == APPLY_UNDONE) {
        journal_intent_del(j, folder, g->intent.id);
        g->state = APPLY_OVER;
    }
}

/* What was done, and what is done next. */
static int remember(struct apply_window *w, struct err *err)
{
    struct apply_job *job = w->job;
    if (job->n_unflagged > 0)
        mem_sort(job->unflagged, job->n_unflagged, sizeof(*job->unflagged), apply_by_place);
    for (size_t i = 0; i < w->n; i++) {
        struct apply_group *g = &w->v[i];
        if (g->state == APPLY_BEGINS && !has_to_wait(g))
            prepare(w, g);
        if (g->state == APPLY_DONE && g->kind->read && g->kind->read(w, g, err) != 0)
            return -1;
    }
    journal_begin(job->journal);
    for (size_t i = 0; i < w->n; i++)
        put(w, &w->v[i]);
    return journal_commit(job->journal, err);
}

/* --- Changing ------------------------------------------------------------------------------ */

static int begin_those(struct apply_window *w, struct apply_visit *v, bool is_sure, struct err *err)
{
    for (size_t i = 0; i < v->n; i++) {
        struct apply_group *g = &v->v[i];
        if (g->state != APPLY_RUNS || g->kind->is_sure != is_sure)
            continue;
        g->kind->begin(w, g);
        if (end_room(w->job->target, err) != 0)
            return -1;
    }
    return 0;
}

static bool has_some(const struct apply_visit *v, bool is_sure)
{
    for (size_t i = 0; i < v->n; i++) {
        if (v->v[i].state == APPLY_RUNS && v->v[i].kind->is_sure == is_sure)
            return true;
    }
    return false;
}

static int begin_visit(struct apply_window *w, struct apply_visit *v, struct err *err)
{
    bool was_open = w->open == v, moves = has_some(v, true);
    if (moves && !was_open && open_visit(w, v, false, err) != 0)
        return -1;
    if (moves && begin_those(w, v, true, err) != 0)
        return -1;
    if (!has_some(v, false))
        return 0;
    if (!(moves && !was_open) && open_visit(w, v, true, err) != 0)
        return -1;
    return begin_those(w, v, false, err);
}

/* The folder would not be opened for its first command, which did not go ahead of that answer. */
static bool is_undone(const struct apply_group *g)
{
    const struct apply_visit *v = g->visit;
    return g->state == APPLY_OVER && g->step == 1 && !g->is_halved && !v->is_known &&
           v->opened.result == END_NO;
}

/* *more_out: something is not over yet. */
static int change(struct apply_window *w, bool *more_out, struct err *err)
{
    for (size_t i = 0; i < w->n; i++)
        w->v[i].first = w->v[i].second = (struct end_ticket){.result = END_OK};
    w->is_backward = !w->is_backward;
    for (size_t i = 0; i < w->n_visits; i++) {
        if (begin_visit(w, &w->visits[w->is_backward ? w->n_visits - 1 - i : i], err) != 0)
            return -1;
    }
    if (end_drain(w->job->target, err) != 0)
        return -1;
    *more_out = false;
    for (size_t i = 0; i < w->n; i++) {
        struct apply_group *g = &w->v[i];
        if (g->state == APPLY_RUNS) {
            bool is_last = g->kind->answered(w, g);
            g->step = g->is_again ? g->part.step : g->step + 1;
            g->is_again = false;
            if (is_last && g->state == APPLY_RUNS)
                g->state = APPLY_DONE;
            else if (is_undone(g))
                g->state = APPLY_UNDONE;
        }
        *more_out = *more_out || g->state < APPLY_DONE;
    }
    return 0;
}

int apply_turns(struct apply_window *w, struct err *err)
{
    bool has_more = true;
    if (look(w, err) != 0)
        return -1;
    while (has_more) {
        if (remember(w, err) != 0 || change(w, &has_more, err) != 0)
            return -1;
    }
    return remember(w, err);
}
