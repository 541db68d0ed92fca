/* SPDX-License-Identifier: ISC */
/* marks_uids: a set of UIDs that grows: blocks of bits, of which most folders need a few. */
#ifndef IMAPSYNC_MOVE_MARKS_UIDS_H
#define IMAPSYNC_MOVE_MARKS_UIDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MARKS_BLOCK_WORDS 4

/* The UIDs from 256 * number on. */
struct marks_block {
    uint32_t number;
    uint64_t bits[MARKS_BLOCK_WORDS];
};

/* A zeroed one is empty. */
struct marks_uids {
    struct marks_block *v; /* by number */
    size_t n, room;
};

void marks_uids_fini(struct marks_uids *u);
bool marks_uids_have(const struct marks_uids *u, uint32_t uid);
void marks_uids_add(struct marks_uids *u, uint32_t uid);
/* The block of this number, made when it is missing; until the next call. */
struct marks_block *marks_uids_block(struct marks_uids *u, uint32_t number);

#endif
