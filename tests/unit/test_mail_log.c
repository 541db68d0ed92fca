/* SPDX-License-Identifier: ISC */
#include "maps/format/mail_log.h"
#include "base/core/buf.h"
#include "tests/unit/unit.h"

static const struct {
    const char *name, *line, *want; /* recipients with blanks behind, "|", known, when */
} ROWS[] = {
    {"relay accepts",
        "time=2026-11-28T14:00:00.123Z level=info prog=coexist-relay event=rcpt_accept sid=a qid=b "
        "rcpt=ann@example.org route=old epoch=0 dsn=2.1.5",
        "ann@example.org |1 2026-11-28T14:00:00.123Z"},
    {"relay refuses",
        "time=T level=info prog=coexist-relay event=rcpt_refuse from=x@y rcpt=\"a b@example.org\" "
        "code=550 dsn=5.1.1 text=\"no rcpt=z@example.org\"",
        "|2 T"},
    {"relay refuses an unknown user",
        "time=T prog=coexist-relay event=rcpt_refuse from=x@y rcpt=bob@example.org code=550 "
        "dsn=5.1.1",
        "bob@example.org |2 T"},
    {"relay refuses for another reason",
        "time=T prog=coexist-relay event=rcpt_refuse rcpt=bob@example.org code=552 dsn=5.2.2",
        "bob@example.org |0 T"},
    {"the milter knows only the map",
        "time=T prog=coexist-milter event=rcpt_accept rcpt=ann@new.example.org "
        "said=ann@example.org",
        "ann@example.org |0 T"},
    {"the milter in shadow",
        "time=T prog=coexist-milter event=shadow_rcpt_refuse rcpt=a@x said=a@x", "a@x |0 T"},
    {"another event", "time=T prog=coexist-relay event=deliver rcpt=a@x code=250", "|0 "},
    {"Postfix sent",
        "Nov 28 14:55:01 mx postfix/lmtp[71]: 4Xyz: to=<ann@example.org>, "
        "relay=10.1.1.5[10.1.1.5]:24, "
        "delay=0.1, dsn=2.0.0, status=sent (250 2.0.0 ok)",
        "ann@example.org |1 Nov 28 14:55:01"},
    {"Postfix, as it arrived",
        "2026-11-28T14:55:01.5+01:00 mx postfix/smtp[71]: 4Xyz: to=<ann@new.example.org>, "
        "orig_to=<sales@example.org>, dsn=2.0.0, status=sent (ok)",
        "sales@example.org |1 2026-11-28T14:55:01.5+01:00"},
    {"Postfix bounced",
        "Nov 28 14:55:01 mx postfix/smtp[71]: 4X: to=<no@example.org>, dsn=5.1.1, status=bounced "
        "(x)",
        "no@example.org |2 Nov 28 14:55:01"},
    {"Postfix rejects",
        "Nov  8 04:05:01 mx postfix/smtpd[71]: NOQUEUE: reject: RCPT from h[192.0.2.1]: 550 5.1.1 "
        "<no@example.org>: Recipient address rejected: User unknown; from=<a@b> "
        "to=<no@example.org>",
        "no@example.org |2 Nov  8 04:05:01"},
    {"Sendmail",
        "Nov 28 14:55:01 mx sendmail[7]: x: to=<a@example.org>,<b@example.org>, delay=00:00:01, "
        "mailer=esmtp, dsn=2.0.0, stat=Sent (ok)",
        "a@example.org b@example.org |1 Nov 28 14:55:01"},
    {"a list", "  ann@example.org\r", "ann@example.org |0 "},
    {"an address", "  <ann@example.org> ", "ann@example.org |0 "},
    {"a row", "ann@example.org,old", "ann@example.org |0 "},
    {"another line", "Nov 28 14:55:01 mx systemd[1]: Started user@1000.service.", "|0 "},
    {"open bracket", "x to=<ann@example.org", "|0 "},
    {"nothing", "", "|0 "},
};

static void test_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        struct mail_log log;
        struct buf out;
        buf_init(&out, 1000);
        mail_log_read(slice_str(ROWS[i].line), &log);
        for (size_t k = 0; k < log.n; k++)
            assert_int_equal(buf_addf(&out, "%.*s ", SLICE_ARG(log.rcpts[k])), 0);
        assert_int_equal(buf_addf(&out, "|%d %.*s", (int)log.known, SLICE_ARG(log.when)), 0);
        if (strcmp(buf_cstr(&out), ROWS[i].want) != 0)
            fail_msg("row '%s': %s", ROWS[i].name, buf_cstr(&out));
        buf_fini(&out);
    }
}

static void test_many(void **state)
{
    struct mail_log log;
    struct buf line;
    (void)state;
    for (size_t n = MAIL_LOG_RCPTS_MAX - 1; n <= MAIL_LOG_RCPTS_MAX + 1; n++) {
        buf_init(&line, 4096);
        assert_int_equal(buf_add_str(&line, "x to="), 0);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(buf_addf(&line, "%s<u%zu@x>", i ? "," : "", i), 0);
        mail_log_read(buf_slice(&line), &log);
        assert_int_equal(log.n, n < MAIL_LOG_RCPTS_MAX ? n : MAIL_LOG_RCPTS_MAX);
        buf_fini(&line);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lines), cmocka_unit_test(test_many)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
