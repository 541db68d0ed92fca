/* SPDX-License-Identifier: ISC */
/*
 * meaning: which mailbox a recipient of RCPT is, between the client's spelling and what the mail
 * server makes of it.  Pure.
 *
 *     switch (meaning_of(conf, &rcpt, &mailbox)) ...
 *
 * What counts is the address that the mail server will deliver to, which it tells beside the
 * client's spelling: of the many ways to write one address ("<ann%example.org>",
 * "<example.org!ann>", with comments, routes or a dot at the end) only the mail server knows which
 * one leads where.
 */
#ifndef MILTER_MEANING_H
#define MILTER_MEANING_H

#include "base/core/conf.h"
#include "base/core/slice.h"

/* A recipient in the mail server's words. */
struct meaning_rcpt {
    struct slice said;     /* the argument of RCPT as the client wrote it */
    struct slice resolved; /* the address that the mail server will deliver to; n == 0: not told */
};

enum meaning {
    MEANING_MAILBOX,  /* one of a domain of ours, to be judged */
    MEANING_NOT_OURS, /* of another domain, or a user of the mail server's own */
    MEANING_UNKNOWN,  /* nobody knows where the mail would go */
};

/*
 * A resolved address with a domain counts, whatever was said, if the domain is one of ours.  A
 * plain address (user@domain, nothing in it that a mail server might take for a route) means what
 * it says: it counts when nothing was resolved, and when the mail server rewrites an address of
 * ours to one elsewhere.
 *
 * `mailbox_out` borrows from `rcpt`: the address to judge, else what can best be shown to people.
 */
enum meaning meaning_of(
    const struct conf *conf, const struct meaning_rcpt *rcpt, struct slice *mailbox_out);

#endif
