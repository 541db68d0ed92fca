/* SPDX-License-Identifier: ISC */
/*
 * backend: whoever answers maptool's requests: coexist-mapd, or, while none runs, the store itself
 * under its lock.  The requests are those of maps/store/control.h in both cases.
 */
#ifndef MAPS_TOOL_BACKEND_H
#define MAPS_TOOL_BACKEND_H

#include <jansson.h>
#include <stdbool.h>
#include "base/core/attr.h"
#include "base/core/conf.h"
#include "base/core/err.h"

#define BACKEND_TIMEOUT_MS 300000 /* the commit of a large import */
#define BACKEND_OPEN_WAIT_MS 10000

struct backend;

/* Waits up to BACKEND_OPEN_WAIT_MS while mapd is starting or another maptool has the store. */
int backend_open(const struct conf *conf, struct backend **out, struct err *err) ATTR_WUR;
void backend_close(struct backend **b);
bool backend_is_offline(const struct backend *b);
/* As client_call_own(). */
int backend_call_own(struct backend *b, json_t *request, json_t **reply, struct err *err) ATTR_WUR;

#endif
