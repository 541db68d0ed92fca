/* SPDX-License-Identifier: ISC */
/*
 * journal_disk: the files of a journal.
 *
 *   DIR/lock                  flock, as long as it is open
 *   DIR/journal/              one environment (base/os/bdb.h) with four databases
 *   DIR/journal/clean         it was closed in order: no recovery at the next opening
 *   DIR/journal.new/          one that is being made, renamed when it is whole
 *   DIR/damaged-TIME/         one that was set aside; the newest SET_ASIDE_MAX are kept
 *
 * Recovery fills the log file with zeros, so an opening that finds the mark goes without: a pass
 * that finds nothing new writes less than 2 KiB.  The mark is removed, and that is synced, before
 * the first transaction, and made again behind the last checkpoint.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/os/io.h"
#include "imapsync/journal/journal_parts.h"

#define PATH_LENGTH_MAX 4096
#define SET_ASIDE_MAX 3
#define SET_ASIDE_PREFIX "damaged-"
#define TOO_LONG "the path of the journal is too long"

int disk_path(struct buf *out, const char *dir, const char *name, struct err *err)
{
    buf_init(out, PATH_LENGTH_MAX);
    return io_path(out, dir, name) == 0 ? 0 : err_set(err, ERR_PERM, EX_USAGE, TOO_LONG);
}

bool disk_has(const char *path)
{
    return access(path, F_OK) == 0;
}

void disk_remove(const char *path)
{
    DIR *d = opendir(path);
    struct dirent *e;
    struct buf file;
    if (!d)
        return;
    buf_init(&file, PATH_LENGTH_MAX);
    while ((e = readdir(d)) != NULL) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
            io_path(&file, path, e->d_name) == 0)
            (void)unlink(buf_cstr(&file));
    }
    (void)closedir(d);
    buf_fini(&file);
    (void)rmdir(path);
}

int disk_move(const char *dir, const char *from, const char *to, struct err *err)
{
    if (rename(from, to) != 0)
        return err_sys(err, errno, "cannot rename %s", from);
    return io_sync_dir(dir, err);
}

static int is_set_aside(const struct dirent *e)
{
    return strncmp(e->d_name, SET_ASIDE_PREFIX, sizeof(SET_ASIDE_PREFIX) - 1) == 0;
}

/* Their names have the time in them, so the first are the oldest. */
static void remove_oldest(const char *dir)
{
    struct dirent **v;
    struct buf path;
    int n = scandir(dir, &v, is_set_aside, alphasort);
    if (n < 0)
        return;
    buf_init(&path, PATH_LENGTH_MAX);
    for (int i = 0; i < n; i++) {
        if (i < n - SET_ASIDE_MAX && io_path(&path, dir, v[i]->d_name) == 0)
            disk_remove(buf_cstr(&path));
        free(v[i]);
    }
    free(v);
    buf_fini(&path);
}

static int aside_path(const struct journal *j, struct buf *out, struct err *err)
{
    char name[64];
    int64_t now_ms = clock_wall_ms();
    time_t now = (time_t)(now_ms / 1000);
    struct tm tm;
    buf_init(out, PATH_LENGTH_MAX);
    if (gmtime_r(&now, &tm) &&
        fmt_into(name, sizeof(name), SET_ASIDE_PREFIX "%04d%02d%02dT%02d%02d%02d.%03dZ",
            tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
            (int)(now_ms % 1000)) == 0 &&
        io_path(out, j->dir, name) == 0)
        return 0;
    return err_set(err, ERR_PERM, EX_USAGE, TOO_LONG);
}

void disk_set_aside(struct journal *j, const char *why)
{
    struct buf home, path;
    struct err err = ERR_INIT;
    int result = disk_path(&home, j->dir, "journal", &err);
    if (aside_path(j, &path, &err) != 0)
        result = -1;
    if (result == 0)
        result = disk_move(j->dir, buf_cstr(&home), buf_cstr(&path), &err);
    if (result == 0) {
        log_warn("journal_set_aside", log_str("error", why), log_str("path", buf_cstr(&path)));
        remove_oldest(j->dir);
    } else {
        log_error("journal_not_set_aside", log_str("error", err.text));
    }
    buf_fini(&home);
    buf_fini(&path);
}

int disk_set_aside_old(struct journal *j, const char *why, struct err *err)
{
    struct buf path;
    int result = aside_path(j, &path, err);
    if (result == 0)
        result = io_mkdir(buf_cstr(&path), 0700, err);
    if (result == 0) {
        journal_move_old(j->dir, buf_cstr(&path));
        result = io_sync_dir(j->dir, err);
        log_warn("journal_set_aside", log_str("error", why), log_str("path", buf_cstr(&path)));
    }
    buf_fini(&path);
    return result;
}

bool tables_close(struct journal_tables *t)
{
    tables_abort(t);
    bdb_close(&t->state);
    bdb_close(&t->pairs);
    bdb_close(&t->uids);
    bdb_close(&t->digests);
    return bdb_env_close(&t->env);
}

int tables_open(
    const char *home, bool is_clean, bool is_new, struct journal_tables *out, struct err *err)
{
    const struct bdb_options options = {.cache_size = JOURNAL_CACHE_SIZE,
        .is_contained = true,
        .is_clean = is_clean,
        .is_complete = !is_new,
        .has_checksums = true,
        .has_small_log = true};
    *out = (struct journal_tables){0};
    if (bdb_env_open_as(home, &options, &out->env, err) == 0 &&
        bdb_open(out->env, "state", &out->state, err) == 0 &&
        bdb_open(out->env, "pairs", &out->pairs, err) == 0 &&
        bdb_open(out->env, "uids", &out->uids, err) == 0 &&
        bdb_open(out->env, "digests", &out->digests, err) == 0)
        return 0;
    (void)tables_close(out);
    return -1;
}

void disk_write_mark(const char *home)
{
    struct buf mark;
    struct err err = ERR_INIT;
    buf_init(&mark, PATH_LENGTH_MAX);
    if (io_path(&mark, home, "clean") == 0 &&
        io_write_file_durable(buf_cstr(&mark), SLICE_NONE, 0600, &err) != 0)
        log_warn("journal_mark", log_str("error", err.text));
    buf_fini(&mark);
}

void disk_close(struct journal *j)
{
    if (!j->t.env)
        return;
    j->n_waiting = 0;
    bool is_damaged = j->is_damaged || bdb_env_is_damaged(j->t.env);
    bool is_clean = tables_close(&j->t);
    struct buf home;
    struct err err = ERR_INIT;
    if (!is_damaged && is_clean && !j->is_marked &&
        disk_path(&home, j->dir, "journal", &err) == 0) {
        disk_write_mark(buf_cstr(&home));
        buf_fini(&home);
    }
    j->is_damaged = false;
    if (is_damaged)
        disk_set_aside(j, "its contents cannot be read");
}

static int is_log(const struct dirent *e)
{
    return strncmp(e->d_name, "log.", 4) == 0;
}

bool disk_has_log(const char *home)
{
    struct dirent **v;
    int n = scandir(home, &v, is_log, NULL);
    for (int i = 0; i < n; i++)
        free(v[i]);
    if (n >= 0)
        free(v);
    return n > 0;
}

int disk_remove_mark(struct journal *j, struct err *err)
{
    struct buf home, mark;
    int result = disk_path(&home, j->dir, "journal", err);
    if (disk_path(&mark, buf_cstr(&home), "clean", err) != 0)
        result = -1;
    if (result == 0 && unlink(buf_cstr(&mark)) != 0 && errno != ENOENT)
        result = err_sys(err, errno, "cannot remove %s", buf_cstr(&mark));
    if (result == 0)
        result = io_sync_dir(buf_cstr(&home), err);
    if (result == 0)
        j->is_marked = false;
    buf_fini(&home);
    buf_fini(&mark);
    return result;
}
