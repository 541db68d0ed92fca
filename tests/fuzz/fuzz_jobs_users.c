/* SPDX-License-Identifier: ISC */
/*
 * A record or a request of the store from any octets: what is read can be written, and is then read
 * as the same.  The first octet says which of both it is.
 *
 * fuzz-sources: imapsync/jobs/request.c imapsync/move/record.c imapsync/journal/pack.c
 */
#include <stdint.h>
#include <stdlib.h>
#include "imapsync/jobs/request.h"
#include "imapsync/move/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void request(struct slice in, struct buf *out)
{
    struct request r;
    if (!request_unpack(in, &r))
        return;
    request_pack(out, &r);
    if (!slice_eq(buf_slice(out), in))
        abort();
}

static void record(struct slice in, struct buf *out)
{
    struct move_record r, same;
    struct buf again;
    if (move_record_unpack(in, true, &r)) {
        move_record_pack(out, &r);
        if (!move_record_unpack(buf_slice(out), true, &same))
            abort();
        buf_init(&again, RECORD_PACKED_MAX);
        move_record_pack(&again, &same);
        if (!slice_eq(buf_slice(out), buf_slice(&again)))
            abort();
        buf_fini(&again);
        move_record_fini(&same);
    }
    move_record_fini(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf out;
    if (size == 0 || size > RECORD_PACKED_MAX / 2)
        return 0;
    buf_init(&out, RECORD_PACKED_MAX);
    struct slice in = slice_make(data + 1, size - 1);
    if (data[0] % 2)
        request(in, &out);
    else
        record(in, &out);
    buf_fini(&out);
    return 0;
}
