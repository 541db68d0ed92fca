/* SPDX-License-Identifier: ISC */
/*
 * Replies whole and in pieces give the same; the text of a reply is bounded and clean.
 */
#include <stdint.h>
#include <stdlib.h>
#include "base/mail/smtp_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct smtp_reply_parser whole, bytes;
    size_t at = 0;

    smtp_reply_init(&whole);
    smtp_reply_init(&bytes);
    while (at < size) {
        struct smtp_reply a = {0}, b = {0};
        size_t used = 0, one = 0, n = 0;
        enum parse ra = smtp_reply_feed(&whole, slice_make(data + at, size - at), &used, &a);
        enum parse rb = PARSE_MORE;
        char clean[SMTP_REPLY_CLEAN_MAX];

        while (rb == PARSE_MORE && b.line.p == NULL && at + n < size) {
            rb = smtp_reply_feed(&bytes, slice_make(data + at + n, 1), &one, &b);
            n += one;
        }
        if (ra != rb || used != n || !slice_eq(a.line, b.line) ||
            (a.line.p == NULL) != (b.line.p == NULL))
            abort();
        if (ra == PARSE_BAD && a.code != b.code)
            abort();
        if (ra == PARSE_MORE && a.line.p != NULL) {
            at += used;
            continue;
        }
        if (ra != PARSE_DONE)
            break;
        if (a.code != b.code || !slice_eq(a.text, b.text) || a.code < 200 || a.code > 599 ||
            a.text.n > SMTP_REPLY_TEXT_MAX)
            abort();
        smtp_reply_clean(a.text, clean);
        if (slice_str(clean).n >= SMTP_REPLY_CLEAN_MAX)
            abort();
        at += used;
    }
    return 0;
}
