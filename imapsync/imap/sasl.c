/* SPDX-License-Identifier: ISC */
/*
 * sasl: an adapter over GNU gsasl.  PLAIN and LOGIN are what mail servers have; SCRAM comes with
 * the library.  The library keeps its own copy of the password until sasl_free() ends the session.
 */
#include "imapsync/imap/sasl.h"

#include <gsasl.h>
#include <string.h>
#include <stdlib.h>
#include <sysexits.h>

#include "base/core/mem.h"

struct sasl {
    Gsasl *ctx;
    Gsasl_session *session;
    char *answer;
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

int sasl_new(
    const char *mechanism, const struct sasl_identity *id, struct sasl **out, struct err *err)
{
    struct sasl *s = mem_zalloc(sizeof(*s));
    char *password = slice_dup(id->password);
    int rc = gsasl_init(&s->ctx);
    if (rc == GSASL_OK)
        rc = gsasl_client_start(s->ctx, mechanism, &s->session);
    if (rc == GSASL_OK)
        rc = gsasl_property_set(s->session, GSASL_AUTHID, id->authcid);
    if (rc == GSASL_OK && id->authzid && strcmp(id->authzid, id->authcid) != 0)
        rc = gsasl_property_set(s->session, GSASL_AUTHZID, id->authzid);
    if (rc == GSASL_OK)
        rc = gsasl_property_set(s->session, GSASL_PASSWORD, password);
    explicit_bzero(password, id->password.n);
    free(password);
    if (rc != GSASL_OK) {
        sasl_free(&s);
        return fail(err, rc);
    }
    *out = s;
    return 0;
}

int sasl_step(struct sasl *s, struct slice challenge, const char **answer_out, struct err *err)
{
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

void sasl_free(struct sasl **s)
{
    if (!*s)
        return;
    wipe_answer(*s);
    if ((*s)->session)
        gsasl_finish((*s)->session);
    if ((*s)->ctx)
        gsasl_done((*s)->ctx);
    free(*s);
    *s = NULL;
}
