/* SPDX-License-Identifier: ISC */
/*
 * A token of the IMAP end out of a journal: whatever is unpacked is packed to the same octets.
 *
 * fuzz-sources: imapsync/ends/imap_token.c
 */
#include <stdint.h>
#include <stdlib.h>
#include "imapsync/ends/imap_token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_make(data, size);
    struct imap_token t;
    struct buf out;
    if (!imap_token_unpack(in, &t))
        return 0;
    buf_init(&out, 256);
    imap_token_pack(&out, &t);
    if (!slice_eq(buf_slice(&out), in))
        abort();
    buf_fini(&out);
    return 0;
}
