/* SPDX-License-Identifier: ISC */
/*
 * fuzz_record: any bytes as a record.  What is read is written back as the same bytes, a record of
 * version 1 as one of today that says the same.  Lists come apart into parts that are not empty.
 */
#include <stdint.h>
#include <stdlib.h>
#include "maps/route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define V1_NOTES 0x08
#define V2_NOTES 0x40

static void check_list(struct slice list)
{
    size_t n = 0;
    struct slice rest = list, part;
    while (route_list_next(&rest, &part)) {
        n++;
        if (part.n == 0 || slice_find(part, '\n') >= 0)
            abort();
    }
    if (n != route_list_count(list))
        abort();
}

static bool is_same(const struct route_entry *a, const struct route_entry *b)
{
    return a->kind == b->kind && a->state == b->state && a->is_tombstone == b->is_tombstone &&
           a->epoch == b->epoch && a->when_s == b->when_s && slice_eq(a->route, b->route) &&
           slice_eq(a->deliver_as, b->deliver_as) && slice_eq(a->hold_owner, b->hold_owner) &&
           slice_eq(a->hold_request, b->hold_request) &&
           a->hold_deadline_ms == b->hold_deadline_ms && slice_eq(a->note, b->note) &&
           slice_eq(a->who, b->who) && b->targets.n == 0 && b->owner.n == 0 && b->senders.n == 0 &&
           b->reply_code == 0 && b->reply_text.n == 0 && b->also.n == 0 && b->until_s == 0 &&
           b->source.n == 0 && b->moved_by.n == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct route_entry e, again;
    if (record_decode(slice_make(data, size), &e) != 0)
        return 0;
    struct buf out;
    buf_init(&out, ROUTE_RECORD_MAX);
    bool is_old = data[0] == 1;
    bool has_notes = data[1] & (is_old ? V1_NOTES : V2_NOTES);
    if (record_encode(&e, has_notes, &out) != 0)
        abort();
    if (is_old
            ? record_decode(buf_slice(&out), &again) != 0 || !is_same(&e, &again) || out.p[0] != 2
            : !slice_eq(buf_slice(&out), slice_make(data, size)))
        abort();
    check_list(e.targets);
    check_list(e.senders);
    buf_fini(&out);
    return 0;
}
