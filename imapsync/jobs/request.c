/* SPDX-License-Identifier: ISC */
/* request: see request.h. */
#include "imapsync/jobs/request.h"

#include <string.h>

#include "imapsync/journal/pack.h"

#define PACK_VERSION 1
#define HAS_PERCENT 1
#define IS_ASIDE 2

void request_pack(struct buf *out, const struct request *r)
{
    buf_clear(out);
    pack_u8(out, PACK_VERSION);
    pack_u8(out, (uint8_t)r->kind);
    pack_u8(
        out, (uint8_t)((r->has_delete_percent ? HAS_PERCENT : 0) | (r->is_aside ? IS_ASIDE : 0)));
    pack_u8(out, (uint8_t)r->delete_percent);
    pack_u32(out, r->accept);
    pack_u64(out, (uint64_t)r->asked_ms);
    pack_u64(out, (uint64_t)r->due_ms);
    pack_u32(out, r->failures);
    pack_u32(out, r->deaths);
    pack_bytes(out, slice_str(r->to));
    pack_bytes(out, slice_str(r->why));
}

static bool unpack_text(struct slice *s, char *out, size_t size)
{
    struct slice text;
    if (!unpack_bytes(s, &text) || text.n >= size || slice_find(text, '\0') >= 0)
        return false;
    memcpy(out, text.p, text.n);
    return true;
}

bool request_unpack(struct slice s, struct request *out)
{
    uint8_t version, kind, bits, percent;
    uint64_t asked, due;
    *out = (struct request){0};
    if (!unpack_u8(&s, &version) || version != PACK_VERSION || !unpack_u8(&s, &kind) ||
        kind >= REQUEST_KINDS || !unpack_u8(&s, &bits) || bits > (HAS_PERCENT | IS_ASIDE) ||
        !unpack_u8(&s, &percent) || percent > 100 || !unpack_u32(&s, &out->accept) ||
        !unpack_u64(&s, &asked) || !unpack_u64(&s, &due) || !unpack_u32(&s, &out->failures) ||
        !unpack_u32(&s, &out->deaths) || !unpack_text(&s, out->to, sizeof(out->to)) ||
        !unpack_text(&s, out->why, sizeof(out->why)))
        return false;
    out->kind = (enum request_kind)kind;
    out->has_delete_percent = (bits & HAS_PERCENT) != 0;
    out->is_aside = (bits & IS_ASIDE) != 0;
    out->delete_percent = percent;
    out->asked_ms = (int64_t)asked;
    out->due_ms = (int64_t)due;
    return s.n == 0;
}
