/* SPDX-License-Identifier: ISC */
/* imap_token: a version, three numbers of 4 octets and one of 8, big-endian. */
#include "imapsync/ends/imap_token.h"

#include "base/core/err.h"

#define VERSION 1
#define SIZE 21

static void put(struct buf *b, uint64_t v, size_t size)
{
    for (size_t i = size; i-- > 0;)
        BUG_ON(buf_add_byte(b, (unsigned char)(v >> 8 * i)) != 0);
}

static uint64_t take(struct slice s, size_t at, size_t size)
{
    uint64_t v = 0;
    for (size_t i = 0; i < size; i++)
        v = v << 8 | s.p[at + i];
    return v;
}

void imap_token_pack(struct buf *out, const struct imap_token *t)
{
    buf_clear(out);
    if (t->uidvalidity == 0 || t->uidnext == 0)
        return;
    put(out, VERSION, 1);
    put(out, t->uidvalidity, 4);
    put(out, t->uidnext, 4);
    put(out, t->exists, 4);
    put(out, t->modseq, 8);
}

bool imap_token_unpack(struct slice s, struct imap_token *out)
{
    *out = (struct imap_token){0};
    if (s.n != SIZE || s.p[0] != VERSION)
        return false;
    struct imap_token t = {.uidvalidity = (uint32_t)take(s, 1, 4),
        .uidnext = (uint32_t)take(s, 5, 4),
        .exists = (uint32_t)take(s, 9, 4),
        .modseq = take(s, 13, 8)};
    if (t.uidvalidity == 0 || t.uidnext == 0)
        return false;
    *out = t;
    return true;
}

bool imap_token_is_same(const struct imap_token *t, const struct folder *f)
{
    const unsigned all =
        FOLDER_HAS_MESSAGES | FOLDER_HAS_UIDNEXT | FOLDER_HAS_UIDVALIDITY | FOLDER_HAS_MODSEQ;
    return (f->has & all) == all && t->modseq != 0 && t->uidvalidity == f->uidvalidity &&
           t->uidnext == f->uidnext && t->exists == f->messages && t->modseq == f->modseq;
}
