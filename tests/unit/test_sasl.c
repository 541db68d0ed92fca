/* SPDX-License-Identifier: ISC */
/* The octets of each mechanism, by the examples of their RFCs or against GNU gsasl's own servers.
 */
#include <gsasl.h>
#include <stdlib.h>
#include <sysexits.h>

#include "base/core/buf.h"
#include "base/core/mem.h"
#include "imapsync/imap/sasl.h"
#include "tests/unit/unit.h"

#define BASE64_MAX 2000

/* The library's own random octets would be in the way of RFC 5802's example. */
int gsasl_nonce(char *out, size_t n)
{
    static const char *const text = "fyko+d2lbbFgONRv9qkxdawL";
    char *octets = NULL;
    size_t size = 0;
    assert_int_equal(gsasl_base64_from(text, strlen(text), &octets, &size), GSASL_OK);
    for (size_t i = 0; i < n; i++)
        out[i] = octets[i % size];
    gsasl_free(octets);
    return GSASL_OK;
}

static void encode(const char *text, char out[BASE64_MAX])
{
    char *coded = NULL;
    size_t n = 0;
    assert_int_equal(gsasl_base64_to(text, strlen(text), &coded, &n), GSASL_OK);
    assert_true(n < BASE64_MAX);
    memcpy(out, coded, n + 1);
    gsasl_free(coded);
}

/* One exchange: what the server says, in the clear ("" first, where the client begins), and what is
 * answered. */
static void test_examples(void **state)
{
    static const struct row {
        const char *name;
        enum mech mech;
        struct sasl_identity id;
        const char *said[4], *answered[4];
    } rows[] = {
        {"RFC 4616, section 4, first", MECH_PLAIN,
            {.authcid = "tim", .secret = SLICE_LIT("tanstaaftanstaaf")}, {""}, {NULL}},
        {"RFC 2195, section 2", MECH_CRAM_MD5,
            {.authcid = "tim", .secret = SLICE_LIT("tanstaaftanstaaf")},
            {"<1896.697170952@postoffice.reston.mci.net>"},
            {"tim b913a602c7eda7a495b4e6e7334d3890"}},
        {"RFC 5802, section 5", MECH_SCRAM_SHA_1,
            {.authcid = "user", .secret = SLICE_LIT("pencil")},
            {"", "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
                "v=rmF9pqV8S7suAoZWja4dJRkFsKQ="},
            {"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
                "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+"
                "HI4Ts=",
                ""}},
        {"RFC 7628, section 4.1", MECH_OAUTHBEARER,
            {.authcid = "user@example.com",
                .host = "server.example.com",
                .port = 143,
                .secret = SLICE_LIT("vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==")},
            {""},
            {"n,a=user@example.com,\001host=server.example.com\001port=143\001"
             "auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\001\001"}},
        {"RFC 7628, section 4.3: an error", MECH_OAUTHBEARER,
            {.authcid = "a,=b", .secret = SLICE_LIT("t")}, {"", "{\"status\":\"invalid_token\"}"},
            {"n,a=a=2C=3Db,\001auth=Bearer t\001\001", "\001"}},
        {"XOAUTH2, as Google's page has it", MECH_XOAUTH2,
            {.authcid = "someuser@example.com",
                .host = "server.example.com",
                .port = 143,
                .secret = SLICE_LIT("ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg")},
            {"", "{\"status\":\"401\",\"schemes\":\"bearer\",\"scope\":\"https://mail.google.com/"
                 "\"}"},
            {"user=someuser@example.com\001"
             "auth=Bearer ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg\001\001",
                ""}},
        {"XOAUTH2 for another", MECH_XOAUTH2,
            {.authcid = "root", .authzid = "ann", .secret = SLICE_LIT("t")}, {""},
            {"user=ann\001auth=Bearer t\001\001"}},
        {"LOGIN", MECH_LOGIN, {.authcid = "tim", .secret = SLICE_LIT("tanstaaf")},
            {"User Name", "Password"}, {"tim", "tanstaaf"}},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct sasl *s = NULL;
        struct err err = ERR_INIT;
        assert_row(rows[i].name, sasl_new(rows[i].mech, &rows[i].id, &s, &err) == 0);
        for (size_t k = 0; k < COUNT_OF(rows[i].said) && rows[i].said[k]; k++) {
            char said[BASE64_MAX], wanted[BASE64_MAX];
            const char *answer;
            encode(rows[i].said[k], said);
            if (sasl_step(s, slice_str(said), &answer, &err) != 0)
                fail_msg("row '%s': %s", rows[i].name, err.text);
            if (!rows[i].answered[k])
                continue;
            encode(rows[i].answered[k], wanted);
            if (strcmp(answer, wanted) != 0)
                fail_msg("row '%s': '%s' instead of '%s'", rows[i].name, answer, wanted);
        }
        assert_row(rows[i].name, sasl_is_done(s));
        sasl_free(&s);
    }
}

/* RFC 4616 4: NUL is no end. */
static void test_plain(void **state)
{
    static const struct {
        const char *authcid, *authzid, *wanted;
    } rows[] = {
        {"tim", NULL, "AHRpbQB0YW5zdGFhZnRhbnN0YWFm"},
        {"tim", "tim", "AHRpbQB0YW5zdGFhZnRhbnN0YWFm"},
        {"Kurt", "Ursel", "VXJzZWwAS3VydAB0YW5zdGFhZnRhbnN0YWFm"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct sasl_identity id = {.authcid = rows[i].authcid,
            .authzid = rows[i].authzid,
            .secret = SLICE_LIT("tanstaaftanstaaf")};
        struct sasl *s = NULL;
        struct err err = ERR_INIT;
        const char *answer;
        assert_int_equal(sasl_new(MECH_PLAIN, &id, &s, &err), 0);
        assert_int_equal(sasl_step(s, SLICE_NONE, &answer, &err), 0);
        assert_string_equal(answer, rows[i].wanted);
        sasl_free(&s);
    }
}

/* --- Against the library's servers --------------------------------------------------------- */

static char binding_text[BASE64_MAX];

static int on_server(Gsasl *ctx, Gsasl_session *session, Gsasl_property property)
{
    (void)ctx;
    if (property == GSASL_PASSWORD)
        return gsasl_property_set(session, GSASL_PASSWORD, "pencil");
    if (property == GSASL_CB_TLS_EXPORTER)
        return gsasl_property_set(session, GSASL_CB_TLS_EXPORTER, binding_text);
    return GSASL_NO_CALLBACK;
}

static void test_servers(void **state)
{
    static const struct tls_binding binding = {true, "0123456789abcdef0123456789abcdef", 32};
    static const struct tls_binding other = {true, "0123456789abcdef0123456789abcdee", 32};
    static const struct row {
        const char *name;
        enum mech mech;
        const struct tls_binding *binding;
        const char *server; /* as which mechanism it takes it */
        const char *begins; /* what is said first, in the clear */
        bool is_ok;
    } rows[] = {
        {"SHA-256", MECH_SCRAM_SHA_256, NULL, "SCRAM-SHA-256", "n,a=Ursel,n=user,", true},
        {"SHA-256, bound", MECH_SCRAM_SHA_256_PLUS, &binding, "SCRAM-SHA-256-PLUS",
            "p=tls-exporter,a=Ursel,n=user,", true},
        {"SHA-1, bound", MECH_SCRAM_SHA_1_PLUS, &binding, "SCRAM-SHA-1-PLUS",
            "p=tls-exporter,a=Ursel,n=user,", true},
        {"bound to another channel", MECH_SCRAM_SHA_256_PLUS, &other, "SCRAM-SHA-256-PLUS",
            "p=tls-exporter,a=Ursel,n=user,", false},
        {"not bound, though it could be", MECH_SCRAM_SHA_256, &binding, "SCRAM-SHA-256",
            "n,a=Ursel,n=user,", true},
    };
    (void)state;
    encode("0123456789abcdef0123456789abcdef", binding_text);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct sasl_identity id = {.authcid = "user",
            .authzid = "Ursel",
            .secret = SLICE_LIT("pencil"),
            .binding = rows[i].binding};
        Gsasl *ctx;
        Gsasl_session *server;
        struct sasl *s = NULL;
        struct err err = ERR_INIT;
        const char *answer = "";
        char *said = NULL;
        int rc = GSASL_NEEDS_MORE, result = 0;
        assert_int_equal(gsasl_init(&ctx), GSASL_OK);
        gsasl_callback_set(ctx, on_server);
        assert_int_equal(gsasl_server_start(ctx, rows[i].server, &server), GSASL_OK);
        assert_int_equal(sasl_new(rows[i].mech, &id, &s, &err), 0);
        for (int n = 0; n < 4 && rc == GSASL_NEEDS_MORE && result == 0; n++) {
            result = sasl_step(s, said ? slice_str(said) : SLICE_NONE, &answer, &err);
            if (n == 0) {
                char *first = NULL;
                size_t size = 0;
                assert_int_equal(
                    gsasl_base64_from(answer, strlen(answer), &first, &size), GSASL_OK);
                assert_row(
                    rows[i].name, strncmp(first, rows[i].begins, strlen(rows[i].begins)) == 0);
                gsasl_free(first);
            }
            gsasl_free(said);
            said = NULL;
            if (result == 0)
                rc = gsasl_step64(server, answer, &said);
        }
        if (result == 0 && said)
            result = sasl_step(s, slice_str(said), &answer, &err);
        assert_row(
            rows[i].name, (rc == GSASL_OK && result == 0 && sasl_is_done(s)) == rows[i].is_ok);
        gsasl_free(said);
        gsasl_finish(server);
        gsasl_done(ctx);
        sasl_free(&s);
    }
}

static void test_liars(void **state)
{
    static const struct {
        const char *name;
        enum mech mech;
        const char *said[3];
    } rows[] = {
        {"not base64", MECH_SCRAM_SHA_1, {"", "$$$"}},
        {"not our nonce", MECH_SCRAM_SHA_1, {"", "r=other,s=QSXCR+Q6sek8bf92,i=4096"}},
        {"one round", MECH_SCRAM_SHA_256, {"", "r=x"}},
        {"no end", MECH_XOAUTH2, {"", "{}", "{}"}},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct sasl_identity id = {.authcid = "user", .secret = SLICE_LIT("pencil")};
        struct sasl *s = NULL;
        struct err err = ERR_INIT;
        const char *answer;
        int result = 0;
        assert_int_equal(sasl_new(rows[i].mech, &id, &s, &err), 0);
        for (size_t k = 0; k < COUNT_OF(rows[i].said) && rows[i].said[k] && result == 0; k++) {
            char said[BASE64_MAX];
            encode(rows[i].said[k], said);
            result = sasl_step(
                s, slice_str(rows[i].said[k][0] == '$' ? rows[i].said[k] : said), &answer, &err);
        }
        assert_row(rows[i].name, result == -1 && err.class != ERR_NONE);
        sasl_free(&s);
    }
}

/* What would end a part of the message early, or is none, is not sent. */
static void test_tokens_that_are_none(void **state)
{
    static const struct sasl_identity rows[] = {
        {.authcid = "ann", .secret = SLICE_LIT("")},
        {.authcid = "ann", .secret = SLICE_LIT("a\001auth=b")},
        {.authcid = "ann", .secret = SLICE_LIT("a\r\n")},
        {.authcid = "a\001n", .secret = SLICE_LIT("token")},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct sasl *s = NULL;
        struct err err = ERR_INIT;
        assert_int_equal(sasl_new(MECH_OAUTHBEARER, &rows[i], &s, &err), -1);
        assert_int_equal(err.code, EX_CONFIG);
        assert_int_equal(sasl_new(MECH_XOAUTH2, &rows[i], &s, &err), -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples),
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_servers),
        cmocka_unit_test(test_liars),
        cmocka_unit_test(test_tokens_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
