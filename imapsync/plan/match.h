/* SPDX-License-Identifier: ISC */
/*
 * match: which messages of one side are which of the other, by content.  Of equal ones those first
 * whose flags are known and the same; the others in the order of their UIDs, those that come last
 * behind the others, so k equal messages against m equal copies make min(k, m) pairs.  Pure.
 */
#ifndef IMAPSYNC_PLAN_MATCH_H
#define IMAPSYNC_PLAN_MATCH_H

#include "base/os/hmac.h"
#include "imapsync/journal/journal.h"

/* What is known of a message by reading it. */
struct body {
    uint32_t uid;
    bool is_there;             /* the end gave a body */
    bool is_refused;           /* it did not, not even alone: it is there and cannot be read */
    bool comes_last;           /* others of the same content have their mates first */
    const struct flags *flags; /* that it was given, or has; NULL: not known */
    unsigned char digest[SHA256_SIZE];
    struct canon canon;
    uint32_t mate; /* the UID of the one that it is; 0: none */
};

enum match_how {
    MATCH_EXACT,   /* octet by octet */
    MATCH_LINES,   /* but for line ends and what else servers change of a text */
    MATCH_TEXT,    /* but for lines of the header that do not tell it from others */
    MATCH_NOTHING, /* how two messages are alike that are not */
};

enum match_how match_of(const struct body *a, const struct body *b);
/* With what the journal knows. */
enum match_how match_of_content(const struct content *known, const struct body *b);
/* Said to be the same message; the UIDs on both sides. */
struct match_hint {
    uint32_t a, b;
};

/* Mates of those which are there, have none, and are the same octet by octet as well.  Arrays as
 * below. */
void match_hinted(struct body *a, size_t n_a, struct body *b, size_t n_b,
    const struct match_hint *hints, size_t n_hints);
/* Sets the mates of those that are there and have none, the closest first, and none further apart
 * than this.  Both arrays are in the order of their UIDs, and are again afterwards. */
void match_up(struct body *a, size_t n_a, struct body *b, size_t n_b, enum match_how furthest);

#endif
