/* SPDX-License-Identifier: ISC */
/*
 * folders_pass: the folders of a pass that may have changed: the source is asked about many of them
 * at once, one plan is made over all, new messages are copied from one after the other without a
 * stop in between, and then the target follows in the rest.  What a large folder has new comes
 * last, in portions; its token is remembered behind the last one, and a pass that is killed in
 * between leaves pairs, which the next one finds.
 */
#include <stdlib.h>
#include <string.h>

#include "base/core/log.h"
#include "base/core/mem.h"
#include "imapsync/copy/folder_parts.h"
#include "imapsync/copy/trash.h"

/* --- Looking ------------------------------------------------------------------------------- */

/* How many folders are asked about at once, from here on. */
static size_t window_at(const struct works *all, size_t from)
{
    size_t n = 0;
    uint64_t messages = 0;
    while (from + n < all->n && n < COPY_FOLDERS_AT_ONCE) {
        messages += all->v[from + n].source->messages;
        if (n > 0 && messages > COPY_MESSAGES_AT_ONCE)
            break;
        n++;
    }
    return n;
}

static int look(struct works *all, struct err *err)
{
    struct copy_looked looked = {.done = 0};
    for (size_t i = 0; i < all->n; i++)
        looked.total += all->v[i].source->messages;
    for (size_t i = 0, n; i < all->n; i += n) {
        n = window_at(all, i);
        if (copy_check_cancelled(all->c, err) != 0)
            return -1;
        for (size_t k = i; k < i + n; k++) {
            if (folder_ask(&all->v[k], err) != 0)
                return -1;
        }
        if (copy_make_finish(all->c, all->p, err) != 0)
            return -1;
        for (size_t k = i; k < i + n; k++) {
            if (folder_answered(&all->v[k], err) != 0 && folder_excuse(&all->v[k], err) != 0)
                return -1;
            looked.folder = all->v[k].source->name;
            looked.done += all->v[k].source->messages;
            copy_looked(all->c, &looked);
        }
    }
    return 0;
}

/* --- The rest of the plan ------------------------------------------------------------------ */

static bool is_left_out(const struct work *w)
{
    return w->is_over || w->comes_again;
}

static bool stands_alone(const struct plan_op *op)
{
    return op->witness == PLAN_W_LOST || op->witness == PLAN_W_IN_TRASH;
}

/* Operations of folders that have failed go out of the plan; and behind a flip nothing is
 * forgotten: who has lost his marks gets them again from what was there once. */
static void leave_out(struct works *all)
{
    struct plan *p = &all->plan;
    bool is_behind_flip = plan_policy(all->p->policy)->is_behind_flip;
    size_t kept = 0;
    for (size_t i = 0; i < p->n_ops; i++) {
        const struct plan_op *op = &p->ops[i];
        struct work *w = all->planned[op->folder], *to = all->planned[op->to];
        w->has_gone_pairs = w->has_gone_pairs || (op->kind == PLAN_GONE && !stands_alone(op));
        if (op->kind == PLAN_FORGET && is_behind_flip)
            continue;
        if (!is_left_out(w) && !is_left_out(to))
            p->ops[kept++] = *op;
        else if (to != w)
            w->n_exceptions += to->n_exceptions += 1;
    }
    p->n_ops = kept;
}

static void on_exception(void *arg, uint32_t folder, uint32_t uid, const char *why)
{
    const struct works *all = arg;
    struct work *w = all->planned[folder];
    bool is_accepted = folder_tell(w, ITEM_FOLDER, uid, 0, why);
    w->p->has_failed = true;
    if (!w->is_over && !is_accepted)
        w->p->counts->folders_failed++;
    w->is_over = true;
}

/* What the plan has read of it. */
static bool content_of(void *arg, uint32_t folder, uint32_t src_uid, struct content *out)
{
    const struct works *all = arg;
    return folder_has_read(all->planned[folder], src_uid, out);
}

/* Whether nobody knows yet what is in it: it was to be found by content in this pass, and that
 * failed.  With a number of ours in it, it would count as known, and all of it would come again. */
static bool is_waiting(const struct works *all, const struct folder *f)
{
    bool is = false;
    for (size_t i = 0; i < all->n; i++)
        is |= all->v[i].is_over && all->v[i].record->target.uidvalidity == 0 &&
              slice_eq(all->v[i].record->target.name, f->name);
    return is;
}

/* Where what the source has lost goes, made if there is nothing that it could be; the id is 0 if it
 * cannot be.  What keeps it from being made is told with what then stays. */
static int find_trash(struct works *all, struct journal_folder *out, struct err *err)
{
    struct folder_list *there = all->p->there;
    if (all->plan.n_of[PLAN_TRASH] == 0 ||
        (trash_find(there) && is_waiting(all, trash_find(there))))
        return 0;
    if ((trash_find(there) || trash_make(all->c->to, there, err) == 0) &&
        trash_record(all->c->to, all->c->journal, trash_find(there), all->p->lost, all->p->n_lost,
            out, err) == 0)
        return 0;
    if (!copy_is_exception(all->c, err))
        return -1;
    log_warn("no_trash", log_err(err));
    err_clear(err);
    return 0;
}

static int apply(struct works *all, struct err *err)
{
    struct apply_folder *folders = mem_zalloc((all->n_planned + 1) * sizeof(*folders));
    struct copy_counts *n = all->p->counts;
    struct journal_folder trash = {0};
    pass_rest_held(all);
    leave_out(all);
    if (shared_leave(all, err) != 0 || pass_rest_flags(all, err) != 0 ||
        find_trash(all, &trash, err) != 0) {
        journal_folder_fini(&trash);
        free(folders);
        return -1;
    }
    for (size_t i = 0; i < all->n_planned; i++)
        folders[i] = (struct apply_folder){.record = all->planned[i]->record,
            .keywords = &all->planned[i]->keywords,
            .modseq = all->planned[i]->there.modseq};
    struct apply_job job = {.target = all->c->to,
        .journal = all->c->journal,
        .plan = &all->plan,
        .folders = folders,
        .n_folders = all->n_planned,
        .trash = trash.target.uidvalidity != 0 ? &trash : NULL,
        .exception = on_exception,
        .spared = pass_spared,
        .content = content_of,
        .arg = all};
    int result = apply_plan(&job, err);
    for (size_t i = 0; i < all->n_planned; i++)
        all->planned[i]->n_exceptions += folders[i].is_left;
    pass_count(all, folders);
    pass_tell_sent(all);
    n->flags_changed += job.n_flagged;
    n->messages_moved += job.n_moved;
    n->messages_deleted += job.n_deleted;
    n->messages_kept += job.n_kept + all->plan.n_kept;
    journal_folder_fini(&trash);
    free(folders);
    return result;
}

/* --- The rest of large folders -------------------------------------------------------------- */

/* What the plan says, or, dry, what it would be. */
static int carry_out(struct works *all, struct stream_folder *folders, struct err *err)
{
    if (all->c->options.is_dry) {
        pass_pretend(all);
        return 0;
    }
    return folders_copy(all, folders, err) == 0 && folders_after_copies(all, err) == 0 ? 0 : -1;
}

/* A plan of its own, with nothing but copies. */
static int do_portion(struct works *all, struct work *w, struct err *err)
{
    struct work *planned[1];
    struct stream_folder folder;
    struct works one = {.c = all->c,
        .p = all->p,
        .v = w,
        .n = 1,
        .planned = planned,
        .in_doubt = all->in_doubt,
        .n_in_doubt = all->n_in_doubt};
    int result = 0;
    if (pass_plan(&one, err) != 0 || carry_out(&one, &folder, err) != 0)
        result = -1;
    plan_fini(&one.plan);
    w->streamed = NULL;
    return result;
}

static int portions(struct works *all, struct err *err)
{
    for (size_t i = 0; i < all->n; i++) {
        struct work *w = &all->v[i];
        for (uint32_t last = 0; folder_has_more(w, last) && !is_left_out(w);) {
            if (copy_check_cancelled(all->c, err) != 0)
                return -1;
            if (folder_portion(w, &last, err) != 0) {
                if (folder_excuse(w, err) != 0)
                    return -1;
            } else if (do_portion(all, w, err) != 0) {
                return -1;
            }
        }
    }
    return 0;
}

/* --- All of it ------------------------------------------------------------------------------- */

static int run(struct works *all, struct stream_folder *folders, struct err *err)
{
    if (look(all, err) != 0 || pass_find_in_doubt(all, err) != 0 || pass_plan(all, err) != 0 ||
        carry_out(all, folders, err) != 0 || (!all->c->options.is_dry && apply(all, err) != 0) ||
        portions(all, err) != 0)
        return -1;
    filtered_tell(all);
    if (tell_flush(all->c, err) != 0)
        return -1;
    for (size_t i = 0; i < all->n; i++) {
        /* One that shows those of others comes once more, behind all copies. */
        bool comes_later = all->v[i].is_shown && !all->p->learns;
        if (!is_left_out(&all->v[i]) && !comes_later && folder_remember(&all->v[i], err) != 0)
            return -1;
        if (!comes_later)
            pass_tell_folder(&all->v[i]);
    }
    all->c->events->progress(all->c->arg, all->p->counts);
    return 0;
}

/* What the first look has stored there is among it now. */
static int look_again(struct copy *c, struct pass *p, struct copy_job *job, struct err *err)
{
    struct end_ticket t = {0};
    if (job->target.uidvalidity != 0) {
        c->to->ops->status(c->to, &job->target, &t);
        if (end_wait(c->to, &t, err) != 0)
            return -1;
    }
    if (t.result != END_NO)
        return copy_folders(c, p, job, 1, err);
    copy_folder_failed(c, p, ITEM_FOLDER, job->source->name, t.err.text);
    return 0;
}

int copy_folders(struct copy *c, struct pass *p, struct copy_job *jobs, size_t n, struct err *err)
{
    struct works all = {.c = c,
        .p = p,
        .v = mem_zalloc((n + 1) * sizeof(*all.v)),
        .n = n,
        .planned = mem_zalloc((n + 1) * sizeof(*all.planned))};
    struct stream_folder *folders = mem_zalloc((n + 1) * sizeof(*folders));
    for (size_t i = 0; i < n; i++)
        all.v[i] = (struct work){.c = c,
            .p = p,
            .is_lost = jobs[i].is_lost,
            .is_shown = (jobs[i].source->attrs & FOLDER_VIRTUAL) != 0,
            .is_awaited = jobs[i].is_awaited,
            .source = jobs[i].source,
            .record = &jobs[i].record,
            .target = &jobs[i].target,
            .done = {.origin = jobs[i].origin,
                .is_lost = jobs[i].is_lost,
                .is_made = jobs[i].is_awaited || jobs[i].target.uidvalidity == 0,
                .messages = jobs[i].is_lost ? 0 : jobs[i].source->messages,
                .messages_there = jobs[i].target.messages,
                .all_octets = copy_octets_of(jobs[i].source),
                .all_octets_there = copy_octets_of(&jobs[i].target)}};
    p->opened = NULL;
    p->n_window = n;
    p->works = &all;
    for (size_t i = 0; i < n; i++)
        jobs[i].is_awaited = false;
    int result = run(&all, folders, err);
    /* What is still on its way is answered into what is freed next. */
    if (result != 0 && !(c->from->ops->is_idle(c->from) && c->to->ops->is_idle(c->to))) {
        end_lose(c->from, err);
        end_lose(c->to, err);
    }
    /* Alone it is not opened twice. */
    for (size_t i = 0; result == 0 && i < n; i++) {
        if (all.v[i].comes_again)
            result = look_again(c, p, &jobs[i], err);
    }
    p->works = NULL;
    for (size_t i = 0; i < n; i++)
        folder_work_fini(&all.v[i]);
    plan_fini(&all.plan);
    free(all.in_doubt);
    free(all.v);
    free(all.planned);
    free(folders);
    return result;
}
