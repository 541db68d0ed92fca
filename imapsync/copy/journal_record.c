/* SPDX-License-Identifier: ISC */
/*
 * journal_record: see journal_record.h.  Numbers are big-endian, so that keys sort by folder and
 * UID.  A pair takes 67 octets: keywords, which few messages have, are only there when there are
 * any.
 */
#include "imapsync/copy/journal_record.h"

#include <string.h>
#include "base/core/err.h"
#include "imapsync/copy/pack.h"

enum pair_bits {
    BIT_COMPARED = 1,
    BIT_KEYWORDS = 2,
    BIT_DIGEST = 4,
    BIT_CANON = 8,
    BIT_TOUCHED = 16,
    BIT_REMOVED = 32,
    BIT_MARKED = 64, /* since version 6 */
    BITS_ALL = 127
};
enum refs_kind { REFS_UIDS = 1, REFS_PAIR = 2, REFS_BOTH = 3 };

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

static void add(struct buf *out, struct slice s)
{
    BUG_ON(buf_add(out, s) != 0);
}

/* --- Keys -------------------------------------------------------------------------------- */

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

void record_key_folder(struct buf *out, uint32_t folder)
{
    start(out, 'f');
    pack_u32(out, folder);
}

void record_key_name(struct buf *out, int side, struct slice name)
{
    start(out, 'n');
    pack_u8(out, (uint8_t)side);
    add(out, name);
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
    add(out, slice_make(name_digest, RECORD_DIGEST_KEY));
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
    add(out, slice_make(digest, RECORD_DIGEST_KEY));
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

/* --- Values ------------------------------------------------------------------------------- */

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
    add(out, i->uids);
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
    add(out, slice_make(digest, SHA256_SIZE));
    if (canon_is_known(canon))
        add(out, slice_make(canon, CANON_SIZE));
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

static void add_pair(struct buf *out, const struct record_pair *p, int key_side)
{
    pack_u8(out, (uint8_t)p->state);
    pack_u8(out,
        (uint8_t)((p->is_compared ? BIT_COMPARED : 0) | (p->is_touched ? BIT_TOUCHED : 0) |
                  (p->is_removed ? BIT_REMOVED : 0) | (p->is_marked ? BIT_MARKED : 0) |
                  (has_keywords(&p->flags) ? BIT_KEYWORDS : 0) | (p->has_digest ? BIT_DIGEST : 0) |
                  (p->has_digest && canon_is_known(&p->canon) ? BIT_CANON : 0)));
    pack_u8(out, p->flags.system);
    pack_u32(out, p->uid[key_side == SIDE_A ? SIDE_B : SIDE_A]);
    pack_u32(out, p->size);
    if (p->state == PAIR_SENT)
        pack_u32(out, p->since);
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
        !unpack_u8(&s, &bits) || (bits & ~BITS_ALL) != 0 || !unpack_u8(&s, &out->flags.system) ||
        !unpack_u32(&s, other) || !unpack_u32(&s, &out->size))
        return false;
    out->state = (enum pair_state)state;
    if ((out->state == PAIR_STORED) != (*other != 0))
        return false;
    if (out->state == PAIR_SENT && !unpack_u32(&s, &out->since))
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
    add(out, uids);
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
