/* SPDX-License-Identifier: ISC */
/*
 * reserve: a file of RESERVE_BYTES beside the map that nobody reads.  A start has to write, because
 * Berkeley DB recovers; on a full disk it could not, and after a reboot, which takes the snapshot
 * away, that would stop all mail.  Then the reserve is given up for the recovery.
 *
 * It is enough for what was written since the last checkpoint by ordinary changes, not for a large
 * import that was cut off.
 */
#ifndef MAPS_STORE_RESERVE_H
#define MAPS_STORE_RESERVE_H

#include <stdbool.h>

#define RESERVE_NAME "reserve"
#define RESERVE_BYTES (16L << 20)
/* It is made only where this many times as much is free: on a small disk it would do harm. */
#define RESERVE_SHARE 4

/* home: the directory of the map.  Failures are not worth more than a log line. */
void reserve_make(const char *home);
bool reserve_give_up(const char *home); /* false: there was none */

#endif
