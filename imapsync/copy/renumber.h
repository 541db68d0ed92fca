/* SPDX-License-Identifier: ISC */
/*
 * renumber: the source's folder has another UIDVALIDITY, so each of its messages has another UID.
 * They are read, and those whose content a pair has get what it says: the UID on the target, the
 * state, the flags, that it was compared.  One that stands alone on the target gets its message by
 * that.  The target is not asked.
 */
#ifndef IMAPSYNC_COPY_RENUMBER_H
#define IMAPSYNC_COPY_RENUMBER_H

#include "base/mail/uid_set.h"
#include "imapsync/journal/journal.h"
#include "imapsync/stream/suspects.h"
#include "imapsync/ends/end.h"

struct renumber_job {
    struct end *source; /* has the folder open */
    struct journal *journal;
    struct journal_folder *folder; /* gets another id */
    const struct end_changes *listing;
    const struct keywords *keywords;
    const struct pair *pairs; /* also those that stand alone on the target */
    size_t n_pairs;
    /* Open ones.  What is known to be on its way of them has its pair already, if it is there; of
     * the rest an intent of the new folder tells. */
    const struct intent *intents;
    size_t n_intents;
    const struct suspects *suspects; /* what the source dies of is not read */
    bool keeps_rest;  /* behind a flip: pairs without a message stay known under the old id */
    bool keeps_alone; /* copies without a message stay known, alone on the target */
    struct uid_set *in_doubt; /* out: what the source does not give, and may be one of these */
};

int renumber(struct renumber_job *job, struct err *err) ATTR_WUR;

#endif
