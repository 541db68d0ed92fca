/* SPDX-License-Identifier: ISC */
/*
 * late: behind a flip, which messages of a folder are late mail, and which were on the source
 * before: looked at then, renamed, copied, restored or numbered anew since.  What the target's user
 * has deleted of these does not come back.
 *
 * Who has flipped decides, by a struct late_judge, and learns of each pair by a struct
 * journal_watch; here contents are read, and what is not late becomes a GONE pair.
 */
#ifndef IMAPSYNC_COPY_LATE_H
#define IMAPSYNC_COPY_LATE_H

#include "imapsync/copy/journal.h"
#include "imapsync/ends/end.h"

enum late_place {
    LATE_BEFORE,     /* it was looked at before */
    LATE_OWED,       /* before the flip, and has not been copied yet */
    LATE_BY_CONTENT, /* is_late() has to tell */
    LATE_UNKNOWN,    /* nobody knows any more what was there */
};

/* Each returns 0, or -1 with the pass's error. */
struct late_judge {
    /* A pass begins.  is_complete: the journal knows all that has been copied. */
    int (*begin)(void *arg, bool is_complete, struct err *err);
    /* From now on pairs of the journal's folder `id` are about this one of the source, whose
     * highest UID is `highest`.  Before any is put, and before places are asked for. */
    int (*look)(void *arg, uint32_t id, struct slice folder, uint32_t uidvalidity, uint32_t highest,
        struct err *err);
    int (*place)(void *arg, struct slice folder, uint32_t uidvalidity, uint32_t uid,
        enum late_place *out, struct err *err);
    /* One more message of this content that stands in no known place. */
    int (*is_late)(
        void *arg, const unsigned char digest[SHA256_SIZE], bool *late_out, struct err *err);
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
    /* So many messages nobody knows anything about, and they are not copied.  Called before the
     * journal makes an end of them, so that a kill tells of them twice rather than never. */
    void (*unknown)(void *arg, size_t n);
    void *arg;
    /* Out. */
    uint32_t *late; /* to be copied; ascending; owned: late_fini() */
    size_t n_late;
};

/* The folder is being looked at: see late_judge.look. */
int late_look(const struct late_judge *judge, const struct journal_folder *folder,
    uint32_t uidvalidity, const struct end_changes *listing, struct err *err) ATTR_WUR;
/* Judges each message without a pair.  The journal is written. */
int late_judge_all(struct late_job *job, struct err *err) ATTR_WUR;
void late_fini(struct late_job *job);

#endif
