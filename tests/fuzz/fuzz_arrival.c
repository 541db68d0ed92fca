/* SPDX-License-Identifier: ISC */
/*
 * Dates of header fields: whatever is read can be written as IMAP writes it, and reads back as the
 * same; what is believed lies between 1970 and tomorrow.
 */
#include <stdint.h>
#include <stdlib.h>
#include "imapsync/ends/arrival.h"
#include "imapsync/ends/date.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int64_t s, int16_t zone_min)
{
    struct buf text;
    int64_t again;
    int16_t zone_again;
    buf_init(&text, 64);
    if (date_format(s, zone_min, &text) != 0)
        abort();
    /* Its own zone may take a date out of the years of four digits. */
    bool has_four = s > INT64_C(-62167000000) && s < INT64_C(253402200000);
    if (has_four && (!date_parse(buf_slice(&text), &again, &zone_again) || again != s ||
                        zone_again != zone_min))
        abort();
    buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const int64_t now_s = 1790000000;
    struct slice in = slice_make(data, size);
    int64_t s;
    int16_t zone_min;
    if (arrival_parse(in, &s, &zone_min))
        check(s, zone_min);
    if (date_parse(in, &s, &zone_min))
        check(s, zone_min);
    if (arrival_of(in, now_s, &s, &zone_min)) {
        check(s, zone_min);
        if (s < 0 || s > now_s + ARRIVAL_AHEAD_S)
            abort();
    }
    return 0;
}
