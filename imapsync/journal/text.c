/* SPDX-License-Identifier: ISC */
/* text: see text.h.  The forms of RFC 3629 4. */
#include "imapsync/journal/text.h"

#include <stdlib.h>
#include <string.h>

#include "base/core/err.h"

static bool is_tail(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

/* Octets of the character at the beginning of s; 0: none that may be shown. */
static size_t shown(struct slice s)
{
    unsigned char a = s.p[0], b = s.n > 1 ? s.p[1] : 0;
    if (a < 0x80)
        return a >= 0x20 && a != 0x7f;
    if (a >= 0xc2 && a <= 0xdf)
        return is_tail(b) && !(a == 0xc2 && b < 0xa0) ? 2 : 0;
    if (a >= 0xe0 && a <= 0xef)
        return s.n > 2 && is_tail(b) && is_tail(s.p[2]) && !(a == 0xe0 && b < 0xa0) &&
                       !(a == 0xed && b > 0x9f)
                   ? 3
                   : 0;
    if (a >= 0xf0 && a <= 0xf4)
        return s.n > 3 && is_tail(b) && is_tail(s.p[2]) && is_tail(s.p[3]) &&
                       !(a == 0xf0 && b < 0x90) && !(a == 0xf4 && b > 0x8f)
                   ? 4
                   : 0;
    return 0;
}

int text_clean(struct slice s, struct buf *out)
{
    for (size_t i = 0; i < s.n;) {
        size_t n = shown(slice_from(s, i));
        if (buf_add(out, n > 0 ? slice_sub(s, i, n) : SLICE_LIT("?")) != 0)
            return -1;
        i += n > 0 ? n : 1;
    }
    return 0;
}

char *text_dup(struct slice s)
{
    struct buf out;
    buf_init(&out, s.n);
    if (text_clean(s, &out) != 0)
        BUG("it never gets longer");
    return buf_steal_cstr(&out);
}

json_t *text_json(const char *s)
{
    char *clean = text_dup(slice_str(s));
    json_t *out = json_string(clean);
    BUG_ON(!out);
    free(clean);
    return out;
}
