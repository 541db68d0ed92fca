/* SPDX-License-Identifier: ISC */
/*
 * resolve_parts: what the files of resolve share among themselves.
 *
 *   resolve.c         lists the target, and tells the journal what was found
 *   resolve_wanted.c  what is looked for
 *   resolve_match.c   reads the two sides and matches them
 */
#ifndef IMAPSYNC_COPY_RESOLVE_PARTS_H
#define IMAPSYNC_COPY_RESOLVE_PARTS_H

#include "imapsync/stream/bodies.h"
#include "imapsync/copy/resolve.h"

/* One side's messages, by UID. */
struct resolve_side {
    struct body *v;
    uint32_t *sizes;
    bool *is_read; /* or its digests were known */
    size_t n, cap;
};

/* One message that is looked for; the UID of the source. */
struct wanted {
    uint32_t uid;
    bool has_content, has_flags;
    struct content content;
    struct flags flags;   /* that it was given; */
    struct flags lasting; /* those of them that last on the target */
};

struct wanted_list {
    struct wanted *v;
    size_t n, cap;
    uint32_t sent_since; /* the oldest UIDNEXT of SENT pairs */
};

/* known NULL: its content has to be read. */
void resolve_side_add(
    struct resolve_side *s, uint32_t uid, uint32_t size, const struct content *known);
void resolve_side_fini(struct resolve_side *s);
/* By UID; NULL: it has none. */
const struct body *resolve_side_find(const struct resolve_side *s, uint32_t uid);

/* The pair's number on the target is not good any more. */
bool resolve_is_void(const struct resolve_job *job, const struct pair *p);
const struct pair *resolve_find_pair(const struct resolve_job *job, uint32_t uid);
/* Whether it has a pair that is no reason to send it again. */
bool resolve_is_paired(const struct resolve_job *job, uint32_t uid);
bool resolve_is_listed(const struct resolve_job *job, uint32_t uid);
/* By UID, each once; its array is the caller's to free. */
int resolve_want(struct resolve_job *job, struct wanted_list *out, struct err *err) ATTR_WUR;

/* Makes a side of what is wanted, and joins it with the target. */
int resolve_match(struct resolve_job *job, const struct wanted_list *l, struct resolve_side *source,
    struct resolve_side *target, struct err *err) ATTR_WUR;

/* Of equal messages one that nobody has said OK to has the copy, as the other one is not on the
 * source any more, or has a higher number.  Which is which nothing tells, so they exchange what is
 * known of them: the one that was stored was not.  By UID, those that have the copy; the mate is
 * the other one.  The caller's to free. */
struct body *resolve_exchanged(const struct resolve_job *job, const struct wanted_list *l,
    const struct resolve_side *source, size_t *n_out);
/* Behind a flip the marks are told before the journal is: of a copy that it then never knew they
 * say that it is there.  false: they say nothing. */
bool resolve_marks(const struct resolve_job *job, struct past_folder *out);

#endif
