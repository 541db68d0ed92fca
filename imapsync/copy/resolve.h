/* SPDX-License-Identifier: ISC */
/*
 * resolve: finding out which messages are on the target already, by content: after a crash (open
 * intents), on targets that tell no UIDs (SENT pairs), and where the journal was lost or a
 * UIDVALIDITY changed.
 */
#ifndef IMAPSYNC_COPY_RESOLVE_H
#define IMAPSYNC_COPY_RESOLVE_H

#include "base/mail/uid_set.h"
#include "imapsync/journal/journal.h"
#include "imapsync/plan/past.h"
#include "imapsync/stream/suspects.h"
#include "imapsync/ends/end.h"

/* How long after an intent a batch may still turn up, default: a server that has the whole of a
 * command in its socket stores it, though the client is gone. */
#define RESOLVE_SETTLE_MS 3000

struct resolve_job {
    struct end *source, *target; /* the source has the folder open */
    struct journal *journal;
    const struct journal_folder *folder;
    const struct end_changes *listing; /* of the source */
    struct keywords *keywords;         /* new ones are written to the journal */
    const struct pair *alone;          /* on the target, and so nobody's copy */
    size_t n_alone;
    const struct pair *pairs; /* by source UID */
    size_t n_pairs;
    const struct intent *intents; /* open ones; they are removed, but for those of `in_doubt` */
    size_t n_intents;
    const struct suspects *suspects; /* what the source dies of is not read */
    /* That the UIDs of pairs and intents are good for.  Where there are no pairs with UIDs it may
     * have changed, and is told. */
    uint32_t tgt_uidvalidity, tgt_uidnext;
    /* Match every message of the target that the journal does not know with every one of the
     * source that it does not know. */
    bool adopt_all;
    /* The target has been numbered anew: pairs are found again by their digests, and those that are
     * not there are forgotten. */
    bool is_renumbered_there;
    /* So has the source: nothing of it can be looked up by the pairs' UIDs, and intents stay. */
    bool is_renumbered_here;
    /* The target's user has put another folder in the place of that of the intents. */
    bool is_another_there;
    /* The target is its user's: what is found by content keeps the flags that it has there. */
    bool is_behind_flip;
    const struct past *past; /* then, unless nobody knows */
    uint64_t settle_ms;
    size_t n_adopted; /* out */
    /* Out: of the source, what it does not give, and the target may have: nobody can tell.  An open
     * intent names each of them, so that they are looked for again. */
    struct uid_set *in_doubt;
};

/* A side that lists fewer messages than it counts, or a target that was replaced meanwhile, is an
 * error of the folder: what is in doubt waits for the next pass. */
int resolve(struct resolve_job *job, struct err *err) ATTR_WUR;

#endif
