/* SPDX-License-Identifier: ISC */
/*
 * supervisor: who is worked on, and by whom: the queue, the store and the workers' processes in one
 * loop.  `coexist-sync run` is one until it is stopped; a command where there is none is one until
 * what it was asked for has come to its end.
 *
 * The death of a worker costs one step of one user, which is begun again; after sync.deaths_max of
 * them he is set aside with the reason.  The end of the supervisor ends its workers at once; the
 * next one finds out what they were at.
 */
#ifndef IMAPSYNC_JOBS_SUPERVISOR_H
#define IMAPSYNC_JOBS_SUPERVISOR_H

#include <jansson.h>
#include "base/core/attr.h"
#include "base/core/conf.h"
#include "base/core/err.h"

#define SUPERVISOR_STOP_MS 60000 /* for users whose mail waits, at SIGTERM */

/* Until SIGTERM or SIGINT.  SIGHUP: conf_path is read again, for what begins from then on. */
int supervisor_run_own(
    const char *conf_path, int verbose, struct conf *conf, struct err *err) ATTR_WUR;

/* Carries out one request (move/remote.h), and what others ask for meanwhile.  As remote_call():
 * 0 with the status; 1: somebody else is the supervisor; -1.  The first SIGINT or SIGTERM calls the
 * user back. */
int supervisor_once(const char *conf_path, int verbose, const struct conf *conf,
    const json_t *request, void (*line)(void *arg, const json_t *line), void *arg, int *status_out,
    struct err *err) ATTR_WUR;

#endif
