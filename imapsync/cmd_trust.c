/* SPDX-License-Identifier: ISC */
/*
 * cmd_trust: coexist-sync trust SERVER: shows the certificate of a server that nobody vouches for,
 * and keeps its key once somebody who has compared it with what the server's owner says agrees.
 */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/core/num.h"
#include "imapsync/ends/imap_trust.h"
#include "imapsync/options.h"
#include "imapsync/sync.h"

#define ANSWER_MAX 16
#define TIMEOUT_MS 30000

struct trust_args {
    const char *server, *store, *accept, *tls_min, *tls_level;
};

static int parse(const struct program_args *args, struct trust_args *a, struct err *err)
{
    const struct option_row rows[] = {
        {"--store", &a->store, NULL, "FILE to add the key to, for pin_file and --source-pin-file"},
        {"--accept", &a->accept, NULL,
            "KEY (sha256//...): do not ask, store this one and no other"},
        {"--tls-min", &a->tls_min, NULL, "lowest VERSION of TLS: TLSv1, TLSv1.1, ..."},
        {"--tls-level", &a->tls_level, NULL, "OpenSSL's security level, 0 to 5"},
    };
    static const char *const names[] = {"SERVER", NULL};
    const size_t n = sizeof(rows) / sizeof(rows[0]);
    for (int i = 1; i < args->argc; i++) {
        if (strcmp(args->argv[i], "--help") == 0) {
            printf("usage: coexist-sync trust [options] SERVER\n"
                   "SERVER: imaps://host[:port], or imap://host[:port] for STARTTLS\n");
            options_help(rows, n);
            return 1;
        }
    }
    if (options_parse(rows, n, args->argc, args->argv, names, &a->server, err) != 0)
        return -1;
    if (a->accept && !a->store)
        return err_set(err, ERR_PERM, EX_USAGE, "--accept wants --store");
    return 0;
}

static int policy_of(const struct trust_args *a, struct conf_server *out, struct err *err)
{
    *out = (struct conf_server){.name = (char *)(uintptr_t)a->server,
        .tls_min = (char *)(uintptr_t)(a->tls_min ? a->tls_min : "TLSv1.2"),
        .tls_level = 1};
    if (a->tls_level && num_u32(slice_str(a->tls_level), 0, 5, &out->tls_level) != 0)
        return err_set(err, ERR_PERM, EX_USAGE, "--tls-level is a number from 0 to 5");
    return 0;
}

/* Only the whole word, so that nobody agrees by habit. */
static bool agrees(void)
{
    char answer[ANSWER_MAX] = "";
    printf("Is this the key of the server, as its owner has told you?  yes or no: ");
    fflush(stdout);
    return fgets(answer, sizeof(answer), stdin) && strcmp(answer, "yes\n") == 0;
}

static int store(const struct trust_args *a, const struct imap_trust *seen, struct err *err)
{
    if (a->accept && strcmp(a->accept, seen->pin.text) != 0)
        return err_set(err, ERR_PERM, EX_NOPERM, "the server has another key than %s", a->accept);
    if (!a->accept && !isatty(STDIN_FILENO))
        return err_set(err, ERR_PERM, EX_USAGE, "nobody to ask: use --accept, or a terminal");
    if (!a->accept && !agrees())
        return err_set(err, ERR_PERM, EX_NOPERM, "not stored");
    if (tls_pins_add(a->store, &seen->pin, a->server, err) != 0)
        return -1;
    printf("stored in %s\n", a->store);
    return 0;
}

int sync_cmd_trust(const struct program_args *args)
{
    struct trust_args a = {0};
    struct conf_server policy;
    struct imap_trust seen = {0};
    struct err err = ERR_INIT;
    int result = parse(args, &a, &err);
    if (result > 0)
        return 0;
    if (result == 0)
        result = policy_of(&a, &policy, &err);
    if (result == 0)
        result = imap_trust_look(a.server, &policy, TIMEOUT_MS, &seen, &err);
    if (result == 0) {
        printf(
            "%sfingerprint: %s\nkey: %s\n", buf_cstr(&seen.text), seen.fingerprint, seen.pin.text);
        if (a.store)
            result = store(&a, &seen, &err);
    }
    imap_trust_fini(&seen);
    return result != 0 ? program_fail(&sync_program, &err) : 0;
}
