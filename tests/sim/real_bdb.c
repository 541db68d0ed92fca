/* SPDX-License-Identifier: ISC */
/*
 * real_bdb: the journal on Berkeley DB.  At a kill the files are copied as they are: what the
 * library still had in memory is not among them, as when a process dies.  The engine unwinds on
 * the originals, and the next one finds the copies, which have to be recovered.
 *
 * Calls of base/os/bdb.h come here first, by the linker's --wrap.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/bdb.h"
#include "base/os/io.h"
#include "tests/sim/disk.h"
#include "tests/sim/site.h"
#include "tests/sim/tear.h"
#include "tests/sim/world.h"

#define FILE_MAX (UINT64_C(64) << 20)

static int dead(struct err *err)
{
    err_set(err, ERR_TEMP, EX_TEMPFAIL, "the journal's disk is gone");
    return err_scope_set(err, ERR_SCOPE_USER);
}

/* --- Kills -------------------------------------------------------------------------------------
 */

static void copy_file(const char *from, const char *to)
{
    struct buf octets;
    struct err err;
    buf_init(&octets, FILE_MAX);
    int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    BUG_ON(fd < 0 || io_read_file(from, FILE_MAX, &octets, &err) != 0 ||
           io_write_all(fd, buf_slice(&octets), &err) != 0);
    io_close(&fd);
    buf_fini(&octets);
}

static void copy_tree(const char *from, const char *to)
{
    DIR *d = opendir(from);
    const struct dirent *e;
    char a[512], b[512];
    if (!d)
        return;
    BUG_ON(mkdir(to, 0700) != 0);
    while ((e = readdir(d)) != NULL) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        BUG_ON(fmt_into(a, sizeof(a), "%s/%s", from, e->d_name) != 0 ||
               fmt_into(b, sizeof(b), "%s/%s", to, e->d_name) != 0);
        if (e->d_type == DT_DIR)
            copy_tree(a, b);
        else
            copy_file(a, b);
    }
    (void)closedir(d);
}

static void aside_of(const char *dir, char *out, size_t size)
{
    BUG_ON(fmt_into(out, size, "%s.killed", dir) != 0);
}

void disk_kill(const char *dir)
{
    char aside[512];
    aside_of(dir, aside, sizeof(aside));
    site_lose(aside);
    copy_tree(dir, aside);
    bool is_torn_commit = world->h->tear == TEAR_COMMIT;
    uint32_t number = (uint32_t)rng_next(&world->rng);
    if (world_may_lose(world) && (is_torn_commit || number % 2) &&
        tear_now(world->h->tear, aside, number >> 1)) {
        world_story(world, "  the disk was torn");
        world_lose_journal(world);
    }
}

void disk_crash(const char *dir)
{
    char aside[512];
    aside_of(dir, aside, sizeof(aside));
    site_lose(dir);
    /* Not there: the engine had none yet. */
    (void)rename(aside, dir);
}

void disk_forget(void)
{
}

/* --- What the journal calls
 * ----------------------------------------------------------------------- */

int __real_bdb_env_open_as(
    const char *home, const struct bdb_options *options, struct bdb_env **out, struct err *err);
int __wrap_bdb_env_open_as(
    const char *home, const struct bdb_options *options, struct bdb_env **out, struct err *err);
int __wrap_bdb_env_open_as(
    const char *home, const struct bdb_options *options, struct bdb_env **out, struct err *err)
{
    return world->is_killed ? dead(err) : __real_bdb_env_open_as(home, options, out, err);
}

bool __real_bdb_env_is_failed(const struct bdb_env *env);
bool __wrap_bdb_env_is_failed(const struct bdb_env *env);
bool __wrap_bdb_env_is_failed(const struct bdb_env *env)
{
    return world->is_killed || __real_bdb_env_is_failed(env);
}

int __real_bdb_env_checkpoint(struct bdb_env *env, struct err *err);
int __wrap_bdb_env_checkpoint(struct bdb_env *env, struct err *err);
int __wrap_bdb_env_checkpoint(struct bdb_env *env, struct err *err)
{
    return world->is_killed ? dead(err) : __real_bdb_env_checkpoint(env, err);
}

int __real_bdb_begin(struct bdb_env *env, struct bdb_txn **out, struct err *err);
int __wrap_bdb_begin(struct bdb_env *env, struct bdb_txn **out, struct err *err);
int __wrap_bdb_begin(struct bdb_env *env, struct bdb_txn **out, struct err *err)
{
    return world->is_killed ? dead(err) : __real_bdb_begin(env, out, err);
}

static void before(void)
{
    world_tick(world);
    if (!world->is_killed && world->kill_armed == KILL_BEFORE_COMMIT)
        world_kill(world, "before a commit");
}

static int behind(struct err *err)
{
    world->ledger.committed_at = world->tick;
    if (world->kill_armed == KILL_BEHIND_COMMIT)
        world_kill(world, "behind a commit");
    return world->is_killed ? dead(err) : 0;
}

int __real_bdb_commit(struct bdb_txn **txn, struct err *err);
/* The power goes off while it is written: it may be there or not. */
static int torn_commit(struct bdb_txn **txn, struct err *err)
{
    tear_before(site_dir());
    world_tick(world);
    if (world->is_killed) {
        bdb_abort(txn);
        return dead(err);
    }
    int result = __real_bdb_commit(txn, err);
    world_kill(world, "in a commit");
    return result == 0 ? dead(err) : -1;
}

int __wrap_bdb_commit(struct bdb_txn **txn, struct err *err);
int __wrap_bdb_commit(struct bdb_txn **txn, struct err *err)
{
    if (!world->is_killed && world->kill_armed == KILL_BEFORE_COMMIT &&
        world->h->tear == TEAR_COMMIT)
        return torn_commit(txn, err);
    if (!world->is_killed)
        before();
    if (world->is_killed) {
        bdb_abort(txn);
        return dead(err);
    }
    return __real_bdb_commit(txn, err) == 0 ? behind(err) : -1;
}

int __real_bdb_put(
    struct bdb *db, struct bdb_txn *txn, struct slice key, struct slice value, struct err *err);
int __wrap_bdb_put(
    struct bdb *db, struct bdb_txn *txn, struct slice key, struct slice value, struct err *err);
int __wrap_bdb_put(
    struct bdb *db, struct bdb_txn *txn, struct slice key, struct slice value, struct err *err)
{
    if (!world->is_killed && !txn)
        before();
    if (world->is_killed)
        return dead(err);
    if (__real_bdb_put(db, txn, key, value, err) != 0)
        return -1;
    return txn ? 0 : behind(err);
}

int __real_bdb_del(
    struct bdb *db, struct bdb_txn *txn, struct slice key, bool *found_out, struct err *err);
int __wrap_bdb_del(
    struct bdb *db, struct bdb_txn *txn, struct slice key, bool *found_out, struct err *err);
int __wrap_bdb_del(
    struct bdb *db, struct bdb_txn *txn, struct slice key, bool *found_out, struct err *err)
{
    if (!world->is_killed && !txn)
        before();
    if (world->is_killed)
        return dead(err);
    if (__real_bdb_del(db, txn, key, found_out, err) != 0)
        return -1;
    return txn ? 0 : behind(err);
}

int __real_bdb_get(struct bdb *db, struct bdb_txn *txn, struct slice key, struct buf *value,
    bool *found_out, struct err *err);
int __wrap_bdb_get(struct bdb *db, struct bdb_txn *txn, struct slice key, struct buf *value,
    bool *found_out, struct err *err);
int __wrap_bdb_get(struct bdb *db, struct bdb_txn *txn, struct slice key, struct buf *value,
    bool *found_out, struct err *err)
{
    return world->is_killed ? dead(err) : __real_bdb_get(db, txn, key, value, found_out, err);
}

int __real_bdb_cursor_open(struct bdb *db, struct bdb_txn *txn, struct slice from,
    struct bdb_cursor **out, struct err *err);
int __wrap_bdb_cursor_open(struct bdb *db, struct bdb_txn *txn, struct slice from,
    struct bdb_cursor **out, struct err *err);
int __wrap_bdb_cursor_open(struct bdb *db, struct bdb_txn *txn, struct slice from,
    struct bdb_cursor **out, struct err *err)
{
    return world->is_killed ? dead(err) : __real_bdb_cursor_open(db, txn, from, out, err);
}
