/* SPDX-License-Identifier: ISC */
/*
 * item_codes: the stable codes of what can differ between the two mailboxes.  The table is in
 * items.c, and coexist-sync(8) shows it to people; a test compares.
 */
#ifndef IMAPSYNC_JOURNAL_ITEM_CODES_H
#define IMAPSYNC_JOURNAL_ITEM_CODES_H

#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/err.h"
#include "base/core/slice.h"

enum item_class {
    ITEM_LOSS,     /* something of the source is not on the target */
    ITEM_WITHHELD, /* something was not done to the target, to be on the safe side */
    ITEM_CHANGED,  /* it is there, but not exactly as it was */
    ITEM_CLASSES,
};

/* In journals: a number is never used twice. */
enum item_code {
    ITEM_NONE = 0,
    ITEM_REFUSED = 1,
    ITEM_SIZE = 2,
    ITEM_UNREADABLE = 3,
    ITEM_ASIDE = 4,
    ITEM_DOUBT = 5,
    ITEM_VANISHED = 6,
    ITEM_FOLDER = 7,
    ITEM_NAME = 8,
    ITEM_SHORT = 9,
    ITEM_LEFT_OUT = 10,
    ITEM_LATE_UNKNOWN = 11,
    ITEM_MISSING = 12,
    ITEM_DIFFERENT = 13,
    ITEM_HELD_BACK = 14, /* E-WITHHELD */
    ITEM_UNREAD = 15,
    ITEM_FLAG = 16,
    ITEM_DATE = 17,
    ITEM_SUBSCRIBE = 18,
    ITEM_FILTERED = 19,
    ITEM_KEYWORD = 20,
    ITEM_EMPTY = 21,
    ITEM_QUOTA = 22,
    ITEM_ACL = 23,
    ITEM_METADATA = 24,
    ITEM_CODES,
};

/* When it is mended. */
enum item_life {
    ITEM_LIFE_PASS,    /* a pass that was through has not told it again */
    ITEM_LIFE_LOOK,    /* the same, and an acceptance goes with it: each pass looks */
    ITEM_LIFE_REFUSED, /* its message is not one that was refused any more */
    ITEM_LIFE_SENT,    /* its message is not one that was sent and is not there any more */
    ITEM_LIFE_DOUBT,   /* its message has a pair, or nothing is on its way to the folder any more */
    ITEM_LIFE_COPY,    /* its message, or the copy of it, is gone */
    ITEM_LIFE_COMPARED, /* the same, or a comparison has found it right */
    ITEM_LIFE_FOLDER,   /* its folder is not known any more, or a look has found it right */
    ITEM_LIFE_ACCEPTED, /* never by itself */
};

struct item_row {
    const char *name; /* E-... */
    enum item_class class;
    enum item_life life;
    const char *meaning, *remedy; /* a line each */
};

const struct item_row *item_row(enum item_code code);
enum item_code item_code_named(struct slice name); /* ITEM_NONE: there is none */
/* Several names, a NULL behind them, as one set of 1 << enum item_code. */
int item_codes_named(const char *const *names, uint32_t *out, struct err *err) ATTR_WUR;
const char *item_class_name(enum item_class class);

#endif
