/* SPDX-License-Identifier: ISC */
/*
 * whose: which mailbox an end leads to.  Two names may lead to one: a server that ignores for whom
 * somebody signs in gives everybody the same one, an alias has its user's, and the "new" server may
 * be the old one under another address.  What was copied from there would be somebody else's mail.
 *
 *     whose_look(e, &a, err);                          before the first copy; kept
 *     whose_is(other, &a, &b, &is_same, err);          later, through another end
 *
 * Where the end has an identity (end.h) that decides.  Else the messages of INBOX do: under the
 * same UIDVALIDITY the first and the last message of then are there, with the same contents.
 */
#ifndef IMAPSYNC_COPY_WHOSE_H
#define IMAPSYNC_COPY_WHOSE_H

#include <jansson.h>
#include "base/os/hmac.h"
#include "imapsync/ends/end.h"

#define WHOSE_MESSAGES 2

struct whose_message {
    uint32_t uid;
    unsigned char digest[SHA256_SIZE];
};

struct whose {
    char id[END_IDENTITY_MAX + 1]; /* "": it has none */
    uint32_t uidvalidity;          /* without one */
    struct whose_message v[WHOSE_MESSAGES];
    size_t n; /* 0: nothing tells whose it is, for INBOX is empty, or not there */
};

/* Opens INBOX for reading, unless the end has an identity. */
int whose_look(struct end *e, struct whose *out, struct err *err) ATTR_WUR;
/* Whether anything tells. */
bool whose_is_told(const struct whose *w);
/* Whether the end, which whose_look() has just found to be `now`, leads to the mailbox that was
 * `then`. */
int whose_is(struct end *e, const struct whose *now, const struct whose *then, bool *out,
    struct err *err) ATTR_WUR;
/* Whether both ends of a copy lead to one mailbox.  A replica tells the same of itself as what it
 * was made from; so in this case the last message of the target gets a flag for a moment, and the
 * source is asked whether it has it. */
int whose_same(struct end *from, struct end *to, bool *out, struct err *err) ATTR_WUR;

json_t *whose_json(const struct whose *w);
/* -1: it is none. */
int whose_from_json(const json_t *json, struct whose *out) ATTR_WUR;

#endif
