/* SPDX-License-Identifier: ISC */
/*
 * Modified UTF-7: what decodes has exactly one form, so encoding it again gives the same bytes, and
 * what encodes decodes to itself.
 */
#include <stdint.h>
#include <stdlib.h>
#include "imapsync/ends/utf7.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef int convert_fn(struct slice in, struct buf *out);

static void there_and_back(struct slice in, convert_fn *there, convert_fn *back)
{
    struct buf a, b;
    buf_init(&a, 8 * in.n + 8);
    buf_init(&b, 16 * in.n + 16);
    if (there(in, &a) == 0 && (back(buf_slice(&a), &b) != 0 || !slice_eq(buf_slice(&b), in)))
        abort();
    buf_fini(&a);
    buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_make(data, size);
    there_and_back(in, imap_utf7_decode, imap_utf7_encode);
    there_and_back(in, imap_utf7_encode, imap_utf7_decode);
    return 0;
}
