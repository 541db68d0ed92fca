/* SPDX-License-Identifier: ISC */
/*
 * address: the grammar of mail addresses in SMTP (RFC 5321 4.1.2 Mailbox, RFC 6531 for UTF-8),
 * pure.
 */
#ifndef BASE_MAIL_ADDRESS_H
#define BASE_MAIL_ADDRESS_H

#include <stdbool.h>
#include "base/core/attr.h"
#include "base/core/slice.h"

#define ADDRESS_LOCAL_MAX 64   /* RFC 5321 4.5.3.1.1 */
#define ADDRESS_DOMAIN_MAX 255 /* RFC 5321 4.5.3.1.2 */
#define ADDRESS_MAX 254        /* RFC 5321 4.5.3.1.3: 256 with the brackets */

struct address {
    struct slice local;  /* as written, quotes included when quoted */
    struct slice domain; /* as written; with n == 0 only for bare "postmaster" and the null path */
    bool is_quoted;
    bool is_literal; /* domain is an address literal "[...]" */
};

/* A Mailbox without brackets: "user@example.org".  Source routes, a second "@", a trailing dot,
 * control bytes and comments are refused.  0, or -1. Slices borrow from text. */
int address_parse(struct slice text, struct address *out) ATTR_WUR;

/* A path with brackets at the start of *in: "<>", "<user@example.org>", "<Postmaster>".  On success
 * *in starts behind the ">".  A source route "<@a,@b:user@c>" is refused (RFC 5321 allows it). */
enum address_path {
    ADDRESS_PATH_BAD,
    ADDRESS_PATH_NULL,
    ADDRESS_PATH_MAILBOX,
    ADDRESS_PATH_POSTMASTER
};
enum address_path address_path_parse(
    struct slice *in, struct address *out, struct slice *mailbox_out);

#endif
