/* SPDX-License-Identifier: ISC */
/*
 * export: the map in formats of others, one entry at a time, pure.
 *
 *     struct export x = {.conf = conf, .format = EXPORT_CSV};
 *     export_begin(&x, out); export_entry(&x, entry, out) ...; export_end(&x, out);
 *
 * Entries come in the order of their keys.
 */
#ifndef MAPS_FORMAT_EXPORT_H
#define MAPS_FORMAT_EXPORT_H

#include <stdbool.h>
#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/conf.h"
#include "maps/route.h"

enum export_format { EXPORT_CSV, EXPORT_POSTFIX_TRANSPORT };

struct export
{
    const struct conf *conf;
    enum export_format format;
    /* Entries whose whole meaning the format cannot say; what they need stands beside them. */
    size_t deliver_as_lost, quoted_lost, held;
    bool *domain_seen; /* by index in conf->domains: has an "@domain" entry */
};

int export_format_parse(const char *name, enum export_format *out) ATTR_WUR;
/* All return -1 when out is full. */
int export_begin(struct export *x, struct buf *out) ATTR_WUR;
int export_entry(
    struct export *x, struct slice key, const struct route_entry *entry, struct buf *out) ATTR_WUR;
int export_end(struct export *x, struct buf *out) ATTR_WUR; /* frees what export_begin made */

#endif
