/* SPDX-License-Identifier: ISC */
/*
 * side: one end of a copy, from the command line or from the configuration, as a place to connect
 * to.
 */
#ifndef IMAPSYNC_SIDE_H
#define IMAPSYNC_SIDE_H

#include "base/core/conf.h"
#include "imapsync/imap/conn.h"

/* What the command line may say about a side; all borrowed, NULL when not given. */
struct side_args {
    const char *label; /* "source" or "target": also the prefix of its options */
    const char *url;   /* imap://user@host:port/ or imaps://... */
    const char *password_file, *password_command;
    const char *admin, *auth;
    const char *tls, *ca_file, *fingerprint, *tls_name;
    uint64_t timeout_ms;
};

struct side {
    struct imap_place place;
    struct net_endpoint endpoint;
    struct conf_server policy; /* for the TLS context; owns nothing */
    char *user, *admin, *auth, *tls_name;
    struct buf password;
};

/* Reads the password too, by asking on the terminal if need be. */
int side_from_args(const struct side_args *args, struct side *out, struct err *err) ATTR_WUR;
/* The mailbox of `user` on a server of the configuration, by its administrative login. */
int side_from_conf(const struct conf_server *server, const char *label, const char *user,
    uint64_t timeout_ms, struct side *out, struct err *err) ATTR_WUR;
void side_fini(struct side *s); /* wipes the password */

#endif
