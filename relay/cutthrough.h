/* SPDX-License-Identifier: ISC */
/*
 * cutthrough: one transaction that passes through to a target while the client waits, without I/O.
 * Inputs are what the client wants, what the map decided and what the target says; after each input
 * the session asks cutthrough_next() what there is to do until it says CUT_NOTHING.
 *
 * States and their legal orders:
 *
 *   IDLE -mail-> MAIL -rcpt-> HELD | CONNECTING | ASKED -> READY (one recipient at least) or MAIL
 *   READY -rcpt-> HELD | ASKED -> READY;   READY -data-> HEADER -judged-> WAITING -354-> BODY
 *   BODY -end-> CLAIMING -go-> DOTTED -answer-> IDLE
 *   from HEADER, WAITING, BODY, CLAIMING: -trouble-> REFUSED -end-> IDLE
 *   READY -target lost-> BROKEN: every RCPT and DATA is answered with the reason
 *
 * Rules it keeps:
 *   - The answer to the client's dot is the target's answer to ours, or 4xx: never 250 otherwise.
 *   - No dot without CUT_CLAIM answered with go; no DATA before the header was judged.
 *   - One server per transaction, and one sender: the first accepted recipient fixes both, others
 *     hear 452 4.5.3.  The sender is the client's, or the owner of the alias that is written to.
 *   - A target that answers each recipient behind the dot (LMTP) and a client that takes one answer
 *     (SMTP): with a mixed result no single answer is true, one would lose a copy and another would
 *     bring the client's retry a second one.  So such a transaction has one recipient, and the
 *     others hear 452 4.5.3.  A client that speaks LMTP to us has no such limit.
 *   - A target lost behind the dot is ambiguous: 451, and the log says duplicate=possible.
 *   - What the target takes is asked of its own EHLO on this very connection, when the route is
 *     known: a message that is bigger with our fields than its SIZE is refused, at RCPT when it was
 *     declared and else as soon as that much has come; so is 8-bit content, where the target has
 *     no 8BITMIME and the server entry says so.  Elsewhere it goes as it is.
 *   - A target that refuses while content is still on its way has not stored it: the answer is its
 *     refusal, and nothing is ambiguous.
 *   - A pooled connection that turns out dead before anything was accepted, or whose MAIL is
 *     answered with something that speaks of the connection (4.4.2, a 4xx without enhanced code, a
 *     5xx about the two of us), is replaced once.
 */
#ifndef RELAY_CUTTHROUGH_H
#define RELAY_CUTTHROUGH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/core/buf.h"
#include "base/core/err.h"
#include "base/core/slice.h"
#include "base/mail/smtp_client.h"
#include "maps/route.h"
#include "relay/answer.h"
#include "relay/data_codec.h"
#include "relay/smtp_command.h"

enum cutthrough_state {
    CUT_IDLE,
    CUT_MAIL,       /* sender known, nobody accepted */
    CUT_HELD,       /* a RCPT waits for the end of a hold */
    CUT_CONNECTING, /* a RCPT waits for a connection */
    CUT_ASKED,      /* a RCPT waits for the target's answer */
    CUT_READY,      /* one recipient at least */
    CUT_BROKEN,     /* accepted recipients, and the target is gone */
    CUT_HEADER,     /* content comes in, the header is not whole or not judged */
    CUT_WAITING,    /* DATA sent, no 354 yet */
    CUT_BODY,
    CUT_CLAIMING, /* the content is whole, the claim is being made */
    CUT_DOTTED,   /* the dot went out */
    CUT_REFUSED,  /* content is ignored, the answer is known */
    CUT_STATES
};

/* In the order in which cutthrough_next() hands them out. */
enum cutthrough_action {
    CUT_NOTHING = 0,
    CUT_UNCLAIM = 1,  /* `is_ambiguous` says how it ended */
    CUT_RELEASE = 2,  /* the connection is free: `release` */
    CUT_HOLD = 4,     /* wait, then cutthrough_rcpt() again, or cutthrough_hold_over() */
    CUT_CONNECT = 8,  /* get a connection to `server`, then cutthrough_target() */
    CUT_JUDGE = 16,   /* judge `header`, then cutthrough_judged() */
    CUT_CLAIM = 32,   /* claim `decisions`, then cutthrough_claimed() */
    CUT_FLUSH = 64,   /* the target's engine has output */
    CUT_ANSWER = 128, /* give `answer` to the client, `n_answers` times */
};

enum cutthrough_release {
    CUT_RELEASE_KEEP,  /* between transactions: may serve the next one */
    CUT_RELEASE_RESET, /* needs RSET first */
    CUT_RELEASE_CLOSE, /* dead or within DATA */
};

struct cutthrough_server { /* what the engine has to know of a target */
    const char *name;
    bool is_lmtp;
    bool refuses_8bit; /* where it has no 8BITMIME */
};

struct cutthrough {
    const struct cutthrough_server *servers; /* by index; borrowed for life */
    size_t header_size_max;
    bool client_is_lmtp;

    enum cutthrough_state state;
    unsigned todo; /* enum cutthrough_action */
    struct answer answer;
    uint32_t n_answers;
    enum cutthrough_release release;
    bool is_ambiguous;
    bool wants_fresh; /* with CUT_CONNECT: no pooled one */

    struct buf sender;
    uint64_t size; /* declared, 0: not */
    bool is_8bit;
    size_t room; /* that our fields take for the recipient at hand */

    int server;                 /* CONF_SERVER_NONE while nobody fixed it */
    struct smtp_client *client; /* borrowed while a connection is ours */
    bool is_reused, was_replaced, is_mail_sent;
    struct buf asked_as; /* the sender that MAIL was sent with */

    struct decision pending;    /* of the RCPT that waits, in pending_mem */
    struct decision *decisions; /* of accepted recipients, in mem; see cutthrough_forget() */
    size_t n_decisions, decisions_cap;
    struct arena *pending_mem, *mem; /* NULL in IDLE */

    struct buf header; /* content until the header is judged */
    size_t header_scanned;
    size_t n_header; /* length of the block, once known */
    bool is_ended;   /* the client's dot is there */
    size_t n_dotted; /* recipients whose answer to the dot has come */
    struct data_encoder encoder;
    struct answer verdict; /* for BROKEN and REFUSED */
    uint64_t n_content;    /* canonical bytes */
    size_t n_prefix;       /* bytes of our fields in front of them */
};

void cutthrough_init(struct cutthrough *ct, const struct cutthrough_server *servers,
    size_t header_size_max, bool client_is_lmtp);
void cutthrough_fini(struct cutthrough *ct); /* the connection must have been released */

/* In IDLE, when nothing will be asked about the last transaction any more: gives back the memory
 * that its recipients took. */
void cutthrough_forget(struct cutthrough *ct);

enum cutthrough_action cutthrough_next(struct cutthrough *ct);

/* --- From the client --- */
void cutthrough_mail(struct cutthrough *ct, const struct smtp_command *mail);
/* Also with the new decision of a RCPT that waited for a hold.  room: how many bytes our fields
 * will have when this is the only recipient; each further one adds CUT_ROOM_EACH at most. */
#define CUT_ROOM_EACH 48
void cutthrough_rcpt(struct cutthrough *ct, const struct decision *d, size_t room);
void cutthrough_hold_over(struct cutthrough *ct); /* waited long enough, or no room to wait */
void cutthrough_data(struct cutthrough *ct);
void cutthrough_content(struct cutthrough *ct, struct slice canonical);
void cutthrough_end(struct cutthrough *ct);
/* RSET, EHLO, QUIT, spoiled content, or the client is gone.  Behind the dot it changes nothing: the
 * target's answer is awaited. */
void cutthrough_abort(struct cutthrough *ct);

/* --- From the map --- */
/* refusal NULL: go on, with `prefix` (whole fields) in front of the header. */
void cutthrough_judged(struct cutthrough *ct, const struct answer *refusal, struct slice prefix);
void cutthrough_claimed(struct cutthrough *ct, const struct answer *refusal); /* NULL: go */

/* --- From the target --- */
/* client NULL: there is none, and why. */
void cutthrough_target(
    struct cutthrough *ct, struct smtp_client *client, bool is_reused, const struct err *why);
void cutthrough_target_event(struct cutthrough *ct, const struct smtp_client_event *ev);

/* Bytes that wait to be sent: the session stops reading the client above its mark. */
size_t cutthrough_backlog(const struct cutthrough *ct);
const char *cutthrough_state_name(enum cutthrough_state state);

#endif
