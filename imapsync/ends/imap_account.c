/* SPDX-License-Identifier: ISC */
/*
 * imap_account: see imap_account.h.
 *
 * imaps:// is TLS from the first byte.  imap:// is STARTTLS, which must succeed, except towards a
 * loopback address, or where the administrator has said "none".
 */
#include "imapsync/ends/imap_account.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>

#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/os/sock.h"
#include "imapsync/ends/oauth.h"
#include "imapsync/ends/secret.h"

#define LOGIN_MAX 1024

static bool is_loopback(const char *host)
{
    struct net_addr addr;
    return strcmp(host, "localhost") == 0 ||
           (net_addr_parse(slice_str(host), &addr) == 0 && net_addr_is_loopback(&addr));
}

int imap_account_secure(struct imap_account *a, const char *label, bool wants_tls, struct err *err)
{
    struct imap_place *p = &a->place;
    bool is_local = is_loopback(a->endpoint.host);
    p->label = label;
    p->host = a->endpoint.host;
    p->port = a->endpoint.port;
    p->tls_name = a->tls_name ? a->tls_name : a->endpoint.host;
    if (a->endpoint.scheme == NET_SCHEME_IMAPS)
        p->security = IMAP_SECURITY_TLS;
    else if (a->policy.tls == CONF_TLS_NONE || (is_local && !wants_tls))
        p->security = IMAP_SECURITY_NONE;
    else
        p->security = IMAP_SECURITY_STARTTLS;
    if (p->security == IMAP_SECURITY_NONE)
        return 0;
    if (a->policy.tls == CONF_TLS_NONE)
        a->policy.tls = CONF_TLS_VERIFY;
    return tls_ctx_client(&a->policy, &p->tls, err);
}

/* Dovecot's master users and others sign in as "user*master". */
static int make_login(struct imap_account *a, struct err *err)
{
    struct buf name;
    buf_init(&name, LOGIN_MAX);
    if (buf_addf(&name, "%s%s%s", a->user, a->separator, a->admin) != 0) {
        buf_fini(&name);
        return err_set(err, ERR_PERM, EX_CONFIG, "the name to sign in by is too long");
    }
    a->login = buf_steal_cstr(&name);
    return 0;
}

enum mech_secret imap_account_secret(const char *auth)
{
    enum mech mech;
    return auth && mech_named(auth, &mech) ? mech_secret(mech) : MECH_PASSWORD;
}

int imap_account_finish(struct imap_account *a, uint64_t timeout_ms, struct err *err)
{
    if (a->separator && a->admin && make_login(a, err) != 0)
        return -1;
    a->place.avoided = &a->avoided;
    a->place.user = a->user;
    a->place.admin = a->admin;
    a->place.login = a->login;
    a->place.secret = a->place.tokens.get ? MECH_TOKEN : imap_account_secret(a->auth);
    a->place.auth = a->auth;
    a->place.password = buf_slice(&a->password);
    a->place.timeout_ms = timeout_ms;
    if (imap_end_maker_init(&a->end, &a->place, err) != 0)
        return -1;
    a->end.manner = a->manner;
    return 0;
}

/* What is known before anybody has connected. */
static const struct profile *profile_of(const struct imap_account *a)
{
    const struct profile *p = a->manner.profile;
    return p ? p : profile_recognise(slice_str(a->place.host), SLICE_NONE, SLICE_NONE);
}

static void apply(const struct imap_account *a)
{
    imap_manner_apply(&a->manner, profile_of(a), &a->place);
}

bool imap_account_forecast(
    const struct imap_account *a, struct profile_work *w, struct profile_forecast *out)
{
    const struct profile p = imap_manner_profile(&a->manner, profile_of(a));
    if (a->place.day)
        w->used = imap_day_used(a->place.day, clock_wall_s(), w->is_up ? DAY_UP : DAY_DOWN);
    return profile_forecast(&p, w, out);
}

void imap_account_count(struct imap_account *a, const char *path)
{
    a->place.day = imap_day_of(path);
    apply(a);
}

static void manner_of(const struct conf_server *s, struct imap_account *out)
{
    out->manner = (struct imap_manner){
        .profile = s->imap_profile ? profile_named(slice_str(s->imap_profile)) : NULL,
        .rates = {.connections = s->imap_connections,
            .signins = s->imap_signin_rate,
            .commands = s->imap_command_rate,
            .octets = s->imap_rate},
        .day = s->imap_day};
    out->place.compress = (enum imap_compress_when)s->imap_compress;
    out->place.server = imap_server_of(s->name);
}

static struct imap_tokens tokens_of(const struct conf_strings *command, const char *user)
{
    char **argv = mem_zalloc((command->n + 1) * sizeof(*argv));
    memcpy(argv, command->v, command->n * sizeof(*argv));
    struct imap_tokens tokens = oauth_from_command(argv, user);
    free(argv);
    return tokens;
}

int imap_account_from_conf(const struct conf_server *server, const char *label, const char *user,
    uint64_t timeout_ms, struct imap_account *out, struct err *err)
{
    *out = (struct imap_account){.policy = *server, .endpoint = server->imap};
    out->endpoint.host = mem_strdup(server->imap.host);
    buf_init(&out->password, SECRET_MAX);
    out->user = mem_strdup(user);
    out->admin = mem_strdup(server->imap_user);
    out->auth = mem_strdup(server->imap_auth);
    out->separator = mem_strdup(server->imap_user_separator);
    out->tls_name = mem_strdup(server->tls_name);
    int result = 0;
    if (!out->endpoint.host)
        result = err_set(err, ERR_PERM, EX_CONFIG, "the server has no imap address");
    else if (!server->imap_password_file && server->imap_token_command.n == 0 &&
             !server->imap_token_file && imap_account_secret(out->auth) == MECH_PASSWORD)
        result = err_set(err, ERR_PERM, EX_CONFIG,
            "the server has neither imap_password_file nor access tokens");
    if (result == 0)
        result = imap_account_secure(
            out, label, server->tls != CONF_TLS_NONE && server->tls != CONF_TLS_MAY, err);
    if (result == 0 && server->imap_password_file)
        result = secret_from_file(server->imap_password_file, &out->password, err);
    out->place.is_named = true;
    out->place.gate = imap_gate_of(server->name);
    manner_of(server, out);
    if (server->imap_token_command.n > 0)
        out->place.tokens = tokens_of(&server->imap_token_command, user);
    else if (server->imap_token_file)
        out->place.tokens = oauth_from_file(server->imap_token_file);
    if (result == 0)
        result = imap_account_finish(out, timeout_ms, err);
    if (result == 0)
        apply(out);
    if (result != 0) {
        imap_account_fini(out);
        return err_wrap(err, "server \"%s\"", server->name);
    }
    return 0;
}

bool imap_account_own(const struct imap_account *a, struct imap_own *out)
{
    struct err ignored = ERR_INIT;
    if (!a->place.admin || a->place.login || a->place.secret != MECH_PASSWORD)
        return false;
    out->place = a->place;
    out->place.user = a->place.admin;
    out->place.admin = NULL;
    /* That he has no mailbox is no reason to keep users waiting. */
    out->place.gate = NULL;
    out->place.server = NULL;
    out->place.day = NULL;
    out->wrong_place = out->place;
    out->wrong_place.password = SLICE_LIT("no password: does this server let everybody in?");
    return imap_end_maker_init(&out->end, &out->place, &ignored) == 0 &&
           imap_end_maker_init(&out->wrong, &out->wrong_place, &ignored) == 0;
}

void imap_own_fini(struct imap_own *o)
{
    if (o->place.user) {
        imap_end_maker_fini(&o->end);
        imap_end_maker_fini(&o->wrong);
    }
    *o = (struct imap_own){0};
}

bool imap_account_waits(const char *server)
{
    return imap_gate_is_closed(imap_gate_of(server), clock_mono_ms());
}

void imap_account_try_again(void)
{
    imap_gates_open();
}

void imap_account_fini(struct imap_account *a)
{
    imap_end_maker_fini(&a->end);
    tls_ctx_free(&a->place.tls);
    net_endpoint_fini(&a->endpoint);
    mem_free_string(&a->user);
    mem_free_string(&a->admin);
    mem_free_string(&a->auth);
    mem_free_string(&a->separator);
    mem_free_string(&a->login);
    mem_free_string(&a->tls_name);
    buf_fini_wipe(&a->password);
    a->place = (struct imap_place){0};
}

#define ADDRESSES_MAX 16

/* Loopback addresses are as good as one. */
static bool is_same_host(const char *a, const char *b)
{
    struct net_addr x[ADDRESSES_MAX], y[ADDRESSES_MAX];
    size_t n_x, n_y;
    struct err ignored = ERR_INIT;
    if (strcasecmp(a, b) == 0)
        return true;
    if (sock_resolve(a, x, ADDRESSES_MAX, &n_x, &ignored) != 0 ||
        sock_resolve(b, y, ADDRESSES_MAX, &n_y, &ignored) != 0)
        return false;
    for (size_t i = 0; i < n_x; i++) {
        for (size_t k = 0; k < n_y; k++) {
            if (net_addr_eq(&x[i], &y[k]) ||
                (net_addr_is_loopback(&x[i]) && net_addr_is_loopback(&y[k])))
                return true;
        }
    }
    return false;
}

bool imap_account_is_same(const struct imap_account *a, const struct imap_account *b)
{
    return a->place.port == b->place.port && strcasecmp(a->user, b->user) == 0 &&
           is_same_host(a->place.host, b->place.host);
}
