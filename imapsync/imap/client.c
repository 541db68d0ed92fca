/* SPDX-License-Identifier: ISC */
/*
 * client: what has come: the greeting, capabilities, tagged answers, continuations.
 *
 * Before TLS nothing but the greeting, capabilities and tagged answers has an effect, and
 * imap_client_secured() forgets those as well.  Bytes behind the OK to STARTTLS were sent by
 * someone who can write into the plain connection, so they end it.
 *
 * Known weakness: RFC 9051 5.5 ambiguities of pipelining are the caller's to avoid; our callers
 * only pipeline commands that cannot disturb each other.
 */
#include <stdlib.h>
#include <sysexits.h>

#include "base/core/mem.h"
#include "base/core/num.h"
#include "imapsync/imap/client_parts.h"
#include "imapsync/imap/fault.h"

struct imap_client *imap_client_new(void)
{
    struct imap_client *c = mem_zalloc(sizeof(*c));
    c->allowed = UINT64_MAX;
    imap_frame_init(&c->frame);
    imap_out_init(&c->out);
    imap_secrets_init(&c->secrets);
    return c;
}

void imap_client_free(struct imap_client **c)
{
    if (!*c)
        return;
    imap_client_cancel(*c);
    imap_frame_fini(&(*c)->frame);
    imap_out_fini(&(*c)->out);
    imap_secrets_fini(&(*c)->secrets);
    free(*c);
    *c = NULL;
}

void imap_client_events(struct imap_client *c, const struct imap_events *events, void *arg)
{
    c->events = events;
    c->arg = arg;
}

enum imap_session imap_client_session(const struct imap_client *c)
{
    return c->session;
}

bool imap_client_has(const struct imap_client *c, uint64_t caps)
{
    return (c->caps & ~c->without & caps) == caps;
}

void imap_client_do_without(struct imap_client *c, uint64_t caps)
{
    c->without |= caps;
}

struct slice imap_client_oldest(const struct imap_client *c)
{
    const struct imap_verb *v = &c->commands[c->first].verb;
    return c->n_commands > 0 ? slice_make(v->name, v->n) : SLICE_NONE;
}

struct imap_cap_limits imap_client_limits(const struct imap_client *c)
{
    return c->limits;
}

size_t imap_client_pending(const struct imap_client *c)
{
    return c->n_commands;
}

bool imap_client_is_owed(const struct imap_client *c)
{
    return c->session == IMAP_SESSION_GREETING || imap_out_ready(&c->out).n > 0 ||
           imap_out_is_held(&c->out) ||
           c->n_commands > (c->is_composing && !imap_cmd_is_over(c) ? 1u : 0u);
}

/* Asked for each line: what is said is mostly the oldest command's. */
bool imap_client_awaits(const struct imap_client *c, enum imap_kind kind)
{
    if (!imap_cause_exists(kind))
        return false;
    for (size_t i = 0; i < c->n_commands; i++) {
        const struct command *cmd = &c->commands[imap_client_slot(c, i)];
        if (cmd->start >= c->out.base)
            return false;
        if (cmd->verb.causes & 1u << kind)
            return true;
    }
    return false;
}

const char *imap_client_bye(const struct imap_client *c)
{
    return c->bye;
}

const char *imap_client_greeting(const struct imap_client *c)
{
    return c->greeting;
}

void imap_client_forget_caps(struct imap_client *c)
{
    c->caps = 0;
    c->limits = (struct imap_cap_limits){0};
}

bool imap_client_wants_tls(const struct imap_client *c)
{
    return c->wants_tls;
}

bool imap_client_wants_compress(struct imap_client *c, struct slice *rest_out)
{
    bool wants = c->wants_compress;
    *rest_out = c->rest;
    c->wants_compress = false;
    return wants;
}

void imap_client_secured(struct imap_client *c)
{
    c->wants_tls = false;
    imap_client_forget_caps(c);
    c->session = IMAP_SESSION_OPEN;
    c->bye[0] = '\0';
    imap_frame_reset(&c->frame);
}

struct command *imap_client_command(struct imap_client *c, uint32_t tag)
{
    if (c->n_commands == 0)
        return NULL;
    struct command *oldest = imap_client_at(c, 0);
    if (oldest->tag == tag)
        return oldest;
    for (size_t i = c->n_commands; i-- > 0;) {
        if (imap_client_at(c, i)->tag == tag)
            return imap_client_at(c, i);
    }
    return NULL;
}

/* --- Input --------------------------------------------------------------------- */

static void learn_caps(struct imap_client *c, struct slice list)
{
    c->caps = imap_caps_read(list, &c->limits);
}

static void note_bye(struct imap_client *c, struct slice text)
{
    imap_fault_text(text, c->bye, sizeof(c->bye));
    c->session = IMAP_SESSION_BYE;
}

static int peer_error(struct err *err, const char *what)
{
    err_set(err, ERR_PEER, EX_PROTOCOL, "the server broke the protocol: %s", what);
    return err_scope_set(err, ERR_SCOPE_HOST);
}

static void tell_odd(struct imap_client *c, const struct imap_response *r, bool is_kept)
{
    struct slice line = imap_frame_text(&c->frame);
    if (imap_secrets_are_in(&c->secrets, line))
        line = SLICE_LIT("(a line that repeats what was sent to sign in)");
    if (c->events && c->events->odd)
        c->events->odd(c->arg, r, is_kept, line);
}

/* Not while TLS is to begin: who can write into the plain connection would say such things. */
static int pass_over(
    struct imap_client *c, const struct imap_response *r, const char *what, struct err *err)
{
    if (c->is_exclusive && imap_client_at(c, 0)->is_starttls)
        return peer_error(err, what);
    tell_odd(c, r, false);
    return 0;
}

/* The refused command's remaining bytes leave the output; what was queued behind moves up. */
static void cut_refused(struct imap_client *c, const struct command *cmd)
{
    bool is_open = c->is_composing && cmd->tag == c->last_tag;
    uint64_t to = is_open ? imap_out_end(&c->out) : cmd->end;
    struct imap_cut cut;
    if (!imap_out_cut(&c->out, cmd->tag, to, &cut))
        return;
    if (is_open)
        c->is_muted = true;
    for (size_t i = 0; i < c->n_commands; i++) {
        struct command *o = imap_client_at(c, i);
        if (o->start >= to && o->tag != cmd->tag)
            o->start -= cut.n;
        if (o->end >= to)
            o->end -= cut.n;
    }
}

static void take_out(struct imap_client *c, const struct command *cmd)
{
    size_t i = 0;
    while (imap_client_at(c, i) != cmd)
        i++;
    for (; i > 0; i--)
        *imap_client_at(c, i) = *imap_client_at(c, i - 1);
    c->first = (c->first + 1) % COMMANDS_MAX;
    c->n_commands--;
}

static void finish(struct imap_client *c, struct command *cmd, const struct imap_response *r)
{
    struct command finished = *cmd;
    take_out(c, cmd);
    if (c->n_commands == 0)
        c->is_exclusive = false;
    c->wants_tls = finished.is_starttls && r->status == IMAP_STATUS_OK;
    c->wants_compress = finished.is_compress && r->status == IMAP_STATUS_OK;
    finished.done(finished.arg, r);
}

void imap_client_cancel(struct imap_client *c)
{
    const struct imap_response r = {.kind = IMAP_KIND_TAGGED,
        .status = IMAP_STATUS_CANCELLED,
        .text = SLICE_LIT("the connection ended before the answer")};
    c->is_closed = true;
    c->is_muted = true;
    while (c->n_commands > 0)
        finish(c, imap_client_at(c, 0), &r);
}

/* NULL: none that the server knows of. */
static struct command *command_of(struct imap_client *c, struct slice tag)
{
    uint32_t n = 0;
    struct command *cmd = NULL;
    if (tag.n > 1 && (tag.p[0] == 'c' || tag.p[0] == 'C') &&
        num_u32(slice_from(tag, 1), 1, UINT32_MAX, &n) == 0)
        cmd = imap_client_command(c, n);
    return cmd && cmd->start < c->out.base ? cmd : NULL;
}

static int on_tagged(struct imap_client *c, const struct imap_response *r, struct err *err)
{
    struct command *cmd = command_of(c, r->tag);
    if (!cmd)
        return pass_over(c, r, "an answer to a command that was not given", err);
    if (r->status == IMAP_STATUS_OK) {
        if (imap_out_has_waits(&c->out, cmd->tag))
            return peer_error(err, "OK to a command whose literal was not asked for");
        if (r->code.kind == IMAP_CODE_CAPABILITY)
            learn_caps(c, r->code.list);
    } else {
        cut_refused(c, cmd);
    }
    finish(c, cmd, r);
    return 0;
}

static int on_continue(struct imap_client *c, const struct imap_response *r, struct err *err)
{
    if (imap_out_is_held(&c->out)) {
        imap_out_go_on(&c->out);
        return 0;
    }
    /* Only an answer to something we have sent in full: a "+" to STARTTLS is an attack. */
    if (c->n_commands == 1 && imap_client_at(c, 0)->challenge && c->out.bytes.n == 0) {
        struct command *cmd = imap_client_at(c, 0);
        cmd->challenge(cmd->arg, r->text);
        return 0;
    }
    return pass_over(c, r, "a continuation that nothing waited for", err);
}

static int on_greeting(struct imap_client *c, const struct imap_response *r, struct err *err)
{
    if (r->kind != IMAP_KIND_STATUS)
        return peer_error(err, "no greeting");
    switch (r->status) {
    case IMAP_STATUS_OK:
        imap_fault_text(r->text, c->greeting, sizeof(c->greeting));
        c->session = IMAP_SESSION_OPEN;
        break;
    case IMAP_STATUS_PREAUTH:
        c->session = IMAP_SESSION_PREAUTH;
        break;
    case IMAP_STATUS_BYE:
        note_bye(c, r->text);
        return 0;
    case IMAP_STATUS_NO:
    case IMAP_STATUS_BAD:
        imap_fault_text(r->text, c->bye, sizeof(c->bye));
        err_set(err, ERR_TEMP, EX_TEMPFAIL, "the server turns us away: %s", c->bye);
        return err_scope_set(err, ERR_SCOPE_HOST);
    case IMAP_STATUS_CANCELLED:
        return peer_error(err, "no greeting");
    }
    if (r->code.kind == IMAP_CODE_CAPABILITY)
        learn_caps(c, r->code.list);
    return 0;
}

/* A short body may come as a quoted string; to the events it is a body like any other. */
static int quoted_body(struct imap_client *c, const struct imap_response *r, struct err *err)
{
    const struct imap_fetch_data *f = &r->fetch;
    struct buf text;
    buf_init(&text, IMAP_RESPONSE_MAX);
    int result = 0;
    if (imap_str_add(f->body, &text) != 0) {
        result = peer_error(err, "a body is too long");
    } else {
        c->events->body_begin(c->arg, f->has & IMAP_FETCH_UID ? f->uid : 0, text.n);
        if (text.n > 0)
            c->events->body_data(c->arg, buf_slice(&text));
        c->events->body_end(c->arg);
    }
    buf_fini(&text);
    return result;
}

static int on_response(struct imap_client *c, const struct imap_response *r, struct err *err)
{
    if (c->session == IMAP_SESSION_GREETING)
        return on_greeting(c, r, err);
    if (r->kind == IMAP_KIND_TAGGED)
        return on_tagged(c, r, err);
    if (r->kind == IMAP_KIND_CONTINUE)
        return on_continue(c, r, err);
    if (r->kind == IMAP_KIND_CAPABILITY)
        learn_caps(c, r->list);
    if (r->kind == IMAP_KIND_STATUS && r->code.kind == IMAP_CODE_CAPABILITY)
        learn_caps(c, r->code.list);
    if (r->kind == IMAP_KIND_STATUS && r->status == IMAP_STATUS_PREAUTH)
        return peer_error(err, "PREAUTH in the middle of a session");
    if (r->kind == IMAP_KIND_STATUS && r->status == IMAP_STATUS_BYE)
        note_bye(c, r->text);
    if (!c->events)
        return 0;
    if (r->kind == IMAP_KIND_FETCH && r->fetch.has & IMAP_FETCH_BODY && !r->fetch.body.is_nil &&
        !r->fetch.body.is_streamed && quoted_body(c, r, err) != 0)
        return -1;
    c->events->untagged(c->arg, r);
    return 0;
}

/* A line of which nothing can be used. */
static int on_unreadable(struct imap_client *c, struct imap_response *r, struct err *err)
{
    bool is_blank = slice_trim(imap_frame_text(&c->frame)).n == 0;
    if (c->session == IMAP_SESSION_GREETING && !is_blank)
        return peer_error(err, "no greeting");
    if (!command_of(c, r->tag)) {
        /* A word in front makes no tag. */
        r->kind = r->kind == IMAP_KIND_TAGGED ? IMAP_KIND_OTHER : r->kind;
        return pass_over(c, r, "a response that is not IMAP", err);
    }
    /* Its command is over, and nobody knows how: whoever depends on that looks, as behind a BAD. */
    tell_odd(c, r, true);
    r->status = IMAP_STATUS_BAD;
    r->code = (struct imap_code){0};
    r->text = SLICE_LIT("(an answer that cannot be read)");
    return on_tagged(c, r, err);
}

static int on_body_begin(struct imap_client *c, const struct imap_response *r, struct err *err)
{
    if (c->session == IMAP_SESSION_GREETING)
        return peer_error(err, "no greeting");
    c->skips_body = !(r->fetch.has & IMAP_FETCH_BODY) || !r->fetch.body.is_streamed;
    if (c->events && !c->skips_body)
        c->events->body_begin(
            c->arg, r->fetch.has & IMAP_FETCH_UID ? r->fetch.uid : 0, c->frame.streamed.size);
    return 0;
}

static int on_frame(
    struct imap_client *c, enum imap_frame_event e, struct slice octets, struct err *err)
{
    struct imap_response r;
    switch (e) {
    case IMAP_FRAME_MORE:
        return 0;
    case IMAP_FRAME_BAD:
        return peer_error(err, c->frame.why);
    case IMAP_FRAME_BODY_DATA:
        if (c->events && !c->skips_body)
            c->events->body_data(c->arg, octets);
        return 0;
    case IMAP_FRAME_BODY_END:
        if (c->events && !c->skips_body)
            c->events->body_end(c->arg);
        return 0;
    case IMAP_FRAME_BODY_BEGIN:
    case IMAP_FRAME_RESPONSE:
        break;
    }
    int parsed = imap_response_parse(imap_frame_text(&c->frame), c->frame.streamed, &r);
    if (e == IMAP_FRAME_BODY_BEGIN)
        return on_body_begin(c, &r, err);
    if (parsed != 0)
        return on_unreadable(c, &r, err);
    if (r.is_odd)
        tell_odd(c, &r, true);
    if (r.status != IMAP_STATUS_OK && imap_secrets_are_in(&c->secrets, r.text))
        r.text = SLICE_LIT("(a text that repeats what was sent to sign in)");
    return on_response(c, &r, err);
}

int imap_client_feed(struct imap_client *c, struct slice in, struct err *err)
{
    if (imap_client_check(c, err) != 0)
        return -1;
    c->rest = SLICE_NONE;
    while (in.n > 0) {
        if (c->wants_compress) {
            c->rest = in;
            return 0;
        }
        if (c->wants_tls)
            return peer_error(err, "bytes behind the answer to STARTTLS");
        size_t used;
        struct slice octets = SLICE_NONE;
        enum imap_frame_event e = imap_frame_feed(&c->frame, in, &used, &octets);
        in = slice_from(in, used);
        if (on_frame(c, e, octets, err) != 0)
            return -1;
    }
    return 0;
}
