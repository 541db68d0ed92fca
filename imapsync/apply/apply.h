/* SPDX-License-Identifier: ISC */
/*
 * apply: carries out a plan on the target: every operation but COPY, NAME, RENAME and MAKE, those
 * of many folders on their way at once.
 *
 *     apply_settle(target, journal, &there, &open, err);    when both sides have listed folders
 *     ... load the pairs, plan, copy ...
 *     apply_plan(&job, err);
 *     apply_open_fini(&open);
 *
 * Order.  First what is in the journal only.  Then windows of operations, in the plan's order; in a
 * window flags, moves and removals go together (apply_turns.c), but for those of one message, which
 * wait for each other.  Before each change of the target an intent says so, so that after a kill or
 * a cut apply_settle() finds out what was done; it writes that into the pairs.
 *
 * TRASH is a MOVE to where no message of the source is: the copy stands alone there, until the next
 * plan has seen whether its message has come up elsewhere.
 *
 * Witnesses.  TRASH and REMOVE look at the copy first: one that is not there any more, or that the
 * target's user has touched, is left alone and its pair forgotten.  Where the end can guard, the
 * change is made under the MODSEQ of that look, and FLAGS under the one of the plan's; messages
 * that somebody has changed in between stay as they are, in the journal too, for the next pass.
 * MOVE takes a message with the flags that it has, unless a FLAGS of the same plan had to be left:
 * the journal would take its change for made.  The pair of one that is not there any more goes
 * without it (AWAY), and counts as kept.
 *
 * Errors.  A NO to a change costs the message, or the flag, that it is about (apply_halves.c), and
 * `spared` tells it, as it does of what has no place to go to.  A folder that says NO to
 * everything, or cannot be opened, costs itself: `exception` tells it, the rest of its operations
 * is left out.  is_left says of both.  -1: the end has broken, or the journal has failed; what was
 * done is in the journal, or an intent is.
 *
 * Round trips: three for a window (APPLY_WINDOW operations), however many folders they are in and
 * of whatever kind they are, and one more for each folder but one that messages are moved from or
 * to Trash, since nothing that was moved could be told from what is there by a mark.
 */
#ifndef IMAPSYNC_APPLY_APPLY_H
#define IMAPSYNC_APPLY_APPLY_H

#include "imapsync/journal/journal.h"
#include "imapsync/plan/plan.h"
#include "imapsync/ends/end.h"

#define APPLY_WINDOW 2000 /* operations on their way at once */

/* By the positions of the plan. */
struct apply_folder {
    /* Borrowed.  With its id, and the target's name and UIDVALIDITY that the plan's UIDs are good
     * for: a target that has another one by now says NO. */
    const struct journal_folder *record;
    /* Of the plan's flags, all of them in the journal already; with the same places in all folders
     * between which something moves. */
    struct keywords *keywords;
    /* The target's MODSEQ when it was asked what has changed (end_changes.modseq); 0: it was not
     * asked, or has none. */
    uint64_t modseq;
    bool is_left;    /* out: something of it was not done, so its tokens stay where they are */
    bool is_refused; /* out: because it has said NO */
    size_t n_flagged, n_moved, n_deleted, n_kept; /* out: its part of the job's */
};

struct apply_place {
    uint32_t folder, uid; /* of the target */
};

/* What the target does not do, though it does the rest. */
struct apply_spared {
    uint32_t folder;
    uint32_t uid; /* of the source; 0: n messages, and perhaps all */
    size_t n;
    bool is_flag;      /* they are changed but for these flags; else they stay where they are */
    bool has_no_place; /* MOVE, TRASH: nothing was sent, for there is nowhere to go */
    struct flags add, remove;
    const char *why;
};

struct apply_job {
    struct end *target;
    struct journal *journal;
    const struct plan *plan;
    struct apply_folder *folders;
    size_t n_folders;
    const struct journal_folder *trash; /* TRASH: the target's; NULL: there is none */
    /* uid: of the source, 0: the folder.  NULL: nobody wants to know. */
    void (*exception)(void *arg, uint32_t folder, uint32_t uid, const char *why);
    /* NULL: nobody wants to know. */
    void (*spared)(void *arg, const struct apply_spared *s);
    /* GONE of a message that had no pair: what is known of its content.  NULL or false: nothing. */
    bool (*content)(void *arg, uint32_t folder, uint32_t src_uid, struct content *out);
    void *arg;
    /* Out. */
    size_t n_flagged, n_moved, n_deleted; /* on the target; TRASH is a deletion */
    size_t n_kept; /* deleted on the source, but touched by the target's user: theirs now */
    /* Its own: messages whose FLAGS wait, and with them their MOVE. */
    struct apply_place *unflagged;
    size_t n_unflagged;
};

int apply_plan(struct apply_job *job, struct err *err) ATTR_WUR;

/* Folders of the journal, by id, of which the outcome of an earlier pass is not known yet, because
 * the target did not let us look: they must not be planned. */
struct apply_open {
    uint32_t *folders;
    size_t n;
};

/* Adds to *out.  there: what the target lists now; an intent of a folder that is not there is void.
 * Nothing is asked unless an earlier pass was cut off. */
int apply_settle(struct end *target, struct journal *journal, const struct folder_list *there,
    struct apply_open *out, struct err *err) ATTR_WUR;
bool apply_is_open(const struct apply_open *o, uint32_t folder);
void apply_open_fini(struct apply_open *o);

#endif
