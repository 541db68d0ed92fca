/* SPDX-License-Identifier: ISC */
/*
 * Records of the change log: what decodes encodes to the same bytes.
 */
#include <stdint.h>
#include <stdlib.h>
#include "maps/store/history.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct history_record record = {0};
    struct buf out;

    buf_init(&out, size + 64);
    if (history_decode(slice_make(data, size), &record) == 0 &&
        (history_encode(&record, &out) != 0 || !slice_eq(buf_slice(&out), slice_make(data, size))))
        abort();
    buf_fini(&out);
    return 0;
}
