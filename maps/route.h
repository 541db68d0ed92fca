/* SPDX-License-Identifier: ISC */
/*
 * route: the values of the map and the one decision that relay, milter, socket map, login routing
 * and `maptool explain` share.  No socket, clock or file in here: engines may include it.
 *
 *     struct decide_request req = {.rcpt = rcpt, .source_server = from, .now_s = now};
 *     struct decision d;
 *     decide(conf, &view, &req, mem, &d, NULL);
 *     switch (d.kind) { ... }
 */
#ifndef MAPS_ROUTE_H
#define MAPS_ROUTE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/core/arena.h"
#include "base/core/buf.h"
#include "base/core/conf.h"
#include "base/core/slice.h"

#define ROUTE_KEY_MAX 320      /* normalised local part, "@", domain */
#define ROUTE_RECORD_MAX 16384 /* an encoded record */
#define ROUTE_NOTE_MAX 1024    /* each text field of an entry that has no limit of its own */
#define ROUTE_SERVER_MAX 255   /* name of a server */
#define ROUTE_TARGETS_MAX 8192 /* the addresses of an alias, forward or group, with separators */
#define ROUTE_TARGETS_COUNT_MAX 100
#define ROUTE_SOURCE_MAX 64           /* the name of an import */
#define ROUTE_BOTH_MAX_S (14 * 86400) /* mail goes to two servers at most so far ahead */
#define ROUTE_TEXT_MAX 200            /* the text of a reject entry's own answer */
#define DECIDE_KEYS_MAX 400 /* consulted by one decision, aliases behind aliases and all */
#define DECIDE_DELIVERIES_MAX 100
#define DECIDE_DEPTH_MAX 10 /* aliases one behind the other */
#define DECIDE_TEXT_MAX 256
/* What one decision takes of an arena at most. */
#define DECIDE_MEM_MAX (1u << 19)

/* The numbers are in the records. */
enum route_kind {
    ROUTE_KIND_MAILBOX = 0,
    ROUTE_KIND_REJECT = 1,
    ROUTE_KIND_ALIAS = 2, /* no route of its own: follows its targets */
    ROUTE_KIND_GROUP = 3, /* goes to the server that expands it; without a route, to its targets */
    ROUTE_KIND_FORWARD = 4, /* leaves the organisation */
};
enum route_state {
    ROUTE_STATE_ACTIVE = 0,
    ROUTE_STATE_HELD = 1,
    ROUTE_STATE_BOTH = 2, /* a second copy goes to `also`, until `until_s` */
    ROUTE_STATE_RETIRING =
        3, /* gone from its source: mail waits until `until_s`, then is refused */
};

/* One entry of the map.  Slices borrow from whatever the entry was decoded from. */
struct route_entry {
    enum route_kind kind;
    enum route_state state;
    bool is_tombstone;  /* deleted; kept so that its epoch never falls */
    uint64_t epoch;     /* generation of the last change of route or state; 0: never existed */
    struct slice route; /* server name; n == 0 in an "@domain" entry: the configured default */
    struct slice
        deliver_as; /* n == 0: the recipient as received; "@domain": its local part there */
    struct slice hold_owner; /* while held: who asked */
    struct slice hold_request;
    int64_t hold_deadline_ms; /* wall clock, ms since 1970; mapd releases at that time */
    struct slice targets;     /* addresses, "\n" between them (route_list_next) */
    struct slice owner;       /* address that gets the errors of an alias or group */
    struct slice senders;     /* who may send: "" any, "inside", "members", or a list as targets */
    unsigned reply_code;      /* of a reject entry; 0: 550 */
    struct slice reply_text;  /* with its own enhanced code or without */
    struct slice also;        /* second server; kept while a hold lasts */
    int64_t until_s;          /* end of the states both and retiring; 0: none */
    int64_t when_s;           /* of the last change; wall clock, 0: not known */
    /* Not in the snapshot. */
    struct slice note, who; /* for people */
    struct slice source;    /* name of the import that the entry belongs to */
    struct slice moved_by;  /* request of the cut-over that moved it; until `retire` */
};

/* As an assignment of zeros, for which compilers take a slow string instruction at this size. */
static inline void route_entry_clear(struct route_entry *e)
{
    e->kind = ROUTE_KIND_MAILBOX;
    e->state = ROUTE_STATE_ACTIVE;
    e->is_tombstone = false;
    e->epoch = 0;
    e->route = SLICE_NONE;
    e->deliver_as = SLICE_NONE;
    e->hold_owner = SLICE_NONE;
    e->hold_request = SLICE_NONE;
    e->targets = SLICE_NONE;
    e->owner = SLICE_NONE;
    e->senders = SLICE_NONE;
    e->reply_code = 0;
    e->reply_text = SLICE_NONE;
    e->also = SLICE_NONE;
    e->note = SLICE_NONE;
    e->who = SLICE_NONE;
    e->source = SLICE_NONE;
    e->moved_by = SLICE_NONE;
    e->hold_deadline_ms = e->until_s = e->when_s = 0;
}

/* What a look-up says.  UNKNOWN (no valid, complete snapshot) is always a temporary failure. */
enum route_answer { ROUTE_FOUND, ROUTE_NOT_FOUND, ROUTE_UNKNOWN };

/* The bytes that the slices of a looked-up entry borrow from. */
struct route_store {
    unsigned char bytes[ROUTE_RECORD_MAX];
};

/* Where the decision reads from: the snapshot, the database, or a table in a test.  For a key
 * that is absent or deleted `entry->epoch` is still set (0 or the tombstone's). */
struct route_view {
    enum route_answer (*get)(
        void *arg, struct slice key, struct route_store *store, struct route_entry *entry);
    void *arg;
    /* The key with this hash (route_key_hash) will be asked for in a moment; NULL: no matter. */
    void (*expect)(void *arg, uint64_t key_hash);
};

/* Which entry decided. */
enum decide_by {
    DECIDE_BY_DEFAULT,  /* none: the configuration */
    DECIDE_BY_KEY,      /* of exactly the recipient's key */
    DECIDE_BY_BARE_KEY, /* of the key without "+detail" */
    DECIDE_BY_LIST,     /* of the list that the address belongs to: "staff" for "staff-request" */
    DECIDE_BY_DOMAIN,   /* "@domain" */
};

/* --- Keys ------------------------------------------------------------------ */

/* The key of an address: domain to lower-case A-label, local part unquoted where quoting is not
 * needed and its ASCII letters folded unless the domain's configuration says otherwise
 * (postmaster, abuse and names of other systems, "IMCEAEX-...", always).  "@domain" stays the
 * domain's default key, bare "postmaster" belongs to the first configured domain.  conf may be
 * NULL: fold.  Appends to key_out. 0, or -1: not an address that can be in the map. */
int normalise_key(const struct conf *conf, struct slice address, struct buf *key_out) ATTR_WUR;
/* The same key without "+detail"; false when there is none. d: its domain, NULL for one that is not
 * in the configuration. */
bool normalise_strip_detail(const struct conf_domain *d, struct slice key, struct buf *key_out);
/* The key of the list that this one is an address of by the domain's list_addresses, a key without
 * its detail at a time; false when it is none. */
bool normalise_list(const struct conf_domain *d, struct slice key, struct buf *key_out);
/* The meaning of a local part with another name of the user or list in it, what is around it kept.
 * Returns the length, at most that of both. */
size_t normalise_rename(const struct conf_domain *d, enum decide_by by, struct slice local,
    struct slice name, unsigned char *out);
/* How much of the meaning of a local part is before its detail; all of it without one. */
size_t normalise_detail(const struct conf_domain *d, struct slice local);
/* The local part that Exchange makes of an X.500 name ("IMCEAEX-_o=Example_cn=Ann"). Appends. 0, or
 * -1: no address is as long. */
int normalise_encapsulate(struct slice x500, struct buf *local_out) ATTR_WUR;
struct slice normalise_domain(struct slice key); /* behind the last "@" */
struct slice normalise_local(struct slice key);  /* before it */
bool normalise_is_role(struct slice key); /* postmaster or abuse: always valid (RFC 5321 4.5.1) */

/* --- Records ---------------------------------------------------------------- */

/* with_notes: what is for the database alone too, or without (the snapshot).  Appends to out. -1,
 * with out unchanged, when a text holds CR, LF or NUL, a list an empty part, or something is longer
 * than it may be. */
int record_encode(const struct route_entry *entry, bool with_notes, struct buf *out) ATTR_WUR;
/* Slices borrow from bytes. -1 when the bytes are not exactly one record.  Records of version 1,
 * which a map from before has, are read too. */
int record_decode(struct slice bytes, struct route_entry *out) ATTR_WUR;
/* The next part of a list as in targets; false at the end, where *rest is empty. */
bool route_list_next(struct slice *rest, struct slice *part_out);
size_t route_list_count(struct slice list);
const char *route_kind_name(enum route_kind kind);
const char *route_state_name(enum route_state state);
int route_kind_parse(struct slice text, enum route_kind *out) ATTR_WUR;
int route_state_parse(struct slice text, enum route_state *out) ATTR_WUR;

/* --- The decision ------------------------------------------------------------- */

enum decision_kind {
    DECIDE_DELIVER,
    DECIDE_HOLD,     /* 450 4.2.1; the relay may wait first */
    DECIDE_REJECT,   /* 5xx, certain */
    DECIDE_DEFER,    /* 4xx: state unknown, or too early to be certain */
    DECIDE_NOT_OURS, /* the domain is not in the configuration, or this is no address at all */
};

/* One valid stamp of ours found in the header, see maps/trace.h. */
struct decide_stamp {
    struct slice server;
    uint64_t epoch;
    int64_t time_s;
};

struct decide_request {
    struct slice rcpt; /* mailbox without brackets, or "postmaster" */
    int source_server; /* index of the server the message comes from, CONF_SERVER_NONE: outside */
    int64_t now_s;
    /* The sender, "" for the null sender; without one nobody is refused for who he is. */
    bool has_sender;
    struct slice sender;
    /* Known only behind the header; zero at RCPT. Stamps are those for this recipient. */
    const struct decide_stamp *stamps;
    size_t n_stamps;
    size_t hops;     /* Received fields */
    size_t hops_max; /* more than so many are refused; 0: not checked */
};

/* A key that the decision looked at, present or absent, with the epoch it saw. */
struct decide_key {
    const char *text; /* terminated */
    size_t n;
    uint64_t hash; /* route_key_hash() */
    uint64_t epoch;
};

/* One copy of the message for the recipient. */
struct decide_delivery {
    int server;          /* index in conf->servers; CONF_SERVER_NONE when it is_outside */
    uint64_t epoch;      /* of the entry that decided, 0 for a configured default */
    const char *address; /* what to hand to that server, as RCPT argument without brackets */
    size_t key;          /* index of the key whose entry decided, DECIDE_NO_KEY for a default */
    size_t rcpt;         /* index of the key that the address has for the map: the recipient's, or
                            that of the alias' target; stamps name both */
    bool is_outside;     /* leaves the organisation */
    bool is_copy;        /* for the second server of a user who is on both */
    const char
        *errors_to; /* NULL: who sent it; else the owner of the last alias or group on the way
                       that has one (RFC 5321 3.9), in place of a sender that is not empty */
};
#define DECIDE_NO_KEY SIZE_MAX

/* What it points to lies in the arena that decide() was given. */
struct decision {
    enum decision_kind kind;
    int code;         /* reply for all kinds but DELIVER: 550, 450, 451, 501, 554 */
    char enhanced[8]; /* "5.1.1" */
    const char *text; /* printable ASCII; without code and enhanced code */
    /* DELIVER: where to, each once.  Else none, or one with what was found of it before the answer
     * was clear: perhaps without a server (CONF_SERVER_NONE), and its address is empty. */
    struct decide_delivery *deliveries;
    size_t n_deliveries;
    enum decide_by by;       /* the recipient's own entry */
    struct decide_key *keys; /* all that contributed; the first is the recipient's own */
    size_t n_keys;
    size_t n_skipped;  /* targets that there are not, beside others that there are */
    bool is_endless;   /* DEFER: an alias leads in a circle or to too many */
    const char *chain; /* of an endless one: the addresses on the way to where it was given up, with
                          " -> " between them; NULL in a copy */
    size_t user; /* index of the key that names the user whatever "+detail" says: of the user's
                    entry, or the one without detail where there is none */
};
/* Of the first delivery. */
int decision_server(const struct decision *d);     /* or CONF_SERVER_NONE */
uint64_t decision_epoch(const struct decision *d); /* or 0 */
struct slice decision_key(const struct decision *d, size_t i);
/* One to the same mailbox: two ways to it are one delivery. */
bool decision_has(const struct decision *d, const struct decide_delivery *delivery);
/* Whether no entry but a default of the domain, or "@domain", says what becomes of delivery i;
 * *key_out: who has none, without a detail.  postmaster and abuse need none. */
bool decision_is_unmapped(const struct decision *d, size_t i, struct slice *key_out);
/* Length of the enhanced code of this class at the start of a text ("5.1.6 Gone"), 0: none. */
size_t decision_enhanced(struct slice text, unsigned class);
/* A copy that lives in another arena. -1: that is full. */
int decision_copy(const struct decision *d, struct arena *mem, struct decision *out) ATTR_WUR;

/* Look-up order: the key, that of its list, the key without "+detail", postmaster and abuse,
 * "@domain", the domain's configured default; then the same for each target of an alias.  The
 * "@domain" key is always consulted: while it is held the whole domain is. Order of tests: unknown
 * state, held, no such user, direction, loop, hops; so nothing is refused for good while the state
 * is unknown or a hold lasts.
 *
 * mem: where the decision lies until that is reset; nothing in it borrows from anything else.  When
 * it is full the answer is DEFER.
 * steps: NULL, or receives one line per step for `explain` (no newline inside a step, "\n" after
 * each). */
void decide(const struct conf *conf, const struct route_view *view,
    const struct decide_request *req, struct arena *mem, struct decision *out, struct buf *steps);
const char *decision_kind_name(enum decision_kind kind);

uint64_t route_key_hash(struct slice key); /* stable across processes and releases; never 0 */

#endif
