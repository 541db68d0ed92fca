/* SPDX-License-Identifier: ISC */
/*
 * store_scan: walks over the entries and over the change log, and the cut of the log.  Both see
 * through to an import that is not folded yet.
 *
 * One record of the change log is about 150 bytes; whoever owns the store cuts it by age, from its
 * beginning.  So what is missing between two of its records was never there: a restore raises the
 * generation at once.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <sysexits.h>
#include "base/core/mem.h"
#include "maps/store/stage.h"
#include "maps/store/store_priv.h"

/* One of the two orders that a walk merges. */
struct source {
    struct bdb_cursor *cursor; /* NULL: nothing more */
    bool has;                  /* key and value are the next */
    struct slice key, value;
};

struct store_walk {
    struct store_view view; /* number 0: none */
    struct source entries, rows;
    struct slice prefix; /* of the rows, borrowed from it: */
    struct stage_key prefix_key;
};

static void source_close(struct source *s)
{
    if (s->cursor)
        bdb_cursor_close(&s->cursor);
    s->has = false;
}

/* prefix: what its keys have in front. */
static int source_fill(struct source *s, struct slice prefix, struct err *err)
{
    if (s->has || !s->cursor)
        return 0;
    int rc = bdb_cursor_next(s->cursor, &s->key, &s->value, err);
    if (rc < 0)
        return -1;
    s->has = rc == 1 && slice_starts(s->key, prefix);
    if (s->has)
        s->key = slice_from(s->key, prefix.n);
    else
        source_close(s);
    return 0;
}

int store_walk_open(struct store *s, struct store_txn *txn, struct slice from,
    struct store_walk **out, struct err *err)
{
    const struct store_view *v = store_view_of(s, txn);
    struct store_walk *w = mem_zalloc(sizeof *w);
    int rc = bdb_cursor_open(s->entries, store_bdb_txn(txn), from, &w->entries.cursor, err);

    if (rc == 0 && v) {
        const struct stage_key k = stage_key(v->number, STAGE_TAG_KEY,
            slice_sub(from, 0, from.n < ROUTE_KEY_MAX ? from.n : ROUTE_KEY_MAX));
        w->view = *v;
        w->prefix_key = stage_key(v->number, STAGE_TAG_KEY, SLICE_NONE);
        w->prefix = stage_key_slice(&w->prefix_key);
        rc = bdb_cursor_open(
            s->staged, store_bdb_txn(txn), stage_key_slice(&k), &w->rows.cursor, err);
    }
    if (rc != 0)
        store_walk_close(&w);
    *out = w;
    return rc;
}

/* The next of both orders; of a key that both have, the entry of the row if it counts. */
int store_walk_next(
    struct store_walk *w, struct slice *key_out, struct route_entry *entry_out, struct err *err)
{
    struct source *e = &w->entries, *r = &w->rows;
    struct stage_value value;

    *entry_out = (struct route_entry){0};
    for (;;) {
        if (source_fill(e, SLICE_NONE, err) != 0 || source_fill(r, w->prefix, err) != 0)
            return -1;
        if (!e->has && !r->has)
            return 0;
        int order = !r->has ? -1 : !e->has ? 1 : slice_order(e->key, r->key);
        if (order < 0) {
            e->has = false;
            *key_out = e->key;
            return record_decode(e->value, entry_out) != 0 ? store_damaged(e->key, err) : 1;
        }
        if (stage_value_parse(r->value, &value, err) != 0)
            return -1;
        r->has = false;
        if (!stage_value_counts(&value))
            continue;
        if (order == 0)
            e->has = false;
        *key_out = r->key;
        return view_entry(&w->view, &value, r->key, entry_out, err) != 0 ? -1 : 1;
    }
}

void store_walk_close(struct store_walk **w)
{
    if (!*w)
        return;
    source_close(&(*w)->entries);
    source_close(&(*w)->rows);
    free(*w);
    *w = NULL;
}

int store_scan(struct store *s, struct store_txn *txn, struct slice from,
    int (*fn)(void *arg, struct slice key, const struct route_entry *entry, struct err *err),
    void *arg, struct err *err)
{
    struct store_walk *walk;
    struct slice key;
    struct route_entry entry;
    int rc;

    if (store_walk_open(s, txn, from, &walk, err) != 0)
        return -1;
    while ((rc = store_walk_next(walk, &key, &entry, err)) == 1) {
        rc = fn(arg, key, &entry, err);
        if (rc != 0)
            break;
    }
    store_walk_close(&walk);
    return rc < 0 ? -1 : 0;
}

int store_history_get(struct store *s, struct store_txn *txn, uint64_t generation,
    struct buf *bytes, struct history_record *out, bool *found_out, struct err *err)
{
    unsigned char key[HISTORY_KEY_SIZE];

    history_key(generation, key);
    if (bdb_get(s->history, store_bdb_txn(txn), slice_make(key, sizeof key), bytes, found_out,
            err) != 0)
        return -1;
    *out = (struct history_record){.generation = generation};
    if (*found_out && history_decode(buf_slice(bytes), out) != 0)
        return err_set(err, ERR_PERM, EX_DATAERR, "the change log is damaged");
    return 0;
}

/* Up to a generation, as it lies in the database; what fn returned is returned. */
static int scan_folded(struct store *s, struct store_txn *txn, uint64_t from, uint64_t to,
    int (*fn)(void *arg, const struct history_record *record, struct err *err), void *arg,
    struct err *err)
{
    unsigned char start[HISTORY_KEY_SIZE];
    struct bdb_cursor *cursor;
    struct slice key, value;
    int rc;

    if (from > to)
        return 0;
    history_key(from, start);
    if (bdb_cursor_open(
            s->history, store_bdb_txn(txn), slice_make(start, sizeof start), &cursor, err) != 0)
        return -1;
    while ((rc = bdb_cursor_next(cursor, &key, &value, err)) == 1) {
        struct history_record record = {0};
        rc = 0;
        if (history_key_parse(key, &record.generation) != 0 || history_decode(value, &record) != 0)
            rc = err_set(err, ERR_PERM, EX_DATAERR, "the change log is damaged");
        else if (record.generation > to)
            break;
        else
            rc = fn(arg, &record, err);
        if (rc != 0)
            break;
    }
    bdb_cursor_close(&cursor);
    return rc;
}

int store_scan_history(struct store *s, struct store_txn *txn, uint64_t from,
    int (*fn)(void *arg, const struct history_record *record, struct err *err), void *arg,
    struct err *err)
{
    const struct store_view *v = store_view_of(s, txn);
    uint64_t end = v ? v->base + v->n : 0;
    int rc = scan_folded(s, txn, from, v ? v->base : UINT64_MAX, fn, arg, err);

    if (rc == 0 && v && from <= end)
        rc = view_scan_history(s, txn, v, from, fn, arg, err);
    if (rc == 0 && v)
        rc = scan_folded(s, txn, from > end ? from : end + 1, UINT64_MAX, fn, arg, err);
    return rc < 0 ? -1 : 0;
}

/* The last generation of the log below this one; 0: none. */
static int last_below(
    struct store *s, struct store_txn *txn, uint64_t generation, uint64_t *out, struct err *err)
{
    const struct store_view *v = store_view_of(s, txn);
    unsigned char bytes[HISTORY_KEY_SIZE];
    struct buf key;

    history_key(generation, bytes);
    buf_init(&key, HISTORY_KEY_SIZE);
    int rc =
        bdb_last_below(s->history, store_bdb_txn(txn), slice_make(bytes, sizeof bytes), &key, err);
    *out = 0;
    if (rc == 1 && history_key_parse(buf_slice(&key), out) != 0)
        rc = err_set(err, ERR_PERM, EX_DATAERR, "the change log is damaged");
    buf_fini(&key);
    /* Rows that are not folded; of those that were lost nobody knows without reading them. */
    if (v && generation > v->base + 1) {
        uint64_t staged = generation - 1 < v->base + v->n ? generation - 1 : v->base + v->n;
        *out = staged > *out ? staged : *out;
    }
    return rc < 0 ? -1 : 0;
}

int store_log_back(
    struct store *s, struct store_txn *txn, uint64_t n, uint64_t *from_out, struct err *err)
{
    uint64_t at = store_generation(s) + 1, below = at;

    for (; n > 0 && below > 0; n--) {
        if (last_below(s, txn, at, &below, err) != 0)
            return -1;
        at = below ? below : at;
    }
    *from_out = at;
    return 0;
}

/* --- What the log reaches ----------------------------------------------------------------- */

struct reach {
    uint64_t at;            /* the generation asked for */
    uint64_t first;         /* of the log; 0: it is empty */
    uint64_t before, after; /* the record before it, and the first one from it on; 0: none */
};

static int see_first(void *arg, const struct history_record *record, struct err *err ATTR_UNUSED)
{
    uint64_t *generation = arg;
    *generation = record->generation;
    return 1;
}

static int see_before(void *arg, const struct history_record *record, struct err *err ATTR_UNUSED)
{
    struct reach *r = arg;
    if (record->generation >= r->at)
        return 1;
    r->before = record->generation;
    return 0;
}

static int refuse_reach(struct reach *r, struct store *s, struct store_txn *txn, struct err *err)
{
    if (r->at < r->first)
        return err_set(err, ERR_PERM, EX_DATAERR,
            "the change log begins with generation %" PRIu64 ": what was changed between %" PRIu64
            " and that is forgotten (mapd { log_keep }); a backup may have it",
            r->first, r->at);
    if (store_scan_history(s, txn, 0, see_before, r, err) != 0)
        return -1;
    return err_set(err, ERR_PERM, EX_DATAERR,
        "the map was never at generation %" PRIu64 ": a restore or an import took it from %" PRIu64
        " to %" PRIu64 " at once; name %" PRIu64 " for the state before it",
        r->at, r->before, r->after, r->before);
}

int store_log_reaches(struct store *s, struct store_txn *txn, uint64_t generation, struct err *err)
{
    uint64_t now = txn ? store_txn_generation(txn) : store_generation(s);
    struct reach r = {.at = generation};

    if (generation == now)
        return 0;
    if (generation > now)
        return err_set(err, ERR_PERM, EX_USAGE,
            "the map is at generation %" PRIu64 ", not yet at %" PRIu64, now, generation);
    if (store_scan_history(s, txn, generation, see_first, &r.after, err) != 0 ||
        store_scan_history(s, txn, 0, see_first, &r.first, err) != 0)
        return -1;
    if (r.first == 0) /* nothing is left of it */
        r.first = now + 1;
    if ((r.after == generation && generation > 0) || r.first == generation + 1)
        return 0;
    return refuse_reach(&r, s, txn, err);
}

/* --- The cut -------------------------------------------------------------------------------- */

struct prune {
    int64_t before_s;
    size_t max, n, cap;
    uint64_t *generations;
};

static int find_old(void *arg, const struct history_record *record, struct err *err)
{
    struct prune *p = arg;

    (void)err;
    if (p->n == p->max || record->when_s >= p->before_s)
        return 1;
    if (p->n == p->cap) {
        p->cap = p->cap ? 2 * p->cap : 256;
        p->generations = mem_realloc_array(p->generations, p->cap, sizeof *p->generations);
    }
    p->generations[p->n++] = record->generation;
    return 0;
}

int store_history_prune(
    struct store_txn *txn, int64_t before_s, size_t max, size_t *n_out, struct err *err)
{
    struct prune p = {.before_s = before_s, .max = max};
    unsigned char key[HISTORY_KEY_SIZE];
    bool found;

    *n_out = 0;
    /* A fold goes by keys: what is cut meanwhile would not be the beginning of the log. */
    if (store_is_folding(txn->store))
        return 0;
    int rc = scan_folded(txn->store, txn, 0, UINT64_MAX, find_old, &p, err) < 0 ? -1 : 0;
    for (size_t i = 0; i < p.n && rc == 0; i++) {
        history_key(p.generations[i], key);
        rc = bdb_del(txn->store->history, txn->bdb, slice_make(key, sizeof key), &found, err);
        txn->is_written = true;
    }
    free(p.generations);
    *n_out = p.n;
    return rc;
}
