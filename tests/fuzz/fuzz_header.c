/* SPDX-License-Identifier: ISC */
/*
 * A header block is found at the same place in pieces, and its fields lie within it.
 */
#include <stdint.h>
#include <stdlib.h>
#include "base/mail/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_make(data, size), rest = text;
    size_t scanned = 0, pieces = 0, n = 0, whole = header_end(text, &scanned);
    struct header_field f;

    scanned = 0;
    for (size_t i = 0; i <= size && pieces == 0; i++)
        pieces = header_end(slice_sub(text, 0, i), &scanned);
    if (whole != pieces || whole > size)
        abort();
    while (header_next(&rest, &f)) {
        n++;
        if (f.name.n == 0 || f.name.p < data || f.value.p + f.value.n > data + size)
            abort();
    }
    if (header_count(text, SLICE_LIT("received"), SIZE_MAX) > n)
        abort();
    return 0;
}
