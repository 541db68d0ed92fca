/* SPDX-License-Identifier: ISC */
/*
 * conn: an IMAP connection: the engines of client.h and signin.h over a socket and TLS, with time.
 * It never waits by itself: imap_conn_prepare() tells what for and how long, imap_conn_advance()
 * goes on.  imap_conn_pump() is the loop over the two for straight-line code, for several
 * connections at once, so that a thread that fills one of them keeps reading the others and nothing
 * waits in a circle.
 *
 * Every command is answered: when the connection breaks, or is closed, those on their way are
 * answered with CANCELLED (imap_client_cancel()).  Who leaves while some are on their way, into
 * what is about to go, abandons it first.
 */
#ifndef IMAPSYNC_IMAP_CONN_H
#define IMAPSYNC_IMAP_CONN_H

#include <poll.h>
#include "base/os/wait.h"
#include "imapsync/imap/client.h"
#include "imapsync/imap/outcome.h"
#include "imapsync/imap/place.h"

#define IMAP_UNTAGGED_MAX 8000000 /* untagged responses before a tagged one */

/* Why a connection is only good for closing. */
enum imap_broken {
    IMAP_BROKEN_NOT,
    IMAP_BROKEN_LOST,    /* it ended, it could not be begun, or the server broke the protocol */
    IMAP_BROKEN_REFUSED, /* not signed in */
    IMAP_BROKEN_SILENT,  /* the server did not answer in time; scope HOST */
    IMAP_BROKEN_LIMIT,   /* the time of the job is over */
    IMAP_BROKEN_STOPPED, /* somebody wants the job to end */
    IMAP_BROKEN_ABANDONED,
};

struct imap_conn;

/* Begins to look the name up and to connect; ready when it is secured, signed in and its
 * capabilities are known.  Both are borrowed for life; limits NULL: none but the server's time. */
struct imap_conn *imap_conn_start(const struct imap_place *place, const struct wait_limits *limits);
/* The same from a socket on that is connected already and does not block. */
struct imap_conn *imap_conn_adopt(
    const struct imap_place *place, const struct wait_limits *limits, int fd_own);
bool imap_conn_is_ready(const struct imap_conn *c);
/* Begins to say LOGOUT, where a command may be said.  RFC 9051 3.4 wants its answer to be read, but
 * the server keeps nothing of ours open: there is little time for it, and what breaks it is told as
 * for any command. */
void imap_conn_leave(struct imap_conn *c);
/* And nobody waits for what it still owes besides: there is as little time for that. */
void imap_conn_leave_soon(struct imap_conn *c);
/* The answer has come, or none will: it was not asked, or the connection has broken. */
bool imap_conn_has_left(const struct imap_conn *c);
void imap_conn_close(struct imap_conn **c); /* at once; NULL is fine */

const struct tls *imap_conn_tls(const struct imap_conn *c); /* NULL: none */
struct imap_client *imap_conn_client(struct imap_conn *c);
void imap_conn_events(struct imap_conn *c, const struct imap_events *events, void *arg);
/* Lines that could not be read, or not as a whole, so far; the first one of each kind is in the
 * log.
 */
uint64_t imap_conn_n_odd(const struct imap_conn *c);
enum imap_broken imap_conn_broken(const struct imap_conn *c);
/* It has died of a command that need not be given, and is not given again: avoided.h. */
bool imap_conn_has_avoided(const struct imap_conn *c);
bool imap_conn_is_broken(const struct imap_conn *c);
/* Breaks it: nothing is sent any more, and what was on its way is answered now. */
void imap_conn_abandon(struct imap_conn *c);
/* No bytes are read while it is paused: the server feels it by its window. */
void imap_conn_pause(struct imap_conn *c, bool on);

/* What it waits for (fd -1: nothing), and how long at most; -1: for ever, 0: it can go on now.
 * The cancel descriptor of the limits is for the caller to wait for besides. */
void imap_conn_prepare(struct imap_conn *c, struct pollfd *fd_out, int *timeout_ms_out);
/* Goes on as far as it can without waiting; revents as poll() gave them, 0 is always right.
 * *moved is set when bytes have moved or the connection has got further.  -1: it is broken, all its
 * commands have been answered; the same again whenever it is asked. */
int imap_conn_advance(struct imap_conn *c, short revents, bool *moved, struct err *err) ATTR_WUR;
/* Waits until at least one of the connections has moved bytes, and moves them; n <= 4.  -1: one of
 * them is broken; err says which and why. */
int imap_conn_pump(struct imap_conn *const *conns, size_t n, struct err *err) ATTR_WUR;

#endif
