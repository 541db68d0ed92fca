/* SPDX-License-Identifier: ISC */
/* Each policy, on a loopback address and elsewhere, with STARTTLS and from the first byte: what
 * each step leads to.  g: goes on, h: handshake, s: STARTTLS, p: again in the clear, x: fails. */
#include "base/mail/smtp_tls.h"
#include "tests/unit/unit.h"

static void test_table(void **state)
{
    static const char letters[] = "ghspx";
    static const struct {
        const char *name;
        struct smtp_tls tls;
        const char *want; /* connected, not offered, offered, refused, broken */
    } rows[] = {
        {"none", {CONF_TLS_NONE, false, false}, "gggxx"},
        {"none, loopback", {CONF_TLS_NONE, true, false}, "gggxx"},
        {"may", {CONF_TLS_MAY, false, false}, "ggsgp"},
        {"may, loopback", {CONF_TLS_MAY, true, false}, "ggsgp"},
        {"encrypt", {CONF_TLS_ENCRYPT, false, false}, "gxsxx"},
        {"encrypt, loopback", {CONF_TLS_ENCRYPT, true, false}, "ggsgx"},
        {"verify", {CONF_TLS_VERIFY, false, false}, "gxsxx"},
        {"verify, loopback", {CONF_TLS_VERIFY, true, false}, "ggsgx"},
        {"fingerprint", {CONF_TLS_FINGERPRINT, false, false}, "gxsxx"},
        {"fingerprint, loopback", {CONF_TLS_FINGERPRINT, true, false}, "ggsgx"},
        {"smtps, none", {CONF_TLS_NONE, false, true}, "hggxx"},
        {"smtps, none, loopback", {CONF_TLS_NONE, true, true}, "hggxx"},
        {"smtps, may", {CONF_TLS_MAY, false, true}, "hggxx"},
        {"smtps, may, loopback", {CONF_TLS_MAY, true, true}, "hggxx"},
        {"smtps, encrypt", {CONF_TLS_ENCRYPT, false, true}, "hggxx"},
        {"smtps, encrypt, loopback", {CONF_TLS_ENCRYPT, true, true}, "hggxx"},
        {"smtps, verify", {CONF_TLS_VERIFY, false, true}, "hggxx"},
        {"smtps, verify, loopback", {CONF_TLS_VERIFY, true, true}, "hggxx"},
        {"smtps, fingerprint", {CONF_TLS_FINGERPRINT, false, true}, "hggxx"},
        {"smtps, fingerprint, loopback", {CONF_TLS_FINGERPRINT, true, true}, "hggxx"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        for (int event = 0; event < SMTP_TLS_EVENTS; event++)
            assert_row(
                rows[i].name, letters[smtp_tls_next(rows[i].tls, (enum smtp_tls_event)event)] ==
                                  rows[i].want[event]);
}

/* What must hold whatever the table says: plain text where TLS is wanted is for loopback only, and
 * a broken handshake is gone round by `may` alone. */
static void test_promises(void **state)
{
    (void)state;
    for (int n = 0; n < 20; n++) {
        struct smtp_tls tls = {
            .policy = (enum conf_tls)(n / 4), .is_loopback = n & 1, .is_implicit = n & 2};
        bool wants = tls.policy >= CONF_TLS_ENCRYPT && !tls.is_implicit;

        if (wants && !tls.is_loopback) {
            assert_int_equal(smtp_tls_next(tls, SMTP_TLS_NOT_OFFERED), SMTP_TLS_FAIL);
            assert_int_equal(smtp_tls_next(tls, SMTP_TLS_REFUSED), SMTP_TLS_FAIL);
        }
        assert_true((smtp_tls_next(tls, SMTP_TLS_BROKEN) == SMTP_TLS_AGAIN) ==
                    (tls.policy == CONF_TLS_MAY && !tls.is_implicit));
        assert_true(
            (smtp_tls_next(tls, SMTP_TLS_CONNECTED) == SMTP_TLS_HANDSHAKE) == tls.is_implicit);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_promises),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
