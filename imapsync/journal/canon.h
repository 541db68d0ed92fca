/* SPDX-License-Identifier: ISC */
/*
 * canon: what is left of a message when a server has altered it, so that it is known again.
 *
 *     canon_begin(&c); canon_add(&c, octets); ... canon_end(&c, &out);
 *
 * Not counted are the octets that servers change: line ends of any kind, and how many there are at
 * the end; blanks and tabs, and so how a header line is folded; NUL and what is put in its place;
 * a ">" that a mailbox file wants before "From".  `text` stands for the lines of the header that
 * tell one message from another, and for the body; `header` for all lines of the header, in any
 * order.  So equal text and equal header are the same message with other line ends; equal text
 * alone is the same message to which somebody has added header lines, as scanners do, or from which
 * some were taken.
 *
 * Not recognised: a body that was encoded anew (quoted-printable, base64, another character set),
 * a part that was replaced, a subject that was marked.
 */
#ifndef IMAPSYNC_JOURNAL_CANON_H
#define IMAPSYNC_JOURNAL_CANON_H

#include <stdbool.h>
#include <stdint.h>
#include "base/core/slice.h"
#include "base/os/hmac.h"

#define CANON_TEXT 16
#define CANON_HEADER 8
#define CANON_SIZE (CANON_TEXT + CANON_HEADER)

/* All zero: not known. */
struct canon {
    unsigned char text[CANON_TEXT], header[CANON_HEADER];
};

struct canon_reader;

struct canon_reader *canon_new(void);
void canon_free(struct canon_reader **c);
void canon_add(struct canon_reader *c, struct slice octets);
void canon_end(struct canon_reader *c, struct canon *out); /* ready for the next one */

static inline bool canon_is_known(const struct canon *c)
{
    static const struct canon none;
    return __builtin_memcmp(c, &none, sizeof(none)) != 0;
}

#endif
