/* SPDX-License-Identifier: ISC */
/*
 * maildir_open: telling what is in a folder.
 *
 * What has changed since a token is found by reading all names, which is little: so with a token
 * all messages are told, with their flags, and dates and sizes only of those that are new.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/core/num.h"
#include "imapsync/ends/maildir_parts.h"

#define SETTLE_MS 250 /* how long others may hinder a look that is sure */

/* --- Messages ----------------------------------------------------------------------------- */

/* Bits of the keywords of this copy by letter; -1: none. */
struct bits {
    int of[MAILDIR_KEYWORDS];
};

static void bits_init(const struct maildir_folder *f, struct keywords *k, struct bits *b)
{
    for (size_t i = 0; i < MAILDIR_KEYWORDS; i++)
        b->of[i] = f->keywords[i] ? keywords_bit(k, slice_str(f->keywords[i])) : -1;
}

static size_t tell_flags(struct slice letters, const struct bits *b, struct flags *out)
{
    uint32_t keywords = maildir_letters_keywords(letters);
    size_t lost = 0;
    *out = (struct flags){.system = maildir_letters_system(letters)};
    for (unsigned i = 0; i < MAILDIR_KEYWORDS; i++) {
        if (!(keywords >> i & 1))
            continue;
        if (b->of[i] < 0)
            lost++;
        else
            out->keywords[b->of[i] / 64] |= UINT64_C(1) << (b->of[i] % 64);
    }
    return lost;
}

/* false: it is not there any more under this name, so it may not be told as the whole. */
static bool tell_one(const struct maildir_folder *f, const struct maildir_file *v, unsigned want,
    const struct bits *b, struct end_changes *out)
{
    struct listed m = {.uid = v->uid};
    struct maildir_name parts;
    struct stat st;
    uint64_t size;
    if (!maildir_name_split(slice_str(maildir_file_name(f, v)), &parts))
        return false;
    if (want & END_WANT_FLAGS) {
        out->flags_lost += tell_flags(parts.letters, b, &m.flags);
        m.has_flags = true;
    }
    if (want & (END_WANT_DATES | END_WANT_SIZES)) {
        if (fstatat(v->is_new ? f->new : f->cur, maildir_file_name(f, v), &st,
                AT_SYMLINK_NOFOLLOW) != 0)
            return false;
        if (!maildir_base_number(parts.base, 'W', &size))
            size = (uint64_t)st.st_size;
        m.date_s = st.st_mtim.tv_sec;
        m.has_date = true;
        m.size = size < UINT32_MAX ? (uint32_t)size : UINT32_MAX;
        m.has_size = true;
    }
    if (want & END_WANT_IDS) {
        const struct uidlist_row *row = uidlist_find(&f->list, parts.base);
        end_changes_add_id(out, v->uid, row ? uidlist_id(row) : parts.base);
    }
    return end_changes_add(out, &m);
}

/* --- Opening ------------------------------------------------------------------------------ */

static int tell_header(
    const struct maildir_folder *f, const struct end_open *o, struct end_changes *out)
{
    out->uidvalidity = f->list.validity;
    out->uidnext = f->list.next;
    out->exists = (uint32_t)f->n;
    out->is_sure = f->is_sure;
    if (o->is_for_writing)
        out->storable = FLAG_ANSWERED | FLAG_DELETED | FLAG_DRAFT | FLAG_FLAGGED | FLAG_SEEN;
    out->takes_keywords = o->is_for_writing;
    int r = disk_token_pack(
        &(struct disk_token){f->list.validity, f->list.next, f->state}, &out->token);
    return r == 0 ? buf_add(&out->folder_id, f->list.guid) : -1;
}

static bool tell_uids(const struct maildir_folder *f, struct end_changes *out)
{
    for (size_t i = 0; i < f->n; i++) {
        if (!end_changes_add_uids(out, (struct uid_range){f->v[i].uid, f->v[i].uid}))
            return false;
    }
    out->is_brief = true;
    return true;
}

/* Of what is known since a token only flags may have changed.  A file that was taken away and put
 * back is not known, and has its old UID.  false: one was renamed or removed meanwhile. */
static bool tell_messages(const struct maildir_folder *f, const struct end_open *o,
    const struct uid_set *known, struct end_changes *out)
{
    struct bits b;
    bits_init(f, out->keywords, &b);
    for (size_t i = 0; i < f->n; i++) {
        uint32_t uid = f->v[i].uid;
        unsigned want =
            known && uid_set_has(known, uid) ? o->want & (END_WANT_FLAGS | END_WANT_IDS) : o->want;
        if (uid >= o->from && !tell_one(f, &f->v[i], want, &b, out))
            return false;
    }
    return true;
}

static enum disk_step tell(struct maildir_end *e, struct disk_request *r, struct err *err)
{
    const struct maildir_folder *f = &e->open;
    const struct end_open *o = &r->open;
    struct end_changes *out = r->changes;
    struct disk_token t = {0};
    bool has_token = disk_token_unpack(buf_slice(&r->token), &t);
    bool is_other = o->uidvalidity != 0 && o->uidvalidity != f->list.validity;
    if (disk_open_check(r, f->list.validity, err) != DISK_DONE)
        return DISK_NO;
    if (tell_header(f, o, out) != 0)
        BUG("a token is short");
    if (o->is_only_opened)
        return DISK_DONE;
    has_token &= !is_other && t.validity == f->list.validity && t.next <= f->list.next;
    struct end_open how = *o;
    if (buf_slice(&r->token).n > 0 || o->from == 0)
        how.from = 1;
    out->is_whole = how.from <= 1;
    bool is_told = o->is_brief && !has_token && out->is_whole
                       ? tell_uids(f, out)
                       : tell_messages(f, &how, has_token ? &r->known : NULL, out);
    if (!is_told) {
        disk_untell(out);
        return DISK_AGAIN;
    }
    end_changes_finish(out);
    if (out->is_whole && out->is_sure)
        end_changes_miss(out, &r->known);
    return DISK_DONE;
}

enum disk_step maildir_open(struct disk_end *d, struct disk_request *r, struct err *err)
{
    struct maildir_end *e = maildir_end_of(d);
    uint64_t now = clock_mono_ms();
    d->is_opened = false;
    d->is_for_writing = r->open.is_for_writing;
    bool settles = !r->open.is_only_opened && (r->since_ms == 0 || now - r->since_ms < SETTLE_MS);
    enum disk_step step = maildir_folder_load(&e->m, r->name, settles, &e->open, err);
    if (step == DISK_DONE)
        step = tell(e, r, err);
    d->is_opened = step == DISK_DONE;
    return step;
}

/* --- Attributes --------------------------------------------------------------------------- */

enum disk_step maildir_attributes(struct disk_end *d, struct disk_request *r, struct err *err)
{
    struct maildir_end *e = maildir_end_of(d);
    struct bits b;
    (void)err;
    bits_init(&e->open, r->changes->keywords, &b);
    for (size_t i = 0; i < r->n; i++) {
        struct maildir_file *v = maildir_file_find(&e->open, r->uids[i]);
        if (v && !tell_one(&e->open, v, r->want, &b, r->changes) &&
            maildir_refind(e, r, r->uids[i], &v))
            (void)tell_one(&e->open, v, r->want, &b, r->changes);
    }
    end_changes_finish(r->changes);
    return DISK_DONE;
}
