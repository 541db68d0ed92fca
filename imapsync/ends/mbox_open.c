/* SPDX-License-Identifier: ISC */
/*
 * mbox_open: telling what is in a folder.  All of the file has been read: with a token too all
 * messages are told.
 */
#include "base/core/clock.h"
#include "imapsync/ends/mbox_parts.h"

#define SETTLE_MS 250 /* how long others may hinder a look that is sure */

/* Bits of the keywords of this copy by those of the file; -1: none. */
struct bits {
    int of[KEYWORDS_MAX];
    size_t n;
};

static void bits_init(const struct mbox_folder *f, struct keywords *k, struct bits *b)
{
    b->n = f->scan.keywords.n;
    for (size_t i = 0; i < b->n; i++)
        b->of[i] = keywords_bit(k, slice_str(f->scan.keywords.names[i]));
}

static size_t tell_flags(const struct flags *in, const struct bits *b, struct flags *out)
{
    size_t lost = 0;
    *out = (struct flags){.system = in->system};
    for (size_t i = 0; i < b->n; i++) {
        if (!(in->keywords[i / 64] >> (i % 64) & 1))
            continue;
        if (b->of[i] < 0)
            lost++;
        else
            out->keywords[b->of[i] / 64] |= UINT64_C(1) << (b->of[i] % 64);
    }
    return lost;
}

static bool tell_one(
    const struct mbox_mail *m, unsigned want, const struct bits *b, struct end_changes *out)
{
    struct listed l = {.uid = m->uid};
    if (want & END_WANT_FLAGS) {
        out->flags_lost += tell_flags(&m->flags, b, &l.flags);
        l.has_flags = true;
    }
    if (want & (END_WANT_DATES | END_WANT_SIZES)) {
        l.has_date = m->date_s != MBOX_NO_DATE;
        l.date_s = l.has_date ? m->date_s : 0;
        l.size = m->size < UINT32_MAX ? (uint32_t)m->size : UINT32_MAX;
        l.has_size = true;
    }
    return end_changes_add(out, &l);
}

static int tell_header(
    const struct mbox_folder *f, const struct end_open *o, struct end_changes *out)
{
    out->uidvalidity = f->list.validity;
    out->uidnext = f->list.next;
    out->exists = (uint32_t)f->scan.n;
    out->is_sure = true;
    out->flags_lost += f->scan.keywords_lost;
    if (o->is_for_writing)
        out->storable = FLAG_ANSWERED | FLAG_DELETED | FLAG_DRAFT | FLAG_FLAGGED | FLAG_SEEN;
    out->takes_keywords = o->is_for_writing;
    return disk_token_pack(
        &(struct disk_token){f->list.validity, f->list.next, f->state}, &out->token);
}

static void tell_messages(
    const struct mbox_folder *f, const struct end_open *o, uint32_t from, struct end_changes *out)
{
    struct bits b;
    bits_init(f, out->keywords, &b);
    for (size_t i = 0; i < f->scan.n; i++) {
        const struct mbox_mail *m = &f->scan.v[f->order[i].at];
        bool is = m->uid < from ||
                  (o->is_brief ? end_changes_add_uids(out, (struct uid_range){m->uid, m->uid})
                               : tell_one(m, o->want, &b, out));
        if (!is)
            BUG("a scan has its own bound");
    }
}

static enum disk_step tell(struct mbox_end *e, struct disk_request *r, struct err *err)
{
    const struct mbox_folder *f = &e->open;
    const struct end_open *o = &r->open;
    struct end_changes *out = r->changes;
    struct disk_token t = {0};
    struct end_open how = *o;
    if (disk_open_check(r, f->list.validity, err) != DISK_DONE)
        return DISK_NO;
    if (tell_header(f, o, out) != 0)
        BUG("a token is short");
    if (o->is_only_opened)
        return DISK_DONE;
    bool has_token = disk_token_unpack(buf_slice(&r->token), &t) &&
                     (o->uidvalidity == 0 || o->uidvalidity == f->list.validity) &&
                     t.validity == f->list.validity && t.next <= f->list.next;
    uint32_t from = buf_slice(&r->token).n > 0 || o->from == 0 ? 1 : o->from;
    out->is_whole = from <= 1;
    how.is_brief = o->is_brief && !has_token && out->is_whole;
    out->is_brief = how.is_brief;
    tell_messages(f, &how, from, out);
    end_changes_finish(out);
    if (out->is_whole)
        end_changes_miss(out, &r->known);
    return DISK_DONE;
}

enum disk_step mbox_open(struct disk_end *d, struct disk_request *r, struct err *err)
{
    struct mbox_end *e = mbox_end_of(d);
    uint64_t now = clock_mono_ms();
    d->is_opened = false;
    d->is_for_writing = r->open.is_for_writing;
    bool settles = !r->open.is_only_opened && (r->since_ms == 0 || now - r->since_ms < SETTLE_MS);
    enum disk_step step = mbox_folder_load(e, r->name, settles, &e->open, err);
    if (step == DISK_DONE)
        step = tell(e, r, err);
    d->is_opened = step == DISK_DONE;
    e->validity = e->open.list.validity;
    return step;
}

enum disk_step mbox_attributes(struct disk_end *d, struct disk_request *r, struct err *err)
{
    const struct mbox_folder *f = &mbox_end_of(d)->open;
    struct bits b;
    (void)err;
    bits_init(f, r->changes->keywords, &b);
    for (size_t i = 0; i < r->n; i++) {
        const struct mbox_mail *m = mbox_mail_find(f, r->uids[i]);
        if (m && !tell_one(m, r->want, &b, r->changes))
            break;
    }
    end_changes_finish(r->changes);
    return DISK_DONE;
}
