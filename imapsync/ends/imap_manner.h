/* SPDX-License-Identifier: ISC */
/* imap_manner: how a server is treated: by its profile, unless somebody has said otherwise. */
#ifndef IMAPSYNC_ENDS_IMAP_MANNER_H
#define IMAPSYNC_ENDS_IMAP_MANNER_H

#include "imapsync/ends/profile.h"
#include "imapsync/imap/place.h"

struct imap_manner {
    const struct profile *profile; /* NULL: as it is recognised */
    struct imap_rates rates;       /* 0: as the profile has it */
    uint64_t day;                  /* octets each way; 0: the same */
};

/* The profile with what somebody has said in place of its own. */
struct profile imap_manner_profile(const struct imap_manner *m, const struct profile *p);
/* Its pace, for all that are connected to it, and what there may be of this mailbox in a day. */
void imap_manner_apply(
    const struct imap_manner *m, const struct profile *p, const struct imap_place *place);

#endif
