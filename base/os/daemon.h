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
#include "base/os/user.h"

/* Ignores SIGPIPE and SIGXFSZ, sets umask 027, raises the descriptor limit to its hard limit. */
void daemon_setup(void);
/* sd_notify READY=1 (if NOTIFY_SOCKET is set) and the log line event=ready. */
void daemon_ready(void);
void daemon_notify(const char *state); /* "STOPPING=1", "RELOADING=1" */
/* As root: becomes this user with these groups and can never come back; else nothing. */
int daemon_become(const struct user *user, struct err *err) ATTR_WUR;
/* As root: the directory is there and belongs to this user and group with this mode.  Root makes
 * nothing in a folder of somebody else's, follows no link, takes nothing from a third user, and
 * gives away no folder that has others in it, since that may be one of the system: those are
 * errors.  Not as root: makes it if it is missing. */
int daemon_prepare_dir(
    const char *path, mode_t mode, uid_t uid, gid_t gid, struct err *err) ATTR_WUR;

#endif
