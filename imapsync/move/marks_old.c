/* SPDX-License-Identifier: ISC */
/*
 * marks_old: a file of version 1.  Without it contents that were deleted on old before the flip
 * would not be known any more, and would come as late mail with a restore: the journal has
 * forgotten them.
 *
 *   "coexmark", version, whether it is of a flip; how many folders; of each the name, UIDVALIDITY
 * and mark of the source, the same of the target, how many are owed and their UIDs; how many
 * digests; sixteen octets and the number of each; SHA-256 of all that
 *
 * The target's part has no meaning any more, and of a digest eight octets are enough.  Which places
 * had a pair since the flip version 1 did not know: there the contents tell, as they did then.
 */
#include "imapsync/journal/pack.h"
#include "imapsync/move/marks_parts.h"

#define DIGEST_SIZE 16

static bool take_folder(struct slice *s, struct marks *m)
{
    struct slice name, target;
    uint32_t uidvalidity, uid, target_uidvalidity, target_uid, n;
    if (!unpack_bytes(s, &name) || !unpack_u32(s, &uidvalidity) || !unpack_u32(s, &uid) ||
        !unpack_bytes(s, &target) || !unpack_u32(s, &target_uidvalidity) ||
        !unpack_u32(s, &target_uid) || !unpack_u32(s, &n))
        return false;
    return marks_take_mark(s, m, name, uidvalidity, uid, n);
}

static bool take_all(struct slice s, struct marks *m)
{
    uint8_t has_flipped;
    uint32_t n, ever;
    if (!unpack_u8(&s, &has_flipped) || has_flipped > 1 || !unpack_u32(&s, &n))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        if (!take_folder(&s, m))
            return false;
    }
    if (!unpack_u32(&s, &n) || s.n != n * (uint64_t)(DIGEST_SIZE + 4))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t key = marks_key(s.p);
        s = slice_from(s, DIGEST_SIZE);
        if (!unpack_u32(&s, &ever) || ever == 0)
            return false;
        /* Two whose heads are the same are one now. */
        struct marks_count *c = marks_counts_get(&m->counts, key);
        c->ever = ever < UINT32_MAX - c->ever ? c->ever + ever : UINT32_MAX;
    }
    return true;
}

int marks_old_read(
    struct marks_store *s, struct marks *m, uint64_t size, bool *good_out, struct err *err)
{
    const size_t head = MARKS_MAGIC_SIZE + 1;
    struct buf octets;
    size_t got = 0;
    *good_out = size <= MARKS_SIZE_MAX;
    if (!*good_out)
        return 0;
    buf_init(&octets, MARKS_SIZE_MAX);
    unsigned char *to = buf_reserve(&octets, (size_t)size);
    *good_out = to != NULL;
    int result = to ? marks_read_at(s->fd, 0, to, (size_t)size, &got, err) : 0;
    if (to && result == 0)
        *good_out = got == size && got > head + SHA256_SIZE &&
                    take_all(slice_make(to + head, got - head - SHA256_SIZE), m);
    buf_fini(&octets);
    return result;
}
