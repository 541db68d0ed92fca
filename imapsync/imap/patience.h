/* SPDX-License-Identifier: ISC */
/*
 * patience: how long a peer has been waited for.
 *
 * Only time counts that was spent waiting for the peer, from a patience_wait() to the look behind
 * it, and never more than that wait was to last: a connection that nobody used, or a process that
 * was stopped, is not late.  Whether it is over is asked behind the look at what has come
 * meanwhile.
 *
 *     left_ms = patience_wait(&p, now, is_owed);
 *     poll(..., left_ms);
 *     patience_look(&p, now);
 *     ... read; patience_progress(&p) ...
 *     if (patience_is_over(&p)) ...
 */
#ifndef IMAPSYNC_IMAP_PATIENCE_H
#define IMAPSYNC_IMAP_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

#define PATIENCE_OCTETS 4096 /* fewer octets are no progress */
#define PATIENCE_BARE 10 /* so many timeouts without octets and without an answer are too many */

struct patience {
    uint64_t timeout_ms;
    uint64_t waited_ms; /* without progress */
    uint64_t bare_ms;   /* without an answer to a command and without octets */
    uint64_t octets;    /* too few yet */
    uint64_t total_ms;  /* of patience_limit() */
    uint64_t limit_ms;  /* 0: none */
    uint64_t from_ms;   /* of the wait */
    uint64_t asked_ms;  /* 0: there is no wait */
};

void patience_init(struct patience *p, uint64_t timeout_ms);
/* All the waiting from here on together has an end, whatever comes meanwhile; 0: not any more. */
void patience_limit(struct patience *p, uint64_t limit_ms);
/* A wait begins.  is_owed: the peer has something to do.  Milliseconds until it has taken too long;
 * UINT64_MAX: it owes nothing. */
uint64_t patience_wait(struct patience *p, uint64_t now_ms, bool is_owed);
void patience_look(struct patience *p, uint64_t now_ms);
bool patience_is_over(const struct patience *p);

void patience_progress(struct patience *p);           /* data that somebody waits for */
void patience_octets(struct patience *p, uint64_t n); /* of a body that came, or sent */
void patience_answer(struct patience *p);             /* a command has its answer */

#endif
