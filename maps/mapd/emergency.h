/* SPDX-License-Identifier: ISC */
/*
 * emergency: the map as tables by which Postfix or Sendmail can route when nothing of ours runs any
 * more (docs/recipes/emergency.md).  STATE/emergency has a file for each table of maps/format/
 * export.h under the name of its format, and `generation`, which says of when they are.
 *
 * A thread of its own writes them from the snapshot, so that no change waits for it: soon after a
 * change, but not more often than mapd { emergency } says, and once more at the end.
 */
#ifndef MAPS_MAPD_EMERGENCY_H
#define MAPS_MAPD_EMERGENCY_H

#include "base/core/attr.h"
#include "base/core/conf.h"
#include "base/core/err.h"

#define EMERGENCY_DIR "emergency"
#define EMERGENCY_GENERATION "generation"

struct emergency;

/* conf is copied.  The first files are written at once. */
int emergency_new(const struct conf *conf, struct emergency **out, struct err *err) ATTR_WUR;
void emergency_changed(struct emergency *e); /* something was published */
void emergency_reload(struct emergency *e, const struct conf *conf);
void emergency_free(struct emergency **e); /* with the files as the map is now */

/* One round, in the caller's thread.  All files are replaced, or none; of which generation. */
int emergency_write(const struct conf *conf, uint64_t *generation_out, struct err *err) ATTR_WUR;

#endif
