/* SPDX-License-Identifier: ISC */
/*
 * delivery: the address by which a server is given a recipient.  Pure.
 *
 * The rule that keeps a gateway from being somebody's open relay is kept here, on the address that
 * will be used: "%", "!" and "@" in a local part are a foreign address for some servers, so they
 * are only delivered when the map has an entry of exactly the recipient's key.
 */
#ifndef MAPS_DELIVERY_H
#define MAPS_DELIVERY_H

#include "maps/route.h"

enum delivery_verdict {
    DELIVERY_GOOD,
    DELIVERY_BROKEN,  /* the map's deliver_as makes no address that can be put on the wire */
    DELIVERY_FOREIGN, /* a server could read a foreign address in it */
};

/* d: the recipient's domain, rcpt as received, key its key, deliver_as of the entry that decided.
 * out is terminated, and empty unless the verdict is GOOD. */
enum delivery_verdict delivery_address(const struct conf_domain *d, struct slice rcpt,
    struct slice key, enum decide_by by, struct slice deliver_as, char out[ROUTE_KEY_MAX + 1]);
/* A local part as written, in which some server could read a foreign address. */
bool delivery_is_foreign(struct slice local);

#endif
