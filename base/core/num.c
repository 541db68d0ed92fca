/* SPDX-License-Identifier: ISC */
/*
 * num: see num.h.  One digit loop serves all: what is not entirely a number in range is refused, so
 * that "10x", "-1", "" and 2^64 can never become a small number.
 */
#include "base/core/num.h"

int num_u64(struct slice s, uint64_t min, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;

    if (s.n == 0)
        return -1;
    for (size_t i = 0; i < s.n; i++) {
        if (!ascii_is_digit(s.p[i]) || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
            return -1;
    }
    if (v < min || v > max)
        return -1;
    *out = v;
    return 0;
}

int num_u32(struct slice s, uint32_t min, uint32_t max, uint32_t *out)
{
    uint64_t v;

    if (num_u64(s, min, max, &v) != 0)
        return -1;
    *out = (uint32_t)v;
    return 0;
}

static int hex_digit(unsigned char c)
{
    if (ascii_is_digit(c))
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int num_hex(struct slice s, unsigned char *out, size_t out_size)
{
    if (s.n % 2 != 0 || s.n / 2 != out_size)
        return -1;
    for (size_t i = 0; i < s.n; i++)
        if (hex_digit(s.p[i]) < 0)
            return -1;
    for (size_t i = 0; i < out_size; i++)
        out[i] = (unsigned char)(hex_digit(s.p[2 * i]) << 4 | hex_digit(s.p[2 * i + 1]));
    return 0;
}

struct unit {
    const char *name;
    uint64_t factor;
};

/* `units` ends with the entry whose name is "", which a bare number means. */
static int with_unit(struct slice s, const struct unit *units, uint64_t *out)
{
    size_t digits = 0;
    uint64_t v;

    while (digits < s.n && ascii_is_digit(s.p[digits]))
        digits++;
    if (num_u64(slice_sub(s, 0, digits), 0, UINT64_MAX, &v) != 0)
        return -1;
    for (const struct unit *u = units;; u++) {
        if (slice_eq_nocase(slice_from(s, digits), slice_str(u->name)))
            return __builtin_mul_overflow(v, u->factor, out) ? -1 : 0;
        if (u->name[0] == '\0')
            return -1;
    }
}

int num_duration_ms(struct slice s, uint64_t *out)
{
    static const struct unit units[] = {
        {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {"", 1000}};
    uint64_t v;

    if (with_unit(s, units, &v) != 0)
        return -1;
    *out = v;
    return 0;
}

int num_bytes(struct slice s, uint64_t *out)
{
    static const struct unit units[] = {{"k", 1U << 10}, {"m", 1U << 20}, {"g", 1U << 30}, {"", 1}};
    uint64_t v;

    if (with_unit(s, units, &v) != 0)
        return -1;
    *out = v;
    return 0;
}
