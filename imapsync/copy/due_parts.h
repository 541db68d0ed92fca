/* SPDX-License-Identifier: ISC */
/* due_parts: what copy_jobs.c, copy_due.c and copy_shown.c share. */
#ifndef IMAPSYNC_COPY_DUE_PARTS_H
#define IMAPSYNC_COPY_DUE_PARTS_H

#include "imapsync/copy/copy_parts.h"

/* A folder that may have changed, until its turn comes: there may be very many. */
struct due {
    const struct folder *source;
    struct folder *target; /* owned, without its name; NULL: it has no more than that */
    uint32_t id;           /* of the journal's record */
    unsigned char origin;
    bool is_lost, is_awaited;
    bool is_first; /* the journal knows nothing of it */
};

struct dues {
    struct due *v;
    size_t n;
    uint64_t n_first; /* messages of folders that the journal knows nothing of */
    size_t n_new;     /* these folders */
};

void dues_init(struct dues *all, size_t max); /* no more are added */
void dues_fini(struct dues *all);
/* Takes what the job owns. */
void due_add(struct dues *all, struct copy_job *job);
/* out->record is the caller's to free, whatever the result is. */
int due_take(struct copy *c, const struct pass *p, const struct due *d, struct copy_job *out,
    struct err *err) ATTR_WUR;

/* Whether the folder has to be looked at, and then its job.  -1: it cannot be. */
int due_prepare(struct copy *c, struct pass *p, const struct folder *f, struct slice mapped,
    struct copy_job *job, bool *has_changed_out, struct err *err) ATTR_WUR;

/* What is told of one that is not looked at. */
void copy_tell_passed(const struct copy *c, const struct copy_folder *f);

/* --- Folders that show messages of others (copy_shown.c) ----------------------------------------
 */

/* Which of them may have something new: places in the list of the source; and adds those that take
 * part in the plan of all others: what the journal has of them may have got a label, or another
 * message lost its last one. */
int copy_add_shown(struct copy *c, struct pass *p, const struct folder_list *from, struct dues *all,
    uint32_t *out, size_t *n_out, struct err *err) ATTR_WUR;
/* Behind the copies, one after the other: what one has is elsewhere for the next. */
int copy_do_shown(
    struct copy *c, struct pass *p, const uint32_t *v, size_t n, struct err *err) ATTR_WUR;

#endif
