/* SPDX-License-Identifier: ISC */
/*
 * deliveries: which entries of the map have an address as the one that they are delivered by
 * (deliver_as), for mail servers that rewrite the recipient first and ask for its route then.
 *
 *     d = deliveries_new(snapshot, conf);
 *     struct socketmap_origins o = deliveries_origins(d);
 *     o.find(o.arg, SLICE_LIT("ann@tenant.test"), on_key, arg);
 */
#ifndef MAPS_LOOKUP_DELIVERIES_H
#define MAPS_LOOKUP_DELIVERIES_H

#include "maps/lookup/socketmap.h"
#include "maps/snapshot.h"

struct deliveries;

struct deliveries *deliveries_new(struct snapshot *snapshot, const struct conf *conf);
void deliveries_free(struct deliveries **d);
/* The keys are those of another configuration: everything is read anew. */
void deliveries_set_conf(struct deliveries *d, const struct conf *conf);
/* As long as d. */
struct socketmap_origins deliveries_origins(struct deliveries *d);

#endif
