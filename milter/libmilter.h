/* SPDX-License-Identifier: ISC */
/*
 * libmilter: the adapter between libmilter's callbacks and the judge.  libmilter keeps its state in
 * globals, so there is one filter per process.  Callbacks use milter_live_get(), so something must
 * have been published before libmilter runs; listening, threads and the end are in serve.c.
 */
#ifndef MILTER_LIBMILTER_H
#define MILTER_LIBMILTER_H

#include <stddef.h>
#include "base/core/attr.h"
#include "base/core/err.h"

/* The callbacks are ours from now on.  A byte 'i' is written to wake_fd when the last message ends
 * while draining. */
int libmilter_register(const char *run_dir, int wake_fd, struct err *err) ATTR_WUR;
/* New sessions and messages are told to come back; in shadow mode they go on. */
void libmilter_drain(void);
size_t libmilter_messages(void); /* between MAIL and the end of the message, now */

#endif
