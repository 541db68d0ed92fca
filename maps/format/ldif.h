/* SPDX-License-Identifier: ISC */
/*
 * ldif: the people and lists of a directory as LDIF (RFC 2849) has them, one line at a time
 * (lines.h, LINES_LDIF); pure.
 *
 *     struct ldif l;
 *     ldif_init(&l, &site);
 *     ldif_line(&l, line, text, err) ...; ldif_finish(&l, err);
 *     ldif_fini(&l);
 */
#ifndef MAPS_FORMAT_LDIF_H
#define MAPS_FORMAT_LDIF_H

#include <stdbool.h>
#include "base/core/attr.h"
#include "base/core/buf.h"
#include "maps/format/site.h"

#define LDIF_ENTRY_MAX ((size_t)1 << 16) /* bytes of what is kept of one entry */
#define LDIF_NAMES_MAX 512               /* addresses of one entry */

struct ldif {
    const struct site *site;
    size_t line; /* of the entry's dn; 0: none has begun */
    bool is_change, is_group, has_primary;
    size_t n_unnamed; /* entries without an address */
    /* What is kept of the entry: addresses first to last, behind each a "\n". */
    struct buf names, x500, members, cn, host, routing;
    size_t n_names; /* in names and x500 */
};

void ldif_init(struct ldif *l, const struct site *site);
void ldif_fini(struct ldif *l);
int ldif_line(struct ldif *l, size_t line, struct slice text, struct err *err) ATTR_WUR;
int ldif_finish(struct ldif *l, struct err *err) ATTR_WUR;

#endif
