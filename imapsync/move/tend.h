/* SPDX-License-Identifier: ISC */
/* tend: what is done for a user whom nobody has asked for. */
#ifndef IMAPSYNC_MOVE_TEND_H
#define IMAPSYNC_MOVE_TEND_H

#include "imapsync/move/job.h"

/* What became of an interrupted cut-over is found out, and a hold of ours ends; user: the map's
 * key. */
int tend_settle(const struct conf *conf, const char *user, const struct move_events *events,
    void *arg, struct err *err) ATTR_WUR;
/* That, and behind the flip a look for late arrivals. */
int tend_sweep(const struct conf *conf, const char *user, const struct move_events *events,
    void *arg, struct err *err) ATTR_WUR;

#endif
