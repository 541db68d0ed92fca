/* SPDX-License-Identifier: ISC */
/*
 * account_args: URL, credentials and TLS policy of one end, as the command line says them; or the
 * folder that it is in.
 *
 * Certificates are verified unless the administrator gives a fingerprint, public keys or says
 * "encrypt" for this side.
 */
#include "imapsync/account_args.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/core/mem.h"
#include "base/core/num.h"
#include "imapsync/ends/oauth.h"
#include "imapsync/ends/secret.h"

#define MAILDIR SLICE_LIT("maildir:")
#define MBOX SLICE_LIT("mbox:")

static int usage(struct err *err, const char *text)
{
    return err_set(err, ERR_PERM, EX_USAGE, "%s", text);
}

/* %XX of the user part of a URL (RFC 3986); no control characters. */
static char *unescape(struct slice s)
{
    struct buf out;
    buf_init(&out, 1024);
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = s.p[i];
        if (c == '%') {
            if (num_hex(slice_sub(s, i + 1, 2), &c, 1) != 0)
                goto bad;
            i += 2;
        }
        if (c < 0x20 || c == 0x7f || buf_add_byte(&out, c) != 0)
            goto bad;
    }
    if (out.n > 0)
        return buf_steal_cstr(&out);
bad:
    buf_fini(&out);
    return NULL;
}

/* scheme://user@host[:port][/], where the user may hold "@" as such or as %40. */
static int parse_url(const struct account_args *args, struct imap_account *a, struct err *err)
{
    struct slice url = slice_str(args->url);
    ptrdiff_t scheme = slice_search(url, SLICE_LIT("://"));
    if (scheme < 0)
        return usage(
            err, "not a URL: imap://user@host:port/, imaps://..., maildir:DIR or mbox:DIR");
    struct slice rest = slice_from(url, (size_t)scheme + 3);
    if (rest.n > 0 && rest.p[rest.n - 1] == '/')
        rest.n--;
    ptrdiff_t at = slice_rfind(rest, '@');
    if (at <= 0 || slice_find(rest, '/') >= 0)
        return usage(err, "the URL is imap://user@host:port/");
    struct slice user = slice_sub(rest, 0, (size_t)at);
    if (slice_find(user, ':') >= 0)
        return usage(err, "no password in a URL: other users see it; use a file");
    a->user = unescape(user);
    if (!a->user)
        return usage(err, "the user in the URL cannot be read");
    struct buf endpoint;
    buf_init(&endpoint, 1024);
    int result = buf_addf(&endpoint, "%.*s://%.*s", SLICE_ARG(slice_sub(url, 0, (size_t)scheme)),
                     SLICE_ARG(slice_from(rest, (size_t)at + 1))) == 0
                     ? net_endpoint_parse(buf_slice(&endpoint), 0, &a->endpoint, err)
                     : -1;
    buf_fini(&endpoint);
    if (result == 0 && a->endpoint.scheme != NET_SCHEME_IMAP &&
        a->endpoint.scheme != NET_SCHEME_IMAPS)
        return usage(err, "the URL is imap:// or imaps://");
    return result;
}

static const struct {
    const char *name;
    enum conf_tls tls;
} policies[] = {
    {"none", CONF_TLS_NONE},
    {"verify", CONF_TLS_VERIFY},
    {"encrypt", CONF_TLS_ENCRYPT},
    {"fingerprint", CONF_TLS_FINGERPRINT},
    {"pin", CONF_TLS_PIN},
};

static int policy_from_args(
    const struct account_args *args, struct imap_account *a, struct err *err)
{
    a->policy = (struct conf_server){.tls = args->fingerprint ? CONF_TLS_FINGERPRINT
                                            : args->pin_file  ? CONF_TLS_PIN
                                                              : CONF_TLS_VERIFY,
        .tls_ca_file = (char *)(uintptr_t)args->ca_file,
        .tls_fingerprint = (char *)(uintptr_t)args->fingerprint,
        .tls_pin_file = (char *)(uintptr_t)args->pin_file,
        .tls_cert_file = (char *)(uintptr_t)args->cert_file,
        .tls_key_file = (char *)(uintptr_t)args->key_file,
        .tls_min = (char *)(uintptr_t)(args->tls_min ? args->tls_min : "TLSv1.2"),
        .tls_level = 1};
    if (args->tls_level && num_u32(slice_str(args->tls_level), 0, 5, &a->policy.tls_level) != 0)
        return usage(err, "the security level of TLS is a number from 0 to 5");
    if (!args->cert_file != !args->key_file)
        return usage(err, "a certificate and its key go together");
    for (size_t i = 0; args->tls && i < sizeof(policies) / sizeof(policies[0]); i++) {
        if (strcmp(args->tls, policies[i].name) == 0) {
            a->policy.tls = policies[i].tls;
            if ((a->policy.tls == CONF_TLS_PIN) != (args->pin_file != NULL))
                return usage(err, "a file of public keys and TLS by \"pin\" go together");
            return 0;
        }
    }
    return args->tls ? usage(err, "TLS is one of none, verify, encrypt, fingerprint, pin") : 0;
}

static int secret_from_args(
    const struct account_args *args, struct imap_account *out, struct err *err)
{
    const enum mech_secret secret = imap_account_secret(args->auth);
    const char *const given[] = {
        args->password_file, args->password_command, args->token_file, args->token_command};
    unsigned n = 0;
    for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++)
        n += given[i] != NULL;
    if (n > 1)
        return usage(err, "one password or one source of access tokens, not several");
    if (secret == MECH_TICKET)
        return n == 0 ? 0 : usage(err, "GSSAPI wants a Kerberos ticket and no password");
    if (args->token_file || args->token_command) {
        char *argv[] = {
            (char[]){"/bin/sh"}, (char[]){"-c"}, (char *)(uintptr_t)args->token_command, NULL};
        out->place.tokens = args->token_file ? oauth_from_file(args->token_file)
                                             : oauth_from_command(argv, out->user);
        return 0;
    }
    if (secret == MECH_TOKEN)
        return usage(err, "this way of signing in wants access tokens");
    return args->password_file ? secret_from_file(args->password_file, &out->password, err)
           : args->password_command
               ? secret_from_command(args->password_command, &out->password, err)
               : secret_from_terminal(args->label, args->url, &out->password, err);
}

/* How the server is treated; its pace is this side's alone. */
static int manner_from_args(
    const struct account_args *args, struct imap_account *out, struct err *err)
{
    static const char *const whens[] = {"auto", "yes", "no"};
    bool is_auto = !args->profile || strcmp(args->profile, "auto") == 0;
    size_t when = 0;
    out->manner =
        (struct imap_manner){.profile = is_auto ? NULL : profile_named(slice_str(args->profile)),
            .rates = {.commands = args->max_commands, .octets = args->max_rate},
            .day = args->max_day};
    if (!is_auto && !out->manner.profile)
        return usage(err,
            "the profile is one of auto, generic, dovecot, cyrus, courier, exchange-online, gmail");
    while (args->compress && when < 3 && strcmp(args->compress, whens[when]) != 0)
        when++;
    if (when == 3)
        return usage(err, "whether to compress is auto, yes or no");
    out->place.compress = (enum imap_compress_when)when;
    out->place.server = imap_server_of(args->label);
    return 0;
}

static int imap_from_args(
    const struct account_args *args, struct imap_account *out, struct err *err)
{
    buf_init(&out->password, SECRET_MAX);
    out->admin = mem_strdup(args->admin);
    out->auth = mem_strdup(args->auth);
    out->separator = mem_strdup(args->separator);
    out->tls_name = mem_strdup(args->tls_name);
    int result = parse_url(args, out, err);
    if (result == 0 && args->separator && !args->admin)
        result = usage(err, "a separator wants an administrator to stand behind it");
    if (result == 0)
        result = policy_from_args(args, out, err);
    if (result == 0)
        result = imap_account_secure(out, args->label, args->tls || args->pin_file, err);
    if (result == 0)
        result = manner_from_args(args, out, err);
    if (result == 0)
        result = secret_from_args(args, out, err);
    return result == 0 ? imap_account_finish(out, args->timeout_ms, err) : -1;
}

/* What says how to sign in has no meaning for files, and is no help when it is ignored. */
static int check_files(const struct account_args *args, struct slice where, struct err *err)
{
    if (where.n == 0)
        return usage(err, "the name of the folder is missing, as in maildir:DIR and mbox:DIR");
    if (args->password_file || args->password_command || args->token_file || args->token_command ||
        args->admin || args->separator || args->auth || args->tls || args->ca_file ||
        args->fingerprint || args->tls_name || args->profile || args->compress)
        return usage(err, "a mailbox in files wants neither password nor TLS, nor a profile");
    return 0;
}

static int throw_away(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st, (void)kind, (void)ftw;
    return remove(path);
}

/* Whether it is a mailbox in files that are not there. */
static bool is_missing(struct slice url)
{
    const char *path = (const char *)url.p + slice_find(url, ':') + 1;
    return (slice_starts(url, MAILDIR) || slice_starts(url, MBOX)) && *path &&
           access(path, F_OK) != 0;
}

/* An empty Maildir stands for it, since an end has to have something that it opens. */
static int pretend_files(const struct account_args *args, struct account *out, struct err *err)
{
    const char *tmp = getenv("TMPDIR");
    struct buf path;
    buf_init(&path, PATH_MAX);
    if (buf_addf(&path, "%s/coexist-dry-run.XXXXXX", tmp && tmp[0] == '/' ? tmp : "/tmp") != 0) {
        buf_fini(&path);
        return err_set(err, ERR_PERM, EX_USAGE, "TMPDIR is too long");
    }
    out->thrown_away = buf_steal_cstr(&path);
    if (!mkdtemp(out->thrown_away)) {
        err_sys(err, errno, "cannot make %s", out->thrown_away);
        mem_free_string(&out->thrown_away);
        return -1;
    }
    return maildir_maker_init(&out->maildir, args->label, out->thrown_away, true, err);
}

int account_args_check(const struct account_args *args, struct err *err)
{
    const struct slice url = slice_str(args->url);
    struct imap_account a = {0};
    const bool is_files = slice_starts(url, MAILDIR) || slice_starts(url, MBOX);
    int result = is_files
                     ? check_files(args, slice_from(url, (size_t)slice_find(url, ':') + 1), err)
                     : parse_url(args, &a, err);
    imap_account_fini(&a);
    return result == 0 ? 0 : err_wrap(err, "%s", args->label);
}

int account_from_args(const struct account_args *args, struct account *out, struct err *err)
{
    struct slice url = slice_str(args->url);
    *out = (struct account){0};
    int result;
    if (args->is_pretended && is_missing(url)) {
        result = check_files(args, slice_from(url, 1), err);
        if (result == 0)
            result = pretend_files(args, out, err);
        out->maker = &out->maildir.maker;
    } else if (slice_starts(url, MAILDIR)) {
        struct slice where = slice_from(url, MAILDIR.n);
        result = check_files(args, where, err);
        if (result == 0)
            result = maildir_maker_init(
                &out->maildir, args->label, (const char *)where.p, args->is_made, err);
        out->maker = &out->maildir.maker;
    } else if (slice_starts(url, MBOX)) {
        struct slice where = slice_from(url, MBOX.n);
        result = check_files(args, where, err);
        if (result == 0)
            result =
                mbox_maker_init(&out->mbox, args->label, (const char *)where.p, args->is_made, err);
        out->maker = &out->mbox.maker;
    } else {
        result = imap_from_args(args, &out->imap, err);
        out->maker = &out->imap.end.maker;
    }
    if (result != 0) {
        account_fini(out);
        return err_wrap(err, "%s", args->label);
    }
    return 0;
}

void account_fini(struct account *a)
{
    imap_account_fini(&a->imap);
    maildir_maker_fini(&a->maildir);
    mbox_maker_fini(&a->mbox);
    if (a->thrown_away)
        (void)nftw(a->thrown_away, throw_away, 16, FTW_DEPTH | FTW_PHYS);
    mem_free_string(&a->thrown_away);
    a->maker = NULL;
}

bool account_is_same(const struct account *a, const struct account *b)
{
    if (a->imap.user && b->imap.user)
        return imap_account_is_same(&a->imap, &b->imap);
    return strcmp(a->maker->name, b->maker->name) == 0;
}
