/* SPDX-License-Identifier: ISC */
/*
 * stream: messages from the source's reads into the target's appends, while they arrive, over many
 * folders without a stop in between.  Memory does not depend on the number or size of messages.
 *
 * A job may go over several pairs of ends (struct stream_more).  Each takes whole folders, one
 * behind the other as it has done those before, so what depends on order, the UIDs that a folder
 * gives, depends on one end as ever.  There is one journal, and one thread that writes into it.
 */
#ifndef IMAPSYNC_STREAM_STREAM_H
#define IMAPSYNC_STREAM_STREAM_H

#include "imapsync/journal/journal.h"
#include "imapsync/stream/suspects.h"
#include "imapsync/ends/end.h"

#define STREAM_UNSENT_MAX (256u << 10) /* octets for the target; then the source is paused */
#define STREAM_FULL (448u << 10)       /* then what it still sends is left out */

struct stream_folder {
    const struct journal_folder *record;
    const struct end_changes *listing; /* flags and dates of the source */
    uint32_t tgt_uidnext;              /* of the target's folder before this job, and behind it */
    const uint32_t *uids;              /* what to copy, ascending */
    size_t n_uids;
    void *arg; /* for the callbacks */
    /* Out. */
    bool has_unknown_uids; /* messages have arrived whose UIDs the target did not tell: SENT */
    struct err err;        /* why not all of it was tried; class NONE: it was */
};

/* A message that was stored with a date, or flags, that some targets do not keep. */
struct stream_check {
    uint32_t uid, tgt_uid;
    bool has_odd_date, is_plain;
};

#define STREAM_MORE_MAX 7 /* END_PUMP_MAX less the job's own */

/* Further pairs of ends of the same two mailboxes.  They are begun when there is work for them, and
 * join when they are open; meanwhile the job's own goes on.  One that does not come (a server that
 * has no room for it), or leads somewhere else, costs nothing but itself.  One that breaks when it
 * has joined ends the job as the job's own does. */
struct stream_more {
    const struct end_maker *source, *target;
    const struct wait_limits *limits;
    size_t n;        /* at most */
    size_t messages; /* enough for one pair: of the job, for which one is begun, and of those that
                        it has taken, before it takes another folder */
    /* Out. */
    size_t n_begun, n_joined;
    struct err err; /* why one did not come; class NONE: they came, or would have come too late */
};

struct stream_job {
    struct end *source, *target;
    struct journal *journal;
    struct suspects *suspects;
    struct stream_more *more; /* NULL: none */
    struct stream_folder *folders;
    size_t n_folders;
    bool is_opened; /* the source has the first one open */
    bool is_newest_first;
    void (*copied)(void *arg, uint32_t uid, uint64_t octets);
    /* Behind copied: without its keywords, and with another date for this reason (NULL: with its
     * own). */
    void (*reduced)(void *arg, uint32_t uid, bool lacks_flags, const char *date);
    /* By either side; or it may be there already, and nobody can tell. */
    void (*refused)(void *arg, uint32_t uid, enum item_code code, const char *why);
    /* OK and no body: expunged meanwhile, or listed by a server that does not have it. */
    void (*missing)(void *arg, uint32_t uid);
    void (*check)(void *arg, const struct stream_check *k);
    uint8_t *unchecked; /* by system flag: messages still to be checked; counted down here */
    /* True, and then for ever: what is on its way still arrives, nothing else is begun, and the job
     * ends as if there were no more. */
    bool (*is_cancelled)(void *arg);
    void *arg; /* of is_cancelled */
};

/* -1: the job ended early; if an end was the reason all are lost.  What was done is in the
 * journal, and what was begun is an intent there. */
int stream_copy(struct stream_job *job, struct err *err) ATTR_WUR;

#endif
