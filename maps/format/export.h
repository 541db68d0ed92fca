/* SPDX-License-Identifier: ISC */
/*
 * export: the map in formats of others, one entry at a time, pure.
 *
 *     struct export x = {.conf = conf, .format = EXPORT_CSV};
 *     export_begin(&x, out);
 *     export_hold_domain(&x, key) ...; export_entry(&x, key, entry, out) ...;
 *     export_end(&x, out);
 *     export_fini(&x);
 *
 * Entries come in the order of their keys, so domains that are held have to be told before.
 */
#ifndef MAPS_FORMAT_EXPORT_H
#define MAPS_FORMAT_EXPORT_H

#include <stdbool.h>
#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/conf.h"
#include "maps/route.h"

enum export_format { EXPORT_CSV, EXPORT_POSTFIX_TRANSPORT };

struct export_domain;
struct export_cased;

struct export
{
    const struct conf *conf;
    enum export_format format;
    /* What the format cannot say. */
    size_t deliver_as, held;       /* entries whose whole meaning it cannot */
    size_t left_out;               /* entries that it cannot have at all, and the first of them */
    struct buf left_out_names;     /* a line each */
    size_t deferred;               /* domains whose own line waits instead, for their sake */
    struct export_domain *domains; /* by index in conf->domains */
    struct export_cased *cased;    /* lines that wait for the end */
    size_t n_cased, cap_cased;
};

int export_format_parse(const char *name, enum export_format *out) ATTR_WUR;
/* All return -1 when out is full.  After a begin, whatever it returned, comes a fini; begin may be
 * called anew before it. */
int export_begin(struct export *x, struct buf *out) ATTR_WUR;
void export_hold_domain(struct export *x, struct slice key); /* "@domain" */
int export_entry(
    struct export *x, struct slice key, const struct route_entry *entry, struct buf *out) ATTR_WUR;
int export_end(struct export *x, struct buf *out) ATTR_WUR;
void export_fini(struct export *x); /* the counters stay */

#endif
