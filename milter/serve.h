/* SPDX-License-Identifier: ISC */
/*
 * serve: the life of the filter, from the socket to the end.
 *
 *     serve_open(conf, wake_fd, &err);       lock and socket, made by whoever we are now
 *     serve_start(&err);                     threads
 *     serve_drain();                         new sessions and messages are told to come back
 *     ... until libmilter_messages() == 0 or nobody wants to wait any longer
 *     _exit                                  libmilter's threads are still there
 *
 * A byte is written to wake_fd when the last message ends while draining ('i') and when libmilter
 * has ended by itself ('e').
 */
#ifndef MILTER_SERVE_H
#define MILTER_SERVE_H

#include "base/core/attr.h"
#include "base/core/conf.h"
#include "base/core/err.h"

#define SERVE_PACKET_MAX (256u * 1024) /* from the MTA; its header fields end well below */
#define SERVE_PACKET_TIMEOUT_S 60      /* for the rest of a packet that has begun */

int serve_open(const struct conf *conf, int wake_fd, struct err *err) ATTR_WUR;
int serve_start(struct err *err) ATTR_WUR;
void serve_drain(void);

#endif
