/* SPDX-License-Identifier: ISC */
/*
 * journal: its life and its transactions.  journal_disk.c has its files, journal_tables.c the
 * records of a pair, journal_spans.c which UIDs have any, journal_way.c its direction;
 * journal_pairs.c, journal_scan.c, journal_known.c, journal_digests.c, journal_folders.c and
 * journal_intents.c have what it is asked for.
 *
 * A record that cannot be read is damage, never skipped: a journal that forgets makes duplicates.
 */
#include "imapsync/journal/journal.h"

#include <stdlib.h>
#include <sysexits.h>

#include "base/core/mem.h"
#include "base/os/io.h"
#include "imapsync/journal/journal_parts.h"

int journal_damaged(struct journal *j, const char *what, struct err *err)
{
    j->is_damaged = true;
    err_set(err, ERR_TEMP, EX_DATAERR, "the journal is damaged (%s)", what);
    return err_scope_set(err, ERR_SCOPE_USER);
}

/* --- Opening --------------------------------------------------------------------------------- */

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
    int result = disk_path(&aside, j->dir, "journal.new", err);
    if (result == 0) {
        disk_remove(buf_cstr(&aside));
        result = tables_open(buf_cstr(&aside), false, true, &t, err);
    }
    if (result == 0 && has_old)
        result = journal_migrate(j->dir, j->source, j->target, &t, err);
    if (result == 0)
        result = write_version(&t, j->source, j->target, has_old, NULL, err);
    if (t.env && !tables_close(&t) && result == 0)
        result = err_set(err, ERR_TEMP, EX_IOERR, "cannot write a new journal");
    if (result == 0)
        disk_write_mark(buf_cstr(&aside));
    if (result == 0)
        result = disk_move(j->dir, buf_cstr(&aside), home, err);
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
    if (!j->source) {
        j->source = slice_dup(v.name[SIDE_A]);
        j->target = slice_dup(v.name[SIDE_B]);
        source = v.name[SIDE_A];
        target = v.name[SIDE_B];
    }
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
    j->way_from = SIDE_A;
    j->is_way_through = true;
    record_key_way(&key);
    if (result == 0)
        result = bdb_get(j->t.state, NULL, buf_slice(&key), &value, &found, err);
    j->has_way = result == 0 && found;
    if (j->has_way && !record_unpack_way(buf_slice(&value), &j->way_from, &j->is_way_through))
        result = journal_damaged(j, "the way", err);
    record_key_alone(&key);
    if (result == 0)
        result = bdb_get(j->t.state, NULL, buf_slice(&key), &value, &j->has_alone, err);
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
    if (j->txn_result == 0 && j->is_of_before)
        j->txn_result = journal_as_error(j, spans_make(&j->t, &j->txn_err), "pair", &j->txn_err);
    if (j->txn_result == 0)
        j->txn_result =
            write_version(&j->t, names[SIDE_A], names[SIDE_B], is_complete, j->t.txn, &j->txn_err);
    return journal_commit(j, err);
}

int journal_open_tables(struct journal *j, const char *home, struct err *err)
{
    struct buf mark;
    j->is_damaged = false;
    int result = disk_path(&mark, home, "clean", err);
    j->is_marked = result == 0 && disk_has(buf_cstr(&mark));
    /* Without one the library begins a new log, and finds out at the first write. */
    if (result == 0 && j->is_marked && !disk_has_log(home))
        result = journal_damaged(j, "no log", err);
    if (result == 0)
        result = tables_open(home, j->is_marked, false, &j->t, err);
    if (result == 0)
        result = read_state(j, err);
    if (result == 0 && j->is_of_before)
        result = put_version(j, j->is_complete, err);
    j->is_of_before = false;
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
        result = disk_set_aside_old(j, why.text, err);
        if (result == 0)
            result = make(j, home, false, err);
    }
    return result;
}

static int open_or_make(struct journal *j, struct err *err)
{
    struct buf home, lock;
    int result = disk_path(&home, j->dir, "journal", err);
    if (disk_path(&lock, j->dir, "lock", err) != 0)
        result = -1;
    if (result == 0)
        result = io_mkdir(j->dir, 0700, err);
    if (result == 0 && j->lock_fd < 0)
        result = io_lock_file(buf_cstr(&lock), &j->lock_fd, err);
    if (result == 0 && !disk_has(buf_cstr(&home)))
        result = make_or_migrate(j, buf_cstr(&home), buf_cstr(&lock), err);
    else if (result == 0 && journal_is_old(j->dir))
        journal_move_old(j->dir, NULL); /* a migration did not come to this */
    if (result == 0) {
        result = journal_open_tables(j, buf_cstr(&home), err);
        if (result != 0 && err->code == EX_DATAERR) {
            disk_set_aside(j, err->text);
            err_clear(err);
            result = make(j, buf_cstr(&home), false, err);
            if (result == 0)
                result = journal_open_tables(j, buf_cstr(&home), err);
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
    disk_close(*j);
    if ((*j)->is_throw_away)
        throw_away((*j)->dir);
    io_close(&(*j)->lock_fd);
    buf_fini(&(*j)->item);
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
    disk_close(j);
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

/* So many changes wait at most. */
#define WAITING_MAX 256

void journal_begin(struct journal *j)
{
    BUG_ON(j->is_changing || (j->t.txn != NULL && j->n_waiting == 0));
    j->is_changing = true;
    j->txn_err = ERR_INIT;
    j->txn_result = 0;
    if (!j->t.env || j->is_damaged)
        j->txn_result = err_set(&j->txn_err, ERR_TEMP, EX_IOERR, "it has failed before");
    if (j->txn_result == 0 && j->is_marked)
        j->txn_result = disk_remove_mark(j, &j->txn_err);
    if (j->txn_result == 0 && j->t.txn == NULL)
        j->txn_result = bdb_begin(j->t.env, &j->t.txn, &j->txn_err);
}

void journal_put_last(struct journal *j)
{
    j->has_new_last = true;
}

static void write_last(struct journal *j)
{
    struct buf key, value;
    buf_init(&key, 16);
    buf_init(&value, 16);
    record_key_last(&key);
    record_pack_last(&value, j->last_folder, j->last_intent);
    journal_put_record(j, j->t.state, &key, &value);
    buf_fini(&key);
    buf_fini(&value);
}

int journal_commit(struct journal *j, struct err *err)
{
    if (j->has_new_last)
        write_last(j);
    j->is_changing = false;
    j->n_waiting = 0;
    int result = j->txn_result;
    if (result == 0)
        result = spans_write(&j->t, &j->txn_err);
    if (result == 0 && j->watch)
        result = j->watch->commit(j->watch->arg, &j->txn_err);
    else if (j->watch)
        j->watch->abort(j->watch->arg);
    if (result == 0)
        result = tables_commit(&j->t, &j->txn_err);
    else
        tables_abort(&j->t);
    if (result == 0)
        result = bdb_env_checkpoint(j->t.env, &j->txn_err);
    if (result == 0) {
        j->has_new_last = false;
        return 0;
    }
    *err = j->txn_err;
    err_scope_set(err, ERR_SCOPE_USER);
    return err_wrap(err, "cannot write the journal");
}

int journal_commit_later(struct journal *j, struct err *err)
{
    if (!j->gathers || j->watch || j->txn_result != 0 || j->n_waiting + 1 >= WAITING_MAX)
        return journal_commit(j, err);
    j->is_changing = false;
    j->n_waiting++;
    return 0;
}

void journal_gather(struct journal *j)
{
    j->gathers = true;
}

int journal_settle(struct journal *j, struct err *err)
{
    j->gathers = false;
    if (j->n_waiting == 0)
        return 0;
    journal_begin(j);
    return journal_commit(j, err);
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
