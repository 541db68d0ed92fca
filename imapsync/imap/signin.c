/* SPDX-License-Identifier: ISC */
/*
 * signin: STARTTLS, capabilities, AUTHENTICATE or LOGIN, capabilities again, ENABLE.
 *
 * No credential leaves before TLS unless the place says that there is none.  PREAUTH is refused:
 * the session would belong to someone we did not choose, and before STARTTLS it is how an attacker
 * skips it (RFC 9051 11.1).  LOGINDISABLED is obeyed.  Referrals are not followed.  A password is
 * tried once only, so that no account is locked because of us, and no text that repeats it is
 * shown.
 */
#include "imapsync/imap/signin.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/core/mem.h"
#include "imapsync/imap/fault.h"
#include "imapsync/imap/outcome.h"
#include "imapsync/imap/sasl.h"

enum signin_state {
    SIGNIN_GREETING,
    SIGNIN_ASKING,     /* CAPABILITY, before TLS where that is wanted */
    SIGNIN_STARTING,   /* STARTTLS */
    SIGNIN_SECURING,   /* the caller's handshake */
    SIGNIN_SIGNING_IN, /* AUTHENTICATE or LOGIN */
    SIGNIN_LEARNING,   /* CAPABILITY, behind it */
    SIGNIN_DONE,
    SIGNIN_FAILED,
};

struct imap_signin {
    struct imap_client *client;
    const struct imap_place *place;
    enum signin_state state;
    bool is_secure; /* or needs not be */
    struct imap_outcome outcome;
    struct sasl *sasl; /* NULL with LOGIN */
    struct err err;    /* of the SASL exchange, or why it has failed */
};

static int refuse(struct err *err, int code, const char *text)
{
    err_set(err, ERR_PERM, code, "%s", text);
    return err_scope_set(err, ERR_SCOPE_HOST);
}

static void expect(struct imap_signin *s, enum signin_state state)
{
    s->state = state;
    s->outcome = (struct imap_outcome){0};
}

static void ask(struct imap_signin *s, enum signin_state state)
{
    expect(s, state);
    if (imap_client_has(s->client, IMAP_CAP_KNOWN)) {
        s->outcome.is_done = true;
        return;
    }
    imap_cmd_begin(s->client, imap_outcome_set, &s->outcome);
    imap_cmd_text(s->client, "CAPABILITY");
    imap_cmd_end(s->client);
}

static int fault(const struct imap_signin *s, const char *what, struct err *err)
{
    const struct imap_outcome *o = &s->outcome;
    return o->status == IMAP_STATUS_OK ? 0
                                       : imap_fault_parts(o->status, o->code, o->text, what, err);
}

/* --- Signing in -------------------------------------------------------------------- */

static void on_challenge(void *arg, struct slice text)
{
    struct imap_signin *s = arg;
    const char *answer = "*";
    if (s->err.class != ERR_NONE || sasl_step(s->sasl, text, &answer, &s->err) != 0)
        answer = "*"; /* RFC 9051 6.2.2: the client cancels */
    imap_cmd_line(s->client, answer);
}

static void on_authenticated(void *arg, const struct imap_response *r)
{
    struct imap_signin *s = arg;
    imap_outcome_set(&s->outcome, r);
}

static int authenticate(struct imap_signin *s, const char *mechanism, struct err *err)
{
    const struct imap_place *p = s->place;
    struct sasl_identity id = {.authcid = p->admin ? p->admin : p->user,
        .authzid = p->admin ? p->user : NULL,
        .password = p->password};
    const char *initial = NULL;
    if (sasl_new(mechanism, &id, &s->sasl, err) != 0)
        return -1;
    /* LOGIN, the mechanism, lets the server speak first. */
    if (imap_client_has(s->client, IMAP_CAP_SASL_IR) && strcmp(mechanism, "LOGIN") != 0 &&
        sasl_step(s->sasl, SLICE_NONE, &initial, err) != 0)
        return -1;
    imap_client_forget_caps(s->client);
    imap_cmd_authenticate(s->client, mechanism, initial, on_challenge, on_authenticated, s);
    return 0;
}

static int login_command(struct imap_signin *s, struct err *err)
{
    if (s->place->admin)
        return refuse(err, EX_UNAVAILABLE,
            "the server offers no SASL mechanism by which an administrator can act for a user");
    if (imap_client_has(s->client, IMAP_CAP_LOGINDISABLED))
        return refuse(err, EX_UNAVAILABLE, "the server has disabled LOGIN and offers nothing else");
    imap_cmd_begin(s->client, imap_outcome_set, &s->outcome);
    imap_cmd_text(s->client, "LOGIN ");
    imap_cmd_astring(s->client, slice_str(s->place->user));
    imap_cmd_text(s->client, " ");
    imap_cmd_astring(s->client, s->place->password);
    imap_client_forget_caps(s->client);
    imap_cmd_end(s->client);
    return 0;
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

static int sign_in(struct imap_signin *s, struct err *err)
{
    const struct imap_place *p = s->place;
    expect(s, SIGNIN_SIGNING_IN);
    imap_client_hide(s->client, p->password);
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        if (p->auth ? slice_eq_nocase(slice_str(p->auth), slice_str(ways[i].auth))
                    : imap_client_has(s->client, ways[i].cap))
            return ways[i].mechanism ? authenticate(s, ways[i].mechanism, err)
                                     : login_command(s, err);
    }
    return refuse(err, EX_USAGE, "unknown way of signing in");
}

/* A NO to signing in without a code still means: not with this name and password. */
static int signed_in(struct imap_signin *s, struct err *err)
{
    if (s->err.class != ERR_NONE) {
        *err = s->err;
        return -1;
    }
    if (fault(s, "cannot sign in", err) != 0) {
        if (err->class == ERR_PERM && err->code == EX_UNAVAILABLE)
            err->code = EX_NOPERM;
        if (err->class == ERR_PERM)
            err_scope_set(err, ERR_SCOPE_USER);
        return -1;
    }
    /* SCRAM ends with the server's proof that it knows the password too. */
    if (s->sasl && !sasl_is_done(s->sasl))
        return refuse(err, EX_NOPERM, "the server has not proved that it knows the password");
    sasl_free(&s->sasl);
    return 0;
}

static void on_enabled(void *arg, const struct imap_response *r)
{
    (void)arg, (void)r;
}

/* Nothing waits for the answer: STATUS shows what HIGHESTMODSEQ there is. */
static void enable(struct imap_signin *s)
{
    s->state = SIGNIN_DONE;
    if (!imap_client_has(s->client, IMAP_CAP_ENABLE | IMAP_CAP_CONDSTORE))
        return;
    imap_cmd_begin(s->client, on_enabled, NULL);
    imap_cmd_text(s->client, "ENABLE CONDSTORE");
    imap_cmd_end(s->client);
}

/* --- Steps -------------------------------------------------------------------------- */

static int greeted(struct imap_signin *s, struct err *err)
{
    if (imap_client_session(s->client) == IMAP_SESSION_PREAUTH)
        return refuse(err, EX_NOPERM, "the server has signed us in by itself (PREAUTH): refused");
    s->is_secure = s->place->security != IMAP_SECURITY_STARTTLS;
    ask(s, SIGNIN_ASKING);
    return 0;
}

static int asked(struct imap_signin *s, struct err *err)
{
    if (fault(s, "cannot ask for capabilities", err) != 0)
        return -1;
    if (s->is_secure)
        return sign_in(s, err);
    if (!imap_client_has(s->client, IMAP_CAP_STARTTLS))
        return refuse(err, EX_UNAVAILABLE, "the server does not offer TLS");
    expect(s, SIGNIN_STARTING);
    imap_cmd_starttls(s->client, imap_outcome_set, &s->outcome);
    return 0;
}

/* What has happened is known: what comes next? */
static int go_on(struct imap_signin *s, struct err *err)
{
    switch (s->state) {
    case SIGNIN_GREETING:
        return greeted(s, err);
    case SIGNIN_ASKING:
        return asked(s, err);
    case SIGNIN_STARTING:
        s->state = SIGNIN_SECURING;
        return fault(s, "cannot start TLS", err);
    case SIGNIN_SIGNING_IN:
        if (signed_in(s, err) != 0)
            return -1;
        ask(s, SIGNIN_LEARNING);
        return 0;
    case SIGNIN_LEARNING:
        if (fault(s, "cannot ask for capabilities", err) != 0)
            return -1;
        enable(s);
        return 0;
    case SIGNIN_SECURING:
    case SIGNIN_DONE:
    case SIGNIN_FAILED:
        break;
    }
    BUG("imap_signin has nothing to go on with");
}

static bool can_go_on(const struct imap_signin *s)
{
    switch (s->state) {
    case SIGNIN_GREETING:
        return imap_client_session(s->client) != IMAP_SESSION_GREETING &&
               imap_client_session(s->client) != IMAP_SESSION_BYE;
    case SIGNIN_ASKING:
    case SIGNIN_STARTING:
    case SIGNIN_SIGNING_IN:
    case SIGNIN_LEARNING:
        return s->outcome.is_done;
    case SIGNIN_SECURING:
    case SIGNIN_DONE:
    case SIGNIN_FAILED:
        return false;
    }
    BUG("imap_signin state");
}

enum imap_signin_step imap_signin_step(struct imap_signin *s, struct err *err)
{
    while (can_go_on(s)) {
        struct err why = ERR_INIT;
        if (go_on(s, &why) != 0) {
            s->state = SIGNIN_FAILED;
            s->err = why;
        }
    }
    if (s->state == SIGNIN_FAILED && err)
        *err = s->err;
    return s->state == SIGNIN_DONE       ? IMAP_SIGNIN_DONE
           : s->state == SIGNIN_FAILED   ? IMAP_SIGNIN_FAILED
           : s->state == SIGNIN_SECURING ? IMAP_SIGNIN_WANTS_TLS
                                         : IMAP_SIGNIN_WAITS;
}

void imap_signin_secured(struct imap_signin *s)
{
    BUG_ON(s->state != SIGNIN_SECURING);
    imap_client_secured(s->client);
    s->is_secure = true;
    ask(s, SIGNIN_ASKING);
}

struct imap_signin *imap_signin_new(struct imap_client *c, const struct imap_place *place)
{
    struct imap_signin *s = mem_zalloc(sizeof(*s));
    s->client = c;
    s->place = place;
    return s;
}

void imap_signin_free(struct imap_signin **s)
{
    if (!*s)
        return;
    sasl_free(&(*s)->sasl);
    free(*s);
    *s = NULL;
}
