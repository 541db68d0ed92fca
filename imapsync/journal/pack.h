/* SPDX-License-Identifier: ISC */
/* pack: numbers in records, big-endian so that keys sort by value; reading checks the length. */
#ifndef IMAPSYNC_JOURNAL_PACK_H
#define IMAPSYNC_JOURNAL_PACK_H

#include <stdbool.h>
#include <stdint.h>
#include "base/core/buf.h"
#include "base/core/slice.h"

/* Records of ours have a bounded size, so that a full buffer is a bug. */
void pack_u8(struct buf *b, uint8_t v);
void pack_u32(struct buf *b, uint32_t v);
void pack_u64(struct buf *b, uint64_t v);
void pack_bytes(struct buf *b, struct slice s); /* with their length */
void pack_rest(struct buf *b, struct slice s);  /* without: what reads it knows where it ends */

/* Takes a number off the front; false when there is too little left. */
bool unpack_u8(struct slice *s, uint8_t *out);
bool unpack_u32(struct slice *s, uint32_t *out);
bool unpack_u64(struct slice *s, uint64_t *out);
bool unpack_bytes(struct slice *s, struct slice *out); /* borrowed */

#endif
