/* SPDX-License-Identifier: ISC */
/*
 * text: see text.h.
 *
 * A letter of UTF-8 is a byte of 0xC2 to 0xF4 and bytes of 0x80 to 0xBF behind it; in text of an
 * older set a letter stands between others or beside a blank.  A file in which both occur was
 * damaged or put together of two, and a guess would spoil one half.
 */
#include "maps/format/text.h"

/* Length of the sequence at p, 0 when it is none. */
static size_t utf8_length(const unsigned char *p, size_t n)
{
    unsigned char low = 0x80, high = 0xbf;
    size_t length;

    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xc2 && p[0] <= 0xdf)
        length = 2;
    else if (p[0] >= 0xe0 && p[0] <= 0xef)
        length = 3;
    else if (p[0] >= 0xf0 && p[0] <= 0xf4)
        length = 4;
    else
        return 0;
    if (n < length)
        return 0;
    /* No overlong forms, no surrogates, nothing above U+10FFFF. */
    if (p[0] == 0xe0)
        low = 0xa0;
    else if (p[0] == 0xed)
        high = 0x9f;
    else if (p[0] == 0xf0)
        low = 0x90;
    else if (p[0] == 0xf4)
        high = 0x8f;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if (p[i] < 0x80 || p[i] > 0xbf)
            return 0;
    return length;
}

bool text_is_utf8(struct slice s)
{
    for (size_t i = 0; i < s.n;) {
        size_t n = utf8_length(s.p + i, s.n - i);
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}

enum text_set text_guess(struct slice file)
{
    bool has_letter = false, has_other = false;

    if (slice_starts(file, SLICE_LIT("\xff\xfe")) || slice_starts(file, SLICE_LIT("\xfe\xff")))
        return TEXT_UTF16;
    for (size_t i = 0; i < file.n;) {
        size_t n = utf8_length(file.p + i, file.n - i);
        if (file.p[i] == '\0')
            return TEXT_UNKNOWN;
        has_letter |= n > 1;
        has_other |= n == 0;
        i += n ? n : 1;
    }
    if (!has_other)
        return TEXT_UTF8;
    return has_letter ? TEXT_UNKNOWN : TEXT_WINDOWS_1252;
}
