/* SPDX-License-Identifier: ISC */
/*
 * restored: whether a folder went back: it was restored from a backup under the same UIDVALIDITY,
 * and gives UIDs a second time.  Of both sides, by the numbers that it was ever listed with, and
 * the UIDs that pairs name.  What the pairs name there is then looked for by content.
 */
#ifndef IMAPSYNC_COPY_RESTORED_H
#define IMAPSYNC_COPY_RESTORED_H

#include <stdbool.h>
#include "imapsync/journal/journal_record.h"
#include "imapsync/ends/mailbox.h"

/* As they are listed now. */
struct record_numbers restored_numbers(const struct folder *f);

/* What is known of one side. */
struct restored_known {
    uint32_t uidvalidity; /* that the pairs are good for; 0: none are */
    uint32_t uid;         /* the highest one that a pair names; 0: none does */
    struct record_numbers numbers;
};

/* UIDNEXT and HIGHESTMODSEQ never fall (RFC 9051 2.3.1.1, RFC 7162 3.1.2.1). */
bool restored(const struct restored_known *known, const struct record_numbers *now);
/* Keeps the highest ones; false: these are not higher. */
bool restored_raise(struct record_numbers *known, const struct record_numbers *now);

#endif
