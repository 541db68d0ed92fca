/* SPDX-License-Identifier: ISC */
/*
 * smtp_client: the client side of one SMTP (RFC 5321) or LMTP (RFC 2033) connection, without I/O.
 * Bytes go in, events come out; what has to be sent collects in smtp_client_output().
 *
 *     smtp_client_init(&c, &options);
 *     for each read:  while (smtp_client_feed(&c, in, &used, &ev) != SMTP_CLIENT_MORE) ... ev ...
 *     after READY:    smtp_client_mail(...); smtp_client_rcpt(...); smtp_client_data(...);
 *                     add canonical, dot-stuffed bytes to smtp_client_content(); smtp_client_dot()
 *     when MORE:      write smtp_client_output(), then smtp_client_sent(); not sooner, so that a
 *                     reply which came ahead of its command is seen
 *
 * The legal orders: greeting, EHLO (HELO when a server knows no EHLO), STARTTLS and EHLO again by
 * the policy, READY.  Then any number of MAIL RCPT... DATA content dot, or RSET before DATA.
 * Commands may be given ahead of the replies; they leave at once when the server offers PIPELINING
 * and one by one otherwise.  Content leaves only after 354.  A reply that nobody asked for, text
 * between STARTTLS and its handshake, and a reply of the wrong class end the connection (FAILED).
 */
#ifndef BASE_MAIL_SMTP_CLIENT_H
#define BASE_MAIL_SMTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/err.h"
#include "base/core/slice.h"
#include "base/mail/smtp_reply.h"
#include "base/mail/smtp_tls.h"

#define SMTP_CLIENT_PENDING_MAX 256           /* replies awaited at once */
#define SMTP_CLIENT_PATH_MAX 512              /* sender or recipient */
#define SMTP_CLIENT_COMMANDS_MAX (256u << 10) /* more than so many pending commands can have */
#define SMTP_CLIENT_CONTENT_MAX (32u << 20)   /* content not sent; owners hold back far earlier */
#define SMTP_CLIENT_LMTP_RCPTS_MAX 128        /* accepted recipients of one LMTP transaction */

enum smtp_client_caps {
    SMTP_CLIENT_CAP_ESMTP = 1,
    SMTP_CLIENT_CAP_PIPELINING = 2,
    SMTP_CLIENT_CAP_SIZE = 4,
    SMTP_CLIENT_CAP_8BITMIME = 8,
    SMTP_CLIENT_CAP_STARTTLS = 16,
};

struct smtp_client_options {
    const char *hello_name; /* borrowed for the life of the client */
    bool is_lmtp;
    struct smtp_tls tls;  /* implicit: STARTTLS is neither asked for nor needed */
    bool never_pipelines; /* whatever the server offers */
};

enum smtp_client_state {
    SMTP_CLIENT_GREETING, /* nothing said yet */
    SMTP_CLIENT_HELLO,    /* EHLO, LHLO or HELO sent */
    SMTP_CLIENT_TLS_ASKED,
    SMTP_CLIENT_TLS_HANDSHAKE, /* until smtp_client_secured() */
    SMTP_CLIENT_OPEN,          /* between transactions, MAIL and RCPT included */
    SMTP_CLIENT_DATA_ASKED,    /* DATA given, no 354 yet */
    SMTP_CLIENT_IN_DATA,       /* content may be sent */
    SMTP_CLIENT_DOTTED,        /* the dot was given, its answer is awaited */
    SMTP_CLIENT_QUITTING,
    SMTP_CLIENT_DEAD,
    SMTP_CLIENT_STATES
};

enum smtp_client_kind {
    SMTP_CLIENT_MORE,     /* nothing; feed again with more bytes */
    SMTP_CLIENT_READY,    /* capabilities are known, MAIL may follow */
    SMTP_CLIENT_STARTTLS, /* start the handshake now, then smtp_client_secured() */
    SMTP_CLIENT_MAIL_REPLY,
    SMTP_CLIENT_RCPT_REPLY, /* in the order of smtp_client_rcpt() */
    SMTP_CLIENT_DATA_REPLY, /* 354, or a refusal and the transaction is over */
    SMTP_CLIENT_DOT_REPLY,  /* once; with LMTP once for each accepted recipient, in order; see
                               is_early */
    SMTP_CLIENT_RSET_REPLY,
    SMTP_CLIENT_QUIT_REPLY,
    SMTP_CLIENT_FAILED, /* the connection is of no use any more; `err` says why */
};

struct smtp_client_event {
    enum smtp_client_kind kind;
    const struct smtp_reply *reply; /* for the _REPLY kinds; until the next feed */
    bool is_last;                   /* for DOT_REPLY: no other follows */
    /* For DOT_REPLY: a refusal that came before the dot had left, in IN_DATA too.  It is the only
     * one, with LMTP for all recipients, and the connection is of no use any more. */
    bool is_early;
    const struct err *err; /* for FAILED; as long as the client */
};

enum smtp_client_await {
    SMTP_CLIENT_AWAIT_GREETING,
    SMTP_CLIENT_AWAIT_EHLO,
    SMTP_CLIENT_AWAIT_HELO,
    SMTP_CLIENT_AWAIT_STARTTLS,
    SMTP_CLIENT_AWAIT_MAIL,
    SMTP_CLIENT_AWAIT_RCPT,
    SMTP_CLIENT_AWAIT_DATA,
    SMTP_CLIENT_AWAIT_DOT,
    SMTP_CLIENT_AWAIT_RSET,
    SMTP_CLIENT_AWAIT_QUIT,
    SMTP_CLIENT_AWAITS
};

struct smtp_client {
    struct smtp_client_options options;
    enum smtp_client_state state;
    unsigned caps;     /* enum smtp_client_caps */
    uint64_t size_max; /* 0: no limit known */
    struct smtp_reply_parser parser;
    struct smtp_reply reply;
    bool is_secure;   /* behind a handshake */
    bool is_injected; /* somebody spoke in the clear behind the answer to STARTTLS */
    bool is_early;    /* the reply that is being read began ahead of the dot */
    bool is_cut;      /* a reply went over a limit: where the next one begins is not known */
    bool is_stuck;    /* see smtp_client_stuck() */
    /* Awaited replies, oldest first, in a ring: the first n_flushed have left, the first n_given
     * are in output at least, the commands of the others wait for PIPELINING or their turn. */
    struct smtp_client_pending {
        enum smtp_client_await what;
        size_t n; /* bytes of the command */
    } pending[SMTP_CLIENT_PENDING_MAX];
    size_t pending_first, n_pending, n_given, n_flushed;
    size_t n_rcpts;      /* of this transaction, asked and not refused */
    size_t n_accepted;   /* recipients of this transaction; with LMTP each answers the dot */
    struct buf commands; /* not given yet, in the order of `pending` */
    struct buf output;   /* to be written now */
    struct buf content;  /* encoded content, held until 354 */
    struct err err;
};

void smtp_client_init(struct smtp_client *c, const struct smtp_client_options *options);
void smtp_client_fini(struct smtp_client *c);

enum smtp_client_kind smtp_client_feed(
    struct smtp_client *c, struct slice in, size_t *used_out, struct smtp_client_event *out);
/* The handshake is done: everything learned before it is forgotten. */
void smtp_client_secured(struct smtp_client *c);

/* Each gives a command; -1 when too many are pending.  `sender` and `rcpt` come without brackets
 * (the null sender is empty) and hold no CR, LF, NUL, "<" or ">": -1 otherwise.  size 0: not
 * declared.  SIZE and BODY are left out when the server does not offer them. */
int smtp_client_mail(
    struct smtp_client *c, struct slice sender, uint64_t size, bool is_8bit) ATTR_WUR;
int smtp_client_rcpt(struct smtp_client *c, struct slice rcpt) ATTR_WUR;
int smtp_client_data(struct smtp_client *c) ATTR_WUR;
int smtp_client_rset(struct smtp_client *c) ATTR_WUR;
int smtp_client_quit(struct smtp_client *c) ATTR_WUR;

/* Where encoded content is put; allowed from smtp_client_data() to smtp_client_dot(). */
struct buf *smtp_client_content(struct smtp_client *c);
/* Ends the content, which ended with CRLF.  Allowed in IN_DATA only, so that the caller passes the
 * 354 first: from here on a lost connection may mean a delivered message. */
int smtp_client_dot(struct smtp_client *c) ATTR_WUR;

/* What to write now; smtp_client_sent() tells how much of it was taken over. */
struct slice smtp_client_output(struct smtp_client *c);
void smtp_client_sent(struct smtp_client *c, size_t n);
/* For an owner who buffers: something that was taken over has not left, or never will.  To be told
 * before each feed. */
void smtp_client_stuck(struct smtp_client *c, bool is_stuck);

bool smtp_client_is_idle(const struct smtp_client *c); /* open and nothing is awaited */
const char *smtp_client_state_name(enum smtp_client_state state);

#endif
