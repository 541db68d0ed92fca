/* SPDX-License-Identifier: ISC */
/* out: see out.h. */
#include "imapsync/imap/out.h"

#include <string.h>

#include "base/core/err.h"

void imap_out_init(struct imap_out *o)
{
    *o = (struct imap_out){0};
    buf_init(&o->bytes, IMAP_OUT_MAX);
}

void imap_out_fini(struct imap_out *o)
{
    buf_fini_wipe(&o->bytes);
}

bool imap_out_is_full(const struct imap_out *o)
{
    return o->is_overrun || o->bytes.n >= IMAP_OUT_FULL || o->n_waits >= IMAP_WAITS_FULL;
}

void imap_out_add(struct imap_out *o, struct slice s)
{
    if (!o->is_overrun && buf_add(&o->bytes, s) != 0)
        o->is_overrun = true;
}

void imap_out_addf(struct imap_out *o, const char *fmt, va_list ap)
{
    if (!o->is_overrun && buf_vaddf(&o->bytes, fmt, ap) != 0)
        o->is_overrun = true;
}

void imap_out_wait(struct imap_out *o, uint32_t tag)
{
    if (o->n_waits == IMAP_WAITS_MAX)
        o->is_overrun = true;
    if (!o->is_overrun)
        o->waits[o->n_waits++] = (struct imap_wait){.at = imap_out_end(o), .tag = tag};
}

uint64_t imap_out_end(const struct imap_out *o)
{
    return o->base + o->bytes.n;
}

struct slice imap_out_ready(const struct imap_out *o)
{
    struct slice s = buf_slice(&o->bytes);
    if (o->is_overrun)
        return SLICE_NONE;
    if (o->n_waits > 0 && o->waits[0].at - o->base < s.n)
        s.n = (size_t)(o->waits[0].at - o->base);
    return s;
}

void imap_out_sent(struct imap_out *o, size_t n)
{
    buf_consume(&o->bytes, n);
    o->base += n;
}

bool imap_out_is_held(const struct imap_out *o)
{
    return o->n_waits > 0 && o->waits[0].at == o->base;
}

bool imap_out_has_waits(const struct imap_out *o, uint32_t tag)
{
    for (size_t i = 0; i < o->n_waits; i++) {
        if (o->waits[i].tag == tag)
            return true;
    }
    return false;
}

void imap_out_go_on(struct imap_out *o)
{
    BUG_ON(!imap_out_is_held(o));
    o->n_waits--;
    memmove(&o->waits[0], &o->waits[1], o->n_waits * sizeof(o->waits[0]));
}

bool imap_out_cut(struct imap_out *o, uint32_t tag, uint64_t to, struct imap_cut *out)
{
    size_t i = 0, kept = 0;
    while (i < o->n_waits && o->waits[i].tag != tag)
        i++;
    if (i == o->n_waits)
        return false;
    *out = (struct imap_cut){.from = o->waits[i].at, .n = to - o->waits[i].at};
    size_t at = (size_t)(out->from - o->base), n = (size_t)out->n;
    unsigned char *p = o->bytes.p + o->bytes.off;
    memmove(p + at, p + at + n, o->bytes.n - at - n);
    buf_truncate(&o->bytes, o->bytes.n - n);
    for (i = 0; i < o->n_waits; i++) {
        struct imap_wait w = o->waits[i];
        if (w.tag == tag)
            continue;
        if (w.at > out->from)
            w.at -= out->n;
        o->waits[kept++] = w;
    }
    o->n_waits = kept;
    return true;
}
