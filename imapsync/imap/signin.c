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
#include "imapsync/imap/introduce.h"
#include "imapsync/imap/outcome.h"
#include "imapsync/imap/refusal.h"
#include "imapsync/imap/sasl.h"

enum signin_state {
    SIGNIN_GREETING,
    SIGNIN_ASKING,     /* CAPABILITY, before TLS where that is wanted */
    SIGNIN_STARTING,   /* STARTTLS */
    SIGNIN_SECURING,   /* the caller's handshake */
    SIGNIN_AWAITING,   /* the caller's token */
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
    bool is_behind_bye; /* what was answered came from a server that was leaving */
    struct tls_binding binding;
    bool has_binding;
    struct buf token; /* with MECH_TOKEN */
    bool has_tried;   /* with a token that was refused: */
    struct err why;
    bool is_refused;          /* name and password are wrong */
    struct sasl *sasl;        /* NULL with LOGIN */
    const char *kept_initial; /* too long for the command: for the first "+"; NULL: none */
    unsigned n_challenges;
    struct err err; /* of the SASL exchange, or why it has failed */
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

static const char *authcid(const struct imap_place *p)
{
    return p->login ? p->login : p->admin ? p->admin : p->user;
}

#define CHALLENGES_MAX 10 /* no mechanism has half as many */

static void on_challenge(void *arg, struct slice text)
{
    struct imap_signin *s = arg;
    const char *answer = s->kept_initial;
    s->kept_initial = NULL;
    if (s->n_challenges++ == CHALLENGES_MAX) {
        err_set(&s->err, ERR_PEER, EX_PROTOCOL, "the server asks on and on while we sign in");
        err_scope_set(&s->err, ERR_SCOPE_HOST);
        s->state = SIGNIN_FAILED;
    }
    if (!answer && (s->err.class != ERR_NONE || sasl_step(s->sasl, text, &answer, &s->err) != 0))
        answer = "*"; /* RFC 9051 6.2.2: the client cancels */
    imap_cmd_line(s->client, answer);
}

static void on_authenticated(void *arg, const struct imap_response *r)
{
    struct imap_signin *s = arg;
    imap_outcome_set(&s->outcome, r);
    s->is_behind_bye = imap_client_session(s->client) == IMAP_SESSION_BYE;
}

/* Longer commands than this are too long for some servers (RFC 4959 3). */
#define INITIAL_MAX 8000

static int authenticate(struct imap_signin *s, enum mech mech, struct err *err)
{
    const struct imap_place *p = s->place;
    const char *initial = NULL;
    struct sasl_identity id = {.authcid = authcid(p),
        /* A ticket's name is not for us to say: whose mailbox it is has to be. */
        .authzid = p->login              ? NULL
                   : mech == MECH_GSSAPI ? p->user
                   : p->admin            ? p->user
                                         : NULL,
        .secret = p->secret == MECH_TOKEN ? buf_slice(&s->token) : p->password,
        .host = p->tls_name ? p->tls_name : p->host,
        .port = p->port,
        .binding = s->has_binding ? &s->binding : NULL};
    sasl_free(&s->sasl);
    if (sasl_new(mech, &id, &s->sasl, err) != 0)
        return -1;
    if (imap_client_has(s->client, IMAP_CAP_SASL_IR) && mech_is_client_first(mech)) {
        if (sasl_step(s->sasl, SLICE_NONE, &initial, err) != 0)
            return -1;
        s->kept_initial = slice_str(initial).n > INITIAL_MAX ? initial : NULL;
    }
    imap_client_forget_caps(s->client);
    imap_cmd_authenticate(s->client, mech_name(mech), s->kept_initial ? NULL : initial,
        on_challenge, on_authenticated, s);
    return 0;
}

static void login_command(struct imap_signin *s)
{
    imap_cmd_begin(s->client, on_authenticated, s);
    imap_cmd_text(s->client, "LOGIN ");
    imap_cmd_astring(s->client, slice_str(authcid(s->place)));
    imap_cmd_text(s->client, " ");
    imap_cmd_astring(s->client, s->place->password);
    imap_client_forget_caps(s->client);
    imap_cmd_end(s->client);
}

static int sign_in(struct imap_signin *s, struct err *err)
{
    const struct imap_place *p = s->place;
    const struct mech_wish wish = {.named = p->auth,
        .secret = p->secret,
        .is_open = p->security == IMAP_SECURITY_NONE,
        .can_bind = s->has_binding,
        .is_unsure = s->binding.is_exporter,
        .is_admin = p->admin != NULL,
        .acts = p->admin && !p->login,
        .has_no_login = imap_client_has(s->client, IMAP_CAP_LOGINDISABLED)};
    const char *why;
    enum mech mech;
    if (!mech_choose(imap_client_limits(s->client).mechs, &wish, &mech, &why))
        return refuse(err, p->auth && !mech_named(p->auth, &mech) ? EX_USAGE : EX_UNAVAILABLE, why);
    if (p->secret == MECH_TOKEN && s->token.n == 0) {
        s->state = SIGNIN_AWAITING;
        return 0;
    }
    expect(s, SIGNIN_SIGNING_IN);
    imap_client_hide(s->client, p->secret == MECH_TOKEN ? buf_slice(&s->token) : p->password);
    if (mech == MECH_COMMAND)
        login_command(s);
    else
        return authenticate(s, mech, err);
    return 0;
}

/* What the server has said about the token tells more than its "NO". */
static int add_told(const struct imap_signin *s, struct err *err)
{
    const char *told = s->sasl ? sasl_told(s->sasl) : "";
    if (told[0] && !imap_client_hides(s->client, slice_str(told))) {
        struct err said = *err;
        err_set(err, said.class, said.code, "%s (%s)", said.text, told);
        err_scope_set(err, said.scope);
    }
    return -1;
}

/* A NO to signing in without a code still means: not with this name and password. */
static int refused(struct imap_signin *s, struct err *err)
{
    const struct imap_outcome *o = &s->outcome;
    fault(s, "cannot sign in", err);
    if (o->status != IMAP_STATUS_NO)
        return -1;
    switch (refusal_judge(o->code, o->text, s->is_behind_bye)) {
    case REFUSAL_LATER:
        err->class = ERR_TEMP;
        err->code = EX_TEMPFAIL;
        return err_scope_set(err, ERR_SCOPE_HOST);
    case REFUSAL_REAL:
        s->is_refused = true;
        err->class = ERR_PERM;
        err->code = EX_NOPERM;
        break;
    case REFUSAL_OTHER:
        break;
    }
    if (err->class == ERR_PERM && err->scope != ERR_SCOPE_HOST)
        err_scope_set(err, ERR_SCOPE_USER);
    return add_told(s, err);
}

/* It may have ended since it was got; the same again would end the same way. */
static bool wants_another_token(struct imap_signin *s, const struct err *err)
{
    if (s->place->secret != MECH_TOKEN || !s->is_refused || s->has_tried)
        return false;
    s->has_tried = true;
    s->is_refused = false;
    s->why = *err;
    s->state = SIGNIN_AWAITING;
    return true;
}

static int signed_in(struct imap_signin *s, struct err *err)
{
    if (s->err.class != ERR_NONE) {
        *err = s->err;
        return -1;
    }
    if (s->outcome.status != IMAP_STATUS_OK) {
        refused(s, err);
        return wants_another_token(s, err) ? 0 : -1;
    }
    /* SCRAM ends with the server's proof that it knows the password too. */
    if (s->sasl && !sasl_is_done(s->sasl))
        return refuse(err, EX_NOPERM, "the server has not proved that it knows the password");
    sasl_free(&s->sasl);
    ask(s, SIGNIN_LEARNING);
    return 0;
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
    if (s->is_secure && s->place->is_probe) {
        s->state = SIGNIN_DONE;
        return 0;
    }
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
        return signed_in(s, err);
    case SIGNIN_LEARNING:
        if (fault(s, "cannot ask for capabilities", err) != 0)
            return -1;
        imap_introduce(s->client);
        s->state = SIGNIN_DONE;
        return 0;
    case SIGNIN_SECURING:
    case SIGNIN_AWAITING:
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
    case SIGNIN_AWAITING:
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
           : s->state == SIGNIN_AWAITING ? IMAP_SIGNIN_WANTS_TOKEN
                                         : IMAP_SIGNIN_WAITS;
}

void imap_signin_secured(struct imap_signin *s)
{
    BUG_ON(s->state != SIGNIN_SECURING);
    imap_client_secured(s->client);
    s->is_secure = true;
    ask(s, SIGNIN_ASKING);
}

void imap_signin_bind(struct imap_signin *s, const struct tls_binding *binding)
{
    s->binding = *binding;
    s->has_binding = true;
}

struct slice imap_signin_refused_token(const struct imap_signin *s)
{
    return buf_slice(&s->token);
}

void imap_signin_token(struct imap_signin *s, struct slice token)
{
    BUG_ON(s->state != SIGNIN_AWAITING);
    if (token.n == 0 || token.n > IMAP_ACCESS_TOKEN_MAX || slice_eq(token, buf_slice(&s->token))) {
        s->state = SIGNIN_FAILED;
        s->is_refused = s->has_tried;
        s->err = s->why;
        if (!s->has_tried)
            refuse(&s->err, EX_CONFIG, "the access token is empty or too long");
        return;
    }
    buf_fini_wipe(&s->token);
    buf_init(&s->token, IMAP_ACCESS_TOKEN_MAX);
    BUG_ON(buf_add(&s->token, token) != 0);
    ask(s, SIGNIN_ASKING);
}

bool imap_signin_is_refused(const struct imap_signin *s)
{
    return s->state == SIGNIN_FAILED && s->is_refused;
}

struct imap_signin *imap_signin_new(struct imap_client *c, const struct imap_place *place)
{
    struct imap_signin *s = mem_zalloc(sizeof(*s));
    s->client = c;
    s->place = place;
    buf_init(&s->token, IMAP_ACCESS_TOKEN_MAX);
    return s;
}

void imap_signin_free(struct imap_signin **s)
{
    if (!*s)
        return;
    sasl_free(&(*s)->sasl);
    buf_fini_wipe(&(*s)->token);
    free(*s);
    *s = NULL;
}
