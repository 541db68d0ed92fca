/* SPDX-License-Identifier: ISC */
/* Signing in as a dialogue: what the server says, and what we say to that. */
#include <sysexits.h>

#include "base/core/buf.h"
#include "imapsync/imap/signin.h"
#include "tests/unit/unit.h"

#define LINES_MAX 12

static const char *const names[] = {"waits", "tls", "token", "done", "failed"};

/* The dialogue that begins with the greeting; the handshake is made as soon as it is asked for.
 */
static enum imap_signin_step talk(const struct imap_place *place, const char *const *lines,
    bool by_bytes, struct buf *sent, bool *is_refused, struct err *err)
{
    static const char *const tokens[] = {"t0ken-one", "t0ken-two", "t0ken-three"};
    size_t n_tokens = 0;
    struct imap_client *c = imap_client_new();
    struct imap_signin *s = imap_signin_new(c, place);
    enum imap_signin_step step = imap_signin_step(s, err);
    assert_int_equal(step, IMAP_SIGNIN_WAITS);
    for (size_t i = 0; i < LINES_MAX && lines[i] && step != IMAP_SIGNIN_FAILED; i++) {
        struct slice in = slice_str(lines[i]);
        while (in.n > 0 && step != IMAP_SIGNIN_FAILED) {
            struct slice part = by_bytes ? slice_sub(in, 0, 1) : in;
            in = slice_from(in, part.n);
            if (imap_client_feed(c, part, err) != 0) {
                step = IMAP_SIGNIN_FAILED;
                break;
            }
            step = imap_signin_step(s, err);
            if (step == IMAP_SIGNIN_WANTS_TLS && in.n == 0) {
                assert_int_equal(buf_add_str(sent, "<TLS>"), 0);
                imap_signin_secured(s);
                step = imap_signin_step(s, err);
            }
            if (step == IMAP_SIGNIN_WANTS_TOKEN) {
                assert_int_equal(buf_add_str(sent, "<TOKEN>"), 0);
                imap_signin_token(s, slice_str(tokens[n_tokens++]));
                step = imap_signin_step(s, err);
            }
            struct slice out = imap_client_out(c);
            assert_int_equal(buf_add(sent, out), 0);
            imap_client_sent(c, out.n);
        }
    }
    *is_refused = imap_signin_is_refused(s);
    imap_client_cancel(c);
    imap_signin_free(&s);
    imap_client_free(&c);
    return step;
}

#define CAPS "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] hi\r\n"
#define LOGIN_CAPS "* OK [CAPABILITY IMAP4rev1] hi\r\n"
#define STARTTLS_CAPS "* OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN SASL-IR] hi\r\n"
/* NUL ann NUL ann-secret; and with an administrator: ann NUL root NUL ann-secret. */
#define ANN "AGFubgBhbm4tc2VjcmV0"
#define ROOT "YW5uAHJvb3QAYW5uLXNlY3JldA=="

/* Of ann, at peer, with the first token of talk(); and with the second. */
#define XOAUTH2 "dXNlcj1hbm4BYXV0aD1CZWFyZXIgdDBrZW4tb25lAQE="
#define XOAUTH2_AGAIN "dXNlcj1hbm4BYXV0aD1CZWFyZXIgdDBrZW4tdHdvAQE="
#define OAUTHBEARER "bixhPWFubiwBaG9zdD1wZWVyAXBvcnQ9MTQzAWF1dGg9QmVhcmVyIHQwa2VuLW9uZQEB"

static void test_dialogues(void **state)
{
    static const struct row {
        const char *name;
        bool wants_starttls;
        const char *admin, *auth, *login;
        enum mech_secret secret;
        const char *lines[LINES_MAX];
        enum imap_signin_step end;
        const char *sent;
        enum err_class class;
        int code;
        enum err_scope scope;
        bool is_refused;
        const char *shown; /* in the error */
    } rows[] = {
        {"PLAIN with an initial response", .lines = {CAPS, "c1 OK [CAPABILITY IMAP4rev1] in\r\n"},
            .end = IMAP_SIGNIN_DONE, .sent = "c1 AUTHENTICATE PLAIN " ANN "\r\n"},
        {"capabilities are asked for where they are not told",
            .lines = {"* OK hi\r\n", "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nc1 OK\r\n", "+ \r\n",
                "c2 OK in\r\n", "* CAPABILITY IMAP4rev1\r\nc3 OK\r\n"},
            .end = IMAP_SIGNIN_DONE,
            .sent = "c1 CAPABILITY\r\nc2 AUTHENTICATE PLAIN\r\n" ANN "\r\nc3 CAPABILITY\r\n"},
        {"challenges without end",
            .lines = {CAPS, "+ \r\n", "+ \r\n", "+ \r\n", "+ \r\n", "+ \r\n", "+ \r\n", "+ \r\n",
                "+ \r\n", "+ \r\n", "+ \r\n", "+ \r\n"},
            .end = IMAP_SIGNIN_FAILED, .sent = NULL, ERR_PEER, EX_PROTOCOL, ERR_SCOPE_HOST},
        {"LOGIN", .lines = {LOGIN_CAPS, "c1 OK [CAPABILITY IMAP4rev1] in\r\n"},
            .end = IMAP_SIGNIN_DONE, .sent = "c1 LOGIN \"ann\" \"ann-secret\"\r\n"},
        {"CONDSTORE is enabled",
            .lines = {CAPS, "c1 OK [CAPABILITY IMAP4rev1 ENABLE CONDSTORE] in\r\n"},
            .end = IMAP_SIGNIN_DONE,
            .sent = "c1 AUTHENTICATE PLAIN " ANN "\r\nc2 ENABLE CONDSTORE\r\n"},
        {"an administrator", .admin = "root",
            .lines = {CAPS, "c1 OK [CAPABILITY IMAP4rev1] in\r\n"}, .end = IMAP_SIGNIN_DONE,
            .sent = "c1 AUTHENTICATE PLAIN " ROOT "\r\n"},
        {"an administrator has no LOGIN", .admin = "root", .lines = {LOGIN_CAPS},
            .end = IMAP_SIGNIN_FAILED, .sent = "", ERR_PERM, EX_UNAVAILABLE, ERR_SCOPE_HOST},
        {"LOGINDISABLED", .lines = {"* OK [CAPABILITY IMAP4rev1 LOGINDISABLED] hi\r\n"},
            .end = IMAP_SIGNIN_FAILED, .sent = "", ERR_PERM, EX_UNAVAILABLE, ERR_SCOPE_HOST},
        {"an unknown way", .auth = "smoke", .lines = {CAPS}, .end = IMAP_SIGNIN_FAILED, .sent = "",
            ERR_PERM, EX_USAGE, ERR_SCOPE_HOST},
        {"the way that was asked for", .auth = "login",
            .lines = {CAPS, "c1 OK [CAPABILITY IMAP4rev1] in\r\n"}, .end = IMAP_SIGNIN_DONE,
            .sent = "c1 LOGIN \"ann\" \"ann-secret\"\r\n"},
        {"STARTTLS", .wants_starttls = true,
            .lines = {STARTTLS_CAPS, "c1 OK go\r\n", "* CAPABILITY IMAP4rev1\r\nc2 OK\r\n",
                "c3 OK [CAPABILITY IMAP4rev1] in\r\n"},
            .end = IMAP_SIGNIN_DONE,
            .sent = "c1 STARTTLS\r\n<TLS>c2 CAPABILITY\r\nc3 LOGIN \"ann\" \"ann-secret\"\r\n"},
        {"no STARTTLS", .wants_starttls = true, .lines = {CAPS}, .end = IMAP_SIGNIN_FAILED,
            .sent = "", ERR_PERM, EX_UNAVAILABLE, ERR_SCOPE_HOST},
        {"STARTTLS is refused", .wants_starttls = true, .lines = {STARTTLS_CAPS, "c1 NO no\r\n"},
            .end = IMAP_SIGNIN_FAILED, .sent = "c1 STARTTLS\r\n", ERR_PERM, EX_UNAVAILABLE,
            ERR_SCOPE_NONE},
        {"PREAUTH", .lines = {"* PREAUTH [CAPABILITY IMAP4rev1] hi\r\n"}, .end = IMAP_SIGNIN_FAILED,
            .sent = "", ERR_PERM, EX_NOPERM, ERR_SCOPE_HOST},
        {"a wrong password", .lines = {CAPS, "c1 NO [AUTHENTICATIONFAILED] no\r\n"},
            .end = IMAP_SIGNIN_FAILED, .sent = "c1 AUTHENTICATE PLAIN " ANN "\r\n", ERR_PERM,
            EX_NOPERM, ERR_SCOPE_USER, .is_refused = true},
        {"a wrong password without a code", .lines = {CAPS, "c1 NO no\r\n"},
            .end = IMAP_SIGNIN_FAILED, .sent = "c1 AUTHENTICATE PLAIN " ANN "\r\n", ERR_PERM,
            EX_NOPERM, ERR_SCOPE_USER, .is_refused = true},
        {"a server that leaves", .lines = {CAPS, "* BYE shutting down\r\nc1 NO no\r\n"},
            .end = IMAP_SIGNIN_FAILED, .sent = "c1 AUTHENTICATE PLAIN " ANN "\r\n", ERR_TEMP,
            EX_TEMPFAIL, ERR_SCOPE_HOST},
        {"a server that leaves, LOGIN",
            .lines = {LOGIN_CAPS, "* BYE shutting down\r\nc1 NO no\r\n"}, .end = IMAP_SIGNIN_FAILED,
            .sent = "c1 LOGIN \"ann\" \"ann-secret\"\r\n", ERR_TEMP, EX_TEMPFAIL, ERR_SCOPE_HOST},
        {"a wrong password, and then it leaves",
            .lines = {CAPS, "c1 NO no\r\n* BYE and good day\r\n"}, .end = IMAP_SIGNIN_FAILED,
            .sent = "c1 AUTHENTICATE PLAIN " ANN "\r\n", ERR_PERM, EX_NOPERM, ERR_SCOPE_USER,
            .is_refused = true},
        {"not now", .lines = {CAPS, "c1 NO [UNAVAILABLE] later\r\n"}, .end = IMAP_SIGNIN_FAILED,
            .sent = "c1 AUTHENTICATE PLAIN " ANN "\r\n", ERR_TEMP, EX_TEMPFAIL, ERR_SCOPE_HOST},
        {"too many connections",
            .lines = {CAPS, "c1 NO [ALERT] Too many simultaneous connections\r\n"},
            .end = IMAP_SIGNIN_FAILED, .sent = "c1 AUTHENTICATE PLAIN " ANN "\r\n", ERR_TEMP,
            EX_TEMPFAIL, ERR_SCOPE_HOST},
        {"a limit", .lines = {CAPS, "c1 NO [LIMIT] enough\r\n"}, .end = IMAP_SIGNIN_FAILED,
            .sent = "c1 AUTHENTICATE PLAIN " ANN "\r\n", ERR_TEMP, EX_TEMPFAIL, ERR_SCOPE_HOST},
        {"may not act for this user", .admin = "root",
            .lines = {CAPS, "c1 NO [AUTHORIZATIONFAILED] no\r\n"}, .end = IMAP_SIGNIN_FAILED,
            .sent = "c1 AUTHENTICATE PLAIN " ROOT "\r\n", ERR_PERM, EX_NOPERM, ERR_SCOPE_USER},
        {"both in the name that signs in", .admin = "root", .login = "ann*root",
            .lines = {LOGIN_CAPS, "c1 OK [CAPABILITY IMAP4rev1] in\r\n"}, .end = IMAP_SIGNIN_DONE,
            .sent = "c1 LOGIN \"ann*root\" \"ann-secret\"\r\n"},
        {"the mechanism LOGIN",
            .lines = {"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=LOGIN LOGINDISABLED] hi\r\n",
                "+ VXNlciBOYW1lAA==\r\n", "+ UGFzc3dvcmQA\r\n",
                "c1 OK [CAPABILITY IMAP4rev1] in\r\n"},
            .end = IMAP_SIGNIN_DONE,
            .sent = "c1 AUTHENTICATE LOGIN\r\nYW5u\r\nYW5uLXNlY3JldA==\r\n"},
        {"XOAUTH2", .secret = MECH_TOKEN,
            .lines = {"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2] hi\r\n",
                "c1 OK [CAPABILITY IMAP4rev1] in\r\n"},
            .end = IMAP_SIGNIN_DONE, .sent = "<TOKEN>c1 AUTHENTICATE XOAUTH2 " XOAUTH2 "\r\n"},
        {"OAUTHBEARER comes first, and waits for its turn", .secret = MECH_TOKEN,
            .lines = {"* OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2 AUTH=OAUTHBEARER] hi\r\n", "+ \r\n",
                "c1 OK [CAPABILITY IMAP4rev1] in\r\n"},
            .end = IMAP_SIGNIN_DONE,
            .sent = "<TOKEN>c1 AUTHENTICATE OAUTHBEARER\r\n" OAUTHBEARER "\r\n"},
        {"a token that has ended is asked for once more", .secret = MECH_TOKEN,
            .lines = {"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hi\r\n",
                "+ eyJzdGF0dXMiOiI0MDEifQ==\r\n", "c1 NO [AUTHENTICATIONFAILED] no\r\n",
                "* CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2\r\nc2 OK\r\n",
                "c3 OK [CAPABILITY IMAP4rev1] in\r\n"},
            .end = IMAP_SIGNIN_DONE,
            .sent = "<TOKEN>c1 AUTHENTICATE XOAUTH2 " XOAUTH2 "\r\n\r\n<TOKEN>c2 CAPABILITY\r\n"
                    "c3 AUTHENTICATE XOAUTH2 " XOAUTH2_AGAIN "\r\n"},
        {"and then no more, with the reason", .secret = MECH_TOKEN,
            .lines = {"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hi\r\n",
                "+ eyJzdGF0dXMiOiI0MDEifQ==\r\n", "c1 NO no\r\n",
                "* CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2\r\nc2 OK\r\n",
                "+ eyJzdGF0dXMiOiI0MDEifQ==\r\n", "c3 NO no\r\n"},
            .end = IMAP_SIGNIN_FAILED, .sent = NULL, ERR_PERM, EX_NOPERM, ERR_SCOPE_USER,
            .is_refused = true, .shown = "{\"status\":\"401\"}"},
        {"a reason that shows the token is not shown", .secret = MECH_TOKEN,
            .lines = {"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hi\r\n",
                "+ YmFkIHQwa2VuLW9uZQ==\r\n", "c1 NO [UNAVAILABLE] no\r\n"},
            .end = IMAP_SIGNIN_FAILED, .sent = NULL, ERR_TEMP, EX_TEMPFAIL, ERR_SCOPE_HOST},
        {"a server without tokens", .secret = MECH_TOKEN, .lines = {CAPS},
            .end = IMAP_SIGNIN_FAILED, .sent = "", ERR_PERM, EX_UNAVAILABLE, ERR_SCOPE_HOST},
        {"a token is no password", .secret = MECH_TOKEN, .auth = "plain", .lines = {CAPS},
            .end = IMAP_SIGNIN_FAILED, .sent = "", ERR_PERM, EX_UNAVAILABLE, ERR_SCOPE_HOST},
        {"SCRAM before PLAIN",
            .lines = {"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN AUTH=SCRAM-SHA-1] hi\r\n"},
            .end = IMAP_SIGNIN_WAITS, .sent = "c1 AUTHENTICATE SCRAM-SHA-1\r\n"},
        {"the command comes back", .lines = {CAPS, "c1 BAD AUTHENTICATE PLAIN " ANN "\r\n"},
            .end = IMAP_SIGNIN_FAILED, .sent = "c1 AUTHENTICATE PLAIN " ANN "\r\n", ERR_PEER,
            EX_PROTOCOL, ERR_SCOPE_NONE},
        {"a part of it comes back", .lines = {LOGIN_CAPS, "c1 NO LOGIN ann ann-secr\r\n"},
            .end = IMAP_SIGNIN_FAILED, .sent = "c1 LOGIN \"ann\" \"ann-secret\"\r\n", ERR_PERM,
            EX_NOPERM, ERR_SCOPE_USER, .is_refused = true},
        {"a proof that is none", .auth = "scram-sha-1",
            .lines = {CAPS, "c1 OK [CAPABILITY IMAP4rev1] in\r\n"}, .end = IMAP_SIGNIN_FAILED,
            .sent = NULL, ERR_PERM, EX_NOPERM, ERR_SCOPE_HOST},
        {"nothing yet", .lines = {CAPS}, .end = IMAP_SIGNIN_WAITS,
            .sent = "c1 AUTHENTICATE PLAIN " ANN "\r\n"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        for (int by_bytes = 0; by_bytes < 2; by_bytes++) {
            const struct row *r = &rows[i];
            struct imap_place place = {.label = "source",
                .host = "peer",
                .port = 143,
                .security = r->wants_starttls ? IMAP_SECURITY_STARTTLS : IMAP_SECURITY_NONE,
                .user = "ann",
                .admin = r->admin,
                .login = r->login,
                .secret = r->secret,
                .password = SLICE_LIT("ann-secret"),
                .auth = r->auth};
            struct err err = ERR_INIT;
            struct buf sent;
            buf_init(&sent, 10000);
            bool is_refused;
            enum imap_signin_step end = talk(&place, r->lines, by_bytes, &sent, &is_refused, &err);
            if (end != r->end)
                fail_msg(
                    "row '%s': %s instead of %s: %s", r->name, names[end], names[r->end], err.text);
            assert_row(r->name, !r->sent || strcmp(buf_cstr(&sent), r->sent) == 0);
            assert_row(r->name, err.class == r->class && err.code == r->code);
            assert_row(r->name, err.scope == r->scope);
            assert_row(r->name, is_refused == r->is_refused);
            assert_row(r->name, !r->shown || strstr(err.text, r->shown));
            assert_row(r->name, !strstr(err.text, "t0ken"));
            assert_row(r->name, !strstr(err.text, "ann-secr") && !strstr(err.text, "AGFubg"));
            buf_fini(&sent);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dialogues),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
