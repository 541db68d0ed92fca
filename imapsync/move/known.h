/* SPDX-License-Identifier: ISC */
/*
 * known: the marks of a job: kept up to date until the flip, asked and told behind it.
 *
 *     known_use(k, copy)
 *     known_seen(k, err)             after passes: contents that were on old must never be late
 *     known_compare(k); ... known_compared(k, ...) for each folder ... known_flip(k, err)
 *     ... passes behind the flip ...; known_keep(k, err)
 */
#ifndef IMAPSYNC_MOVE_KNOWN_H
#define IMAPSYNC_MOVE_KNOWN_H

#include "imapsync/copy/copy.h"
#include "imapsync/plan/past.h"
#include "imapsync/move/marks.h"
#include "imapsync/move/marks_store.h"

struct known_look;

struct known {
    struct copy *copy; /* borrowed, once it is there */
    struct marks marks;
    struct marks_store store;
    bool is_loaded;           /* read when first needed: most sweeps find nothing new */
    bool is_complete;         /* the journal is, as of this pass */
    bool is_behind;           /* the flip */
    bool is_counting;         /* since known_seen() each new content is counted as it comes */
    bool is_full;             /* there were more folders than marks can hold */
    struct marks next;        /* folders of the comparison */
    struct known_look *looks; /* the folders that this pass has looked at; by number */
    size_t n_looks;
    bool has_failed; /* since the journal's transaction has begun */
    struct err why;
    struct past past;
    struct journal_watch watch;
};

void known_init(struct known *k, const char *user_dir);
void known_fini(struct known *k);
/* Becomes the copy's past and its journal's watch. */
void known_use(struct known *k, struct copy *copy);

/* Adds the contents that the journal has now; written durably. */
int known_seen(struct known *k, struct err *err) ATTR_WUR;
/* A comparison begins; it tells its folders; it was the one that the flip goes by.  known_flip()
 * returns when all is on the disk. */
void known_compare(struct known *k);
void known_compared(struct known *k, const struct copy_compared *f);
int known_flip(struct known *k, struct err *err) ATTR_WUR;

/* Behind a pass: a long log is made a short one. */
int known_keep(struct known *k, struct err *err) ATTR_WUR;

#endif
