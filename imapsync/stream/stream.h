/* SPDX-License-Identifier: ISC */
/*
 * stream: messages from the source's reads into the target's appends, while they arrive, over many
 * folders without a stop in between.  Memory does not depend on the number or size of messages.
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

struct stream_job {
    struct end *source, *target;
    struct journal *journal;
    struct suspects *suspects;
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

/* -1: the job ended early; if an end was the reason both are lost.  What was done is in the
 * journal, and what was begun is an intent there. */
int stream_copy(struct stream_job *job, struct err *err) ATTR_WUR;

#endif
