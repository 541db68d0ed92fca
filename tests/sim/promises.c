/* SPDX-License-Identifier: ISC */
/*
 * promises: what imapsync/ends/end.h and changes.h promise, sentence by sentence, as a table that
 * every end has to keep.
 *
 *     promises                              the model, as it is and with each quirk that is allowed
 *     promises imap://user@host:port/ FILE  a server through the IMAP end, password in FILE
 *     promises maildir:DIR, mbox:DIR        files, which are made
 *
 * Each row has two connections of its own, A and B, and two empty folders.  Says which promises are
 * broken, and "N passed, N failed".
 */
#include "tests/sim/promises.h"

#include <stdio.h>

#include "base/core/log.h"

struct server_place {
    const char *url, *password_file; /* NULL: the model, which is so: */
    uint32_t quirks;
};

static bool keeps(const struct promise_row *row, const struct server_place *at)
{
    struct promise p = {0};
    if (at->url)
        both_on_server(&p.both, at->url, at->password_file);
    else
        both_on_model(&p.both, 1, at->quirks);
    p.a = p.both.end[0];
    p.b = p.both.end[1];
    promise_fill(&p);
    if (!p.is_broken)
        row->f(&p);
    p.both.end[0] = p.a; /* it may have been closed */
    both_close(&p.both);
    keywords_fini(&p.keywords);
    if (p.is_broken)
        (void)printf("broken: %s (quirks %x)\n", row->text, at->quirks);
    return !p.is_broken;
}

static void run(const struct promise_row *rows, const struct server_place *at, unsigned *passed,
    unsigned *failed)
{
    for (; rows->text; rows++) {
        if (keeps(rows, at))
            ++*passed;
        else
            ++*failed;
    }
}

int main(int argc, char **argv)
{
    /* Servers may be so; what else there is (enum quirk) breaks promises. */
    static const uint32_t allowed[] = {0, QUIRK_NO_MULTIAPPEND, QUIRK_NO_CONDSTORE, QUIRK_NO_TOKENS,
        QUIRK_UNSOLICITED, QUIRK_NO_IDS, QUIRK_NO_MOVE, QUIRK_NO_CONDSTORE | QUIRK_NO_TOKENS};
    unsigned passed = 0, failed = 0;
    log_set_level(LOG_LEVEL_ERROR);
    if (argc > 3) {
        (void)fprintf(stderr, "usage: promises [URL [PASSWORD_FILE]]\n");
        return 64;
    }
    size_t n = argc > 1 ? 1 : sizeof(allowed) / sizeof(allowed[0]);
    for (size_t i = 0; i < n; i++) {
        const struct server_place at = {.quirks = allowed[i],
            .url = argc > 1 ? argv[1] : NULL,
            .password_file = argc == 3 ? argv[2] : NULL};
        run(promises_life, &at, &passed, &failed);
        run(promises_mail, &at, &passed, &failed);
    }
    (void)printf("%u passed, %u failed\n", passed, failed);
    return failed > 0;
}
