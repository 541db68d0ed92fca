/* SPDX-License-Identifier: ISC */
/*
 * apply: the operations go in windows, in the plan's order; how one goes: apply_turns.c.
 *
 * UIDs are only good for one UIDVALIDITY, and hours may lie between the plan and its turn: a folder
 * that was replaced meanwhile says NO to being opened, before anything is changed in it.
 *
 * A window's memory is that of its UIDs, of the flags of what is moved or removed, and of what the
 * journal has of what is moved.
 */
#include "imapsync/apply/apply_parts.h"

#include <stdlib.h>

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

struct apply_again *apply_look_again(struct apply_group *g)
{
    if (!g->again) {
        g->again = mem_zalloc(sizeof(*g->again));
        end_changes_init(&g->again->there, g->folder->keywords);
    }
    end_changes_clear(&g->again->there);
    g->again->told = (struct end_ticket){0};
    return g->again;
}

/* --- Windows -----------------------------------------------------------------------------------
 */

static const struct apply_kind *kind_of(const struct plan_op *op)
{
    static const struct apply_kind *const kinds[PLAN_KINDS] = {[PLAN_FLAGS] = &apply_flags,
        [PLAN_MOVE] = &apply_move,
        [PLAN_TRASH] = &apply_trash,
        [PLAN_REMOVE] = &apply_remove};
    return kinds[op->kind];
}

static bool is_same_group(const struct plan_op *a, const struct plan_op *b)
{
    if (a->kind != b->kind || a->folder != b->folder)
        return false;
    if (a->kind == PLAN_MOVE)
        return a->to == b->to;
    return a->kind != PLAN_FLAGS || a->change == b->change;
}

/* Messages of the window whose flags are changed, by place. */
struct flagged {
    struct apply_place *v;
    size_t n;
};

static struct flagged flagged_of(const struct plan_op *ops, size_t n)
{
    struct flagged f = {.v = mem_realloc_array(NULL, n + 1, sizeof(*f.v))};
    for (size_t i = 0; i < n; i++) {
        if (ops[i].kind == PLAN_FLAGS)
            f.v[f.n++] = (struct apply_place){ops[i].folder, ops[i].tgt_uid};
    }
    mem_sort(f.v, f.n, sizeof(*f.v), apply_by_place);
    return f;
}

static bool is_late(const struct flagged *f, const struct plan_op *op)
{
    const struct apply_place at = {op->folder, op->tgt_uid};
    return op->kind == PLAN_MOVE && mem_search(&at, f->v, f->n, sizeof(at), apply_by_place);
}

/* Of these operations those that are late, or those that are not. */
static void add_group(struct apply_window *w, const struct flagged *flagged,
    const struct plan_op *ops, size_t n, bool wants_late)
{
    struct apply_job *job = w->job;
    struct apply_group g = {.kind = kind_of(ops),
        .change = &job->plan->changes[ops[0].change],
        .folder = &job->folders[ops[0].folder],
        .is_late = wants_late,
        .first = {.result = END_OK},
        .second = {.result = END_OK}};
    g.ops = mem_realloc_array(NULL, n, sizeof(*g.ops));
    for (size_t i = 0; i < n; i++) {
        if (is_late(flagged, &ops[i]) == wants_late)
            g.ops[g.n++] = &ops[i];
    }
    if (g.n == 0) {
        free(g.ops);
        return;
    }
    g.fates = mem_zalloc(g.n * sizeof(*g.fates));
    g.uids = mem_realloc_array(NULL, g.n, sizeof(*g.uids));
    g.which = mem_realloc_array(NULL, g.n, sizeof(*g.which));
    apply_part_begin(&g);
    apply_choose(&g);
    if (w->n % 64 == 0)
        w->v = mem_realloc_array(w->v, w->n + 64, sizeof(*w->v));
    w->v[w->n++] = g;
}

static void add_groups(struct apply_window *w, const struct plan_op *ops, size_t n)
{
    struct apply_job *job = w->job;
    struct flagged flagged = flagged_of(ops, n);
    for (size_t i = 0, k; i < n; i += k) {
        for (k = 1; i + k < n && k < APPLY_GROUP_MAX && is_same_group(&ops[i], &ops[i + k]);)
            k++;
        if (job->folders[ops[i].folder].is_refused) {
            for (size_t at = i; at < i + k; at++)
                apply_leave(job, &ops[at]);
            continue;
        }
        add_group(w, &flagged, &ops[i], k, false);
        add_group(w, &flagged, &ops[i], k, true);
    }
    free(flagged.v);
}

static int by_folder(const void *a, const void *b)
{
    const struct apply_group *x = a, *y = b;
    if (x->ops[0]->folder != y->ops[0]->folder)
        return x->ops[0]->folder < y->ops[0]->folder ? -1 : 1;
    return x->ops[0] < y->ops[0] ? -1 : x->ops[0] > y->ops[0];
}

static int by_moves(const void *a, const void *b)
{
    const struct apply_visit *x = a, *y = b;
    if (x->moves != y->moves)
        return x->moves ? 1 : -1;
    return x->at < y->at ? -1 : x->at > y->at;
}

static void add_visits(struct apply_window *w)
{
    w->visits = mem_zalloc((w->n + 1) * sizeof(*w->visits));
    mem_sort(w->v, w->n, sizeof(*w->v), by_folder);
    for (size_t i = 0; i < w->n; i++) {
        struct apply_group *g = &w->v[i];
        if (i == 0 || g->ops[0]->folder != w->v[i - 1].ops[0]->folder)
            w->visits[w->n_visits++] =
                (struct apply_visit){.folder = g->folder, .at = g->ops[0]->folder, .v = g};
        struct apply_visit *v = &w->visits[w->n_visits - 1];
        v->n++;
        v->moves = v->moves || g->kind->is_sure;
    }
    mem_sort(w->visits, w->n_visits, sizeof(*w->visits), by_moves);
    for (size_t i = 0; i < w->n_visits; i++) {
        struct apply_visit *v = &w->visits[i];
        end_changes_init(&v->numbers, v->folder->keywords);
        for (size_t k = 0; k < v->n; k++)
            v->v[k].visit = v;
    }
}

static void window_fini(struct apply_window *w)
{
    for (size_t i = 0; i < w->n; i++) {
        struct apply_group *g = &w->v[i];
        free(g->ops);
        free(g->fates);
        free(g->uids);
        free(g->which);
        free(g->known);
        free(g->parts);
        free(g->lost);
        free(g->alone);
        free(g->moved);
        if (g->again)
            end_changes_fini(&g->again->there);
        free(g->again);
        free(g->intent.new_uids);
        end_uids_fini(&g->answer);
    }
    for (size_t i = 0; i < w->n_visits; i++)
        end_changes_fini(&w->visits[i].numbers);
    free(w->v);
    free(w->visits);
}

static int do_window(struct apply_job *job, const struct plan_op *ops, size_t n, struct err *err)
{
    struct apply_window w = {.job = job};
    int result = 0;
    add_groups(&w, ops, n);
    add_visits(&w);
    if (w.n > 0)
        result = apply_turns(&w, err);
    window_fini(&w);
    return result;
}

/* Of one kind each, since a pair may be in several. */
static int apply_to_journal(struct apply_job *job, size_t *at, struct err *err)
{
    const struct plan *p = job->plan;
    int result = 0;
    for (size_t n; result == 0 && *at < p->n_ops && p->ops[*at].kind < PLAN_COPY; *at += n) {
        for (n = 1; *at + n < p->n_ops && p->ops[*at + n].kind == p->ops[*at].kind;)
            n++;
        result = apply_journal(job, &p->ops[*at], n, err);
    }
    return result;
}

int apply_plan(struct apply_job *job, struct err *err)
{
    const struct plan *p = job->plan;
    size_t i = 0;
    int result = apply_to_journal(job, &i, err);
    while (i < p->n_ops && p->ops[i].kind == PLAN_COPY)
        i++;
    for (size_t n; result == 0 && i < p->n_ops; i += n) {
        n = p->n_ops - i < APPLY_WINDOW ? p->n_ops - i : APPLY_WINDOW;
        result = do_window(job, &p->ops[i], n, err);
    }
    free(job->unflagged);
    job->unflagged = NULL;
    job->n_unflagged = 0;
    return result;
}
