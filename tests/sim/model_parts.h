/* SPDX-License-Identifier: ISC */
/*
 * model_parts: what the end (model_end.c), the server behind it (model_serve.c, model_append.c,
 * model_change.c) and what comes back from there (model_answers.c) share.
 */
#ifndef TESTS_SIM_MODEL_PARTS_H
#define TESTS_SIM_MODEL_PARTS_H

#include "tests/sim/model_end.h"
#include "tests/sim/world.h"

#define SIZE_LIMIT 60
#define ROOM 64

enum kind {
    FOLDERS,
    STATUS,
    IDENTIFY,
    QUOTA,
    MAKE,
    RENAME,
    SUBSCRIBE,
    OPEN,
    READ,
    ATTRIBUTES,
    APPEND,
    FLAGS,
    MOVE,
    REMOVE
};

struct appended {
    uint16_t flags;
    bool has_date;
    int64_t date_s;
    uint64_t size;
    struct buf octets;
};

struct request {
    struct request *next;
    enum kind kind;
    struct end_ticket *ticket;
    enum end_result result;
    struct err err;
    bool is_done;  /* it has taken effect */
    unsigned step; /* a part of it has: MOVE */
    bool is_whole; /* APPEND: its end has come */
    int name, to;
    bool on;
    struct end_open open;
    struct folder listed; /* numbers alone, when */
    bool is_listed_empty;
    uint64_t modseq_then;
    uint32_t *uids;
    size_t n, at;
    unsigned want;
    uint16_t flags;
    uint64_t unchanged_since;
    struct folder_list *list;
    struct folder *status;
    struct buf *identity;
    struct end_quota *quota;
    struct end_changes *changes;
    struct end_uids *uids_out;
    const struct end_sink *sink;
    void *sink_arg;
    struct appended *messages;
    size_t n_messages;
    int stored_in; /* APPEND, MOVE */
    uint32_t first, behind;
};

struct model_end {
    struct end end;
    struct world *w;
    struct server *s;
    struct request *queue, *building;
    size_t n;
    int open_name; /* -1: none, or the open was refused */
    uint32_t open_validity;
    struct folder view; /* of the folder that is open, as far as this session was told */
    bool is_open, is_paused;
    bool is_cut;    /* and nobody has noticed yet */
    bool is_broken; /* and all was answered */
    struct err why;
};

struct late_append {
    int folder;
    struct appended *messages;
    size_t n;
};

static inline bool model_has(const struct model_end *e, unsigned quirk)
{
    return (e->s->quirks & quirk) != 0;
}

struct model_end *model_of(struct end *e);
struct request *model_request_new(struct end *end, enum kind kind, struct end_ticket *t);
void model_request_begin(struct model_end *e); /* the last word of each slot */
void model_request_free(struct request *r);
int model_number(struct slice name);
void model_append_begin(
    struct end *end, struct slice folder, struct end_uids *uids_out, struct end_ticket *t);
void model_append_message(struct end *end, const struct end_message *m);
void model_append_octets(struct end *end, struct slice octets);
void model_append_end(struct end *end);

uint16_t model_bits(const struct flags *f, const struct keywords *k);
void model_refuse(struct request *r, enum err_class class, enum err_scope scope, const char *why);
/* What is wanted of one message, into the changes. */
void model_tell(struct model_end *e, const struct message *m, unsigned want, struct end_changes *c);
void model_messages_free(struct appended *v, size_t n);
/* What a folder was when it was opened. */
struct model_token {
    uint32_t uidvalidity, uidnext;
    uint64_t modseq;
};
void model_put_token(const struct mailbox *b, struct buf *out);
bool model_token(struct slice token, struct model_token *out);
/* The folder that is open, or NULL, and the request is refused. */
struct mailbox *model_opened(struct model_end *e, struct request *r);
void model_append(struct model_end *e, struct request *r);
void model_tell_validity(struct model_end *e, struct mailbox *b, bool is_kept);
void model_flags(struct model_end *e, struct request *r);
/* false: not all of it yet. */
bool model_move(struct model_end *e, struct request *r);
void model_remove(struct model_end *e, struct request *r);
/* A request takes effect; false: not yet. */
bool model_effect(struct model_end *e, struct request *r);
/* One event of the network: a request takes effect, or is answered.  false: nothing can happen. */
bool model_step(struct model_end *e);

#endif
