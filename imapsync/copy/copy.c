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

static bool is_unchanged(const struct copy *c, const struct journal_folder *r,
    const struct folder *source, const struct folder *target)
{
    return c->from->ops->is_same(c->from, source, r->source.token) &&
           r->source.uidvalidity == source->uidvalidity &&
           r->target.uidvalidity == target->uidvalidity;
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
    *has_changed_out = !is_unchanged(c, &job->record, f, &job->target);
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

/* A folder that is being made. */
struct wish {
    struct slice name;
    enum folder_use use;
    bool is_subscribed;
    struct end_ticket make, subscribe, status;
    struct folder folder; /* borrows the name */
};

static int by_length(const void *a, const void *b)
{
    const struct wish *x = a, *y = b;
    return x->name.n < y->name.n ? -1 : x->name.n > y->name.n;
}

static int ask_for(struct end *e, struct wish *w, struct err *err)
{
    if (end_room(e, err) != 0)
        return -1;
    e->ops->make(e, w->name, w->use, &w->make);
    w->subscribe.result = END_NO;
    if (w->is_subscribed) {
        w->subscribe.result = END_PENDING;
        e->ops->subscribe(e, w->name, true, &w->subscribe);
    }
    w->folder.name = w->name;
    e->ops->status(e, &w->folder, &w->status);
    return 0;
}

/* One that could not be made is not an error here: whoever needs it tries and reports. */
static int add_made(const struct wish *w, struct folder_list *there, struct err *err)
{
    unsigned attrs = w->subscribe.result == END_OK ? FOLDER_SUBSCRIBED : 0;
    if (w->make.result != END_OK || w->status.result != END_OK)
        return 0;
    if (folder_list_add(there, w->name, there->delimiter, attrs, w->use, err) != 0)
        return -1;
    struct folder *f = folder_list_find(there, w->name);
    if (!f)
        return 0;
    f->has = w->folder.has;
    f->uidvalidity = w->folder.uidvalidity;
    f->uidnext = w->folder.uidnext;
    f->messages = w->folder.messages;
    f->modseq = w->folder.modseq;
    return 0;
}

/* All at once.  Shorter names come first, so that no server has made a folder by itself when its
 * turn comes. */
static int make_all(
    struct copy *c, struct wish *v, size_t n, struct folder_list *there, struct err *err)
{
    int result = 0;
    mem_sort(v, n, sizeof(*v), by_length);
    for (size_t i = 0; i < n && result == 0; i++)
        result = ask_for(c->to, &v[i], err);
    if (result == 0)
        result = end_drain(c->to, err);
    for (size_t i = 0; i < n && result == 0; i++)
        result = add_made(&v[i], there, err);
    return result;
}

/* Makes the folders that are new to the target. */
static int make_folders(
    struct copy *c, struct pass *p, const struct folder_list *from, struct err *err)
{
    struct wish *v = mem_zalloc((from->n + 1) * sizeof(*v));
    size_t n = 0;
    int result = 0;
    for (size_t i = 0; i < from->n && result == 0; i++) {
        struct journal_folder record;
        bool is_known = false;
        if (!is_copied(p, from, i) || folder_list_find(p->there, p->map->names[i]))
            continue;
        result = journal_folder_get(c->journal, from->v[i].name, &record, &is_known, err);
        journal_folder_fini(&record);
        if (result == 0 && !is_known)
            v[n++] = (struct wish){.name = p->map->names[i],
                .use = from->v[i].use,
                .is_subscribed =
                    !c->options.no_subscriptions && from->v[i].attrs & FOLDER_SUBSCRIBED};
    }
    if (result == 0 && n > 0)
        result = make_all(c, v, n, p->there, err);
    free(v);
    return result;
}

/* The ceiling of the pass: a share of what the target has, since a source that shows nothing is
 * what it is about. */
static size_t most_deletions(const struct copy *c, const struct folder_list *there)
{
    uint64_t n = 0;
    for (size_t i = 0; i < there->n; i++)
        n += there->v[i].messages;
    n = n * c->options.delete_percent / 100;
    return n > PLAN_DELETIONS_MIN ? (size_t)n : PLAN_DELETIONS_MIN;
}

#define WINDOW_FOLDERS 128
#define WINDOW_MESSAGES 20000 /* of the source, unless one folder has more */

struct window {
    struct copy_job *jobs;
    size_t n;
    uint64_t messages;
};

static int flush(struct copy *c, struct pass *p, struct window *w, struct err *err)
{
    int result = w->n > 0 ? copy_folders(c, p, w->jobs, w->n, err) : 0;
    for (size_t i = 0; i < w->n; i++)
        journal_folder_fini(&w->jobs[i].record);
    w->n = 0;
    w->messages = 0;
    return result;
}

static int add_folder(struct copy *c, struct pass *p, struct window *w, const struct folder *f,
    struct slice mapped, struct err *err)
{
    struct copy_job *job = &w->jobs[w->n];
    bool has_changed;
    p->counts->folders++;
    if (prepare(c, p, f, mapped, job, &has_changed, err) != 0) {
        journal_folder_fini(&job->record);
        if (!copy_is_exception(c, err))
            return -1;
        p->counts->folders_failed++;
        copy_report(c, f->name, 0, err->text);
        err_clear(err);
        return 0;
    }
    if (!has_changed) {
        journal_folder_fini(&job->record);
        p->counts->folders_unchanged++;
        p->counts->messages_same += f->messages;
        return 0;
    }
    w->n++;
    w->messages += f->messages;
    /* Behind a flip what came late from one folder tells what is late in the next. */
    bool is_full = w->n == WINDOW_FOLDERS || w->messages >= WINDOW_MESSAGES ||
                   plan_policy(p->policy)->is_behind_flip;
    return is_full ? flush(c, p, w, err) : 0;
}

static int all_folders(
    struct copy *c, struct pass *p, const struct folder_list *from, struct err *err)
{
    int result = makes_all(p) ? make_folders(c, p, from, err) : 0;
    p->deletions_left = most_deletions(c, p->there);
    for (size_t i = 0; i < from->n; i++) {
        if (is_copied(p, from, i))
            p->counts->messages_total += from->v[i].messages;
    }
    copy_tell_left_out(c, p, from);
    struct window w = {.jobs = mem_zalloc(WINDOW_FOLDERS * sizeof(*w.jobs))};
    for (size_t i = 0; i < from->n && result == 0; i++) {
        if (is_copied(p, from, i))
            result = add_folder(c, p, &w, &from->v[i], p->map->names[i], err);
    }
    if (result == 0)
        result = flush(c, p, &w, err);
    for (size_t i = 0; i < w.n; i++)
        journal_folder_fini(&w.jobs[i].record);
    free(w.jobs);
    return result;
}

/* Folders that have been copied before keep the names that they were given then. */
static int keep_names(
    struct copy *c, const struct folder_list *from, struct folder_map *map, struct err *err)
{
    int result = 0;
    for (size_t i = 0; i < from->n && result == 0; i++) {
        struct journal_folder record;
        bool is_known = false;
        if (!map->names[i].p)
            continue;
        result = journal_folder_get(c->journal, from->v[i].name, &record, &is_known, err);
        if (result == 0 && is_known)
            folder_map_keep(map, i, record.target.name);
        journal_folder_fini(&record);
    }
    folder_map_settle(map);
    return result;
}

struct vanished {
    struct copy *c;
    const struct folder_list *from;
    uint64_t n;
};

static void on_known_folder(void *arg, const struct journal_folder *folder)
{
    struct vanished *v = arg;
    if (folder_list_find(v->from, folder->source.name))
        return;
    v->n++;
    if (!v->c->has_told_vanished)
        log_warn("folder_vanished", log_str("user", v->c->source->user),
            log_slice("folder", folder->source.name));
}

/* Renamed or deleted folders are not followed, so at least say what stays behind on the target. */
static int tell_vanished(
    struct copy *c, const struct folder_list *from, struct pass *p, struct err *err)
{
    struct vanished v = {.c = c, .from = from};
    if (plan_policy(p->policy)->is_behind_flip)
        return 0;
    int result = journal_folders_each(c->journal, on_known_folder, &v, err);
    p->counts->folders_vanished = v.n;
    c->has_told_vanished = true;
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
    uint64_t failed = counts->folders_failed;
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
        result = keep_names(c, &from, &map, err);
        if (result == 0)
            result = tell_vanished(c, &from, &p, err);
        if (result == 0)
            result = apply_settle(c->to, c->journal, &there, &p.open, err);
        if (result == 0)
            result = all_folders(c, &p, &from, err);
        if (result == 0 && counts->folders_failed == failed)
            result = journal_complete(c->journal, err);
    }
    folder_map_fini(&map);
    folder_list_fini(&from);
    folder_list_fini(&there);
    apply_open_fini(&p.open);
    /* After an error a command may be half sent or an answer may still come. */
    if (result != 0)
        copy_disconnect(c);
    return result;
}

void copy_behind_flip(struct copy *c, const struct late_judge *judge)
{
    c->judge = judge;
}

int copy_inventory(
    struct copy *c, int (*each)(void *arg, const unsigned char *digest), void *arg, struct err *err)
{
    return journal_ready(c->journal, err) == 0 ? journal_digests(c->journal, each, arg, err) : -1;
}
