/* SPDX-License-Identifier: ISC */
/*
 * libmilter: the adapter between libmilter's callbacks and the judge, and the only file that knows
 * mfapi.h.  libmilter keeps its state in globals, so there is one milter per process.
 *
 *     libmilter_open(conf, &err);            lock and socket; privileges may be dropped behind it
 *     libmilter_start(wake_fd, &err);        threads; callbacks use milter_live_get()
 *     libmilter_drain();                     new sessions and messages are told to come back
 *     ... until libmilter_messages() == 0 or nobody wants to wait any longer
 *     exit
 *
 * A byte is written to wake_fd when the last message ends while draining ('i') and when libmilter
 * has ended by itself ('e').
 */
#ifndef MILTER_LIBMILTER_H
#define MILTER_LIBMILTER_H

#include <stddef.h>
#include "base/core/attr.h"
#include "base/core/conf.h"
#include "base/core/err.h"

#define LIBMILTER_PACKET_MAX (256u * 1024) /* from the MTA; its header fields end well below */
#define LIBMILTER_PACKET_TIMEOUT_S 60      /* for the rest of a packet that has begun */

int libmilter_open(const struct conf *conf, struct err *err) ATTR_WUR;
int libmilter_start(int wake_fd, struct err *err) ATTR_WUR;
void libmilter_drain(void);
size_t libmilter_messages(void); /* between MAIL and the end of the message, now */

#endif
