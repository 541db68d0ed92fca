/* SPDX-License-Identifier: ISC */
/*
 * client: the IMAP client as an engine: bytes in, bytes out, events; no socket, no clock.
 *
 * Commands are composed piece by piece and may be pipelined; a literal that the server has to
 * agree to first stops the output until its "+" comes, and only the output.  Each command has one
 * callback for its tagged answer.  Untagged data goes to the events in the order it comes; the
 * octets of message bodies go there while they arrive.
 */
#ifndef IMAPSYNC_IMAP_CLIENT_H
#define IMAPSYNC_IMAP_CLIENT_H

#include "base/core/err.h"
#include "imapsync/imap/response.h"

enum imap_cap {
    IMAP_CAP_KNOWN = 1 << 0, /* the server has told its capabilities */
    IMAP_CAP_STARTTLS = 1 << 1,
    IMAP_CAP_LOGINDISABLED = 1 << 2,
    IMAP_CAP_AUTH_PLAIN = 1 << 3,
    IMAP_CAP_AUTH_LOGIN = 1 << 4,
    IMAP_CAP_AUTH_SCRAM_SHA_1 = 1 << 5,
    IMAP_CAP_AUTH_SCRAM_SHA_256 = 1 << 6,
    IMAP_CAP_SASL_IR = 1 << 7,
    IMAP_CAP_LITERAL_PLUS = 1 << 8,
    IMAP_CAP_LITERAL_MINUS = 1 << 9,
    IMAP_CAP_UIDPLUS = 1 << 10,
    IMAP_CAP_MULTIAPPEND = 1 << 11,
    IMAP_CAP_LIST_EXTENDED = 1 << 12,
    IMAP_CAP_LIST_STATUS = 1 << 13,
    IMAP_CAP_SPECIAL_USE = 1 << 14,
    IMAP_CAP_CREATE_SPECIAL_USE = 1 << 15,
    IMAP_CAP_NAMESPACE = 1 << 16,
    IMAP_CAP_ENABLE = 1 << 17,
    IMAP_CAP_CONDSTORE = 1 << 18,
    IMAP_CAP_QRESYNC = 1 << 19,
    IMAP_CAP_ID = 1 << 20,
    IMAP_CAP_IDLE = 1 << 21,
    IMAP_CAP_ESEARCH = 1 << 22,
    IMAP_CAP_IMAP4REV1 = 1 << 23,
    IMAP_CAP_IMAP4REV2 = 1 << 24,
};

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
};

typedef void imap_done_fn(void *arg, const struct imap_response *r);

struct imap_client *imap_client_new(void);
void imap_client_free(struct imap_client **c); /* wipes what it still holds */
/* Callbacks may compose commands.  events is borrowed until the next call; NULL drops all data. */
void imap_client_events(struct imap_client *c, const struct imap_events *events, void *arg);

/* --- Bytes --------------------------------------------------------------------- */

/* Takes all of in. -1: the server broke the protocol; the connection is of no more use. */
int imap_client_feed(struct imap_client *c, struct slice in, struct err *err) ATTR_WUR;
/* What may be sent now; borrowed until the next call. */
struct slice imap_client_out(struct imap_client *c);
void imap_client_sent(struct imap_client *c, size_t n);
size_t imap_client_unsent(const struct imap_client *c); /* with what waits for a "+" */

/* --- State --------------------------------------------------------------------- */

enum imap_session imap_client_session(const struct imap_client *c);
bool imap_client_has(const struct imap_client *c, unsigned caps); /* all of them */
unsigned imap_client_caps(const struct imap_client *c);
/* RFC 7889 APPENDLIMIT; 0: the server tells none. */
uint64_t imap_client_append_limit(const struct imap_client *c);
size_t imap_client_pending(const struct imap_client *c);  /* commands without their answer */
const char *imap_client_bye(const struct imap_client *c); /* BYE's text made printable, or "" */
/* Forgets capabilities: before signing in, since they change with it. */
void imap_client_forget_caps(struct imap_client *c);
/* STARTTLS was answered by OK, and nothing followed it: the handshake may begin. */
bool imap_client_wants_tls(const struct imap_client *c);
/* The handshake is done: everything learned before is forgotten (RFC 9051 6.2.1, 11.1). */
void imap_client_secured(struct imap_client *c);

/* --- Commands ------------------------------------------------------------------ */

bool imap_client_may_send(const struct imap_client *c); /* the pipeline has room */
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
void imap_cmd_octets(struct imap_client *c, struct slice octets);
void imap_cmd_end(struct imap_client *c);
/* Whether the answer to the command that is being composed has come already (it was refused). */
bool imap_cmd_is_over(const struct imap_client *c);
/* STARTTLS, and what needs challenges: nothing may be pipelined behind them. */
void imap_cmd_starttls(struct imap_client *c, imap_done_fn *done, void *arg);
/* `challenge` is called for each "+"; it answers with imap_cmd_line(). */
void imap_cmd_authenticate(struct imap_client *c, const char *mechanism, const char *initial,
    void (*challenge)(void *arg, struct slice text), imap_done_fn *done, void *arg);
void imap_cmd_line(struct imap_client *c, const char *text);

#endif
