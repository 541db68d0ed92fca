/* SPDX-License-Identifier: ISC */
/*
 * decide_parts: what the files of the decision share and nobody else sees.  decide.c is the order
 * of things and follows aliases, decide_find.c looks up, decide_judge.c says what comes of one
 * address, decide_tell.c writes the answer.
 */
#ifndef MAPS_DECIDE_PARTS_H
#define MAPS_DECIDE_PARTS_H

#include "maps/route.h"

/* One address: the recipient, or a target of an alias. */
struct decide_job {
    const struct conf *conf;
    const struct conf_domain *domain;
    const struct route_view *view;
    const struct decide_request *req;
    struct arena *mem;
    struct decision *out;
    size_t *cap_keys; /* of out->keys */
    bool *is_full;    /* mem is */
    struct buf *steps;
    const struct decide_job *from; /* the alias whose target this is; NULL: the recipient itself */
    unsigned depth;
    struct slice rcpt;               /* the address */
    size_t own;                      /* index of its first key */
    struct decide_delivery delivery; /* what is being made */
    enum decide_by by;
    struct slice domain_key;  /* "@domain" */
    struct route_entry entry; /* that decides, when decide_has_entry() */
    bool is_role;             /* postmaster or abuse */
    bool is_unknown;
    bool is_held;
    int64_t changed_s; /* last change of what decides; INT64_MAX: not known */
};

/* Exact, its list, without detail, @domain: as many keys as an address has. */
#define DECIDE_KEYS_FIRST 4

static inline bool decide_has_entry(const struct decide_job *j)
{
    return j->by != DECIDE_BY_DEFAULT;
}

/* The name of a server, or nothing. */
static inline struct slice decide_server_name(const struct decide_job *j, int server)
{
    return server == CONF_SERVER_NONE ? SLICE_NONE : slice_str(j->conf->servers[server].name);
}

static inline struct slice decide_recipient_key(const struct decide_job *j)
{
    return decision_key(j->out, j->own);
}

/* --- Telling (decide_tell.c) ------------------------------------------------------ */

/* A step of the way, for `explain`. */
void decide_step(const struct decide_job *j, const char *fmt, ...) ATTR_PRINTF(2, 3);
void decide_answer(const struct decide_job *j, enum decision_kind kind, int code,
    const char *enhanced, const char *text);
void decide_answer_endless(struct decide_job *j, const char *text);
/* A terminated copy in the arena; "" when that is full, which is found out at the end. */
const char *decide_keep_text(struct decide_job *j, struct slice text);
/* Room for one more of an array in the arena; false when that is full. */
bool decide_make_room(struct decide_job *j, void **array, size_t n, size_t *cap, size_t size);

/* --- Looking up (decide_find.c) ----------------------------------------------------- */

/* Consults keys in order and leaves the entry that decides, if there is one.  The stores hold its
 * bytes: one for the recipient, one for the domain. */
void decide_find_entry(
    struct decide_job *j, struct slice key, struct route_store stores[2], struct buf *bare);

/* --- Judging (decide_judge.c) --------------------------------------------------------- */

/* The server that the map or the configuration names, if mail can be sent there, in the delivery;
 * false when the answer is given already, here and below. */
bool decide_choose_server(struct decide_job *j);
/* The address that is handed to it. */
bool decide_set_address(struct decide_job *j);
/* A message from the server itself; false when it may not go back there. */
bool decide_check_direction(struct decide_job *j);
bool decide_check_loop(struct decide_job *j);
/* Who may send. */
bool decide_check_senders(struct decide_job *j);

#endif
