/* SPDX-License-Identifier: ISC */
/*
 * journal_items: the items of a journal (items.h), under the digest of their folder's name: a
 * folder that cannot be opened or made has no number of its own.  When a folder that has one is
 * renamed, its items go along.
 *
 * Known weakness: of two folders that have exchanged their names the one that is written first
 * takes its items to where those of the other still are; what is told of the other comes anew.
 */
#include <stdlib.h>
#include <string.h>

#include "base/core/buf.h"
#include "base/core/mem.h"
#include "imapsync/journal/journal_parts.h"

static void make_key(struct buf *out, int side, const struct item_key *key)
{
    unsigned char name[SHA256_SIZE];
    sha256_of(key->folder, name);
    buf_init(out, 32);
    record_key_item(out, side, name, key->uid, (uint8_t)key->code);
}

int journal_item_get(
    struct journal *j, const struct item_key *key, struct item *out, struct err *err)
{
    struct buf k;
    bool found = false;
    *out = (struct item){0};
    make_key(&k, j->from, key);
    buf_fini(&j->item);
    buf_init(&j->item, RECORD_MAX);
    int result = bdb_get(j->t.state, j->t.txn, buf_slice(&k), &j->item, &found, err);
    buf_fini(&k);
    if (result == 0 && found && !record_unpack_item(buf_slice(&j->item), out))
        result = journal_damaged(j, "item", err);
    return result;
}

static int side_of(const struct journal *j, bool is_back)
{
    return is_back ? j->to : j->from;
}

void journal_item_put(struct journal *j, const struct item *item)
{
    const struct item_key of = {item->folder, item->uid, item->code};
    struct buf key, value;
    make_key(&key, side_of(j, item->is_back), &of);
    buf_init(&value, RECORD_MAX);
    record_pack_item(&value, item);
    journal_put_record(j, j->t.state, &key, &value);
    buf_fini(&key);
    buf_fini(&value);
}

void journal_item_del(struct journal *j, const struct item *item)
{
    const struct item_key of = {item->folder, item->uid, item->code};
    struct buf key;
    make_key(&key, side_of(j, item->is_back), &of);
    journal_del_record(j, j->t.state, &key);
    buf_fini(&key);
}

int journal_items_each(struct journal *j,
    int (*each)(void *arg, const struct item *item, struct err *err), void *arg, struct err *err)
{
    struct bdb_cursor *c;
    struct slice key, value;
    struct item item;
    int r, side;
    if (bdb_cursor_open(j->t.state, NULL, SLICE_LIT("t"), &c, err) != 0)
        return -1;
    while ((r = bdb_cursor_next(c, &key, &value, err)) > 0) {
        if (!record_is_item(key, &side)) {
            r = 0;
            break;
        }
        r = record_unpack_item(value, &item) ? 0 : journal_damaged(j, "item", err);
        item.is_back = side != j->from;
        if (r == 0)
            r = each(arg, &item, err);
        if (r != 0)
            break;
    }
    bdb_cursor_close(&c);
    return r;
}

/* --- Renames ---------------------------------------------------------------------------------- */

struct moving {
    struct slice *v; /* their records, owned */
    size_t n;
};

static int collect(
    struct journal *j, int side, struct slice folder, struct moving *out, struct err *err)
{
    struct bdb_cursor *c;
    struct slice key, value;
    struct buf first;
    int r;
    make_key(&first, side, &(struct item_key){.folder = folder});
    const struct slice prefix = slice_sub(buf_slice(&first), 0, 2 + RECORD_DIGEST_KEY);
    r = bdb_cursor_open(j->t.state, j->t.txn, buf_slice(&first), &c, err);
    if (r == 0) {
        while ((r = bdb_cursor_next(c, &key, &value, err)) > 0 && slice_starts(key, prefix)) {
            out->v = mem_realloc_array(out->v, out->n + 1, sizeof(*out->v));
            out->v[out->n++] = slice_make(slice_dup(value), value.n);
        }
        bdb_cursor_close(&c);
    }
    buf_fini(&first);
    return r < 0 ? -1 : 0;
}

void journal_items_rename(struct journal *j, int side, struct slice from, struct slice to)
{
    struct moving m = {0};
    if (j->txn_result == 0)
        j->txn_result = collect(j, side, from, &m, &j->txn_err);
    for (size_t i = 0; i < m.n; i++) {
        struct item item;
        if (record_unpack_item(m.v[i], &item)) {
            item.is_back = side != j->from;
            journal_item_del(j, &item);
            item.folder = to;
            journal_item_put(j, &item);
        }
        free((void *)(uintptr_t)m.v[i].p);
    }
    free(m.v);
}

bool journal_is_writing(const struct journal *j)
{
    return j->t.txn != NULL;
}
