/* SPDX-License-Identifier: ISC */
/*
 * marks_counts: how often contents were on the source, of those that have been asked for or have
 * changed since the file of all of them was written.
 */
#ifndef IMAPSYNC_MOVE_MARKS_COUNTS_H
#define IMAPSYNC_MOVE_MARKS_COUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct marks_count {
    uint64_t key;
    uint32_t ever; /* messages with this content that there ever were */
    uint32_t now;  /* those in unknown places that this pass has met */
};

#define MARKS_BUCKETS 4096 /* by the head of the key, which is that of a digest */

struct marks_bucket {
    struct marks_count *v; /* by key */
    uint32_t n, room;
};

/* A zeroed one is empty. */
struct marks_counts {
    struct marks_bucket *buckets; /* NULL: there are none */
    size_t n;
};

void marks_counts_fini(struct marks_counts *c);
/* NULL: it is not there.  Until the next change. */
struct marks_count *marks_counts_find(const struct marks_counts *c, uint64_t key);
/* Made, with zeros, when it is missing. */
struct marks_count *marks_counts_get(struct marks_counts *c, uint64_t key);
/* A pass begins: nothing was met in it. */
void marks_counts_pass(struct marks_counts *c);

/* All of them by key: false at the end.  A zeroed cursor begins. */
struct marks_cursor {
    size_t bucket, at;
};
bool marks_counts_next(
    const struct marks_counts *c, struct marks_cursor *cursor, struct marks_count *out);

#endif
