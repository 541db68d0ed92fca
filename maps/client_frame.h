/* SPDX-License-Identifier: ISC */
/*
 * client_frame: the frames of the control sockets: four bytes of length, big-endian, then one JSON
 * object.  Sending and receiving are for straight-line code on either end.
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

static inline void client_frame_put_head(size_t n, unsigned char out[CLIENT_FRAME_HEAD])
{
    for (size_t i = 0; i < CLIENT_FRAME_HEAD; i++)
        out[i] = (unsigned char)(n >> 8 * (CLIENT_FRAME_HEAD - 1 - i));
}

static inline size_t client_frame_length(const unsigned char head[CLIENT_FRAME_HEAD])
{
    return (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
}

/* fd is non-blocking, deadline_ms on the monotonic clock; `who` is the other end, for errors. After
 * an error the connection is of no further use. */
int client_frame_send(
    int fd, const json_t *object, uint64_t deadline_ms, const char *who, struct err *err) ATTR_WUR;
/* *out is the caller's. */
int client_frame_receive(
    int fd, json_t **out, uint64_t deadline_ms, const char *who, struct err *err) ATTR_WUR;

#endif
