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
    CONN_QUEUING, /* for a place among the connections to the server */
    CONN_LOOKING_UP,
    CONN_CONNECTING,
    CONN_SECURING,
    CONN_FETCHING,    /* an access token; nothing is read meanwhile */
    CONN_SIGNING_IN,  /* greeting included */
    CONN_COMPRESSING, /* signed in; asked, and nothing may be said before the answer */
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
    bool has_avoided; /* it has died of a command that is not given again */
    struct patience patience;
    uint64_t spoke_ms;            /* when something was sent last */
    uint64_t queued_ms, retry_ms; /* QUEUING: since when, and when it is worth asking again */
    bool has_entered;
    uint64_t dialed_ms, trip_ms; /* to connect; 0: this machine, or not known */
    struct imap_outcome compressing;
    struct imap_compress *compress; /* NULL: what goes over the wire is what is said */
    bool is_leaving;
    struct imap_outcome farewell;
    uint64_t untagged;
    uint64_t n_odd;
    unsigned odd_kinds; /* bits 1u << enum imap_kind: of which the log has one */
};

uint64_t imap_conn_now_ms(const struct imap_conn *c);
/* Breaks it; all that was on its way is answered. -1 */
int imap_conn_break(struct imap_conn *c, enum imap_broken why, const struct err *err);

/* --- Pace (conn_pace.c) ------------------------------------------------------------- */

/* It may be begun: 0; else milliseconds until it is worth asking again. */
uint64_t imap_conn_enter(struct imap_conn *c);
bool imap_conn_has_queued_enough(const struct imap_conn *c);
void imap_conn_exit(struct imap_conn *c);
void imap_conn_allow(struct imap_conn *c);
/* Octets that may be moved; 0: not now. */
uint64_t imap_conn_room(const struct imap_conn *c);
void imap_conn_moved(struct imap_conn *c, enum day_way way, size_t n);
/* -1: there may be no more today, and it is broken. */
int imap_conn_check_day(struct imap_conn *c, struct err *err) ATTR_WUR;
/* Nothing moves since we do not want it to. */
bool imap_conn_is_paced(const struct imap_conn *c);
/* Until there is something to do that was put off; UINT64_MAX: there is none. */
uint64_t imap_conn_pace_ms(const struct imap_conn *c, uint64_t now_ms);

/* --- Steps (conn_steps.c) ----------------------------------------------------------- */

/* As soon as it may, by its server's pace. */
void imap_conn_look_up(struct imap_conn *c);
/* More is there, or waits to be sent, whatever poll() says. */
bool imap_conn_has_read(const struct imap_conn *c);
bool imap_conn_has_out(const struct imap_conn *c);
/* Connected: from here on signing in has its total. */
void imap_conn_begin_session(struct imap_conn *c);
/* What the state has to do now. -1: it is broken. */
int imap_conn_step(struct imap_conn *c, short revents, bool *moved, struct err *err) ATTR_WUR;

#endif
