/* SPDX-License-Identifier: ISC */
/*
 * ledger: is told each change at the moment when it happens on a server, and by whom.  It gives
 * each message a serial number that goes with it when it is moved, and that no engine ever sees; it
 * knows how often each content was born, removed and stored in each folder, and nothing of pairs,
 * plans or journals.  Of equal messages nobody knows which is which: some way to tell them apart
 * has to agree with all that was seen (cover.h).
 */
#ifndef TESTS_SIM_LEDGER_H
#define TESTS_SIM_LEDGER_H

#include "tests/sim/model.h"
#include "tests/sim/places.h"

enum harm {
    HARM_NONE,
    HARM_LOST,
    HARM_DOUBLED,
    HARM_RESURRECTED,
    HARM_FLAG_UNDONE,
    HARM_FLAG_MISSED,
    HARM_WRONG_DELETE,
    HARM_CORRUPT,
    HARM_NO_QUIET, /* passes go on changing things, or fail, with nobody there to disturb */
};
#define HARMS 9

const char *harm_name(enum harm h);

/* What the engine may do now, as docs/operations.md tells people. */
enum rule {
    RULE_MIRROR,
    RULE_ARCHIVE,     /* nothing goes away, no flag is taken away */
    RULE_BACKFILL,    /* it only adds messages */
    RULE_FIRST_SWEEP, /* adds messages and flags; takes flags away where nobody has touched */
    RULE_SWEEP,       /* adds messages and flags */
    RULE_REVERSE,     /* as mirror, but what goes away goes to Trash */
};

/* Of one content in one folder: of the source, or of the target. */
struct tally {
    uint8_t born, deleted; /* on the source, by its users; a message that is moved is both */
    uint8_t made;          /* copies that the engine has put there */
    uint8_t user_removed;  /* copies, by users of the target */
    uint32_t removed_at;   /* tick of the last of them */
    uint8_t engine_removed;
    uint8_t orphans;        /* deleted on the source before the copy was remembered */
    uint8_t unsure_removed; /* copies, by users of the target, in that state */
    uint8_t late;           /* copies that the target stored behind a cut */
    uint8_t restored; /* on the source, away: who moves its copy may think that it was moved */
    uint8_t told;     /* times that the engine named it, or its whole folder */
    uint8_t again;    /* copies that came a second time while the sides were just exchanged */
    uint8_t trashed;  /* copies that the engine has put there on the way back */
};

/* Of one content anywhere on the source. */
struct biography {
    uint8_t lives;
    uint8_t adds[MODEL_FLAGS], takes[MODEL_FLAGS];
    uint16_t born_flags; /* of any of its lives */
    /* Behind the flip: that came since, or was owed then; copies that were made since, and of these
     * again with good reason. */
    uint8_t late_born, late_made, late_remade;
    bool late_copied, late_moved; /* on the source, behind the flip */
    bool was_swallowed;           /* by a target that has said OK */
    uint32_t moved_in; /* pass_began of the one in which it was moved on the source; 0: never */
    bool was_hasty;    /* on the source, moved twice in one pass, the second time to Trash, or
                          moved and then removed (what is open) */
    bool was_altered;  /* by the server that the source is now; and taken away there */
    bool got_by_both;  /* users have put it on both sides, with flags of their own */
    bool may_be_two;   /* both sides have got it, and nobody has joined them */
    uint8_t went_with_trash; /* on the way back, under the name that its user gave to Trash: whose
                                ID nobody tells, so that what is in Trash on the target stays */
};

/* One message, wherever its users or the engine put it. */
struct identity {
    uint8_t content;
    uint16_t been;    /* on the source: names of folders that it was in */
    uint16_t lost_in; /* on the target: from which its users took it away */
};
/* What goes there on the way back was moved by nobody on the source. */
#define LEDGER_TRASH 2

#define IDENTITIES_MAX 1024 /* of each side; behind them nothing is judged by identity */

struct ledger {
    struct tally tally[MODEL_FOLDERS][MODEL_CONTENTS];
    struct biography life[MODEL_CONTENTS];
    struct identity identity[2][IDENTITIES_MAX]; /* source, target; by serial number */
    uint32_t serials[2];                         /* the last ones */
    struct places places;
    bool is_renumbered[MODEL_FOLDERS];      /* pairs of such folders may be forgotten */
    bool is_renumbered_here[MODEL_FOLDERS]; /* on the source: nothing tells a deletion then */
    uint32_t renamed_at[MODEL_FOLDERS];     /* tick: by the engine; 0: never */
    bool is_replaced[MODEL_FOLDERS];        /* while the engine was about to change something */
    bool is_restored[MODEL_FOLDERS];        /* on the target: nor does it there */
    bool is_told[MODEL_FOLDERS];     /* the engine has said that something stays behind there */
    bool is_given_up[MODEL_FOLDERS]; /* told once and for ever: E-LATE-UNKNOWN */
    bool is_told_all;                /* the verification did, or a count without a place */
    bool has_vanished;               /* the engine has said that it misses folders of the source */
    bool has_strangers; /* folders of the target that its user renamed before they were known */
    bool is_flipped;
    bool is_turned;       /* the sides were exchanged */
    bool is_fresh;        /* the sides were exchanged, and no pass has gone through since */
    enum rule rule;       /* of this pass */
    bool is_in_pass;      /* now */
    bool has_new_numbers; /* behind the flip a folder was numbered anew */
    bool has_open;        /* also what is known to go wrong is said */
    bool has_lost_journal;
    bool was_begun_anew; /* it was lost before the flip, and flags of what was found were merged */
    bool has_no_marks;   /* they were lost behind the flip, and no pass has been through since */
    bool is_short;       /* one of the servers may list fewer messages than it has */
    unsigned interruptions; /* what was under way then may have been done twice */
    uint32_t pass_began;    /* tick */
    uint32_t swallowing;   /* pass_began of one in which the target has said OK and lost; 0: none */
    uint32_t tick;         /* now */
    uint32_t committed_at; /* tick of the journal's last commit */
    uint32_t listed_at;    /* tick: folders that were there then are known by their IDs */
    const struct server *source, *target;
    enum harm harm; /* the first that showed at the moment of a change */
    char text[512];
};

void ledger_init(struct ledger *l);
void ledger_user_added(struct ledger *l, bool on_target, uint8_t folder, struct message *m);
/* Of one that is there: not late, even if it is behind the flip. */
void ledger_user_copied(struct ledger *l, bool on_target, uint8_t folder, struct message *m);
void ledger_user_removed(struct ledger *l, bool on_target, uint8_t folder, const struct message *m);
/* The same message, in another folder. */
void ledger_user_moved(
    struct ledger *l, bool on_target, uint8_t from, uint8_t to, const struct message *m);
void ledger_user_flagged(
    struct ledger *l, bool on_target, const struct message *m, uint16_t flag, bool on);
/* The flip; what is on the source then and was never copied is owed. */
void ledger_flip(struct ledger *l, const struct server *source);
/* A kill, or a cut of either side. */
void ledger_interrupted(struct ledger *l);
/* The engine has given up the target: what it was not told it does not know. */
void ledger_unsure(struct ledger *l);
/* What is stored now was sent before a cut. */
void ledger_late(struct ledger *l, uint8_t folder, uint32_t content);
/* The target has said OK to one, and has lost it. */
void ledger_swallowed(struct ledger *l, uint32_t content);
/* Whether the engine cannot know yet that it is stored: not told, or not written down. */
bool ledger_is_unsure(const struct ledger *l, const struct message *m);
/* Whether nothing tells what a user of the target has removed from what it has lost then. */
bool ledger_went_with_others(const struct ledger *l, const struct tally *t);
/* A pass went through. */
void ledger_settled(struct ledger *l);
/* The first one behind an exchange of the sides, and nothing was left out. */
void ledger_not_fresh(struct ledger *l);
void ledger_renumbered(struct ledger *l, bool on_target, uint8_t folder);
/* What the engine has begun in it is refused, and it cannot know how much of it was done. */
void ledger_replaced(struct ledger *l, uint8_t folder);
/* Its last messages are gone, and what comes has their UIDs.  Nobody has removed them: what is gone
 * on the source keeps its copy, what is gone on the target comes again.  is_known: the engine has
 * been through since it last had to find out what is there. */
void ledger_restored_away(
    struct ledger *l, bool on_target, uint8_t folder, const struct message *m, bool is_known);
/* Whether a copy is there that the engine has written down. */
bool ledger_is_written(const struct ledger *l, const struct message *m);
void ledger_restored(struct ledger *l, bool on_target, uint8_t folder);
/* Behind the flip. */
void ledger_marks_lost(struct ledger *l);
/* With it goes which folder of the target is whose, where its user has renamed it. */
void ledger_journal_lost(struct ledger *l);
/* Whether a folder of the target that its user renames now will be known by its ID. */
bool ledger_is_known(const struct ledger *l, const struct mailbox *b);
/* By a user; on the source each message of it is moved as well. */
void ledger_renamed(struct ledger *l, bool on_target, uint8_t from, uint8_t to, bool is_known);
void ledger_engine_added(struct ledger *l, uint8_t folder, struct message *m);
void ledger_engine_flagged(
    struct ledger *l, uint8_t folder, const struct message *m, unsigned flag, bool on);
void ledger_engine_removed(struct ledger *l, uint8_t folder, const struct message *m);
void ledger_engine_moved(struct ledger *l, uint8_t from, uint8_t to, const struct message *m);
/* The second half of a move: another one like it is where it goes to. */
void ledger_engine_copied(struct ledger *l, uint8_t to, const struct message *m);
void ledger_engine_moved_away(struct ledger *l, uint8_t from, const struct message *m);
/* A whole folder, with what is in it. */
void ledger_engine_renamed(struct ledger *l, uint8_t from, uint8_t to);
/* A new serial number. */
void ledger_name(struct ledger *l, bool on_target, uint8_t folder, struct message *m);
void ledger_harm(struct ledger *l, enum harm h, const char *fmt, ...) ATTR_PRINTF(3, 4);

#endif
