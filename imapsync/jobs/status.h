/* SPDX-License-Identifier: ISC */
/* status: where each user stands, as JSON: his record, and what was asked for. */
#ifndef IMAPSYNC_JOBS_STATUS_H
#define IMAPSYNC_JOBS_STATUS_H

#include <jansson.h>
#include "base/core/attr.h"
#include "base/core/conf.h"
#include "imapsync/jobs/queue.h"
#include "imapsync/move/record.h"

/* brief: without the report and what only a restart needs. */
json_t *status_user(const struct queue *q, const struct move_record *r, bool brief);
/* Adds those who have no record yet. */
void status_waiting(const struct queue *q, json_t *users);

/* All users, from whoever has the store, or from the store itself where nobody has; some at a time:
 * {"users": [...]}. */
int status_ask(const struct conf *conf, bool brief, void (*some)(void *arg, const json_t *line),
    void *arg, struct err *err) ATTR_WUR;

#endif
