/* SPDX-License-Identifier: ISC */
/*
 * compress: COMPRESS=DEFLATE (RFC 4978), a layer between the wire and the client: raw deflate, both
 * ways, from the answer to COMPRESS to the end of the connection.  No socket, no clock.
 *
 * What is unpacked is taken in pieces of the caller's size, as from a socket, and what is left of
 * the packed octets waits here: so a few octets that stand for many (1 for 1,032 at most) cost time
 * in small portions, and never memory.
 */
#ifndef IMAPSYNC_IMAP_COMPRESS_H
#define IMAPSYNC_IMAP_COMPRESS_H

#include <stdbool.h>
#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/err.h"
#include "base/core/slice.h"

#define IMAP_PACK_STEP (64u << 10)   /* octets that are packed at a time */
#define IMAP_UNPACK_STEP (64u << 10) /* that come out at a time, however few came in */
#define IMAP_SLOW_TRIP_MS 10 /* to connect: a line that is worth it, if nobody has said more */

enum imap_compress_when { IMAP_COMPRESS_AUTO, IMAP_COMPRESS_YES, IMAP_COMPRESS_NO };

/* Whether to ask for it, where it is offered.  trip_ms: how long it took to connect; 0: it is this
 * machine, or not known. */
bool imap_compress_is_worth(enum imap_compress_when when, uint64_t trip_ms);

struct imap_compress;

struct imap_compress *imap_compress_new(void);
void imap_compress_free(struct imap_compress **z); /* NULL is fine */

/* Packs what it has room for and says how much that was; 0 while packed octets wait.  What is
 * packed with the last octet of `plain` can be unpacked up to that octet. */
size_t imap_compress_pack(struct imap_compress *z, struct slice plain);
struct slice imap_compress_packed(const struct imap_compress *z); /* until the next call */
void imap_compress_sent(struct imap_compress *z, size_t n);

/* Octets that have come, at most IMAP_UNPACK_STEP, and only when it does not hold any. */
void imap_compress_give(struct imap_compress *z, struct slice packed);
bool imap_compress_holds(const struct imap_compress *z); /* there may be more to take */
/* Up to size octets of what they stand for; 0: more have to come.  -1: they stand for nothing. */
int imap_compress_take(
    struct imap_compress *z, void *out, size_t size, size_t *n_out, struct err *err) ATTR_WUR;

#endif
