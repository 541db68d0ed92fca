/* SPDX-License-Identifier: ISC */
/*
 * slice: see slice.h.  Nothing here allocates except slice_dup(), nothing fails, and a slice with a
 * NULL pointer is treated as empty everywhere, because memcmp() and memchr() may not be given NULL.
 */
#include "base/core/slice.h"
#include "base/core/mem.h"

bool slice_eq(struct slice a, struct slice b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool slice_eq_nocase(struct slice a, struct slice b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (ascii_lower(a.p[i]) != ascii_lower(b.p[i]))
            return false;
    return true;
}

int slice_order(struct slice a, struct slice b)
{
    const size_t n = a.n < b.n ? a.n : b.n;
    const int order = n > 0 ? memcmp(a.p, b.p, n) : 0;
    return order != 0 ? order : a.n < b.n ? -1 : a.n > b.n;
}

bool slice_starts(struct slice s, struct slice prefix)
{
    return s.n >= prefix.n && slice_eq(slice_sub(s, 0, prefix.n), prefix);
}

bool slice_starts_nocase(struct slice s, struct slice prefix)
{
    return s.n >= prefix.n && slice_eq_nocase(slice_sub(s, 0, prefix.n), prefix);
}

bool slice_ends_nocase(struct slice s, struct slice suffix)
{
    return s.n >= suffix.n && slice_eq_nocase(slice_from(s, s.n - suffix.n), suffix);
}

struct slice slice_sub(struct slice s, size_t from, size_t n)
{
    if (s.p == NULL)
        return s;
    if (from > s.n)
        from = s.n;
    if (n > s.n - from)
        n = s.n - from;
    return (struct slice){s.p + from, n};
}

struct slice slice_trim(struct slice s)
{
    while (s.n > 0 && ascii_is_blank(s.p[0]))
        s = slice_from(s, 1);
    while (s.n > 0 && ascii_is_blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

ptrdiff_t slice_find(struct slice s, unsigned char c)
{
    const unsigned char *hit = s.n > 0 ? memchr(s.p, c, s.n) : NULL;

    return hit ? hit - s.p : -1;
}

ptrdiff_t slice_rfind(struct slice s, unsigned char c)
{
    const unsigned char *hit = s.n > 0 ? memrchr(s.p, c, s.n) : NULL;

    return hit ? hit - s.p : -1;
}

ptrdiff_t slice_search(struct slice s, struct slice needle)
{
    const unsigned char *hit;

    if (needle.n == 0)
        return 0;
    hit = s.n >= needle.n ? memmem(s.p, s.n, needle.p, needle.n) : NULL;
    return hit ? hit - s.p : -1;
}

bool slice_split(struct slice *rest, unsigned char sep, struct slice *part_out)
{
    ptrdiff_t at;

    if (rest->p == NULL)
        return false;
    at = slice_find(*rest, sep);
    if (at < 0) {
        *part_out = *rest;
        *rest = SLICE_NONE;
    } else {
        *part_out = slice_sub(*rest, 0, (size_t)at);
        *rest = slice_from(*rest, (size_t)at + 1);
    }
    return true;
}

char *slice_dup(struct slice s)
{
    char *copy = mem_zalloc(s.n + 1);

    if (s.n > 0)
        memcpy(copy, s.p, s.n);
    return copy;
}
