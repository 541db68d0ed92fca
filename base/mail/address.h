/* SPDX-License-Identifier: ISC */
/*
 * address: the grammar of mail addresses in SMTP (RFC 5321 4.1.2 Mailbox, RFC 6531 for UTF-8),
 * pure.
 */
#ifndef BASE_MAIL_ADDRESS_H
#define BASE_MAIL_ADDRESS_H

#include <stdbool.h>
#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/slice.h"

/* RFC 5321 4.5.3.1 names the sizes that must work (64, 255, 254) and asks not to refuse larger ones
 * where possible: senders rewritten by SRS and VERP do pass 64 bytes. */
#define ADDRESS_LOCAL_MAX 256
#define ADDRESS_DOMAIN_MAX 255
#define ADDRESS_MAX 320

struct address {
    struct slice local;  /* as written, quotes included when quoted */
    struct slice domain; /* as written; with n == 0 only for bare "postmaster" and the null path */
    bool is_quoted;
    bool is_literal; /* domain is an address literal "[...]" */
};

/* A Mailbox without brackets: "user@example.org".  Source routes, a second "@", a trailing dot,
 * control bytes, comments and broken UTF-8 are refused; dots at odd places of the local part and
 * hyphens at the ends of a label are not, since there are such addresses.  Bare "postmaster" has no
 * domain.  0, or -1. Slices borrow from text. */
int address_parse(struct slice text, struct address *out) ATTR_WUR;

/* The meaning of a local part: without quotes and backslashes. Returns its length; out holds at
 * least ADDRESS_LOCAL_MAX bytes.  local comes from address_parse. */
size_t address_unquote(struct slice local, unsigned char *out);
/* The shortest way to write that meaning: quoted only where it must be. 0, or -1 (out is full). */
int address_quote(struct slice meaning, struct buf *out) ATTR_WUR;
bool address_is_ascii(struct slice text);

/* A path at the start of *in: "<>", "<user@example.org>", "<Postmaster>".  On success *in starts
 * behind it, and the mailbox is what address_parse() takes, or for LOCAL and POSTMASTER a local
 * part alone.  It borrows from *in, or from `plain`, where it had to be written anew.
 *
 * A source route "<@a,@b:user@c>" is taken off, as RFC 5321 4.1.1.3 asks for.  Unless is_strict, so
 * are blanks within the brackets and one dot behind the domain, brackets may be left out, there is
 * LOCAL, and a local part by older rules ("a".b, a\b, a:b) is written by those of today.  What is
 * left is the address, for every use that follows. */
enum address_path {
    ADDRESS_PATH_BAD,
    ADDRESS_PATH_NULL,
    ADDRESS_PATH_MAILBOX,
    ADDRESS_PATH_POSTMASTER,
    ADDRESS_PATH_LOCAL, /* without a domain */
};
enum address_path address_path_parse(struct slice *in, bool is_strict, struct address *out,
    struct slice *mailbox_out, unsigned char plain[ADDRESS_MAX]);

#endif
