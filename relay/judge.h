/* SPDX-License-Identifier: ISC */
/*
 * judge: asks the map.  The only part of the relay that knows configuration, map, trace keys and
 * the wall clock together; one per worker.
 */
#ifndef RELAY_JUDGE_H
#define RELAY_JUDGE_H

#include "base/core/attr.h"
#include "base/core/conf.h"
#include "base/core/slice.h"
#include "maps/route.h"
#include "maps/trace.h"
#include "relay/answer.h"

struct judge { /* all borrowed */
    const struct conf *conf;
    struct route_view view;
    const struct trace_keys *keys;
    struct arena *mem; /* for the decision at hand */
};

/* source_server: where the client belongs, CONF_SERVER_NONE for outside.  DELIVER has exactly one
 * delivery, to a server.  The decision is good until the judge is asked again. */
void judge_rcpt(const struct judge *j, struct slice sender, struct slice rcpt, int source_server,
    struct decision *out);
/* Judges all accepted recipients again, now with the header's stamps and hops.  0: the decisions
 * stand; -1: the message is refused with *refusal_out. */
int judge_header(const struct judge *j, struct slice header, int source_server,
    const struct decision *decisions, size_t n, struct answer *refusal_out) ATTR_WUR;
/* The stamp that goes in front of the header. */
int judge_stamp(
    const struct judge *j, const struct decision *decisions, size_t n, struct buf *out) ATTR_WUR;
/* How many bytes that stamp has for this recipient alone. */
size_t judge_stamp_size(const struct judge *j, const struct decision *d);

#endif
