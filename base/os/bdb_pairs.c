/* SPDX-License-Identifier: ISC */
/*
 * bdb_pairs: databases, transactions, and the pairs in them: see bdb.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/os/bdb_disk.h"
#include "base/os/bdb_parts.h"

#define TRIES_MAX 100
/* Multiples of 1024, as DB_MULTIPLE_KEY wants.  Most scans want what is behind their first key and
 * end there, and what is fetched is copied: so it is little at first. */
#define BULK_LEAST (8U * 1024U)
#define BULK_SIZE (256U * 1024U)
#define VALUE_GUESS 256

struct bdb_cursor {
    struct bdb_env *env;
    DBC *dbc;
    DBT key, bulk;
    void *walk; /* place in the bulk buffer, NULL when it has to be filled */
    u_int32_t next;
};

static bool is_deadlock(int rc)
{
    return rc == DB_LOCK_DEADLOCK || rc == DB_LOCK_NOTGRANTED;
}

static const char *file_of(DB *db)
{
    const char *file = NULL, *name = NULL;

    return db->get_dbname(db, &file, &name) == 0 && file != NULL ? file : "?";
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
        return env->is_in_use ? bdb_fail(env, rc, "open database", file, err)
                              : bdb_fail_start(env, rc, "open database", file, err);
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
    bdb_begin_close(b->env);
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
        return bdb_fail(env, rc, "begin", "transaction", err);
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
        bdb_end_process(strerrordesc_np(bdb_disk_failed()));
    return e->options.is_contained ? bdb_disk_failed() : 0;
}

static int commit(struct bdb_txn **tp, u_int32_t flags, struct err *err)
{
    struct bdb_txn *t = *tp;
    struct bdb_env *e = t->env;
    int rc;

    *tp = NULL;
    bdb_disk_watch();
    rc = durable(e, t->txn->commit(t->txn, flags));
    free(t);
    return rc == 0 ? 0 : bdb_fail(e, rc, "commit", "transaction", err);
}

int bdb_commit(struct bdb_txn **tp, struct err *err)
{
    return commit(tp, DB_TXN_SYNC, err);
}

int bdb_commit_lazily(struct bdb_txn **tp, struct err *err)
{
    return commit(tp, DB_TXN_NOSYNC, err);
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
        bdb_end_process(db_strerror(rc));
    if (rc != 0)
        bdb_fail_contained(e, rc, false);
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
            return bdb_fail(b->env, rc, "read", file_of(b->db), err);
    }
    return bdb_fail(b->env, DB_LOCK_DEADLOCK, "read", file_of(b->db), err);
}

int bdb_put(
    struct bdb *b, struct bdb_txn *txn, struct slice key, struct slice value, struct err *err)
{
    DBT k = given(key), v = given(value);
    int rc;

    bdb_disk_watch();
    rc = b->db->put(b->db, txn ? txn->txn : NULL, &k, &v, 0);
    rc = txn ? rc : durable(b->env, rc);
    return rc == 0 ? 0 : bdb_fail(b->env, rc, "write", file_of(b->db), err);
}

int bdb_del(struct bdb *b, struct bdb_txn *txn, struct slice key, bool *found_out, struct err *err)
{
    DBT k = given(key);
    int rc;

    bdb_disk_watch();
    rc = b->db->del(b->db, txn ? txn->txn : NULL, &k, 0);
    rc = txn ? rc : durable(b->env, rc);
    if (rc != 0 && rc != DB_NOTFOUND)
        return bdb_fail(b->env, rc, "delete from", file_of(b->db), err);
    *found_out = rc == 0;
    return 0;
}

/* DB_SET_RANGE reads the key that it starts from, and writes the one that it has found. */
static int seek_below(DBC *dbc, struct slice below, DBT *k, DBT *nothing)
{
    memcpy(k->data, below.p, below.n);
    k->size = (u_int32_t)below.n;
    int rc = dbc->get(dbc, k, nothing, DB_SET_RANGE);
    return rc == DB_NOTFOUND ? dbc->get(dbc, k, nothing, DB_LAST)
           : rc == 0         ? dbc->get(dbc, k, nothing, DB_PREV)
                             : rc;
}

int bdb_last_below(
    struct bdb *b, struct bdb_txn *txn, struct slice below, struct buf *key_out, struct err *err)
{
    DBC *dbc;
    DBT k, nothing = {.flags = DB_DBT_USERMEM | DB_DBT_PARTIAL};
    int rc = b->db->cursor(b->db, txn ? txn->txn : NULL, &dbc, 0);

    if (rc != 0)
        return bdb_fail(b->env, rc, "read", file_of(b->db), err);
    buf_clear(key_out);
    if (below.n > key_out->max || room_in(key_out, (u_int32_t)key_out->max, &k) != 0) {
        (void)dbc->close(dbc);
        return too_large(b->db, err);
    }
    for (int i = 0; i < TRIES_MAX; i++) {
        rc = seek_below(dbc, below, &k, &nothing);
        if (txn != NULL || !is_deadlock(rc))
            break;
    }
    (void)dbc->close(dbc);
    if (rc == DB_NOTFOUND)
        return 0;
    if (rc != 0)
        return bdb_fail(b->env, rc, "read", file_of(b->db), err);
    buf_commit(key_out, k.size);
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
        return bdb_fail(b->env, rc, "read", file_of(b->db), err);
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
    int rc = 0;

    if (c->bulk.ulen < BULK_SIZE)
        rc = bulk_size(c, c->bulk.ulen == 0              ? BULK_LEAST
                          : c->bulk.ulen < BULK_SIZE / 4 ? 4 * (size_t)c->bulk.ulen
                                                         : BULK_SIZE);
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
            return bdb_fail(c->env, rc, "read", file_of(c->dbc->dbp), err);
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
