/* SPDX-License-Identifier: ISC */
/* conn_parts: what the files of the connection share among themselves. */
#ifndef IMAPSYNC_IMAP_CONN_PARTS_H
#define IMAPSYNC_IMAP_CONN_PARTS_H

#include "base/os/errand.h"
#include "imapsync/imap/conn.h"
#include "imapsync/imap/patience.h"
#include "imapsync/imap/signin.h"
#include "imapsync/imap/wire.h"

enum conn_state {
    CONN_LOOKING_UP,
    CONN_CONNECTING,
    CONN_SECURING,
    CONN_FETCHING,   /* an access token; nothing is read meanwhile */
    CONN_SIGNING_IN, /* greeting included */
    CONN_READY,
};

struct imap_conn {
    const struct imap_place *place;
    const struct wait_limits *limits;
    enum conn_state state;
    struct imap_wire wire;
    struct imap_client *client;
    struct imap_signin *signin; /* until READY */
    struct errand *fetching;    /* only then */
    const struct imap_events *events;
    void *arg;
    bool is_paused;
    enum imap_broken broken;
    struct err why;
    struct patience patience;
    uint64_t spoke_ms; /* when something was sent last */
    bool is_leaving;
    struct imap_outcome farewell;
    uint64_t untagged;
    uint64_t n_odd;
    unsigned odd_kinds; /* bits 1u << enum imap_kind: of which the log has one */
};

uint64_t imap_conn_now_ms(const struct imap_conn *c);
/* Breaks it; all that was on its way is answered. -1 */
int imap_conn_break(struct imap_conn *c, enum imap_broken why, const struct err *err);

/* --- Steps (conn_steps.c) ----------------------------------------------------------- */

void imap_conn_look_up(struct imap_conn *c);
/* Connected: from here on signing in has its total. */
void imap_conn_begin_session(struct imap_conn *c);
/* What the state has to do now. -1: it is broken. */
int imap_conn_step(struct imap_conn *c, short revents, bool *moved, struct err *err) ATTR_WUR;

#endif
