/* SPDX-License-Identifier: ISC */
/* acl: letters as bits, in the order of RFC 4314, c and d behind them. */
#include "imapsync/ends/acl.h"

#include <string.h>

static const char letters[] = "lrswipkxteacd";

#define BIT(i) (1u << (i))
#define K BIT(6)
#define X BIT(7)
#define T BIT(8)
#define E BIT(9)
#define C BIT(11)
#define D BIT(12)

static unsigned bits_of(struct slice rights)
{
    unsigned bits = 0;
    for (size_t i = 0; i < rights.n; i++) {
        const char *at = rights.p[i] ? strchr(letters, rights.p[i]) : NULL;
        bits |= at ? BIT((unsigned)(at - letters)) : 0;
    }
    return bits;
}

static void write(unsigned bits, char out[ACL_LETTERS])
{
    size_t n = 0;
    for (unsigned i = 0; letters[i]; i++) {
        if (bits & BIT(i))
            out[n++] = letters[i];
    }
    out[n] = '\0';
}

/* What this server means, in the letters of RFC 4314. */
static unsigned meant(unsigned bits, bool is_old)
{
    if (!is_old)
        return bits & ~(C | D);
    return (bits & ~(C | D)) | (bits & C ? K : 0) | (bits & D ? X | T | E : 0);
}

void acl_translate(
    struct slice rights, bool is_old_source, bool is_old_target, struct acl_rights *out)
{
    const unsigned want = meant(bits_of(rights), is_old_source);
    unsigned given = want, lost = 0;
    if (is_old_target) {
        /* Nobody gets more than he had: d is for whom all of its parts are. */
        const bool has_all = (want & (X | T | E)) == (X | T | E);
        given = (want & ~(K | X | T | E)) | (want & K ? C : 0) | (has_all ? D : 0);
        lost = has_all ? 0 : want & (X | T | E);
    }
    write(given, out->given);
    write(lost, out->lost);
}

bool acl_is_same(struct slice rights, const char *given)
{
    const unsigned a = bits_of(rights), b = bits_of(slice_str(given));
    /* A server of RFC 4314 tells c and d beside what they stand for. */
    return a == b || ((b & (C | D)) == 0 && (a & ~(C | D)) == b);
}
