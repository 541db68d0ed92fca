/* SPDX-License-Identifier: ISC */
/*
 * plan: what has to happen in one folder, as a pure function of what the source lists and what the
 * journal knows.  Everything that decides what is copied, flagged or deleted is here.
 *
 * Before it is called every open intent has been resolved, so a source UID is either paired or has
 * certainly not arrived.
 */
#ifndef IMAPSYNC_COPY_PLAN_H
#define IMAPSYNC_COPY_PLAN_H

#include <stddef.h>
#include "imapsync/copy/flags.h"

enum plan_mode {
    PLAN_MIRROR, /* the user works on the source: deletions follow */
    PLAN_ADD,    /* late arrivals after a flip: nothing is ever deleted */
};

/* One message of the source, one pair of the journal: the parts that decide. */
struct plan_message {
    uint32_t uid;
    struct flags flags;
};

struct plan_pair {
    uint32_t src_uid, tgt_uid; /* tgt_uid 0: the target has refused the message */
    struct flags flags;
    bool is_gone; /* it has taken the message, which went away with its folder, or is not found */
};

/* Where the two sorted arrays come from; get must give ascending source UIDs. */
struct plan_input {
    size_t n_messages, n_pairs;
    struct plan_message (*message)(void *arg, size_t i);
    struct plan_pair (*pair)(void *arg, size_t i);
    void *arg;
    enum plan_mode mode;
    /* More deletions than this are not planned: a source that suddenly lacks most of its messages
     * is more likely broken than tidied up. */
    size_t deletions_max;
};

struct plan_flags {
    uint32_t src_uid, tgt_uid;
    struct flags add, remove; /* on the target */
    struct flags now;         /* for the journal, once it is done */
};

struct plan_deletion {
    uint32_t src_uid, tgt_uid;
    struct flags flags; /* the target's must still be these: else its user has touched it */
};

struct plan {
    uint32_t *copies; /* source UIDs, ascending */
    size_t n_copies;
    struct plan_flags *flags; /* equal changes stand together */
    size_t n_flags;
    struct plan_deletion *deletions; /* by target UID */
    size_t n_deletions;
    /* Pairs of messages that are gone from the source and were never on the target. */
    uint32_t *forgotten;
    size_t n_forgotten;
    bool has_too_many_deletions; /* then there are none */
    size_t n_same;               /* messages with nothing to do */
};

void plan_make(const struct plan_input *in, struct plan *out);
void plan_fini(struct plan *p);

#endif
