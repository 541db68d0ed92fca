/* SPDX-License-Identifier: ISC */
/*
 * journal_items: the items of a journal (items.h), under the digest of their folder's name: a
 * folder that cannot be opened or made has no number of its own.  What an item of a folder that was
 * renamed names is gone, and told again under the new name.
 */
#include <string.h>

#include "base/core/buf.h"
#include "imapsync/copy/journal_parts.h"

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

bool journal_is_writing(const struct journal *j)
{
    return j->t.txn != NULL;
}
