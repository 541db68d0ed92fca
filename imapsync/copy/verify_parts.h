/* SPDX-License-Identifier: ISC */
/* verify_parts: one folder of a comparison. */
#ifndef IMAPSYNC_COPY_VERIFY_PARTS_H
#define IMAPSYNC_COPY_VERIFY_PARTS_H

#include "imapsync/copy/copy_parts.h"

/* One folder that is being compared. */
struct check {
    struct copy *c;
    const struct folder_list *all; /* of the source */
    const struct folder *f;
    bool with_content, is_anew, is_known, is_opened_there;
    struct journal_folder record;
    struct keywords keywords;
    struct end_changes source, target;
    struct end_ticket from, to;
    uint32_t next;    /* in the source's listing; 0: that was all */
    size_t n_ours;    /* messages of the target that have a pair */
    struct pair *new; /* whose contents have not been compared, of this portion */
    size_t n_new;
    bool is_open_for_content, has_unread;
    uint32_t *missing;
    size_t n_missing, n_accepted;
    size_t n_filtered; /* that the last pass has left out */
    size_t n_different, n_gone, n_extra;
    struct copy_looked *looked; /* borrowed */
    struct record_seen seen, seen_there;
};

/* Asks both sides for their lists; c, f and with_content are given. */
int verify_begin(struct check *k, struct err *err) ATTR_WUR;
/* Compares; what differs is told.  -1: it could not be. */
int verify_finish(struct check *k, struct copy_verdict *out, struct err *err) ATTR_WUR;
void verify_end(struct check *k);
/* missing: of the source's UIDs; found has the numbers. */
void verify_tell(const struct copy *c, const struct journal_folder *record,
    const struct record_seen *source, struct copy_compared found);

#endif
