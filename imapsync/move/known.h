/* SPDX-License-Identifier: ISC */
/*
 * known: the marks of a job: kept up to date until the flip, asked behind it.
 *
 *     known_seen(k, err)             after passes: contents that were on old must never be late
 *     known_compare(k); ... known_compared(k, ...) for each folder ... known_flip(k, err)
 *     copy_behind_flip(copy, known_judge(k)); ... passes ...; known_keep(k, err)
 */
#ifndef IMAPSYNC_MOVE_KNOWN_H
#define IMAPSYNC_MOVE_KNOWN_H

#include "imapsync/copy/copy.h"
#include "imapsync/copy/late.h"
#include "imapsync/move/marks.h"

struct known {
    const char *user_dir; /* borrowed */
    struct copy *copy;    /* borrowed, once it is there */
    struct marks marks;   /* read when first needed: most sweeps find nothing new */
    bool is_loaded, was_found;
    bool is_lost;     /* neither marks nor a journal tells what was there */
    bool is_complete; /* the journal is, as of this pass */
    bool is_dirty;
    bool is_full; /* there were more folders than marks can hold */
    struct late_judge judge;
};

void known_init(struct known *k, const char *user_dir);
void known_fini(struct known *k);

/* Adds the contents that the journal has now; written durably. */
int known_seen(struct known *k, struct err *err) ATTR_WUR;
/* A comparison begins; it tells its folders; it was the one that the flip goes by.  known_flip()
 * returns when all is on the disk.  has_more: messages came since known_seen(). */
void known_compare(struct known *k);
void known_compared(struct known *k, const struct copy_compared *f);
int known_flip(struct known *k, bool has_more, struct err *err) ATTR_WUR;

const struct late_judge *known_judge(struct known *k);
/* What came in the last pass, durably. */
int known_keep(struct known *k, struct err *err) ATTR_WUR;

#endif
