/* SPDX-License-Identifier: ISC */
/*
 * client_frame: the frames of the control sockets, for straight-line code on either end: four bytes
 * of length, big-endian, then one JSON object.
 */
#ifndef MAPS_CLIENT_FRAME_H
#define MAPS_CLIENT_FRAME_H

#include <jansson.h>
#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/err.h"

#define CLIENT_FRAME_HEAD 4
#define CLIENT_FRAME_MAX (16u << 20)
#define CLIENT_FRAME_FOREVER UINT64_MAX /* as a deadline */

/* fd is non-blocking, deadline_ms on the monotonic clock; `who` is the other end, for errors. After
 * an error the connection is of no further use. */
int client_frame_send(
    int fd, const json_t *object, uint64_t deadline_ms, const char *who, struct err *err) ATTR_WUR;
/* *out is the caller's. */
int client_frame_receive(
    int fd, json_t **out, uint64_t deadline_ms, const char *who, struct err *err) ATTR_WUR;

#endif
