/* SPDX-License-Identifier: ISC */
/*
 * mbox_scan: see mbox_scan.h.  Lines pass through a window of the file; what is told of a message
 * is counted and digested on its way through the decoder, so that the file is read only once.
 */
#include "imapsync/ends/mbox_scan.h"

#include <errno.h>
#include <stdlib.h>
#include <sysexits.h>

#include "base/core/mem.h"
#include "base/core/num.h"
#include "imapsync/ends/limits.h"
#include "imapsync/ends/mbox_scan_parts.h"

void mbox_scan_init(
    struct mbox_scan *s, ssize_t (*read_at)(void *arg, uint64_t at, void *to, size_t n), void *arg)
{
    *s = (struct mbox_scan){.read_at = read_at, .arg = arg, .ends_line = true};
}

void mbox_scan_fini(struct mbox_scan *s)
{
    free(s->v);
    keywords_fini(&s->keywords);
    keywords_fini(&s->base_keywords);
    *s = (struct mbox_scan){0};
}

/* --- Lines -------------------------------------------------------------------------------- */

/* The window begins with r->at and has all of a line, if it has room for it. */
static int fill(struct mbox_reading *r)
{
    struct mbox_scan *s = r->s;
    size_t used = (size_t)(r->at - r->window_at);
    memmove(r->window, r->window + used, r->window_n - used);
    r->window_n -= used;
    r->window_at = r->at;
    while (r->window_n < WINDOW && r->window_at + r->window_n < s->size) {
        uint64_t left = s->size - r->window_at - r->window_n;
        size_t room = WINDOW - r->window_n;
        ssize_t got = s->read_at(s->arg, r->window_at + r->window_n, r->window + r->window_n,
            left < room ? (size_t)left : room);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -1 : 0;
        r->window_n += (size_t)got;
    }
    return 0;
}

/* A line, or of a long one a part; empty: the end.  max: of what is wanted. */
static int next(struct mbox_reading *r, uint64_t max, struct slice *out)
{
    for (bool is_filled = false;; is_filled = true) {
        struct slice rest = slice_make(
            r->window + (r->at - r->window_at), r->window_n - (size_t)(r->at - r->window_at));
        ptrdiff_t lf = slice_find(rest, '\n');
        if (lf >= 0 || is_filled || max < rest.n) {
            *out = slice_sub(rest, 0, lf >= 0 ? (size_t)lf + 1 : rest.n);
            if (out->n > max)
                out->n = (size_t)max;
            return 0;
        }
        if (fill(r) != 0)
            return -1;
    }
}

static void take(struct mbox_reading *r, struct slice piece)
{
    r->at += piece.n;
    if (piece.n > 0)
        r->is_line = piece.p[piece.n - 1] == '\n';
}

static struct slice without_end(struct slice line)
{
    if (line.n > 0 && line.p[line.n - 1] == '\n')
        line.n--;
    return line;
}

static bool is_empty(struct slice line)
{
    return slice_eq(line, SLICE_LIT("\n")) || slice_eq(line, SLICE_LIT("\r\n"));
}

/* --- A message ---------------------------------------------------------------------------- */

static void tell(void *arg, struct slice octets)
{
    struct mbox_mail *m = &((struct mbox_reading *)arg)->mail;
    uint64_t h = m->key;
    for (size_t i = 0; i < octets.n; i++)
        h = (h ^ octets.p[i]) * UINT64_C(1099511628211);
    m->key = h;
    m->size += octets.n;
}

static void release(struct mbox_reading *r)
{
    mbox_codec_feed(&r->codec, slice_make(r->held, r->n_held));
    r->n_held = 0;
}

/* A line of it, or a part of one. */
static void feed(struct mbox_reading *r, struct slice piece)
{
    bool holds_all = !r->from.is_ours && !r->is_header && r->is_line && is_empty(piece);
    bool holds_end = r->from.is_ours && piece.p[piece.n - 1] == '\n';
    size_t n = holds_all ? piece.n : holds_end ? 1 : 0;
    release(r);
    mbox_codec_feed(&r->codec, slice_sub(piece, 0, piece.n - n));
    memcpy(r->held, piece.p + piece.n - n, n);
    r->n_held = n;
}

static void begin(
    struct mbox_reading *r, const struct mbox_from *from, bool has_date, struct slice line)
{
    r->mail = (struct mbox_mail){.at = r->at,
        .head = r->at + line.n,
        .key = UINT64_C(14695981039346656037),
        .date_s = has_date ? from->date_s : MBOX_NO_DATE,
        .is_local = from->is_local,
        .style = from->is_ours ? MBOX_OURS : MBOX_QUOTED};
    r->from = *from;
    r->is_begun = r->is_header = true;
    r->is_pseudo = r->has_length = false;
    r->own = 0;
    r->n_held = 0;
    r->field = MBOX_FIELD_NONE;
    mbox_decoder_init(&r->codec, (enum mbox_style)r->mail.style, tell, r);
    take(r, line);
}

static int add(struct mbox_scan *s, const struct mbox_mail *m, struct err *err)
{
    if (s->n == MESSAGES_MAX)
        return err_set(err, ERR_PERM, 0, "more than %d messages", MESSAGES_MAX);
    if (s->n == s->cap) {
        s->cap = s->cap ? s->cap + s->cap / 2 : 64;
        s->v = mem_realloc_array(s->v, s->cap, sizeof(*s->v));
    }
    s->v[s->n++] = *m;
    return 0;
}

/* What comes next begins another one, or is the end. */
static int finish(struct mbox_reading *r, struct err *err)
{
    struct mbox_scan *s = r->s;
    if (!r->is_begun)
        return 0;
    r->is_begun = false;
    r->mail.end = r->mail.style == MBOX_PLAIN ? r->mail.end : r->at - r->n_held;
    r->mail.behind = r->at;
    mbox_codec_end(&r->codec);
    s->has_pseudo |= r->is_pseudo;
    bool is_torn = r->from.is_ours && r->at - r->mail.head - r->own < r->from.octets;
    s->sound = is_torn ? r->mail.at : r->at;
    s->n_torn += is_torn;
    return is_torn || r->is_pseudo ? 0 : add(s, &r->mail, err);
}

/* --- Bodies ------------------------------------------------------------------------------- */

/* Whether a message may end there: the next one follows, or nothing. */
static bool fits(struct mbox_reading *r, uint64_t end)
{
    unsigned char octets[MBOX_FROM_MAX + 3], *p = octets;
    struct mbox_scan *s = r->s;
    struct mbox_from from;
    if (end > s->size)
        return false;
    ssize_t got = s->read_at(s->arg, end - 1, octets,
        s->size - end + 1 < sizeof(octets) ? (size_t)(s->size - end + 1) : sizeof(octets));
    if (got < 1)
        return false;
    struct slice rest = slice_make(p, (size_t)got);
    bool is_line = rest.p[0] == '\n';
    rest = slice_from(rest, 1);
    size_t n = slice_starts(rest, SLICE_LIT("\r\n")) ? 2 : slice_starts(rest, SLICE_LIT("\n"));
    is_line |= n > 0;
    rest = slice_from(rest, n);
    if (rest.n == 0)
        return end + n == s->size;
    ptrdiff_t lf = slice_find(rest, '\n');
    return is_line && lf >= 0 && mbox_from_parse(slice_sub(rest, 0, (size_t)lf), &from);
}

static int counted_body(struct mbox_reading *r)
{
    uint64_t left = r->length;
    struct slice piece;
    r->mail.style = MBOX_PLAIN;
    r->codec.style = MBOX_PLAIN;
    release(r);
    while (left > 0) {
        if (next(r, left, &piece) != 0)
            return -1;
        if (piece.n == 0)
            break;
        mbox_codec_feed(&r->codec, piece);
        take(r, piece);
        left -= piece.n;
    }
    r->mail.end = r->at;
    if (next(r, UINT64_MAX, &piece) != 0)
        return -1;
    if (is_empty(piece))
        take(r, piece);
    r->is_line = true;
    return 0;
}

/* The line that ends the header has been fed. */
static int end_header(struct mbox_reading *r)
{
    mbox_field_finish(r);
    r->is_header = false;
    if (!r->from.is_ours && r->has_length && r->length <= r->s->size - r->at &&
        fits(r, r->at + r->length))
        return counted_body(r);
    return 0;
}

/* --- The file ----------------------------------------------------------------------------- */

static int in_message(struct mbox_reading *r, struct slice piece)
{
    bool ends_header = r->is_header && r->is_line && is_empty(piece);
    if (r->is_header && !ends_header)
        mbox_field_read(r, piece);
    feed(r, piece);
    take(r, piece);
    return ends_header ? end_header(r) : 0;
}

static int one_piece(struct mbox_reading *r, struct slice piece, struct err *err)
{
    struct mbox_from from;
    bool is_from = r->is_line && mbox_from_parse(without_end(piece), &from);
    bool is_first = r->at == 0 || (!r->is_begun && r->s->n == 0 && r->s->sound == 0);
    if (!is_from && is_first && is_empty(piece)) {
        take(r, piece);
        return 0;
    }
    if (!is_from && is_first && !slice_starts(piece, SLICE_LIT("From ")))
        return err_set(
            err, ERR_PERM, EX_DATAERR, "it is no mbox: no message begins its first line");
    if (is_from || is_first) {
        if (r->is_header)
            mbox_field_finish(r);
        if (finish(r, err) != 0)
            return -1;
        begin(r, &from, is_from, piece);
        return 0;
    }
    if (!r->is_begun)
        BUG("behind a body that fits there is a message");
    return in_message(r, piece) == 0 ? 0 : err_sys(err, errno, "cannot read it");
}

int mbox_scan_run(struct mbox_scan *s, uint64_t size, struct err *err)
{
    struct mbox_reading *r = mem_zalloc(sizeof(*r));
    struct slice piece;
    int result = 0;
    s->size = size;
    r->s = s;
    r->is_line = true;
    buf_init(&r->value, FIELD_MAX);
    while (result == 0) {
        if (next(r, UINT64_MAX, &piece) != 0)
            result = err_sys(err, errno, "cannot read it");
        else if (piece.n == 0)
            break;
        else
            result = one_piece(r, piece, err);
    }
    s->ends_line = r->is_line;
    if (result == 0 && r->is_header)
        mbox_field_finish(r);
    if (result == 0 && r->at < size)
        result = err_set(err, ERR_TEMP, EX_TEMPFAIL, "it became shorter while it was read");
    if (result == 0)
        result = finish(r, err);
    buf_fini(&r->value);
    free(r);
    return result;
}
