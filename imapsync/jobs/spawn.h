/* SPDX-License-Identifier: ISC */
/*
 * spawn: a worker's process.  It is exec'ed, since a fork inherits the flocks that we have and the
 * regions of our database.  It reads the configuration from a copy of ours in memory, so that a
 * file that somebody is editing is nobody's.
 */
#ifndef IMAPSYNC_JOBS_SPAWN_H
#define IMAPSYNC_JOBS_SPAWN_H

#include <sys/types.h>
#include "base/core/attr.h"
#include "base/core/err.h"

#define SPAWN_COMMAND "worker" /* of coexist-sync */

/* A copy of this file, as it is now. */
int spawn_copy_conf(const char *path, int *fd_out, struct err *err) ATTR_WUR;
/* Our own program as a worker; *fd_out: our end of its pipe, non-blocking.  verbose: so many -v. */
int spawn_worker(int conf_fd, int verbose, pid_t *pid_out, int *fd_out, struct err *err) ATTR_WUR;

#endif
