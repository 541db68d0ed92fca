/* SPDX-License-Identifier: ISC */
/*
 * data_codec: between the wire form and the canonical form of content (RFC 5321 4.5.2).
 *
 * Both functions copy whole runs, found with memchr(3); only the bytes at line ends are looked at
 * one by one.  They are the place where mail could be smuggled, so they are small, share nothing,
 * and a differential fuzz target holds them against a naive model.
 */
#include "relay/data_codec.h"

#include <stdint.h>

void data_decoder_init(struct data_decoder *d)
{
    *d = (struct data_decoder){.state = DATA_LINE};
}

/* Writes into room that was reserved, so it cannot fail. */
struct sink {
    unsigned char *p;
    size_t n;
};

static void put(struct sink *s, const void *p, size_t n)
{
    memcpy(s->p + s->n, p, n);
    s->n += n;
}

/* The rest of a line: up to its LF, or to the end of the input.  Returns how many bytes it took. */
static size_t decode_text(struct data_decoder *d, struct slice in, struct sink *out)
{
    const unsigned char *lf = memchr(in.p, '\n', in.n);
    size_t n = lf ? (size_t)(lf - in.p) : in.n;
    const unsigned char *cr = memchr(in.p, '\r', n);

    if (!cr) {
        put(out, in.p, n);
        if (!lf)
            return n;
        d->faults |= DATA_BARE_LF;
        put(out, "\r\n", 2);
        d->state = DATA_LINE_LF;
        return n + 1;
    }
    n = (size_t)(cr - in.p);
    put(out, in.p, n);
    d->state = DATA_CR;
    return n + 1;
}

enum parse data_decode(struct data_decoder *d, struct slice in, size_t *used_out, struct buf *out)
{
    enum parse result = PARSE_MORE;
    struct sink sink = {.p = NULL};
    size_t i = 0;

    *used_out = 0;
    /* Each byte gives two at most (LF), and one more may be held back from before (CR). */
    sink.p = in.n <= (SIZE_MAX - 1) / 2 ? buf_reserve(out, 2 * in.n + 1) : NULL;
    if (!sink.p)
        return PARSE_BAD;
    while (i < in.n && result == PARSE_MORE) {
        unsigned char c = in.p[i];
        switch (d->state) {
        case DATA_LINE:
            if (c == '.') {
                d->state = DATA_DOT;
                i++;
                break;
            }
            d->state = DATA_TEXT;
            break;
        case DATA_LINE_LF:
            d->state = DATA_TEXT;
            break;
        case DATA_TEXT:
            i += decode_text(d, slice_from(in, i), &sink);
            break;
        case DATA_CR:
            if (c == '\n') {
                put(&sink, "\r\n", 2);
                d->state = DATA_LINE;
                i++;
                break;
            }
            d->faults |= DATA_BARE_CR;
            d->state = DATA_TEXT;
            break;
        case DATA_DOT:
            if (c == '\r') {
                d->state = DATA_DOT_CR;
                i++;
                break;
            }
            d->state = DATA_TEXT; /* the dot was an extra one */
            break;
        case DATA_DOT_CR:
            if (c == '\n') {
                result = PARSE_DONE;
                i++;
                break;
            }
            d->faults |= DATA_BARE_CR;
            d->state = DATA_TEXT;
            break;
        case DATA_STATES:
            return PARSE_BAD;
        }
    }
    if (memchr(in.p, '\0', i))
        d->faults |= DATA_NUL;
    buf_commit(out, sink.n);
    *used_out = i;
    return result;
}

void data_encoder_init(struct data_encoder *e)
{
    e->is_inside_line = false;
}

int data_encode(struct data_encoder *e, struct slice in, struct buf *out)
{
    size_t from = 0, i = 0;
    struct sink sink = {.p = NULL};

    if (in.n == 0)
        return 0;
    /* Room is asked for once: a dot is doubled in at most every second byte, behind its LF. */
    sink.p = in.n <= SIZE_MAX / 2 ? buf_reserve(out, in.n + in.n / 2 + 1) : NULL;
    if (!sink.p)
        return -1;
    while (i < in.n) {
        const unsigned char *lf;
        if (!e->is_inside_line && in.p[i] == '.') {
            put(&sink, in.p + from, i - from);
            put(&sink, ".", 1);
            from = i;
        }
        lf = memchr(in.p + i, '\n', in.n - i);
        e->is_inside_line = lf == NULL;
        i = lf ? (size_t)(lf - in.p) + 1 : in.n;
    }
    put(&sink, in.p + from, in.n - from);
    buf_commit(out, sink.n);
    return 0;
}
