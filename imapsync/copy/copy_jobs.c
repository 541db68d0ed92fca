/* SPDX-License-Identifier: ISC */
/*
 * copy_jobs: which folders of a pass may have changed, and which of them are planned together.
 */
#include <stdlib.h>

#include "base/core/mem.h"
#include "base/mail/uids.h"
#include "imapsync/copy/extras.h"
#include "imapsync/copy/restored.h"
#include "imapsync/copy/shown.h"

/* The journal's record of the folder, or a new one with the mapped name. */
static int folder_record(struct copy *c, const struct pass *p, const struct folder *f,
    struct slice mapped, struct journal_folder *out, struct err *err)
{
    bool found = false;
    if (journal_folder_get(c->journal, f->name, out, &found, err) != 0)
        return -1;
    if (found)
        return 0;
    journal_set(&out->source.name, f->name);
    journal_set(&out->target.name, mapped);
    const struct folder *there = copy_find_target(p, out);
    out->source.numbers = restored_numbers(f);
    if (there)
        out->target.numbers = restored_numbers(there);
    return journal_folder_put(c->journal, out, err);
}

/* Behind a flip a folder is made for the mail that comes late to it, and only then; and for what
 * shows messages of others when there is one that is only there. */
static bool makes_it(
    const struct pass *p, const struct folder *f, const struct journal_folder *record)
{
    return !plan_policy(p->policy)->is_behind_flip &&
           (!(f->attrs & FOLDER_VIRTUAL) || record->target.uidvalidity != 0);
}

/* The target is looked at once the source has had something to tell; behind a flip only then.  The
 * first sweep has no second chance, and a server tells the numbers of the folder that the same
 * connection has had open as that has seen them. */
static bool is_unchanged(const struct copy *c, const struct pass *p, const struct journal_folder *r,
    const struct folder *source, const struct folder *target)
{
    return !p->is_fresh && !plan_policy(p->policy)->looks_at_all && !tell_is_due_in(c, r->id) &&
           c->from->ops->is_same(c->from, source, r->source.token) &&
           r->source.uidvalidity == source->uidvalidity &&
           r->target.uidvalidity == target->uidvalidity &&
           (plan_policy(p->policy)->is_behind_flip || r->target.token.n == 0 ||
               c->to->ops->is_same(c->to, target, r->target.token));
}

static bool is_news(struct slice id, struct slice known)
{
    return id.n > 0 && !slice_eq(id, known);
}

/* What tells the folders whatever they are called; written when it is first told. */
static int keep_ids(struct copy *c, const struct pass *p, const struct folder *f,
    struct journal_folder *record, struct err *err)
{
    const struct folder *t = copy_find_target(p, record);
    struct slice there = t ? t->id : SLICE_NONE;
    if (!is_news(f->id, record->source.mailboxid) && !is_news(there, record->target.mailboxid))
        return 0;
    if (f->id.n > 0)
        journal_set(&record->source.mailboxid, f->id);
    if (there.n > 0)
        journal_set(&record->target.mailboxid, there);
    return record->source.uidvalidity == 0 ? 0 : journal_folder_put(c->journal, record, err);
}

/* Whether the folder has to be looked at, and then its job.  -1: it cannot be. */
static int prepare(struct copy *c, struct pass *p, const struct folder *f, struct slice mapped,
    struct copy_job *job, bool *has_changed_out, struct err *err)
{
    *job = (struct copy_job){.source = f};
    *has_changed_out = false;
    if (folder_record(c, p, f, mapped, &job->record, err) != 0)
        return -1;
    job->target.name = job->record.target.name;
    job->is_awaited = copy_is_making(p, job->record.target.name);
    if (!job->is_awaited && (copy_find_target(p, &job->record) || makes_it(p, f, &job->record)) &&
        copy_folder_on_target(c, p, f, &job->record, &job->target, err) != 0)
        return -1;
    if (keep_ids(c, p, f, &job->record, err) != 0)
        return -1;
    p->has_known = p->has_known || job->record.source.uidvalidity != 0;
    *has_changed_out = job->is_awaited || !is_unchanged(c, p, &job->record, f, &job->target);
    return 0;
}

static bool is_copied(const struct pass *p, const struct folder_list *from, size_t i)
{
    return p->map->names[i].p && !(from->v[i].attrs & (FOLDER_NOSELECT | FOLDER_VIRTUAL));
}

/* What is told of one that is not looked at. */
static void tell_folder(struct copy *c, const struct copy_folder *f)
{
    if (c->events->folder)
        c->events->folder(c->arg, f);
}

static void tell_unchanged(struct copy *c, const struct pass *p, const struct copy_job *job)
{
    tell_folder(c, &(struct copy_folder){.source = job->record.source.name,
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
        tell_folder(c, &(struct copy_folder){.source = f->name,
                           .left_out = why,
                           .messages = f->messages,
                           .all_octets = copy_octets_of(f),
                           .all_octets_there = -1});
}

/* The folders that may have changed. */
struct jobs {
    struct copy_job *v;
    size_t n;
    uint64_t n_first; /* messages of folders that the journal knows nothing of */
    size_t n_new;     /* these folders */
};

static bool is_first(const struct copy_job *job)
{
    return job->record.source.uidvalidity == 0;
}

static int add_folder(struct copy *c, struct pass *p, struct jobs *jobs, size_t i, struct err *err)
{
    const struct folder *f = &p->from->v[i];
    struct copy_job *job = &jobs->v[jobs->n];
    bool has_changed;
    p->counts->folders++;
    if (prepare(c, p, f, p->map->names[i], job, &has_changed, err) != 0) {
        tell_folder(c, &(struct copy_folder){.source = f->name,
                           .target = p->map->names[i],
                           .has_failed = true,
                           .messages = f->messages,
                           .all_octets = copy_octets_of(f),
                           .all_octets_there = -1});
        journal_folder_fini(&job->record);
        if (!copy_is_exception(c, err))
            return -1;
        p->is_all = false;
        copy_folder_failed(c, p, ITEM_FOLDER, f->name, err->text);
        err_clear(err);
        return 0;
    }
    job->origin = p->map->origins[i];
    if (!has_changed) {
        p->counts->folders_unchanged++;
        p->counts->messages_same += f->messages;
        tell_unchanged(c, p, job);
        journal_folder_fini(&job->record);
        p->n_unchanged += f->messages;
        return 0;
    }
    jobs->n++;
    if (is_first(job)) {
        jobs->n_first += f->messages;
        jobs->n_new++;
    }
    return 0;
}

static void swap(struct copy_job *a, struct copy_job *b)
{
    struct copy_job was = *a;
    *a = *b;
    *b = was;
}

/* Those that the journal knows nothing of come in windows when they have many messages, or are
 * many: nothing can have been lost in them.  All others are planned together, for what was moved,
 * and all of them where something may stand alone.  Behind a flip all are, since what is late in
 * one folder may be late in another, but for a backfill, which has next to nothing that only its
 * content could tell from late mail. */
static size_t window_of(const struct pass *p, const struct jobs *jobs, size_t from)
{
    size_t n = 0;
    uint64_t messages = 0;
    bool is_behind_flip = plan_policy(p->policy)->is_behind_flip;
    bool are_few = jobs->n_first < COPY_MESSAGES_AT_ONCE && jobs->n_new < COPY_NEW_AT_ONCE;
    if (are_few || p->finds_alone || (is_behind_flip ? p->policy != PLAN_BACKFILL : p->n_lost > 0))
        return jobs->n - from;
    while (is_behind_flip && from + n < jobs->n && !is_first(&jobs->v[from + n]))
        n++;
    if (n > 0 || !is_first(&jobs->v[from]))
        return n > 0 ? n : jobs->n - from;
    while (from + n < jobs->n && n < COPY_FOLDERS_AT_ONCE && messages < COPY_MESSAGES_AT_ONCE &&
           is_first(&jobs->v[from + n]))
        messages += jobs->v[from + n++].source->messages;
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
    struct copy *c, struct pass *p, struct jobs *jobs, struct folder *gone, struct err *err)
{
    bool has_new = false, is_agreed = c->options.delete_percent == 100;
    bool is_behind_flip = plan_policy(p->policy)->is_behind_flip;
    for (size_t i = 0; i < jobs->n; i++)
        has_new = has_new || is_first(&jobs->v[i]);
    if (!has_new && jobs->n > 0 && has_alone(c, p, &has_new, err) != 0)
        return -1;
    p->counts->folders_vanished = is_behind_flip ? 0 : c->n_lost;
    if (!is_behind_flip && c->has_told_lost && !has_new && !is_agreed)
        return 0;
    if (!is_behind_flip)
        p->counts->folders_vanished = c->n_lost = 0;
    for (size_t i = 0; i < p->n_lost; i++) {
        struct copy_job *job = &jobs->v[jobs->n];
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
        *job = (struct copy_job){.is_lost = true, .source = &gone[i], .target = *t};
        bool found;
        if (journal_folder_get(c->journal, gone[i].name, &job->record, &found, err) != 0)
            return -1;
        job->target.name = job->record.target.name;
        jobs->n++;
    }
    return 0;
}

static int all_jobs(struct copy *c, struct pass *p, struct jobs *jobs, struct err *err)
{
    int result = 0;
    /* Behind a flip last: what was on its way in the others tells what is late in them. */
    bool comes_first = !plan_policy(p->policy)->is_behind_flip;
    for (size_t i = 0, first = 0; i < jobs->n; i++) {
        if (is_first(&jobs->v[i]) == comes_first)
            swap(&jobs->v[i], &jobs->v[first++]);
    }
    for (size_t i = 0, n; result == 0 && i < jobs->n; i += n) {
        n = window_of(p, jobs, i);
        result = copy_folders(c, p, &jobs->v[i], n, err);
    }
    return result;
}

/* --- Folders that show messages of others --------------------------------------------------- */

/* Those that have to be looked at: places in the list of the source. */

/* Which of them may have something new, and the jobs of those that take part in the plan of all
 * others: what the journal has of them may have got a label, or another message lost its last one.
 */
static int add_shown(struct copy *c, struct pass *p, const struct folder_list *from,
    struct jobs *jobs, uint32_t *out, size_t *n_out, struct err *err)
{
    const bool takes_part = !plan_policy(p->policy)->is_behind_flip && jobs->n > 0;
    const bool has_jobs = jobs->n > 0;
    size_t n;
    uint32_t *all = shown_all(c, from, &n);
    int result = 0;
    *n_out = 0;
    for (size_t i = 0; result == 0 && i < n; i++) {
        struct copy_job *job = &jobs->v[jobs->n];
        const struct folder *f = &from->v[all[i]];
        bool has_changed;
        p->counts->folders++;
        result = prepare(c, p, f, p->map->names[all[i]], job, &has_changed, err);
        if (result != 0 && copy_is_exception(c, err)) {
            p->is_all = false;
            copy_folder_failed(c, p, ITEM_FOLDER, f->name, err->text);
            err_clear(err);
            result = 0;
        } else if (result == 0 && (has_jobs || has_changed)) {
            out[(*n_out)++] = all[i];
            job->origin = p->map->origins[all[i]];
            if (takes_part && !is_first(job)) {
                jobs->n++;
                continue;
            }
        } else if (result == 0) {
            p->counts->folders_unchanged++;
        }
        journal_folder_fini(&job->record);
    }
    free(all);
    return result;
}

/* Which folders have changed, for what is new in those that show them. */
static void keep_changed(struct pass *p, const struct jobs *jobs)
{
    p->changed = mem_realloc_array(NULL, jobs->n + 1, sizeof(*p->changed));
    for (size_t i = 0; i < jobs->n; i++)
        p->changed[i] = jobs->v[i].record.id;
    p->n_changed = uids_sort(p->changed, jobs->n);
}

/* A dry pass copies nothing that could be compared with what they show. */
static void tell_shown(struct copy *c, const struct pass *p, const uint32_t *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct folder *f = &p->from->v[v[i]];
        tell_folder(c, &(struct copy_folder){.source = f->name,
                           .target = p->map->names[v[i]],
                           .origin = p->map->origins[v[i]],
                           .left_out = "shows messages of other folders: what is in none of these "
                                       "comes along",
                           .messages = f->messages});
    }
}

/* Behind the copies, one after the other: what one has is elsewhere for the next. */
static int do_shown(struct copy *c, struct pass *p, const uint32_t *v, size_t n, struct err *err)
{
    int result = 0;
    const bool was_all = p->is_all;
    p->learns = true;
    p->is_all = false;
    for (size_t i = 0; result == 0 && i < n; i++) {
        struct copy_job job;
        bool has_changed;
        const struct folder *f = &p->from->v[v[i]];
        result = prepare(c, p, f, p->map->names[v[i]], &job, &has_changed, err);
        job.origin = p->map->origins[v[i]];
        if (result != 0 && copy_is_exception(c, err)) {
            copy_folder_failed(c, p, ITEM_FOLDER, f->name, err->text);
            err_clear(err);
            result = 0;
        } else if (result == 0) {
            result = copy_folders(c, p, &job, 1, err);
        }
        journal_folder_fini(&job.record);
    }
    p->learns = false;
    p->is_all = was_all;
    return result;
}

static int do_all(struct copy *c, struct pass *p, const struct folder_list *from, struct err *err)
{
    int result = 0;
    struct jobs jobs = {.v = mem_zalloc((from->n + p->n_lost + 1) * sizeof(*jobs.v))};
    struct folder *gone = mem_zalloc((p->n_lost + 1) * sizeof(*gone));
    uint32_t *shown = mem_zalloc((from->n + 1) * sizeof(*shown));
    size_t n_shown = 0;
    for (size_t i = 0; i < from->n; i++) {
        if (is_copied(p, from, i))
            p->counts->messages_total += from->v[i].messages;
    }
    p->is_all = true;
    for (size_t i = 0; i < from->n && result == 0; i++) {
        if (is_copied(p, from, i))
            result = add_folder(c, p, &jobs, i, err);
        else if (!p->map->names[i].p)
            tell_not_copied(c, from, &from->v[i]);
    }
    if (result == 0)
        result = add_lost(c, p, &jobs, gone, err);
    if (result == 0)
        result = add_shown(c, p, from, &jobs, shown, &n_shown, err);
    if (result == 0)
        keep_changed(p, &jobs);
    if (result == 0)
        result = all_jobs(c, p, &jobs, err);
    if (result == 0 && c->options.is_dry)
        tell_shown(c, p, shown, n_shown);
    else if (result == 0)
        result = do_shown(c, p, shown, n_shown, err);
    if (result == 0 && !c->options.is_dry && !plan_policy(p->policy)->is_behind_flip)
        result = copy_acls(c, p, err);
    if (result == 0 && !c->options.is_dry && !plan_policy(p->policy)->is_behind_flip)
        result = copy_metadata(c, p, jobs.n_new > 0, err);
    if (result == 0)
        copy_tell_left_out(c, p, from);
    c->has_told_lost = c->has_told_lost || result == 0;
    for (size_t i = 0; i < jobs.n; i++)
        journal_folder_fini(&jobs.v[i].record);
    free(jobs.v);
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
