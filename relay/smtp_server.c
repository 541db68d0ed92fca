/* SPDX-License-Identifier: ISC */
/*
 * smtp_server: the dialogue of an SMTP or LMTP server (RFC 5321, 2033, 2920, 1870, 3207, 2034).
 *
 * Commands are one table: verb, the states in which it is allowed, the flags, the function.  The
 * engine answers by itself what needs no knowledge of mail (hello, NOOP, VRFY, sequence and syntax
 * errors, limits); the rest becomes an event.
 *
 * Content that cannot be passed on (bare CR, NUL, bare LF where refused, too big) turns the state
 * to DISCARD: the owner hears of it at once, the client behind the end, because it listens only
 * there. Where line ends are not to be trusted the session ends too, so that nothing hidden behind
 * a doubtful end of data is ever read as a command.
 */
#include "relay/smtp_server.h"

#include "base/core/err.h"

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

static void put(struct smtp_server *s, const struct answer *a)
{
    if (answer_format(a, &s->output) != 0)
        BUG("an answer fits into the output");
}

static void say(struct smtp_server *s, int code, const char *enhanced, const char *text)
{
    struct answer a;

    answer_set(&a, code, enhanced, "%s", text);
    put(s, &a);
}

void smtp_server_close(struct smtp_server *s, const struct answer *a)
{
    if (s->state == SMTP_SERVER_CLOSED)
        return;
    put(s, a);
    s->state = SMTP_SERVER_CLOSED;
    s->asked = SMTP_SERVER_MORE;
    s->cause = *a;
    s->is_for_cause = true;
}

static void close_with(struct smtp_server *s, int code, const char *enhanced, const char *text)
{
    struct answer a;

    answer_set(&a, code, enhanced, "%s", text);
    smtp_server_close(s, &a);
}

/* Counts an error; true when that was one too many and the session is over. */
static bool is_one_error_too_many(struct smtp_server *s)
{
    if (s->n_errors++ < s->options.errors_max)
        return false;
    close_with(s, 421, "4.7.0", "too many errors");
    return true;
}

static void say_error(struct smtp_server *s, const struct answer *a)
{
    if (!is_one_error_too_many(s))
        put(s, a);
}

static void error(struct smtp_server *s, int code, const char *enhanced, const char *text)
{
    struct answer a;

    answer_set(&a, code, enhanced, "%s", text);
    say_error(s, &a);
}

static void end_transaction(struct smtp_server *s)
{
    s->state = SMTP_SERVER_IDLE;
    s->n_rcpts = 0;
    s->n_answers = 0;
    s->n_content = 0;
    s->has_end = false;
}

/* --- Commands -------------------------------------------------------------------------------- */

static enum smtp_server_kind ask(struct smtp_server *s, enum smtp_server_kind what)
{
    s->asked = what;
    return what;
}

/* The name goes into a Received field.  What could end a word there, or forge one, becomes "?". */
static void keep_name(struct smtp_server *s, struct slice name)
{
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = name.p[i];
        bool is_word = ascii_is_alpha(c) || ascii_is_digit(c) ||
                       memchr("-._:[]!#$%&'*+/=?^`{|}~", c, 23) != NULL;
        s->hello[i] = (char)(is_word ? c : '?');
    }
    s->hello[name.n] = '\0';
}

static enum smtp_server_kind do_hello(struct smtp_server *s)
{
    struct slice name = s->command.argument;
    bool had_transaction = s->state == SMTP_SERVER_ENVELOPE;
    enum smtp_verb verb = s->command.verb;

    if ((verb == SMTP_VERB_LHLO) != s->options.is_lmtp) {
        error(s, 500, "5.5.1", s->options.is_lmtp ? "this is LMTP" : "this is SMTP");
        return SMTP_SERVER_MORE;
    }
    end_transaction(s);
    s->is_esmtp = verb != SMTP_VERB_HELO;
    keep_name(s, name);
    if (!s->is_esmtp) {
        say(s, 250, "", s->options.hostname);
    } else if (buf_addf(&s->output,
                   "250-%s\r\n250-PIPELINING\r\n250-SIZE %llu\r\n250-8BITMIME\r\n%s"
                   "250 ENHANCEDSTATUSCODES\r\n",
                   s->options.hostname, (unsigned long long)s->options.size_max,
                   s->options.offers_starttls && !s->is_secure ? "250-STARTTLS\r\n" : "") != 0) {
        BUG("the answer to EHLO fits into the output");
    }
    return had_transaction ? SMTP_SERVER_RESET : SMTP_SERVER_MORE;
}

static enum smtp_server_kind do_starttls(struct smtp_server *s)
{
    if (s->is_secure || !s->options.offers_starttls) {
        error(s, s->is_secure ? 503 : 502, "5.5.1",
            s->is_secure ? "this is TLS already" : "STARTTLS is not offered");
        return SMTP_SERVER_MORE;
    }
    say(s, 220, "2.0.0", "go ahead");
    s->state = SMTP_SERVER_TLS;
    return SMTP_SERVER_STARTTLS;
}

/* A sender without a domain: "root" of a machine nearby.  It gets our name, as it would from any
 * MTA, since the next server may not take it bare. */
static int qualify(struct smtp_server *s)
{
    struct address a;

    if (s->command.path != ADDRESS_PATH_LOCAL)
        return 0;
    if (fmt_into(s->sender, sizeof(s->sender), "%.*s@%s", SLICE_ARG(s->command.mailbox),
            s->options.hostname) != 0)
        return -1;
    s->command.path = ADDRESS_PATH_MAILBOX;
    s->command.mailbox = slice_str(s->sender);
    return address_parse(s->command.mailbox, &a);
}

static enum smtp_server_kind do_mail(struct smtp_server *s)
{
    const struct smtp_command *c = &s->command;

    if (qualify(s) != 0) {
        error(s, 501, "5.1.7", "the sender has no domain");
    } else if ((c->has_size || c->has_body) && !s->is_esmtp && s->options.is_strict) {
        error(s, 555, "5.5.4", "parameters need EHLO");
    } else if (c->has_size && c->size > s->options.size_max) {
        error(s, 552, "5.3.4", "the message is too big");
    } else {
        return ask(s, SMTP_SERVER_GOT_MAIL);
    }
    return SMTP_SERVER_MORE;
}

static enum smtp_server_kind do_rcpt(struct smtp_server *s)
{
    if (s->n_rcpts >= s->options.recipients_max) {
        say(s, 452, "4.5.3", "too many recipients");
        return SMTP_SERVER_MORE;
    }
    return ask(s, SMTP_SERVER_GOT_RCPT);
}

static enum smtp_server_kind do_data(struct smtp_server *s)
{
    if (s->n_rcpts == 0) {
        error(s, 554, "5.5.1", "no recipient was accepted");
        return SMTP_SERVER_MORE;
    }
    return ask(s, SMTP_SERVER_GOT_DATA);
}

static enum smtp_server_kind do_rset(struct smtp_server *s)
{
    bool had_transaction = s->state == SMTP_SERVER_ENVELOPE;

    if (had_transaction)
        end_transaction(s);
    say(s, 250, "2.0.0", "OK");
    return had_transaction ? SMTP_SERVER_RESET : SMTP_SERVER_MORE;
}

static enum smtp_server_kind do_noop(struct smtp_server *s)
{
    say(s, 250, "2.0.0", "OK");
    return SMTP_SERVER_MORE;
}

static enum smtp_server_kind do_vrfy(struct smtp_server *s)
{
    say(s, 252, "2.5.0", "send mail, and RCPT will tell");
    return SMTP_SERVER_MORE;
}

static enum smtp_server_kind do_help(struct smtp_server *s)
{
    say(s, 214, "2.0.0",
        s->options.is_lmtp ? "LHLO MAIL RCPT DATA RSET NOOP VRFY STARTTLS QUIT"
                           : "EHLO HELO MAIL RCPT DATA RSET NOOP VRFY STARTTLS QUIT");
    return SMTP_SERVER_MORE;
}

static enum smtp_server_kind do_quit(struct smtp_server *s)
{
    say(s, 221, "2.0.0", "bye");
    s->state = SMTP_SERVER_CLOSED;
    return SMTP_SERVER_MORE;
}

#define IN(state) (1u << SMTP_SERVER_##state)
#define ANYWHERE (IN(HELLO) | IN(IDLE) | IN(ENVELOPE))

static const struct {
    unsigned states;
    bool is_last;   /* of a group: nothing may be pipelined behind it */
    bool is_idling; /* moves no mail */
    enum smtp_server_kind (*run)(struct smtp_server *s);
} table[SMTP_VERBS] = {
    [SMTP_VERB_EHLO] = {ANYWHERE, true, true, do_hello},
    [SMTP_VERB_HELO] = {ANYWHERE, true, true, do_hello},
    [SMTP_VERB_LHLO] = {ANYWHERE, true, true, do_hello},
    [SMTP_VERB_STARTTLS] = {IN(IDLE), true, true, do_starttls},
    [SMTP_VERB_MAIL] = {IN(IDLE), false, false, do_mail},
    [SMTP_VERB_RCPT] = {IN(ENVELOPE), false, false, do_rcpt},
    [SMTP_VERB_DATA] = {IN(ENVELOPE), true, false, do_data},
    [SMTP_VERB_RSET] = {ANYWHERE, false, true, do_rset},
    [SMTP_VERB_NOOP] = {ANYWHERE, false, true, do_noop},
    [SMTP_VERB_VRFY] = {ANYWHERE, false, true, do_vrfy},
    [SMTP_VERB_HELP] = {ANYWHERE, false, true, do_help},
    [SMTP_VERB_QUIT] = {ANYWHERE, false, false, do_quit},
};

static const char *order_text(const struct smtp_server *s, enum smtp_verb verb)
{
    if (s->state == SMTP_SERVER_HELLO)
        return s->options.is_lmtp ? "say LHLO first" : "say EHLO first";
    if (s->state == SMTP_SERVER_ENVELOPE)
        return "a transaction is open";
    return verb == SMTP_VERB_RCPT || verb == SMTP_VERB_DATA ? "say MAIL first" : "not now";
}

/* One line without its CRLF; more_behind: the client sent something behind it already. */
static enum smtp_server_kind run_line(struct smtp_server *s, struct slice line, bool more_behind)
{
    struct answer bad;
    enum smtp_verb verb;

    if (smtp_command_parse(line, s->options.is_strict, &s->command, &bad) != 0) {
        say_error(s, &bad);
        return SMTP_SERVER_MORE;
    }
    verb = s->command.verb;
    if (verb == SMTP_VERB_REFUSED) {
        error(s, 502, "5.5.1", "this command is not offered");
        return SMTP_SERVER_MORE;
    }
    if (table[verb].is_last && more_behind) {
        close_with(s, 503, "5.5.1", "nothing may be sent behind this command before its answer");
        return SMTP_SERVER_MORE;
    }
    if ((table[verb].states & (1u << s->state)) == 0) {
        error(s, 503, "5.5.1", order_text(s, verb));
        return SMTP_SERVER_MORE;
    }
    if (table[verb].is_idling && s->n_idle_commands++ >= SMTP_SERVER_IDLE_COMMANDS_MAX &&
        is_one_error_too_many(s))
        return SMTP_SERVER_MORE;
    return table[verb].run(s);
}

static enum smtp_server_kind feed_command(struct smtp_server *s, struct slice in, size_t *used_out)
{
    struct slice window = slice_sub(in, 0, SMTP_COMMAND_MAX);
    ptrdiff_t lf = slice_find(window, '\n');

    if (lf < 0 && in.n < SMTP_COMMAND_MAX)
        return SMTP_SERVER_MORE;
    if (lf < 0) {
        *used_out = in.n;
        close_with(s, 500, "5.5.2", "the line is too long");
        return SMTP_SERVER_MORE;
    }
    *used_out = (size_t)lf + 1;
    if (lf == 0 || in.p[lf - 1] != '\r') {
        close_with(s, 500, "5.5.2", "lines end with CR LF");
        return SMTP_SERVER_MORE;
    }
    return run_line(s, slice_sub(in, 0, (size_t)lf - 1), in.n > *used_out);
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
        return ask(s, SMTP_SERVER_END);
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
            put(s, &s->cause);
        close_with(s, s->cause.code, s->cause.enhanced, s->cause.text);
        return SMTP_SERVER_MORE;
    }
    end_transaction(s);
    for (i = 0; i < n; i++)
        put(s, &s->cause);
    if (s->n_errors++ >= s->options.errors_max)
        close_with(s, 421, "4.7.0", "too many errors");
    return SMTP_SERVER_MORE;
}

/* --- From outside ---------------------------------------------------------------------------- */

static enum smtp_server_kind feed_some(
    struct smtp_server *s, struct slice in, size_t *used_out, struct smtp_server_event *out)
{
    switch (s->state) {
    case SMTP_SERVER_START:
        if (in.n > 0)
            close_with(s, 554, "5.5.1", "you spoke before the greeting");
        return SMTP_SERVER_MORE;
    case SMTP_SERVER_HELLO:
    case SMTP_SERVER_IDLE:
    case SMTP_SERVER_ENVELOPE:
        return feed_command(s, in, used_out);
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
        put(s, a);
        if (answer_is_positive(a))
            s->n_errors = s->n_idle_commands = 0;
        if (--s->n_answers > 0)
            return;
        s->asked = SMTP_SERVER_MORE;
        end_transaction(s);
        return;
    }
    s->asked = SMTP_SERVER_MORE;
    if (asked == SMTP_SERVER_GOT_DATA) {
        put(s, a);
        if (a->code != 354) {
            end_transaction(s);
            return;
        }
        s->state = SMTP_SERVER_DATA;
        data_decoder_init(&s->decoder);
        return;
    }
    if (a->code >= 500) {
        say_error(s, a);
        return;
    }
    put(s, a);
    if (!answer_is_positive(a))
        return;
    s->state = SMTP_SERVER_ENVELOPE;
    if (asked == SMTP_SERVER_GOT_RCPT)
        s->n_rcpts++;
}

void smtp_server_secured(struct smtp_server *s)
{
    BUG_ON(s->state != SMTP_SERVER_TLS);
    end_transaction(s);
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
