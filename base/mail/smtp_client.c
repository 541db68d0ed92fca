/* SPDX-License-Identifier: ISC */
/*
 * smtp_client: what an SMTP or LMTP client says (RFC 5321, 2033, 2920, 1870, 6152); what it makes
 * of the answers is in smtp_client_replies.c.
 */
#include "base/mail/smtp_client_parts.h"

#include "base/core/num.h"

static const char *const state_names[] = {"greeting", "hello", "tls-asked", "tls-handshake", "open",
    "data-asked", "in-data", "dotted", "quitting", "dead"};
_Static_assert(
    sizeof(state_names) / sizeof(*state_names) == SMTP_CLIENT_STATES, "a name for each state");

const char *smtp_client_state_name(enum smtp_client_state state)
{
    return state_names[state];
}

/* --- Commands -------------------------------------------------------------------------------- */

void smtp_client_give(struct smtp_client *c)
{
    while (c->n_given < c->n_pending &&
           (c->n_given == 0 || (c->caps & SMTP_CLIENT_CAP_PIPELINING) != 0)) {
        size_t i = (c->pending_first + c->n_given) % SMTP_CLIENT_PENDING_MAX;
        size_t n = c->pending[i].n;
        if (buf_add(&c->output, slice_sub(buf_slice(&c->commands), 0, n)) != 0)
            BUG("the output holds every command");
        buf_consume(&c->commands, n);
        c->n_given++;
    }
}

static int await(struct smtp_client *c, enum smtp_client_await what, size_t n)
{
    size_t i = (c->pending_first + c->n_pending) % SMTP_CLIENT_PENDING_MAX;

    if (c->n_pending == SMTP_CLIENT_PENDING_MAX)
        return -1;
    c->pending[i] = (struct smtp_client_pending){.what = what, .n = n};
    c->n_pending++;
    return 0;
}

int smtp_client_command(struct smtp_client *c, enum smtp_client_await what, const char *verb,
    struct slice argument, const char *rest)
{
    size_t before = c->commands.n;

    if (c->n_pending == SMTP_CLIENT_PENDING_MAX || buf_add_str(&c->commands, verb) != 0 ||
        buf_add(&c->commands, argument) != 0 || buf_add_str(&c->commands, rest) != 0 ||
        await(c, what, c->commands.n - before) != 0) {
        buf_truncate(&c->commands, before);
        return -1;
    }
    smtp_client_give(c);
    return 0;
}

void smtp_client_hello(struct smtp_client *c, bool is_extended)
{
    const char *verb = c->options.is_lmtp ? "LHLO " : is_extended ? "EHLO " : "HELO ";

    c->state = SMTP_CLIENT_HELLO;
    c->caps = 0;
    c->size_max = 0;
    if (smtp_client_command(c, is_extended ? SMTP_CLIENT_AWAIT_EHLO : SMTP_CLIENT_AWAIT_HELO, verb,
            slice_str(c->options.hello_name), "\r\n") != 0)
        BUG("nothing is pending before hello");
}

/* What may stand between the brackets: no control or 8-bit byte, no bracket or blank outside
 * quotes. */
static bool path_is_clean(struct slice path)
{
    bool is_quoted = false;
    size_t i;

    if (path.n > SMTP_CLIENT_PATH_MAX)
        return false;
    for (i = 0; i < path.n; i++) {
        unsigned char ch = path.p[i];
        if (!ascii_is_print(ch))
            return false;
        if (ch == '\\' && is_quoted) {
            i++;
            if (i == path.n || !ascii_is_print(path.p[i]))
                return false;
        } else if (ch == '"') {
            is_quoted = !is_quoted;
        } else if (!is_quoted && (ch == '<' || ch == '>' || ch == ' ')) {
            return false;
        }
    }
    return !is_quoted;
}

int smtp_client_mail(struct smtp_client *c, struct slice sender, uint64_t size, bool is_8bit)
{
    char rest[64], size_text[32] = "";

    if (c->state != SMTP_CLIENT_OPEN || !path_is_clean(sender))
        return -1;
    if (size > 0 && (c->caps & SMTP_CLIENT_CAP_SIZE) != 0 &&
        fmt_into(size_text, sizeof(size_text), " SIZE=%llu", (unsigned long long)size) != 0)
        return -1;
    if (fmt_into(rest, sizeof(rest), ">%s%s\r\n", size_text,
            is_8bit && (c->caps & SMTP_CLIENT_CAP_8BITMIME) != 0 ? " BODY=8BITMIME" : "") != 0)
        return -1;
    c->n_rcpts = c->n_accepted = 0;
    return smtp_client_command(c, SMTP_CLIENT_AWAIT_MAIL, "MAIL FROM:<", sender, rest);
}

int smtp_client_rcpt(struct smtp_client *c, struct slice rcpt)
{
    if (c->state != SMTP_CLIENT_OPEN || rcpt.n == 0 || !path_is_clean(rcpt))
        return -1;
    if (c->options.is_lmtp && c->n_rcpts == SMTP_CLIENT_LMTP_RCPTS_MAX)
        return -1;
    if (smtp_client_command(c, SMTP_CLIENT_AWAIT_RCPT, "RCPT TO:<", rcpt, ">\r\n") != 0)
        return -1;
    c->n_rcpts++;
    return 0;
}

int smtp_client_data(struct smtp_client *c)
{
    if (c->state != SMTP_CLIENT_OPEN ||
        smtp_client_command(c, SMTP_CLIENT_AWAIT_DATA, "DATA\r\n", SLICE_NONE, "") != 0)
        return -1;
    c->state = SMTP_CLIENT_DATA_ASKED;
    return 0;
}

int smtp_client_rset(struct smtp_client *c)
{
    if (c->state != SMTP_CLIENT_OPEN)
        return -1;
    return smtp_client_command(c, SMTP_CLIENT_AWAIT_RSET, "RSET\r\n", SLICE_NONE, "");
}

int smtp_client_quit(struct smtp_client *c)
{
    if (c->state != SMTP_CLIENT_OPEN ||
        smtp_client_command(c, SMTP_CLIENT_AWAIT_QUIT, "QUIT\r\n", SLICE_NONE, "") != 0)
        return -1;
    c->state = SMTP_CLIENT_QUITTING;
    return 0;
}

struct buf *smtp_client_content(struct smtp_client *c)
{
    BUG_ON(c->state != SMTP_CLIENT_DATA_ASKED && c->state != SMTP_CLIENT_IN_DATA);
    return &c->content;
}

int smtp_client_dot(struct smtp_client *c)
{
    size_t i, n = c->options.is_lmtp ? c->n_accepted : 1;

    BUG_ON(c->state != SMTP_CLIENT_IN_DATA || n == 0 || c->n_pending != 0);
    if (buf_add_str(&c->content, ".\r\n") != 0)
        return -1;
    for (i = 0; i < n; i++)
        if (await(c, SMTP_CLIENT_AWAIT_DOT, 0) != 0)
            BUG("the ring holds all LMTP recipients");
    c->n_given = n;
    c->state = SMTP_CLIENT_DOTTED;
    return 0;
}

/* --- Output ---------------------------------------------------------------------------------- */

static bool content_may_leave(const struct smtp_client *c)
{
    return c->state == SMTP_CLIENT_IN_DATA || c->state == SMTP_CLIENT_DOTTED;
}

struct slice smtp_client_output(struct smtp_client *c)
{
    if (c->state == SMTP_CLIENT_DEAD)
        return SLICE_NONE;
    if (c->output.n > 0)
        return buf_slice(&c->output);
    return content_may_leave(c) ? buf_slice(&c->content) : SLICE_NONE;
}

void smtp_client_sent(struct smtp_client *c, size_t n)
{
    buf_consume(c->output.n > 0 ? &c->output : &c->content, n);
    if (c->output.n == 0 && (c->state != SMTP_CLIENT_DOTTED || c->content.n == 0))
        c->n_flushed = c->n_given;
}

void smtp_client_stuck(struct smtp_client *c, bool is_stuck)
{
    c->is_stuck = is_stuck;
}

/* --- Life ------------------------------------------------------------------------------------ */

void smtp_client_init(struct smtp_client *c, const struct smtp_client_options *options)
{
    *c = (struct smtp_client){.options = *options,
        .state = SMTP_CLIENT_GREETING,
        .is_secure = smtp_tls_next(options->tls, SMTP_TLS_CONNECTED) == SMTP_TLS_HANDSHAKE};
    smtp_reply_init(&c->parser);
    buf_init(&c->commands, SMTP_CLIENT_COMMANDS_MAX);
    buf_init(&c->output, SMTP_CLIENT_COMMANDS_MAX);
    buf_init(&c->content, SMTP_CLIENT_CONTENT_MAX);
    if (await(c, SMTP_CLIENT_AWAIT_GREETING, 0) != 0)
        BUG("the ring is empty");
    c->n_given = c->n_flushed = 1;
}

void smtp_client_fini(struct smtp_client *c)
{
    buf_fini(&c->commands);
    buf_fini(&c->output);
    buf_fini(&c->content);
    c->state = SMTP_CLIENT_DEAD;
}

bool smtp_client_is_idle(const struct smtp_client *c)
{
    return c->state == SMTP_CLIENT_OPEN && c->n_pending == 0;
}
