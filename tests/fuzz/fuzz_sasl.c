/* SPDX-License-Identifier: ISC */
/*
 * A server's challenges, arbitrary lines, to each mechanism that is signed in by.  The first byte
 * chooses it.  Whatever comes, an answer is one line of base64.
 */
#include <stdint.h>
#include <stdlib.h>
#include "base/core/err.h"
#include "imapsync/imap/sasl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEPS_MAX 8

static bool is_base64(const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (!ascii_is_alpha(c) && !ascii_is_digit(c) && c != '+' && c != '/' && c != '=')
            return false;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct tls_binding binding = {true, "0123456789abcdef0123456789abcdef", 32};
    const struct sasl_identity id = {.authcid = "root",
        .authzid = "ann",
        .secret = SLICE_LIT("pencil"),
        .host = "peer",
        .port = 143,
        .binding = &binding};
    struct slice rest = slice_make(data, size), line;
    struct sasl *s = NULL;
    struct err err = ERR_INIT;
    const char *answer;
    enum mech mech = size > 0 ? (enum mech)(data[0] % MECH_COMMAND) : MECH_PLAIN;
    /* What Kerberos does is not ours, and it would look for a realm. */
    if (mech == MECH_GSSAPI || sasl_new(mech, &id, &s, &err) != 0)
        return 0;
    rest = slice_from(rest, size > 0);
    for (int i = 0; i < STEPS_MAX; i++) {
        bool has_more = slice_split(&rest, '\n', &line);
        if (sasl_step(s, line, &answer, &err) != 0)
            break;
        if (!is_base64(answer))
            abort();
        for (const char *c = sasl_told(s); *c; c++) {
            if (!ascii_is_print((unsigned char)*c))
                abort();
        }
        if (!has_more)
            break;
    }
    sasl_free(&s);
    return 0;
}
