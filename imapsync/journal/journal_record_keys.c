/* SPDX-License-Identifier: ISC */
/*
 * journal_record_keys: the keys of the records, see journal_record.h.  Numbers are big-endian, so
 * that keys sort by folder and UID.
 */
#include "imapsync/journal/journal_record.h"

#include "imapsync/journal/pack.h"

static void start(struct buf *out, char kind)
{
    buf_clear(out);
    pack_u8(out, (uint8_t)kind);
}

static bool take_kind(struct slice *key, char kind)
{
    uint8_t got;
    return unpack_u8(key, &got) && got == (uint8_t)kind;
}

void record_key_version(struct buf *out)
{
    start(out, 'v');
}

void record_key_last(struct buf *out)
{
    start(out, 'l');
}

void record_key_way(struct buf *out)
{
    start(out, 'w');
}

void record_key_alone(struct buf *out)
{
    start(out, 'a');
}

void record_key_folder(struct buf *out, uint32_t folder)
{
    start(out, 'f');
    pack_u32(out, folder);
}

void record_key_name(struct buf *out, int side, struct slice name)
{
    start(out, 'n');
    pack_u8(out, (uint8_t)side);
    pack_rest(out, name);
}

void record_key_compared(struct buf *out, uint32_t folder)
{
    start(out, 'c');
    pack_u32(out, folder);
}

void record_key_shown(
    struct buf *out, int side, const unsigned char *name_digest, uint32_t uidvalidity, uint32_t uid)
{
    start(out, 'o');
    pack_u8(out, (uint8_t)side);
    pack_rest(out, slice_make(name_digest, RECORD_DIGEST_KEY));
    pack_u32(out, uidvalidity);
    pack_u32(out, uid);
}

void record_key_keywords(struct buf *out, uint32_t folder)
{
    start(out, 'k');
    pack_u32(out, folder);
}

void record_key_intent(struct buf *out, uint32_t folder, uint64_t id)
{
    start(out, 'i');
    pack_u32(out, folder);
    pack_u64(out, id);
}

void record_key_sent(struct buf *out, uint32_t folder, uint64_t id)
{
    start(out, 's');
    pack_u32(out, folder);
    pack_u64(out, id);
}

void record_key_span(struct buf *out, uint32_t folder, int side, uint32_t number)
{
    start(out, 'p');
    pack_u32(out, folder);
    pack_u8(out, (uint8_t)side);
    pack_u32(out, number);
}

void record_key_uid(struct buf *out, uint32_t folder, uint32_t uid)
{
    buf_clear(out);
    pack_u32(out, folder);
    pack_u32(out, uid);
}

void record_key_digest(
    struct buf *out, const unsigned char *digest, uint32_t folder, const uint32_t uid[SIDES])
{
    buf_clear(out);
    pack_rest(out, slice_make(digest, RECORD_DIGEST_KEY));
    pack_u32(out, folder);
    pack_u32(out, uid[SIDE_A]);
    pack_u32(out, uid[SIDE_B]);
}

bool record_is_folder(struct slice key, uint32_t *folder_out)
{
    return take_kind(&key, 'f') && unpack_u32(&key, folder_out) && key.n == 0;
}

bool record_is_intent(struct slice key, uint32_t *folder_out, uint64_t *id_out)
{
    return take_kind(&key, 'i') && unpack_u32(&key, folder_out) && unpack_u64(&key, id_out) &&
           key.n == 0;
}

bool record_is_span(struct slice key, uint32_t *folder_out, int *side_out, uint32_t *number_out)
{
    uint8_t side;
    if (!take_kind(&key, 'p') || !unpack_u32(&key, folder_out) || !unpack_u8(&key, &side) ||
        side >= SIDES || !unpack_u32(&key, number_out) || *number_out > UINT32_MAX / SPAN_UIDS)
        return false;
    *side_out = side;
    return key.n == 0;
}

bool record_is_uid(struct slice key, uint32_t *folder_out, uint32_t *uid_out)
{
    return unpack_u32(&key, folder_out) && unpack_u32(&key, uid_out) && key.n == 0;
}

bool record_is_digest(
    struct slice key, struct slice *prefix_out, uint32_t *folder_out, uint32_t uid_out[SIDES])
{
    if (key.n < RECORD_DIGEST_KEY)
        return false;
    *prefix_out = slice_sub(key, 0, RECORD_DIGEST_KEY);
    key = slice_from(key, RECORD_DIGEST_KEY);
    return unpack_u32(&key, folder_out) && unpack_u32(&key, &uid_out[SIDE_A]) &&
           unpack_u32(&key, &uid_out[SIDE_B]) && key.n == 0;
}
