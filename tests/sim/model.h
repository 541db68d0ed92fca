/* SPDX-License-Identifier: ISC */
/*
 * model: a mail server as a value: folders with messages, and what can be done to them.  No time,
 * no network: who works through a connection is model_end.c, who works beside it are the users of
 * world.c.  Each change is told to the ledger (oracle.h), which remembers the life of every
 * message.
 *
 * A content is a number; its octets, date and flags at birth follow from it.
 */
#ifndef TESTS_SIM_MODEL_H
#define TESTS_SIM_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/core/buf.h"

#define MODEL_FOLDERS 12  /* names */
#define MODEL_CONTENTS 96 /* of one history */
#define MODEL_FLAGS 9     /* five system flags as in flags.h, four keywords */
#define MODEL_KEYWORDS 4

/* How a server is.  Each has its reason in docs/simulation.md. */
enum quirk {
    QUIRK_NO_UIDPLUS = 1 << 0,     /* tells no UIDs, removes nothing by UID */
    QUIRK_NO_MULTIAPPEND = 1 << 1, /* one message for each APPEND */
    QUIRK_NO_CONDSTORE = 1 << 2,   /* no MODSEQ at all */
    QUIRK_NO_TOKENS = 1 << 3,      /* each look at a folder tells everything */
    QUIRK_UNSOLICITED = 1 << 4,    /* tells what others do, between answer and answer */
    QUIRK_SIZES = 1 << 5,          /* RFC822.SIZE is an estimate */
    QUIRK_NO_KEYWORDS = 1 << 6,    /* refuses messages with keywords */
    QUIRK_REFUSES = 1 << 7,        /* some contents for ever */
    QUIRK_SHORT = 1 << 8,          /* lists fewer messages than it counts */
    QUIRK_UIDS = 1 << 9,           /* tells UIDs of a batch that are too few */
    QUIRK_STORES_NO = 1 << 10,     /* stores and then says NO, now and then */
    QUIRK_LOSES = 1 << 11,         /* says OK and loses, now and then */
    QUIRK_ALTERS = 1 << 12,        /* adds a header line to what it stores */
    QUIRK_LATE = 1 << 13,          /* stores after the cut what it was sent before */
    QUIRK_LIMIT = 1 << 14,         /* APPENDLIMIT */
    QUIRK_NO_IDS = 1 << 15,        /* tells no EMAILID and no MAILBOXID */
    QUIRK_NO_MOVE = 1 << 16,       /* a move is a copy and a removal */
    QUIRK_FIRST_OPEN = 1 << 17,    /* no lasting UIDVALIDITY before somebody writes there */
    QUIRK_ONCE = 1 << 18,          /* keeps equal messages of a folder once */
};
#define QUIRKS 19

struct message {
    uint32_t uid;
    uint32_t content;
    uint32_t id;     /* EMAILID: the same wherever it is moved or copied to */
    uint32_t serial; /* the ledger's: another one for a copy.  No end tells it */
    uint64_t modseq;
    uint16_t flags; /* bits 0 to 4: enum flag_system, from 5 on: keywords */
    bool is_copy;   /* stored through the end that we write to */
    bool is_altered;
    bool is_unsure;        /* a kill or a cut came before the engine could remember it */
    bool is_doubted;       /* stored behind what came in that pass: its UID is not believed yet */
    bool is_detached;      /* behind the flip its folder was replaced: nobody knows it by its UID */
    uint32_t answered_at;  /* tick when the engine was told that it is stored; 0: never */
    bool has_date;         /* as it was told to us */
    uint16_t born_flags;   /* that it was stored with */
    uint16_t users;        /* flags that a user of this server has added or taken away */
    uint16_t own;          /* flags that its user has now added, against ours */
    uint16_t apart;        /* flags that its user has now otherwise than we have left them */
    bool has_our_mark;     /* \Deleted, that the engine has put there */
    uint32_t touched_at;   /* tick of the last change by a user; 0: none */
    bool is_touched_early; /* the engine did not know yet that it is stored */
    uint8_t engine_adds[MODEL_FLAGS], engine_takes[MODEL_FLAGS];
};

struct mailbox {
    uint8_t name; /* of model_folder_name() */
    uint32_t id;  /* MAILBOXID */
    uint32_t uidvalidity, uidnext;
    uint64_t modseq;
    uint32_t made_at;       /* tick */
    uint32_t renumbered_at; /* tick; 0: never */
    uint32_t came_at;       /* tick of the last message of a user; 0: none */
    struct message *v;      /* by UID */
    size_t n, cap;
    bool is_subscribed;
    bool is_shown;   /* it shows messages of others: \All */
    uint32_t n_read; /* bodies that were read of it */
    bool is_kept;    /* QUIRK_FIRST_OPEN: its UIDVALIDITY lasts */
    /* What the engine has been listed, and, once it goes on behind that, what it knows for ever. */
    struct numbers {
        uint32_t uidvalidity, uidnext;
        uint64_t modseq;
    } listed, known;
    uint32_t named;           /* the highest UID of a copy that it remembers */
    bool is_back, was_listed; /* it was restored, and nobody knows; listed since */
    bool is_owing;            /* and no pass was through since */
    bool is_numbered;         /* nor since it got other numbers, so or by a new UIDVALIDITY */
    bool is_through;          /* a pass was since the engine last knew nothing of it */
};

struct ledger;

/* What it answers NO to, or says OK to and does not do: set by tests, of single changes. */
struct refusals {
    uint64_t contents;           /* of these (below 64) no flags, moves, or removals: */
    bool flags, moves, removals; /* which of them */
    uint64_t reads;              /* of these no contents */
    bool makes;                  /* new folders */
    uint16_t set, take;          /* flags that are not set, or not taken away */
    uint16_t drops;              /* flags that are set with OK, and are not there */
    size_t n, n_dropped;         /* how often it has said NO, or dropped something */
};

/* What the server says of it, when it is_told; limits of 0: none. */
struct quota {
    bool is_told;
    uint64_t octets, messages;
    uint64_t hidden_octets, hidden_messages; /* that count and are in no folder */
};

struct server {
    bool is_target;
    struct quota quota;
    uint32_t quirks; /* of enum quirk */
    struct mailbox *boxes[MODEL_FOLDERS];
    size_t n;
    uint32_t uidvalidity_last, id_last; /* of folders and messages */
    struct refusals refuses;
    struct ledger *ledger;
};

void server_init(struct server *s, bool is_target, uint32_t quirks, struct ledger *ledger);
void server_fini(struct server *s);

const char *model_folder_name(uint8_t name);
int model_folder_number(const char *name, size_t n); /* -1: none of ours */
void model_octets(uint32_t content, struct buf *out);
/* Which content these octets are, altered or not; -1: none. */
int model_content(struct slice octets, bool *is_whole_out);
int64_t model_date(uint32_t content);

struct mailbox *server_find(const struct server *s, uint8_t name); /* or NULL */
struct mailbox *server_make(struct server *s, uint8_t name);       /* it must not be there */
void server_drop(struct server *s, struct mailbox *b);
/* Both names are free: what is below goes with it, and needs a name there. */
bool server_may_rename(const struct server *s, const struct mailbox *b, uint8_t name);
void server_rename(struct server *s, struct mailbox *b, uint8_t name, bool by_engine);
/* Where what is below `of` goes with it; MODEL_FOLDERS: nowhere, it has no name there. */
uint8_t model_folder_below(uint8_t of);
/* The backup from before its last n messages came: their UIDs, and MODSEQs, will be given again. */
void server_restore(struct server *s, struct mailbox *b, size_t n);
/* Whether its numbers would still tell that it was restored, with this UIDNEXT and MODSEQ. */
bool server_tells(
    const struct server *s, const struct mailbox *b, uint32_t uidnext, uint64_t modseq);
/* Whether so many messages may come, or a change be made: in a folder that nobody knows to be
 * restored it must not make that undecidable. */
bool server_may_change(const struct server *s, const struct mailbox *b, uint32_t added);
/* Everything was listed; and who was listed it has written it down. */
void server_listed(struct server *s);
void server_known(struct server *s);
/* Whether it was restored, or has other numbers, and no pass was through since; one was. */
bool server_is_owing(const struct server *s);
bool server_is_numbered(const struct server *s);
void server_settled(struct server *s);
/* The engine knows nothing any more. */
void server_forgotten(struct server *s);
/* All UIDs anew. */
void server_renumber(struct server *s, struct mailbox *b);
struct message *mailbox_find(const struct mailbox *b, uint32_t uid); /* or NULL */

/* By a user of this server. */
struct message *user_add(struct server *s, struct mailbox *b, uint32_t content, uint16_t flags);
void user_flag(
    struct server *s, struct mailbox *b, struct message *m, uint16_t flag, bool on, uint32_t tick);
void user_remove(struct server *s, struct mailbox *b, struct message *m);
struct message *user_copy(
    struct server *s, struct mailbox *b, struct message *m, struct mailbox *to);
struct message *user_move(
    struct server *s, struct mailbox *b, struct message *m, struct mailbox *to);

/* Through an end. */
struct message *engine_add(struct server *s, struct mailbox *b, uint32_t content, uint16_t flags);
void engine_flag(struct server *s, struct mailbox *b, struct message *m, uint16_t flags, bool on);
void engine_remove(struct server *s, struct mailbox *b, struct message *m);
void engine_remove_moved(struct server *s, struct mailbox *b, struct message *m);
struct message *engine_copy(
    struct server *s, struct mailbox *b, struct message *m, struct mailbox *to);
struct message *engine_move(
    struct server *s, struct mailbox *b, struct message *m, struct mailbox *to);

#endif
