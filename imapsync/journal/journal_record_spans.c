/* SPDX-License-Identifier: ISC */
/*
 * journal_record_spans: which UIDs have pairs, see journal_record.h.  Neighbours mostly have the
 * same, so that it is kept as runs, two octets each: what they have in the upper four bits, then
 * how many more than one they are.  A folder from which nothing was removed has a run or two.
 */
#include "imapsync/journal/journal_record.h"

#include <string.h>
#include "imapsync/journal/pack.h"

#define LENGTH_BITS 12

static size_t run_length(const struct record_span *span, size_t at)
{
    size_t n = 1;
    while (at + n < span->n && span->of[at + n] == span->of[at])
        n++;
    return n;
}

void record_pack_span(struct buf *out, const struct record_span *span)
{
    buf_clear(out);
    for (size_t at = 0, n; at < span->n; at += n) {
        n = run_length(span, at);
        unsigned run = (unsigned)span->of[at] << LENGTH_BITS | (unsigned)(n - 1);
        pack_u8(out, (uint8_t)(run >> 8));
        pack_u8(out, (uint8_t)run);
    }
}

static bool makes_sense(uint8_t what)
{
    unsigned state = what & SPAN_STATE;
    return state == 0 || (state > PAIR_STORED && state <= PAIR_LOST);
}

bool record_unpack_span(struct slice s, struct record_span *out)
{
    uint8_t high, low, last = 0;
    memset(out, 0, sizeof(*out));
    while (s.n > 0) {
        if (!unpack_u8(&s, &high) || !unpack_u8(&s, &low))
            return false;
        unsigned run = (unsigned)high << 8 | low;
        uint8_t what = (uint8_t)(run >> LENGTH_BITS);
        size_t n = (run & ((1U << LENGTH_BITS) - 1)) + 1;
        if (!makes_sense(what) || (out->n > 0 && what == last) || n > SPAN_UIDS - out->n)
            return false;
        memset(out->of + out->n, what, n);
        out->n += n;
        last = what;
    }
    return last != 0;
}

uint8_t record_span_get(const struct record_span *span, size_t at)
{
    return at < span->n ? span->of[at] : 0;
}

bool record_span_set(struct record_span *span, size_t at, uint8_t what)
{
    if (record_span_get(span, at) == what)
        return false;
    span->of[at] = what;
    if (at >= span->n)
        span->n = at + 1;
    while (span->n > 0 && span->of[span->n - 1] == 0)
        span->n--;
    return true;
}
