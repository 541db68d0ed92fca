/* SPDX-License-Identifier: ISC */
/*
 * conn: an IMAP connection for straight-line code: the engine of client.h over a socket and TLS,
 * with deadlines.  imap_conn_pump() moves bytes on several connections at once, so that a thread
 * that fills one of them keeps reading the others and nothing waits in a circle.
 *
 *     imap_cmd_begin(imap_conn_client(c), imap_outcome_set, &o);
 *     ...
 *     if (imap_conn_check(c, &o, "cannot list the folders", err) != 0)
 */
#ifndef IMAPSYNC_IMAP_CONN_H
#define IMAPSYNC_IMAP_CONN_H

#include "base/os/tls.h"
#include "imapsync/imap/client.h"
#include "imapsync/imap/limits.h"

#define IMAP_TIMEOUT_MS 120000 /* without progress, default */
#define IMAP_CONNECT_TIMEOUT_MS 30000
#define IMAP_LOGIN_TIMEOUT_MS 60000 /* from the connection to the end of signing in */
#define IMAP_PROGRESS_BYTES 4096    /* fewer octets of a body are no progress */
#define IMAP_UNTAGGED_MAX 8000000   /* untagged responses before a tagged one */

enum imap_security {
    IMAP_SECURITY_TLS,      /* from the first byte (993) */
    IMAP_SECURITY_STARTTLS, /* required */
    IMAP_SECURITY_NONE,     /* loopback, or the administrator said so */
};

struct imap_place {
    const char *label; /* "source": for errors */
    bool is_named;     /* the label is the server's name in the configuration, and lasts */
    const char *host;
    uint16_t port;
    enum imap_security security;
    struct tls_ctx *tls; /* NULL only without TLS */
    const char *tls_name;
    const char *user;  /* whose mailbox */
    const char *admin; /* who signs in for the user, NULL: the user */
    struct slice password;
    const char *auth;    /* "plain", "login", a SASL mechanism, or NULL: the best that is offered */
    uint64_t timeout_ms; /* 0: IMAP_TIMEOUT_MS */
};

struct imap_conn;

/* Connected, secured and greeted, not signed in (login.h). place is borrowed for life.
 * *is_silent_out: it failed since nobody is there or nothing came in time, whoever the user is. */
int imap_conn_open(const struct imap_place *place, struct imap_conn **out, bool *is_silent_out,
    struct err *err) ATTR_WUR;
void imap_conn_close(struct imap_conn **c); /* at once; an unfinished command stays unfinished */
/* LOGOUT, waits for its answer a little. */
void imap_conn_logout(struct imap_conn **c);

struct imap_client *imap_conn_client(struct imap_conn *c);
const struct imap_place *imap_conn_place(const struct imap_conn *c);
void imap_conn_events(struct imap_conn *c, const struct imap_events *events, void *arg);
bool imap_conn_is_broken(const struct imap_conn *c);
/* No bytes are read while it is paused: the server feels it by its window. */
void imap_conn_pause(struct imap_conn *c, bool on);
/* Signing in has an end, however lively the server is; 0 ends that mode. */
void imap_conn_limit(struct imap_conn *c, uint64_t total_ms);

/* Waits until at least one of the connections has moved bytes, and moves them.  -1: one of them is
 * broken; err says which and why. */
int imap_conn_pump(struct imap_conn *const *conns, size_t n, struct err *err) ATTR_WUR;
/* The handshake behind STARTTLS. */
int imap_conn_secure(struct imap_conn *c, struct err *err) ATTR_WUR;

/* --- One command at a time -------------------------------------------------------- */

struct imap_outcome {
    bool is_done;
    enum imap_status status;
    enum imap_code_kind code;
    uint64_t number;
    char text[IMAP_TEXT_KEPT_MAX];
};

void imap_outcome_set(void *outcome, const struct imap_response *r);
/* Pumps until the answer is there, whatever it is. */
int imap_conn_wait(struct imap_conn *c, const struct imap_outcome *o, struct err *err) ATTR_WUR;
/* And anything but OK is an error that begins with `what`. */
int imap_conn_check(
    struct imap_conn *c, const struct imap_outcome *o, const char *what, struct err *err) ATTR_WUR;

#endif
