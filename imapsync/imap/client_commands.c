/* SPDX-License-Identifier: ISC */
/*
 * client_commands: what goes out: tags, the queue of commands, literals.
 *
 * A synchronising literal puts a wait into the output (out.h) behind its header: bytes beyond it
 * are not offered until the "+" has come.  When the command is refused there instead, its remaining
 * bytes are cut out and what was queued behind it goes on; a command that is still being composed
 * becomes a command whose bytes go nowhere.
 */
#include <stdarg.h>
#include <sysexits.h>

#include "imapsync/imap/client_parts.h"

static struct command *newest(struct imap_client *c)
{
    return imap_client_at(c, c->n_commands - 1);
}

/* The one that is being composed; NULL: it has its answer already. */
static struct command *composed(struct imap_client *c)
{
    return c->n_commands > 0 && newest(c)->tag == c->last_tag ? newest(c) : NULL;
}

static void emit(struct imap_client *c, struct slice s)
{
    BUG_ON(!c->is_composing);
    struct command *cmd = composed(c);
    if (cmd)
        imap_verb_add(&cmd->verb, s);
    if (!c->is_muted)
        imap_out_add(&c->out, s);
}

struct slice imap_client_out(const struct imap_client *c)
{
    return imap_out_ready(&c->out);
}

void imap_client_sent(struct imap_client *c, size_t n)
{
    imap_out_sent(&c->out, n);
}

size_t imap_client_unsent(const struct imap_client *c)
{
    return c->out.bytes.n;
}

bool imap_cmd_is_full(const struct imap_client *c)
{
    return imap_out_is_full(&c->out);
}

int imap_client_check(const struct imap_client *c, struct err *err)
{
    if (!c->out.is_overrun)
        return 0;
    err_set(err, ERR_PEER, EX_PROTOCOL, "the server takes less than has to be sent at a time");
    return err_scope_set(err, ERR_SCOPE_HOST);
}

bool imap_client_may_send(const struct imap_client *c)
{
    return c->allowed > 0 && imap_client_has_room(c);
}

void imap_client_allow(struct imap_client *c, uint64_t n)
{
    uint64_t ahead = n < c->ahead ? n : c->ahead;
    c->ahead -= ahead;
    c->allowed = n == UINT64_MAX ? n : n - ahead;
}

uint64_t imap_client_allowed(const struct imap_client *c)
{
    return c->allowed;
}

bool imap_client_has_room(const struct imap_client *c)
{
    return c->n_commands < IMAP_PIPELINE_MAX && !c->is_exclusive && !c->is_composing &&
           !c->is_closed && !imap_out_is_full(&c->out);
}

void imap_cmd_begin(struct imap_client *c, imap_done_fn *done, void *arg)
{
    BUG_ON(c->n_commands == COMMANDS_MAX || c->is_exclusive || c->is_composing);
    c->is_composing = true;
    c->is_muted = c->is_closed;
    if (c->allowed == 0)
        c->ahead++;
    else if (c->allowed != UINT64_MAX)
        c->allowed--;
    struct command *cmd = imap_client_at(c, c->n_commands++);
    *cmd = (struct command){
        .tag = ++c->last_tag, .start = imap_out_end(&c->out), .done = done, .arg = arg};
    imap_cmd_f(c, "c%u ", cmd->tag);
    cmd->verb = (struct imap_verb){0};
}

void imap_cmd_text(struct imap_client *c, const char *text)
{
    emit(c, slice_str(text));
}

void imap_cmd_f(struct imap_client *c, const char *fmt, ...)
{
    BUG_ON(!c->is_composing);
    size_t before = c->out.bytes.n;
    if (c->is_muted)
        return;
    va_list ap;
    va_start(ap, fmt);
    imap_out_addf(&c->out, fmt, ap);
    va_end(ap);
    struct command *cmd = composed(c);
    if (cmd)
        imap_verb_add(&cmd->verb, slice_from(buf_slice(&c->out.bytes), before));
}

void imap_cmd_literal(struct imap_client *c, uint64_t size)
{
    bool is_small = size <= (c->limits.append > 0 ? c->limits.append : IMAP_FREE_LITERAL_MAX);
    bool is_free = (imap_client_has(c, IMAP_CAP_LITERAL_PLUS) && is_small) ||
                   (imap_client_has(c, IMAP_CAP_LITERAL_MINUS) && size <= 4096);
    imap_cmd_f(c, "{%llu%s}\r\n", (unsigned long long)size, is_free ? "+" : "");
    if (is_free || c->is_muted)
        return;
    imap_out_wait(&c->out, c->last_tag);
}

void imap_cmd_literal_utf8(struct imap_client *c, uint64_t size)
{
    imap_cmd_text(c, "UTF8 (~");
    imap_cmd_literal(c, size);
}

void imap_cmd_octets(struct imap_client *c, struct slice octets)
{
    emit(c, octets);
}

void imap_cmd_astring(struct imap_client *c, struct slice s)
{
    bool can_quote = true;
    for (size_t i = 0; i < s.n; i++)
        can_quote = can_quote && ascii_is_print(s.p[i]);
    if (!can_quote) {
        imap_cmd_literal(c, s.n);
        imap_cmd_octets(c, s);
        return;
    }
    imap_cmd_text(c, "\"");
    size_t from = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '"' && s.p[i] != '\\')
            continue;
        emit(c, slice_sub(s, from, i - from));
        imap_cmd_text(c, "\\");
        from = i;
    }
    emit(c, slice_from(s, from));
    imap_cmd_text(c, "\"");
}

void imap_client_hide(struct imap_client *c, struct slice secret)
{
    imap_secrets_add(&c->secrets, secret);
}

bool imap_client_hides(const struct imap_client *c, struct slice text)
{
    return imap_secrets_are_in(&c->secrets, text);
}

/* One line of a SASL exchange; shorter ones are "" and "*". */
static void hide_line(struct imap_client *c, const char *text)
{
    if (slice_str(text).n >= 4)
        imap_secrets_add(&c->secrets, slice_str(text));
}

void imap_cmd_end(struct imap_client *c)
{
    imap_cmd_text(c, "\r\n");
    c->is_composing = false;
    c->is_muted = false;
    struct command *cmd = composed(c);
    if (cmd)
        cmd->end = imap_out_end(&c->out);
}

bool imap_cmd_is_over(const struct imap_client *c)
{
    return c->is_composing &&
           (c->n_commands == 0 ||
               c->commands[imap_client_slot(c, c->n_commands - 1)].tag != c->last_tag);
}

void imap_cmd_starttls(struct imap_client *c, imap_done_fn *done, void *arg)
{
    imap_cmd_begin(c, done, arg);
    newest(c)->is_starttls = true;
    imap_cmd_text(c, "STARTTLS");
    imap_cmd_end(c);
    c->is_exclusive = true;
}

void imap_cmd_compress(struct imap_client *c, imap_done_fn *done, void *arg)
{
    imap_cmd_begin(c, done, arg);
    newest(c)->is_compress = true;
    imap_cmd_text(c, "COMPRESS DEFLATE");
    imap_cmd_end(c);
    c->is_exclusive = true;
}

void imap_cmd_authenticate(struct imap_client *c, const char *mechanism, const char *initial,
    void (*challenge)(void *arg, struct slice text), imap_done_fn *done, void *arg)
{
    imap_cmd_begin(c, done, arg);
    newest(c)->challenge = challenge;
    imap_cmd_f(c, "AUTHENTICATE %s", mechanism);
    if (initial) {
        imap_cmd_text(c, " ");
        imap_cmd_text(c, initial);
        hide_line(c, initial);
    }
    imap_cmd_end(c);
    c->is_exclusive = true;
}

void imap_cmd_line(struct imap_client *c, const char *text)
{
    hide_line(c, text);
    imap_out_add(&c->out, slice_str(text));
    imap_out_add(&c->out, SLICE_LIT("\r\n"));
}
