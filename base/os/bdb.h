/* SPDX-License-Identifier: ISC */
/*
 * bdb: a Berkeley DB environment with exactly one owner (only bdb.c and bdb_disk.c include db.h).
 * It is opened DB_PRIVATE|DB_RECOVER under an flock that is taken first, because nothing in
 * Berkeley DB stops two private openers from damaging the files, and because a shared environment
 * hangs the survivors of a kill.  All keys and values are copied out.  When the library reports
 * DB_RUNRECOVERY the process has to end, and so it has when a sync fails; bdb calls
 * _exit(EX_SOFTWARE) after a log line, and the next start recovers.  An environment that says
 * `is_contained` is one of many in its process, and costs only itself: see struct bdb_options.
 */
#ifndef BASE_OS_BDB_H
#define BASE_OS_BDB_H

#include <stdbool.h>
#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/err.h"
#include "base/core/slice.h"

struct bdb_env;
struct bdb;
struct bdb_txn;
struct bdb_cursor;

/* home is created when missing, and closed to others (0700) where it is ours; one with a DB_CONFIG
 * file is refused, because that would change what is promised here.  cache_size in bytes; below 64
 * MiB the logs are kept small too.  A busy lock is ERR_TEMP. */
int bdb_env_open(
    const char *home, uint64_t cache_size, struct bdb_env **out, struct err *err) ATTR_WUR;

struct bdb_options {
    uint64_t cache_size;
    /* A panic, a failed sync or a transaction that cannot be undone is an error of the call, and of
     * every later one, instead of the end of the process; the next opening recovers.  Such an
     * environment is used by one thread at a time and has no locks.  A process has only
     * environments with it or only ones without, since a sync does not know whose it is. */
    bool is_contained;
    /* The last owner has closed it with bdb_env_close() and lost nothing since: no recovery, which
     * would fill the log file with zeros. */
    bool is_clean;
    /* Every database has to be there: a file that is missing is damage, not a new one. */
    bool is_complete;
    bool has_checksums; /* of each page; decided when a database is made */
    bool has_small_log; /* files of 96 KiB */
};
int bdb_env_open_as(const char *home, const struct bdb_options *options, struct bdb_env **out,
    struct err *err) ATTR_WUR;
/* Errors of a contained environment have scope USER.  EX_DATAERR: what is on the disk cannot be
 * read or makes no sense, and will not get better (is_damaged).  Failed: no call succeeds any more.
 */
bool bdb_env_is_damaged(const struct bdb_env *env);
bool bdb_env_is_failed(const struct bdb_env *env);
/* With a checkpoint, unless is_clean was said and there was no transaction.  True: the next opening
 * needs no recovery. */
bool bdb_env_close(struct bdb_env **env);
int bdb_env_checkpoint(
    struct bdb_env *env, struct err *err) ATTR_WUR; /* if 4 MiB of log were written */

int bdb_open(struct bdb_env *env, const char *name, struct bdb **out,
    struct err *err) ATTR_WUR; /* btree in NAME.db, created */
void bdb_close(struct bdb **db);

int bdb_begin(struct bdb_env *env, struct bdb_txn **out, struct err *err) ATTR_WUR;
/* Durable when it returns 0.  Otherwise the outcome is only known after the next start, as when a
 * connection breaks: do not publish anything that depends on it. */
int bdb_commit(struct bdb_txn **txn, struct err *err) ATTR_WUR;
/* Durable with the next bdb_commit(), or a little later: after a crash all of it happened or
 * nothing, and never without what was committed before it. */
int bdb_commit_lazily(struct bdb_txn **txn, struct err *err) ATTR_WUR;
void bdb_abort(struct bdb_txn **txn);

/*
 * txn may be NULL: a read of what is committed, or a write that is a durable transaction by itself.
 * ERR_TEMP with EX_TEMPFAIL inside a transaction means a deadlock with another thread: abort, begin
 * again.  A thread must not wait for itself: no cursor without txn may be open while a transaction
 * of the same thread writes (that ends as such a deadlock after BDB_LOCK_TIMEOUT_MS).
 */
#define BDB_LOCK_TIMEOUT_MS 10000

/* The buffer becomes the value. *found_out tells whether the key is there. */
int bdb_get(struct bdb *db, struct bdb_txn *txn, struct slice key, struct buf *value,
    bool *found_out, struct err *err) ATTR_WUR;
int bdb_put(struct bdb *db, struct bdb_txn *txn, struct slice key, struct slice value,
    struct err *err) ATTR_WUR;
int bdb_del(struct bdb *db, struct bdb_txn *txn, struct slice key, bool *found_out,
    struct err *err) ATTR_WUR;

/* Ordered scan from the first key >= from.  Slices are valid until the next call on the cursor.
 * Pairs are fetched many at a time: what the same transaction changes just ahead may not show. */
int bdb_cursor_open(struct bdb *db, struct bdb_txn *txn, struct slice from, struct bdb_cursor **out,
    struct err *err) ATTR_WUR;
/* 1: one pair given; 0: at the end; -1: error. */
int bdb_cursor_next(
    struct bdb_cursor *c, struct slice *key_out, struct slice *value_out, struct err *err) ATTR_WUR;
/* The last key below this one becomes key_out.  As bdb_cursor_next. */
int bdb_last_below(struct bdb *db, struct bdb_txn *txn, struct slice below, struct buf *key_out,
    struct err *err) ATTR_WUR;
void bdb_cursor_close(struct bdb_cursor **c);

#endif
