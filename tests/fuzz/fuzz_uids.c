/* SPDX-License-Identifier: ISC */
/*
 * A set of UIDs from any octets: what is read and sorted is written, read again, and is the same.
 *
 * fuzz-sources: base/mail/uids.c
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/mail/uids.h"

#define NUMBERS_MAX 1000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(uint32_t *v, size_t n)
{
    uint32_t again[NUMBERS_MAX];
    size_t n_again;
    struct buf text;
    n = uids_sort(v, n);
    for (size_t i = 0; i < n; i++) {
        if (v[i] == 0 || (i > 0 && v[i - 1] >= v[i]) || !uids_have(v, n, v[i]))
            abort();
    }
    buf_init(&text, 16 * NUMBERS_MAX);
    if (uids_write(&text, v, n) != 0 ||
        uids_read(buf_slice(&text), again, NUMBERS_MAX, &n_again) != 0)
        abort();
    if (n_again != n || (n > 0 && memcmp(v, again, n * sizeof(*v)) != 0))
        abort();
    buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t v[NUMBERS_MAX];
    size_t n;
    if (uids_read(slice_make(data, size), v, NUMBERS_MAX, &n) == 0)
        check(v, n);
    return 0;
}
