/* SPDX-License-Identifier: ISC */
/*
 * A command line: what is accepted is printable, its parts lie within the line or where an address
 * is written anew, and the address reads the same between brackets, by the strict rules too.
 */
#include <stdint.h>
#include <stdlib.h>
#include "relay/smtp_command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_within(struct slice part, const uint8_t *data, size_t size, bool is_name)
{
    if (part.n > 0 && (part.p < data || part.p + part.n > data + size))
        abort();
    for (size_t i = 0; i < part.n; i++)
        if (!ascii_is_print(part.p[i]) && (is_name || part.p[i] != '\t'))
            abort();
}

static void check_again(const struct smtp_command *c)
{
    bool is_mail = c->verb == SMTP_VERB_MAIL;
    char line[ADDRESS_MAX + 20];
    struct smtp_command again;
    struct answer bad;

    if (!is_mail && c->verb != SMTP_VERB_RCPT)
        return;
    if (fmt_into(line, sizeof(line), "%s:<%.*s>", is_mail ? "MAIL FROM" : "RCPT TO",
            SLICE_ARG(c->mailbox)) != 0 ||
        smtp_command_parse(slice_str(line), c->path != ADDRESS_PATH_LOCAL, &again, &bad) != 0 ||
        again.path != c->path || !slice_eq(again.mailbox, c->mailbox))
        abort();
}

static void check(const uint8_t *data, size_t size, bool is_strict)
{
    struct smtp_command c;
    struct answer bad = {0};

    if (smtp_command_parse(slice_make(data, size), is_strict, &c, &bad) != 0) {
        if (bad.code < 500 || bad.code > 599 || bad.text[0] == '\0')
            abort();
        return;
    }
    check_within(c.argument, data, size, is_strict);
    if (c.mailbox.p == c.plain && !is_strict)
        check_within(c.mailbox, c.plain, sizeof(c.plain), true);
    else
        check_within(c.mailbox, data, size, true);
    if (c.mailbox.n > ADDRESS_MAX || (c.verb == SMTP_VERB_RCPT && c.mailbox.n == 0))
        abort();
    if (c.verb == SMTP_VERB_UNKNOWN || (is_strict && c.path == ADDRESS_PATH_LOCAL))
        abort();
    check_again(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check(data, size, false);
    check(data, size, true);
    return 0;
}
