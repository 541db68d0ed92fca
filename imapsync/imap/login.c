/* SPDX-License-Identifier: ISC */
/*
 * login: STARTTLS, capabilities, AUTHENTICATE or LOGIN, capabilities again, ENABLE.
 *
 * No credential leaves before TLS unless the place says that there is none.  PREAUTH is refused:
 * the session would belong to someone we did not choose, and before STARTTLS it is how an attacker
 * skips it (RFC 9051 11.1).  LOGINDISABLED is obeyed.  Referrals are not followed.
 */
#include "imapsync/imap/login.h"

#include <stdlib.h>
#include <sysexits.h>

#include "imapsync/imap/fault.h"
#include "imapsync/imap/sasl.h"

static int refuse(struct err *err, int code, const char *text)
{
    err_set(err, ERR_PERM, code, "%s", text);
    return err_scope_set(err, ERR_SCOPE_HOST);
}

static int simple(struct imap_conn *c, const char *command, const char *what, struct err *err)
{
    struct imap_outcome o = {0};
    struct imap_client *client = imap_conn_client(c);
    imap_cmd_begin(client, imap_outcome_set, &o);
    imap_cmd_text(client, command);
    imap_cmd_end(client);
    return imap_conn_check(c, &o, what, err);
}

static int learn(struct imap_conn *c, struct err *err)
{
    if (imap_client_has(imap_conn_client(c), IMAP_CAP_KNOWN))
        return 0;
    return simple(c, "CAPABILITY", "cannot ask for capabilities", err);
}

static int start_tls(struct imap_conn *c, struct err *err)
{
    struct imap_client *client = imap_conn_client(c);
    struct imap_outcome o = {0};
    if (learn(c, err) != 0)
        return -1;
    if (!imap_client_has(client, IMAP_CAP_STARTTLS))
        return refuse(err, EX_UNAVAILABLE, "the server does not offer TLS");
    imap_cmd_starttls(client, imap_outcome_set, &o);
    if (imap_conn_check(c, &o, "cannot start TLS", err) != 0)
        return -1;
    if (imap_conn_secure(c, err) != 0)
        return -1;
    imap_client_secured(client);
    return 0;
}

/* A NO to signing in without a code still means: not with this name and password. */
static int signed_in(struct imap_conn *c, const struct imap_outcome *o, struct err *err)
{
    if (imap_conn_check(c, o, "cannot sign in", err) == 0)
        return 0;
    if (err->class == ERR_PERM && err->code == EX_UNAVAILABLE)
        err->code = EX_NOPERM;
    if (err->class == ERR_PERM)
        err_scope_set(err, ERR_SCOPE_USER);
    return -1;
}

/* --- SASL ------------------------------------------------------------------------- */

struct exchange {
    struct imap_conn *conn;
    struct sasl *sasl;
    bool initial_was_sent;
    bool has_failed;
    struct err err;
    struct imap_outcome outcome;
};

static void on_challenge(void *arg, struct slice text)
{
    struct exchange *x = arg;
    const char *answer = "*";
    if (x->has_failed || sasl_step(x->sasl, text, &answer, &x->err) != 0) {
        x->has_failed = true;
        answer = "*"; /* RFC 9051 6.2.2: the client cancels */
    }
    imap_cmd_line(imap_conn_client(x->conn), answer);
}

static void on_authenticated(void *arg, const struct imap_response *r)
{
    struct exchange *x = arg;
    imap_outcome_set(&x->outcome, r);
}

static int authenticate(struct imap_conn *c, const char *mechanism, struct err *err)
{
    const struct imap_place *p = imap_conn_place(c);
    struct imap_client *client = imap_conn_client(c);
    struct sasl_identity id = {.authcid = p->admin ? p->admin : p->user,
        .authzid = p->admin ? p->user : NULL,
        .password = p->password};
    struct exchange x = {.conn = c};
    const char *initial = NULL;
    int result = -1;
    if (sasl_new(mechanism, &id, &x.sasl, err) != 0)
        return -1;
    /* LOGIN, the mechanism, lets the server speak first. */
    if (imap_client_has(client, IMAP_CAP_SASL_IR) && strcmp(mechanism, "LOGIN") != 0 &&
        sasl_step(x.sasl, SLICE_NONE, &initial, err) != 0)
        goto done;
    imap_client_forget_caps(client);
    imap_cmd_authenticate(client, mechanism, initial, on_challenge, on_authenticated, &x);
    if (imap_conn_wait(c, &x.outcome, err) != 0)
        goto done;
    if (x.has_failed) {
        *err = x.err;
        goto done;
    }
    result = signed_in(c, &x.outcome, err);
    /* SCRAM ends with the server's proof that it knows the password too. */
    if (result == 0 && !sasl_is_done(x.sasl))
        result = refuse(err, EX_NOPERM, "the server has not proved that it knows the password");
done:
    sasl_free(&x.sasl);
    return result;
}

static int login_command(struct imap_conn *c, struct err *err)
{
    const struct imap_place *p = imap_conn_place(c);
    struct imap_client *client = imap_conn_client(c);
    struct imap_outcome o = {0};
    if (p->admin)
        return refuse(err, EX_UNAVAILABLE,
            "the server offers no SASL mechanism by which an administrator can act for a user");
    if (imap_client_has(client, IMAP_CAP_LOGINDISABLED))
        return refuse(err, EX_UNAVAILABLE, "the server has disabled LOGIN and offers nothing else");
    imap_cmd_begin(client, imap_outcome_set, &o);
    imap_cmd_text(client, "LOGIN ");
    imap_cmd_astring(client, slice_str(p->user));
    imap_cmd_text(client, " ");
    imap_cmd_astring(client, p->password);
    imap_client_forget_caps(client);
    imap_cmd_end(client);
    return signed_in(c, &o, err);
}

/* In order of preference: PLAIN costs no extra round trip and can name another user. */
static const struct {
    const char *auth;
    const char *mechanism; /* NULL: the LOGIN command */
    unsigned cap;
} ways[] = {
    {"plain", "PLAIN", IMAP_CAP_AUTH_PLAIN},
    {"scram-sha-256", "SCRAM-SHA-256", IMAP_CAP_AUTH_SCRAM_SHA_256},
    {"scram-sha-1", "SCRAM-SHA-1", IMAP_CAP_AUTH_SCRAM_SHA_1},
    {"login", NULL, 0},
};

static int sign_in(struct imap_conn *c, struct err *err)
{
    const struct imap_place *p = imap_conn_place(c);
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        if (p->auth ? !slice_eq_nocase(slice_str(p->auth), slice_str(ways[i].auth))
                    : !imap_client_has(imap_conn_client(c), ways[i].cap))
            continue;
        return ways[i].mechanism ? authenticate(c, ways[i].mechanism, err) : login_command(c, err);
    }
    return refuse(err, EX_USAGE, "unknown way of signing in");
}

static void on_enabled(void *arg, const struct imap_response *r)
{
    (void)arg, (void)r;
}

static int secure_and_sign_in(struct imap_conn *c, struct err *err)
{
    struct imap_client *client = imap_conn_client(c);
    if (imap_client_session(client) == IMAP_SESSION_PREAUTH)
        return refuse(err, EX_NOPERM, "the server has signed us in by itself (PREAUTH): refused");
    if (imap_conn_place(c)->security == IMAP_SECURITY_STARTTLS && start_tls(c, err) != 0)
        return -1;
    if (learn(c, err) != 0 || sign_in(c, err) != 0 || learn(c, err) != 0)
        return -1;
    /* Nothing waits for the answer: STATUS shows what HIGHESTMODSEQ there is. */
    if (imap_client_has(client, IMAP_CAP_ENABLE | IMAP_CAP_CONDSTORE)) {
        imap_cmd_begin(client, on_enabled, NULL);
        imap_cmd_text(client, "ENABLE CONDSTORE");
        imap_cmd_end(client);
    }
    imap_conn_limit(c, 0);
    return 0;
}

int imap_login(
    const struct imap_place *place, struct imap_conn **out, bool *is_silent_out, struct err *err)
{
    struct imap_conn *c;
    if (imap_conn_open(place, &c, is_silent_out, err) != 0)
        return -1;
    if (secure_and_sign_in(c, err) != 0) {
        imap_conn_close(&c);
        return -1;
    }
    *out = c;
    return 0;
}
