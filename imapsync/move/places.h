/* SPDX-License-Identifier: ISC */
/*
 * places: what a restore of the map is to know of a user (maps/moved.h): on which server, and by
 * which flip.
 */
#ifndef IMAPSYNC_MOVE_PLACES_H
#define IMAPSYNC_MOVE_PLACES_H

#include "imapsync/move/job.h"

/* Before the flip is asked for, durably: from then on the user may be there. */
int places_flip(const struct move_job *j, struct err *err) ATTR_WUR;
/* There was none after all. */
void places_no_flip(const struct move_job *j);
/* Somebody has changed the route by hand: we know nothing of the user any more. */
void places_changed_by_hand(const struct move_job *j);
/* The user is where the flip has brought him, and the route is nobody's. */
int places_retired(const struct move_job *j, struct err *err) ATTR_WUR;

#endif
