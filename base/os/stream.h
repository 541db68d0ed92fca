/* SPDX-License-Identifier: ISC */
/*
 * stream: a non-blocking byte stream on a loop, plain or TLS, with a bounded output buffer.  It
 * knows no protocol: it offers bytes, takes bytes, and says when something ended.
 *
 * Order of events: connected (client only) -> data... -> closed.  All events come from the loop,
 * never from inside a call of the owner.  After closed no event follows; the owner frees the
 * stream.  stream_free() is allowed inside every callback.
 */
#ifndef BASE_OS_STREAM_H
#define BASE_OS_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include "base/core/attr.h"
#include "base/core/err.h"
#include "base/core/net.h"
#include "base/core/slice.h"
#include "base/os/loop.h"
#include "base/os/tls.h"

struct stream;

/* Only data and closed must be there. */
struct stream_events {
    void (*connected)(void *arg);
    /* Bytes are here.  Returns how many it used; the rest is kept (up to in_max) and offered again
     * together with what follows.  Called again at once while it makes progress and was not paused.
     */
    size_t (*data)(void *arg, struct slice in);
    /* Output that had to wait has left. */
    void (*drained)(void *arg);
    void (*secured)(void *arg); /* the TLS handshake is done */
    /* The peer has closed its side: no data will follow, but it may still listen.  The owner goes
     * on writing and ends with stream_finish().  Without this event the stream ends by itself when
     * what waited has left. */
    void (*ended)(void *arg);
    /* Ended: by the peer (err class ERR_NONE), by an error, or by a timeout. */
    void (*closed)(void *arg, const struct err *why);
};

struct stream_limits {
    /* Bytes kept that `data` did not use; more is a peer error, except while paused. */
    size_t in_max;
    size_t out_max; /* bytes waiting to be sent: the peer does not read */
};

/* Takes over fd (connected or, with is_connecting, about to be). `events` is borrowed for life. */
struct stream *stream_new_own(struct loop *loop, int fd, bool is_connecting,
    const struct stream_events *events, void *arg, struct stream_limits limits);
void stream_free(struct stream **s); /* closes at once */

/* Sends now what the socket takes and keeps the rest.  -1 when that would pass out_max: the owner
 * then gives the connection up, since a part may have left.  After the connection broke, 0:
 * closed() is on its way, behind what the peer said before. */
int stream_write(struct stream *s, struct slice bytes) ATTR_WUR;
/* Several writes leave in one segment: between cork and uncork nothing is sent. */
void stream_cork(struct stream *s);
void stream_uncork(struct stream *s);
size_t stream_unsent(const struct stream *s);
/* A write failed: what waited was thrown away, and what is written now goes nowhere. */
bool stream_is_broken(const struct stream *s);
/* Something is there that no event has told of yet: bytes, the end, or an error. */
bool stream_has_news(const struct stream *s);
void stream_pause(struct stream *s);  /* no more data events; the peer feels it by its window */
void stream_resume(struct stream *s); /* offers kept bytes again from the loop */
/* Sends what is pending, says goodbye (TLS, then the end of the stream), throws away what the peer
 * still sends for at most a second, so that our last words are not lost in a reset, then closes and
 * reports closed(ERR_NONE).  No data events follow. */
void stream_finish(struct stream *s);
/* A deadline for the whole next step, not per read: closed() with ERR_TEMP when it passes. 0: none.
 */
void stream_deadline(struct stream *s, uint64_t delay_ms);
/* Throws away all plain input that is still buffered; what was written before still leaves plain.
 * Then comes the handshake, and `secured`.  `name` as in tls_new(). */
int stream_start_tls(struct stream *s, struct tls_ctx *ctx, const char *name, bool is_client,
    struct err *err) ATTR_WUR;
const struct tls *stream_tls(const struct stream *s); /* NULL before `secured` */

#endif
