/* SPDX-License-Identifier: ISC */
/*
 * apply_parts: what the files of apply share among themselves.
 *
 *   apply.c          windows of operations
 *   apply_turns.c    a window: looks, intents, commands and results, turn by turn
 *   apply_halves.c   what was refused, in parts
 *   apply_journal.c  the kinds that are in the journal only
 *   apply_flags.c    FLAGS
 *   apply_remove.c   REMOVE
 *   apply_move.c     MOVE and TRASH
 *   apply_settle.c   what an earlier pass has left open; apply_settle_move.c: of its MOVEs
 *
 * A group is what one command is about: operations of one kind in one folder.  A visit has the
 * groups of one folder of the window.  In a turn the commands of all of them are on their way.
 */
#ifndef IMAPSYNC_APPLY_APPLY_PARTS_H
#define IMAPSYNC_APPLY_APPLY_PARTS_H

#include "imapsync/apply/apply.h"

#define APPLY_GROUP_MAX 200 /* UIDs in one command */
#define APPLY_ALONE_MAX 3   /* messages that are refused alone, before it is taken for all */

enum apply_fate {
    APPLY_DUE,     /* is among the group's uids */
    APPLY_MISSING, /* it is not there any more */
    APPLY_KEPT,    /* its user has touched it */
    APPLY_WAITS,   /* for the next pass */
};

/* In this order.  One that is refused is OVER at once. */
enum apply_state {
    APPLY_BEGINS, /* looked at, and not begun */
    APPLY_RUNS,   /* its intent is in the journal */
    APPLY_DONE,   /* all its commands were answered, and the journal does not have it yet */
    APPLY_UNDONE, /* it was refused before it was begun, and its intent is in the journal */
    APPLY_OVER,
};

/* What of a group is tried at once: all of it, unless it was refused. */
struct apply_part {
    uint32_t from, end;       /* places in its ops */
    unsigned step;            /* that it begins with */
    struct flags add, remove; /* FLAGS: of its change */
    bool is_ours;             /* another part of it has changed them: no guard */
    bool is_second;           /* they were set before, with OK, and not there */
};

/* What of its change one message does not get. */
struct apply_lost {
    struct flags add, remove;
    bool has_no_place; /* MOVE, TRASH: as struct apply_spared has it */
};

/* Messages that were refused alone, of one change, when none has got it. */
struct apply_alone {
    uint32_t places[APPLY_ALONE_MAX];
    size_t n;
    struct apply_lost what;
    struct err why;
};

/* What a command has done: flags that were set, and a move that was refused. */
struct apply_again {
    struct end_changes there; /* of the folder that they are, or were, in */
    struct err why;           /* MOVE: what was said */
    struct folder to;         /* the same; the name is borrowed */
    struct end_ticket told;   /* of `to` */
};

struct apply_group {
    const struct apply_kind *kind;
    struct apply_visit *visit;
    const struct plan_op **ops; /* of the plan */
    enum apply_fate *fates;     /* theirs */
    size_t n;
    const struct plan_change *change; /* FLAGS: of all of them */
    struct apply_folder *folder;
    bool is_late; /* MOVE: the flags of its messages are changed in the same window */
    enum apply_state state;
    unsigned step;                  /* of its commands: so many were answered */
    struct apply_part part, *parts; /* what is tried now; those that wait, the next one last */
    size_t n_parts;
    bool is_halved, is_again;
    struct apply_alone *alone; /* refused alone, and not told yet; NULL: never */
    bool has_taken;            /* others have got the change of the part */
    struct apply_lost *lost;   /* FLAGS: by operation; NULL: none was */
    uint32_t *uids;  /* on the target, of those of the part that are still to be changed */
    uint32_t *which; /* their places in ops */
    size_t n_uids;
    struct end_ticket first, second;
    struct end_uids answer;    /* what the command told */
    uint32_t *moved;           /* MOVE, TRASH: by operation; 0: not told */
    bool is_untold;            /* of some that were moved */
    struct apply_again *again; /* NULL: there was no look */
    struct folder to;          /* MOVE, TRASH: as it was before; the name is borrowed */
    struct end_ticket to_told;
    struct intent intent;
    struct apply_known *known; /* the same: what the journal has of its pairs, by operation */
};

struct apply_visit {
    struct apply_folder *folder;
    uint32_t at; /* its position in the plan */
    struct apply_group *v;
    size_t n;
    bool moves;                 /* some of it needs is_sure */
    struct end_changes numbers; /* of the opening, and what was looked at */
    struct end_ticket opened;
    bool is_known;   /* the opening did not wait for its answer */
    uint64_t modseq; /* when it was looked at */
};

struct apply_window {
    struct apply_job *job;
    struct apply_group *v; /* by folder, and those of one in the plan's order */
    size_t n;
    struct apply_visit *visits; /* those that move come last */
    size_t n_visits;
    struct apply_visit *open; /* the target has its folder open */
    /* Every other turn goes from the last visit to the first: that one is open already. */
    bool is_backward;
};

/* How a kind is done. */
struct apply_kind {
    enum intent_kind intent;
    /* The folder is surely the one that it was before a command is sent: what is moved from another
     * one is not where its user left it. */
    bool is_sure;
    bool looks;                                                   /* at its messages */
    void (*ask)(struct apply_window *w, struct apply_group *g);   /* before folders are opened */
    void (*judge)(struct apply_window *w, struct apply_group *g); /* when all has been looked at */
    void (*prepare)(struct apply_window *w, struct apply_group *g);  /* before its intent */
    void (*begin)(struct apply_window *w, struct apply_group *g);    /* commands of its step */
    bool (*answered)(struct apply_window *w, struct apply_group *g); /* true: they were the last */
    int (*read)(struct apply_window *w, struct apply_group *g, struct err *err); /* for put() */
    void (*put)(struct apply_window *w, struct apply_group *g); /* the results, in a transaction */
};

extern const struct apply_kind apply_flags, apply_move, apply_trash, apply_remove;

/* Fills in visit and group of a window and does what they say. */
int apply_turns(struct apply_window *w, struct err *err) ATTR_WUR;
/* Only what is there as the plan saw it is due. */
void apply_judge(struct apply_window *w, struct apply_group *g);
/* Makes the group's uids anew, of those of its part that are still due. */
void apply_choose(struct apply_group *g);
/* Whether the group's command has been done.  A NO is told, and the group is over. */
bool apply_is_done(struct apply_window *w, struct apply_group *g, const struct end_ticket *t);
/* The same, but for a NO that is about messages: then *why_out is what was said. */
bool apply_is_taken(struct apply_window *w, struct apply_group *g, const struct end_ticket *t,
    const struct err **why_out);
/* Its look, empty. */
struct apply_again *apply_look_again(struct apply_group *g);
/* Tells that all of these, ascending places in its ops, have not got it: one by one, or, where they
 * are many, as one. */
void apply_spare(struct apply_window *w, struct apply_group *g, const uint32_t *places, size_t n,
    const struct apply_lost *what, const char *why);
/* The whole group is the part. */
void apply_part_begin(struct apply_group *g);
/* What was refused is tried in halves; false: there is something that is tried next. */
bool apply_halve(struct apply_window *w, struct apply_group *g, const struct err *why);
/* FLAGS: these of the part are set once more, behind it. */
void apply_set_again(struct apply_group *g, const struct flags *add);
/* The part was done; and the next one's turn.  true: that was the last, and all of it is the part.
 */
void apply_taken(struct apply_window *w, struct apply_group *g);
bool apply_next_part(struct apply_window *w, struct apply_group *g);
bool apply_may_halve(const struct err *why);
/* Tells it, once for each folder, and leaves it out. */
void apply_refuse(struct apply_window *w, struct apply_group *g, const char *why);
/* It waits for the next pass, which is told of it again. */
void apply_leave(struct apply_job *job, const struct plan_op *op);
/* Those that somebody has changed meanwhile wait. */
void apply_take_out(struct apply_window *w, struct apply_group *g, const struct end_uids *modified);
/* Whether FLAGS of the same message were left. */
bool apply_has_old_flags(const struct apply_job *job, const struct plan_op *op);
int apply_by_place(const void *a, const void *b); /* struct apply_place */
uint32_t apply_record_id(const struct apply_job *job, uint32_t folder);
/* Of pairs that are sorted by source UID, or, for one that stands alone on the target (0), by that
 * UID; NULL: there is none. */
const struct pair *apply_find(const struct pair *v, size_t n, uint32_t src_uid, uint32_t tgt_uid);
/* What the journal has of the operation's pair. */
int apply_content(struct journal *j, uint32_t folder, const struct plan_op *op, struct content *out,
    bool *found_out, struct err *err) ATTR_WUR;

int apply_journal(
    struct apply_job *job, const struct plan_op *ops, size_t n, struct err *err) ATTR_WUR;

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
