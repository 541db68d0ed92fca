/* SPDX-License-Identifier: ISC */
/*
 * folder_parts: what the files about the folders of a pass share among themselves.
 *
 *   folders_pass.c    all folders: look, plan, copy, apply, remember
 *   folder.c          one folder: what has changed, and what became of its copies
 *   folder_ask.c      its questions to both sides
 *   folder_known.c    whether what the journal says of it is still true
 *   folder_sift.c     what is left of it when all that has not changed is taken out
 *   folder_touched.c  the pairs that what both sides have told is about
 *   folder_rest.c     what was told by UIDs alone: listed when it is needed, and in portions
 *   folder_adopt.c    a large folder that the target has already, found again by content
 *   folder_stored.c   dates and flags of its copies, as the target keeps them
 *   folder_changes.c  what the plan is told of it
 *   pass_plan.c       one plan over all of them, and its questions
 *   pass_left.c       what it does not do, and how that is told
 *   pass_doubt.c      what may be on the target, and cannot be looked for
 *   pass_owed.c       what is known to be owed under the numbers of before
 *   pass_flags.c      flags, and moves and removals, that the target does not take
 *   shared.c          what of it must not be done behind the copies
 *   filtered.c        what is not copied because of a filter
 *   pass_told.c       what each folder's part in it was; and of a dry run, what it would be
 */
#ifndef IMAPSYNC_COPY_FOLDER_PARTS_H
#define IMAPSYNC_COPY_FOLDER_PARTS_H

#include "imapsync/stream/bodies.h"
#include "imapsync/copy/copy_parts.h"
#include "imapsync/plan/match.h"
#include "imapsync/plan/plan.h"
#include "imapsync/stream/stream.h"

/* What the plan has to know of a pair besides. */
struct fact {
    unsigned char digest[SHA256_SIZE];
    struct canon canon;
    uint32_t size;
    bool has_digest, has_twin;
};

/* What one side has told. */
struct told {
    const struct work *of;
    struct end *end;
    struct end_changes *changes;
    struct end_ticket ticket;
    bool is_asked;
    uint32_t *vanished; /* ascending */
    size_t n_vanished;
    struct body *read; /* what the plan has asked for, by UID */
    size_t n_read;
    uint32_t *still; /* that were there when they were asked for once more; ascending */
    size_t n_still;
};

/* A copy with a date, or flags, that the target may not have kept. */
/* So many copies that lack a flag are not the doing of a user. */
#define FOLDER_SAMPLE 3

struct check {
    uint32_t src_uid, tgt_uid;
    bool has_odd_date;
    bool is_plain;      /* stored without keywords */
    struct flags lacks; /* when it was looked at */
};

struct work {
    struct copy *c;
    struct pass *p;
    const struct folder *source;
    struct journal_folder *record;
    struct folder *target;
    bool is_lost;      /* the source does not list it */
    bool is_shown;     /* it shows messages of others: shown.h */
    bool is_awaited;   /* the target has just been asked to make it */
    bool is_over;      /* it has failed, and that has been told */
    bool comes_again;  /* it was numbered anew, or we have looked too often (Courier) */
    bool is_confirmed; /* looked at again, since it is empty and was not */
    struct keywords keywords;
    size_t n_keywords_known;
    /* All of them until folder_sift(); then those that have something to do with a change.  A large
     * folder is told briefly. */
    struct end_changes listing; /* of the source */
    struct end_changes there;   /* of the target, in a folder that the journal knows */
    struct told source_told, target_told;
    struct end_ticket first_open; /* of the target, for its numbers */
    struct end_changes kept;      /* of the target, where only what lasts there was asked */
    struct end_ticket kept_told;
    bool has_kept;
    /* Not listed yet, without a pair: new on the source; on the target somebody else's. */
    struct uid_set fresh, foreign;
    struct pair *pairs; /* none before folder_load_pairs() or folder_sift() */
    size_t n_pairs;
    bool has_all_pairs;
    size_t n_alone;     /* pairs that stand alone on the target: they come first */
    unsigned states;    /* that all others have, 1 << enum pair_state */
    bool has_lost;      /* one of the sides has lost the message of a pair */
    struct fact *facts; /* of the pairs */
    size_t n_known;     /* STORED pairs */
    size_t n_same;
    struct copy_folder done; /* what this pass has done in it, for who is told of folders */
    uint32_t *copies;        /* source UIDs, ascending */
    size_t n_copies;
    struct stream_folder *streamed; /* NULL: there was nothing to copy */
    uint32_t
        next_there; /* UIDNEXT of the target behind what was copied in this pass; 0: nothing was */
    uint32_t *missing;
    size_t n_missing;
    struct check *checks;
    size_t n_checks;
    bool is_needed;          /* on the target: something goes there */
    struct uid_set in_doubt; /* of the source: not given, and perhaps on the target already */
    bool has_unread;         /* told: contents of it were not read for the plan */
    size_t n_exceptions;     /* of this folder in this pass, with what is withheld */
    struct uid_set filtered; /* of these those that a filter has left out */
    bool has_told_short;
    bool is_detached;    /* nothing of what the pairs name is there */
    bool is_found_again; /* the pairs were looked for in all that the target has */
    bool has_sent_pairs, has_gone_pairs;
};

/* The folders that are planned together. */
struct works {
    struct copy *c;
    struct pass *p;
    struct work *v;
    size_t n;
    struct work **planned; /* by their positions in the plan */
    size_t n_planned;
    struct plan plan;
    bool has_unread;  /* contents that would tell what was moved */
    bool has_no_past; /* it could not be asked what there was before the flip, */
    struct err why;   /* for this reason */
    /* Behind a flip: what is on its way to folders that could not be looked at. */
    unsigned char (*in_doubt)[SHA256_SIZE];
    size_t n_in_doubt;
};

/* --- One folder (folder.c) --- */

/* What follows on the source is about this folder, whichever was opened last. */
int folder_reopen(struct work *w, struct err *err) ATTR_WUR;
/* Asks what has changed; then, when it is answered, settles what is in doubt. */
int folder_ask(struct work *w, struct err *err) ATTR_WUR;
int folder_answered(struct work *w, struct err *err) ATTR_WUR;
/* Whether the changes since the last pass are all that has to be looked at. */
int folder_may_ask_since(struct work *w, bool *may_out, struct err *err) ATTR_WUR;
/* Waits for what was asked (folder_ask.c), and sees that it is about the same folders. */
int folder_take_answers(struct work *w, struct err *err) ATTR_WUR;
/* Asks once more, from the beginning; and forgets what is on the target, so that content tells. */
int folder_look_again(struct work *w, struct err *err) ATTR_WUR;
int folder_reconcile(struct work *w, struct err *err) ATTR_WUR;
/* Keywords get their bits when they are first seen; the journal has to know them before a pair that
 * uses them is written. */
int folder_keep_keywords(struct work *w, struct err *err) ATTR_WUR;
/* Before and behind its copies. */
int folder_make(struct work *w, struct err *err) ATTR_WUR;
int folder_copied(struct work *w, struct err *err) ATTR_WUR;
/* Leaves of the listing of one that shows messages of others what is only there. */
int folder_leave_shown(struct work *w, struct err *err) ATTR_WUR;
/* The token, when all that has changed was done. */
int folder_remember(struct work *w, struct err *err) ATTR_WUR;
void folder_work_fini(struct work *w);
/* copy_tell() of the folder, uid 0, or one of its messages. */
bool folder_tell(struct work *w, enum item_code code, uint32_t uid, uint64_t n, const char *why);
/* Of a message that could not be carried over. */
void folder_told(struct work *w, enum item_code code, uint32_t uid, const char *why);
/* An error of one folder costs that folder; -1: it is one of the pass. */
int folder_excuse(struct work *w, struct err *err) ATTR_WUR;

/* --- What was stored (folder_stored.c) --- */

/* Tells what of `checks` the target has not kept. */
int folder_check_stored(struct work *w, struct err *err) ATTR_WUR;

/* --- What is left (folder_sift.c) --- */

/* Leaves of the listings and of the pairs what the plan has to see.  Memory is for what has
 * changed, and some octets for each message. */
int folder_sift(struct work *w, struct err *err) ATTR_WUR;

/* --- What has to be looked at (folder_touched.c) --- */

/* UIDs of the source, joined; both sides have told changes, and not all that they have. */
int folder_touched(struct work *w, const struct journal_known *known, struct uid_set *out,
    struct err *err) ATTR_WUR;

/* --- What was told briefly (folder_rest.c) --- */

/* What is begun next on this side is about the folder. */
void folder_begin_open(
    struct work *w, struct told *t, struct end_changes *numbers, struct end_ticket *ticket);
/* The side has this folder open. */
int folder_open_side(struct work *w, struct told *t, struct err *err) ATTR_WUR;
/* Lists these messages of the side, which has the folder open, into out.  One that is not there any
 * more is left out; a server that leaves out others makes the side's listing unsure. */
int folder_list(struct work *w, struct told *t, const uint32_t *uids, size_t n, unsigned want,
    struct end_changes *out, struct err *err) ATTR_WUR;
/* The same in two steps. */
void folder_list_begin(struct told *t, const uint32_t *uids, size_t n, unsigned want,
    struct end_changes *out, struct end_ticket *ticket);
int folder_list_finish(struct work *w, struct told *t, const uint32_t *uids, size_t n,
    const struct end_changes *out, const struct end_ticket *ticket, struct err *err) ATTR_WUR;
/* For what goes by the whole folder: all its pairs, and all that the source has told, as a listing.
 */
int folder_whole(struct work *w, struct err *err) ATTR_WUR;
/* For a plan that may join what is lost with what is new: lists fresh and foreign. */
int folder_list_rest(struct work *w, struct err *err) ATTR_WUR;
/* What is asked for of each message of the source. */
unsigned folder_wants(const struct work *w);
/* And asks for what of it was not told. */
int folder_complete(struct work *w, struct err *err) ATTR_WUR;
/* Takes the next portion of `fresh` for a plan of its own: behind *last_io, or, the newest first,
 * before it; 0: the first one.  false: that was all. */
bool folder_has_more(const struct work *w, uint32_t last);
int folder_portion(struct work *w, uint32_t *last_io, struct err *err) ATTR_WUR;

/* --- Adoption of a large folder (folder_adopt.c) --- */

/* Pairs by content, of a folder of which nothing is known.  *rest_out: there is something left on
 * both sides that may be the same, or it was not tried. */
int folder_adopt(struct work *w, bool *rest_out, struct err *err) ATTR_WUR;

/* --- What the plan is told (folder_changes.c) --- */

void folder_view(const struct work *w, struct plan_folder *out); /* borrows from the work */
/* On the target, where what the source has lost goes. */
bool folder_is_trash(const struct work *w);
/* Sizes, or contents, of messages of one side that the plan asks for; ascending.  Many are on their
 * way at once: begin() does not wait, and finish() frees; each that was begun is finished. */
struct reading {
    struct work *w;
    struct told *of;
    struct end_changes numbers, sizes;
    struct end_ticket opening, ticket;
    uint32_t *uids; /* of sizes */
    size_t n_sizes;
    struct body *bodies;
    size_t n_bodies;
    bool has_unread; /* contents that were asked for */
    struct bodies *digests;
};
void folder_read_begin(struct reading *r, struct work *w, const struct plan_ask *asks, size_t n);
int folder_read_finish(struct reading *r, struct err *err) ATTR_WUR;
/* Whether the source still has these; what it has not goes out of the listing. */
int folder_ask_again(
    struct work *w, const struct plan_ask *asks, size_t n, struct err *err) ATTR_WUR;

/* Of the source; false: it has not read that one. */
bool folder_has_read(const struct work *w, uint32_t uid, struct content *out);

/* --- The plan (pass_plan.c) --- */

int pass_plan(struct works *all, struct err *err) ATTR_WUR;

/* --- Its copies (folders_copy.c) --- */

int folders_copy(struct works *all, struct stream_folder *folders, struct err *err) ATTR_WUR;
int folders_after_copies(struct works *all, struct err *err) ATTR_WUR;

/* --- What it leaves (pass_left.c) --- */

void pass_tell_withheld(struct works *all);
/* The folders of an operation that is not done are looked at again with the next pass. */
void pass_leave_op(struct works *all, const struct plan_op *op);
void pass_tell_lost(struct works *all); /* folders that the source does not list any more */
void pass_tell_short(struct work *w);
void pass_tell_unknown(struct works *all);
void pass_tell_sent(struct works *all);
/* Takes what is by absence out of the plan: what was lost may be what was not read. */
void pass_leave_lost(struct works *all);

/* --- What is told of folders (pass_told.c) --- */

/* What the plan says would be done is counted as done. */
void pass_pretend(struct works *all);
void pass_count(struct works *all, const struct apply_folder *folders); /* behind apply_plan() */
void pass_tell_folder(struct work *w); /* when nothing more of it is done in this pass */

/* --- What may be there (pass_doubt.c) --- */

/* When all folders were looked at; the caller frees. */
int pass_find_in_doubt(struct works *all, struct err *err) ATTR_WUR;
size_t pass_in_doubt(void *works, const unsigned char *digest);

/* --- What is owed under no name (pass_owed.c) --- */

/* How many messages of this content a restored target has lost whose folder was numbered anew on
 * the source since. */
int pass_owed(
    struct works *all, const unsigned char *digest, size_t *n_out, struct err *err) ATTR_WUR;

/* --- Flags that the target does not take (pass_flags.c) --- */

/* Which flags and keywords of the source have no place on the target, or none with us, as far as
 * both have told. */
int folder_tell_unkept(struct work *w, struct err *err) ATTR_WUR;
/* Before copies go into folders that have not told it yet: what lasts there.  The copies are
 * without the rest. */
int pass_ask_kept(struct works *all, struct err *err) ATTR_WUR;
/* Of the plan: keywords that have been refused and are not due, and what is left empty. */
int pass_rest_flags(struct works *all, struct err *err) ATTR_WUR;
/* Of the plan: messages that the target has not let go, and that are not due. */
void pass_rest_held(struct works *all);
/* Taken with an OK, and not there: of one message, or (uid 0) of n. */
void folder_tell_dropped(struct work *w, uint32_t uid, size_t n, const struct flags *what);
void pass_spared(void *works, const struct apply_spared *s); /* of apply_job */

/* --- What another one has by now (shared.c) ------------------------------------------------- */

/* Of the plan, behind the copies. */
int shared_leave(struct works *all, struct err *err) ATTR_WUR;

/* --- Whether what the journal says is still true (folder_known.c) -------------------------- */

bool folder_is_behind_flip(const struct work *w);
bool folder_has_state(const struct work *w, enum pair_state state); /* of those on the source */
/* Whether what stands alone on the target takes part: behind a flip where that was restored. */
bool folder_knows_alone(const struct work *w);
int folder_load_pairs(struct work *w, struct err *err) ATTR_WUR;
/* *adopt_out: what is on the target has to be looked at message by message. */
int folder_check_uidvalidity(struct work *w, bool *adopt_out, struct err *err) ATTR_WUR;
/* The target of one that the source does not list went back. */
int folder_find_again(struct work *w, struct err *err) ATTR_WUR;
int folder_found_again(struct work *w, struct err *err) ATTR_WUR;
/* Open intents and SENT pairs by content; adopt: all that no pair names. */
int folder_resolve_open(struct work *w, bool adopt, struct err *err) ATTR_WUR;
/* The target has said OK to them, and they are not there. */
int folder_tell_vanished(struct work *w, struct err *err) ATTR_WUR;
void folder_told_vanished(struct work *w, uint32_t uid);

#endif
