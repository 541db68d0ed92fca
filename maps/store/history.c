/* SPDX-License-Identifier: ISC */
/*
 * history: encoding of the change log.
 *
 *     value = version (1 byte), time (8 bytes, big endian), then six fields in the order of struct
 *             history_record, each with its length in front (4 bytes, big endian)
 *
 * The record is written once and never changed.  Bytes behind the last field or a length that
 * points outside make it invalid: a log that cannot be trusted is reported, not guessed at.
 */
#include "maps/store/history.h"

#define HISTORY_VERSION 1
#define HISTORY_FIELDS 6

static void put_be(unsigned char *p, uint64_t v, size_t n)
{
    for (size_t i = n; i-- > 0; v >>= 8)
        p[i] = (unsigned char)(v & 0xff);
}

static uint64_t get_be(const unsigned char *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

void history_key(uint64_t generation, unsigned char out[HISTORY_KEY_SIZE])
{
    put_be(out, generation, HISTORY_KEY_SIZE);
}

int history_key_parse(struct slice key, uint64_t *generation_out)
{
    if (key.n != HISTORY_KEY_SIZE)
        return -1;
    *generation_out = get_be(key.p, key.n);
    return 0;
}

int history_encode(const struct history_record *r, struct buf *out)
{
    const struct slice fields[HISTORY_FIELDS] = {
        r->key, r->who, r->why, r->request_id, r->old_value, r->new_value};
    unsigned char head[9] = {HISTORY_VERSION};
    put_be(head + 1, (uint64_t)r->when_s, 8);
    if (buf_add(out, slice_make(head, sizeof head)) != 0)
        return -1;
    for (size_t i = 0; i < HISTORY_FIELDS; i++) {
        unsigned char length[4];
        if (fields[i].n > UINT32_MAX)
            return -1;
        put_be(length, fields[i].n, sizeof length);
        if (buf_add(out, slice_make(length, sizeof length)) != 0 || buf_add(out, fields[i]) != 0)
            return -1;
    }
    return 0;
}

int history_decode(struct slice bytes, struct history_record *r)
{
    struct slice *fields[HISTORY_FIELDS] = {
        &r->key, &r->who, &r->why, &r->request_id, &r->old_value, &r->new_value};
    if (bytes.n < 9 || bytes.p[0] != HISTORY_VERSION)
        return -1;
    r->when_s = (int64_t)get_be(bytes.p + 1, 8);
    struct slice rest = slice_from(bytes, 9);
    for (size_t i = 0; i < HISTORY_FIELDS; i++) {
        if (rest.n < 4)
            return -1;
        size_t n = (size_t)get_be(rest.p, 4);
        rest = slice_from(rest, 4);
        if (n > rest.n)
            return -1;
        *fields[i] = slice_sub(rest, 0, n);
        rest = slice_from(rest, n);
    }
    return rest.n == 0 ? 0 : -1;
}
