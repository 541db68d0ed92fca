/* SPDX-License-Identifier: ISC */
/*
 * mem_bdb: base/os/bdb.h in memory, for a journal in a simulated world: what was committed stays,
 * the rest goes with a kill.  A folder's file "log.mem" names its store, so that folders can be
 * renamed and removed as the journal does it.
 *
 * Each commit is an event: a kill may come before or behind it.
 */
#include "base/os/bdb.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "base/core/mem.h"
#include "base/os/io.h"
#include "tests/sim/faults.h"
#include "tests/sim/disk.h"
#include "tests/sim/world.h"

#define STORES 64
#define TABLES 8

struct pair_of {
    unsigned char *key, *value;
    size_t n_key, n_value;
};

struct bdb {
    char name[16];
    struct bdb_env *env;
    struct pair_of *v;
    size_t n, cap;
};

struct undo {
    struct bdb *db;
    struct pair_of old; /* value NULL: it was not there */
};

struct bdb_env {
    struct bdb *tables[TABLES];
    struct undo *undo;
    size_t n_undo, cap_undo;
    struct bdb_txn *txn;
    unsigned commits;
    bool is_open;
};

struct bdb_txn {
    struct bdb_env *env;
};

struct bdb_cursor {
    struct bdb *db;
    struct buf key, value;
    bool is_behind; /* the next is behind key, else at it */
};

static struct bdb_env *stores[STORES];
static size_t n_stores;

static int dead(struct err *err)
{
    err_set(err, ERR_TEMP, EX_TEMPFAIL, "the journal's disk is gone");
    return err_scope_set(err, ERR_SCOPE_USER);
}

static unsigned char *copy_of(const unsigned char *p, size_t n)
{
    unsigned char *c = mem_zalloc(n + 1);
    if (n > 0)
        memcpy(c, p, n);
    return c;
}

/* --- Tables ----------------------------------------------------------------------------------- */

static int compare(const struct pair_of *p, struct slice key)
{
    size_t n = p->n_key < key.n ? p->n_key : key.n;
    int r = n > 0 ? memcmp(p->key, key.p, n) : 0;
    return r != 0 ? r : (p->n_key > key.n) - (p->n_key < key.n);
}

/* The first at or behind the key. */
static size_t find(const struct bdb *db, struct slice key, bool *found_out)
{
    size_t low = 0, high = db->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (compare(&db->v[mid], key) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *found_out = low < db->n && compare(&db->v[low], key) == 0;
    return low;
}

static void set(struct bdb *db, struct slice key, struct slice value)
{
    bool found;
    size_t at = find(db, key, &found);
    if (!found) {
        if (db->n == db->cap) {
            db->cap = db->cap ? 2 * db->cap : 16;
            db->v = mem_realloc_array(db->v, db->cap, sizeof(*db->v));
        }
        memmove(&db->v[at + 1], &db->v[at], (db->n - at) * sizeof(*db->v));
        db->n++;
        db->v[at] = (struct pair_of){.key = copy_of(key.p, key.n), .n_key = key.n};
    }
    free(db->v[at].value);
    db->v[at].value = copy_of(value.p, value.n);
    db->v[at].n_value = value.n;
}

static void unset(struct bdb *db, struct slice key)
{
    bool found;
    size_t at = find(db, key, &found);
    if (!found)
        return;
    free(db->v[at].key);
    free(db->v[at].value);
    memmove(&db->v[at], &db->v[at + 1], (db->n - at - 1) * sizeof(*db->v));
    db->n--;
}

static void remember(struct bdb *db, struct slice key)
{
    struct bdb_env *env = db->env;
    bool found;
    size_t at = find(db, key, &found);
    if (env->n_undo == env->cap_undo) {
        env->cap_undo = env->cap_undo ? 2 * env->cap_undo : 32;
        env->undo = mem_realloc_array(env->undo, env->cap_undo, sizeof(*env->undo));
    }
    struct undo *u = &env->undo[env->n_undo++];
    *u = (struct undo){.db = db, .old = {.key = copy_of(key.p, key.n), .n_key = key.n}};
    if (found) {
        u->old.value = copy_of(db->v[at].value, db->v[at].n_value);
        u->old.n_value = db->v[at].n_value;
    }
}

static void undo_free(struct undo *u)
{
    free(u->old.key);
    free(u->old.value);
}

static void roll_back(struct bdb_env *env, size_t down_to)
{
    while (env->n_undo > down_to) {
        struct undo *u = &env->undo[--env->n_undo];
        struct slice key = slice_make(u->old.key, u->old.n_key);
        if (u->old.value)
            set(u->db, key, slice_make(u->old.value, u->old.n_value));
        else
            unset(u->db, key);
        undo_free(u);
    }
}

static void forget_undo(struct bdb_env *env)
{
    for (size_t i = 0; i < env->n_undo; i++)
        undo_free(&env->undo[i]);
    env->n_undo = 0;
}

/* --- Environments ----------------------------------------------------------------------------- */

static void env_free(struct bdb_env *env)
{
    forget_undo(env);
    free(env->undo);
    for (size_t t = 0; t < TABLES && env->tables[t]; t++) {
        struct bdb *db = env->tables[t];
        while (db->n > 0) {
            db->n--;
            free(db->v[db->n].key);
            free(db->v[db->n].value);
        }
        free(db->v);
        free(db);
    }
    free(env);
}

void disk_forget(void)
{
    for (size_t i = 0; i < n_stores; i++)
        env_free(stores[i]);
    n_stores = 0;
}

void disk_kill(const char *dir)
{
    (void)dir;
}

/* COMMIT_LOST: what is not durable is undone at the kill. */
void disk_crash(const char *dir)
{
    (void)dir;
    for (size_t i = 0; i < n_stores; i++) {
        struct bdb_env *env = stores[i];
        if (fault_is(FAULT_COMMIT_SPLIT)) {
            for (size_t k = env->n_undo / 2; k < env->n_undo; k++)
                undo_free(&env->undo[k]);
            env->n_undo /= 2;
        }
        roll_back(env, fault_is(FAULT_COMMIT_TORN) ? env->n_undo / 2 : 0);
        forget_undo(env);
        free(env->txn);
        env->txn = NULL;
        env->is_open = false;
    }
}

int bdb_env_open(const char *home, uint64_t cache_size, struct bdb_env **out, struct err *err)
{
    return bdb_env_open_as(home, &(struct bdb_options){.cache_size = cache_size}, out, err);
}

int bdb_env_open_as(
    const char *home, const struct bdb_options *options, struct bdb_env **out, struct err *err)
{
    char path[512];
    unsigned number = STORES;
    (void)options;
    if (world->is_killed)
        return dead(err);
    BUG_ON(fmt_into(path, sizeof(path), "%s/log.mem", home) != 0);
    FILE *f = fopen(path, "r");
    if (f && fscanf(f, "%u", &number) != 1)
        number = STORES;
    if (f)
        (void)fclose(f);
    if (number >= n_stores) {
        number = (unsigned)n_stores;
        BUG_ON(n_stores == STORES);
        if (io_mkdir(home, 0700, err) != 0)
            return -1;
        stores[n_stores++] = mem_zalloc(sizeof(**stores));
        f = fopen(path, "w");
        BUG_ON(!f || fprintf(f, "%u", number) < 0);
        (void)fclose(f);
    }
    *out = stores[number];
    BUG_ON((*out)->is_open);
    (*out)->is_open = true;
    return 0;
}

bool bdb_env_is_damaged(const struct bdb_env *env)
{
    (void)env;
    return false;
}

bool bdb_env_is_failed(const struct bdb_env *env)
{
    (void)env;
    return world->is_killed;
}

bool bdb_env_close(struct bdb_env **env)
{
    if (*env && (*env)->txn)
        bdb_abort(&(*env)->txn);
    if (*env)
        (*env)->is_open = false;
    *env = NULL;
    return !world->is_killed;
}

int bdb_env_checkpoint(struct bdb_env *env, struct err *err)
{
    (void)env;
    return world->is_killed ? dead(err) : 0;
}

int bdb_open(struct bdb_env *env, const char *name, struct bdb **out, struct err *err)
{
    size_t i = 0;
    if (world->is_killed)
        return dead(err);
    while (i < TABLES && env->tables[i] && strcmp(env->tables[i]->name, name) != 0)
        i++;
    BUG_ON(i == TABLES);
    if (!env->tables[i]) {
        struct bdb *db = mem_zalloc(sizeof(*db));
        BUG_ON(fmt_into(db->name, sizeof(db->name), "%s", name) != 0);
        db->env = env;
        env->tables[i] = db;
    }
    *out = env->tables[i];
    return 0;
}

void bdb_close(struct bdb **db)
{
    *db = NULL;
}

/* --- Transactions ------------------------------------------------------------------------------
 */

int bdb_begin(struct bdb_env *env, struct bdb_txn **out, struct err *err)
{
    if (world->is_killed)
        return dead(err);
    BUG_ON(env->txn);
    *out = env->txn = mem_zalloc(sizeof(**out));
    env->txn->env = env;
    return 0;
}

static int commit(struct bdb_env *env, struct err *err)
{
    if (world->is_killed)
        return dead(err);
    world_tick(world);
    if (world->kill_armed == KILL_BEFORE_COMMIT)
        world_kill(world, "before a commit");
    if (world->is_killed)
        return dead(err);
    if (!(fault_is(FAULT_COMMIT_LOST) && ++env->commits % 3 == 0))
        forget_undo(env);
    world->ledger.committed_at = world->tick;
    if (world->kill_armed == KILL_BEHIND_COMMIT)
        world_kill(world, "behind a commit");
    return world->is_killed ? dead(err) : 0;
}

int bdb_commit(struct bdb_txn **txn, struct err *err)
{
    struct bdb_env *env = (*txn)->env;
    int result = commit(env, err);
    /* The world is dead, or its work is done: what is left is rolled back by the crash. */
    free(*txn);
    *txn = env->txn = NULL;
    return result;
}

void bdb_abort(struct bdb_txn **txn)
{
    if (!*txn)
        return;
    struct bdb_env *env = (*txn)->env;
    if (!world->is_killed)
        roll_back(env, 0);
    free(*txn);
    *txn = env->txn = NULL;
}

int bdb_get(struct bdb *db, struct bdb_txn *txn, struct slice key, struct buf *value,
    bool *found_out, struct err *err)
{
    (void)txn;
    if (world->is_killed)
        return dead(err);
    size_t at = find(db, key, found_out);
    buf_clear(value);
    if (*found_out && buf_add(value, slice_make(db->v[at].value, db->v[at].n_value)) != 0)
        return err_set(err, ERR_PERM, EX_DATAERR, "a value is too long");
    return 0;
}

int bdb_put(
    struct bdb *db, struct bdb_txn *txn, struct slice key, struct slice value, struct err *err)
{
    if (world->is_killed)
        return dead(err);
    remember(db, key);
    set(db, key, value);
    return txn ? 0 : commit(db->env, err);
}

int bdb_del(struct bdb *db, struct bdb_txn *txn, struct slice key, bool *found_out, struct err *err)
{
    if (world->is_killed)
        return dead(err);
    (void)find(db, key, found_out);
    if (!*found_out)
        return 0;
    remember(db, key);
    unset(db, key);
    return txn ? 0 : commit(db->env, err);
}

/* --- Cursors ------------------------------------------------------------------------------------
 */

int bdb_cursor_open(struct bdb *db, struct bdb_txn *txn, struct slice from, struct bdb_cursor **out,
    struct err *err)
{
    (void)txn;
    if (world->is_killed)
        return dead(err);
    struct bdb_cursor *c = mem_zalloc(sizeof(*c));
    c->db = db;
    buf_init(&c->key, 4096);
    buf_init(&c->value, 1 << 20);
    BUG_ON(buf_add(&c->key, from) != 0);
    *out = c;
    return 0;
}

int bdb_cursor_next(
    struct bdb_cursor *c, struct slice *key_out, struct slice *value_out, struct err *err)
{
    bool found;
    if (world->is_killed)
        return dead(err);
    size_t at = find(c->db, buf_slice(&c->key), &found);
    at += found && c->is_behind;
    if (at == c->db->n)
        return 0;
    const struct pair_of *p = &c->db->v[at];
    buf_clear(&c->key);
    buf_clear(&c->value);
    BUG_ON(buf_add(&c->key, slice_make(p->key, p->n_key)) != 0 ||
           buf_add(&c->value, slice_make(p->value, p->n_value)) != 0);
    c->is_behind = true;
    *key_out = buf_slice(&c->key);
    *value_out = buf_slice(&c->value);
    return 1;
}

int bdb_last_below(
    struct bdb *db, struct bdb_txn *txn, struct slice below, struct buf *key_out, struct err *err)
{
    bool found;
    (void)txn;
    if (world->is_killed)
        return dead(err);
    size_t at = find(db, below, &found);
    if (at == 0)
        return 0;
    const struct pair_of *p = &db->v[at - 1];
    buf_clear(key_out);
    BUG_ON(buf_add(key_out, slice_make(p->key, p->n_key)) != 0);
    return 1;
}

void bdb_cursor_close(struct bdb_cursor **c)
{
    if (!*c)
        return;
    buf_fini(&(*c)->key);
    buf_fini(&(*c)->value);
    free(*c);
    *c = NULL;
}
