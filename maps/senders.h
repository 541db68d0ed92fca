/* SPDX-License-Identifier: ISC */
/* senders: whether an entry takes mail from somebody. Pure. */
#ifndef MAPS_SENDERS_H
#define MAPS_SENDERS_H

#include <stdbool.h>
#include "maps/route.h"

/* By the entry's `senders`; a request without a sender is never refused. */
bool senders_may(
    const struct conf *conf, const struct route_entry *entry, const struct decide_request *req);
/* "only ... may send there", for `explain`. */
const char *senders_name(const struct route_entry *entry);

#endif
