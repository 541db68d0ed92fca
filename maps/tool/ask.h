/* SPDX-License-Identifier: ISC */
/* ask: does a server know these addresses?  MAIL FROM:<> and RCPT, and no message, over one
 * connection and not faster than it bears. */
#ifndef MAPS_TOOL_ASK_H
#define MAPS_TOOL_ASK_H

#include "maps/tool/arrivals.h"

#define ASK_RATE_DEFAULT 10
#define ASK_RATE_MAX 1000

/* Sets `known` of each of which it is not: taken, or refused as nobody of this server; it stays as
 * it is where the server says something else.  rate: addresses a second. -1: the server cannot be
 * asked, or no more; what it has said stands. */
int ask_server(const struct conf *conf, const struct conf_server *server, uint64_t rate,
    struct arrivals *all, struct err *err) ATTR_WUR;

#endif
