/* SPDX-License-Identifier: ISC */
/*
 * bdb: see bdb.h.  The only file that knows Berkeley DB.
 *
 * Every return code passes through fail(), which ends the process on DB_RUNRECOVERY: after that
 * the library promises nothing, and the next start recovers in a moment.  Only before the first
 * transaction it is an ordinary error, since a start that fails (a full disk, for example) has to
 * say so to somebody, and in a line: the library has one for each page that it could not write.
 *
 * Deadlocks are looked for whenever a lock is waited for.  Reads without a transaction try again by
 * themselves; a transaction has to be aborted by its owner.
 *
 * A contained environment (bdb.h) does not end the process: fail() marks it as failed, takes it
 * away from the library by a panic, closes it without a write (bdb_disk.h), and says in the error
 * what happened.  Damage is told from a disk that is full or has no more handles: those pass.
 *
 * Weakness: the library has no notion of a slow disk.
 */
#include <db.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>
#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/os/bdb.h"
#include "base/os/bdb_disk.h"
#include "base/os/io.h"

#define MIB (1024U * 1024U)
#define SMALL_LOG (96U * 1024U)
#define FILE_MODE 0600
#define CHECKPOINT_KBYTES 4096
#define TRIES_MAX 100
#define PATH_MAX_BYTES 4096
#define BULK_SIZE (256U * 1024U) /* a multiple of 1024, as DB_MULTIPLE_KEY wants */
#define VALUE_GUESS 256
#define MESSAGES_MAX 3 /* of the library to the log, per MESSAGES_MS */
#define MESSAGES_MS 10000

struct bdb_env {
    DB_ENV *env;
    int lock_fd;
    bool is_in_use;    /* there was a transaction: from now on a panic ends the process */
    bool has_panicked; /* before that, or contained */
    struct bdb_options options;
    bool is_failed, is_damaged; /* of a contained one */
    int panic_rc;               /* its cause; the call that notices knows only DB_RUNRECOVERY */
    uint64_t messages_since_ms;
    unsigned n_messages;     /* since then */
    char first_message[128]; /* of the start: what came first is the cause */
};

struct bdb {
    DB *db;
    struct bdb_env *env;
};

struct bdb_txn {
    DB_TXN *txn;
    struct bdb_env *env;
};

struct bdb_cursor {
    struct bdb_env *env;
    DBC *dbc;
    DBT key, bulk;
    void *walk; /* place in the bulk buffer, NULL when it has to be filled */
    u_int32_t next;
};

/* --- Errors ---------------------------------------------------------------------- */

static void end_process(const char *why)
{
    log_error("bdb_needs_recovery", log_str("error", why));
    _exit(EX_SOFTWARE);
}

static int fail_at_open(int rc, const char *doing, const char *what, struct err *err)
{
    if (rc == DB_LOCK_DEADLOCK || rc == DB_LOCK_NOTGRANTED)
        return err_set(err, ERR_TEMP, EX_TEMPFAIL, "%s %s: deadlock", doing, what);
    if (rc > 0)
        return err_sys(err, rc, "%s %s", doing, what);
    return err_set(err, ERR_TEMP, EX_SOFTWARE, "%s %s: %s", doing, what, db_strerror(rc));
}

/* What passes when somebody makes room, or on another day; the rest of a read is damage. */
static bool may_pass(int rc)
{
    return rc == ENOSPC || rc == EDQUOT || rc == ENOMEM || rc == EMFILE || rc == ENFILE ||
           rc == EROFS || rc == EACCES || rc == EPERM || rc == EINTR;
}

/* The end of a contained environment: what it has not written is not to be written any more. */
static void fail_contained(struct bdb_env *e, int rc, bool is_read)
{
    if (e->is_failed)
        return;
    if (rc == DB_RUNRECOVERY && e->panic_rc != 0)
        rc = e->panic_rc;
    /* Of a write that failed the log knows what is true; a page that cannot be read is lost. */
    e->is_damaged = !(may_pass(rc) || (rc == EIO && !is_read));
    e->is_failed = true;
    e->has_panicked = true;
    (void)e->env->set_flags(e->env, DB_PANIC_ENVIRONMENT, 1);
}

static int fail(struct bdb_env *e, int rc, const char *doing, const char *what, struct err *err)
{
    if (e->options.is_contained && rc != DB_LOCK_DEADLOCK && rc != DB_LOCK_NOTGRANTED) {
        fail_contained(e, rc, doing[0] == 'r');
        (void)fail_at_open(rc, doing, what, err);
        if (rc == DB_RUNRECOVERY && e->first_message[0])
            err_set(err, ERR_TEMP, EX_IOERR, "%s %s: %s", doing, what, e->first_message);
        err->code = e->is_damaged ? EX_DATAERR : EX_IOERR;
        return err_scope_set(err, ERR_SCOPE_USER);
    }
    if (rc == DB_RUNRECOVERY)
        end_process(db_strerror(rc));
    return fail_at_open(rc, doing, what, err);
}

static void on_message(const DB_ENV *env, const char *prefix, const char *text)
{
    struct bdb_env *e = env->app_private;
    uint64_t now_ms = clock_mono_ms();

    (void)prefix;
    if (bdb_disk_is_forbidden())
        return;
    if (!e->first_message[0] && (!e->is_in_use || e->options.is_contained)) {
        if (fmt_into(e->first_message, sizeof(e->first_message), "%.120s", text) != 0)
            BUG("120 bytes fit");
    }
    if (e->n_messages == 0 || now_ms - e->messages_since_ms > MESSAGES_MS) {
        e->messages_since_ms = now_ms;
        e->n_messages = 0;
    }
    if (e->n_messages++ < MESSAGES_MAX)
        log_warn("bdb", log_str("error", text));
}

static void on_event(DB_ENV *env, u_int32_t event, void *info)
{
    struct bdb_env *e = env->app_private;

    if (event != DB_EVENT_PANIC)
        return;
    if (e->options.is_contained) {
        if (e->panic_rc == 0 && info != NULL)
            e->panic_rc = *(int *)info;
    } else if (e->is_in_use) {
        end_process("panic of the environment");
    }
    e->has_panicked = true;
}

/* Why a start failed.  Never EX_TEMPFAIL, which stands for a lock that somebody else has. */
static int fail_start(
    const struct bdb_env *e, int rc, const char *doing, const char *what, struct err *err)
{
    int cause = rc == DB_RUNRECOVERY && e->panic_rc != 0 ? e->panic_rc : rc;

    (void)fail_at_open(rc, doing, what, err);
    if (rc == DB_RUNRECOVERY && e->first_message[0])
        err_set(err, ERR_TEMP, EX_IOERR, "%s %s: %s", doing, what, e->first_message);
    if (err->code == EX_TEMPFAIL)
        err->code = EX_IOERR;
    if (e->options.is_contained) {
        err->code = may_pass(cause) || cause == EIO ? EX_IOERR : EX_DATAERR;
        err_scope_set(err, ERR_SCOPE_USER);
    }
    return -1;
}

static bool is_deadlock(int rc)
{
    return rc == DB_LOCK_DEADLOCK || rc == DB_LOCK_NOTGRANTED;
}

static const char *file_of(DB *db)
{
    const char *file = NULL, *name = NULL;

    return db->get_dbname(db, &file, &name) == 0 && file != NULL ? file : "?";
}

/* --- Environments ------------------------------------------------------------------ */

/* An environment made by an earlier version was open to its group. */
static int close_to_others(const char *home, struct err *err)
{
    struct stat st;
    int rc = 0, fd = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st) != 0 ||
        (st.st_uid == geteuid() && (st.st_mode & 077) != 0 && fchmod(fd, 0700) != 0))
        rc = err_sys(err, errno, "open %s", home);
    io_close(&fd);
    return rc;
}

static int prepare_home(const char *home, int *lock_fd_out, struct err *err)
{
    struct buf path;
    int rc = -1;

    buf_init(&path, PATH_MAX_BYTES);
    if (io_mkdir(home, 0700, err) != 0 || close_to_others(home, err) != 0)
        goto done;
    if (io_path(&path, home, "DB_CONFIG") != 0) {
        err_set(err, ERR_PERM, EX_CONFIG, "%s: the path is too long", home);
        goto done;
    }
    if (access(buf_cstr(&path), F_OK) == 0) {
        err_set(err, ERR_PERM, EX_CONFIG,
            "%s: remove this file; Berkeley DB's settings are not changed by hand",
            buf_cstr(&path));
        goto done;
    }
    if (io_path(&path, home, "lock") != 0) {
        err_set(err, ERR_PERM, EX_CONFIG, "%s: the path is too long", home);
        goto done;
    }
    rc = io_lock_file(buf_cstr(&path), lock_fd_out, err);
done:
    buf_fini(&path);
    return rc;
}

static int configure(DB_ENV *env, const struct bdb_options *o)
{
    uint64_t cache_size = o->cache_size;
    bool is_large = cache_size >= 64U * MIB, is_small = o->has_small_log;
    int rc;

    env->set_errcall(env, on_message);
    if ((rc = env->set_cachesize(env, (u_int32_t)(cache_size >> 30),
             (u_int32_t)(cache_size & ((1U << 30) - 1)), 1)) != 0 ||
        (rc = env->set_lg_bsize(env, is_large   ? 4 * MIB
                                     : is_small ? SMALL_LOG / 6
                                                : MIB / 4)) != 0 ||
        (rc = env->set_lg_max(env, is_large   ? 32 * MIB
                                   : is_small ? SMALL_LOG
                                              : 4 * MIB)) != 0 ||
        (rc = env->set_lk_detect(env, DB_LOCK_DEFAULT)) != 0 ||
        (rc = env->set_timeout(env, BDB_LOCK_TIMEOUT_MS * 1000, DB_SET_LOCK_TIMEOUT)) != 0 ||
        (rc = env->log_set_config(env, DB_LOG_AUTO_REMOVE, 1)) != 0)
        return rc;
    return env->set_event_notify(env, on_event);
}

/* In a panic the library frees nothing, and without one it writes at the close what it has: pages
 * whose log is not on the disk. */
static void begin_close(struct bdb_env *e)
{
    if (!e->has_panicked)
        return;
    if (e->options.is_contained)
        (void)e->env->set_flags(e->env, DB_PANIC_ENVIRONMENT, 0);
    bdb_disk_forbid();
}

int bdb_env_open(const char *home, uint64_t cache_size, struct bdb_env **out, struct err *err)
{
    const struct bdb_options options = {.cache_size = cache_size};

    return bdb_env_open_as(home, &options, out, err);
}

int bdb_env_open_as(
    const char *home, const struct bdb_options *options, struct bdb_env **out, struct err *err)
{
    struct bdb_env *e = mem_zalloc(sizeof(*e));
    int rc;

    bdb_disk_init(options->is_contained);
    e->lock_fd = -1;
    e->options = *options;
    if (prepare_home(home, &e->lock_fd, err) != 0)
        goto failed;
    rc = db_env_create(&e->env, 0);
    if (rc == 0) {
        e->env->app_private = e;
        rc = configure(e->env, options);
    }
    if (rc == 0)
        rc = e->env->open(e->env, home,
            DB_CREATE | DB_PRIVATE | (options->is_clean ? 0 : DB_RECOVER) |
                (options->is_contained ? 0 : DB_INIT_LOCK) | DB_INIT_TXN | DB_INIT_LOG |
                DB_INIT_MPOOL | DB_THREAD,
            FILE_MODE);
    if (rc != 0) {
        fail_start(e, rc, "open database environment", home, err);
        goto failed;
    }
    *out = e;
    return 0;
failed:
    /* A handle whose open failed may only be closed. */
    if (e->env != NULL) {
        begin_close(e);
        bdb_disk_forbid();
        (void)e->env->close(e->env, 0);
        bdb_disk_allow();
    }
    io_close(&e->lock_fd);
    free(e);
    return -1;
}

bool bdb_env_is_damaged(const struct bdb_env *env)
{
    return env->is_damaged;
}

bool bdb_env_is_failed(const struct bdb_env *env)
{
    return env->is_failed;
}

int bdb_env_checkpoint(struct bdb_env *env, struct err *err)
{
    int rc = env->env->txn_checkpoint(env->env, CHECKPOINT_KBYTES, 0, 0);

    return rc == 0 ? 0 : fail(env, rc, "write", "checkpoint", err);
}

/* Opening databases alone writes into the log.  Only a checkpoint lets go of the file before; one
 * at each close would write more than the opening did. */
static bool has_old_log(struct bdb_env *e)
{
    DB_LOG_STAT *log = NULL;
    DB_TXN_STAT *txn = NULL;
    bool has = e->env->log_stat(e->env, &log, 0) == 0 && e->env->txn_stat(e->env, &txn, 0) == 0 &&
               log->st_cur_file != txn->st_last_ckp.file;
    free(log);
    free(txn);
    return has;
}

bool bdb_env_close(struct bdb_env **ep)
{
    struct bdb_env *e = *ep;
    bool is_clean;
    int rc;

    *ep = NULL;
    if (e == NULL)
        return false;
    is_clean = !e->has_panicked;
    /* What fails here costs time at the next start and nothing else: the log has everything. */
    rc = e->has_panicked || (e->options.is_clean && !e->is_in_use && !has_old_log(e))
             ? 0
             : e->env->txn_checkpoint(e->env, 0, 0, DB_FORCE);
    if (rc != 0)
        log_warn("bdb_checkpoint_failed", log_str("error", db_strerror(rc)));
    is_clean = is_clean && rc == 0;
    begin_close(e);
    rc = e->env->close(e->env, 0);
    bdb_disk_allow();
    is_clean = is_clean && rc == 0;
    if (rc != 0 && !e->has_panicked)
        log_warn("bdb_close_failed", log_str("error", db_strerror(rc)));
    io_close(&e->lock_fd);
    free(e);
    return is_clean;
}

/* --- Databases ----------------------------------------------------------------------- */

int bdb_open(struct bdb_env *env, const char *name, struct bdb **out, struct err *err)
{
    struct bdb *b;
    char file[128];
    DB *db = NULL;
    int rc = DB_LOCK_DEADLOCK;

    if (fmt_into(file, sizeof(file), "%s.db", name) != 0)
        return err_set(err, ERR_BUG, EX_SOFTWARE, "database name '%s' is too long", name);
    for (int i = 0; i < TRIES_MAX && is_deadlock(rc); i++) {
        rc = db_create(&db, env->env, 0);
        if (rc != 0)
            break;
        if (env->options.has_checksums && (rc = db->set_flags(db, DB_CHKSUM)) != 0)
            break;
        rc = db->open(db, NULL, file, NULL, DB_BTREE,
            (env->options.is_complete ? 0 : DB_CREATE) | DB_AUTO_COMMIT | DB_THREAD, FILE_MODE);
        if (rc != 0)
            (void)db->close(db, DB_NOSYNC); /* a handle whose open failed may not be used again */
    }
    if (rc != 0)
        return env->is_in_use ? fail(env, rc, "open database", file, err)
                              : fail_start(env, rc, "open database", file, err);
    b = mem_zalloc(sizeof(*b));
    b->db = db;
    b->env = env;
    *out = b;
    return 0;
}

void bdb_close(struct bdb **bp)
{
    struct bdb *b = *bp;
    int rc;

    *bp = NULL;
    if (b == NULL)
        return;
    begin_close(b->env);
    rc = b->db->close(b->db, b->env->has_panicked ? DB_NOSYNC : 0);
    bdb_disk_allow();
    if (rc != 0 && !b->env->has_panicked)
        log_warn("bdb_close_failed", log_str("error", db_strerror(rc)));
    free(b);
}

/* --- Transactions -------------------------------------------------------------------- */

int bdb_begin(struct bdb_env *env, struct bdb_txn **out, struct err *err)
{
    DB_TXN *txn;
    int rc = env->is_failed ? DB_RUNRECOVERY : env->env->txn_begin(env->env, NULL, &txn, 0);

    env->is_in_use = true;
    if (rc != 0)
        return fail(env, rc, "begin", "transaction", err);
    *out = mem_zalloc(sizeof(**out));
    (*out)->txn = txn;
    (*out)->env = env;
    return 0;
}

/* What a commit said, if it is true: it is not when a write of the log failed on its way.  What
 * others can see by now has to become durable, or has to go with the process. */
static int durable(struct bdb_env *e, int rc)
{
    if (rc != 0 || bdb_disk_failed() == 0)
        return rc;
    if (!e->options.is_contained && e->env->log_flush(e->env, NULL) != 0)
        end_process(strerrordesc_np(bdb_disk_failed()));
    return e->options.is_contained ? bdb_disk_failed() : 0;
}

int bdb_commit(struct bdb_txn **tp, struct err *err)
{
    struct bdb_txn *t = *tp;
    struct bdb_env *e = t->env;
    int rc;

    *tp = NULL;
    bdb_disk_watch();
    rc = durable(e, t->txn->commit(t->txn, DB_TXN_SYNC));
    free(t);
    return rc == 0 ? 0 : fail(e, rc, "commit", "transaction", err);
}

void bdb_abort(struct bdb_txn **tp)
{
    struct bdb_txn *t = *tp;
    struct bdb_env *e;
    int rc;

    *tp = NULL;
    if (t == NULL)
        return;
    e = t->env;
    rc = t->txn->abort(t->txn);
    free(t);
    /* A transaction that cannot be undone has left changes that nobody wanted. */
    if (rc != 0 && !e->options.is_contained)
        end_process(db_strerror(rc));
    if (rc != 0)
        fail_contained(e, rc, false);
}

/* --- Pairs ---------------------------------------------------------------------------- */

static DBT given(struct slice s)
{
    DBT d;

    BUG_ON(s.n > UINT32_MAX);
    memset(&d, 0, sizeof(d));
    d.data = (void *)(uintptr_t)s.p;
    d.size = (u_int32_t)s.n;
    return d;
}

/* Points d at the free room of out; 0 or -1 at the buffer's maximum. */
static int room_in(struct buf *out, u_int32_t size, DBT *d)
{
    unsigned char *at = buf_reserve(out, size);

    if (at == NULL)
        return -1;
    memset(d, 0, sizeof(*d));
    d->data = at;
    d->ulen = size;
    d->flags = DB_DBT_USERMEM;
    return 0;
}

static int too_large(DB *db, struct err *err)
{
    return err_set(
        err, ERR_BUG, EX_SOFTWARE, "read %s: a pair is larger than its buffer", file_of(db));
}

static u_int32_t first_room(const struct buf *out)
{
    return out->max < VALUE_GUESS ? (u_int32_t)out->max : VALUE_GUESS;
}

int bdb_get(struct bdb *b, struct bdb_txn *txn, struct slice key, struct buf *value,
    bool *found_out, struct err *err)
{
    DBT k = given(key), v;
    u_int32_t size = first_room(value);

    buf_clear(value);
    for (int i = 0; i < TRIES_MAX; i++) {
        int rc;

        if (room_in(value, size, &v) != 0)
            return too_large(b->db, err);
        rc = b->db->get(b->db, txn ? txn->txn : NULL, &k, &v, 0);
        if (rc == 0)
            buf_commit(value, v.size);
        if (rc == 0 || rc == DB_NOTFOUND) {
            *found_out = rc == 0;
            return 0;
        }
        if (rc == DB_BUFFER_SMALL)
            size = v.size;
        else if (txn != NULL || !is_deadlock(rc))
            return fail(b->env, rc, "read", file_of(b->db), err);
    }
    return fail(b->env, DB_LOCK_DEADLOCK, "read", file_of(b->db), err);
}

int bdb_put(
    struct bdb *b, struct bdb_txn *txn, struct slice key, struct slice value, struct err *err)
{
    DBT k = given(key), v = given(value);
    int rc;

    bdb_disk_watch();
    rc = b->db->put(b->db, txn ? txn->txn : NULL, &k, &v, 0);
    rc = txn ? rc : durable(b->env, rc);
    return rc == 0 ? 0 : fail(b->env, rc, "write", file_of(b->db), err);
}

int bdb_del(struct bdb *b, struct bdb_txn *txn, struct slice key, bool *found_out, struct err *err)
{
    DBT k = given(key);
    int rc;

    bdb_disk_watch();
    rc = b->db->del(b->db, txn ? txn->txn : NULL, &k, 0);
    rc = txn ? rc : durable(b->env, rc);
    if (rc != 0 && rc != DB_NOTFOUND)
        return fail(b->env, rc, "delete from", file_of(b->db), err);
    *found_out = rc == 0;
    return 0;
}

int bdb_last(
    struct bdb *b, struct bdb_txn *txn, struct buf *key, struct buf *value, struct err *err)
{
    u_int32_t key_size = first_room(key), value_size = first_room(value);
    DBC *dbc;
    DBT k, v;
    int rc = b->db->cursor(b->db, txn ? txn->txn : NULL, &dbc, 0);

    if (rc != 0)
        return fail(b->env, rc, "read", file_of(b->db), err);
    buf_clear(key);
    buf_clear(value);
    for (int i = 0; i < TRIES_MAX; i++) {
        if (room_in(key, key_size, &k) != 0 || room_in(value, value_size, &v) != 0) {
            (void)dbc->close(dbc);
            return too_large(b->db, err);
        }
        rc = dbc->get(dbc, &k, &v, DB_LAST);
        if (rc == DB_BUFFER_SMALL) {
            key_size = k.size > key_size ? k.size : key_size;
            value_size = v.size > value_size ? v.size : value_size;
        } else if (txn != NULL || !is_deadlock(rc)) {
            break;
        }
    }
    (void)dbc->close(dbc);
    if (rc == DB_NOTFOUND)
        return 0;
    if (rc != 0)
        return fail(b->env, rc, "read", file_of(b->db), err);
    buf_commit(key, k.size);
    buf_commit(value, v.size);
    return 1;
}

/* --- Scans ----------------------------------------------------------------------------- */

static int bulk_size(struct bdb_cursor *c, size_t size)
{
    void *p = realloc(c->bulk.data, size);

    if (p == NULL)
        return ENOMEM;
    c->bulk.data = p;
    c->bulk.ulen = (u_int32_t)size;
    c->bulk.flags = DB_DBT_USERMEM;
    return 0;
}

int bdb_cursor_open(
    struct bdb *b, struct bdb_txn *txn, struct slice from, struct bdb_cursor **out, struct err *err)
{
    struct bdb_cursor *c = mem_zalloc(sizeof(*c));
    int rc = b->db->cursor(b->db, txn ? txn->txn : NULL, &c->dbc, 0);

    if (rc != 0) {
        free(c);
        return fail(b->env, rc, "read", file_of(b->db), err);
    }
    c->env = b->env;
    /* DB_SET_RANGE reads the key that it starts from, so the cursor has a copy of its own. */
    c->key.data = slice_dup(from);
    c->key.size = (u_int32_t)from.n;
    c->key.flags = DB_DBT_REALLOC;
    c->next = DB_SET_RANGE;
    *out = c;
    return 0;
}

static int fill(struct bdb_cursor *c)
{
    int rc = c->bulk.data == NULL ? bulk_size(c, BULK_SIZE) : 0;

    while (rc == 0) {
        rc = c->dbc->get(c->dbc, &c->key, &c->bulk, c->next | DB_MULTIPLE_KEY);
        if (rc != DB_BUFFER_SMALL)
            break;
        /* One pair that is larger than the whole buffer. */
        rc = bulk_size(c, ((size_t)c->bulk.size / BULK_SIZE + 1) * BULK_SIZE);
    }
    if (rc == 0) {
        c->next = DB_NEXT;
        DB_MULTIPLE_INIT(c->walk, &c->bulk);
    }
    return rc;
}

int bdb_cursor_next(
    struct bdb_cursor *c, struct slice *key_out, struct slice *value_out, struct err *err)
{
    void *key = NULL, *value = NULL;
    u_int32_t key_n = 0, value_n = 0;

    for (;;) {
        int rc;

        if (c->walk != NULL)
            DB_MULTIPLE_KEY_NEXT(c->walk, &c->bulk, key, key_n, value, value_n);
        if (c->walk != NULL) {
            *key_out = slice_make(key, key_n);
            *value_out = slice_make(value, value_n);
            return 1;
        }
        rc = fill(c);
        if (rc == DB_NOTFOUND)
            return 0;
        if (rc != 0)
            return fail(c->env, rc, "read", file_of(c->dbc->dbp), err);
    }
}

void bdb_cursor_close(struct bdb_cursor **cp)
{
    struct bdb_cursor *c = *cp;

    *cp = NULL;
    if (c == NULL)
        return;
    (void)c->dbc->close(c->dbc);
    free(c->key.data);
    free(c->bulk.data);
    free(c);
}
