/* SPDX-License-Identifier: ISC */
/*
 * disk_token: the token of an end on a disk is what is_same() needs: UIDVALIDITY, UIDNEXT and a
 * digest of the times of the files, which was taken when nothing could change any more without
 * being seen.
 */
#include "base/core/num.h"
#include "imapsync/ends/disk.h"

bool disk_token_unpack(struct slice text, struct disk_token *out)
{
    struct slice word[3];
    for (size_t i = 0; i < 3; i++) {
        if (!slice_split(&text, ' ', &word[i]))
            return false;
    }
    return !text.p && num_u32(word[0], 1, UINT32_MAX, &out->validity) == 0 &&
           num_u32(word[1], 1, UINT32_MAX, &out->next) == 0 &&
           num_u64(word[2], 0, UINT64_MAX, &out->state) == 0;
}

int disk_token_pack(const struct disk_token *t, struct buf *out)
{
    return buf_addf(out, "%u %u %llu", t->validity, t->next, (unsigned long long)t->state);
}

bool disk_token_is_same(const struct end *e, const struct folder *f, struct slice token)
{
    const unsigned all = FOLDER_HAS_UIDVALIDITY | FOLDER_HAS_UIDNEXT | FOLDER_HAS_MODSEQ;
    struct disk_token t;
    (void)e;
    return (f->has & all) == all && disk_token_unpack(token, &t) && t.state != 0 &&
           t.state == f->modseq && t.validity == f->uidvalidity && t.next == f->uidnext;
}

void disk_state_add(uint64_t *state, uint64_t v)
{
    uint64_t h = *state ? *state : UINT64_C(14695981039346656037);
    for (int i = 0; i < 8; i++, v >>= 8)
        h = (h ^ (v & 0xff)) * UINT64_C(1099511628211);
    *state = h ? h : 1;
}

void disk_state_add_stat(uint64_t *state, const struct stat *st)
{
    disk_state_add(state, (uint64_t)st->st_ino);
    disk_state_add(state, (uint64_t)st->st_mtim.tv_sec);
    disk_state_add(state, (uint64_t)st->st_mtim.tv_nsec);
}

void disk_untell(struct end_changes *out)
{
    end_changes_clear(out);
    buf_clear(&out->token);
    buf_clear(&out->folder_id);
    out->flags_lost = 0;
}
