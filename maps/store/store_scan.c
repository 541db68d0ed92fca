/* SPDX-License-Identifier: ISC */
/*
 * store_scan: walks over the entries and over the change log, and the cut of the log.
 *
 * One record of the change log is about 150 bytes; whoever owns the store cuts it by age, from its
 * beginning.  So what is missing between two of its records was never there: a restore raises the
 * generation at once.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <sysexits.h>
#include "base/core/mem.h"
#include "maps/store/store_priv.h"

struct store_walk {
    struct bdb_cursor *cursor;
};

int store_walk_open(struct store *s, struct store_txn *txn, struct slice from,
    struct store_walk **out, struct err *err)
{
    struct bdb_cursor *cursor;
    if (bdb_cursor_open(s->entries, store_bdb_txn(txn), from, &cursor, err) != 0)
        return -1;
    *out = mem_zalloc(sizeof **out);
    (*out)->cursor = cursor;
    return 0;
}

int store_walk_next(
    struct store_walk *w, struct slice *key_out, struct route_entry *entry_out, struct err *err)
{
    struct slice value;
    int rc = bdb_cursor_next(w->cursor, key_out, &value, err);
    *entry_out = (struct route_entry){0};
    return rc == 1 && record_decode(value, entry_out) != 0 ? store_damaged(*key_out, err) : rc;
}

void store_walk_close(struct store_walk **w)
{
    if (!*w)
        return;
    bdb_cursor_close(&(*w)->cursor);
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

int store_scan_history(struct store *s, struct store_txn *txn, uint64_t from,
    int (*fn)(void *arg, const struct history_record *record, struct err *err), void *arg,
    struct err *err)
{
    unsigned char start[HISTORY_KEY_SIZE];
    struct bdb_cursor *cursor;
    struct slice key, value;
    int rc;

    history_key(from, start);
    if (bdb_cursor_open(
            s->history, store_bdb_txn(txn), slice_make(start, sizeof start), &cursor, err) != 0)
        return -1;
    while ((rc = bdb_cursor_next(cursor, &key, &value, err)) == 1) {
        struct history_record record = {0};
        if (history_key_parse(key, &record.generation) != 0 || history_decode(value, &record) != 0)
            rc = err_set(err, ERR_PERM, EX_DATAERR, "the change log is damaged");
        else
            rc = fn(arg, &record, err);
        if (rc != 0)
            break;
    }
    bdb_cursor_close(&cursor);
    return rc < 0 ? -1 : 0;
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
        "the map was never at generation %" PRIu64 ": a restore took it from %" PRIu64
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
    if (r.after == generation || r.first == generation + 1)
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

    int rc = store_scan_history(txn->store, txn, 0, find_old, &p, err);
    for (size_t i = 0; i < p.n && rc == 0; i++) {
        history_key(p.generations[i], key);
        rc = bdb_del(txn->store->history, txn->bdb, slice_make(key, sizeof key), &found, err);
        txn->results_changed = true;
    }
    free(p.generations);
    *n_out = p.n;
    return rc;
}
