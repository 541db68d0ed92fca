/* SPDX-License-Identifier: ISC */
/*
 * side: URL, credentials and TLS policy of one end.
 *
 * imaps:// is TLS from the first byte.  imap:// is STARTTLS, which must succeed, except towards a
 * loopback address, or where the administrator has said "none".  Certificates are verified unless
 * the administrator gives a fingerprint or says "encrypt" for this side.
 */
#include "imapsync/side.h"

#include <stdlib.h>
#include <sysexits.h>

#include "base/core/mem.h"
#include "base/core/num.h"
#include "base/os/sock.h"
#include "imapsync/secret.h"

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
static int parse_url(const struct side_args *args, struct side *s, struct err *err)
{
    struct slice url = slice_str(args->url);
    ptrdiff_t scheme = slice_search(url, SLICE_LIT("://"));
    if (scheme < 0)
        return usage(err, "not a URL: imap://user@host:port/ or imaps://...");
    struct slice rest = slice_from(url, (size_t)scheme + 3);
    if (rest.n > 0 && rest.p[rest.n - 1] == '/')
        rest.n--;
    ptrdiff_t at = slice_rfind(rest, '@');
    if (at <= 0 || slice_find(rest, '/') >= 0)
        return usage(err, "the URL is imap://user@host:port/");
    struct slice user = slice_sub(rest, 0, (size_t)at);
    if (slice_find(user, ':') >= 0)
        return usage(err, "no password in a URL: other users see it; use a file");
    s->user = unescape(user);
    if (!s->user)
        return usage(err, "the user in the URL cannot be read");
    struct buf endpoint;
    buf_init(&endpoint, 1024);
    int result = buf_addf(&endpoint, "%.*s://%.*s", SLICE_ARG(slice_sub(url, 0, (size_t)scheme)),
                     SLICE_ARG(slice_from(rest, (size_t)at + 1))) == 0
                     ? net_endpoint_parse(buf_slice(&endpoint), 0, &s->endpoint, err)
                     : -1;
    buf_fini(&endpoint);
    if (result == 0 && s->endpoint.scheme != NET_SCHEME_IMAP &&
        s->endpoint.scheme != NET_SCHEME_IMAPS)
        return usage(err, "the URL is imap:// or imaps://");
    return result;
}

static bool is_loopback(const char *host)
{
    struct net_addr addr;
    return strcmp(host, "localhost") == 0 ||
           (net_addr_parse(slice_str(host), &addr) == 0 && net_addr_is_loopback(&addr));
}

/* Needs s->endpoint and s->policy.tls. */
static int secure(struct side *s, const char *label, bool wants_tls, struct err *err)
{
    struct imap_place *p = &s->place;
    bool is_local = is_loopback(s->endpoint.host);
    p->label = label;
    p->host = s->endpoint.host;
    p->port = s->endpoint.port;
    p->tls_name = s->tls_name ? s->tls_name : s->endpoint.host;
    if (s->endpoint.scheme == NET_SCHEME_IMAPS)
        p->security = IMAP_SECURITY_TLS;
    else if (s->policy.tls == CONF_TLS_NONE || (is_local && !wants_tls))
        p->security = IMAP_SECURITY_NONE;
    else
        p->security = IMAP_SECURITY_STARTTLS;
    if (p->security == IMAP_SECURITY_NONE)
        return 0;
    if (s->policy.tls == CONF_TLS_NONE)
        s->policy.tls = CONF_TLS_VERIFY;
    return tls_ctx_client(&s->policy, &p->tls, err);
}

static const struct {
    const char *name;
    enum conf_tls tls;
} policies[] = {
    {"none", CONF_TLS_NONE},
    {"verify", CONF_TLS_VERIFY},
    {"encrypt", CONF_TLS_ENCRYPT},
    {"fingerprint", CONF_TLS_FINGERPRINT},
};

static int policy_from_args(const struct side_args *args, struct side *s, struct err *err)
{
    s->policy =
        (struct conf_server){.tls = args->fingerprint ? CONF_TLS_FINGERPRINT : CONF_TLS_VERIFY,
            .tls_ca_file = (char *)(uintptr_t)args->ca_file,
            .tls_fingerprint = (char *)(uintptr_t)args->fingerprint,
            .tls_min = (char *)(uintptr_t) "TLSv1.2",
            .tls_level = 1};
    if (!args->tls)
        return 0;
    for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
        if (strcmp(args->tls, policies[i].name) == 0) {
            s->policy.tls = policies[i].tls;
            return 0;
        }
    }
    return usage(err, "TLS is one of none, verify, encrypt, fingerprint");
}

static void finish(struct side *s, uint64_t timeout_ms)
{
    s->place.user = s->user;
    s->place.admin = s->admin;
    s->place.auth = s->auth;
    s->place.password = buf_slice(&s->password);
    s->place.timeout_ms = timeout_ms;
}

int side_from_args(const struct side_args *args, struct side *out, struct err *err)
{
    *out = (struct side){0};
    buf_init(&out->password, SECRET_MAX);
    out->admin = mem_strdup(args->admin);
    out->auth = mem_strdup(args->auth);
    out->tls_name = mem_strdup(args->tls_name);
    int result = parse_url(args, out, err);
    if (result == 0)
        result = policy_from_args(args, out, err);
    if (result == 0)
        result = secure(out, args->label, args->tls != NULL, err);
    if (result == 0 && args->password_file)
        result = secret_from_file(args->password_file, &out->password, err);
    else if (result == 0 && args->password_command)
        result = secret_from_command(args->password_command, &out->password, err);
    else if (result == 0)
        result = secret_from_terminal(args->label, args->url, &out->password, err);
    if (result != 0) {
        side_fini(out);
        return err_wrap(err, "%s", args->label);
    }
    finish(out, args->timeout_ms);
    return 0;
}

int side_from_conf(const struct conf_server *server, const char *label, const char *user,
    uint64_t timeout_ms, struct side *out, struct err *err)
{
    *out = (struct side){.policy = *server, .endpoint = server->imap};
    out->endpoint.host = mem_strdup(server->imap.host);
    buf_init(&out->password, SECRET_MAX);
    out->user = mem_strdup(user);
    out->admin = mem_strdup(server->imap_user);
    out->auth = mem_strdup(server->imap_auth);
    out->tls_name = mem_strdup(server->tls_name);
    int result = 0;
    if (!out->endpoint.host)
        result = err_set(err, ERR_PERM, EX_CONFIG, "the server has no imap address");
    else if (!server->imap_password_file)
        result = err_set(err, ERR_PERM, EX_CONFIG, "the server has no imap_password_file");
    if (result == 0)
        result =
            secure(out, label, server->tls != CONF_TLS_NONE && server->tls != CONF_TLS_MAY, err);
    if (result == 0)
        result = secret_from_file(server->imap_password_file, &out->password, err);
    if (result != 0) {
        side_fini(out);
        return err_wrap(err, "server \"%s\"", server->name);
    }
    finish(out, timeout_ms);
    out->place.is_named = true;
    return 0;
}

void side_fini(struct side *s)
{
    tls_ctx_free(&s->place.tls);
    net_endpoint_fini(&s->endpoint);
    mem_free_string(&s->user);
    mem_free_string(&s->admin);
    mem_free_string(&s->auth);
    mem_free_string(&s->tls_name);
    buf_fini_wipe(&s->password);
    s->place = (struct imap_place){0};
}
