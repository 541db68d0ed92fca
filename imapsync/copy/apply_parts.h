/* SPDX-License-Identifier: ISC */
/*
 * apply_parts: what the files of apply share among themselves.
 *
 *   apply.c          windows of operations, and what each kind of them waits for
 *   apply_journal.c  the kinds that are in the journal only
 *   apply_flags.c    FLAGS
 *   apply_remove.c   TRASH and REMOVE
 *   apply_move.c     MOVE
 *   apply_settle.c   what an earlier pass has left open; apply_settle_move.c: of its MOVEs
 *
 * A group is what one command is about: operations of one kind in one folder.  A window of groups
 * goes through its steps together; each step begins the commands of all of them and then waits for
 * all answers.
 */
#ifndef IMAPSYNC_COPY_APPLY_PARTS_H
#define IMAPSYNC_COPY_APPLY_PARTS_H

#include "imapsync/copy/apply.h"

#define APPLY_GROUP_MAX 200 /* UIDs in one command */

struct apply_group {
    const struct plan_op *ops; /* of the plan */
    size_t n;
    const struct plan_change *change; /* FLAGS: of all of them */
    struct apply_folder *folder;
    bool is_first;   /* of its folder in the window: the folder is opened before it */
    bool is_over;    /* it was refused, or nothing of it is left to be done */
    uint32_t *uids;  /* on the target, of those that are still to be changed */
    uint32_t *which; /* their places in ops */
    size_t n_uids;
    struct end_changes numbers; /* of the opening, when is_first; and what was looked at */
    struct end_ticket opened, first, second;
    uint64_t modseq;        /* of its folder when it was looked at; when is_first */
    struct end_uids answer; /* what the command told */
    struct folder to;       /* MOVE: as it was before; the name is borrowed */
    struct end_ticket to_told;
    bool *waits; /* REMOVE: of the operations, those that wait for the next pass */
    bool *away;  /* MOVE: of the operations, those whose copy is not there */
    struct intent intent;
};

struct apply_window {
    struct apply_job *job;
    struct apply_group *v;
    size_t n;
};

/* Begins the opening of the group's folder for writing when it is the first one.  is_known: it was
 * looked at in this window. */
int apply_begin_open(
    struct apply_window *w, struct apply_group *g, bool is_known, struct err *err) ATTR_WUR;
/* The group of the window that has the opening of this one's folder. */
struct apply_group *apply_opener(struct apply_window *w, struct apply_group *g);
/* Opens all folders of the window, each with the flags of its messages where `wants_flags`: behind
 * it each group knows whether its UIDs are what they were. */
int apply_look(struct apply_window *w, bool wants_flags, struct err *err) ATTR_WUR;
/* Whether the group's command has been done.  A NO is told, and the group is over. */
bool apply_is_done(struct apply_window *w, struct apply_group *g, const struct end_ticket *t);
/* Tells it, once for each folder, and leaves it out. */
void apply_refuse(struct apply_window *w, struct apply_group *g, const char *why);
/* So many of its operations wait for the next pass. */
void apply_leave(struct apply_window *w, struct apply_group *g, size_t n);
int apply_put_intents(struct apply_window *w, enum intent_kind kind, struct err *err) ATTR_WUR;
/* Takes the UIDs that somebody has changed meanwhile out of the group; they wait. */
void apply_take_out(struct apply_window *w, struct apply_group *g, const struct end_uids *modified);
/* Whether FLAGS of the same message were left. */
bool apply_has_old_flags(const struct apply_job *job, const struct plan_op *op);
uint32_t apply_record_id(const struct apply_job *job, uint32_t folder);
/* Of pairs that are sorted by source UID, or, for one that stands alone on the target (0), by that
 * UID; NULL: there is none. */
const struct pair *apply_find(const struct pair *v, size_t n, uint32_t src_uid, uint32_t tgt_uid);
/* What the journal has of the operation's pair. */
int apply_content(struct journal *j, uint32_t folder, const struct plan_op *op, struct content *out,
    bool *found_out, struct err *err) ATTR_WUR;

int apply_journal(
    struct apply_job *job, const struct plan_op *ops, size_t n, struct err *err) ATTR_WUR;
int apply_flags(struct apply_window *w, struct err *err) ATTR_WUR;
int apply_remove(struct apply_window *w, struct err *err) ATTR_WUR;
int apply_move(struct apply_window *w, struct err *err) ATTR_WUR;

/* What was looked at of one folder with open intents. */
struct apply_settling {
    struct end *target;
    struct journal *journal;
    const struct folder_list *there;
    const struct journal_folder *folder;
    struct keywords *keywords;
    const struct end_changes *left; /* of the messages that the intents name: those in the folder */
    bool is_void; /* it is not there, or another one: nothing is known of what it has */
};

/* The UIDs that the journal has of the target's folder are good for nothing: its pairs will be
 * looked for by content. */
int apply_forget_numbers(struct journal *j, struct journal_folder *f, struct err *err) ATTR_WUR;
/* Removes some messages of the folder for ever, and takes the mark of a removal off others. */
int apply_take_marks(struct apply_settling *s, const uint32_t *removed, size_t n_removed,
    const uint32_t *kept, size_t n_kept, bool *is_open_out, struct err *err) ATTR_WUR;
/* Closes the intent, unless *is_open_out: the target does not let us look. */
int apply_settle_move(
    struct apply_settling *s, const struct intent *i, bool *is_open_out, struct err *err) ATTR_WUR;

#endif
