/* SPDX-License-Identifier: ISC */
/*
 * origin: the decision for an address that somebody was rewritten to.  A mail server that asks for
 * deliver_as and puts it in the recipient's place asks for the route of that address then, which
 * the map has under the recipient's key.  Pure.
 */
#ifndef MAPS_LOOKUP_ORIGIN_H
#define MAPS_LOOKUP_ORIGIN_H

#include <stdbool.h>
#include "base/core/conf.h"
#include "maps/lookup/socketmap.h"

/* True when some entry that decides now is delivered by this address; out is the decision for that
 * recipient then.  Of several a held one comes first, then the one whose epoch is highest. */
bool origin_decide(const struct conf *conf, const struct route_view *view,
    const struct socketmap_origins *origins, struct slice address, int64_t now_s, struct arena *mem,
    struct decision *out);

#endif
