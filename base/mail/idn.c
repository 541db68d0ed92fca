/* SPDX-License-Identifier: ISC */
/*
 * idn: the adapter to libidn2 (IDNA2008 with the mappings of UTS 46, non-transitional).  Names that
 * are ASCII already, nearly all, never reach the library.  What the library answers is checked like
 * any other name, so that no mapping of a look-alike character can smuggle a byte in.
 */
#include "base/mail/idn.h"

#include <idn2.h>

#define IDN_LABEL_MAX 63

/* Lower-cases while it checks: letters, digits, "-" inside of labels, "_". */
static int ascii_domain(struct slice in, char out[IDN_DOMAIN_MAX + 1])
{
    if (in.n == 0 || in.n > IDN_DOMAIN_MAX)
        return -1;
    size_t label = 0;
    for (size_t i = 0; i < in.n; i++) {
        unsigned char c = ascii_lower(in.p[i]);
        bool is_last = i + 1 == in.n || in.p[i + 1] == '.';
        if (c == '.') {
            if (label == 0 || i + 1 == in.n)
                return -1;
            label = 0;
        } else {
            bool is_inner = c == '-' && label > 0 && !is_last;
            if (!is_inner && !ascii_is_alpha(c) && !ascii_is_digit(c) && c != '_')
                return -1;
            if (++label > IDN_LABEL_MAX)
                return -1;
        }
        out[i] = (char)c;
    }
    out[in.n] = '\0';
    return 0;
}

int idn_to_ascii(struct slice domain, char out[IDN_DOMAIN_MAX + 1])
{
    bool is_ascii = true;
    for (size_t i = 0; i < domain.n; i++) {
        if (domain.p[i] == '\0')
            return -1;
        is_ascii &= domain.p[i] < 0x80;
    }
    if (is_ascii)
        return ascii_domain(domain, out);

    /* Every character of a name that fits takes at most four bytes of UTF-8. */
    unsigned char text[4 * IDN_DOMAIN_MAX + 1];
    if (domain.n >= sizeof text)
        return -1;
    memcpy(text, domain.p, domain.n);
    text[domain.n] = '\0';
    char *ascii = NULL;
    /* Without IDN2_USE_STD3_ASCII_RULES: that flag makes libidn2 2.3 drop a character that maps to
     * a forbidden one (a full-width "@") instead of refusing the name. */
    int flags = IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL;
    if (idn2_to_ascii_8z((const char *)text, &ascii, flags) != IDN2_OK)
        return -1;
    int rc = ascii_domain(slice_str(ascii), out);
    idn2_free(ascii);
    return rc;
}
