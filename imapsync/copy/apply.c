/* SPDX-License-Identifier: ISC */
/*
 * apply: the operations of a kind go in windows.  In a window nothing waits for the answer about
 * another folder: first all folders are opened and looked at, then the intents of all are written
 * in one transaction, then all are changed, then the results of all are written in another.
 *
 * UIDs are only good for one UIDVALIDITY, and hours may lie between the plan and its turn: a folder
 * that was replaced meanwhile says NO to being opened, before anything is changed in it.
 *
 * A window's memory is that of its UIDs and, for removals, of their flags.
 */
#include "imapsync/copy/apply_parts.h"

#include <stdlib.h>
#include <string.h>

#include "base/core/clock.h"
#include "base/core/mem.h"

uint32_t apply_record_id(const struct apply_job *job, uint32_t folder)
{
    return job->folders[folder].record->id;
}

const struct pair *apply_find(const struct pair *v, size_t n, uint32_t src_uid, uint32_t tgt_uid)
{
    size_t first = 0, end = n;
    while (first < end) {
        size_t mid = first + (end - first) / 2;
        if (v[mid].src_uid < src_uid ||
            (src_uid == 0 && v[mid].src_uid == 0 && v[mid].tgt_uid < tgt_uid))
            first = mid + 1;
        else
            end = mid;
    }
    bool is_it =
        first < n && v[first].src_uid == src_uid && (src_uid != 0 || v[first].tgt_uid == tgt_uid);
    return is_it ? &v[first] : NULL;
}

int apply_content(struct journal *j, uint32_t folder, const struct plan_op *op, struct content *out,
    bool *found_out, struct err *err)
{
    return op->src_uid != 0 ? journal_content(j, folder, op->src_uid, out, found_out, err)
                            : journal_copy_content(j, folder, op->tgt_uid, out, found_out, err);
}

/* --- Answers ------------------------------------------------------------------------------- */

struct apply_group *apply_opener(struct apply_window *w, struct apply_group *g)
{
    while (!g->is_first && g > w->v)
        g--;
    return g;
}

/* Both folders of a move tell it again. */
static void leave(struct apply_job *job, const struct plan_op *op)
{
    job->folders[op->folder].is_left = true;
    if (op->kind == PLAN_MOVE)
        job->folders[op->to].is_left = true;
}

void apply_leave(struct apply_window *w, struct apply_group *g, size_t n)
{
    w->job->n_left += n;
    if (n > 0)
        leave(w->job, g->ops);
}

void apply_refuse(struct apply_window *w, struct apply_group *g, const char *why)
{
    struct apply_job *job = w->job;
    bool is_told = g->folder->is_refused;
    g->is_over = true;
    g->folder->is_refused = true;
    apply_leave(w, g, g->n_uids);
    if (!is_told && job->exception)
        job->exception(job->arg, g->ops[0].folder, 0, why);
}

bool apply_is_done(struct apply_window *w, struct apply_group *g, const struct end_ticket *t)
{
    const struct end_ticket *open = &apply_opener(w, g)->opened;
    const struct end_ticket *no = open->result == END_NO ? open : t->result == END_NO ? t : NULL;
    if (no) {
        struct err why = no->err;
        (void)err_wrap(&why, "%s: %s", w->job->target->label,
            no == open ? "cannot open the folder" : "cannot change messages");
        apply_refuse(w, g, why.text);
    }
    return !no;
}

/* --- Steps that are common ------------------------------------------------------------------ */

int apply_begin_open(struct apply_window *w, struct apply_group *g, bool is_known, struct err *err)
{
    struct end *e = w->job->target;
    const struct journal_end *to = &g->folder->record->target;
    if (end_room(e, err) != 0)
        return -1;
    if (!g->is_first)
        return 0;
    g->opened = (struct end_ticket){0};
    e->ops->open(e,
        &(struct end_open){.folder = to->name,
            .is_for_writing = true,
            .is_only_opened = true,
            .is_known = is_known,
            .uidvalidity = to->uidvalidity},
        &g->numbers, &g->opened);
    return end_room(e, err);
}

int apply_look(struct apply_window *w, bool wants_flags, struct err *err)
{
    struct end *e = w->job->target;
    for (size_t i = 0; i < w->n; i++) {
        struct apply_group *g = &w->v[i];
        if (apply_begin_open(w, g, false, err) != 0)
            return -1;
        g->first = (struct end_ticket){.result = END_OK};
        if (!wants_flags)
            continue;
        g->first.result = END_PENDING;
        e->ops->attributes(e, g->uids, g->n_uids, END_WANT_FLAGS, &g->numbers, &g->first);
    }
    if (end_drain(e, err) != 0)
        return -1;
    for (size_t i = 0; i < w->n; i++) {
        struct apply_group *g = &w->v[i];
        g->modseq = g->numbers.modseq;
        (void)apply_is_done(w, g, &g->first);
    }
    return 0;
}

int apply_put_intents(struct apply_window *w, enum intent_kind kind, struct err *err)
{
    struct journal *j = w->job->journal;
    journal_begin(j);
    for (size_t i = 0; i < w->n; i++) {
        struct apply_group *g = &w->v[i];
        if (g->is_over || g->n_uids == 0)
            continue;
        g->intent.kind = kind;
        g->intent.time_ms = clock_wall_ms();
        g->intent.uids = g->uids;
        g->intent.n = g->n_uids;
        journal_intent_put(j, g->folder->record->id, &g->intent);
    }
    return journal_commit(j, err);
}

static int by_place(const void *a, const void *b)
{
    const struct apply_place *x = a, *y = b;
    if (x->folder != y->folder)
        return x->folder < y->folder ? -1 : 1;
    return x->uid < y->uid ? -1 : x->uid > y->uid;
}

bool apply_has_old_flags(const struct apply_job *job, const struct plan_op *op)
{
    const struct apply_place at = {op->folder, op->tgt_uid};
    return mem_search(&at, job->unflagged, job->n_unflagged, sizeof(at), by_place) != NULL;
}

void apply_take_out(struct apply_window *w, struct apply_group *g, const struct end_uids *modified)
{
    struct apply_job *job = w->job;
    size_t kept = 0;
    for (size_t i = 0; i < g->n_uids; i++) {
        bool is_modified = false;
        for (size_t k = 0; k < modified->n; k++)
            is_modified = is_modified || modified->v[k] == g->uids[i];
        if (is_modified) {
            job->unflagged =
                mem_realloc_array(job->unflagged, job->n_unflagged + 1, sizeof(*job->unflagged));
            job->unflagged[job->n_unflagged++] = (struct apply_place){g->ops[0].folder, g->uids[i]};
            continue;
        }
        g->uids[kept] = g->uids[i];
        g->which[kept++] = g->which[i];
    }
    apply_leave(w, g, g->n_uids - kept);
    g->n_uids = kept;
}

/* --- Windows -----------------------------------------------------------------------------------
 */

static bool is_same_group(const struct plan_op *a, const struct plan_op *b)
{
    if (a->kind != b->kind || a->folder != b->folder)
        return false;
    if (a->kind == PLAN_MOVE)
        return a->to == b->to;
    return a->kind != PLAN_FLAGS || a->change == b->change;
}

static void make_group(struct apply_job *job, struct apply_group *g, const struct plan_op *ops,
    size_t n, bool is_first)
{
    *g = (struct apply_group){.ops = ops,
        .n = n,
        .change = &job->plan->changes[ops[0].change],
        .folder = &job->folders[ops[0].folder],
        .is_first = is_first};
    g->uids = mem_realloc_array(NULL, n, sizeof(*g->uids));
    g->which = mem_realloc_array(NULL, n, sizeof(*g->which));
    for (size_t i = 0; i < n; i++) {
        g->uids[i] = ops[i].tgt_uid;
        g->which[i] = (uint32_t)i;
    }
    g->n_uids = n;
    end_changes_init(&g->numbers, g->folder->keywords);
}

static void window_fini(struct apply_window *w)
{
    for (size_t i = 0; i < w->n; i++) {
        struct apply_group *g = &w->v[i];
        free(g->uids);
        free(g->which);
        free(g->away);
        free(g->waits);
        free(g->intent.new_uids);
        end_uids_fini(&g->answer);
        end_changes_fini(&g->numbers);
    }
    free(w->v);
}

/* Takes groups from the operations until they are enough; *used_out of them. */
static void fill(struct apply_window *w, const struct plan_op *ops, size_t n, size_t *used_out)
{
    struct apply_job *job = w->job;
    size_t i = 0;
    while (i < n && i < APPLY_WINDOW) {
        size_t k = 1;
        while (i + k < n && k < APPLY_GROUP_MAX && is_same_group(&ops[i], &ops[i + k]))
            k++;
        if (job->folders[ops[i].folder].is_refused) {
            job->n_left += k;
            leave(job, &ops[i]);
        } else {
            bool is_first = w->n == 0 || w->v[w->n - 1].ops[0].folder != ops[i].folder;
            if (w->n % 64 == 0)
                w->v = mem_realloc_array(w->v, w->n + 64, sizeof(*w->v));
            make_group(job, &w->v[w->n++], &ops[i], k, is_first);
        }
        i += k;
    }
    *used_out = i;
}

/* All operations of one kind. */
static int one_kind(struct apply_job *job, const struct plan_op *ops, size_t n,
    int (*step)(struct apply_window *w, struct err *err), struct err *err)
{
    int result = 0;
    for (size_t i = 0, used = 0; result == 0 && i < n; i += used) {
        struct apply_window w = {.job = job};
        fill(&w, ops + i, n - i, &used);
        if (w.n > 0)
            result = step(&w, err);
        window_fini(&w);
    }
    return result;
}

static int do_kind(struct apply_job *job, const struct plan_op *ops, size_t n, struct err *err)
{
    switch ((enum plan_kind)ops->kind) {
    case PLAN_NAME:
    case PLAN_RENAME:
    case PLAN_MAKE:
    case PLAN_COPY:
    case PLAN_KINDS:
        return 0;
    case PLAN_RENUMBER:
    case PLAN_NOTE:
    case PLAN_GONE:
    case PLAN_AWAY:
    case PLAN_FORGET:
        return apply_journal(job, ops, n, err);
    case PLAN_FLAGS:
        return one_kind(job, ops, n, apply_flags, err);
    case PLAN_MOVE:
        if (job->n_unflagged > 0)
            mem_sort(job->unflagged, job->n_unflagged, sizeof(*job->unflagged), by_place);
        return one_kind(job, ops, n, apply_move, err);
    case PLAN_TRASH:
    case PLAN_REMOVE:
        return one_kind(job, ops, n, apply_remove, err);
    }
    return 0;
}

int apply_plan(struct apply_job *job, struct err *err)
{
    const struct plan *p = job->plan;
    int result = 0;
    for (size_t i = 0, n; result == 0 && i < p->n_ops; i += n) {
        for (n = 1; i + n < p->n_ops && p->ops[i + n].kind == p->ops[i].kind;)
            n++;
        result = do_kind(job, &p->ops[i], n, err);
    }
    free(job->unflagged);
    job->unflagged = NULL;
    job->n_unflagged = 0;
    return result;
}
