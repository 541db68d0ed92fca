/* SPDX-License-Identifier: ISC */
/*
 * plan: what has to happen in a mailbox: a pure function of the changes of the source, the changes
 * of the target, the journal and a policy.  Everything that decides what is copied, moved, flagged
 * or deleted is here; the answer is one list of operations, each with its witness.
 *
 *     plan_folders(&(struct plan_names){...}, &names);     when both sides have listed their
 * folders:
 *     ... rename and make ...                               which is which, what is renamed and
 * made
 *     ... open the folders on both sides, settle what is in doubt ...
 *     for (;;) {
 *         plan_make(&(struct plan_input){...}, &plan);
 *         if (plan.n_asks == 0) break;
 *         ... find out what it asks for; hand that in with the messages ...
 *         plan_fini(&plan);
 *     }
 *     ... do plan.ops in their order, tell plan.withheld ...
 *     plan_fini(&plan);
 *
 * Three-way.  For presence, for the folder and for each flag and keyword the journal says what both
 * sides last had in common, and each side says what has changed since.  What only the source has
 * changed is made on the target, as far as the policy says; what the target's user has changed
 * stays his.  A message that is not among a side's changes is there as the journal says.  Messages
 * of the target that the journal does not know are never named in an operation.
 *
 * Before it is called every open intent is settled and every SENT pair was looked for, and pairs
 * under another UIDVALIDITY are not handed in: their messages were identified anew by content, or,
 * behind a flip, are told from late ones by `past` and `seen`.
 *
 * What is withheld, asked for or left out keeps its folder's token where it is.
 *
 * Moves are found among the folders of one call.  Hand in all folders that have changes; only where
 * the journal knows nothing (a first copy) may folders come in several calls, or in windows.
 *
 * Nothing of the input is kept.  Equal input gives equal plans.
 */
#ifndef IMAPSYNC_PLAN_PLAN_H
#define IMAPSYNC_PLAN_PLAN_H

#include <stdint.h>
#include "base/core/slice.h"
#include "imapsync/journal/canon.h"
#include "imapsync/ends/flags.h"
#include "imapsync/journal/journal_record.h"
#include "imapsync/plan/past.h"
#include "imapsync/plan/policy.h"

/* --- Messages: what goes in --------------------------------------------------------------- */

/* A message that is new on a side, or may have changed there. */
struct plan_message {
    uint32_t uid;
    uint32_t size; /* as the server tells it: orders what is asked for first; 0: not told */
    bool has_flags, is_unreadable; /* its content was asked for and cannot be had */
    bool is_in_doubt;              /* the same, and it may be on the target already */
    bool is_refused; /* for its side, which has it, says NO: it may be what was lost elsewhere */
    bool is_still_there; /* as was asked for, behind all listings */
    bool is_filtered; /* it is not to be copied as a new one; that it is there counts all the same
                       */
    struct flags flags;
    struct slice id;             /* EMAILID; empty: not told */
    const unsigned char *digest; /* of SHA256_SIZE octets; NULL: not known */
    const struct canon *canon;   /* what is left of it whatever ends its lines; NULL: not known */
};

struct plan_side {
    size_t n; /* by ascending UID */
    struct plan_message (*message)(const void *arg, size_t i);
    const void *arg;
    const uint32_t *vanished; /* ascending: known ones that are not there any more */
    size_t n_vanished;
    bool is_sure; /* else nothing is known to be gone, whatever `vanished` says */
};

/* One pair of the journal.  A UID that is 0: there is none on that side; with PAIR_GONE it is the
 * side that has lost it.  Never both.  One that stands alone on the target was made when the roles
 * were exchanged: what was lost on the other side then, has not come there, or had come before its
 * folder was replaced. */
struct plan_pair {
    uint32_t src_uid, tgt_uid;
    enum pair_state state;
    bool is_touched;  /* as of the last PLAN_NOTE */
    bool may_retry;   /* PAIR_REFUSED: it is due */
    bool has_twin;    /* pairs that are not handed in name the same message of the target */
    bool is_unproved; /* alone on the target: that the source's user has removed it nobody knows */
    struct flags flags; /* that both sides last had in common */
    uint32_t size;      /* of the literal; 0: not known */
    struct slice id, tgt_id;
    const unsigned char *digest; /* NULL: none */
    const struct canon *canon;
};

struct plan_folder {
    struct plan_side source, target; /* target: nothing, and sure, where it was not asked */
    /* Those that a change names, by source UID; those without one come first, by target UID. */
    size_t n_pairs;
    struct plan_pair (*pair)(const void *arg, size_t i);
    const void *arg;
    size_t n_known; /* STORED pairs of the folder in all, handed in or not */

    bool is_source_lost; /* the source does not list the folder: all pairs are handed in */
    bool is_target_lost; /* the target does not: all pairs are handed in */
    bool is_confirmed;   /* looked at again (`again`); of a lost one: an operator has agreed */
    bool is_target_trash;
    struct flags storable; /* what lasts on the target */

    struct past_folder past; /* of the flip; zero: nothing is known */
};

struct plan_input {
    enum plan_policy_id policy;
    const struct plan_folder *folders;
    size_t n_folders;
    size_t n_known;         /* STORED pairs of the mailbox in all; at least those of the folders */
    bool is_source_doubted; /* nothing goes away because of what it shows */
    bool is_all;            /* every folder that is there was asked: else EMPTIED is never said */
    /* The first look since the roles were exchanged: what the target lacks went away while its user
     * was elsewhere. */
    bool is_fresh;
    /* Behind a flip: a folder that the target was restored in could not be looked at, so it is not
     * known what is owed. */
    bool is_owed_hidden;
    bool can_remove, can_move;
    /* What stands alone on the target is joined with what is new in its own folder only: no user of
     * the source has taken it away, so it stays. */
    bool alone_stays;
    /* The ceiling: more deletions than both are withheld, all of them.  Zero: the defaults. */
    size_t deletions_min;
    unsigned deletions_percent;
    bool may_delete; /* false: what the source has lost is only remembered */
    /* How many messages of this content ever were on the source, of which there are `now` in places
     * that are not known.  NULL: nobody knows any more. */
    size_t (*seen)(void *arg, const unsigned char *digest, size_t now);
    /* How many of this content may have been stored for folders that could not be looked at.  NULL:
     * none. */
    size_t (*in_doubt)(void *arg, const unsigned char *digest);
    /* Flags of one folder in the bits of another, whose keywords may have others.  NULL: they are
     * the same everywhere. */
    struct flags (*translate)(void *arg, uint32_t from, uint32_t to, const struct flags *f);
    void *arg;
};

#define PLAN_DELETIONS_MIN 50   /* so many may always be, unless they are more than half of all */
#define PLAN_DELETIONS_SMALL 20 /* and so many may even be that */
#define PLAN_DELETIONS_PERCENT 10
#define PLAN_EMPTIED_MIN 10 /* messages: a smaller folder may become empty without a question */

/* --- What comes out --------------------------------------------------------------------------- */

/* Flags of an operation.  There are few different ones, and operations share them. */
struct plan_change {
    struct flags add, remove; /* FLAGS: on the target */
    struct flags now; /* for the journal, once it is done; MOVE: in the bits of `to`.  COPY: of
                         these it is stored with those that last on the target */
    struct flags was; /* FLAGS, MOVE, TRASH, REMOVE: what the target has as far as we know; if it
                         is something else when its turn comes, its user was quicker */
};

/* Folders are positions in the input. */
struct plan_op {
    enum plan_kind kind : 8;
    enum plan_witness witness : 8;
    enum plan_reason reason : 8; /* in `withheld`: why */
    enum pair_state state : 8;   /* RENUMBER: that the pair then has */
    bool is_touched;             /* FLAGS, NOTE, GONE: that it then is */
    bool is_target;              /* RENUMBER: new_uid is on the target, in the same folder */
    bool was_refused;            /* out of the plan's hands: MOVE, TRASH, REMOVE were, alone */
    uint32_t folder;             /* with src_uid, or tgt_uid, the pair's place in the journal */
    uint32_t to;                 /* MOVE, RENUMBER: where it then is */
    uint32_t src_uid;            /* COPY: of the message; else of the pair; 0: it has none */
    uint32_t new_uid;            /* MOVE, RENUMBER: on the source, in `to` */
    uint32_t tgt_uid;            /* of our copy, in `folder`; 0: none */
    uint32_t change;             /* position in the plan's changes; 0: none of the flags */
};

#define PLAN_NOWHERE UINT32_MAX

enum plan_question {
    PLAN_ASK_CONTENT,
    PLAN_ASK_THERE, /* whether the source still has it; one that it has not is not handed in again
                     */
};

/* What has to be known of a message before it can be planned. */
struct plan_ask {
    enum plan_question question;
    bool is_target;
    uint32_t folder, uid;
};

struct plan {
    /* By kind (the order of the enum), then by folder; equal changes of flags stand together; UIDs
     * ascend as far as that allows: copies by src_uid, all others by tgt_uid.  Empty while there
     * are asks. */
    struct plan_op *ops;
    size_t n_ops;
    struct plan_change *changes;
    size_t n_changes;
    struct plan_op *withheld; /* what would have been done, and why it is not */
    size_t n_withheld;
    struct plan_ask *asks; /* by question, side, folder and UID */
    size_t n_asks;
    uint32_t *again; /* folders to be opened anew, with is_confirmed in the next call */
    size_t n_again;
    /* Folders of which the target has lost half, or all: nothing of them is planned before what is
     * there was identified by content. */
    uint32_t *reconcile;
    size_t n_reconcile;
    size_t n_unsure; /* folders of which nothing is known to be gone: deletions there wait */
    size_t n_same;   /* messages among the changes with nothing to do */
    size_t n_kept;   /* copies that outlive their original: their user has touched them */
    uint64_t n_of[PLAN_KINDS], n_why[PLAN_REASONS]; /* operations; withheld ones */
};

void plan_make(const struct plan_input *in, struct plan *out);
void plan_fini(struct plan *p);

/* --- Folders ------------------------------------------------------------------------------------
 */

struct plan_name {
    struct slice name, mailboxid; /* on the wire; RFC 8474, empty: not told */
};

/* A folder of the journal. */
struct plan_known {
    struct plan_name source, target;
};

/* A folder that the source lists, with the name that it would get on the target if it were new. */
struct plan_listed {
    struct plan_name source;
    struct slice mapped;
};

struct plan_names {
    enum plan_policy_id policy;
    const struct plan_known *known;
    size_t n_known;
    const struct plan_listed *source; /* those that are copied */
    size_t n_source;
    const struct plan_name *target; /* all that the target lists */
    size_t n_target;
    int delimiter; /* of the target; -1: none */
};

/* One change of a folder's name. */
struct plan_name_op {
    enum plan_kind kind; /* NAME, RENAME, MAKE */
    enum plan_witness witness;
    uint32_t known, source; /* positions; PLAN_NOWHERE: none */
    bool is_target;         /* NAME: whose name has changed */
    struct slice from, to;  /* borrowed from the input, or from the answer */
};

struct plan_folders {
    uint32_t *known_of; /* for each folder of the source: its position in known, or PLAN_NOWHERE */
    struct plan_name_op *ops; /* in the order in which they are done */
    size_t n_ops;
    uint32_t *lost; /* of known: the source does not list them any more */
    size_t n_lost;
    char **texts; /* owned names */
    size_t n_texts;
};

void plan_folders(const struct plan_names *in, struct plan_folders *out);
void plan_folders_fini(struct plan_folders *f);

/* --- Flags ---------------------------------------------------------------------------------------
 */

struct plan_three {
    struct flags base, source, target; /* base: that both last had in common */
    struct flags storable;
};

/* add and remove are for the target; now is what both then have in common. */
void plan_flags(const struct plan_policy *policy, const struct plan_three *t, bool is_touched,
    struct flags *add_out, struct flags *remove_out, struct flags *now_out);
/* Whether the target's user has changed something: a system flag, or a keyword more than ours. */
bool plan_is_touched(const struct plan_three *t);

#endif
