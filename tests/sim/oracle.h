/* SPDX-License-Identifier: ISC */
/*
 * oracle: whether mail came to harm.  The ledger is told each change at the moment when it happens
 * on a server, and by whom; it knows how often each content was born, removed and stored in each
 * folder, and nothing of pairs, plans or journals.
 *
 *     ledger_init(&l); ... the model tells it ...; oracle_judge(&l, &source, &target, &verdict)
 *
 *   LOST         the source has more of a content in a folder than the target has, less what users
 *                of the target removed, less what was told
 *   DOUBLED      more copies were made of a content in a folder than messages with it ever lived
 *                there
 *   RESURRECTED  so many copies only because one was made again that a user had removed; or a copy
 *                of a message that was deleted on the source is still there, and nothing was told
 *   FLAG UNDONE  the engine has added or taken away a flag more often than users of the source did,
 *                or what it is for forbids it
 *   FLAG MISSED  a flag of the source is not on its only copy, and nobody there has touched it
 *   WRONG DELETE the engine removed what it did not store, what a user of the target had marked,
 *                or more than was ever deleted on the source, or what it is for forbids it
 *   CORRUPT      a copy has other octets or another date than its message, and nothing was told
 */
#ifndef TESTS_SIM_ORACLE_H
#define TESTS_SIM_ORACLE_H

#include "tests/sim/model.h"

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

/* Of one content in one folder. */
struct tally {
    uint8_t born, deleted;    /* on the source, by its users */
    uint8_t born_before_flip; /* of born */
    uint8_t made;             /* copies stored by the engine */
    uint8_t user_removed;     /* copies, by users of the target */
    uint8_t others_removed;   /* by users of the target, what is no copy */
    uint8_t engine_removed;
    uint8_t orphans;        /* deleted on the source before the copy was remembered */
    uint8_t unsure_removed; /* copies, by users of the target, in that state */
    uint8_t remade;         /* of made: again, with good reason, before the flip */
    uint8_t late;           /* copies that the target stored behind a cut */
    uint8_t told;           /* times that the engine named it, or its whole folder */
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
};

struct ledger {
    struct tally tally[MODEL_FOLDERS][MODEL_CONTENTS];
    struct biography life[MODEL_CONTENTS];
    bool is_renumbered[MODEL_FOLDERS];      /* pairs of such folders may be forgotten */
    bool is_renumbered_here[MODEL_FOLDERS]; /* on the source: nothing tells a deletion then */
    bool is_told[MODEL_FOLDERS];     /* the engine has said that something stays behind there */
    bool is_given_up[MODEL_FOLDERS]; /* told once and for ever: E-LATE-UNKNOWN */
    bool is_told_all;                /* the verification did, or a count without a place */
    bool is_flipped;
    enum rule rule;       /* of this pass */
    bool is_in_pass;      /* now */
    bool has_new_numbers; /* behind the flip a folder was numbered anew */
    bool has_open;        /* also what is known to go wrong is said */
    bool has_lost_journal;
    bool has_own_names; /* a folder may be called something else on the target: its user's name */
    bool is_short;      /* one of the servers may list fewer messages than it has */
    unsigned interruptions; /* what was under way then may have been done twice */
    uint32_t pass_began;    /* tick */
    uint32_t tick;          /* now */
    uint32_t committed_at;  /* tick of the journal's last commit */
    const struct server *target;
    enum harm harm; /* the first that showed at the moment of a change */
    char text[512];
};

void ledger_init(struct ledger *l);
void ledger_user_added(struct ledger *l, bool on_target, uint8_t folder, const struct message *m);
/* Of one that is there: not late, even if it is behind the flip. */
void ledger_user_copied(struct ledger *l, bool on_target, uint8_t folder, const struct message *m);
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
/* A pass went through. */
void ledger_settled(struct ledger *l);
void ledger_renumbered(struct ledger *l, bool on_target, uint8_t folder);
void ledger_renamed(struct ledger *l, uint8_t from, uint8_t to);
void ledger_engine_added(struct ledger *l, uint8_t folder, struct message *m);
void ledger_engine_flagged(
    struct ledger *l, uint8_t folder, const struct message *m, unsigned flag, bool on);
void ledger_engine_removed(struct ledger *l, uint8_t folder, const struct message *m);
/* A move of the message, or of the whole folder that it is in. */
/* The second half of a move: another one like it is where it goes to. */
void ledger_engine_moved_away(struct ledger *l, uint8_t from, const struct message *m);
void ledger_engine_moved(struct ledger *l, uint8_t from, uint8_t to, const struct message *m);
void ledger_engine_renamed(struct ledger *l, uint8_t from, uint8_t to, const struct message *m);
void ledger_harm(struct ledger *l, enum harm h, const char *fmt, ...) ATTR_PRINTF(3, 4);

/* After quiet; adds to what the ledger found before. */
void oracle_judge(struct ledger *l, const struct server *source, const struct server *target);

#endif
