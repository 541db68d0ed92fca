/* SPDX-License-Identifier: ISC */
/* frames: a connection on a loop that says JSON objects, as in maps/client_frame.h. */
#ifndef IMAPSYNC_JOBS_FRAMES_H
#define IMAPSYNC_JOBS_FRAMES_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/core/attr.h"
#include "base/os/loop.h"

#define FRAMES_OUT_MAX (32u << 20) /* whoever does not read that much is given up */

struct frames;

struct frames_events {
    void (*frame)(void *arg, const json_t *object); /* borrowed */
    /* What was sent has left. May be NULL. */
    void (*drained)(void *arg);
    /* The other end has gone, or has said what is no frame.  No event follows. */
    void (*closed)(void *arg);
};

/* Takes over fd; `events` is borrowed for life.  frames_free() is allowed in every event. */
struct frames *frames_new_own(
    struct loop *loop, int fd, const struct frames_events *events, void *arg);
void frames_free(struct frames **f);
/* An error of the other end is told by `closed`, later. */
void frames_send_own(struct frames *f, json_t *object);
bool frames_is_waiting(const struct frames *f); /* something has not left yet: drained will come */
void frames_deadline(struct frames *f, uint64_t delay_ms); /* then it is closed; 0: none */
/* What was sent leaves, and then it is closed. */
void frames_finish(struct frames *f);

#endif
