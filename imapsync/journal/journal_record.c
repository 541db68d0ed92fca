/* SPDX-License-Identifier: ISC */
/* journal_record: see journal_record.h; keys and pairs are in files of their own. */
#include "imapsync/journal/journal_record.h"

#include "imapsync/journal/pack.h"

void record_pack_version(struct buf *out, const struct record_version *v)
{
    buf_clear(out);
    pack_u8(out, v->version);
    pack_bytes(out, v->name[SIDE_A]);
    pack_bytes(out, v->name[SIDE_B]);
    pack_u8(out, v->is_complete);
}

bool record_unpack_version(struct slice s, struct record_version *out)
{
    uint8_t is_complete;
    *out = (struct record_version){0};
    if (!unpack_u8(&s, &out->version))
        return false;
    /* What follows in a later version is not ours to judge. */
    if (out->version < RECORD_VERSION_READ || out->version > RECORD_VERSION)
        return true;
    if (!unpack_bytes(&s, &out->name[SIDE_A]) || !unpack_bytes(&s, &out->name[SIDE_B]) ||
        !unpack_u8(&s, &is_complete) || is_complete > 1 || s.n > 0)
        return false;
    out->is_complete = is_complete;
    return true;
}

void record_pack_last(struct buf *out, uint32_t folder, uint64_t intent)
{
    buf_clear(out);
    pack_u32(out, folder);
    pack_u64(out, intent);
}

bool record_unpack_last(struct slice s, uint32_t *folder_out, uint64_t *intent_out)
{
    return unpack_u32(&s, folder_out) && unpack_u64(&s, intent_out) && s.n == 0;
}

void record_pack_way(struct buf *out, int from, bool is_through)
{
    buf_clear(out);
    pack_u8(out, (uint8_t)from);
    pack_u8(out, is_through);
}

bool record_unpack_way(struct slice s, int *from_out, bool *is_through_out)
{
    uint8_t from, is_through;
    if (!unpack_u8(&s, &from) || from >= SIDES || !unpack_u8(&s, &is_through) || is_through > 1 ||
        s.n != 0)
        return false;
    *from_out = from;
    *is_through_out = is_through != 0;
    return true;
}

void record_pack_folder(struct buf *out, const struct record_folder *f)
{
    buf_clear(out);
    for (int i = 0; i < SIDES; i++) {
        pack_bytes(out, f->end[i].name);
        pack_bytes(out, f->end[i].mailboxid);
        pack_u32(out, f->end[i].uidvalidity);
        pack_bytes(out, f->end[i].token);
    }
    for (int i = 0; i < SIDES; i++) {
        pack_u8(out, f->end[i].is_restored);
        pack_u32(out, f->end[i].numbers.uidvalidity);
        pack_u32(out, f->end[i].numbers.uidnext);
        pack_u64(out, f->end[i].numbers.modseq);
    }
}

bool record_unpack_folder(struct slice s, struct record_folder *out)
{
    *out = (struct record_folder){0};
    for (int i = 0; i < SIDES; i++) {
        struct record_end *e = &out->end[i];
        if (!unpack_bytes(&s, &e->name) || !unpack_bytes(&s, &e->mailboxid) ||
            !unpack_u32(&s, &e->uidvalidity) || !unpack_bytes(&s, &e->token) ||
            e->token.n > RECORD_TOKEN_MAX)
            return false;
    }
    /* Before version 6. */
    if (s.n == 0)
        return true;
    for (int i = 0; i < SIDES; i++) {
        struct record_end *e = &out->end[i];
        uint8_t is_restored;
        if (!unpack_u8(&s, &is_restored) || is_restored > 1 ||
            !unpack_u32(&s, &e->numbers.uidvalidity) || !unpack_u32(&s, &e->numbers.uidnext) ||
            !unpack_u64(&s, &e->numbers.modseq))
            return false;
        e->is_restored = is_restored;
    }
    return s.n == 0;
}

void record_pack_compared(struct buf *out, const struct record_compared *c)
{
    buf_clear(out);
    pack_u8(out, c->from);
    for (int i = SIDE_A; i < SIDES; i++) {
        pack_u32(out, c->seen[i].uidvalidity);
        pack_u32(out, c->seen[i].uidnext);
        pack_u32(out, c->seen[i].messages);
        pack_u32(out, c->seen[i].highest);
    }
    pack_u32(out, c->gone);
    pack_u32(out, c->extra);
}

bool record_unpack_compared(struct slice s, struct record_compared *out)
{
    *out = (struct record_compared){0};
    if (!unpack_u8(&s, &out->from) || out->from >= SIDES)
        return false;
    for (int i = SIDE_A; i < SIDES; i++) {
        struct record_seen *e = &out->seen[i];
        if (!unpack_u32(&s, &e->uidvalidity) || !unpack_u32(&s, &e->uidnext) ||
            !unpack_u32(&s, &e->messages) || !unpack_u32(&s, &e->highest))
            return false;
    }
    return unpack_u32(&s, &out->gone) && unpack_u32(&s, &out->extra) && s.n == 0;
}

void record_pack_keywords(struct buf *out, const struct keywords *k)
{
    buf_clear(out);
    for (size_t i = 0; i < k->n; i++)
        pack_bytes(out, slice_str(k->names[i]));
}

bool record_unpack_keywords(struct slice s, struct keywords *out)
{
    struct slice name;
    while (s.n > 0) {
        /* The place of a name is its bit: one that is there twice would shift the others. */
        const size_t place = out->n;
        if (!unpack_bytes(&s, &name) || keywords_bit(out, name) != (int)place)
            return false;
    }
    return true;
}

void record_pack_id(struct buf *out, uint32_t id)
{
    buf_clear(out);
    pack_u32(out, id);
}

bool record_unpack_id(struct slice s, uint32_t *out)
{
    return unpack_u32(&s, out) && s.n == 0;
}

static void pack_flags(struct buf *out, const struct flags *f)
{
    pack_u8(out, f->system);
    for (size_t i = 0; i < FLAGS_WORDS; i++)
        pack_u64(out, f->keywords[i]);
}

static bool unpack_flags(struct slice *s, struct flags *out)
{
    bool is_there = unpack_u8(s, &out->system);
    for (size_t i = 0; is_there && i < FLAGS_WORDS; i++) {
        uint64_t word = 0;
        is_there = unpack_u64(s, &word);
        out->keywords[i] = word;
    }
    return is_there;
}

void record_pack_intent(struct buf *out, const struct record_intent *i)
{
    buf_clear(out);
    pack_u8(out, (uint8_t)i->kind);
    pack_u8(out, i->to);
    pack_u64(out, (uint64_t)i->time_ms);
    pack_u32(out, i->uidnext);
    if (i->kind == INTENT_FLAGS) {
        pack_flags(out, &i->add);
        pack_flags(out, &i->remove);
    }
    if (i->kind == INTENT_MOVE)
        pack_u32(out, i->folder);
    pack_rest(out, i->uids);
}

bool record_unpack_intent(struct slice s, struct record_intent *out)
{
    uint8_t kind;
    uint64_t time;
    *out = (struct record_intent){0};
    if (!unpack_u8(&s, &kind) || kind < INTENT_APPEND || kind > INTENT_MOVE ||
        !unpack_u8(&s, &out->to) || out->to >= SIDES || !unpack_u64(&s, &time) ||
        !unpack_u32(&s, &out->uidnext))
        return false;
    if (kind == INTENT_FLAGS && (!unpack_flags(&s, &out->add) || !unpack_flags(&s, &out->remove)))
        return false;
    if (kind == INTENT_MOVE && !unpack_u32(&s, &out->folder))
        return false;
    if (s.n % (kind == INTENT_MOVE ? 8 : 4) != 0)
        return false;
    out->kind = (enum intent_kind)kind;
    out->time_ms = (int64_t)time;
    out->uids = s;
    return true;
}
