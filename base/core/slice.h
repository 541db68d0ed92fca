/* SPDX-License-Identifier: ISC */
/*
 * slice: a borrowed run of bytes.  Everything read from the network, a file or the map is passed as
 * a slice; it is not a C string and may hold NUL.  Whoever hands out a slice says how long it
 * lives.
 */
#ifndef BASE_CORE_SLICE_H
#define BASE_CORE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct slice {
    const unsigned char *p;
    size_t n;
};

/* For printf: printf("%.*s", SLICE_ARG(s)).  Only for text known to be printable. */
#define SLICE_ARG(s) (int)(s).n, (const char *)(s).p
#define SLICE_LIT(text) ((struct slice){(const unsigned char *)("" text), sizeof(text) - 1})
#define SLICE_NONE ((struct slice){NULL, 0})

static inline struct slice slice_make(const void *p, size_t n)
{
    return (struct slice){p, n};
}

static inline struct slice slice_str(const char *text)
{
    return (struct slice){(const unsigned char *)text, text ? strlen(text) : 0};
}

/* ASCII only and independent of the locale. */
static inline unsigned char ascii_lower(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : c;
}
static inline bool ascii_is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}
static inline bool ascii_is_alpha(unsigned char c)
{
    return ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z';
}
static inline bool ascii_is_print(unsigned char c)
{
    return c >= 0x20 && c < 0x7f;
}
static inline bool ascii_is_blank(unsigned char c)
{
    return c == ' ' || c == '\t';
}

bool slice_eq(struct slice a, struct slice b);
bool slice_eq_nocase(struct slice a, struct slice b);
/* Below, at or above 0: by octets, and of two that begin alike the shorter one first. */
int slice_order(struct slice a, struct slice b);
bool slice_starts(struct slice s, struct slice prefix);
bool slice_starts_nocase(struct slice s, struct slice prefix);
bool slice_ends_nocase(struct slice s, struct slice suffix);

/* The part of s from `from` on, at most n bytes; both are clamped to s. */
struct slice slice_sub(struct slice s, size_t from, size_t n);
static inline struct slice slice_from(struct slice s, size_t from)
{
    return slice_sub(s, from, s.n);
}

/* Without SP and HT at both ends. */
struct slice slice_trim(struct slice s);

/* Index of the first (last) byte c, or -1. */
ptrdiff_t slice_find(struct slice s, unsigned char c);
ptrdiff_t slice_rfind(struct slice s, unsigned char c);
/* Index of the first occurrence of needle, or -1. */
ptrdiff_t slice_search(struct slice s, struct slice needle);

/* Cuts *rest at the first `sep`: the part before goes to *part_out, *rest becomes what follows.
 * Returns false when *rest is exhausted (p is NULL).  "a,b" gives "a" then "b"; "" gives "" once.
 */
bool slice_split(struct slice *rest, unsigned char sep, struct slice *part_out);

/* A NUL-terminated copy on the heap; the caller frees it. */
char *slice_dup(struct slice s);

#endif
