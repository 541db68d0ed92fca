/* SPDX-License-Identifier: ISC */
/* account_args: one end of a copy from the command line: a mailbox on a server, or in files. */
#ifndef IMAPSYNC_ACCOUNT_ARGS_H
#define IMAPSYNC_ACCOUNT_ARGS_H

#include "imapsync/ends/imap_account.h"
#include "imapsync/ends/maildir_end.h"
#include "imapsync/ends/mbox_end.h"

/* What the command line may say about an end; all borrowed, NULL when not given. */
struct account_args {
    const char *label; /* "source" or "target": also the prefix of its options */
    const char *url;   /* imap://user@host:port/, imaps://..., maildir:DIR or mbox:DIR */
    bool is_made;      /* a mailbox in files that is not there yet is made */
    bool is_pretended; /* it counts as an empty one, and is not made */
    const char *password_file, *password_command;
    const char *token_file, *token_command;
    const char *admin, *separator, *auth;
    const char *tls, *ca_file, *fingerprint, *pin_file, *tls_name;
    const char *cert_file, *key_file, *tls_min, *tls_level;
    const char *profile, *compress;
    uint64_t timeout_ms;
    uint64_t max_rate, max_day; /* octets: a second, in 24 hours; 0: as the profile has it */
    uint32_t max_commands;      /* a second */
};

/* Those of one side but the URL, for a table of options.h. */
#define ACCOUNT_ARGS_ROWS(side, s)                                                                 \
    {"--" side "-password-file", &(s)->password_file, NULL, "FILE with the password"},             \
        {"--" side "-password-command", &(s)->password_command, NULL, "COMMAND that prints it"},   \
        {"--" side "-token-file", &(s)->token_file, NULL, "FILE with an OAuth refresh token"},     \
        {"--" side "-token-command", &(s)->token_command, NULL,                                    \
            "COMMAND that prints an access token"},                                                \
        {"--" side "-admin", &(s)->admin, NULL, "NAME who signs in on behalf of the user"},        \
        {"--" side "-admin-separator", &(s)->separator, NULL,                                      \
            "TEXT: sign in as the user, TEXT and that NAME"},                                      \
        {"--" side "-auth", &(s)->auth, NULL, "the WAY to sign in"},                               \
        {"--" side "-tls", &(s)->tls, NULL, "none, verify, encrypt, fingerprint or pin"},          \
        {"--" side "-tls-name", &(s)->tls_name, NULL, "NAME that the certificate must have"},      \
        {"--" side "-ca-file", &(s)->ca_file, NULL, "FILE with the authorities to trust"},         \
        {"--" side "-pin-file", &(s)->pin_file, NULL, "FILE with public keys to trust"},           \
        {"--" side "-cert-file", &(s)->cert_file, NULL, "FILE with a certificate of our own"},     \
        {"--" side "-key-file", &(s)->key_file, NULL, "FILE with its key"},                        \
        {"--" side "-tls-min", &(s)->tls_min, NULL, "lowest VERSION of TLS: TLSv1, TLSv1.1, ..."}, \
        {"--" side "-tls-level", &(s)->tls_level, NULL, "OpenSSL's security level, 0 to 5"},       \
        {"--" side "-profile", &(s)->profile, NULL,                                                \
            "KIND of server: auto, generic, dovecot, ..."},                                        \
        {"--" side "-compress", &(s)->compress, NULL, "auto, yes or no"},                          \
    {                                                                                              \
        "--" side "-fingerprint", &(s)->fingerprint, NULL, "SHA-256 of the certificate"            \
    }

struct account {
    struct imap_account imap;
    struct maildir_maker maildir;
    struct mbox_maker mbox;
    const struct end_maker *maker; /* of one of them */
    char *thrown_away;             /* owned; a folder that stands for one, and goes in the end */
};

/* Whether its URL says a mailbox; nothing is opened or asked. */
int account_args_check(const struct account_args *args, struct err *err) ATTR_WUR;
/* Reads the password too, by asking on the terminal if need be. */
int account_from_args(
    const struct account_args *args, struct account *out, struct err *err) ATTR_WUR;
void account_fini(struct account *a); /* wipes the password */
/* Whether both are one mailbox. */
bool account_is_same(const struct account *a, const struct account *b);

#endif
