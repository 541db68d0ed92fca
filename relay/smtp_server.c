/* SPDX-License-Identifier: ISC */
/*
 * smtp_server: the dialogue of an SMTP or LMTP server (RFC 5321, 2033, 2920, 1870, 3207, 2034);
 * its commands are in smtp_server_commands.c.
 *
 * Content that cannot be passed on (bare CR, NUL, bare LF where refused, too big) turns the state
 * to DISCARD: the owner hears of it at once, the client behind the end, because it listens only
 * there. Where line ends are not to be trusted the session ends too, so that nothing hidden behind
 * a doubtful end of data is ever read as a command.
 */
#include "relay/smtp_server_parts.h"

static const char *const state_names[] = {
    "start", "hello", "idle", "envelope", "data", "discard", "tls", "closed"};
_Static_assert(
    sizeof(state_names) / sizeof(*state_names) == SMTP_SERVER_STATES, "a name for each state");

const char *smtp_server_state_name(enum smtp_server_state state)
{
    return state_names[state];
}

bool smtp_server_is_between(const struct smtp_server *s)
{
    return s->state <= SMTP_SERVER_IDLE && s->asked == SMTP_SERVER_MORE;
}

/* --- Saying things --------------------------------------------------------------------------- */

void smtp_server_put(struct smtp_server *s, const struct answer *a)
{
    if (answer_format(a, &s->output) != 0)
        BUG("an answer fits into the output");
}

void smtp_server_say(struct smtp_server *s, int code, const char *enhanced, const char *text)
{
    struct answer a;

    answer_set(&a, code, enhanced, "%s", text);
    smtp_server_put(s, &a);
}

void smtp_server_close(struct smtp_server *s, const struct answer *a)
{
    if (s->state == SMTP_SERVER_CLOSED)
        return;
    smtp_server_put(s, a);
    s->state = SMTP_SERVER_CLOSED;
    s->asked = SMTP_SERVER_MORE;
    s->cause = *a;
    s->is_for_cause = true;
}

void smtp_server_close_with(struct smtp_server *s, int code, const char *enhanced, const char *text)
{
    struct answer a;

    answer_set(&a, code, enhanced, "%s", text);
    smtp_server_close(s, &a);
}

bool smtp_server_is_one_error_too_many(struct smtp_server *s)
{
    if (s->n_errors++ < s->options.errors_max)
        return false;
    smtp_server_close_with(s, 421, "4.7.0", "too many errors");
    return true;
}

void smtp_server_say_error(struct smtp_server *s, const struct answer *a)
{
    if (!smtp_server_is_one_error_too_many(s))
        smtp_server_put(s, a);
}

void smtp_server_error(struct smtp_server *s, int code, const char *enhanced, const char *text)
{
    struct answer a;

    answer_set(&a, code, enhanced, "%s", text);
    smtp_server_say_error(s, &a);
}

void smtp_server_end_transaction(struct smtp_server *s)
{
    s->state = SMTP_SERVER_IDLE;
    s->n_rcpts = 0;
    s->n_answers = 0;
    s->n_content = 0;
    s->has_end = false;
}

/* --- Content --------------------------------------------------------------------------------- */

/* So far, of what makes the end of a message doubtful: enum data_fault. */
static unsigned doubts(const struct smtp_server *s)
{
    return s->options.bare_lf == CONF_BARE_LF_NORMALISE
               ? s->decoder.faults & ~(unsigned)DATA_BARE_LF
               : s->decoder.faults;
}

static bool is_spoiled(struct smtp_server *s)
{
    unsigned faults = doubts(s);

    if (faults != 0)
        answer_set(&s->cause, 550, "5.6.11", "the message holds %s",
            faults & DATA_NUL       ? "NUL bytes"
            : faults & DATA_BARE_CR ? "a CR without LF"
                                    : "an LF without CR");
    else if (s->n_content > s->options.size_max)
        answer_set(&s->cause, 552, "5.3.4", "the message is too big");
    else
        return false;
    return true;
}

static enum smtp_server_kind feed_data(
    struct smtp_server *s, struct slice in, size_t *used_out, struct smtp_server_event *out)
{
    if (s->has_end) {
        s->has_end = false;
        s->n_answers = s->options.is_lmtp ? s->n_rcpts : 1;
        return smtp_server_ask(s, SMTP_SERVER_END);
    }
    if (in.n == 0)
        return SMTP_SERVER_MORE;
    buf_clear(s->content);
    switch (data_decode(
        &s->decoder, slice_sub(in, 0, SMTP_SERVER_CONTENT_STEP), used_out, s->content)) {
    case PARSE_DONE:
        s->has_end = true;
        break;
    case PARSE_MORE:
        break;
    case PARSE_BAD:
        BUG("the scratch buffer holds a step");
    }
    s->n_content += s->content->n;
    if (is_spoiled(s)) {
        s->state = SMTP_SERVER_DISCARD;
        out->answer = &s->cause;
        return SMTP_SERVER_SPOILED;
    }
    out->content = buf_slice(s->content);
    return out->content.n > 0 ? SMTP_SERVER_CONTENT : SMTP_SERVER_MORE;
}

/* Reads on to the end of a spoiled message, for as many bytes as a message may have. */
static enum smtp_server_kind feed_discard(struct smtp_server *s, struct slice in, size_t *used_out)
{
    uint32_t i, n = s->options.is_lmtp ? s->n_rcpts : 1;

    if (!s->has_end && in.n > 0) {
        buf_clear(s->content);
        if (data_decode(&s->decoder, slice_sub(in, 0, SMTP_SERVER_CONTENT_STEP), used_out,
                s->content) == PARSE_DONE)
            s->has_end = true;
        s->n_content += s->content->n;
    }
    if (!s->has_end && s->n_content / 2 <= s->options.size_max)
        return SMTP_SERVER_MORE;
    /* A doubt in what was thrown away counts too. */
    if (!s->has_end || doubts(s) != 0) {
        for (i = 1; i < n; i++)
            smtp_server_put(s, &s->cause);
        smtp_server_close_with(s, s->cause.code, s->cause.enhanced, s->cause.text);
        return SMTP_SERVER_MORE;
    }
    smtp_server_end_transaction(s);
    for (i = 0; i < n; i++)
        smtp_server_put(s, &s->cause);
    if (s->n_errors++ >= s->options.errors_max)
        smtp_server_close_with(s, 421, "4.7.0", "too many errors");
    return SMTP_SERVER_MORE;
}

/* --- From outside ---------------------------------------------------------------------------- */

static enum smtp_server_kind feed_some(
    struct smtp_server *s, struct slice in, size_t *used_out, struct smtp_server_event *out)
{
    switch (s->state) {
    case SMTP_SERVER_START:
        if (in.n > 0)
            smtp_server_close_with(s, 554, "5.5.1", "you spoke before the greeting");
        return SMTP_SERVER_MORE;
    case SMTP_SERVER_HELLO:
    case SMTP_SERVER_IDLE:
    case SMTP_SERVER_ENVELOPE:
        return smtp_server_feed_command(s, in, used_out);
    case SMTP_SERVER_DATA:
        return feed_data(s, in, used_out, out);
    case SMTP_SERVER_DISCARD:
        return feed_discard(s, in, used_out);
    case SMTP_SERVER_TLS:
    case SMTP_SERVER_CLOSED:
        break;
    case SMTP_SERVER_STATES:
        BUG("no such state");
    }
    return SMTP_SERVER_MORE;
}

enum smtp_server_kind smtp_server_feed(
    struct smtp_server *s, struct slice in, size_t *used_out, struct smtp_server_event *out)
{
    size_t total = 0, used;

    *out = (struct smtp_server_event){.kind = SMTP_SERVER_MORE};
    do {
        enum smtp_server_state before = s->state;
        bool had_end = s->has_end;
        if (s->state == SMTP_SERVER_CLOSED || s->asked != SMTP_SERVER_MORE)
            break;
        used = 0;
        out->kind = feed_some(s, slice_from(in, total), &used, out);
        total += used;
        /* A state that changed by itself, or a message that ended, goes on without new bytes. */
        if (used == 0 && s->state == before && s->has_end == had_end)
            break;
    } while (out->kind == SMTP_SERVER_MORE && s->output.n < SMTP_SERVER_OUTPUT_MAX / 2);
    *used_out = total;
    if (out->kind == SMTP_SERVER_MORE && s->state == SMTP_SERVER_CLOSED) {
        *used_out = in.n;
        if (!s->was_close_told) {
            s->was_close_told = true;
            out->kind = SMTP_SERVER_CLOSE;
            out->answer = s->is_for_cause ? &s->cause : NULL;
        }
    }
    out->command = &s->command;
    return out->kind;
}

void smtp_server_greet(struct smtp_server *s, const struct answer *refusal)
{
    if (refusal) {
        smtp_server_close(s, refusal);
        return;
    }
    if (buf_addf(&s->output, "220 %s %s coexist\r\n", s->options.hostname,
            s->options.is_lmtp ? "LMTP" : "ESMTP") != 0)
        BUG("the greeting fits into the output");
    s->state = SMTP_SERVER_HELLO;
}

void smtp_server_answer(struct smtp_server *s, const struct answer *a)
{
    enum smtp_server_kind asked = s->asked;

    if (s->state == SMTP_SERVER_CLOSED)
        return;
    BUG_ON(asked == SMTP_SERVER_MORE);
    if (asked == SMTP_SERVER_END) {
        smtp_server_put(s, a);
        if (answer_is_positive(a))
            s->n_errors = s->n_idle_commands = 0;
        if (--s->n_answers > 0)
            return;
        s->asked = SMTP_SERVER_MORE;
        smtp_server_end_transaction(s);
        return;
    }
    s->asked = SMTP_SERVER_MORE;
    if (asked == SMTP_SERVER_GOT_DATA) {
        smtp_server_put(s, a);
        if (a->code != 354) {
            smtp_server_end_transaction(s);
            return;
        }
        s->state = SMTP_SERVER_DATA;
        data_decoder_init(&s->decoder);
        return;
    }
    if (a->code >= 500) {
        smtp_server_say_error(s, a);
        return;
    }
    smtp_server_put(s, a);
    if (!answer_is_positive(a))
        return;
    s->state = SMTP_SERVER_ENVELOPE;
    if (asked == SMTP_SERVER_GOT_RCPT)
        s->n_rcpts++;
}

void smtp_server_secured(struct smtp_server *s)
{
    BUG_ON(s->state != SMTP_SERVER_TLS);
    smtp_server_end_transaction(s);
    s->state = SMTP_SERVER_HELLO;
    s->is_secure = true;
    s->is_esmtp = false;
    s->hello[0] = '\0';
    s->n_idle_commands = 0;
}

void smtp_server_init(
    struct smtp_server *s, const struct smtp_server_options *options, struct buf *scratch)
{
    *s = (struct smtp_server){.options = *options, .content = scratch};
    /* LMTP may answer for all recipients at once. */
    buf_init(&s->output,
        SMTP_SERVER_OUTPUT_MAX + (size_t)options->recipients_max * SMTP_SERVER_ANSWER_MAX);
}

void smtp_server_fini(struct smtp_server *s)
{
    buf_fini(&s->output);
}
