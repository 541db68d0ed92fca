/* SPDX-License-Identifier: ISC */
/*
 * items: differences between the two mailboxes that somebody has to know of, each with a stable
 * code (item_codes.h).
 *
 * An item is about a folder of the source, or one of its messages.  It is kept in the journal from
 * the moment it is told until what it names is mended, and somebody may accept it, or have it tried
 * again:
 *
 *   open -accept-> accepted       open, accepted -retry-> retried -told again-> open
 *   any -mended, or nothing there any more-> gone; kept ITEM_GONE_MS for whoever asks, then dropped
 *
 * An acceptance is good for as many messages as the item had then; more of them open it again.
 *
 * What was refused is tried again by `copy` and by the first pass of each cut-over; other passes
 * and sweeps wait ITEM_WAIT_MS behind the first try, twice as long behind each further one, a day
 * at most.  What is accepted is not tried.
 */
#ifndef IMAPSYNC_JOURNAL_ITEMS_H
#define IMAPSYNC_JOURNAL_ITEMS_H

#include <stdbool.h>
#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/err.h"
#include "base/core/slice.h"
#include "imapsync/journal/item_codes.h"

#define ITEM_WAIT_MS INT64_C(600000)
#define ITEM_WAIT_MAX_MS INT64_C(86400000)
#define ITEM_GONE_MS (30 * INT64_C(86400000))
#define ITEM_WORDS_MAX 512

enum item_state {
    ITEM_OPEN = 1,
    ITEM_RETRIED = 2,
    ITEM_ACCEPTED = 3,
    ITEM_GONE = 4,
};

const char *item_state_name(enum item_state state);
static inline bool item_is_open(enum item_state state)
{
    return state == ITEM_OPEN || state == ITEM_RETRIED;
}

struct item {
    struct slice folder;  /* of the source, on the wire */
    uint32_t uid;         /* 0: the folder */
    uint32_t uidvalidity; /* of the UID; 0: not known */
    enum item_code code;
    enum item_state state;
    bool is_back;              /* of the other direction than the journal is used in */
    int64_t since_ms, seen_ms; /* first and last told */
    int64_t due_ms;            /* tried again from then on */
    uint32_t tries;
    uint64_t n; /* messages that it is about; 0: one, or nobody knows */
    bool has_date;
    int64_t date_s;       /* of the message */
    uint32_t size;        /* 0: not told */
    struct slice words;   /* what was said about it */
    struct slice by, why; /* accepted, or retried */
    int64_t by_ms;
};

/* When a message that has failed so often is tried again. */
int64_t item_due_ms(int64_t now_ms, uint32_t tries);
/* The item of before, or none (code ITEM_NONE), when it is told once more. */
void item_tell(struct item *io, const struct item *told, int64_t now_ms);

/* --- In the journal (journal_items.c) ----------------------------------------------------- */

struct journal;

struct item_key {
    struct slice folder;
    uint32_t uid;
    enum item_code code;
};

/* *out is borrowed until the next call of these; code ITEM_NONE: there is none. */
int journal_item_get(
    struct journal *j, const struct item_key *key, struct item *out, struct err *err) ATTR_WUR;
/* Part of a change (journal_begin()). */
void journal_item_put(struct journal *j, const struct item *item);
void journal_item_del(struct journal *j, const struct item *item);
/* All of them, of both directions, by folder; -1 of `each` ends it, with its err.  What it gets is
 * borrowed for the call, in which the journal must not be written. */
int journal_items_each(struct journal *j,
    int (*each)(void *arg, const struct item *item, struct err *err), void *arg,
    struct err *err) ATTR_WUR;
bool journal_is_writing(const struct journal *j); /* between begin and commit */

#endif
