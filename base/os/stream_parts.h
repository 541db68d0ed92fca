/* SPDX-License-Identifier: ISC */
/* stream_parts: what the files of stream share among themselves. */
#ifndef BASE_OS_STREAM_PARTS_H
#define BASE_OS_STREAM_PARTS_H

#include "base/core/buf.h"
#include "base/os/stream.h"

/*
 * CONNECTING -> PLAIN -> HANDSHAKE -> SECURE for a client; a server starts at PLAIN.  LINGER and
 * CLOSED are reached from everywhere.  In HANDSHAKE the plain output of before still has to leave.
 */
enum stream_state {
    STREAM_CONNECTING,
    STREAM_PLAIN,
    STREAM_HANDSHAKE,
    STREAM_SECURE,
    STREAM_LINGER,
    STREAM_CLOSED
};

struct stream {
    struct loop *loop;
    struct loop_io *io;
    struct loop_timer *deadline;
    struct loop_timer *kick; /* fires at once: work that may not be done inside the owner's call */
    const struct stream_events *events;
    void *arg;
    struct stream_limits limits;
    struct tls *tls;
    struct buf in, out;
    struct err broken; /* class ERR_NONE until a write failed */
    enum stream_state state;
    size_t plain_out; /* HANDSHAKE: bytes of `out` that were written before it */
    int fd, busy;
    bool is_alive, is_paused, is_corked, is_finishing, has_ended;
    bool must_offer;      /* what a pause left behind comes before anything new */
    bool tls_wants_write; /* a read or handshake that waits for room in the socket */
};

/* --- stream.c ------------------------------------------------------------------------------- */

/* Everything is closed before the owner hears of it; the owner may free us then. */
void stream_close_with(struct stream *s, const struct err *why);
/* With the error of a failed write, if there was one. */
void stream_close_cleanly(struct stream *s);
void stream_kick_in(struct stream *s, uint64_t delay_ms);
void stream_update_interest(struct stream *s);

/* --- stream_out.c --------------------------------------------------------------------------- */

bool stream_can_send(const struct stream *s);
/* Sends from the buffer what the socket takes.  During a handshake that is only what was written
 * before it: nothing that is meant to be secret may leave in the clear. */
void stream_flush(struct stream *s);
/* An emptied buffer that grew gives its memory back. */
void stream_shrink(struct buf *b);

/* --- stream_in.c ---------------------------------------------------------------------------- */

/* Offers what a pause has left behind, then reads once if it may. */
void stream_take_in(struct stream *s, bool can_read);
/* Nothing can be written any more.  What the peer said before is offered; a plain descriptor tells
 * of its end by itself, one with TLS may not. */
void stream_hear_last_words(struct stream *s);

#endif
