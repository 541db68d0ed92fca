/* SPDX-License-Identifier: ISC */
/*
 * server: coexist-lookup's listener and its clients on one loop.  A request is answered in the same
 * turn of the loop in which it arrives; nothing here ever waits.
 */
#ifndef MAPS_LOOKUP_SERVER_H
#define MAPS_LOOKUP_SERVER_H

#include "base/core/attr.h"
#include "base/core/conf.h"
#include "base/core/err.h"
#include "base/os/loop.h"

#define SERVER_UNSENT_MAX 65536 /* replies that a client has not read; more stops its reading */

struct lookup_server;

/* Listens. conf is borrowed until lookup_server_set_conf() or lookup_server_free(). */
int lookup_server_new(struct loop *loop, const struct conf *conf, struct lookup_server **out,
    struct err *err) ATTR_WUR;
/* From the next request on. The listening address and the folder of the snapshot stay. */
void lookup_server_set_conf(struct lookup_server *s, const struct conf *conf);
void lookup_server_free(struct lookup_server **s); /* closes every client */

#endif
