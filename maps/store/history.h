/* SPDX-License-Identifier: ISC */
/*
 * history: one record of the change log as bytes.  Key of the database is the generation, big
 * endian, so that the log is ordered; the value holds what changed, who asked and why.
 */
#ifndef MAPS_STORE_HISTORY_H
#define MAPS_STORE_HISTORY_H

#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/slice.h"

#define HISTORY_KEY_SIZE 8

struct history_record {
    uint64_t generation;
    int64_t when_s;
    struct slice key, who, why, request_id;
    struct slice old_value, new_value; /* records as in the database; n == 0: no entry */
};

void history_key(uint64_t generation, unsigned char out[HISTORY_KEY_SIZE]);
int history_key_parse(struct slice key, uint64_t *generation_out) ATTR_WUR;
/* Without the generation, which is the key. -1 when out is full. */
int history_encode(const struct history_record *r, struct buf *out) ATTR_WUR;
/* Slices borrow from bytes; generation is left alone. -1 when the bytes are not a record. */
int history_decode(struct slice bytes, struct history_record *r) ATTR_WUR;

#endif
