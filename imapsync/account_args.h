/* SPDX-License-Identifier: ISC */
/* account_args: one end of a copy from the command line. */
#ifndef IMAPSYNC_ACCOUNT_ARGS_H
#define IMAPSYNC_ACCOUNT_ARGS_H

#include "imapsync/ends/imap_account.h"

/* What the command line may say about an end; all borrowed, NULL when not given. */
struct account_args {
    const char *label; /* "source" or "target": also the prefix of its options */
    const char *url;   /* imap://user@host:port/ or imaps://... */
    const char *password_file, *password_command;
    const char *admin, *auth;
    const char *tls, *ca_file, *fingerprint, *tls_name;
    uint64_t timeout_ms;
};

/* Reads the password too, by asking on the terminal if need be. */
int account_from_args(
    const struct account_args *args, struct imap_account *out, struct err *err) ATTR_WUR;

#endif
