/* SPDX-License-Identifier: ISC */
/*
 * marks_pack: changes of marks as octets.  Each entry says what is so from now on, never what has
 * to be added, so that making them twice does no harm:
 *
 *   F  name, UIDVALIDITY, highest     the entries that follow are about this folder; what it had
 *                                     under another UIDVALIDITY is gone
 *   R  the same                       and what it had under this one as well: it was restored
 *   P  UID                            its pair is known
 *   B  number, bits                   the same of many
 *   C  key, number                    so many messages with this content there ever were
 *   X                                 a flip: all folders before are gone
 *   M  name, UIDVALIDITY, UID, UIDs   a folder of the flip with what is owed; and as F
 */
#include <stdlib.h>

#include "base/core/mem.h"
#include "imapsync/journal/pack.h"
#include "imapsync/move/marks.h"

static struct buf *changes(struct marks *m)
{
    if (m->changes.max == 0)
        buf_init(&m->changes, MARKS_SIZE_MAX);
    return &m->changes;
}

struct slice marks_changes(const struct marks *m)
{
    return buf_slice(&m->changes);
}

void marks_changes_done(struct marks *m)
{
    buf_fini(&m->changes);
    m->changes = (struct buf){0};
    m->changes_name = NULL;
}

static void pack_look(struct buf *out, uint8_t kind, const struct marks_folder *f)
{
    pack_u8(out, kind);
    pack_bytes(out, f->name);
    pack_u32(out, f->uidvalidity);
    pack_u32(out, f->uid);
}

static void pack_mark(struct buf *out, const struct marks_folder *f)
{
    pack_u8(out, 'M');
    pack_bytes(out, f->name);
    pack_u32(out, f->uidvalidity);
    pack_u32(out, f->uid);
    pack_u32(out, (uint32_t)f->n_owed);
    for (size_t i = 0; i < f->n_owed; i++)
        pack_u32(out, f->owed[i]);
}

void marks_note_place(struct marks *m, const struct marks_folder *f, uint32_t uid)
{
    struct buf *out = changes(m);
    if (m->changes_name != f->name.p || m->changes_uidvalidity != f->uidvalidity)
        pack_look(out, 'F', f);
    m->changes_name = f->name.p;
    m->changes_uidvalidity = f->uidvalidity;
    pack_u8(out, 'P');
    pack_u32(out, uid);
}

void marks_note_restored(struct marks *m, const struct marks_folder *f)
{
    pack_look(changes(m), 'R', f);
    m->changes_name = f->name.p;
    m->changes_uidvalidity = f->uidvalidity;
}

void marks_note_count(struct marks *m, const struct marks_count *c)
{
    struct buf *out = changes(m);
    pack_u8(out, 'C');
    pack_u64(out, c->key);
    pack_u32(out, c->ever);
}

void marks_note_flip(struct marks *m)
{
    struct buf *out = changes(m);
    pack_u8(out, 'X');
    marks_pack_folders(m, out);
    m->changes_name = NULL;
}

void marks_pack_folders(const struct marks *m, struct buf *out)
{
    for (size_t i = 0; i < m->n_folders; i++) {
        const struct marks_folder *f = &m->folders[i];
        if (f->has_mark)
            pack_mark(out, f);
        else
            pack_look(out, 'F', f);
        for (size_t k = 0; k < f->places.n; k++) {
            pack_u8(out, 'B');
            pack_u32(out, f->places.v[k].number);
            for (size_t w = 0; w < MARKS_BLOCK_WORDS; w++)
                pack_u64(out, f->places.v[k].bits[w]);
        }
    }
}

/* --- And back --------------------------------------------------------------------------------- */

static bool apply_look(struct marks *m, struct slice *s, bool is_restored, struct marks_folder **f)
{
    struct marks_look at = {.is_restored = is_restored};
    if (!unpack_bytes(s, &at.name) || !unpack_u32(s, &at.uidvalidity) ||
        !unpack_u32(s, &at.highest))
        return false;
    *f = marks_folder_now(m, &at);
    return *f != NULL;
}

bool marks_take_mark(struct slice *s, struct marks *m, struct slice name, uint32_t uidvalidity,
    uint32_t uid, uint32_t n)
{
    if (n > s->n / 4)
        return false;
    uint32_t *owed = mem_realloc_array(NULL, (size_t)n + 1, sizeof(*owed));
    bool is_good = true;
    for (uint32_t i = 0; is_good && i < n; i++)
        is_good = unpack_u32(s, &owed[i]) && owed[i] <= uid && (i == 0 || owed[i] > owed[i - 1]);
    is_good = is_good && !marks_find(m, name) &&
              marks_folder_add(m, name, uidvalidity, uid, owed, n) == 0;
    free(owed);
    return is_good;
}

static bool apply_mark(struct marks *m, struct slice *s, struct marks_folder **f)
{
    struct slice name;
    uint32_t uidvalidity, uid, n;
    if (!unpack_bytes(s, &name) || !unpack_u32(s, &uidvalidity) || !unpack_u32(s, &uid) ||
        !unpack_u32(s, &n))
        return false;
    bool is_good = marks_take_mark(s, m, name, uidvalidity, uid, n);
    *f = is_good ? marks_find(m, name) : NULL;
    return is_good;
}

static bool apply_place(struct slice *s, struct marks_folder *f)
{
    uint32_t uid;
    if (!f || !unpack_u32(s, &uid) || uid == 0)
        return false;
    marks_take_place(f, uid);
    return true;
}

static bool apply_block(struct slice *s, struct marks_folder *f)
{
    uint32_t number;
    if (!f || !unpack_u32(s, &number) || number > UINT32_MAX / (64 * MARKS_BLOCK_WORDS))
        return false;
    struct marks_block *b = marks_uids_block(&f->places, number);
    for (size_t w = 0; w < MARKS_BLOCK_WORDS; w++) {
        uint64_t bits;
        if (!unpack_u64(s, &bits))
            return false;
        b->bits[w] |= bits;
    }
    return true;
}

static bool apply_count(struct marks *m, struct slice *s)
{
    uint64_t key;
    uint32_t n;
    if (!unpack_u64(s, &key) || !unpack_u32(s, &n) || n == 0)
        return false;
    marks_counts_get(&m->counts, key)->ever = n;
    return true;
}

bool marks_apply(struct marks *m, struct slice s)
{
    struct marks_folder *f = NULL;
    uint8_t kind;
    bool is_good = true;
    while (is_good && unpack_u8(&s, &kind)) {
        switch (kind) {
        case 'F':
        case 'R':
            is_good = apply_look(m, &s, kind == 'R', &f);
            break;
        case 'M':
            is_good = apply_mark(m, &s, &f);
            break;
        case 'P':
            is_good = apply_place(&s, f);
            break;
        case 'B':
            is_good = apply_block(&s, f);
            break;
        case 'C':
            is_good = apply_count(m, &s);
            break;
        case 'X':
            marks_drop_folders(m);
            m->is_anew = false;
            f = NULL;
            break;
        default:
            is_good = false;
        }
    }
    return is_good;
}
