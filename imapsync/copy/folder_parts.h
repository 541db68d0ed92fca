/* SPDX-License-Identifier: ISC */
/* folder_parts: what the files about one folder of a pass share among themselves. */
#ifndef IMAPSYNC_COPY_FOLDER_PARTS_H
#define IMAPSYNC_COPY_FOLDER_PARTS_H

#include "imapsync/copy/copy_parts.h"
#include "imapsync/copy/folder_plan.h"
#include "imapsync/copy/late.h"

struct work {
    struct copy *c;
    struct pass *p;
    const struct folder *source;
    struct journal_folder *record;
    struct folder *target;
    struct end_ticket asked; /* the source, what has changed */
    bool is_over;            /* it has failed, and that has been told */
    bool comes_again;        /* it was numbered anew, or we have looked too often (Courier) */
    struct keywords keywords;
    size_t n_keywords_known;
    struct end_changes listing; /* of the source */
    struct pair *pairs;
    size_t n_pairs;
    struct folder_plan plan;
    uint32_t *missing;
    size_t n_missing;
    size_t n_exceptions; /* of this folder in this pass */
    struct late_job late;
    bool is_detached; /* nothing of what the pairs name is there */
    bool has_gone_pairs, has_sent_pairs;
};

/* What follows on the source is about this folder, whichever was opened last. */
int folder_reopen(struct work *w, struct err *err) ATTR_WUR;

/* --- Whether what the journal says is still true (folder_known.c) -------------------------- */

bool folder_is_behind_flip(const struct work *w);
bool folder_has_state(const struct work *w, enum pair_state state);
int folder_load_pairs(struct work *w, struct err *err) ATTR_WUR;
/* *adopt_out: what is on the target has to be looked at message by message. */
int folder_check_uidvalidity(struct work *w, bool *adopt_out, struct err *err) ATTR_WUR;
/* Open intents and SENT pairs by content; adopt: all that no pair names. */
int folder_resolve_open(struct work *w, bool adopt, struct err *err) ATTR_WUR;
/* The target has said OK to them, and they are not there. */
int folder_tell_vanished(struct work *w, struct err *err) ATTR_WUR;
/* Behind a flip: what is not late becomes GONE. */
int folder_judge_late(struct work *w, struct err *err) ATTR_WUR;
/* Also of a folder that failed: what was copied was copied. */
int folder_tell_came(struct work *w, struct err *err) ATTR_WUR;

#endif
