/* SPDX-License-Identifier: ISC */
/*
 * signin: from the greeting to a session that is signed in and whose capabilities are known, as an
 * engine: it composes commands on a client and waits for its answers; no socket, no clock.
 *
 *     GREETING -> [ CAPABILITY -> STARTTLS -> handshake (the caller's) ] -> CAPABILITY ->
 *     [ token (the caller's) ] -> AUTHENTICATE or LOGIN -> CAPABILITY -> done
 *
 * A token that is refused is asked for once more, since it may just have ended.
 *
 * What the server has told already is not asked for again.
 */
#ifndef IMAPSYNC_IMAP_SIGNIN_H
#define IMAPSYNC_IMAP_SIGNIN_H

#include "imapsync/imap/client.h"
#include "imapsync/imap/place.h"

enum imap_signin_step {
    IMAP_SIGNIN_WAITS,       /* for bytes: feed the client, then step again */
    IMAP_SIGNIN_WANTS_TLS,   /* make the handshake, then imap_signin_secured() */
    IMAP_SIGNIN_WANTS_TOKEN, /* ask place->tokens, then imap_signin_token() */
    IMAP_SIGNIN_DONE,
    IMAP_SIGNIN_FAILED, /* err says why; a wrong password is ERR_PERM with EX_NOPERM */
};

struct imap_signin;

/* Both are borrowed; it is freed before the client, or the client is cancelled first. */
struct imap_signin *imap_signin_new(struct imap_client *c, const struct imap_place *place);
void imap_signin_free(struct imap_signin **s);
/* Goes on as far as it can. */
enum imap_signin_step imap_signin_step(struct imap_signin *s, struct err *err);
void imap_signin_secured(struct imap_signin *s);
/* Of TLS, from the first byte or not, before the first step behind the handshake. */
void imap_signin_bind(struct imap_signin *s, const struct tls_binding *binding);
/* The one that the server has refused just now; empty when there was none. */
struct slice imap_signin_refused_token(const struct imap_signin *s);
void imap_signin_token(struct imap_signin *s, struct slice token);
/* Behind FAILED: the server has said that name and password are wrong, and not something else. */
bool imap_signin_is_refused(const struct imap_signin *s);

#endif
