/* SPDX-License-Identifier: ISC */
/*
 * A command line: what is accepted is printable, and its parts lie within the line.
 */
#include <stdint.h>
#include <stdlib.h>
#include "relay/smtp_command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_within(struct slice part, const uint8_t *data, size_t size)
{
    if (part.n > 0 && (part.p < data || part.p + part.n > data + size))
        abort();
    for (size_t i = 0; i < part.n; i++)
        if (!ascii_is_print(part.p[i]))
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct smtp_command c;
    struct answer bad = {0};

    if (smtp_command_parse(slice_make(data, size), &c, &bad) != 0) {
        if (bad.code < 500 || bad.code > 599 || bad.text[0] == '\0')
            abort();
        return 0;
    }
    check_within(c.argument, data, size);
    check_within(c.mailbox, data, size);
    if (c.mailbox.n > ADDRESS_MAX || (c.verb == SMTP_VERB_RCPT && c.mailbox.n == 0))
        abort();
    if (c.verb == SMTP_VERB_UNKNOWN)
        abort();
    return 0;
}
