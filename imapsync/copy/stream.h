/* SPDX-License-Identifier: ISC */
/*
 * stream: messages of one folder from the source's FETCH into the target's APPEND, while they
 * arrive.  Memory does not depend on their number or size.
 */
#ifndef IMAPSYNC_COPY_STREAM_H
#define IMAPSYNC_COPY_STREAM_H

#include "imapsync/copy/journal.h"
#include "imapsync/ends/end.h"

#define STREAM_FETCH_MAX 100           /* messages of one FETCH, and of one intent */
#define STREAM_APPEND_SIZE (4u << 20)  /* octets after which a MULTIAPPEND is ended */
#define STREAM_UNSENT_MAX (256u << 10) /* then the source is paused */
#define STREAM_FULL (448u << 10)       /* then what it still sends is left out */

struct stream_job {
    struct end *source, *target; /* the source has the folder open */
    struct journal *journal;
    const struct journal_folder *folder;
    const struct end_changes *listing; /* flags and dates of the source */
    uint32_t tgt_uidnext;              /* of the target's folder before this job */
    const uint32_t *uids;              /* what to copy, ascending */
    size_t n_uids;
    void (*copied)(void *arg, uint64_t octets);
    /* Behind copied: without its keywords, and with another date if that was out of the ordinary.
     */
    void (*reduced)(void *arg, uint32_t uid);
    void (*refused)(void *arg, uint32_t uid, const char *why);
    /* OK and no body: expunged meanwhile, or listed by a server that does not have it. */
    void (*missing)(void *arg, uint32_t uid);
    /* True, and then for ever: what is on its way still arrives, nothing else is begun, and the job
     * ends as if there were no more. */
    bool (*is_cancelled)(void *arg);
    void *arg;
    /* Out: messages have arrived whose UIDs the target did not tell; they are SENT. */
    bool has_unknown_uids;
};

/* -1: the job ended in the middle, and unless that was in order both ends are lost.  Intents and
 * results are in the journal. */
int stream_copy(struct stream_job *job, struct err *err) ATTR_WUR;

#endif
