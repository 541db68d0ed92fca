/* SPDX-License-Identifier: ISC */
/*
 * tell: what a pass or a comparison finds out goes two ways at once: to whoever watches the copy
 * (copy_events), and into the journal as an item (items.h).
 *
 *     tell_begin(c, err);                         what is waiting, what is accepted
 *     ... if (!copy_tell(c, &finding)) counts->messages_failed++; ...
 *     tell_flush(c, err);                         before a token passes what was told
 *     tell_end(c, counts, err);                   a pass was through: what it mended is gone
 *
 * Within a transaction of the journal an item is a part of that; else it waits for tell_flush().
 */
#ifndef IMAPSYNC_COPY_TELL_H
#define IMAPSYNC_COPY_TELL_H

#include "imapsync/journal/items.h"
#include "imapsync/copy/report.h"
#include "imapsync/ends/changes.h"

struct copy;

struct copy_finding {
    enum item_code code;
    struct slice folder; /* of the source, on the wire */
    uint32_t uid;        /* 0: the folder */
    uint32_t uidvalidity;
    uint64_t n;                   /* messages, where it is about more than one */
    bool is_told_already;         /* another item says why: it is shown, and not kept */
    const struct listed *message; /* NULL: nothing is known of it */
    const char *why;
    const char *accepted_by; /* somebody has said before that it may be so; NULL: nobody */
    bool never_rests;        /* it costs nothing to try it with each pass */
};

/* What becomes of a message that was refused, or has vanished, in this pass. */
enum tell_fate {
    TELL_DUE, /* tried again */
    TELL_RESTS,
    TELL_ACCEPTED,
};

struct tell_known {
    uint32_t folder, uid; /* the journal's, the source's */
    enum tell_fate fate;
};

/* With what they point to. */
struct item_list {
    struct item *v;
    size_t n;
};

struct tell {
    struct tell_known *known; /* owned; by folder and UID */
    size_t n_known;
    struct tell_known *flags; /* the same of messages that lack flags */
    size_t n_flags;
    struct tell_known *held; /* and of messages that are not moved, or removed */
    size_t n_held;
    uint64_t *told; /* owned; keys of what this pass has told */
    size_t n_told;
    struct item_list waiting; /* for the journal */
    bool has_amounts;         /* one of amounts.h is known, whatever became of it */
};

void tell_fini(struct tell *t);
int tell_begin(struct copy *c, struct err *err) ATTR_WUR;
/* true: somebody has accepted it, so that it counts for nothing, and nobody is told. */
bool copy_tell(struct copy *c, const struct copy_finding *f);
/* It is as it was told before, and was not tried. */
void copy_tell_rests(struct copy *c, const struct item_key *what);
/* What was told of it, if anything was, is mended. */
int copy_tell_mended(struct copy *c, const struct item_key *what, struct err *err) ATTR_WUR;
int tell_flush(struct copy *c, struct err *err) ATTR_WUR;
int tell_end(struct copy *c, struct copy_counts *counts, struct err *err) ATTR_WUR;

/* As of tell_begin(). */
bool tell_rests(const struct copy *c, uint32_t folder, uint32_t uid); /* or is accepted */
bool tell_is_accepted(const struct copy *c, uint32_t folder, uint32_t uid);
/* Of a message that lacks flags; false: it lacks none. */
bool tell_flags_fate(const struct copy *c, uint32_t folder, uint32_t uid, enum tell_fate *out);
/* Of a message whose move, or removal, was refused; false: none was. */
bool tell_held_fate(const struct copy *c, uint32_t folder, uint32_t uid, enum tell_fate *out);
bool tell_is_due_in(const struct copy *c, uint32_t folder);
/* Whether somebody wants this one to be tried again, whatever it costs. */
bool tell_is_retried(struct copy *c, struct slice folder, uint32_t uid, enum item_code code);

#endif
