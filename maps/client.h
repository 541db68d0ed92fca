/* SPDX-License-Identifier: ISC */
/*
 * client: requests to coexist-mapd over its Unix socket RUN/mapd.sock, for straight-line programs
 * (maptool, coexist-sync).  Frames: four bytes of length, big-endian, then one JSON object; the
 * protocol is described in maps/store/control.h.  A request that changes something carries a
 * request id; asking again with the same id returns the recorded result, so a lost reply is
 * harmless.
 */
#ifndef MAPS_CLIENT_H
#define MAPS_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include <jansson.h>
#include "base/core/attr.h"
#include "base/core/err.h"
#include "base/core/slice.h"
#include "maps/client_frame.h"

#define CLIENT_REQUEST_ID_MAX 64

struct client;

/* timeout_ms bounds each call, from request to reply.  err: ERR_TEMP, EX_TEMPFAIL and "is
 * coexist-mapd running?" when nobody listens; EX_NOPERM when we may not connect. */
int client_open(
    const char *run_dir, uint64_t timeout_ms, struct client **out, struct err *err) ATTR_WUR;
void client_close(struct client **c);
/* The connection broke in the middle of a call: its request may or may not have been carried out.
 */
bool client_is_lost(const struct client *c);
/* Takes over request.  0 with *reply (the caller json_decref's it) when mapd says ok; else -1 and
 * err from the reply (class, exit code, text), *reply is the whole reply, NULL if there was none:
 * then nobody knows whether it was carried out, and the connection is of no further use. */
int client_call_own(struct client *c, json_t *request, json_t **reply, struct err *err) ATTR_WUR;
/* The same judgement of a reply that came another way. */
int client_reply_check(const json_t *reply, struct err *err) ATTR_WUR;
void client_request_id(char out[CLIENT_REQUEST_ID_MAX]); /* a new random one */

/* --- What a cut-over needs ------------------------------------------------------- */

enum client_barrier { CLIENT_BARRIER_CLEAR, CLIENT_BARRIER_AMBIGUOUS, CLIENT_BARRIER_TIMEOUT };

/* Holds the key ("@domain": all its users) for at most deadline_ms from now: *epoch_out is the
 * epoch of the hold, which ends by flip, release or deadline. */
int client_hold(struct client *c, const char *key, const char *owner, const char *request_id,
    uint64_t deadline_ms, const char *why, uint64_t *epoch_out, struct err *err) ATTR_WUR;
/* Waits until no delivery decided before `epoch` can still be committed. */
int client_barrier(struct client *c, const char *key, uint64_t epoch, uint64_t timeout_ms,
    enum client_barrier *out, struct err *err) ATTR_WUR;
/* Compare-and-set: only while the key is held with exactly this epoch.  *reply_out, when it is
 * done: the new "epoch", and "follow" and "followers" where anybody follows. */
int client_flip(struct client *c, const char *key, uint64_t epoch, const char *route,
    const char *request_id, const char *why, json_t **reply_out, struct err *err) ATTR_WUR;
int client_release(struct client *c, const char *key, uint64_t epoch, const char *request_id,
    const char *why, struct err *err) ATTR_WUR;
/* The route belongs to the cut-over no longer. */
int client_retire(struct client *c, const char *key, const char *request_id, const char *why,
    struct err *err) ATTR_WUR;
/* Route, state and epoch of one key as mapd has them: "entry" (as `maptool get --json`), and who
 * follows it, as above. */
int client_get(struct client *c, const char *key, json_t **reply_out, struct err *err) ATTR_WUR;

#endif
