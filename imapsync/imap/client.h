/* SPDX-License-Identifier: ISC */
/*
 * client: the IMAP client as an engine: bytes in, bytes out, events; no socket, no clock.
 *
 * Commands are composed piece by piece and may be pipelined; a literal that the server has to
 * agree to first stops the output until its "+" comes, and only the output.  Each command has one
 * callback for its tagged answer.  Untagged data goes to the events in the order it comes; the
 * octets of message bodies go there while they arrive.
 *
 * What cannot be read is told (events.odd) and passed over: a line, an answer to no command, a body
 * that is part of nothing.  An answer to one of ours that cannot be read is a BAD.  What ends the
 * connection is a literal without an end, a greeting that is none, and whatever could be an attack:
 * a sign-in that we did not make, anything odd before TLS.
 */
#ifndef IMAPSYNC_IMAP_CLIENT_H
#define IMAPSYNC_IMAP_CLIENT_H

#include "base/core/err.h"
#include "imapsync/imap/caps.h"
#include "imapsync/imap/response.h"

enum imap_session {
    IMAP_SESSION_GREETING, /* nothing has come yet */
    IMAP_SESSION_OPEN,     /* greeted, not signed in */
    IMAP_SESSION_PREAUTH,  /* greeted by PREAUTH: signed in as someone we did not choose */
    IMAP_SESSION_BYE,      /* the server said BYE */
};

struct imap_client;

struct imap_events {
    void (*untagged)(void *arg, const struct imap_response *r);
    /* A message body: begin, data..., end, then `untagged` with the whole FETCH response.  uid is 0
     * when the server has not told it before the body. */
    void (*body_begin)(void *arg, uint32_t uid, uint64_t size);
    void (*body_data)(void *arg, struct slice octets);
    void (*body_end)(void *arg);
    /* A line could not be read, or not all of it; is_kept: `untagged` gets what could be, behind
     * this.  line: without its line break, and empty where there was nothing else. */
    void (*odd)(void *arg, const struct imap_response *r, bool is_kept, struct slice line);
};

typedef void imap_done_fn(void *arg, const struct imap_response *r);

struct imap_client *imap_client_new(void);
/* As imap_client_cancel() first; wipes what it still holds. */
void imap_client_free(struct imap_client **c);
/* The connection is over: every command without an answer gets one of its own, with the status
 * CANCELLED, the oldest first.  Commands that are composed from now on go nowhere and wait for the
 * next cancel; a callback that composes one here is answered here. */
void imap_client_cancel(struct imap_client *c);
/* Callbacks may compose commands.  events is borrowed until the next call; NULL drops all data. */
void imap_client_events(struct imap_client *c, const struct imap_events *events, void *arg);

/* --- Bytes --------------------------------------------------------------------- */

/* Takes all of in. -1: the server broke the protocol; the connection is of no more use. */
int imap_client_feed(struct imap_client *c, struct slice in, struct err *err) ATTR_WUR;
/* What may be sent now; borrowed until the next call. */
struct slice imap_client_out(const struct imap_client *c);
void imap_client_sent(struct imap_client *c, size_t n);
size_t imap_client_unsent(const struct imap_client *c); /* with what waits for a "+" */
/* So much waits that nothing more is to be composed, not even the next literal of a command that
 * has begun: that one is to be ended, or goes on when there is room again. */
bool imap_cmd_is_full(const struct imap_client *c);
/* -1: it was filled all the same, until bytes were lost; the connection is of no more use. */
int imap_client_check(const struct imap_client *c, struct err *err) ATTR_WUR;

/* --- State --------------------------------------------------------------------- */

enum imap_session imap_client_session(const struct imap_client *c);
bool imap_client_has(const struct imap_client *c, uint64_t caps); /* all of them */
/* From now on it has none of these, whatever the server says. */
void imap_client_do_without(struct imap_client *c, uint64_t caps);
/* The name of the oldest command without an answer, borrowed; empty: there is none. */
struct slice imap_client_oldest(const struct imap_client *c);
struct imap_cap_limits imap_client_limits(const struct imap_client *c);
size_t imap_client_pending(const struct imap_client *c); /* commands without their answer */
/* Whether it is the server's turn: a greeting, an answer or a "+" is due, or bytes to be taken. */
bool imap_client_is_owed(const struct imap_client *c);
/* Whether one of the commands on their way can cause such an untagged response. */
bool imap_client_awaits(const struct imap_client *c, enum imap_kind kind);
const char *imap_client_bye(const struct imap_client *c); /* BYE's text made printable, or "" */
const char *imap_client_greeting(const struct imap_client *c); /* its text, in the same way */
/* Forgets capabilities: before signing in, since they change with it. */
void imap_client_forget_caps(struct imap_client *c);
/* STARTTLS was answered by OK, and nothing followed it: the handshake may begin. */
bool imap_client_wants_tls(const struct imap_client *c);
/* The handshake is done: everything learned before is forgotten (RFC 9051 6.2.1, 11.1). */
void imap_client_secured(struct imap_client *c);

/* COMPRESS was answered by OK: from now on both sides compress, and *rest_out of what was fed just
 * now is compressed already; borrowed as that was.  true once. */
bool imap_client_wants_compress(struct imap_client *c, struct slice *rest_out);

/* --- Commands ------------------------------------------------------------------ */

/* The pipeline and the output have room, and it is allowed to. */
bool imap_client_may_send(const struct imap_client *c);
bool imap_client_has_room(const struct imap_client *c); /* the same, allowed or not */
/* So many commands, and then none until it is called again; UINT64_MAX, as it is at first: any. Who
 * begins more all the same gets so many less the next time. */
void imap_client_allow(struct imap_client *c, uint64_t n);
uint64_t imap_client_allowed(const struct imap_client *c);
/* Starts a command; all of it up to imap_cmd_end() must come before the next one. */
void imap_cmd_begin(struct imap_client *c, imap_done_fn *done, void *arg);
void imap_cmd_text(struct imap_client *c, const char *text);
void imap_cmd_f(struct imap_client *c, const char *fmt, ...) ATTR_PRINTF(2, 3);
void imap_cmd_astring(struct imap_client *c, struct slice s); /* quoted, or a literal if need be */
/* Announces a literal; exactly size octets by imap_cmd_octets() must follow.  One larger than
 * IMAP_FREE_LITERAL_MAX waits for the server's consent even with LITERAL+, unless the server has
 * told an APPENDLIMIT: all that a server can do about a literal that it does not want is to end the
 * connection. */
void imap_cmd_literal(struct imap_client *c, uint64_t size);
/* The same of a message that may have UTF-8 in its header, to a server with UTF8=ACCEPT:
 * RFC 6855 4.  ")" follows its octets. */
void imap_cmd_literal_utf8(struct imap_client *c, uint64_t size);
void imap_cmd_octets(struct imap_client *c, struct slice octets);
void imap_cmd_end(struct imap_client *c);
/* Whether the answer to the command that is being composed has come already (it was refused). */
bool imap_cmd_is_over(const struct imap_client *c);
/* Texts of the server that repeat it, or a good part of it, are not shown any more.  What is sent
 * by imap_cmd_authenticate() and imap_cmd_line() is hidden by itself. */
void imap_client_hide(struct imap_client *c, struct slice secret);
bool imap_client_hides(const struct imap_client *c, struct slice text);
/* STARTTLS, COMPRESS, and what needs challenges: nothing may be pipelined behind them. */
void imap_cmd_starttls(struct imap_client *c, imap_done_fn *done, void *arg);
void imap_cmd_compress(struct imap_client *c, imap_done_fn *done, void *arg);
/* `challenge` is called for each "+"; it answers with imap_cmd_line(). */
void imap_cmd_authenticate(struct imap_client *c, const char *mechanism, const char *initial,
    void (*challenge)(void *arg, struct slice text), imap_done_fn *done, void *arg);
void imap_cmd_line(struct imap_client *c, const char *text);

#endif
