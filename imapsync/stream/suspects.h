/* SPDX-License-Identifier: ISC */
/*
 * suspects: messages that may have killed a connection, from one connection to the next, until the
 * one that did it is found (batches.h).
 */
#ifndef IMAPSYNC_STREAM_SUSPECTS_H
#define IMAPSYNC_STREAM_SUSPECTS_H

#include "imapsync/stream/batches.h"

struct suspects {
    struct suspects_group *first; /* owned */
    unsigned n_narrowed;          /* how often a loss has made it fewer */
    size_t credit;                /* of the last job, see batches_give_credit() */
};

void suspects_init(struct suspects *s);

void suspects_fini(struct suspects *s);
/* Takes over what the machine has left behind, and its credit.  ids: the journal's numbers of its
 * folders. */
void suspects_keep(struct suspects *s, const uint32_t *ids, struct batches *b);
/* Gives the folder's groups to a machine that knows it as `as`, less what is not among uids, which
 * are ascending.  *given_out, owned, ascending: which they were. */
void suspects_give(struct suspects *s, uint32_t folder, struct batches *b, uint32_t as,
    const uint32_t *uids, size_t n_uids, uint32_t **given_out, size_t *n_given_out);
/* Whether this message's body has never come, so that it is on no target; whoever reads it may lose
 * the source again. */
bool suspects_are_unsent(const struct suspects *s, uint32_t folder, uint32_t uid);

#endif
