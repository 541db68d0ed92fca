/* SPDX-License-Identifier: ISC */
/*
 * settle: which of the messages that a target was sent and did not say OK to are there all the
 * same.  By the UIDs that it has given since, by how many they are, and by content.
 */
#ifndef IMAPSYNC_STREAM_SETTLE_H
#define IMAPSYNC_STREAM_SETTLE_H

#include "imapsync/stream/batches.h"
#include "imapsync/stream/bodies.h"
#include "imapsync/journal/journal.h"

struct settle {
    struct end *target;
    struct journal *journal;
    /* The folder that it was about the last time, and what was read of it, by UID; owned.  A target
     * that tells no UIDs has everything that was sent looked at, and that once. */
    const struct journal_folder *folder;
    struct body *seen;
    size_t n_seen;
};

void settle_fini(struct settle *s);
/* What was sent stands in no pair yet, and everything older does.  out has n places, in the order
 * of sent: the UID on the target, 0: not there, UINT32_MAX: there are messages that nobody knows,
 * and it may be one of them.  Opens the folder on the target. */
int settle_sent(struct settle *s, const struct journal_folder *folder, uint32_t since,
    const struct batches_sent *sent, size_t n, uint32_t *out, struct err *err) ATTR_WUR;

#endif
