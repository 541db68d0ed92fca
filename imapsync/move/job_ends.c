/* SPDX-License-Identifier: ISC */
/* job_ends: the two mailboxes of a job, and its journal. */
#include <stdlib.h>
#include <sys/stat.h>
#include <sysexits.h>

#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/os/io.h"
#include "imapsync/copy/resolve.h"
#include "imapsync/journal/state_dir.h"
#include "imapsync/move/job.h"

#define PATH_LENGTH_MAX 4096

void move_job_close_ends(struct move_job *j)
{
    imap_own_fini(&j->source_admin);
    imap_own_fini(&j->target_admin);
    imap_account_fini(&j->source);
    imap_account_fini(&j->target);
}

static int open_account(
    struct move_job *j, const char *server, struct imap_account *out, struct err *err)
{
    int i = conf_server_index(j->conf, slice_str(server));
    if (i == CONF_SERVER_NONE)
        return err_set(
            err, ERR_PERM, EX_CONFIG, "there is no server \"%s\" in the configuration", server);
    const struct conf_server *s = &j->conf->servers[i];
    return imap_account_from_conf(
        s, s->name, j->r.mailbox, j->conf->sync.imap_timeout_ms, out, err);
}

/* One journal for each pair of servers, whichever way: on the way back it knows which messages are
 * the same ones.  The folder has its name from the way that came first. */
static int journal_dir(const struct move_job *j, struct buf *out, struct err *err)
{
    struct stat st;
    struct buf other;
    buf_init(&other, PATH_LENGTH_MAX);
    int result = state_dir(j->dir.path, j->r.from, j->r.to, out, err);
    if (result == 0 && stat(buf_cstr(out), &st) != 0) {
        result = state_dir(j->dir.path, j->r.to, j->r.from, &other, err);
        if (result == 0 && stat(buf_cstr(&other), &st) == 0) {
            buf_clear(out);
            BUG_ON(buf_add(out, buf_slice(&other)) != 0);
        }
    }
    buf_fini(&other);
    return result;
}

void move_job_turn(struct move_job *j)
{
    copy_free(&j->copy);
    known_fini(&j->known);
    known_init(&j->known, j->dir.path);
    move_job_close_ends(j);
}

static int count_day(const struct move_job *j, struct imap_account *account, struct err *err)
{
    struct buf path;
    buf_init(&path, PATH_LENGTH_MAX);
    int result = state_file(j->state, "day", account->end.maker.name, &path, err);
    if (result == 0)
        imap_account_count(account, buf_cstr(&path));
    buf_fini(&path);
    return result;
}

static int state_of(struct move_job *j, struct err *err)
{
    struct buf path;
    buf_init(&path, PATH_LENGTH_MAX);
    mem_free_string(&j->state);
    int result = io_path(&path, j->conf->state, "sync");
    if (result == 0)
        j->state = mem_strdup(buf_cstr(&path));
    else
        err_set(err, ERR_PERM, EX_CONFIG, "the path %s is too long", j->conf->state);
    buf_fini(&path);
    return result;
}

/* What is found of him is kept for all users. */
static struct copy_admin admin_of(
    const struct move_job *j, const struct imap_account *a, struct imap_own *own)
{
    struct copy_admin admin = {.state = j->state};
    if (imap_account_own(a, own)) {
        admin.own = &own->end.maker;
        admin.wrong = &own->wrong.maker;
    }
    return admin;
}

static struct folder_words words(const struct conf_strings *s)
{
    return (struct folder_words){(const char *const *)s->v, s->n};
}

static int read_names(struct move_job *j, struct copy_options *out, struct err *err)
{
    const char *path = j->conf->sync.acl_file;
    buf_clear(&j->acl_text);
    if (path && acl_names_read(path, &j->acl_text, &out->acls, err) != 0)
        return err_wrap(err, "acl_file");
    return 0;
}

int move_job_connect(struct move_job *j, struct err *err)
{
    const struct conf_sync *sync = &j->conf->sync;
    struct copy_options options = {.delete_percent = j->delete_percent,
        .settle_ms = RESOLVE_SETTLE_MS,
        .is_thorough = true,
        .accept = j->accept,
        .limits = &j->limits,
        .folders = {
            words(&sync->folder_map), words(&sync->folder_include), words(&sync->folder_exclude)}};
    const struct filter_words filter = {.since = sync->message_since,
        .before = sync->message_before,
        .min_size = sync->message_min_size,
        .max_size = sync->message_max_size,
        .with_flags = words(&sync->message_with_flag),
        .without_flags = words(&sync->message_without_flag)};
    struct buf dir;
    if (j->copy)
        return copy_connect(j->copy, err);
    options.is_newest_first = sync->newest_first;
    options.connections = sync->connections;
    options.no_metadata = !sync->has_metadata;
    int result = folder_rules_check(&options.folders, err);
    if (result == 0)
        result = read_names(j, &options, err);
    if (result == 0)
        result = filter_make(&filter, clock_wall_s(), &options.filter, err);
    if (result == 0 && !j->source.user)
        result = open_account(j, j->r.from, &j->source, err);
    if (result == 0 && !j->target.user)
        result = open_account(j, j->r.to, &j->target, err);
    if (result == 0 && imap_account_is_same(&j->source, &j->target))
        result = err_set(err, ERR_PERM, EX_CONFIG,
            "%s and %s are the same mailbox: the sections of both servers name one", j->r.from,
            j->r.to);
    buf_init(&dir, PATH_LENGTH_MAX);
    if (result == 0)
        result = state_of(j, err);
    if (result == 0)
        result = count_day(j, &j->source, err);
    if (result == 0)
        result = count_day(j, &j->target, err);
    if (result == 0)
        result = journal_dir(j, &dir, err);
    options.source_admin = admin_of(j, &j->source, &j->source_admin);
    options.target_admin = admin_of(j, &j->target, &j->target_admin);
    if (result == 0)
        result = copy_new(&j->source.end.maker, &j->target.end.maker, buf_cstr(&dir), &options,
            &move_job_events, j, &j->copy, err);
    buf_fini(&dir);
    if (result == 0) {
        known_use(&j->known, j->copy);
        copy_back_off(j->copy, true);
    }
    return result == 0 ? copy_connect(j->copy, err) : -1;
}
