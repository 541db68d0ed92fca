/* SPDX-License-Identifier: ISC */
/*
 * smtp_server: the server side of one SMTP (RFC 5321) or LMTP (RFC 2033) connection, without I/O.
 * Bytes go in, events come out; events that ask something wait for smtp_server_answer().
 *
 *     for each read:  while ((ev = smtp_server_feed(&s, in, &used, &event)) != SMTP_SERVER_MORE)
 * ... after each:     write and clear s.output
 *
 * The legal orders: greeting; EHLO, HELO or LHLO; then transactions of MAIL, RCPT..., DATA, content
 * and the end.  8BITMIME is always offered: which server gets the message is not known yet, and
 * what one does not take is settled with its recipients (cutthrough.h).  EHLO, RSET and every end
 * of DATA, good or bad, close the transaction, and nothing of it survives.  STARTTLS is allowed
 * once, outside a transaction; all that was said before it is forgotten.  A command that may not be
 * followed by others in one group (EHLO, DATA, STARTTLS) and is, ends the session: that is either
 * smuggling or a client that cannot be understood.
 */
#ifndef RELAY_SMTP_SERVER_H
#define RELAY_SMTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/core/buf.h"
#include "base/core/conf.h"
#include "base/core/slice.h"
#include "relay/answer.h"
#include "relay/data_codec.h"
#include "relay/smtp_command.h"

#define SMTP_SERVER_IDLE_COMMANDS_MAX                                                              \
    100 /* NOOP, RSET and the like without a message; then errors */
#define SMTP_SERVER_OUTPUT_MAX                                                                     \
    (64u << 10) /* of commands; with LMTP each recipient adds one answer */
#define SMTP_SERVER_ANSWER_MAX (SMTP_REPLY_CLEAN_MAX + 32u)
#define SMTP_SERVER_CONTENT_STEP (32u << 10) /* wire bytes decoded per event */

struct smtp_server_options {
    const char *hostname; /* borrowed for life */
    bool is_lmtp;
    bool offers_starttls;
    bool is_strict;    /* see smtp_command_parse() */
    uint64_t size_max; /* of a message as the client has it; also what SIZE offers */
    uint32_t recipients_max;
    uint32_t errors_max; /* so many errors are answered, the next one ends the session */
    enum conf_bare_lf bare_lf;
};

enum smtp_server_state {
    SMTP_SERVER_START, /* greeting not said */
    SMTP_SERVER_HELLO, /* EHLO wanted */
    SMTP_SERVER_IDLE,  /* between transactions */
    SMTP_SERVER_ENVELOPE,
    SMTP_SERVER_DATA,    /* content goes to the owner */
    SMTP_SERVER_DISCARD, /* content is thrown away, the answer is known */
    SMTP_SERVER_TLS,     /* until smtp_server_secured() */
    SMTP_SERVER_CLOSED,
    SMTP_SERVER_STATES
};

enum smtp_server_kind {
    SMTP_SERVER_MORE,     /* nothing; feed the unused bytes again with more, or answer first */
    SMTP_SERVER_GOT_MAIL, /* wants an answer */
    SMTP_SERVER_GOT_RCPT, /* wants an answer */
    SMTP_SERVER_GOT_DATA, /* wants an answer: 354 or a refusal, which ends the transaction */
    SMTP_SERVER_CONTENT,  /* canonical bytes */
    SMTP_SERVER_END,      /* the end of the content; wants an answer (LMTP: one per recipient) */
    SMTP_SERVER_RESET,    /* the transaction is over without a message; was answered */
    SMTP_SERVER_SPOILED,  /* so too, in the content; the answer follows behind its end */
    SMTP_SERVER_STARTTLS, /* write the output, then start the handshake */
    SMTP_SERVER_CLOSE,    /* write the output, then close */
};

struct smtp_server_event {
    enum smtp_server_kind kind;
    const struct smtp_command *command; /* GOT_MAIL, GOT_RCPT; until the next feed */
    struct slice content;               /* CONTENT; until the next feed */
    const struct answer *answer;        /* SPOILED, and CLOSE when it was for cause; or NULL */
};

struct smtp_server {
    struct smtp_server_options options;
    enum smtp_server_state state;
    enum smtp_server_kind asked; /* what the owner has to answer; MORE: nothing */
    bool is_esmtp, is_secure;
    char hello[ADDRESS_DOMAIN_MAX + 1]; /* the client's name, harmless in a field; "" before EHLO */
    uint64_t n_content;                 /* canonical bytes of this message */
    uint32_t n_rcpts;                   /* accepted in this transaction */
    uint32_t n_answers;                 /* still owed behind END, for LMTP */
    uint32_t n_errors, n_idle_commands;
    bool has_end; /* CRLF.CRLF was seen and not told yet */
    bool is_for_cause, was_close_told;
    struct smtp_command command;
    char sender[ADDRESS_MAX + 1]; /* of `command`, when it had no domain */
    struct data_decoder decoder;
    struct answer cause; /* of DISCARD, or of CLOSED */
    struct buf *content; /* scratch, the owner's */
    struct buf output;   /* written and cleared by the owner */
};

/* scratch: at least 2 * SMTP_SERVER_CONTENT_STEP may be put there; only used within a feed and its
 * event, so that all sessions of a worker share one. */
void smtp_server_init(
    struct smtp_server *s, const struct smtp_server_options *options, struct buf *scratch);
void smtp_server_fini(struct smtp_server *s);

/* Says the greeting, or closes with `refusal` (421, 554). */
void smtp_server_greet(struct smtp_server *s, const struct answer *refusal);
enum smtp_server_kind smtp_server_feed(
    struct smtp_server *s, struct slice in, size_t *used_out, struct smtp_server_event *out);
/* Answers what was asked. */
void smtp_server_answer(struct smtp_server *s, const struct answer *a);
/* The handshake is done: everything learned before it is forgotten. */
void smtp_server_secured(struct smtp_server *s);
/* Ends the session with this answer (421): for deadlines and for a stop. */
void smtp_server_close(struct smtp_server *s, const struct answer *a);

bool smtp_server_is_between(const struct smtp_server *s); /* no transaction is open */
const char *smtp_server_state_name(enum smtp_server_state state);

#endif
