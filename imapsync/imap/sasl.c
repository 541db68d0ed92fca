/* SPDX-License-Identifier: ISC */
/*
 * sasl: an adapter over GNU gsasl, which does all mechanisms but the two that carry an OAuth 2.0
 * token: the library has none of them, and they are one message (bearer.c).
 *
 * The library keeps its own copy of the password until sasl_free() ends the session.  GSSAPI asks
 * the KDC for a ticket within a step, which takes as long as krb5.conf lets it.
 */
#include "imapsync/imap/sasl.h"

#include <gsasl.h>
#include <string.h>
#include <stdlib.h>
#include <sysexits.h>

#include "base/core/mem.h"
#include "imapsync/imap/bearer.h"

#define MESSAGE_MAX 65536

struct sasl {
    enum mech mech;
    Gsasl *ctx; /* NULL with a token */
    Gsasl_session *session;
    struct buf message; /* with a token: what is said first, in base64 */
    unsigned n_steps;
    char *answer;
    char told[BEARER_TOLD_MAX];
    bool is_done;
};

static int fail(struct err *err, int rc)
{
    return err_set(err, ERR_PERM, EX_NOPERM, "cannot sign in: %s", gsasl_strerror(rc));
}

static void wipe_answer(struct sasl *s)
{
    if (s->answer) {
        explicit_bzero(s->answer, strlen(s->answer));
        gsasl_free(s->answer);
    }
    s->answer = NULL;
}

/* --- Tokens ------------------------------------------------------------------------ */

static int message(struct sasl *s, const struct sasl_identity *id, struct err *err)
{
    struct bearer b = {.user = id->authzid ? id->authzid : id->authcid,
        .host = id->port > 0 ? id->host : NULL,
        .port = id->port,
        .token = id->secret};
    struct buf raw;
    buf_init(&raw, MESSAGE_MAX / 2);
    int result = s->mech == MECH_XOAUTH2 ? bearer_xoauth2(&b, &raw) : bearer_oauthbearer(&b, &raw);
    char *text = NULL;
    size_t n = 0;
    if (result == 0 &&
        gsasl_base64_to((const char *)buf_slice(&raw).p, raw.n, &text, &n) == GSASL_OK)
        result = buf_add(&s->message, slice_make(text, n));
    else
        result = -1;
    if (text) {
        explicit_bzero(text, n);
        gsasl_free(text);
    }
    buf_fini_wipe(&raw);
    return result == 0 ? 0
                       : err_set(err, ERR_PERM, EX_CONFIG,
                             "cannot sign in: the access token or the user cannot be sent");
}

/* Behind the message comes success, or why there is none (RFC 7628 3.2.2): that is answered by a
 * dummy, after which the server refuses. */
static int bearer_step(
    struct sasl *s, struct slice challenge, const char **answer_out, struct err *err)
{
    if (s->n_steps++ == 0) {
        s->is_done = true;
        *answer_out = buf_cstr(&s->message);
        return 0;
    }
    if (s->n_steps > 2)
        return err_set(
            err, ERR_PEER, EX_PROTOCOL, "the server goes on asking behind the access token");
    char *plain = NULL;
    size_t n = 0;
    if (gsasl_base64_from((const char *)challenge.p, challenge.n, &plain, &n) == GSASL_OK) {
        bearer_told(slice_make(plain, n), s->told);
        gsasl_free(plain);
    } else {
        bearer_told(challenge, s->told);
    }
    *answer_out = s->mech == MECH_XOAUTH2 ? "" : "AQ==";
    return 0;
}

/* --- Everything else ----------------------------------------------------------------- */

static int bind_channel(struct sasl *s, const struct sasl_identity *id)
{
    /* Without -PLUS the library (2.2) takes no binding: it cannot say that we could have. */
    if (!id->binding || !mech_binds(s->mech))
        return GSASL_OK;
    char *text = NULL;
    size_t n = 0;
    int rc = gsasl_base64_to((const char *)id->binding->octets, id->binding->n, &text, &n);
    if (rc == GSASL_OK)
        rc = gsasl_property_set(s->session,
            id->binding->is_exporter ? GSASL_CB_TLS_EXPORTER : GSASL_CB_TLS_UNIQUE, text);
    gsasl_free(text);
    return rc;
}

static int start(struct sasl *s, const struct sasl_identity *id)
{
    char *password = slice_dup(id->secret);
    int rc = gsasl_init(&s->ctx);
    if (rc == GSASL_OK)
        rc = gsasl_client_start(s->ctx, mech_name(s->mech), &s->session);
    if (rc == GSASL_OK)
        rc = gsasl_property_set(s->session, GSASL_AUTHID, id->authcid);
    /* With a ticket it is the only name that the server is told. */
    if (rc == GSASL_OK && id->authzid &&
        (s->mech == MECH_GSSAPI || strcmp(id->authzid, id->authcid) != 0))
        rc = gsasl_property_set(s->session, GSASL_AUTHZID, id->authzid);
    if (rc == GSASL_OK && s->mech != MECH_GSSAPI)
        rc = gsasl_property_set(s->session, GSASL_PASSWORD, password);
    if (rc == GSASL_OK)
        rc = gsasl_property_set(s->session, GSASL_SERVICE, "imap");
    if (rc == GSASL_OK && id->host)
        rc = gsasl_property_set(s->session, GSASL_HOSTNAME, id->host);
    if (rc == GSASL_OK)
        rc = bind_channel(s, id);
    explicit_bzero(password, id->secret.n);
    free(password);
    return rc;
}

int sasl_new(enum mech mech, const struct sasl_identity *id, struct sasl **out, struct err *err)
{
    struct sasl *s = mem_zalloc(sizeof(*s));
    s->mech = mech;
    buf_init(&s->message, MESSAGE_MAX);
    int rc = GSASL_OK, result = 0;
    if (mech_secret(mech) == MECH_TOKEN)
        result = message(s, id, err);
    else
        rc = start(s, id);
    if (rc != GSASL_OK)
        result = fail(err, rc);
    if (result != 0) {
        sasl_free(&s);
        return -1;
    }
    *out = s;
    return 0;
}

int sasl_step(struct sasl *s, struct slice challenge, const char **answer_out, struct err *err)
{
    if (!s->session)
        return bearer_step(s, challenge, answer_out, err);
    char *input = slice_dup(challenge);
    wipe_answer(s);
    int rc = gsasl_step64(s->session, input, &s->answer);
    free(input);
    s->is_done = rc == GSASL_OK;
    if (rc != GSASL_OK && rc != GSASL_NEEDS_MORE)
        return fail(err, rc);
    *answer_out = s->answer ? s->answer : "";
    return 0;
}

bool sasl_is_done(const struct sasl *s)
{
    return s->is_done;
}

const char *sasl_told(const struct sasl *s)
{
    return s->told;
}

void sasl_free(struct sasl **s)
{
    if (!*s)
        return;
    wipe_answer(*s);
    if ((*s)->session)
        gsasl_finish((*s)->session);
    if ((*s)->ctx)
        gsasl_done((*s)->ctx);
    buf_fini_wipe(&(*s)->message);
    free(*s);
    *s = NULL;
}
