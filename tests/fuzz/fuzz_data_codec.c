/* SPDX-License-Identifier: ISC */
/*
 * The data codec against a naive model, whole and cut at places that the input chooses:
 * decode(x) is canonical and equals the model's, decode(encode(x) + end) == x for canonical x.
 * The first byte of the input is the length of the pieces.
 */
#include <stdint.h>
#include <stdlib.h>
#include "relay/data_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The model: one byte after the other, with the whole text at hand. */
static size_t model(const uint8_t *in, size_t n, struct buf *out, unsigned *faults, bool *ended)
{
    bool at_crlf = true;
    size_t i = 0;

    *ended = false;
    while (i < n) {
        size_t end = i;
        if (at_crlf && in[i] == '.') {
            if (i + 1 == n || (i + 2 == n && in[i + 1] == '\r'))
                return n;
            if (in[i + 1] == '\r' && in[i + 2] == '\n') {
                *ended = true;
                return i + 3;
            }
            end = ++i;
        }
        while (end < n && in[end] != '\n')
            end++;
        for (; i < end; i++) {
            if (in[i] == '\0')
                *faults |= DATA_NUL;
            if (in[i] == '\r' && i + 1 < end)
                *faults |= DATA_BARE_CR;
            else if (in[i] != '\r' && buf_add_byte(out, in[i]) != 0)
                abort();
        }
        if (end == n)
            return n;
        at_crlf = end > 0 && in[end - 1] == '\r';
        if (!at_crlf)
            *faults |= DATA_BARE_LF;
        if (buf_add_str(out, "\r\n") != 0)
            abort();
        i = end + 1;
    }
    return n;
}

static size_t decode(
    const uint8_t *in, size_t n, size_t step, struct buf *out, unsigned *faults, enum parse *result)
{
    struct data_decoder d;
    size_t at = 0;

    data_decoder_init(&d);
    *result = PARSE_MORE;
    while (at < n && *result == PARSE_MORE) {
        size_t used = 0;
        *result = data_decode(&d, slice_sub(slice_make(in + at, n - at), 0, step), &used, out);
        if (*result == PARSE_BAD || used == 0)
            abort();
        at += used;
    }
    *faults = d.faults;
    return at;
}

static void check_canonical(struct slice s, unsigned faults)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\n' && (i == 0 || s.p[i - 1] != '\r'))
            abort();
        if (s.p[i] == '\r' && i + 1 < s.n && s.p[i + 1] != '\n')
            abort();
        if (s.p[i] == '\0' && (faults & DATA_NUL) == 0)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf want, got, wire;
    struct data_encoder e;
    unsigned want_faults = 0, faults = 0;
    enum parse result;
    bool ended;
    size_t step, used, max = 4 * size + 64;

    if (size < 2)
        return 0;
    step = data[0] == 0 ? size : data[0];
    data++;
    size--;
    buf_init(&want, max);
    buf_init(&got, max);
    buf_init(&wire, max);

    used = model(data, size, &want, &want_faults, &ended);
    if (decode(data, size, step, &got, &faults, &result) != used || (result == PARSE_DONE) != ended)
        abort();
    /* At an open end the model looks back where the decoder has to wait. */
    if (ended && (faults != want_faults || !slice_eq(buf_slice(&want), buf_slice(&got))))
        abort();
    check_canonical(buf_slice(&got), faults);

    if (ended) {
        struct slice text = buf_slice(&want);
        data_encoder_init(&e);
        for (size_t i = 0; i < text.n; i += step)
            if (data_encode(&e, slice_sub(text, i, step), &wire) != 0)
                abort();
        if (buf_add_str(&wire, ".\r\n") != 0)
            abort();
        buf_clear(&got);
        used = wire.n;
        if (decode(wire.p + wire.off, wire.n, step, &got, &faults, &result) != used ||
            result != PARSE_DONE || !slice_eq(buf_slice(&got), text))
            abort();
        if (faults & (DATA_BARE_CR | DATA_BARE_LF))
            abort();
    }
    buf_fini(&want);
    buf_fini(&got);
    buf_fini(&wire);
    return 0;
}
