/* SPDX-License-Identifier: ISC */
/* num: numbers from text, whole input and range checked, and checked arithmetic. */
#ifndef BASE_CORE_NUM_H
#define BASE_CORE_NUM_H

#include <stdbool.h>
#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/slice.h"

/* Decimal digits only: no sign, no blank, no leading "+". 0, or -1 with *out untouched. */
int num_u64(struct slice s, uint64_t min, uint64_t max, uint64_t *out) ATTR_WUR;
int num_u32(struct slice s, uint32_t min, uint32_t max, uint32_t *out) ATTR_WUR;
int num_hex(
    struct slice s, unsigned char *out, size_t out_size) ATTR_WUR; /* exactly 2 * out_size digits */
/* "250ms", "20s", "5m", "1h", "7d"; a bare number is seconds. */
int num_duration_ms(struct slice s, uint64_t *out) ATTR_WUR;
/* "512", "64k", "10M", "1G" with factors of 1024. */
int num_bytes(struct slice s, uint64_t *out) ATTR_WUR;

static inline bool num_add_overflows(size_t a, size_t b, size_t *out)
{
    return __builtin_add_overflow(a, b, out);
}
static inline bool num_mul_overflows(size_t a, size_t b, size_t *out)
{
    return __builtin_mul_overflow(a, b, out);
}

#endif
