/* SPDX-License-Identifier: ISC */
/*
 * smtp_client_replies: what an SMTP or LMTP client makes of the answers (RFC 5321, 2033, 2920,
 * 3207).
 *
 * Each command has one awaited reply in a ring; a reply that no command which has left can be the
 * cause of is a protocol error, so a server cannot answer ahead.  What arrives behind the 220 to
 * STARTTLS and before the handshake is taken for an injection (CVE-2021-38371 and its kin).
 *
 * A server may give a message up while its content is still being sent.  What it says then begins
 * before the dot has left, and is an answer to the message if it is 4xx or 5xx; a 2xx would stand
 * for half a message, and is a broken server.  In either case the rest of the content would be in
 * front of the next MAIL, so the connection has served.
 */
#include <sysexits.h>
#include "base/core/num.h"
#include "base/mail/smtp_client_parts.h"

/* For error texts: "the server ... to <this>". */
static const char *const await_names[] = {"the connection", "EHLO", "HELO", "STARTTLS", "MAIL",
    "RCPT", "DATA", "the end of the message", "RSET", "QUIT"};
_Static_assert(
    sizeof(await_names) / sizeof(*await_names) == SMTP_CLIENT_AWAITS, "a name for each command");

/* --- Ends ------------------------------------------------------------------------------------ */

static enum smtp_client_kind fail(struct smtp_client *c, struct smtp_client_event *out)
{
    c->state = SMTP_CLIENT_DEAD;
    out->kind = SMTP_CLIENT_FAILED;
    out->reply = NULL;
    out->err = &c->err;
    return out->kind;
}

static enum smtp_client_kind fail_reply(
    struct smtp_client *c, enum smtp_client_await what, struct smtp_client_event *out)
{
    char text[SMTP_REPLY_CLEAN_MAX];

    smtp_reply_clean(c->reply.text, text);
    err_set(&c->err, ERR_TEMP, EX_UNAVAILABLE, "the server answered %s with %d %s",
        await_names[what], c->reply.code, text);
    return fail(c, out);
}

/* One keyword line of the answer to EHLO (RFC 5321 4.1.1.1).  Each is looked at as it ends: of a
 * long answer only the head is kept. */
static void learn(struct smtp_client *c, struct slice line)
{
    static const struct {
        const char *keyword;
        unsigned cap;
    } table[] = {
        {"PIPELINING", SMTP_CLIENT_CAP_PIPELINING},
        {"SIZE", SMTP_CLIENT_CAP_SIZE},
        {"8BITMIME", SMTP_CLIENT_CAP_8BITMIME},
        {"STARTTLS", SMTP_CLIENT_CAP_STARTTLS},
    };
    struct slice keyword;
    size_t i;

    if (!slice_split(&line, ' ', &keyword))
        return;
    for (i = 0; i < sizeof(table) / sizeof(*table); i++) {
        if (!slice_eq_nocase(keyword, slice_str(table[i].keyword)))
            continue;
        if (table[i].cap == SMTP_CLIENT_CAP_PIPELINING && c->options.never_pipelines)
            continue;
        c->caps |= table[i].cap;
        if (table[i].cap == SMTP_CLIENT_CAP_SIZE &&
            num_u64(slice_trim(line), 0, UINT64_MAX, &c->size_max) != 0)
            c->size_max = 0;
    }
}

static enum smtp_client_kind ready(struct smtp_client *c, struct smtp_client_event *out)
{
    c->state = SMTP_CLIENT_OPEN;
    out->kind = SMTP_CLIENT_READY;
    out->reply = NULL;
    return out->kind;
}

/* Hello was answered well: STARTTLS, or ready. */
static enum smtp_client_kind after_hello(struct smtp_client *c, struct smtp_client_event *out)
{
    bool is_offered = (c->caps & SMTP_CLIENT_CAP_STARTTLS) != 0;

    if (c->is_secure)
        return ready(c, out);
    switch (smtp_tls_next(c->options.tls, is_offered ? SMTP_TLS_OFFERED : SMTP_TLS_NOT_OFFERED)) {
    case SMTP_TLS_GO_ON:
        return ready(c, out);
    case SMTP_TLS_ASK:
        c->state = SMTP_CLIENT_TLS_ASKED;
        if (smtp_client_command(c, SMTP_CLIENT_AWAIT_STARTTLS, "STARTTLS\r\n", SLICE_NONE, "") != 0)
            BUG("nothing is pending behind hello");
        return SMTP_CLIENT_MORE;
    case SMTP_TLS_FAIL:
        err_set(&c->err, ERR_TEMP, EX_UNAVAILABLE,
            "the server offers no STARTTLS, which its entry in the configuration demands");
        return fail(c, out);
    case SMTP_TLS_HANDSHAKE:
    case SMTP_TLS_AGAIN:
        break;
    }
    BUG("no answer to hello");
}

static enum smtp_client_kind hello_reply(
    struct smtp_client *c, enum smtp_client_await what, struct smtp_client_event *out)
{
    if (c->reply.code / 100 == 2) {
        if (what == SMTP_CLIENT_AWAIT_EHLO)
            c->caps |= SMTP_CLIENT_CAP_ESMTP;
        return after_hello(c, out);
    }
    /* Only a server that does not know EHLO is asked with HELO; one that has no time is not. */
    if (what == SMTP_CLIENT_AWAIT_EHLO && c->reply.code / 100 == 5 && !c->options.is_lmtp &&
        (c->is_secure || smtp_tls_next(c->options.tls, SMTP_TLS_NOT_OFFERED) == SMTP_TLS_GO_ON)) {
        smtp_client_hello(c, false);
        return SMTP_CLIENT_MORE;
    }
    return fail_reply(c, what, out);
}

static enum smtp_client_kind starttls_reply(
    struct smtp_client *c, struct slice behind, struct smtp_client_event *out)
{
    if (c->reply.code != 220) {
        if (c->reply.code / 100 >= 4 &&
            smtp_tls_next(c->options.tls, SMTP_TLS_REFUSED) == SMTP_TLS_GO_ON)
            return ready(c, out);
        return fail_reply(c, SMTP_CLIENT_AWAIT_STARTTLS, out);
    }
    if (behind.n > 0) {
        c->is_injected = true;
        err_set(&c->err, ERR_PEER, EX_PROTOCOL,
            "plain text follows the answer to STARTTLS: somebody may be injecting replies");
        return fail(c, out);
    }
    c->state = SMTP_CLIENT_TLS_HANDSHAKE;
    out->kind = SMTP_CLIENT_STARTTLS;
    out->reply = NULL;
    return out->kind;
}

void smtp_client_secured(struct smtp_client *c)
{
    BUG_ON(c->state != SMTP_CLIENT_TLS_HANDSHAKE);
    c->is_secure = true;
    smtp_reply_init(&c->parser);
    smtp_client_hello(c, true);
}

static enum smtp_client_kind mail_reply(
    struct smtp_client *c, enum smtp_client_await what, struct smtp_client_event *out)
{
    int class = c->reply.code / 100;

    if (class == 3)
        return fail_reply(c, what, out);
    if (what == SMTP_CLIENT_AWAIT_RCPT) {
        if (class == 2)
            c->n_accepted++;
        else
            c->n_rcpts--;
    }
    out->kind = what == SMTP_CLIENT_AWAIT_MAIL ? SMTP_CLIENT_MAIL_REPLY : SMTP_CLIENT_RCPT_REPLY;
    return out->kind;
}

static enum smtp_client_kind data_reply(struct smtp_client *c, struct smtp_client_event *out)
{
    /* 354 without an accepted recipient would be content for nobody. */
    if (c->reply.code == 354 ? c->n_accepted == 0 : c->reply.code / 100 < 4)
        return fail_reply(c, SMTP_CLIENT_AWAIT_DATA, out);
    c->state = c->reply.code == 354 ? SMTP_CLIENT_IN_DATA : SMTP_CLIENT_OPEN;
    if (c->state == SMTP_CLIENT_OPEN)
        buf_clear(&c->content);
    out->kind = SMTP_CLIENT_DATA_REPLY;
    return out->kind;
}

static enum smtp_client_kind dot_reply(struct smtp_client *c, struct smtp_client_event *out)
{
    if (c->reply.code / 100 == 3)
        return fail_reply(c, SMTP_CLIENT_AWAIT_DOT, out);
    out->is_last = c->n_pending == 0;
    if (out->is_last)
        c->state = c->reply.code == 421 || c->is_cut ? SMTP_CLIENT_DEAD : SMTP_CLIENT_OPEN;
    out->kind = SMTP_CLIENT_DOT_REPLY;
    return out->kind;
}

static enum smtp_client_kind got_reply(
    struct smtp_client *c, struct slice behind, struct smtp_client_event *out)
{
    enum smtp_client_await what;

    what = c->pending[c->pending_first].what;
    c->pending_first = (c->pending_first + 1) % SMTP_CLIENT_PENDING_MAX;
    c->n_pending--;
    c->n_given--;
    c->n_flushed--;
    smtp_client_give(c);
    out->reply = &c->reply;
    /* 421 is an answer to the dot, and the end of everything else. */
    if (c->reply.code == 421 && what != SMTP_CLIENT_AWAIT_DOT && what != SMTP_CLIENT_AWAIT_QUIT)
        return fail_reply(c, what, out);
    switch (what) {
    case SMTP_CLIENT_AWAIT_GREETING:
        if (c->reply.code != 220)
            return fail_reply(c, what, out);
        smtp_client_hello(c, true);
        return SMTP_CLIENT_MORE;
    case SMTP_CLIENT_AWAIT_EHLO:
    case SMTP_CLIENT_AWAIT_HELO:
        return hello_reply(c, what, out);
    case SMTP_CLIENT_AWAIT_STARTTLS:
        return starttls_reply(c, behind, out);
    case SMTP_CLIENT_AWAIT_MAIL:
    case SMTP_CLIENT_AWAIT_RCPT:
        return mail_reply(c, what, out);
    case SMTP_CLIENT_AWAIT_DATA:
        return data_reply(c, out);
    case SMTP_CLIENT_AWAIT_DOT:
        return dot_reply(c, out);
    case SMTP_CLIENT_AWAIT_RSET:
        if (c->reply.code / 100 != 2)
            return fail_reply(c, what, out);
        out->kind = SMTP_CLIENT_RSET_REPLY;
        return out->kind;
    case SMTP_CLIENT_AWAIT_QUIT:
        c->state = SMTP_CLIENT_DEAD;
        out->kind = SMTP_CLIENT_QUIT_REPLY;
        return out->kind;
    case SMTP_CLIENT_AWAITS:
        break;
    }
    BUG("a reply to no command");
}

/* Bytes that no command which has left can be the cause of. */
static enum smtp_client_kind fail_unasked(
    struct smtp_client *c, struct slice bytes, struct smtp_client_event *out)
{
    char text[SMTP_REPLY_CLEAN_MAX];

    smtp_reply_clean(bytes, text);
    if (slice_starts(bytes, SLICE_LIT("421")))
        err_set(&c->err, ERR_TEMP, EX_UNAVAILABLE, "the server closes: %s", text);
    else
        err_set(&c->err, ERR_PEER, EX_PROTOCOL,
            "the server sent a reply that nothing asked for: %s", text);
    return fail(c, out);
}

/* Content is being sent, or its end waits to leave: no answer to it can have been caused. */
static bool is_ahead_of_the_dot(const struct smtp_client *c)
{
    return c->state == SMTP_CLIENT_IN_DATA ||
           (c->state == SMTP_CLIENT_DOTTED && (c->n_flushed == 0 || c->is_stuck));
}

static enum smtp_client_kind early_reply(struct smtp_client *c, struct smtp_client_event *out)
{
    char text[SMTP_REPLY_CLEAN_MAX];

    if (c->reply.code / 100 < 4) {
        smtp_reply_clean(c->reply.text, text);
        err_set(&c->err, ERR_PEER, EX_PROTOCOL,
            "the server answered before it had the message: %d %s", c->reply.code, text);
        return fail(c, out);
    }
    c->state = SMTP_CLIENT_DEAD;
    *out = (struct smtp_client_event){
        .kind = SMTP_CLIENT_DOT_REPLY, .reply = &c->reply, .is_last = true, .is_early = true};
    return out->kind;
}

/* A reply beyond the limits.  To the dot it counts all the same: whatever else we did would bring
 * the message a second time, or keep a refused one. */
static enum smtp_client_kind bad_reply(
    struct smtp_client *c, struct slice behind, struct smtp_client_event *out)
{
    if (c->state == SMTP_CLIENT_DOTTED && c->reply.code != 0) {
        c->is_cut = true;
        return c->is_early ? early_reply(c, out) : got_reply(c, behind, out);
    }
    err_set(&c->err, ERR_PEER, EX_PROTOCOL, "the server sent something that is no reply");
    return fail(c, out);
}

static void look_at_line(struct smtp_client *c)
{
    if (c->reply.line.p != NULL && c->reply.n_lines > 1 && c->n_pending > 0 &&
        c->pending[c->pending_first].what == SMTP_CLIENT_AWAIT_EHLO)
        learn(c, c->reply.line);
}

enum smtp_client_kind smtp_client_feed(
    struct smtp_client *c, struct slice in, size_t *used_out, struct smtp_client_event *out)
{
    size_t total = 0;

    *out = (struct smtp_client_event){.kind = SMTP_CLIENT_MORE};
    *used_out = 0;
    if (c->state == SMTP_CLIENT_DEAD) {
        *used_out = in.n;
        return SMTP_CLIENT_MORE;
    }
    while (out->kind == SMTP_CLIENT_MORE && total < in.n) {
        size_t used = 0;
        struct slice rest = slice_from(in, total);
        enum parse parsed;

        if (smtp_reply_is_between(&c->parser))
            c->is_early = is_ahead_of_the_dot(c);
        if (c->is_cut || (c->n_flushed == 0 && !c->is_early)) {
            *used_out = in.n;
            return fail_unasked(c, rest, out);
        }
        parsed = smtp_reply_feed(&c->parser, rest, &used, &c->reply);
        total += used;
        *used_out = total;
        look_at_line(c);
        if (parsed == PARSE_BAD)
            bad_reply(c, slice_from(in, total), out);
        else if (parsed == PARSE_DONE && c->is_early)
            early_reply(c, out);
        else if (parsed == PARSE_DONE)
            got_reply(c, slice_from(in, total), out);
    }
    return out->kind;
}
