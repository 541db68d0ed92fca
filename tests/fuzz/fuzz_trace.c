/* SPDX-License-Identifier: ISC */
/*
 * fuzz_trace: any header with one true stamp above it and one below.  The one above is always
 * found, and nothing is found that was not stamped.
 */
#include <stdint.h>
#include <stdlib.h>
#include "maps/trace.h"

#define NOW 1800000000
#define STAMPS_MAX 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct trace_keys *keys;
    static const char text[] = "k 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    struct err err = ERR_INIT;
    if (!keys && trace_keys_parse(slice_str(text), &keys, &err) != 0)
        abort();
    struct trace_keys *fuzzed = NULL;
    if (trace_keys_parse(slice_make(data, size), &fuzzed, &err) == 0)
        trace_keys_free(&fuzzed);

    struct trace_rcpt rcpt = {SLICE_LIT("a@b"), 7};
    struct decide_stamp stamps[STAMPS_MAX];
    struct buf header;
    if (size > 100000)
        return 0;
    buf_init(&header, 200000);
    if (trace_stamp(keys, &rcpt, 1, SLICE_LIT("s1"), NOW, &header) != 0 ||
        buf_add(&header, slice_make(data, size)) != 0 ||
        trace_stamp(keys, &rcpt, 1, SLICE_LIT("s2"), NOW - 1, &header) != 0)
        abort();
    struct slice all = buf_slice(&header);
    size_t n = trace_find(keys, all, rcpt.key, NOW, stamps, STAMPS_MAX);
    /* Bytes that begin with a blank go on in the first field and may spoil it. */
    bool is_apart = size == 0 || (data[0] != ' ' && data[0] != '\t');
    if (n > 2 || (is_apart && n == 0))
        abort();
    for (size_t i = 0; i < n; i++) {
        struct slice s = stamps[i].server;
        if (s.p < all.p || s.p + s.n > all.p + all.n || stamps[i].epoch != 7 ||
            stamps[i].time_s < NOW - 1)
            abort();
    }
    if (trace_find(keys, all, SLICE_LIT("other@b"), NOW, stamps, STAMPS_MAX) != 0)
        abort();
    buf_fini(&header);
    return 0;
}
