/* SPDX-License-Identifier: ISC */
/*
 * late: behind a flip, which messages of a folder are late mail, and which were on the source
 * before: looked at then, renamed, copied, restored or numbered anew since.  What the target's user
 * has deleted of these does not come back.
 *
 * Who has flipped decides, by a struct late_judge; here contents are read, and what is not late
 * becomes a GONE pair.
 */
#ifndef IMAPSYNC_COPY_LATE_H
#define IMAPSYNC_COPY_LATE_H

#include "imapsync/copy/journal.h"
#include "imapsync/ends/end.h"

enum late_place {
    LATE_BEFORE,     /* it was looked at before the flip */
    LATE_OWED,       /* and has not been copied yet */
    LATE_BY_CONTENT, /* is_late() has to tell */
    LATE_UNKNOWN,    /* nobody knows any more what was there */
};

/* Each but is_late() returns 0, or -1 with the pass's error. */
struct late_judge {
    /* A pass begins.  is_complete: the journal knows all that has been copied. */
    int (*begin)(void *arg, bool is_complete, struct err *err);
    int (*place)(void *arg, struct slice folder, uint32_t uidvalidity, uint32_t uid,
        enum late_place *out, struct err *err);
    /* One more message of this content that stands in no known place. */
    bool (*is_late)(void *arg, const unsigned char digest[SHA256_SIZE]);
    /* It was copied. */
    int (*came)(void *arg, struct slice folder, uint32_t uidvalidity, uint32_t uid,
        const unsigned char digest[SHA256_SIZE], struct err *err);
    void *arg;
};

struct late_job {
    struct end *source; /* has the folder open */
    struct journal *journal;
    const struct late_judge *judge; /* NULL: all is LATE_UNKNOWN */
    const struct journal_folder *folder;
    const struct end_changes *listing;
    const struct pair *pairs; /* of the folder, by source UID */
    size_t n_pairs;
    /* Out. */
    uint32_t *late; /* to be copied; ascending; owned: late_fini() */
    size_t n_late;
    size_t n_unknown; /* are told, once, and not copied */
};

/* Judges each message without a pair.  The journal is written. */
int late_judge_all(struct late_job *job, struct err *err) ATTR_WUR;
/* Tells the judge which of job->late were copied, by the pairs as they are now. */
int late_came(struct late_job *job, struct err *err) ATTR_WUR;
void late_fini(struct late_job *job);

#endif
