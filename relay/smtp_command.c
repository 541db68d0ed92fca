/* SPDX-License-Identifier: ISC */
/*
 * smtp_command: a command line taken apart (RFC 5321 4.1.1; RFC 1870, 6152 for the parameters).
 *
 * The verb is looked up in one table, which also names the function for what follows it.  Any byte
 * outside printable ASCII makes the line a syntax error before anything else is looked at, so no
 * later part can meet a control byte; only a tab may be there, which is no part of an address.
 */
#include "relay/smtp_command.h"

#include "base/core/num.h"

typedef int argument_fn(
    struct slice rest, bool is_strict, struct smtp_command *out, struct answer *bad);

static int bad_argument(struct answer *bad, const char *text)
{
    answer_set(bad, 501, "5.5.4", "%s", text);
    return -1;
}

static int no_argument(
    struct slice rest, bool is_strict, struct smtp_command *out, struct answer *bad)
{
    (void)is_strict;
    (void)out;
    return rest.n == 0 ? 0 : bad_argument(bad, "this command takes no argument");
}

static int any_argument(
    struct slice rest, bool is_strict, struct smtp_command *out, struct answer *bad)
{
    (void)is_strict;
    (void)bad;
    out->argument = rest;
    return 0;
}

/* The next word of *rest, which goes behind it; false when there is none. */
static bool next_word(struct slice *rest, struct slice *word_out)
{
    size_t n = 0;

    *rest = slice_trim(*rest);
    while (n < rest->n && !ascii_is_blank(rest->p[n]))
        n++;
    *word_out = slice_sub(*rest, 0, n);
    *rest = slice_from(*rest, n);
    return n > 0;
}

/* A client that hangs up does no harm by saying more. */
static int quit_argument(
    struct slice rest, bool is_strict, struct smtp_command *out, struct answer *bad)
{
    return is_strict ? no_argument(rest, is_strict, out, bad) : 0;
}

/* Names with "_" and bare host names are common, so this is looser than Domain by any rules.  The
 * server makes harmless what it keeps of the others. */
static int hello_argument(
    struct slice rest, bool is_strict, struct smtp_command *out, struct answer *bad)
{
    size_t i;

    if (rest.n == 0)
        return bad_argument(bad, "your name is missing");
    if (rest.n > ADDRESS_DOMAIN_MAX)
        return bad_argument(bad, "that name is too long");
    for (i = 0; is_strict && i < rest.n; i++) {
        unsigned char c = rest.p[i];
        if (!ascii_is_alpha(c) && !ascii_is_digit(c) && !memchr("-._:[]", c, 6))
            return bad_argument(bad, "that is no host name");
    }
    out->argument = rest;
    return 0;
}

/* "FROM:" or "TO:" and a path; *rest starts behind the path. */
static int path_argument(struct slice *rest, const char *word, bool is_strict,
    struct smtp_command *out, struct answer *bad)
{
    struct slice prefix = slice_str(word);
    struct address address;

    if (!slice_starts_nocase(*rest, prefix))
        return bad_argument(bad, "the word in front of the address is missing");
    *rest = slice_trim(slice_from(*rest, prefix.n));
    out->path = address_path_parse(rest, is_strict, &address, &out->mailbox, out->plain);
    /* What follows the path is parameters, or the path was not what it seemed. */
    if (out->path == ADDRESS_PATH_BAD || (rest->n > 0 && !ascii_is_blank(rest->p[0])))
        return -1;
    return 0;
}

static int mail_parameter(struct slice word, struct smtp_command *out, struct answer *bad)
{
    struct slice value = word, keyword;

    if (!slice_split(&value, '=', &keyword))
        keyword = word;
    if (slice_eq_nocase(keyword, SLICE_LIT("SIZE"))) {
        if (out->has_size || num_u64(value, 0, UINT64_MAX, &out->size) != 0)
            return bad_argument(bad, "SIZE is no number, or there twice");
        out->has_size = true;
        return 0;
    }
    if (slice_eq_nocase(keyword, SLICE_LIT("BODY"))) {
        bool is_8bit = slice_eq_nocase(value, SLICE_LIT("8BITMIME"));
        if (out->has_body || (!is_8bit && !slice_eq_nocase(value, SLICE_LIT("7BIT"))))
            return bad_argument(bad, "BODY is 7BIT or 8BITMIME, and there once");
        out->has_body = true;
        out->is_8bit = is_8bit;
        return 0;
    }
    answer_set(bad, 555, "5.5.4", "this parameter is not offered");
    return -1;
}

static int mail_argument(
    struct slice rest, bool is_strict, struct smtp_command *out, struct answer *bad)
{
    struct slice word;

    answer_set(bad, 501, "5.1.7", "that is no sender address");
    if (path_argument(&rest, "FROM:", is_strict, out, bad) != 0)
        return -1;
    if (out->path == ADDRESS_PATH_POSTMASTER) {
        if (is_strict)
            return -1;
        out->path = ADDRESS_PATH_LOCAL;
    }
    while (next_word(&rest, &word))
        if (mail_parameter(word, out, bad) != 0)
            return -1;
    return 0;
}

static int rcpt_argument(
    struct slice rest, bool is_strict, struct smtp_command *out, struct answer *bad)
{
    answer_set(bad, 501, "5.1.3", "that is no recipient address");
    if (path_argument(&rest, "TO:", is_strict, out, bad) != 0)
        return -1;
    if (out->path == ADDRESS_PATH_NULL || out->path == ADDRESS_PATH_LOCAL)
        return -1;
    if (slice_trim(rest).n > 0) {
        answer_set(bad, 555, "5.5.4", "this parameter is not offered");
        return -1;
    }
    return 0;
}

static const struct {
    const char *name;
    enum smtp_verb verb;
    argument_fn *argument;
} commands[] = {
    {"MAIL", SMTP_VERB_MAIL, mail_argument},
    {"RCPT", SMTP_VERB_RCPT, rcpt_argument},
    {"DATA", SMTP_VERB_DATA, no_argument},
    {"EHLO", SMTP_VERB_EHLO, hello_argument},
    {"HELO", SMTP_VERB_HELO, hello_argument},
    {"LHLO", SMTP_VERB_LHLO, hello_argument},
    {"QUIT", SMTP_VERB_QUIT, quit_argument},
    {"RSET", SMTP_VERB_RSET, no_argument},
    {"STARTTLS", SMTP_VERB_STARTTLS, no_argument},
    {"NOOP", SMTP_VERB_NOOP, any_argument},
    {"HELP", SMTP_VERB_HELP, any_argument},
    {"VRFY", SMTP_VERB_VRFY, any_argument},
    {"EXPN", SMTP_VERB_REFUSED, any_argument},
    {"AUTH", SMTP_VERB_REFUSED, any_argument},
    {"BDAT", SMTP_VERB_REFUSED, any_argument},
    {"ETRN", SMTP_VERB_REFUSED, any_argument},
    {"TURN", SMTP_VERB_REFUSED, any_argument},
    {"SEND", SMTP_VERB_REFUSED, any_argument},
    {"SOML", SMTP_VERB_REFUSED, any_argument},
    {"SAML", SMTP_VERB_REFUSED, any_argument},
};

static bool is_printable(struct slice line, bool is_strict)
{
    size_t i;

    for (i = 0; i < line.n; i++)
        if (!ascii_is_print(line.p[i]) && (is_strict || line.p[i] != '\t'))
            return false;
    return true;
}

static void not_printable(enum smtp_verb verb, struct answer *bad)
{
    switch (verb) {
    case SMTP_VERB_MAIL:
    case SMTP_VERB_RCPT:
        answer_set(bad, 553, "5.6.7", "commands are printable ASCII here");
        return;
    case SMTP_VERB_EHLO:
    case SMTP_VERB_HELO:
    case SMTP_VERB_LHLO:
        answer_set(bad, 501, "5.5.4", "a host name is printable ASCII");
        return;
    default:
        answer_set(bad, 500, "5.5.2", "commands are printable ASCII here");
    }
}

int smtp_command_parse(
    struct slice line, bool is_strict, struct smtp_command *out, struct answer *bad_out)
{
    struct slice rest = line, verb;
    size_t i;

    *out = (struct smtp_command){.verb = SMTP_VERB_UNKNOWN};
    if (line.n == 0 || ascii_is_blank(line.p[0]) || !next_word(&rest, &verb))
        verb = SLICE_NONE;
    for (i = 0; i < sizeof(commands) / sizeof(*commands); i++)
        if (slice_eq_nocase(verb, slice_str(commands[i].name)))
            break;
    if (i < sizeof(commands) / sizeof(*commands))
        out->verb = commands[i].verb;
    if (!is_printable(line, is_strict)) {
        not_printable(out->verb, bad_out);
        return -1;
    }
    if (out->verb == SMTP_VERB_UNKNOWN) {
        answer_set(bad_out, 500, "5.5.1", "unknown command");
        return -1;
    }
    return commands[i].argument(slice_trim(rest), is_strict, out, bad_out);
}
