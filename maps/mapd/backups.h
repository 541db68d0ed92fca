/* SPDX-License-Identifier: ISC */
/*
 * backups: a thread of mapd that makes backup sets (maps/store/backup.h) by itself: one at the
 * start, one each mapd { backup }, and one soon after an import, a wave or a revert; none while
 * nothing has changed.  It reads the map through the socket as others do, a page at a time, so that
 * no request waits for a backup.
 */
#ifndef MAPS_MAPD_BACKUPS_H
#define MAPS_MAPD_BACKUPS_H

#include "base/core/attr.h"
#include "base/core/conf.h"
#include "base/core/err.h"

struct backups;

/* conf is copied. */
int backups_new(const struct conf *conf, struct backups **out, struct err *err) ATTR_WUR;
void backups_wanted(struct backups *b); /* much has changed at once */
void backups_reload(struct backups *b, const struct conf *conf);
/* The socket has to be served meanwhile: what is in the works is given up, as by a kill. */
void backups_free(struct backups **b);

#endif
