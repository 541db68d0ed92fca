/* SPDX-License-Identifier: ISC */
/*
 * request: what somebody has asked for a user and what has become of it so far, and the same as
 * octets for the store.  One for each user: whoever asks again asks for what is then wanted.
 */
#ifndef IMAPSYNC_JOBS_REQUEST_H
#define IMAPSYNC_JOBS_REQUEST_H

#include <stdbool.h>
#include <stdint.h>
#include "base/core/buf.h"
#include "base/core/err.h"
#include "base/core/slice.h"

#define REQUEST_NAME_MAX 512
#define REQUEST_PACKED_MAX (4u << 10)

enum request_kind {
    REQUEST_NONE, /* nobody has asked: only the deaths of what is done by itself are counted */
    REQUEST_CUTOVER,
    REQUEST_ROLLBACK,
    REQUEST_RETIRE,
};
#define REQUEST_KINDS (REQUEST_RETIRE + 1)

struct request {
    enum request_kind kind;
    char to[REQUEST_NAME_MAX]; /* server; empty: nobody has said */
    bool has_delete_percent;
    uint32_t delete_percent, accept; /* as struct cutover_wish */
    int64_t asked_ms, due_ms;        /* wall clock: not before due_ms */
    uint32_t failures;               /* in a row */
    uint32_t deaths;                 /* of workers, since one came to an end */
    bool is_aside;                   /* there were too many: somebody has to ask anew */
    char why[ERR_TEXT_MAX];          /* of the last failure or death */
};

void request_pack(struct buf *out, const struct request *r); /* the buffer is emptied first */
/* false unless the whole of it makes sense. */
bool request_unpack(struct slice s, struct request *out);

#endif
