/* SPDX-License-Identifier: ISC */
/*
 * mbox_from: the line that begins a message of an mbox.
 *
 *     From ann@example.org Thu Nov 26 10:00:00 2026
 *     From coexist-mboxrd-4711 Thu Nov 26 10:00:00 2026 +0000
 *
 * The second one is ours: what follows is as mbox_codec.h says, and has so many octets, the fields
 * of the mailbox's own not counted: else it is not whole.
 */
#ifndef IMAPSYNC_ENDS_MBOX_FROM_H
#define IMAPSYNC_ENDS_MBOX_FROM_H

#include <stdbool.h>
#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/buf.h"

#define MBOX_FROM_MAX 1024 /* octets of such a line; a longer one is none */

struct mbox_from {
    int64_t date_s;
    bool is_local; /* date_s is what a clock showed here, and no instant */
    bool is_ours;
    uint64_t octets;
};

/* Without its line end.  false: a line of a message, such as "From here on it rains". */
bool mbox_from_parse(struct slice line, struct mbox_from *out) ATTR_WUR;
/* One of ours, with its line end. */
int mbox_from_format(int64_t date_s, uint64_t octets, struct buf *out) ATTR_WUR;

#endif
