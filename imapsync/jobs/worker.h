/* SPDX-License-Identifier: ISC */
/*
 * worker: one user's step in a process of its own: `coexist-sync worker`, which only the supervisor
 * starts.  Its end of the pipe (channel.h) is its standard input.
 */
#ifndef IMAPSYNC_JOBS_WORKER_H
#define IMAPSYNC_JOBS_WORKER_H

#include "base/core/attr.h"
#include "base/core/conf.h"
#include "base/core/err.h"

/* Does what it is told, and tells what became of it.  -1: it could not even be told. */
int worker_run(const struct conf *conf, int fd, struct err *err) ATTR_WUR;

#endif
