/* SPDX-License-Identifier: ISC */
/*
 * trace: the header field by which a gateway recognises a message that it has routed before.
 *
 *     Coexist-Trace: v=1; k=<key id>; t=<time>; s=<server>;
 *      <epoch>:<base64 of 16 bytes of HMAC-SHA256(recipient, server, epoch, time)>, ...
 *
 * One field per hop with one item per recipient, so that no recipient is named (Bcc stays hidden).
 */
#ifndef MAPS_TRACE_H
#define MAPS_TRACE_H

#include "base/core/attr.h"
#include "base/core/err.h"
#include "maps/route.h"

#define TRACE_FIELD "Coexist-Trace"
#define TRACE_VALID_S (7 * 24 * 3600)
#define TRACE_FIELDS_MAX 64
#define TRACE_KEYS_MAX 2
#define TRACE_ITEM_MAX 64   /* bytes of a field that one recipient more takes at most */
#define TRACE_STAMP_MAX 256 /* bytes of a field for one recipient, more than its parts can have */

struct trace_keys; /* the current key and, during rotation, the one before */

/* Contents of the key file: one or two lines "<id> <hex of 32 bytes>"; the first one signs. */
int trace_keys_parse(struct slice text, struct trace_keys **out, struct err *err) ATTR_WUR;
void trace_keys_free(struct trace_keys **k); /* wiped */

struct trace_rcpt {
    struct slice key; /* the normalised recipient: decision.keys[0] */
    uint64_t epoch;
};
/* Server names that a stamp can carry: 1 to 64 of A-Z a-z 0-9 "." "_" "-". */
bool trace_is_server_name(struct slice name);
/* Appends the field with its CRLF, folded below 78 columns. -1, with out unchanged: no recipient,
 * out is full, or the server has no such name. */
int trace_stamp(const struct trace_keys *k, const struct trace_rcpt *rcpts, size_t n,
    struct slice server, int64_t now_s, struct buf *out) ATTR_WUR;
/* How many bytes that field has for one recipient. */
size_t trace_stamp_size(
    const struct trace_keys *k, uint64_t epoch, struct slice server, int64_t now_s);
/* The stamps for one recipient in a header block (whole fields with line ends) that are valid and
 * younger than TRACE_VALID_S.  Slices borrow from header. Returns how many, at most max. */
size_t trace_find(const struct trace_keys *k, struct slice header, struct slice rcpt_key,
    int64_t now_s, struct decide_stamp *out, size_t max);

#endif
