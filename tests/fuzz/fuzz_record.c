/* SPDX-License-Identifier: ISC */
/* fuzz_record: any bytes as a record.  What is read is written back as the same bytes. */
#include <stdint.h>
#include <stdlib.h>
#include "maps/route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct route_entry e;
    if (record_decode(slice_make(data, size), &e) != 0)
        return 0;
    struct buf out;
    buf_init(&out, ROUTE_RECORD_MAX);
    bool has_notes = data[1] & 0x08;
    if (record_encode(&e, has_notes, &out) != 0 ||
        !slice_eq(buf_slice(&out), slice_make(data, size)))
        abort();
    buf_fini(&out);
    return 0;
}
