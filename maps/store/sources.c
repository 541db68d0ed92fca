/* SPDX-License-Identifier: ISC */
/*
 * sources: records in `meta`.
 *
 *     "source:" name  ->  version (1 byte), time, rows (8 bytes each, big endian), who
 */
#include "maps/store/sources.h"

#include <sysexits.h>
#include "maps/store/store_priv.h"

#define PREFIX SLICE_LIT("source:")
#define SOURCE_VERSION 1
#define RECORD_HEAD (1 + 2 * HISTORY_KEY_SIZE)
#define KEY_MAX (16 + ROUTE_SOURCE_MAX)

/* --- Records -------------------------------------------------------------------------------- */

int source_encode(const struct source *source, struct buf *out)
{
    unsigned char head[RECORD_HEAD] = {SOURCE_VERSION};

    if (source->who.n > STORE_WHO_MAX)
        return -1;
    history_key((uint64_t)source->when_s, head + 1);
    history_key(source->rows, head + 1 + HISTORY_KEY_SIZE);
    return buf_add(out, slice_make(head, sizeof head)) != 0 || buf_add(out, source->who) != 0 ? -1
                                                                                              : 0;
}

int source_decode(struct slice bytes, struct source *out)
{
    uint64_t when;

    if (bytes.n < RECORD_HEAD || bytes.n > SOURCE_RECORD_MAX || bytes.p[0] != SOURCE_VERSION ||
        history_key_parse(slice_sub(bytes, 1, HISTORY_KEY_SIZE), &when) != 0 ||
        history_key_parse(slice_sub(bytes, 1 + HISTORY_KEY_SIZE, HISTORY_KEY_SIZE), &out->rows) !=
            0 ||
        when > INT64_MAX || out->rows > INT64_MAX)
        return -1;
    out->when_s = (int64_t)when;
    out->who = slice_from(bytes, RECORD_HEAD);
    return 0;
}

static int make_key(struct slice name, struct buf *out, struct err *err)
{
    buf_init(out, KEY_MAX);
    if (name.n == 0 || name.n > ROUTE_SOURCE_MAX || buf_add(out, PREFIX) != 0 ||
        buf_add(out, name) != 0)
        return err_set(
            err, ERR_PERM, EX_DATAERR, "the source %.*s has no name that fits", SLICE_ARG(name));
    return 0;
}

static int forget(struct store_txn *txn, struct slice name, struct err *err)
{
    struct buf key;
    bool found;

    int rc = make_key(name, &key, err);
    if (rc == 0)
        rc = bdb_del(txn->store->meta, txn->bdb, buf_slice(&key), &found, err);
    buf_fini(&key);
    return rc;
}

/* --- All of them ---------------------------------------------------------------------------- */

int sources_scan(struct store *s, struct store_txn *txn,
    int (*fn)(void *arg, const struct source *source, struct err *err), void *arg, struct err *err)
{
    struct bdb_cursor *cursor;
    struct slice key, bytes;
    struct source source;
    int rc;

    if (bdb_cursor_open(s->meta, store_bdb_txn(txn), PREFIX, &cursor, err) != 0)
        return -1;
    while ((rc = bdb_cursor_next(cursor, &key, &bytes, err)) == 1 && slice_starts(key, PREFIX)) {
        source.name = slice_from(key, PREFIX.n);
        rc = source_decode(bytes, &source) != 0
                 ? err_set(err, ERR_PERM, EX_DATAERR, "the record of the source %.*s is damaged",
                       SLICE_ARG(source.name))
                 : fn(arg, &source, err);
        if (rc != 0)
            break;
    }
    bdb_cursor_close(&cursor);
    return rc < 0 ? -1 : 0;
}

struct oldest {
    struct slice but; /* this one */
    struct buf name;
    int64_t when_s;
    size_t n;
};

static int see_older(void *arg, const struct source *source, struct err *err ATTR_UNUSED)
{
    struct oldest *o = arg;

    if (slice_eq(source->name, o->but))
        return 0;
    if (o->n++ > 0 && source->when_s >= o->when_s)
        return 0;
    o->when_s = source->when_s;
    buf_clear(&o->name);
    if (buf_add(&o->name, source->name) != 0)
        BUG("a name fits");
    return 0;
}

/* Room for one of that name. */
static int make_room(struct store_txn *txn, struct slice name, struct err *err)
{
    struct oldest o = {.but = name};

    buf_init(&o.name, KEY_MAX);
    int rc = sources_scan(txn->store, txn, see_older, &o, err);
    if (rc == 0 && o.n >= SOURCES_MAX)
        rc = forget(txn, buf_slice(&o.name), err);
    buf_fini(&o.name);
    return rc;
}

int sources_put(struct store_txn *txn, const struct source *source, struct err *err)
{
    struct buf key, record;

    buf_init(&record, SOURCE_RECORD_MAX);
    int rc = make_key(source->name, &key, err);
    if (rc == 0 && source_encode(source, &record) != 0)
        rc = err_set(err, ERR_PERM, EX_DATAERR, "the name of who imports is too long");
    if (rc == 0)
        rc = make_room(txn, source->name, err);
    if (rc == 0)
        rc = bdb_put(txn->store->meta, txn->bdb, buf_slice(&key), buf_slice(&record), err);
    txn->is_written = txn->needs_sync = true;
    buf_fini(&record);
    buf_fini(&key);
    return rc;
}

static int take_name(void *arg, const struct source *source, struct err *err ATTR_UNUSED)
{
    if (buf_add(arg, source->name) != 0)
        BUG("a name fits");
    return 1;
}

int sources_clear(struct store_txn *txn, struct err *err)
{
    struct buf name;
    int rc;

    buf_init(&name, KEY_MAX);
    do { /* a deletion ends the life of the cursor's pair */
        buf_clear(&name);
        rc = sources_scan(txn->store, txn, take_name, &name, err);
        if (rc == 0 && name.n > 0)
            rc = forget(txn, buf_slice(&name), err);
    } while (rc == 0 && name.n > 0);
    txn->is_written = txn->needs_sync = true;
    buf_fini(&name);
    return rc;
}
