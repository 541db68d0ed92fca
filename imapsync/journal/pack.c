/* SPDX-License-Identifier: ISC */
/* pack: fixed-size integers and counted bytes; no version of its own, the record names that. */
#include "imapsync/journal/pack.h"

#include "base/core/err.h"

static void put(struct buf *b, uint64_t v, size_t size)
{
    unsigned char bytes[8];
    for (size_t i = size; i-- > 0; v >>= 8)
        bytes[i] = (unsigned char)v;
    BUG_ON(buf_add(b, slice_make(bytes, size)) != 0);
}

static bool take(struct slice *s, size_t size, uint64_t *out)
{
    if (s->n < size)
        return false;
    *out = 0;
    for (size_t i = 0; i < size; i++)
        *out = *out << 8 | s->p[i];
    *s = slice_from(*s, size);
    return true;
}

void pack_u8(struct buf *b, uint8_t v)
{
    put(b, v, 1);
}

void pack_u32(struct buf *b, uint32_t v)
{
    put(b, v, 4);
}

void pack_u64(struct buf *b, uint64_t v)
{
    put(b, v, 8);
}

void pack_rest(struct buf *b, struct slice s)
{
    BUG_ON(buf_add(b, s) != 0);
}

void pack_bytes(struct buf *b, struct slice s)
{
    pack_u32(b, (uint32_t)s.n);
    BUG_ON(buf_add(b, s) != 0);
}

bool unpack_u8(struct slice *s, uint8_t *out)
{
    uint64_t v;
    if (!take(s, 1, &v))
        return false;
    *out = (uint8_t)v;
    return true;
}

bool unpack_u32(struct slice *s, uint32_t *out)
{
    uint64_t v;
    if (!take(s, 4, &v))
        return false;
    *out = (uint32_t)v;
    return true;
}

bool unpack_u64(struct slice *s, uint64_t *out)
{
    return take(s, 8, out);
}

bool unpack_bytes(struct slice *s, struct slice *out)
{
    uint32_t n;
    if (!unpack_u32(s, &n) || s->n < n)
        return false;
    *out = slice_sub(*s, 0, n);
    *s = slice_from(*s, n);
    return true;
}
