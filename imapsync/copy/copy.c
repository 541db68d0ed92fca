/* SPDX-License-Identifier: ISC */
/*
 * copy: a pass over the folders of a mailbox.
 *
 *   list both sides -> map names -> for each folder: make it, skip it when its status says that
 *   nothing changed, else ask what has changed since the last pass, resolve what is open, plan,
 *   stream, change flags, delete, and remember the token of this look
 *
 * Errors of one message or one folder are exceptions: reported, counted, the rest goes on, and the
 * folder's token stays where it was, so that the next pass looks again.  Errors of a connection, of
 * the user as a whole (quota) or of the journal end the pass.
 *
 * A journal that was lost before the flip is made again by content.  Behind the flip the target is
 * its user's, and what he has deleted is not to come back: see late.h.
 */
#include "imapsync/copy/copy.h"

#include <stdlib.h>
#include <sysexits.h>

#include "base/core/log.h"
#include "base/core/mem.h"
#include "imapsync/copy/copy_parts.h"
#include "imapsync/ends/limits.h"

int copy_new(const struct end_maker *source, const struct end_maker *target, const char *dir,
    const struct copy_options *options, const struct copy_events *events, void *arg,
    struct copy **out, struct err *err)
{
    struct copy *c = mem_zalloc(sizeof(*c));
    c->source = source;
    c->target = target;
    c->options = *options;
    c->events = events;
    c->arg = arg;
    int result = journal_open(dir, source->name, target->name, &c->journal, err);
    if (result != 0)
        copy_free(&c);
    else
        *out = c;
    return result;
}

void copy_free(struct copy **c)
{
    if (!*c)
        return;
    copy_disconnect(*c);
    journal_close(&(*c)->journal);
    suspects_fini(&(*c)->suspects);
    free(*c);
    *c = NULL;
}

void copy_disconnect(struct copy *c)
{
    struct end *both[] = {c->from, c->to};
    end_close_all(both, 2);
    c->from = c->to = NULL;
}

const char *copy_silent_server(const struct copy *c)
{
    return c->silent ? c->silent->label : NULL;
}

static bool copy_is_broken(const struct copy *c)
{
    return (c->from && c->from->ops->is_broken(c->from)) || (c->to && c->to->ops->is_broken(c->to));
}

int copy_connect(struct copy *c, struct err *err)
{
    c->silent = NULL;
    if (journal_ready(c->journal, err) != 0)
        return -1;
    if (copy_is_broken(c))
        copy_disconnect(c);
    if (c->from)
        return 0;
    struct end *both[2];
    const struct end_maker *makers[] = {c->source, c->target};
    if (end_open_all(makers, 2, c->options.limits, both, &c->silent, err) != 0)
        return -1;
    c->from = both[0];
    c->to = both[1];
    end_beside(c->from, c->to);
    return 0;
}

bool copy_is_cancelled(const struct copy *c)
{
    return c->events->is_cancelled && c->events->is_cancelled(c->arg);
}

int copy_check_cancelled(const struct copy *c, struct err *err)
{
    return copy_is_cancelled(c) ? err_set(err, ERR_TEMP, EX_TEMPFAIL, "stopped on request") : 0;
}

void copy_report(struct copy *c, struct slice folder, uint32_t uid, const char *why)
{
    struct buf name;
    buf_init(&name, 4 * FOLDER_NAME_MAX);
    folder_text(folder, &name);
    struct copy_exception e = {.folder = buf_cstr(&name), .uid = uid, .why = why};
    c->events->exception(c->arg, &e);
    buf_fini(&name);
}

/* --- Folders --------------------------------------------------------------------------- */

/* The journal's record of the folder, or a new one with the mapped name. */
static int folder_record(struct copy *c, const struct folder *f, struct slice mapped,
    struct journal_folder *out, struct err *err)
{
    bool found = false;
    if (journal_folder_get(c->journal, f->name, out, &found, err) != 0)
        return -1;
    if (found)
        return 0;
    journal_set(&out->source.name, f->name);
    journal_set(&out->target.name, mapped);
    return journal_folder_put(c->journal, out, err);
}

static int make(struct copy *c, struct slice name, enum folder_use use, struct err *err)
{
    struct end_ticket t = {0};
    c->to->ops->make(c->to, name, use, &t);
    return end_check(c->to, &t, "cannot create the folder", err);
}

/* Creates the folder.  A target that refuses a character of its name gets one without, and the
 * journal keeps the new name. */
static int create(struct copy *c, const struct pass *p, const struct folder *f,
    struct journal_folder *record, struct err *err)
{
    if (make(c, record->target.name, f->use, err) == 0)
        return 0;
    struct buf name;
    struct err again = ERR_INIT;
    int result = -1;
    buf_init(&name, 16 * FOLDER_NAME_MAX);
    if (err->class == ERR_PERM && err->scope == ERR_SCOPE_FOLDER &&
        folder_safe_name(record->target.name, p->map, p->there, &name) &&
        make(c, buf_slice(&name), f->use, &again) == 0) {
        journal_set(&record->target.name, buf_slice(&name));
        log_info(
            "folder_renamed", log_slice("folder", f->name), log_slice("to", record->target.name));
        /* The next name that comes out the same has to see this one. */
        result = folder_list_add(
            p->there, record->target.name, p->there->delimiter, 0, FOLDER_USE_NONE, err);
        if (result == 0)
            result = journal_folder_put(c->journal, record, err);
    }
    buf_fini(&name);
    return result;
}

static struct folder *find_target(const struct pass *p, const struct journal_folder *record)
{
    struct folder *t = folder_list_find(p->there, record->target.name);
    return t && !(t->attrs & FOLDER_NOSELECT) ? t : NULL;
}

/* Behind a flip the target's user does with his folders what he likes. */
static bool is_users(const struct pass *p, const struct journal_folder *record)
{
    return plan_policy(p->policy)->is_behind_flip &&
           (record->source.uidvalidity != 0 || record->target.uidvalidity != 0);
}

/* Behind a flip a folder is made for the mail that comes late to it, and only then. */
static bool makes_all(const struct pass *p)
{
    return !plan_policy(p->policy)->is_behind_flip;
}

/* Mail without its subscription is worth more than neither. */
static int subscribe(struct copy *c, const struct pass *p, const struct folder *f,
    const struct journal_folder *record, struct err *err)
{
    struct end_ticket t = {0};
    c->to->ops->subscribe(c->to, record->target.name, true, &t);
    if (end_check(c->to, &t, "cannot subscribe to the folder", err) == 0)
        return 0;
    if (c->to->ops->is_broken(c->to))
        return -1;
    p->counts->folders_failed++;
    copy_report(c, f->name, 0, err->text);
    err_clear(err);
    return 0;
}

int copy_folder_on_target(struct copy *c, const struct pass *p, const struct folder *f,
    struct journal_folder *record, struct folder *out, struct err *err)
{
    struct folder *t = find_target(p, record);
    bool is_there = t != NULL;
    if (!is_there && create(c, p, f, record, err) != 0)
        return -1;
    if (!c->options.no_subscriptions && f->attrs & FOLDER_SUBSCRIBED &&
        !(t && (t->attrs & FOLDER_SUBSCRIBED || is_users(p, record))) &&
        subscribe(c, p, f, record, err) != 0)
        return -1;
    if (is_there) {
        *out = *t;
        out->name = record->target.name;
    }
    if (is_there && t->has & FOLDER_HAS_UIDVALIDITY && t->has & FOLDER_HAS_UIDNEXT)
        return 0;
    struct end_ticket ticket = {0};
    *out = (struct folder){.name = record->target.name, .delimiter = p->there->delimiter};
    c->to->ops->status(c->to, out, &ticket);
    return end_check(c->to, &ticket, "cannot look at the folder", err);
}

/* The target is looked at once the source has had something to tell; behind a flip only then. */
static bool is_unchanged(const struct copy *c, const struct pass *p, const struct journal_folder *r,
    const struct folder *source, const struct folder *target)
{
    return c->from->ops->is_same(c->from, source, r->source.token) &&
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
    const struct folder *t = find_target(p, record);
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
    if (folder_record(c, f, mapped, &job->record, err) != 0)
        return -1;
    job->target.name = job->record.target.name;
    if ((find_target(p, &job->record) || makes_all(p)) &&
        copy_folder_on_target(c, p, f, &job->record, &job->target, err) != 0)
        return -1;
    if (keep_ids(c, p, f, &job->record, err) != 0)
        return -1;
    *has_changed_out = !is_unchanged(c, p, &job->record, f, &job->target);
    return 0;
}

bool copy_is_exception(const struct copy *c, const struct err *err)
{
    return err->scope == ERR_SCOPE_FOLDER && c->from && c->to && !copy_is_broken(c);
}

static bool is_copied(const struct pass *p, const struct folder_list *from, size_t i)
{
    return p->map->names[i].p && !(from->v[i].attrs & FOLDER_NOSELECT);
}

/* The folders that may have changed. */
struct jobs {
    struct copy_job *v;
    size_t n;
    uint64_t n_first; /* messages of folders that the journal knows nothing of */
};

static bool is_first(const struct copy_job *job)
{
    return job->record.source.uidvalidity == 0;
}

static int add_folder(struct copy *c, struct pass *p, struct jobs *jobs, const struct folder *f,
    struct slice mapped, struct err *err)
{
    struct copy_job *job = &jobs->v[jobs->n];
    bool has_changed;
    p->counts->folders++;
    if (prepare(c, p, f, mapped, job, &has_changed, err) != 0) {
        journal_folder_fini(&job->record);
        if (!copy_is_exception(c, err))
            return -1;
        p->is_all = false;
        p->counts->folders_failed++;
        copy_report(c, f->name, 0, err->text);
        err_clear(err);
        return 0;
    }
    if (!has_changed) {
        journal_folder_fini(&job->record);
        p->counts->folders_unchanged++;
        p->counts->messages_same += f->messages;
        p->n_unchanged += f->messages;
        return 0;
    }
    jobs->n++;
    if (is_first(job))
        jobs->n_first += f->messages;
    return 0;
}

static void swap(struct copy_job *a, struct copy_job *b)
{
    struct copy_job was = *a;
    *a = *b;
    *b = was;
}

/* Those that the journal knows nothing of come first, and in windows when they have many messages:
 * nothing can have been lost in them.  All others are planned together, for what was moved.  Behind
 * a flip what came late from one folder tells what is late in the next. */
static size_t window_of(const struct pass *p, const struct jobs *jobs, size_t from)
{
    size_t n = 0;
    uint64_t messages = 0;
    if (plan_policy(p->policy)->is_behind_flip)
        return 1;
    if (jobs->n_first < COPY_MESSAGES_AT_ONCE || p->n_lost > 0 || !is_first(&jobs->v[from]))
        return jobs->n - from;
    while (from + n < jobs->n && n < COPY_FOLDERS_AT_ONCE && messages < COPY_MESSAGES_AT_ONCE &&
           is_first(&jobs->v[from + n]))
        messages += jobs->v[from + n++].source->messages;
    return n;
}

/* What is lost is looked for where something is new; and an operator may have agreed to its end. */
static int add_lost(
    struct copy *c, struct pass *p, struct jobs *jobs, struct folder *gone, struct err *err)
{
    bool has_new = false, is_agreed = c->options.delete_percent == 100;
    if (plan_policy(p->policy)->is_behind_flip)
        return 0;
    for (size_t i = 0; i < jobs->n; i++)
        has_new = has_new || is_first(&jobs->v[i]);
    p->counts->folders_vanished = c->n_lost;
    if (c->has_told_lost && !has_new && !is_agreed)
        return 0;
    p->counts->folders_vanished = c->n_lost = 0;
    for (size_t i = 0; i < p->n_lost; i++) {
        struct copy_job *job = &jobs->v[jobs->n];
        const struct folder *t = find_target(p, &p->lost[i]);
        if (!t || t->uidvalidity != p->lost[i].target.uidvalidity)
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
    for (size_t i = 0, first = 0; i < jobs->n; i++) {
        if (is_first(&jobs->v[i]))
            swap(&jobs->v[i], &jobs->v[first++]);
    }
    for (size_t i = 0, n; result == 0 && i < jobs->n; i += n) {
        n = window_of(p, jobs, i);
        result = copy_folders(c, p, &jobs->v[i], n, err);
    }
    return result;
}

static int all_folders(
    struct copy *c, struct pass *p, const struct folder_list *from, struct err *err)
{
    int result = 0;
    struct jobs jobs = {.v = mem_zalloc((from->n + p->n_lost + 1) * sizeof(*jobs.v))};
    struct folder *gone = mem_zalloc((p->n_lost + 1) * sizeof(*gone));
    for (size_t i = 0; i < from->n; i++) {
        if (is_copied(p, from, i))
            p->counts->messages_total += from->v[i].messages;
    }
    copy_tell_left_out(c, p, from);
    p->is_all = true;
    for (size_t i = 0; i < from->n && result == 0; i++) {
        if (is_copied(p, from, i))
            result = add_folder(c, p, &jobs, &from->v[i], p->map->names[i], err);
    }
    if (result == 0)
        result = add_lost(c, p, &jobs, gone, err);
    if (result == 0)
        result = all_jobs(c, p, &jobs, err);
    c->has_told_lost = c->has_told_lost || result == 0;
    for (size_t i = 0; i < jobs.n; i++)
        journal_folder_fini(&jobs.v[i].record);
    free(jobs.v);
    free(gone);
    return result;
}

int copy_list_both(
    struct copy *c, struct folder_list *from, struct folder_list *there, struct err *err)
{
    struct end *both[] = {c->from, c->to};
    struct end_ticket ask[2] = {0};
    folder_list_init(from);
    folder_list_init(there);
    c->from->ops->folders(c->from, from, &ask[0]);
    c->to->ops->folders(c->to, there, &ask[1]);
    while (ask[0].result == END_PENDING || ask[1].result == END_PENDING) {
        if (end_pump(both, 2, err) != 0)
            return -1;
    }
    if (end_check(c->from, &ask[0], "cannot list the folders", err) != 0)
        return -1;
    return end_check(c->to, &ask[1], "cannot list the folders", err);
}

int copy_pass(
    struct copy *c, enum plan_policy_id policy, struct copy_counts *counts, struct err *err)
{
    struct folder_list from = {0}, there = {0};
    struct folder_map map = {0};
    struct pass p = {.policy = policy, .counts = counts, .map = &map, .there = &there};
    uint64_t failed = counts->folders_failed + counts->folders_short;
    if (copy_connect(c, err) != 0)
        return -1;
    if (plan_policy(policy)->is_behind_flip && c->judge &&
        c->judge->begin(c->judge->arg, journal_is_complete(c->journal), err) != 0)
        return -1;
    int result = copy_list_both(c, &from, &there, err);
    if (result == 0) {
        counts->folders_failed += from.ignored;
        if (from.ignored > 0)
            copy_report(c, SLICE_LIT("(folders)"), 0, "names that are too long or too deep");
        folder_map_make(&from, &there, &map);
        result = copy_names(c, &p, &from, &map, err);
        if (result == 0)
            result = apply_settle(c->to, c->journal, &there, &p.open, err);
        if (result == 0)
            result = all_folders(c, &p, &from, err);
        if (result == 0 && counts->folders_failed + counts->folders_short == failed)
            result = journal_complete(c->journal, err);
    }
    for (size_t i = 0; i < p.n_lost; i++)
        journal_folder_fini(&p.lost[i]);
    free(p.lost);
    apply_open_fini(&p.open);
    folder_map_fini(&map);
    folder_list_fini(&from);
    folder_list_fini(&there);
    /* After an error a command may be half sent or an answer may still come. */
    if (result != 0)
        copy_disconnect(c);
    return result;
}

void copy_behind_flip(
    struct copy *c, const struct late_judge *judge, const struct journal_watch *watch)
{
    c->judge = judge;
    journal_watch(c->journal, watch);
}

int copy_inventory(struct copy *c,
    int (*each)(void *arg, const unsigned char *head, struct err *err), void *arg, struct err *err)
{
    return journal_ready(c->journal, err) == 0 ? journal_digests(c->journal, each, arg, err) : -1;
}
