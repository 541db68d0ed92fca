/* SPDX-License-Identifier: ISC */
/*
 * copy: a pass over the folders of a mailbox.
 *
 *   list both sides -> map names -> for each folder: make it, skip it when its STATUS says that
 *   nothing changed, else list, resolve what is open, plan, stream, change flags, delete, and
 *   remember the STATUS that was true before all of this
 *
 * Errors of one message or one folder are exceptions: reported, counted, the rest goes on, and the
 * folder's STATUS is not remembered, so that the next pass looks again.  Errors of a connection, of
 * the user as a whole (quota) or of the journal end the pass.
 *
 * A journal that was lost before the flip is made again by content.  Behind the flip the target is
 * its user's, and what he has deleted is not to come back: see `is_blind` in copy_parts.h.
 */
#include "imapsync/copy/copy.h"

#include <stdlib.h>
#include <sysexits.h>

#include "base/core/log.h"
#include "base/core/mem.h"
#include "imapsync/copy/copy_parts.h"
#include "imapsync/copy/mailboxes.h"
#include "imapsync/copy/pack.h"
#include "imapsync/imap/login.h"

/* What tells this end from others in the journal.  A server of the configuration keeps its name
 * when it gets another address or port. */
static int end_name(const struct imap_place *p, struct buf *out, struct err *err)
{
    int result = p->is_named
                     ? buf_addf(out, "server %s, mailbox %s", p->label, p->user)
                     : buf_addf(out, "imap://%s@%s:%u/", p->user, p->host, (unsigned)p->port);
    return result == 0 ? 0 : err_set(err, ERR_PERM, EX_USAGE, "a name is too long");
}

int copy_new(const struct imap_place *source, const struct imap_place *target, const char *dir,
    const struct copy_options *options, const struct copy_events *events, void *arg,
    struct copy **out, struct err *err)
{
    struct copy *c = mem_zalloc(sizeof(*c));
    struct buf names[2];
    const struct imap_place *places[] = {source, target};
    c->source = source;
    c->target = target;
    c->options = *options;
    c->events = events;
    c->arg = arg;
    int result = 0;
    for (size_t i = 0; i < 2; i++) {
        buf_init(&names[i], 4096);
        if (result == 0)
            result = end_name(places[i], &names[i], err);
    }
    if (result == 0)
        result = journal_open(dir, buf_cstr(&names[0]), buf_cstr(&names[1]), &c->journal, err);
    for (size_t i = 0; i < 2; i++)
        buf_fini(&names[i]);
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
    if (!(*c)->is_torn) {
        imap_conn_logout(&(*c)->from);
        imap_conn_logout(&(*c)->to);
    }
    copy_disconnect(*c);
    journal_close(&(*c)->journal);
    free(*c);
    *c = NULL;
}

void copy_disconnect(struct copy *c)
{
    imap_conn_close(&c->from);
    imap_conn_close(&c->to);
    c->is_torn = false;
}

static int open_end(
    struct copy *c, const struct imap_place *place, struct imap_conn **out, struct err *err)
{
    bool is_silent;
    if (imap_login(place, NULL, out, &is_silent, err) == 0)
        return 0;
    c->silent = is_silent ? place : NULL;
    return -1;
}

const char *copy_silent_server(const struct copy *c)
{
    return c->silent ? c->silent->label : NULL;
}

int copy_connect(struct copy *c, struct err *err)
{
    c->silent = NULL;
    if (journal_ready(c->journal, err) != 0)
        return -1;
    if (c->is_torn || (c->from && imap_conn_is_broken(c->from)) ||
        (c->to && imap_conn_is_broken(c->to)))
        copy_disconnect(c);
    if (!c->from && open_end(c, c->source, &c->from, err) != 0)
        return -1;
    if (!c->to && open_end(c, c->target, &c->to, err) != 0)
        return -1;
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
    buf_init(&name, 4 * IMAP_MAILBOX_NAME_MAX);
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

/* Creates the folder.  A target that refuses a character of its name gets one without, and the
 * journal keeps the new name. */
static int create(struct copy *c, const struct pass *p, const struct folder *f,
    struct journal_folder *record, struct err *err)
{
    if (mailboxes_create(c->to, record->target.name, f->use, err) == 0)
        return 0;
    struct buf name;
    struct err again = ERR_INIT;
    int result = -1;
    buf_init(&name, 16 * IMAP_MAILBOX_NAME_MAX);
    if (err->class == ERR_PERM && err->scope == ERR_SCOPE_FOLDER &&
        folder_safe_name(record->target.name, p->map, p->there, &name) &&
        mailboxes_create(c->to, buf_slice(&name), f->use, &again) == 0) {
        journal_set(&record->target.name, buf_slice(&name));
        log_info(
            "folder_renamed", log_slice("folder", f->name), log_slice("to", record->target.name));
        /* The next name that comes out the same has to see this one. */
        const struct imap_mailbox_data data = {
            .delimiter = p->there->delimiter, .name = {.raw = record->target.name}};
        result = folder_list_add(p->there, &data, err);
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

/* Mail without its subscription is worth more than neither. */
static int subscribe(struct copy *c, const struct pass *p, const struct folder *f,
    const struct journal_folder *record, struct err *err)
{
    if (mailboxes_subscribe(c->to, record->target.name, err) == 0)
        return 0;
    if (imap_conn_is_broken(c->to))
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
    if (is_there && t->has_status & IMAP_ITEM_UIDVALIDITY && t->has_status & IMAP_ITEM_UIDNEXT)
        return 0;
    *out = (struct folder){.name = record->target.name, .delimiter = p->there->delimiter};
    return mailboxes_status(c->to, out, err);
}

bool copy_token(const struct folder *f, struct buf *out)
{
    const unsigned all = IMAP_ITEM_UIDNEXT | IMAP_ITEM_MESSAGES | IMAP_ITEM_HIGHESTMODSEQ;
    buf_clear(out);
    if ((f->has_status & all) != all || f->highestmodseq == 0)
        return false;
    pack_u32(out, f->uidnext);
    pack_u32(out, f->messages);
    pack_u64(out, f->highestmodseq);
    return true;
}

static bool is_unchanged(
    const struct journal_folder *r, const struct folder *source, const struct folder *target)
{
    struct buf token;
    buf_init(&token, RECORD_TOKEN_MAX);
    bool is_same = copy_token(source, &token) && slice_eq(buf_slice(&token), r->source.token) &&
                   source->has_status & IMAP_ITEM_UIDVALIDITY &&
                   r->source.uidvalidity == source->uidvalidity &&
                   r->target.uidvalidity == target->uidvalidity;
    buf_fini(&token);
    return is_same;
}

/* One folder; see the header of this file. */
static int one_folder(
    struct copy *c, struct pass *p, const struct folder *f, struct slice mapped, struct err *err)
{
    struct journal_folder record = {0};
    struct folder target = {0};
    int result = -1;
    if (folder_record(c, f, mapped, &record, err) != 0)
        goto done;
    target.name = record.target.name;
    if ((find_target(p, &record) || !(is_users(p, &record) || p->is_blind)) &&
        copy_folder_on_target(c, p, f, &record, &target, err) != 0)
        goto done;
    if (is_unchanged(&record, f, &target)) {
        p->counts->folders_unchanged++;
        p->counts->messages_same += f->messages;
        result = 0;
    } else {
        result = copy_folder(c, p, f, &target, &record, err);
    }
done:
    journal_folder_fini(&record);
    return result;
}

bool copy_is_exception(const struct copy *c, const struct err *err)
{
    return !c->is_torn && err->scope == ERR_SCOPE_FOLDER && !imap_conn_is_broken(c->from) &&
           !imap_conn_is_broken(c->to);
}

static bool is_copied(const struct pass *p, const struct folder_list *from, size_t i)
{
    return p->map->names[i].p && !(from->v[i].attrs & FOLDER_NOSELECT);
}

static int by_length(const void *a, const void *b)
{
    const struct mailboxes_wish *x = a, *y = b;
    return x->name.n < y->name.n ? -1 : x->name.n > y->name.n;
}

/* Makes the folders that are new to the target, all at once.  Shorter names come first, so that no
 * server has made a folder by itself when its turn comes. */
static int make_folders(
    struct copy *c, struct pass *p, const struct folder_list *from, struct err *err)
{
    struct mailboxes_wish *v = mem_realloc_array(NULL, from->n + 1, sizeof(*v));
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
            v[n++] = (struct mailboxes_wish){.name = p->map->names[i],
                .use = from->v[i].use,
                .is_subscribed =
                    !c->options.no_subscriptions && from->v[i].attrs & FOLDER_SUBSCRIBED};
    }
    mem_sort(v, n, sizeof(*v), by_length);
    if (result == 0 && n > 0)
        result = mailboxes_make(c->to, v, n, p->there, err);
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

static int all_folders(
    struct copy *c, struct pass *p, const struct folder_list *from, struct err *err)
{
    int result = p->is_blind ? 0 : make_folders(c, p, from, err);
    p->deletions_left = most_deletions(c, p->there);
    for (size_t i = 0; i < from->n; i++) {
        if (is_copied(p, from, i))
            p->counts->messages_total += from->v[i].messages;
    }
    for (size_t i = 0; i < from->n && result == 0; i++) {
        const struct folder *f = &from->v[i];
        if (!is_copied(p, from, i))
            continue;
        p->counts->folders++;
        result = one_folder(c, p, f, p->map->names[i], err);
        if (result != 0 && copy_is_exception(c, err)) {
            p->counts->folders_failed++;
            copy_report(c, f->name, 0, err->text);
            result = 0;
        }
        c->events->progress(c->arg, p->counts);
    }
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

int copy_pass(
    struct copy *c, enum plan_policy_id policy, struct copy_counts *counts, struct err *err)
{
    struct folder_list from = {0}, there = {0};
    struct folder_map map = {0};
    struct pass p = {.policy = policy, .counts = counts, .map = &map, .there = &there};
    struct mailboxes_query ask_from, ask_there;
    uint64_t failed = counts->folders_failed;
    if (copy_connect(c, err) != 0)
        return -1;
    p.is_blind = plan_policy(policy)->is_behind_flip && !journal_is_complete(c->journal);
    mailboxes_ask(c->from, &from, &ask_from);
    mailboxes_ask(c->to, &there, &ask_there);
    int result = mailboxes_wait(c->from, &ask_from, err);
    if (result == 0)
        result = mailboxes_wait(c->to, &ask_there, err);
    if (result == 0) {
        counts->folders_failed += from.ignored;
        if (from.ignored > 0)
            copy_report(c, SLICE_LIT("(folders)"), 0, "names that are too long or too deep");
        folder_map_make(&from, &there, &map);
        result = keep_names(c, &from, &map, err);
        if (result == 0)
            result = tell_vanished(c, &from, &p, err);
        if (result == 0)
            result = all_folders(c, &p, &from, err);
        if (result == 0 && counts->folders_failed == failed)
            result = journal_complete(c->journal, err);
    }
    folder_map_fini(&map);
    folder_list_fini(&from);
    folder_list_fini(&there);
    /* After an error a command may be half sent or an answer may still come. */
    if (result != 0)
        copy_disconnect(c);
    return result;
}
