/* SPDX-License-Identifier: ISC */
/*
 * stop: a command that SIGINT or SIGTERM ends in order.  The second signal ends it at once.
 */
#ifndef IMAPSYNC_STOP_H
#define IMAPSYNC_STOP_H

#include <stdbool.h>

/* From then on. */
void stop_catch(void);
bool stop_is_wanted(void);
/* Readable once it is; -1: nobody has called stop_catch(). */
int stop_fd(void);

#endif
