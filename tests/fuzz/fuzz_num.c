/* SPDX-License-Identifier: ISC */
/* Numbers with and without units: a plain number in range is read as every kind alike. */
#include <stdint.h>
#include <stdlib.h>
#include "base/core/num.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_make(data, size);
    uint64_t number, ms, bytes;
    uint32_t small;
    unsigned char digest[32];

    if (num_u64(text, 0, UINT64_MAX / 1000, &number) == 0) {
        if (num_duration_ms(text, &ms) != 0 || ms != number * 1000)
            abort();
        if (num_bytes(text, &bytes) != 0 || bytes != number)
            abort();
        if ((num_u32(text, 0, UINT32_MAX, &small) == 0) != (number <= UINT32_MAX))
            abort();
    }
    /* Both take a bare number, and no unit is common to both but m. */
    if (num_duration_ms(text, &ms) == 0 && num_bytes(text, &bytes) == 0 && size > 0 &&
        !ascii_is_digit(data[size - 1]) && ascii_lower(data[size - 1]) != 'm')
        abort();
    if (num_hex(text, digest, sizeof(digest)) == 0 && size != 2 * sizeof(digest))
        abort();
    return 0;
}
