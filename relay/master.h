/* SPDX-License-Identifier: ISC */
/*
 * master: keeps listeners and keys, starts workers and starts them anew when they die, and parses
 * nothing from the network.
 *
 * SIGHUP: reads the configuration anew; when it is good, new workers start with it on the same
 * sockets and the old ones retire: they finish what they have.  SIGTERM and SIGINT: all stop,
 * retired ones too, within the limits that the configuration sets; then it ends.  A worker that
 * dies is replaced, at once the first time and with a growing pause when it dies young again.
 */
#ifndef RELAY_MASTER_H
#define RELAY_MASTER_H

#include "base/core/attr.h"
#include "base/core/conf.h"
#include "base/core/err.h"

/* Takes over conf.  Returns an exit status; err is filled when it is not 0. */
int master_run_own(struct conf **conf, struct err *err) ATTR_WUR;

#endif
