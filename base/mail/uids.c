/* SPDX-License-Identifier: ISC */
/*
 * uids: a range is read without being expanded, so "1:4294967295" costs nothing until someone asks
 * for its numbers, and that call names its bound.
 */
#include "base/mail/uids.h"

#include "base/core/mem.h"
#include "base/core/num.h"

int uids_next(struct slice *set, struct uid_range *out)
{
    struct slice part, first;
    uint32_t a, b;
    if (set->n == 0)
        return 0;
    if (set->p[set->n - 1] == ',' || !slice_split(set, ',', &part))
        return -1;
    if (!slice_split(&part, ':', &first) || num_u32(first, 1, UINT32_MAX, &a) != 0)
        return -1;
    b = a;
    if (part.p && num_u32(part, 1, UINT32_MAX, &b) != 0)
        return -1;
    *out = a <= b ? (struct uid_range){a, b} : (struct uid_range){b, a};
    return 1;
}

int uids_read(struct slice set, uint32_t *out, size_t max, size_t *n_out)
{
    struct uid_range r;
    size_t n = 0;
    int got;
    while ((got = uids_next(&set, &r)) > 0) {
        if (r.last - r.first >= max - n)
            return -1;
        for (uint32_t i = 0; i <= r.last - r.first; i++)
            out[n++] = r.first + i;
    }
    *n_out = n;
    return got;
}

int uids_write(struct buf *out, const uint32_t *uids, size_t n)
{
    size_t start = out->n;
    for (size_t i = 0; i < n;) {
        size_t end = i;
        while (end + 1 < n && uids[end + 1] == uids[end] + 1)
            end++;
        const char *comma = i > 0 ? "," : "";
        int r = end > i ? buf_addf(out, "%s%u:%u", comma, uids[i], uids[end])
                        : buf_addf(out, "%s%u", comma, uids[i]);
        if (r != 0) {
            buf_truncate(out, start);
            return -1;
        }
        i = end + 1;
    }
    return 0;
}

static int by_number(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

size_t uids_sort(uint32_t *uids, size_t n)
{
    size_t kept = 0;
    mem_sort(uids, n, sizeof(*uids), by_number);
    for (size_t i = 0; i < n; i++) {
        if (kept == 0 || uids[kept - 1] != uids[i])
            uids[kept++] = uids[i];
    }
    return kept;
}

bool uids_have(const uint32_t *sorted, size_t n, uint32_t uid)
{
    return mem_search(&uid, sorted, n, sizeof(uid), by_number) != NULL;
}
