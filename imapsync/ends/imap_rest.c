/* SPDX-License-Identifier: ISC */
/*
 * imap_rest: whether a server that has done an operation for some of the messages only (RFC 9738
 * MESSAGELIMIT, told with OK or NO) is asked for the rest.
 *
 * It is as long as that leads anywhere: fewer messages are left than before, or it has told a
 * smaller number than it was asked for.  A server that goes on cutting all the same is left alone,
 * and the operation is a NO: what did not come is not gone.
 */
#include <sysexits.h>

#include "imapsync/ends/imap_parts.h"

#define FRUITLESS_MAX 8 /* smaller and smaller numbers, and nothing done */

bool imap_rest_was_cut(const struct imap_outcome *o)
{
    return o->code == IMAP_CODE_MESSAGELIMIT;
}

bool imap_rest_goes_on(struct imap_rest *rest, const struct imap_end *e, size_t left)
{
    uint64_t limit = imap_message_limit(e);
    bool is_less = left < rest->left;
    bool is_smaller = limit > 0 && limit < rest->limit && rest->fruitless++ < FRUITLESS_MAX;
    rest->left = left;
    rest->limit = limit;
    return left > 0 && (is_less || is_smaller);
}

void imap_rest_begin(struct imap_rest *rest, const struct imap_end *e, size_t n)
{
    uint64_t limit = imap_message_limit(e);
    *rest = (struct imap_rest){.left = n, .limit = limit > 0 ? limit : UINT64_MAX};
}

void imap_rest_refuse(struct imap_request *r)
{
    struct err err = ERR_INIT;
    err_set(&err, ERR_TEMP, EX_TEMPFAIL, "the server has done it for some of the messages only");
    err_scope_set(&err, ERR_SCOPE_FOLDER);
    imap_request_fail(r, &err);
}
