/* SPDX-License-Identifier: ISC */
/*
 * journal_record_pairs: what is known of single messages, see journal_record.h.  A pair takes 67
 * octets: keywords, which few messages have, are only there when there are any.
 */
#include "imapsync/journal/journal_record.h"

#include <string.h>
#include "imapsync/journal/pack.h"

enum pair_bits {
    BIT_COMPARED = 1,
    BIT_KEYWORDS = 2,
    BIT_DIGEST = 4,
    BIT_CANON = 8,
    BIT_TOUCHED = 16,
    BIT_REMOVED = 32,
    BIT_MARKED = 64, /* since version 6 */
    BIT_TOLD = 128,  /* since version 9 */
};
enum refs_kind { REFS_UIDS = 1, REFS_PAIR = 2, REFS_BOTH = 3 };

static bool has_keywords(const struct flags *f)
{
    bool has = false;
    for (size_t i = 0; i < FLAGS_WORDS; i++)
        has = has || f->keywords[i] != 0;
    return has;
}

static void add_keywords(struct buf *out, const struct flags *f)
{
    for (size_t i = 0; i < FLAGS_WORDS && has_keywords(f); i++)
        pack_u64(out, f->keywords[i]);
}

static bool take_keywords(struct slice *s, struct flags *out)
{
    for (size_t i = 0; i < FLAGS_WORDS; i++) {
        uint64_t word;
        if (!unpack_u64(s, &word))
            return false;
        out->keywords[i] = word;
    }
    return true;
}

static void add_digests(
    struct buf *out, const unsigned char digest[SHA256_SIZE], const struct canon *canon)
{
    pack_rest(out, slice_make(digest, SHA256_SIZE));
    if (canon_is_known(canon))
        pack_rest(out, slice_make(canon, CANON_SIZE));
}

static bool take_octets(struct slice *s, void *out, size_t n)
{
    if (s->n < n)
        return false;
    memcpy(out, s->p, n);
    *s = slice_from(*s, n);
    return true;
}

void record_add_sent(struct buf *out, const struct record_sent *s)
{
    pack_u32(out, s->uid);
    pack_u32(out, s->size);
    pack_u8(out, (uint8_t)((has_keywords(&s->flags) ? BIT_KEYWORDS : 0) |
                           (canon_is_known(&s->canon) ? BIT_CANON : 0)));
    pack_u8(out, s->flags.system);
    add_keywords(out, &s->flags);
    add_digests(out, s->digest, &s->canon);
}

bool record_next_sent(struct slice *rest, struct record_sent *out)
{
    uint8_t bits;
    *out = (struct record_sent){0};
    return unpack_u32(rest, &out->uid) && out->uid > 0 && unpack_u32(rest, &out->size) &&
           unpack_u8(rest, &bits) && (bits & ~(BIT_KEYWORDS | BIT_CANON)) == 0 &&
           unpack_u8(rest, &out->flags.system) &&
           (!(bits & BIT_KEYWORDS) || take_keywords(rest, &out->flags)) &&
           take_octets(rest, out->digest, SHA256_SIZE) &&
           (!(bits & BIT_CANON) || take_octets(rest, &out->canon, CANON_SIZE));
}

static bool has_told(const struct record_pair *p)
{
    return p->state == PAIR_SENT && p->told != 0;
}

static void add_pair(struct buf *out, const struct record_pair *p, int key_side)
{
    pack_u8(out, (uint8_t)p->state);
    pack_u8(
        out, (uint8_t)((p->is_compared ? BIT_COMPARED : 0) | (p->is_touched ? BIT_TOUCHED : 0) |
                       (p->is_removed ? BIT_REMOVED : 0) | (p->is_marked ? BIT_MARKED : 0) |
                       (has_told(p) ? BIT_TOLD : 0) | (has_keywords(&p->flags) ? BIT_KEYWORDS : 0) |
                       (p->has_digest ? BIT_DIGEST : 0) |
                       (p->has_digest && canon_is_known(&p->canon) ? BIT_CANON : 0)));
    pack_u8(out, p->flags.system);
    pack_u32(out, p->uid[key_side == SIDE_A ? SIDE_B : SIDE_A]);
    pack_u32(out, p->size);
    if (p->state == PAIR_SENT)
        pack_u32(out, p->since);
    if (has_told(p))
        pack_u32(out, p->told);
    add_keywords(out, &p->flags);
    if (p->has_digest)
        add_digests(out, p->digest, &p->canon);
}

void record_pack_pair(struct buf *out, const struct record_pair *p, int key_side)
{
    buf_clear(out);
    add_pair(out, p, key_side);
}

bool record_unpack_pair(struct slice s, int key_side, uint32_t key_uid, struct record_pair *out)
{
    uint8_t state, bits;
    uint32_t *other = &out->uid[key_side == SIDE_A ? SIDE_B : SIDE_A];
    *out = (struct record_pair){0};
    out->uid[key_side] = key_uid;
    if (key_uid == 0 || !unpack_u8(&s, &state) || state < PAIR_STORED || state > PAIR_LOST ||
        !unpack_u8(&s, &bits) || !unpack_u8(&s, &out->flags.system) || !unpack_u32(&s, other) ||
        !unpack_u32(&s, &out->size))
        return false;
    out->state = (enum pair_state)state;
    if ((out->state == PAIR_STORED) != (*other != 0))
        return false;
    if (out->state == PAIR_SENT && !unpack_u32(&s, &out->since))
        return false;
    if (bits & BIT_TOLD &&
        (out->state != PAIR_SENT || !unpack_u32(&s, &out->told) || out->told == 0))
        return false;
    if (bits & BIT_KEYWORDS && !take_keywords(&s, &out->flags))
        return false;
    out->is_compared = bits & BIT_COMPARED;
    out->is_touched = bits & BIT_TOUCHED;
    out->is_removed = bits & BIT_REMOVED;
    out->is_marked = bits & BIT_MARKED;
    out->has_digest = bits & BIT_DIGEST;
    if (out->has_digest && !take_octets(&s, out->digest, SHA256_SIZE))
        return false;
    if (bits & BIT_CANON && (!out->has_digest || !take_octets(&s, &out->canon, CANON_SIZE)))
        return false;
    return s.n == 0;
}

void record_pack_refs(struct buf *out, struct slice uids)
{
    buf_clear(out);
    pack_u8(out, REFS_UIDS);
    pack_rest(out, uids);
}

void record_pack_alone(struct buf *out, const struct record_pair *p, struct slice uids)
{
    buf_clear(out);
    pack_u8(out, uids.n > 0 ? REFS_BOTH : REFS_PAIR);
    if (uids.n > 0)
        pack_bytes(out, uids);
    add_pair(out, p, SIDE_B);
}

bool record_unpack_refs(struct slice s, uint32_t uid, bool *is_pair_out, struct record_pair *out,
    struct slice *uids_out)
{
    uint8_t kind;
    *uids_out = SLICE_NONE;
    if (!unpack_u8(&s, &kind))
        return false;
    *is_pair_out = kind == REFS_PAIR || kind == REFS_BOTH;
    if (kind == REFS_BOTH &&
        (!unpack_bytes(&s, uids_out) || uids_out->n % 4 != 0 || uids_out->n == 0))
        return false;
    if (*is_pair_out)
        return record_unpack_pair(s, SIDE_B, uid, out) && out->uid[SIDE_A] == 0;
    *uids_out = s;
    return kind == REFS_UIDS && s.n % 4 == 0 && s.n > 0;
}

/* --- Packed UIDs ---------------------------------------------------------------------------- */

bool record_next_uid(struct slice *uids, uint32_t *out)
{
    return unpack_u32(uids, out);
}

bool record_has_uid(struct slice uids, uint32_t uid)
{
    uint32_t x;
    while (unpack_u32(&uids, &x)) {
        if (x == uid)
            return true;
    }
    return false;
}

void record_add_uid(struct buf *uids, uint32_t uid)
{
    if (!record_has_uid(buf_slice(uids), uid))
        pack_u32(uids, uid);
}

void record_drop_uid(struct buf *uids, uint32_t uid)
{
    struct slice rest = buf_slice(uids);
    struct buf kept;
    uint32_t x;
    buf_init(&kept, uids->max);
    while (unpack_u32(&rest, &x)) {
        if (x != uid)
            pack_u32(&kept, x);
    }
    buf_fini(uids);
    *uids = kept;
}
