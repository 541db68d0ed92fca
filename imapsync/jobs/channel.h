/* SPDX-License-Identifier: ISC */
/*
 * channel: a worker's end of its pipe to the supervisor.  The supervisor has the store; what a
 * worker wants to have written down it says here, and goes on when it is.
 *
 *   supervisor  {"run": {"op": "cutover" | "rollback" | "retire" | "settle" | "sweep", "user",
 *               "to", "delete_percent", "accept", "record", "share"}}     first, once
 *   worker      {"save": RECORD}                              -> {"good": true} or {"error": {...}}
 *   worker      {"gate": {"enter": SERVER, "user", "digest"}} -> the same
 *   worker      {"gate": {"passed" | "refused": SERVER, "user", "error"}}      no answer
 *   worker      {"line": {...}}, {"silent": SERVER}                            no answer
 *   worker      {"end": {"status", "class", "code", "text"}}                   last
 *   supervisor  {"back": true}                     somebody wants this user to stay where he is
 *
 * The end of the pipe is the end of the supervisor.  Then nothing may be begun any more, and what
 * is under way is settled by whoever comes next: the process ends at once, wherever it is.
 */
#ifndef IMAPSYNC_JOBS_CHANNEL_H
#define IMAPSYNC_JOBS_CHANNEL_H

#include <jansson.h>
#include <stdbool.h>
#include "base/core/attr.h"
#include "base/core/err.h"

struct channel;

/* *run_out: what is to be done; the caller's. */
int channel_open(int fd, struct channel **out, json_t **run_out, struct err *err) ATTR_WUR;
bool channel_wants_back(struct channel *c);
int channel_cancel_fd(const struct channel *c); /* readable when it does */
/* For the thread that works: one at a time. */
void channel_say_own(struct channel *c, json_t *frame);
/* -1: refused, err says why. */
int channel_ask_own(struct channel *c, json_t *frame, struct err *err) ATTR_WUR;

json_t *channel_err_json(const struct err *err);
void channel_err_from(const json_t *json, struct err *out);

#endif
