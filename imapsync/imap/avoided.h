/* SPDX-License-Identifier: ISC */
/*
 * avoided: optional commands at which a connection has died, from one connection to the next of the
 * same run.  The next one does without what they are for, as if the server did not offer it: to
 * give a name, to ask for a quota, or to compress is not worth a mailbox that cannot be copied.
 */
#ifndef IMAPSYNC_IMAP_AVOIDED_H
#define IMAPSYNC_IMAP_AVOIDED_H

#include <stdbool.h>
#include <stdint.h>
#include "base/core/slice.h"

/* A zeroed one avoids nothing. */
struct imap_avoided {
    uint64_t caps; /* of enum imap_cap: not asked for any more */
    unsigned n;    /* how often there was one more */
};

/* The connection has died, and this command (its name) was the oldest one without an answer. true:
 * it is one that can be done without, and was not avoided yet. */
bool imap_avoid(struct imap_avoided *a, struct slice command);

#endif
