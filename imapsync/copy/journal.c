/* SPDX-License-Identifier: ISC */
/*
 * journal: its life on the disk, its transactions and its folders; pairs are in journal_pairs.c.
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
 *
 * A record that cannot be read is damage, never skipped: a journal that forgets makes duplicates.
 */
#include "imapsync/copy/journal.h"

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
#include "base/core/mem.h"
#include "base/os/io.h"
#include "imapsync/copy/journal_parts.h"
#include "imapsync/copy/pack.h"

#define PATH_LENGTH_MAX 4096
#define SET_ASIDE_MAX 3
#define SET_ASIDE_PREFIX "damaged-"
#define TOO_LONG "the path of the journal is too long"

int journal_damaged(struct journal *j, const char *what, struct err *err)
{
    j->is_damaged = true;
    err_set(err, ERR_TEMP, EX_DATAERR, "the journal is damaged (%s)", what);
    return err_scope_set(err, ERR_SCOPE_USER);
}

/* --- Files --------------------------------------------------------------------------------- */

static int path_of(struct buf *out, const char *dir, const char *name, struct err *err)
{
    buf_init(out, PATH_LENGTH_MAX);
    return io_path(out, dir, name) == 0 ? 0 : err_set(err, ERR_PERM, EX_USAGE, TOO_LONG);
}

static bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

/* A folder of files; nothing of it is needed any more. */
static void remove_folder(const char *path)
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

static int move_folder(const char *dir, const char *from, const char *to, struct err *err)
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
            remove_folder(buf_cstr(&path));
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

/* When it cannot be moved it stays, and the next opening says so again. */
static void set_aside(struct journal *j, const char *why)
{
    struct buf home, path;
    struct err err = ERR_INIT;
    int result = path_of(&home, j->dir, "journal", &err);
    if (aside_path(j, &path, &err) != 0)
        result = -1;
    if (result == 0)
        result = move_folder(j->dir, buf_cstr(&home), buf_cstr(&path), &err);
    if (result == 0) {
        log_warn("journal_set_aside", log_str("error", why), log_str("path", buf_cstr(&path)));
        remove_oldest(j->dir);
    } else {
        log_error("journal_not_set_aside", log_str("error", err.text));
    }
    buf_fini(&home);
    buf_fini(&path);
}

/* One of the version before, which has no folder of its own. */
static int set_aside_old(struct journal *j, const char *why, struct err *err)
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

/* --- Opening --------------------------------------------------------------------------------- */

/* true: nothing has to be recovered */
static bool tables_close(struct journal_tables *t)
{
    bdb_abort(&t->txn);
    bdb_close(&t->state);
    bdb_close(&t->pairs);
    bdb_close(&t->uids);
    bdb_close(&t->digests);
    return bdb_env_close(&t->env);
}

/* Opens all tables of a journal in `home`; is_new: makes them. */
static int tables_open(
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

/* Without the mark the next opening recovers, which is slow and right. */
static void write_mark(const char *home)
{
    struct buf mark;
    struct err err = ERR_INIT;
    buf_init(&mark, PATH_LENGTH_MAX);
    if (io_path(&mark, home, "clean") == 0 &&
        io_write_file_durable(buf_cstr(&mark), SLICE_NONE, 0600, &err) != 0)
        log_warn("journal_mark", log_str("error", err.text));
    buf_fini(&mark);
}

static void close_tables(struct journal *j)
{
    if (!j->t.env)
        return;
    bool is_damaged = j->is_damaged || bdb_env_is_damaged(j->t.env);
    bool is_clean = tables_close(&j->t);
    struct buf home;
    struct err err = ERR_INIT;
    if (!is_damaged && is_clean && !j->is_marked && path_of(&home, j->dir, "journal", &err) == 0) {
        write_mark(buf_cstr(&home));
        buf_fini(&home);
    }
    j->is_damaged = false;
    if (is_damaged)
        set_aside(j, "its contents cannot be read");
}

static int write_version(struct journal_tables *t, const char *a, const char *b, bool is_complete,
    struct bdb_txn *txn, struct err *err)
{
    const struct record_version v = {.version = RECORD_VERSION,
        .is_complete = is_complete,
        .name = {slice_str(a), slice_str(b)}};
    struct buf key, value;
    buf_init(&key, RECORD_MAX);
    buf_init(&value, RECORD_MAX);
    record_key_version(&key);
    record_pack_version(&value, &v);
    int result = bdb_put(t->state, txn, buf_slice(&key), buf_slice(&value), err);
    buf_fini(&key);
    buf_fini(&value);
    return result;
}

/* A journal appears under its name when all of it is there. */
static int make(struct journal *j, const char *home, bool has_old, struct err *err)
{
    struct buf aside;
    struct journal_tables t = {0};
    int result = path_of(&aside, j->dir, "journal.new", err);
    if (result == 0) {
        remove_folder(buf_cstr(&aside));
        result = tables_open(buf_cstr(&aside), false, true, &t, err);
    }
    if (result == 0 && has_old)
        result = journal_migrate(j->dir, j->source, j->target, &t, err);
    if (result == 0)
        result = write_version(&t, j->source, j->target, has_old, NULL, err);
    if (t.env && !tables_close(&t) && result == 0)
        result = err_set(err, ERR_TEMP, EX_IOERR, "cannot write a new journal");
    if (result == 0)
        write_mark(buf_cstr(&aside));
    if (result == 0)
        result = move_folder(j->dir, buf_cstr(&aside), home, err);
    if (result == 0 && has_old)
        journal_move_old(j->dir, NULL);
    buf_fini(&aside);
    return result;
}

static int check_version(struct journal *j, struct slice s, struct err *err)
{
    struct record_version v;
    struct slice source = slice_str(j->source), target = slice_str(j->target);
    if (!record_unpack_version(s, &v))
        return journal_damaged(j, "version", err);
    if (v.version < RECORD_VERSION_READ || v.version > RECORD_VERSION)
        return err_set(err, ERR_PERM, EX_CONFIG,
            "the journal is of version %u, and this program knows version %u", v.version,
            RECORD_VERSION);
    j->is_complete = v.is_complete;
    j->is_of_before = v.version < RECORD_VERSION;
    j->from = slice_eq(v.name[SIDE_A], source) ? SIDE_A : SIDE_B;
    j->to = j->from == SIDE_A ? SIDE_B : SIDE_A;
    if (!slice_eq(v.name[j->from], source) || !slice_eq(v.name[j->to], target))
        return err_set(err, ERR_PERM, EX_USAGE, "the journal belongs to another pair of mailboxes");
    return 0;
}

static int read_state(struct journal *j, struct err *err)
{
    struct buf key, value;
    bool found = false;
    buf_init(&key, 16);
    buf_init(&value, RECORD_MAX);
    record_key_version(&key);
    int result = bdb_get(j->t.state, NULL, buf_slice(&key), &value, &found, err);
    if (result == 0)
        result = found ? check_version(j, buf_slice(&value), err)
                       : journal_damaged(j, "no version", err);
    record_key_last(&key);
    if (result == 0)
        result = bdb_get(j->t.state, NULL, buf_slice(&key), &value, &found, err);
    j->last_folder = 0;
    j->last_intent = 0;
    if (result == 0 && found &&
        !record_unpack_last(buf_slice(&value), &j->last_folder, &j->last_intent))
        result = journal_damaged(j, "last numbers", err);
    buf_fini(&key);
    buf_fini(&value);
    return result;
}

/* In the version of this program: a journal of the one before is read as it is, and an earlier
 * program must not write into it any more. */
static int put_version(struct journal *j, bool is_complete, struct err *err)
{
    const char *names[SIDES];
    names[j->from] = j->source;
    names[j->to] = j->target;
    journal_begin(j);
    if (j->txn_result == 0)
        j->txn_result =
            write_version(&j->t, names[SIDE_A], names[SIDE_B], is_complete, j->t.txn, &j->txn_err);
    return journal_commit(j, err);
}

static int is_log(const struct dirent *e)
{
    return strncmp(e->d_name, "log.", 4) == 0;
}

static bool has_log(const char *home)
{
    struct dirent **v;
    int n = scandir(home, &v, is_log, NULL);
    for (int i = 0; i < n; i++)
        free(v[i]);
    if (n >= 0)
        free(v);
    return n > 0;
}

static int open_tables(struct journal *j, const char *home, struct err *err)
{
    struct buf mark;
    j->is_damaged = false;
    int result = path_of(&mark, home, "clean", err);
    j->is_marked = result == 0 && is_there(buf_cstr(&mark));
    /* Without one the library begins a new log, and finds out at the first write. */
    if (result == 0 && j->is_marked && !has_log(home))
        result = journal_damaged(j, "no log", err);
    if (result == 0)
        result = tables_open(home, j->is_marked, false, &j->t, err);
    if (result == 0)
        result = read_state(j, err);
    if (result == 0 && j->is_of_before)
        result = put_version(j, j->is_complete, err);
    if (result == 0)
        result = journal_drop_over(j, err);
    if (result != 0)
        (void)tables_close(&j->t);
    buf_fini(&mark);
    return result;
}

/* Under the lock of this handle, which the migration needs for itself. */
static int make_or_migrate(struct journal *j, const char *home, const char *lock, struct err *err)
{
    if (!journal_is_old(j->dir))
        return make(j, home, false, err);
    io_close(&j->lock_fd);
    int result = make(j, home, true, err);
    struct err again = ERR_INIT;
    if (io_lock_file(lock, &j->lock_fd, result == 0 ? err : &again) != 0)
        return -1;
    if (result != 0 && err->code == EX_DATAERR) {
        struct err why = *err;
        err_clear(err);
        result = set_aside_old(j, why.text, err);
        if (result == 0)
            result = make(j, home, false, err);
    }
    return result;
}

static int open_or_make(struct journal *j, struct err *err)
{
    struct buf home, lock;
    int result = path_of(&home, j->dir, "journal", err);
    if (path_of(&lock, j->dir, "lock", err) != 0)
        result = -1;
    if (result == 0)
        result = io_mkdir(j->dir, 0700, err);
    if (result == 0 && j->lock_fd < 0)
        result = io_lock_file(buf_cstr(&lock), &j->lock_fd, err);
    if (result == 0 && !is_there(buf_cstr(&home)))
        result = make_or_migrate(j, buf_cstr(&home), buf_cstr(&lock), err);
    else if (result == 0 && journal_is_old(j->dir))
        journal_move_old(j->dir, NULL); /* a migration did not come to this */
    if (result == 0) {
        result = open_tables(j, buf_cstr(&home), err);
        if (result != 0 && err->code == EX_DATAERR) {
            set_aside(j, err->text);
            err_clear(err);
            result = make(j, buf_cstr(&home), false, err);
            if (result == 0)
                result = open_tables(j, buf_cstr(&home), err);
        }
    }
    buf_fini(&home);
    buf_fini(&lock);
    if (result != 0)
        err_wrap(err, "journal %s", j->dir);
    return result;
}

int journal_open(
    const char *dir, const char *source, const char *target, struct journal **out, struct err *err)
{
    struct journal *j = mem_zalloc(sizeof(*j));
    j->dir = slice_dup(slice_str(dir));
    j->source = slice_dup(slice_str(source));
    j->target = slice_dup(slice_str(target));
    j->lock_fd = -1;
    if (open_or_make(j, err) != 0) {
        journal_close(&j);
        return -1;
    }
    *out = j;
    return 0;
}

void journal_close(struct journal **j)
{
    if (!*j)
        return;
    close_tables(*j);
    io_close(&(*j)->lock_fd);
    free((*j)->dir);
    free((*j)->source);
    free((*j)->target);
    free(*j);
    *j = NULL;
}

int journal_ready(struct journal *j, struct err *err)
{
    if (j->t.env && !bdb_env_is_failed(j->t.env) && !j->is_damaged)
        return 0;
    close_tables(j);
    return open_or_make(j, err);
}

bool journal_is_complete(const struct journal *j)
{
    return j->is_complete;
}

int journal_complete(struct journal *j, struct err *err)
{
    if (j->is_complete)
        return 0;
    if (put_version(j, true, err) != 0)
        return -1;
    j->is_complete = true;
    return 0;
}

/* --- Transactions -------------------------------------------------------------------- */

static int remove_mark(struct journal *j, struct err *err)
{
    struct buf home, mark;
    int result = path_of(&home, j->dir, "journal", err);
    if (path_of(&mark, buf_cstr(&home), "clean", err) != 0)
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

void journal_begin(struct journal *j)
{
    BUG_ON(j->t.txn != NULL);
    j->txn_err = ERR_INIT;
    j->txn_result = 0;
    if (!j->t.env || j->is_damaged)
        j->txn_result = err_set(&j->txn_err, ERR_TEMP, EX_IOERR, "it has failed before");
    if (j->txn_result == 0 && j->is_marked)
        j->txn_result = remove_mark(j, &j->txn_err);
    if (j->txn_result == 0)
        j->txn_result = bdb_begin(j->t.env, &j->t.txn, &j->txn_err);
}

int journal_commit(struct journal *j, struct err *err)
{
    int result = j->txn_result;
    if (result == 0 && j->watch)
        result = j->watch->commit(j->watch->arg, &j->txn_err);
    else if (j->watch)
        j->watch->abort(j->watch->arg);
    if (result == 0)
        result = bdb_commit(&j->t.txn, &j->txn_err);
    else
        bdb_abort(&j->t.txn);
    if (result == 0)
        result = bdb_env_checkpoint(j->t.env, &j->txn_err);
    if (result == 0)
        return 0;
    *err = j->txn_err;
    err_scope_set(err, ERR_SCOPE_USER);
    return err_wrap(err, "cannot write the journal");
}

void journal_watch(struct journal *j, const struct journal_watch *watch)
{
    j->watch = watch;
}

void journal_put_record(
    struct journal *j, struct bdb *db, const struct buf *key, const struct buf *value)
{
    if (j->txn_result == 0)
        j->txn_result = bdb_put(db, j->t.txn, buf_slice(key), buf_slice(value), &j->txn_err);
}

void journal_del_record(struct journal *j, struct bdb *db, const struct buf *key)
{
    bool found;
    if (j->txn_result == 0)
        j->txn_result = bdb_del(db, j->t.txn, buf_slice(key), &found, &j->txn_err);
}
