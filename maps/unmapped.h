/* SPDX-License-Identifier: ISC */
/*
 * unmapped: the book of those who got mail and have no entry, as coexist-mapd keeps it from what
 * consumers note (maps/consumer.h).  It has at most `max` addresses: when it is full, an address
 * that its server has refused, or that was named least, gives way, so that a stranger's dictionary
 * drives out itself and not people.
 */
#ifndef MAPS_UNMAPPED_H
#define MAPS_UNMAPPED_H

#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/err.h"
#include "maps/format/mail_log.h"
#include "maps/route.h"

#define UNMAPPED_MAX 20000
#define UNMAPPED_KEPT_S (90LL * 24 * 3600) /* without having been named again */
#define UNMAPPED_FILE "unmapped"           /* in STATE/map */

/* Who has named an address; bits. */
enum { UNMAPPED_BY_RELAY = 1, UNMAPPED_BY_MILTER = 2, UNMAPPED_BY_LOOKUP = 4 };
#define UNMAPPED_PROGRAMS 3
extern const char *const unmapped_programs[UNMAPPED_PROGRAMS]; /* by bit */

struct unmapped_row {
    char *key;
    uint64_t hash, count;
    int64_t first_s, last_s;
    enum mail_log_known known; /* what a server said last */
    unsigned by;
    uint32_t next; /* in the chain of its bucket: index and one */
};

struct unmapped {
    struct unmapped_row *v;
    size_t n, max;
    uint32_t *buckets; /* index and one; 0: empty */
    size_t n_buckets;
    uint64_t missed;  /* sightings that were lost */
    int64_t saved_ms; /* of a book that was loaded: until when it knows */
    size_t hand;      /* where the next victim is looked for */
};

struct unmapped *unmapped_new(size_t max);
void unmapped_free(struct unmapped **u);
/* Adds to the row of this key. */
void unmapped_add(struct unmapped *u, const struct unmapped_row *what);
/* Forgets those who were not named since. */
void unmapped_prune(struct unmapped *u, int64_t before_s);

/* As lines of a file; lines that are none are passed over. */
int unmapped_write(const struct unmapped *u, int64_t now_ms, struct buf *out) ATTR_WUR;
void unmapped_read(struct unmapped *u, struct slice text);
/* STATE/map/unmapped, replaced as a whole but not forced to the disk: it may be lost with the
 * power. A file that is not there is an empty book. */
int unmapped_save(
    const struct unmapped *u, const char *state_dir, int64_t now_ms, struct err *err) ATTR_WUR;
int unmapped_load(struct unmapped *u, const char *state_dir, struct err *err) ATTR_WUR;

#endif
