/* SPDX-License-Identifier: ISC */
/*
 * bdb: see bdb.h.  This is its environments and their errors; what is in
 * them is in bdb_pairs.c.
 *
 * Every return code passes through bdb_fail(), which ends the process on DB_RUNRECOVERY: after that
 * the library promises nothing, and the next start recovers in a moment.  Only before the first
 * transaction it is an ordinary error, since a start that fails (a full disk, for example) has to
 * say so to somebody, and in a line: the library has one for each page that it could not write.
 *
 * Deadlocks are looked for whenever a lock is waited for.  Reads without a transaction try again by
 * themselves; a transaction has to be aborted by its owner.
 *
 * A contained environment (bdb.h) does not end the process: bdb_fail() marks it as failed, takes it
 * away from the library by a panic, closes it without a write (bdb_disk.h), and says in the error
 * what happened.  Damage is told from a disk that is full or has no more handles: those pass.
 *
 * Weakness: the library has no notion of a slow disk.
 */
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
#include "base/os/bdb_disk.h"
#include "base/os/bdb_parts.h"
#include "base/os/io.h"

#define MIB (1024U * 1024U)
#define SMALL_LOG (96U * 1024U)
#define CHECKPOINT_KBYTES 4096
#define PATH_MAX_BYTES 4096
#define MESSAGES_MAX 3 /* of the library to the log, per MESSAGES_MS */
#define MESSAGES_MS 10000

/* --- Errors ---------------------------------------------------------------------- */

void bdb_end_process(const char *why)
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

void bdb_fail_contained(struct bdb_env *e, int rc, bool is_read)
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

int bdb_fail(struct bdb_env *e, int rc, const char *doing, const char *what, struct err *err)
{
    if (e->options.is_contained && rc != DB_LOCK_DEADLOCK && rc != DB_LOCK_NOTGRANTED) {
        bdb_fail_contained(e, rc, doing[0] == 'r');
        (void)fail_at_open(rc, doing, what, err);
        if (rc == DB_RUNRECOVERY && e->first_message[0])
            err_set(err, ERR_TEMP, EX_IOERR, "%s %s: %s", doing, what, e->first_message);
        err->code = e->is_damaged ? EX_DATAERR : EX_IOERR;
        return err_scope_set(err, ERR_SCOPE_USER);
    }
    if (rc == DB_RUNRECOVERY)
        bdb_end_process(db_strerror(rc));
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
        bdb_end_process("panic of the environment");
    }
    e->has_panicked = true;
}

int bdb_fail_start(
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

void bdb_begin_close(struct bdb_env *e)
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
        bdb_fail_start(e, rc, "open database environment", home, err);
        goto failed;
    }
    *out = e;
    return 0;
failed:
    /* A handle whose open failed may only be closed. */
    if (e->env != NULL) {
        bdb_begin_close(e);
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

/* The library would look for log files to remove at each call, and read the last one for it. */
static bool is_checkpoint_due(struct bdb_env *e)
{
    DB_LOG_STAT *log = NULL;
    bool is = e->env->log_stat(e->env, &log, 0) != 0 ||
              log->st_wc_mbytes * 1024 + log->st_wc_bytes / 1024 >= CHECKPOINT_KBYTES;
    free(log);
    return is;
}

int bdb_env_checkpoint(struct bdb_env *env, struct err *err)
{
    int rc =
        is_checkpoint_due(env) ? env->env->txn_checkpoint(env->env, CHECKPOINT_KBYTES, 0, 0) : 0;

    return rc == 0 ? 0 : bdb_fail(env, rc, "write", "checkpoint", err);
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
    bdb_begin_close(e);
    rc = e->env->close(e->env, 0);
    bdb_disk_allow();
    is_clean = is_clean && rc == 0;
    if (rc != 0 && !e->has_panicked)
        log_warn("bdb_close_failed", log_str("error", db_strerror(rc)));
    io_close(&e->lock_fd);
    free(e);
    return is_clean;
}
