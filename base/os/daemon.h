/* SPDX-License-Identifier: ISC */
/*
 * daemon: readiness, signals and identity of a long-running process.  It stays in the foreground;
 * a supervisor starts and stops it.
 */
#ifndef BASE_OS_DAEMON_H
#define BASE_OS_DAEMON_H

#include <sys/types.h>
#include "base/core/attr.h"
#include "base/core/err.h"

/* Ignores SIGPIPE and SIGXFSZ, sets umask 027, raises the descriptor limit to its hard limit. */
void daemon_setup(void);
/* sd_notify READY=1 (if NOTIFY_SOCKET is set) and the log line event=ready. */
void daemon_ready(void);
void daemon_notify(const char *state); /* "STOPPING=1", "RELOADING=1" */
/* As root: becomes `user` (its groups included) and can never come back; else nothing. */
int daemon_drop_privileges(const char *user, struct err *err) ATTR_WUR;
/* Makes the directory if it is missing; as root it then belongs to `user` (NULL: to root). */
int daemon_prepare_dir(const char *path, mode_t mode, const char *user, struct err *err) ATTR_WUR;

#endif
