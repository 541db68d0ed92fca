/* SPDX-License-Identifier: ISC */
/*
 * session_parts: what the files of a session share (session.c the client's side, session_target.c
 * the map's and the target's, session_log.c the log).  Nobody else includes this.
 */
#ifndef RELAY_SESSION_PARTS_H
#define RELAY_SESSION_PARTS_H

#include "base/os/stream.h"
#include "maps/trace.h"
#include "relay/cutthrough.h"
#include "relay/received.h"
#include "relay/session.h"
#include "relay/smtp_server.h"

/* Of our fields in front of a message for one recipient. */
#define SESSION_PREFIX_MAX (RECEIVED_MAX + TRACE_STAMP_MAX)

struct session {
    struct worker *w;
    LIST_ENTRY(session) entry; /* of worker->sessions */
    struct stream *stream;     /* NULL once the client is gone */
    struct loop_timer *timer;
    struct smtp_server server;
    struct cutthrough ct;
    struct pool_user user;
    struct smtp_conn *conn; /* lent by the pool */
    int conn_server;
    struct pool_request *request;
    struct claims_set claim;

    struct net_addr peer;
    char peer_text[NET_TEXT_MAX];
    int source_server;
    char sid[40], qid[52];
    unsigned n_messages;
    struct buf rcpt; /* the one that is asked about, as given */
    struct buf only; /* the accepted one, while there is one */

    uint64_t started_ms, asked_ms;
    uint64_t due_ms;   /* the client's deadline; 0: it is not its turn */
    uint64_t mail_ms;  /* when the envelope began, and later by what we took since */
    uint64_t turn_ms;  /* when its turn began, or it got the connection in it */
    uint64_t owed_ms;  /* when its last turn ended */
    uint64_t lain_ms;  /* how long its turns before were, since it has the connection */
    uint64_t timer_ms; /* what the timer is set to; 0: it is not */
    uint64_t n_blocks; /* of content, so far */
    uint64_t held_ms, held_user;
    int busy;
    bool is_holding, has_claim, has_progress, is_paused, is_closing, is_over, is_refused;
    bool is_early; /* it spoke before the greeting */
    bool has_left; /* it has closed its side */
};

/* --- session.c --- */

/* Around every entry from the loop; the last leave settles, and may free the session. */
void session_enter(struct session *s);
void session_leave(struct session *s);
void session_start_timer(struct session *s, uint64_t delay_ms);

/* Ends with 421, for what is in the text. */
void session_end(struct session *s, const char *text);

/* --- session_target.c --- */

extern const struct pool_user_events session_user_events;

/* Does what the transaction engine asks for, until it asks for nothing. */
void session_work(struct session *s);
/* The transaction is over without a message, unless the dot has gone to the target. */
void session_abort(struct session *s, const char *why);
/* The RCPT that waits is decided, or decided anew. */
void session_judge(struct session *s);
void session_leave_hold(struct session *s);

/* --- session_log.c --- */

/* ct.answer, as the answer to `asked`. */
void session_log_answer(const struct session *s, enum smtp_server_kind asked);
const char *session_server_name(const struct session *s, int server);
void session_log_message(const struct session *s, const char *event, const struct answer *a);

#endif
