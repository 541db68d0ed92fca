/* SPDX-License-Identifier: ISC */
/* journal_record_items: an item as octets and back, see journal_record.h. */
#include "imapsync/journal/journal_record.h"

#include "imapsync/journal/pack.h"

#define HAS_DATE 1u

void record_key_item(
    struct buf *out, int side, const unsigned char *name_digest, uint32_t uid, uint8_t code)
{
    buf_clear(out);
    pack_u8(out, 't');
    pack_u8(out, (uint8_t)side);
    pack_rest(out, slice_make(name_digest, RECORD_DIGEST_KEY));
    pack_u32(out, uid);
    pack_u8(out, code);
}

bool record_is_item(struct slice key, int *side_out)
{
    uint8_t kind, side;
    if (!unpack_u8(&key, &kind) || kind != 't' || !unpack_u8(&key, &side) || side >= SIDES)
        return false;
    *side_out = side;
    return key.n == RECORD_DIGEST_KEY + 4 + 1;
}

void record_pack_item(struct buf *out, const struct item *i)
{
    buf_clear(out);
    pack_u8(out, (uint8_t)i->code);
    pack_u8(out, (uint8_t)i->state);
    pack_bytes(out, i->folder);
    pack_u32(out, i->uid);
    pack_u32(out, i->uidvalidity);
    pack_u64(out, (uint64_t)i->since_ms);
    pack_u64(out, (uint64_t)i->seen_ms);
    pack_u64(out, (uint64_t)i->due_ms);
    pack_u32(out, i->tries);
    pack_u64(out, i->n);
    pack_u8(out, i->has_date ? HAS_DATE : 0);
    pack_u64(out, (uint64_t)i->date_s);
    pack_u32(out, i->size);
    pack_bytes(out, i->words);
    pack_bytes(out, i->by);
    pack_bytes(out, i->why);
    pack_u64(out, (uint64_t)i->by_ms);
}

static bool unpack_time(struct slice *s, int64_t *out)
{
    uint64_t v;
    if (!unpack_u64(s, &v))
        return false;
    *out = (int64_t)v;
    return true;
}

bool record_unpack_item(struct slice s, struct item *out)
{
    uint8_t code, state, has;
    *out = (struct item){0};
    if (!unpack_u8(&s, &code) || code == ITEM_NONE || code >= ITEM_CODES ||
        !unpack_u8(&s, &state) || state < ITEM_OPEN || state > ITEM_GONE ||
        !unpack_bytes(&s, &out->folder) || !unpack_u32(&s, &out->uid) ||
        !unpack_u32(&s, &out->uidvalidity) || !unpack_time(&s, &out->since_ms) ||
        !unpack_time(&s, &out->seen_ms) || !unpack_time(&s, &out->due_ms) ||
        !unpack_u32(&s, &out->tries) || !unpack_u64(&s, &out->n) || !unpack_u8(&s, &has) ||
        has > HAS_DATE || !unpack_time(&s, &out->date_s) || !unpack_u32(&s, &out->size) ||
        !unpack_bytes(&s, &out->words) || !unpack_bytes(&s, &out->by) ||
        !unpack_bytes(&s, &out->why) || !unpack_time(&s, &out->by_ms) || s.n > 0)
        return false;
    out->code = (enum item_code)code;
    out->state = (enum item_state)state;
    out->has_date = has & HAS_DATE;
    return true;
}
