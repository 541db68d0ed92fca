/* SPDX-License-Identifier: ISC */
/*
 * smtp_server_commands: the commands of an SMTP or LMTP server (RFC 5321, 2033, 2920, 3207) are one
 * table: verb, the states in which it is allowed, the flags, the function.  What needs no knowledge
 * of mail (hello, NOOP, VRFY, sequence and syntax errors, limits) is answered here; the rest
 * becomes an event.
 */
#include "relay/smtp_server_parts.h"

enum smtp_server_kind smtp_server_ask(struct smtp_server *s, enum smtp_server_kind what)
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
        smtp_server_error(s, 500, "5.5.1", s->options.is_lmtp ? "this is LMTP" : "this is SMTP");
        return SMTP_SERVER_MORE;
    }
    smtp_server_end_transaction(s);
    s->is_esmtp = verb != SMTP_VERB_HELO;
    keep_name(s, name);
    if (!s->is_esmtp) {
        smtp_server_say(s, 250, "", s->options.hostname);
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
        smtp_server_error(s, s->is_secure ? 503 : 502, "5.5.1",
            s->is_secure ? "this is TLS already" : "STARTTLS is not offered");
        return SMTP_SERVER_MORE;
    }
    smtp_server_say(s, 220, "2.0.0", "go ahead");
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
        smtp_server_error(s, 501, "5.1.7", "the sender has no domain");
    } else if ((c->has_size || c->has_body) && !s->is_esmtp && s->options.is_strict) {
        smtp_server_error(s, 555, "5.5.4", "parameters need EHLO");
    } else if (c->has_size && c->size > s->options.size_max) {
        smtp_server_error(s, 552, "5.3.4", "the message is too big");
    } else {
        return smtp_server_ask(s, SMTP_SERVER_GOT_MAIL);
    }
    return SMTP_SERVER_MORE;
}

static enum smtp_server_kind do_rcpt(struct smtp_server *s)
{
    if (s->n_rcpts >= s->options.recipients_max) {
        smtp_server_say(s, 452, "4.5.3", "too many recipients");
        return SMTP_SERVER_MORE;
    }
    return smtp_server_ask(s, SMTP_SERVER_GOT_RCPT);
}

static enum smtp_server_kind do_data(struct smtp_server *s)
{
    if (s->n_rcpts == 0) {
        smtp_server_error(s, 554, "5.5.1", "no recipient was accepted");
        return SMTP_SERVER_MORE;
    }
    return smtp_server_ask(s, SMTP_SERVER_GOT_DATA);
}

static enum smtp_server_kind do_rset(struct smtp_server *s)
{
    bool had_transaction = s->state == SMTP_SERVER_ENVELOPE;

    if (had_transaction)
        smtp_server_end_transaction(s);
    smtp_server_say(s, 250, "2.0.0", "OK");
    return had_transaction ? SMTP_SERVER_RESET : SMTP_SERVER_MORE;
}

static enum smtp_server_kind do_noop(struct smtp_server *s)
{
    smtp_server_say(s, 250, "2.0.0", "OK");
    return SMTP_SERVER_MORE;
}

static enum smtp_server_kind do_vrfy(struct smtp_server *s)
{
    smtp_server_say(s, 252, "2.5.0", "send mail, and RCPT will tell");
    return SMTP_SERVER_MORE;
}

static enum smtp_server_kind do_help(struct smtp_server *s)
{
    smtp_server_say(s, 214, "2.0.0",
        s->options.is_lmtp ? "LHLO MAIL RCPT DATA RSET NOOP VRFY STARTTLS QUIT"
                           : "EHLO HELO MAIL RCPT DATA RSET NOOP VRFY STARTTLS QUIT");
    return SMTP_SERVER_MORE;
}

static enum smtp_server_kind do_quit(struct smtp_server *s)
{
    smtp_server_say(s, 221, "2.0.0", "bye");
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
        smtp_server_say_error(s, &bad);
        return SMTP_SERVER_MORE;
    }
    verb = s->command.verb;
    if (verb == SMTP_VERB_REFUSED) {
        smtp_server_error(s, 502, "5.5.1", "this command is not offered");
        return SMTP_SERVER_MORE;
    }
    if (table[verb].is_last && more_behind) {
        smtp_server_close_with(
            s, 503, "5.5.1", "nothing may be sent behind this command before its answer");
        return SMTP_SERVER_MORE;
    }
    if ((table[verb].states & (1u << s->state)) == 0) {
        smtp_server_error(s, 503, "5.5.1", order_text(s, verb));
        return SMTP_SERVER_MORE;
    }
    if (table[verb].is_idling && s->n_idle_commands++ >= SMTP_SERVER_IDLE_COMMANDS_MAX &&
        smtp_server_is_one_error_too_many(s))
        return SMTP_SERVER_MORE;
    return table[verb].run(s);
}

enum smtp_server_kind smtp_server_feed_command(
    struct smtp_server *s, struct slice in, size_t *used_out)
{
    struct slice window = slice_sub(in, 0, SMTP_COMMAND_MAX);
    ptrdiff_t lf = slice_find(window, '\n');

    if (lf < 0 && in.n < SMTP_COMMAND_MAX)
        return SMTP_SERVER_MORE;
    if (lf < 0) {
        *used_out = in.n;
        smtp_server_close_with(s, 500, "5.5.2", "the line is too long");
        return SMTP_SERVER_MORE;
    }
    *used_out = (size_t)lf + 1;
    if (lf == 0 || in.p[lf - 1] != '\r') {
        smtp_server_close_with(s, 500, "5.5.2", "lines end with CR LF");
        return SMTP_SERVER_MORE;
    }
    return run_line(s, slice_sub(in, 0, (size_t)lf - 1), in.n > *used_out);
}
