/* SPDX-License-Identifier: ISC */
/*
 * store_scan: walks over the entries and over the change log, and the cut of the log.
 *
 * One record of the change log is about 150 bytes; whoever owns the store cuts it by age.
 */
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
