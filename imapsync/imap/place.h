/* SPDX-License-Identifier: ISC */
/* place: where a mailbox is, how to get there, and whose it is. */
#ifndef IMAPSYNC_IMAP_PLACE_H
#define IMAPSYNC_IMAP_PLACE_H

#include "base/core/buf.h"
#include "base/os/lookup.h"
#include "base/os/tls.h"
#include "imapsync/imap/avoided.h"
#include "imapsync/imap/compress.h"
#include "imapsync/imap/conn_day.h"
#include "imapsync/imap/conn_gate.h"
#include "imapsync/imap/conn_server.h"
#include "imapsync/imap/mech.h"

#define IMAP_TIMEOUT_MS 120000   /* of waiting without progress, default */
#define IMAP_KEEPALIVE_MS 120000 /* without a word from us, default; RFC 9051 5.4 allows 30 min */
#define IMAP_CONNECT_TIMEOUT_MS 30000
#define IMAP_LOGIN_TIMEOUT_MS 60000 /* of waiting, from the connection to the end of signing in */

enum imap_security {
    IMAP_SECURITY_TLS,      /* from the first byte (993) */
    IMAP_SECURITY_STARTTLS, /* required */
    IMAP_SECURITY_NONE,     /* loopback, or the administrator said so */
};

/* Where access tokens come from. */
struct imap_tokens {
    /* Blocks, in a thread of its own, and may do so for longer than the connection lives.  used:
     * the server has just refused this one, get another (empty: any that is valid).  out: the
     * token; the caller wipes it. */
    int (*get)(void *arg, struct slice used, struct buf *out, struct err *err);
    void *arg; /* lives as long as the process */
};

struct imap_place {
    const char *label; /* "source": for errors */
    bool is_named;     /* the label is the server's name in the configuration, and lasts */
    const char *host;
    uint16_t port;
    enum imap_security security;
    struct imap_gate *gate;       /* NULL: whoever asks may try */
    struct imap_server *server;   /* whose pace it keeps; NULL: its own */
    struct imap_avoided *avoided; /* of its connections; NULL: nothing is kept in mind */
    struct imap_day *day;         /* what there may be in a day; NULL: any number */
    enum imap_compress_when compress;
    bool is_probe;       /* ready as soon as it is secured: nobody signs in */
    struct tls_ctx *tls; /* NULL only without TLS */
    const char *tls_name;
    const char *user;  /* whose mailbox */
    const char *admin; /* who signs in for the user, NULL: the user */
    const char
        *login; /* the name to sign in by where it says both, "user*master"; NULL: as above */
    enum mech_secret secret;
    struct slice password;     /* with MECH_PASSWORD */
    struct imap_tokens tokens; /* with MECH_TOKEN */
    const char *auth;          /* as mech_named(), or NULL: the best there is */
    uint64_t timeout_ms;       /* 0: IMAP_TIMEOUT_MS */
    uint64_t keepalive_ms;     /* 0: IMAP_KEEPALIVE_MS */
    /* What tests put in place of the machine; NULL: sock_resolve(), clock_mono_ms(). */
    lookup_fn *resolve;
    uint64_t (*now_ms)(void);
};

#endif
