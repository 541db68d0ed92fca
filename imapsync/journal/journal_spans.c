/* SPDX-License-Identifier: ISC */
/*
 * journal_spans: which UIDs of a folder have pairs, kept beside the pairs and changed with them, so
 * that it is as true as they are.  A transaction has its spans in memory until it is committed:
 * two thousand messages that come one behind the other are two or three of them.
 */
#include <stdlib.h>

#include "base/core/mem.h"
#include "imapsync/journal/journal_parts.h"

#define AT_ONCE 64 /* in memory */

struct span {
    uint32_t folder, number;
    int side;
    bool has_changed;
    struct record_span what;
};

uint8_t spans_under_a(const struct record_pair *p)
{
    return p->state == PAIR_STORED ? SPAN_STORED : (uint8_t)p->state;
}

uint8_t spans_under_b(bool is_pair, const struct record_pair *alone, size_t n_uids)
{
    return (uint8_t)((is_pair ? alone->state : 0) | (n_uids > 0 ? SPAN_STORED : 0));
}

static int read_span(struct journal_tables *t, struct span *s, struct err *err)
{
    struct buf key, value;
    bool found;
    buf_init(&key, 16);
    buf_init(&value, RECORD_MAX);
    record_key_span(&key, s->folder, s->side, s->number);
    int r = bdb_get(t->state, t->txn, buf_slice(&key), &value, &found, err);
    if (r == 0 && found && !record_unpack_span(buf_slice(&value), &s->what))
        r = TABLES_DAMAGED;
    buf_fini(&key);
    buf_fini(&value);
    return r;
}

static int write_span(struct journal_tables *t, const struct span *s, struct err *err)
{
    struct buf key, value;
    bool found;
    buf_init(&key, 16);
    buf_init(&value, 2 * SPAN_UIDS);
    record_key_span(&key, s->folder, s->side, s->number);
    record_pack_span(&value, &s->what);
    int r = value.n > 0 ? bdb_put(t->state, t->txn, buf_slice(&key), buf_slice(&value), err)
                        : bdb_del(t->state, t->txn, buf_slice(&key), &found, err);
    buf_fini(&key);
    buf_fini(&value);
    return r;
}

int spans_write(struct journal_tables *t, struct err *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < t->n_spans; i++) {
        if (t->spans[i].has_changed)
            r = write_span(t, &t->spans[i], err);
    }
    spans_forget(t);
    return r;
}

void spans_forget(struct journal_tables *t)
{
    free(t->spans);
    t->spans = NULL;
    t->n_spans = 0;
}

/* The last one first: most changes are beside the one before. */
static struct span *find(const struct journal_tables *t, uint32_t folder, int side, uint32_t number)
{
    for (size_t i = t->n_spans; i-- > 0;) {
        struct span *s = &t->spans[i];
        if (s->folder == folder && s->side == side && s->number == number)
            return s;
    }
    return NULL;
}

int spans_set(struct journal_tables *t, uint32_t folder, int side, uint32_t uid, uint8_t what,
    struct err *err)
{
    struct span *s = find(t, folder, side, uid / SPAN_UIDS);
    int r = 0;
    if (!s) {
        if (t->n_spans == AT_ONCE)
            r = spans_write(t, err);
        if (r != 0)
            return r;
        t->spans = mem_realloc_array(t->spans, t->n_spans + 1, sizeof(*t->spans));
        s = &t->spans[t->n_spans++];
        *s = (struct span){.folder = folder, .side = side, .number = uid / SPAN_UIDS};
        r = read_span(t, s, err);
    }
    if (r == 0 && record_span_set(&s->what, uid % SPAN_UIDS, what))
        s->has_changed = true;
    return r;
}

/* --- Of a journal that has none ------------------------------------------------------------- */

static int set_from(
    struct journal_tables *t, int side, struct slice key, struct slice value, struct err *err)
{
    struct record_pair p;
    struct slice uids;
    uint32_t folder, uid;
    bool is_pair;
    if (!record_is_uid(key, &folder, &uid))
        return TABLES_DAMAGED;
    if (side == SIDE_A)
        return record_unpack_pair(value, SIDE_A, uid, &p)
                   ? spans_set(t, folder, SIDE_A, uid, spans_under_a(&p), err)
                   : TABLES_DAMAGED;
    if (!record_unpack_refs(value, uid, &is_pair, &p, &uids))
        return TABLES_DAMAGED;
    return spans_set(t, folder, SIDE_B, uid, spans_under_b(is_pair, &p, uids.n), err);
}

int spans_make(struct journal_tables *t, struct err *err)
{
    int r = 0;
    for (int side = SIDE_A; r == 0 && side < SIDES; side++) {
        struct bdb_cursor *c;
        struct slice key, value;
        r = bdb_cursor_open(side == SIDE_A ? t->pairs : t->uids, t->txn, SLICE_NONE, &c, err);
        if (r != 0)
            return r;
        while ((r = bdb_cursor_next(c, &key, &value, err)) == 1) {
            r = set_from(t, side, key, value, err);
            if (r != 0)
                break;
        }
        bdb_cursor_close(&c);
    }
    return r;
}
