/* SPDX-License-Identifier: ISC */
/*
 * copy_jobs: which folders of a pass may have changed, and which of them are planned together.
 * copy_due.c has what is kept of each until its turn comes, copy_shown.c those that show messages
 * of others.
 */
#include <stdlib.h>

#include "base/core/mem.h"
#include "base/mail/uids.h"
#include "imapsync/copy/due_parts.h"
#include "imapsync/copy/extras.h"

static bool is_copied(const struct pass *p, const struct folder_list *from, size_t i)
{
    return p->map->names[i].p && !(from->v[i].attrs & (FOLDER_NOSELECT | FOLDER_VIRTUAL));
}

void copy_tell_passed(const struct copy *c, const struct copy_folder *f)
{
    if (c->events->folder)
        c->events->folder(c->arg, f);
}

static void tell_unchanged(struct copy *c, const struct pass *p, const struct copy_job *job)
{
    copy_tell_passed(c, &(struct copy_folder){.source = job->record.source.name,
                            .target = job->record.target.name,
                            .origin = job->origin,
                            .messages = job->source->messages,
                            .messages_there = job->target.messages,
                            .all_octets = copy_octets_of(job->source),
                            .all_octets_there = copy_octets_of(&job->target)});
    c->events->progress(c->arg, p->counts);
}

static void tell_not_copied(struct copy *c, const struct folder_list *from, const struct folder *f)
{
    const bool is_other = folder_rules_choose(&c->options.folders, f) == FOLDER_HAS_NO_MAIL;
    const char *why = !folder_is_own(from, f) ? "another user's, or shared"
                      : is_other              ? "no mail: calendar, contacts, tasks"
                                              : "as --include and --exclude say";
    if (!(f->attrs & FOLDER_NOSELECT))
        copy_tell_passed(c, &(struct copy_folder){.source = f->name,
                                .left_out = why,
                                .messages = f->messages,
                                .all_octets = copy_octets_of(f),
                                .all_octets_there = -1});
}

static int add_folder(struct copy *c, struct pass *p, struct dues *all, size_t i, struct err *err)
{
    const struct folder *f = &p->from->v[i];
    struct copy_job job;
    bool has_changed;
    p->counts->folders++;
    if (due_prepare(c, p, f, p->map->names[i], &job, &has_changed, err) != 0) {
        copy_tell_passed(c, &(struct copy_folder){.source = f->name,
                                .target = p->map->names[i],
                                .has_failed = true,
                                .messages = f->messages,
                                .all_octets = copy_octets_of(f),
                                .all_octets_there = -1});
        journal_folder_fini(&job.record);
        if (!copy_is_exception(c, err))
            return -1;
        p->is_all = false;
        copy_folder_failed(c, p, ITEM_FOLDER, f->name, err->text);
        err_clear(err);
        return 0;
    }
    job.origin = p->map->origins[i];
    if (has_changed && job.record.source.uidvalidity == 0) {
        all->n_first += f->messages;
        all->n_new++;
    }
    if (has_changed) {
        due_add(all, &job);
        return 0;
    }
    p->counts->folders_unchanged++;
    p->counts->messages_same += f->messages;
    tell_unchanged(c, p, &job);
    journal_folder_fini(&job.record);
    p->n_unchanged += f->messages;
    return 0;
}

static void swap(struct due *a, struct due *b)
{
    const struct due was = *a;
    *a = *b;
    *b = was;
}

/* Those that the journal knows nothing of come in windows when they have many messages, or are
 * many: nothing can have been lost in them.  All others are planned together, for what was moved,
 * and all of them where something may stand alone.  Behind a flip all are, since what is late in
 * one folder may be late in another, but for a backfill, which has next to nothing that only its
 * content could tell from late mail. */
static size_t window_of(const struct pass *p, const struct dues *all, size_t from)
{
    size_t n = 0;
    uint64_t messages = 0;
    bool is_behind_flip = plan_policy(p->policy)->is_behind_flip;
    bool are_few = all->n_first < COPY_MESSAGES_AT_ONCE && all->n_new < COPY_NEW_AT_ONCE;
    if (are_few || p->finds_alone || (is_behind_flip ? p->policy != PLAN_BACKFILL : p->n_lost > 0))
        return all->n - from;
    while (is_behind_flip && from + n < all->n && !all->v[from + n].is_first)
        n++;
    if (n > 0 || !all->v[from].is_first)
        return n > 0 ? n : all->n - from;
    while (from + n < all->n && n < COPY_FOLDERS_AT_ONCE && messages < COPY_MESSAGES_AT_ONCE &&
           all->v[from + n].is_first)
        messages += all->v[from + n++].source->messages;
    return n;
}

/* Whether one of the folders that are lost has something that stands alone, as what went to Trash
 * with the pass before: its message may have come up in what has changed. */
static int has_alone(struct copy *c, const struct pass *p, bool *out, struct err *err)
{
    *out = false;
    for (size_t i = 0; p->finds_alone && !*out && i < p->n_lost; i++) {
        struct pair *v;
        size_t n;
        if (journal_alone(c->journal, p->lost[i].id, &v, &n, err) != 0)
            return -1;
        free(v);
        *out = n > 0;
    }
    return 0;
}

/* What is lost is looked for where something is new; and an operator may have agreed to its end.
 * Behind a flip only what was on its way from there is, and what the target was restored without.
 */
static int add_lost(
    struct copy *c, struct pass *p, struct dues *all, struct folder *gone, struct err *err)
{
    bool has_new = false, is_agreed = c->options.delete_percent == 100;
    bool is_behind_flip = plan_policy(p->policy)->is_behind_flip;
    for (size_t i = 0; i < all->n; i++)
        has_new = has_new || all->v[i].is_first;
    if (!has_new && all->n > 0 && has_alone(c, p, &has_new, err) != 0)
        return -1;
    p->counts->folders_vanished = is_behind_flip ? 0 : c->n_lost;
    if (!is_behind_flip && c->has_told_lost && !has_new && !is_agreed)
        return 0;
    if (!is_behind_flip)
        p->counts->folders_vanished = c->n_lost = 0;
    for (size_t i = 0; i < p->n_lost; i++) {
        const struct folder *t = copy_find_target(p, &p->lost[i]);
        bool is_wanted = true;
        const struct journal_end *was = &p->lost[i].target;
        if (!t ||
            t->uidvalidity != (was->is_restored ? was->numbers.uidvalidity : was->uidvalidity))
            continue;
        if (is_behind_flip && journal_has_appends(c->journal, p->lost[i].id, &is_wanted, err) != 0)
            return -1;
        is_wanted = is_wanted || was->is_restored;
        if (!is_wanted)
            continue;
        gone[i] = (struct folder){
            .name = p->lost[i].source.name, .uidvalidity = p->lost[i].source.uidvalidity};
        struct copy_job job = {.is_lost = true, .source = &gone[i], .target = *t};
        bool found;
        if (journal_folder_get(c->journal, gone[i].name, &job.record, &found, err) != 0)
            return -1;
        due_add(all, &job);
    }
    return 0;
}

/* A window of them. */
static int do_jobs(struct copy *c, struct pass *p, const struct due *v, size_t n, struct err *err)
{
    struct copy_job *jobs = mem_zalloc(n * sizeof(*jobs));
    int result = 0;
    for (size_t i = 0; result == 0 && i < n; i++)
        result = due_take(c, p, &v[i], &jobs[i], err);
    if (result == 0)
        result = copy_folders(c, p, jobs, n, err);
    for (size_t i = 0; i < n; i++)
        journal_folder_fini(&jobs[i].record);
    free(jobs);
    return result;
}

static int all_jobs(struct copy *c, struct pass *p, struct dues *all, struct err *err)
{
    int result = 0;
    /* Behind a flip last: what was on its way in the others tells what is late in them. */
    bool comes_first = !plan_policy(p->policy)->is_behind_flip;
    for (size_t i = 0, first = 0; i < all->n; i++) {
        if (all->v[i].is_first == comes_first)
            swap(&all->v[i], &all->v[first++]);
    }
    for (size_t i = 0, n; result == 0 && i < all->n; i += n) {
        n = window_of(p, all, i);
        result = do_jobs(c, p, &all->v[i], n, err);
    }
    return result;
}

/* Which folders have changed, for what is new in those that show them. */
static void keep_changed(struct pass *p, const struct dues *all)
{
    p->changed = mem_realloc_array(NULL, all->n + 1, sizeof(*p->changed));
    for (size_t i = 0; i < all->n; i++)
        p->changed[i] = all->v[i].id;
    p->n_changed = uids_sort(p->changed, all->n);
}

static int do_all(struct copy *c, struct pass *p, const struct folder_list *from, struct err *err)
{
    int result = 0;
    struct dues all;
    struct folder *gone = mem_zalloc((p->n_lost + 1) * sizeof(*gone));
    uint32_t *shown = mem_zalloc((from->n + 1) * sizeof(*shown));
    size_t n_shown = 0;
    dues_init(&all, from->n + p->n_lost);
    for (size_t i = 0; i < from->n; i++) {
        if (is_copied(p, from, i))
            p->counts->messages_total += from->v[i].messages;
    }
    p->is_all = true;
    for (size_t i = 0; i < from->n && result == 0; i++) {
        if (is_copied(p, from, i))
            result = add_folder(c, p, &all, i, err);
        else if (!p->map->names[i].p)
            tell_not_copied(c, from, &from->v[i]);
    }
    if (result == 0)
        result = add_lost(c, p, &all, gone, err);
    if (result == 0)
        result = copy_add_shown(c, p, from, &all, shown, &n_shown, err);
    if (result == 0)
        keep_changed(p, &all);
    if (result == 0)
        result = all_jobs(c, p, &all, err);
    if (result == 0)
        result = copy_do_shown(c, p, shown, n_shown, err);
    if (result == 0 && !c->options.is_dry && !plan_policy(p->policy)->is_behind_flip)
        result = copy_acls(c, p, err);
    if (result == 0 && !c->options.is_dry && !plan_policy(p->policy)->is_behind_flip)
        result = copy_metadata(c, p, all.n_new > 0, err);
    if (result == 0)
        copy_tell_left_out(c, p, from);
    c->has_told_lost = c->has_told_lost || result == 0;
    dues_fini(&all);
    free(gone);
    free(shown);
    free(p->changed);
    p->changed = NULL;
    return result;
}

/* Before a flip what is written of a folder says what both sides have told, and a copy or a change
 * of the target writes before it what it begins: so the folders' records need not be durable one
 * by one.  Behind it marks are written elsewhere. */
int copy_all_folders(
    struct copy *c, struct pass *p, const struct folder_list *from, struct err *err)
{
    struct err unwritten = ERR_INIT;
    if (!plan_policy(p->policy)->is_behind_flip)
        journal_gather(c->journal);
    int result = do_all(c, p, from, err);
    if (journal_settle(c->journal, &unwritten) != 0 && result == 0) {
        *err = unwritten;
        result = -1;
    }
    return result;
}
