/* SPDX-License-Identifier: ISC */
#include "relay/answer.h"
#include "tests/unit/unit.h"

/* Stage by class of code: what a client hears when the target says this. */
static void test_from_target(void **state)
{
    static const struct {
        enum answer_stage stage;
        int code;
        const char *enhanced, *text;
        int want;
        const char *want_enhanced, *want_text;
    } rows[] = {
        {ANSWER_RCPT, 250, "", "ok", 250, "2.1.5", "ok"},
        {ANSWER_RCPT, 250, "2.1.9", "ok", 250, "2.1.9", "ok"},
        {ANSWER_RCPT, 251, "", "will forward", 250, "2.1.5", "will forward"},
        {ANSWER_RCPT, 252, "", "perhaps", 250, "2.1.5", "perhaps"},
        {ANSWER_RCPT, 450, "4.2.1", "busy", 450, "4.2.1", "busy"},
        {ANSWER_RCPT, 452, "", "full", 452, "4.0.0", "full"},
        {ANSWER_RCPT, 550, "5.1.1", "no such user", 550, "5.1.1", "no such user"},
        {ANSWER_RCPT, 550, "", "no such user", 550, "5.0.0", "no such user"},
        {ANSWER_RCPT_MORE, 250, "", "ok", 250, "2.1.5", "ok"},
        {ANSWER_RCPT_MORE, 250, "2.5.3", "ok", 250, "2.5.3", "ok"},
        {ANSWER_RCPT, 552, "", "full", 552, "5.0.0", "full"},
        {ANSWER_RCPT_MORE, 552, "", "too many recipients", 452, "4.5.3", "too many recipients"},
        {ANSWER_RCPT_MORE, 552, "5.2.2", "full", 552, "5.2.2", "full"},
        {ANSWER_RCPT_MORE, 552, "5.5.3", "too many", 452, "4.5.3", "too many"},
        {ANSWER_RCPT_MORE, 550, "5.5.3", "too many", 452, "4.5.3", "too many"},
        {ANSWER_RCPT, 550, "5.5.3", "too many", 452, "4.5.3", "too many"},
        {ANSWER_RCPT_MORE, 503, "5.5.3", "too many", 452, "4.5.3", "too many"},
        {ANSWER_RCPT_MORE, 450, "4.5.3", "too many", 452, "4.5.3", "too many"},
        {ANSWER_RCPT_MORE, 421, "4.5.3", "too many", 452, "4.5.3", "too many"},
        {ANSWER_RCPT_MORE, 550, "", "4.5.3 too many", 452, "4.5.3", "4.5.3 too many"},
        {ANSWER_RCPT_MORE, 450, "", "5.5.3", 452, "4.5.3", "5.5.3"},
        {ANSWER_RCPT_MORE, 550, "5.5.30", "x", 550, "5.5.30", "x"},
        {ANSWER_RCPT_MORE, 550, "", "4.5.30 x", 550, "5.0.0", "4.5.30 x"},
        {ANSWER_RCPT_MORE, 550, "", "2.5.3 x", 550, "5.0.0", "2.5.3 x"},
        {ANSWER_RCPT_MORE, 550, "", "5.5.", 550, "5.0.0", "5.5."},
        {ANSWER_RCPT_MORE, 550, "5.5.2", "x", 550, "5.5.2", "x"},
        {ANSWER_RCPT_MORE, 553, "", "x", 553, "5.0.0", "x"},
        {ANSWER_RCPT, 354, "", "4.5.3 x", 451, "4.3.5", "server old said: 354 4.5.3 x"},
        {ANSWER_MAIL, 552, "5.5.3", "too many", 552, "5.5.3", "too many"},
        {ANSWER_DATA, 554, "5.5.3", "too many", 554, "5.5.3", "too many"},
        {ANSWER_DOT, 552, "5.5.3", "too many", 552, "5.5.3", "too many"},
        {ANSWER_RCPT, 504, "", "x", 451, "4.3.5", "server old said: 504 x"},
        {ANSWER_RCPT, 505, "", "x", 505, "5.0.0", "x"},
        {ANSWER_RCPT, 520, "", "x", 520, "5.0.0", "x"},
        {ANSWER_RCPT, 522, "", "x", 522, "5.0.0", "x"},
        {ANSWER_RCPT, 529, "", "x", 529, "5.0.0", "x"},
        {ANSWER_RCPT, 539, "", "x", 451, "4.3.5", "server old said: 539 x"},
        {ANSWER_RCPT, 540, "", "x", 540, "5.0.0", "x"},
        {ANSWER_RCPT, 554, "", "x", 554, "5.0.0", "x"},
        {ANSWER_RCPT, 556, "", "x", 556, "5.0.0", "x"},
        {ANSWER_RCPT, 420, "", "x", 420, "4.0.0", "x"},
        {ANSWER_RCPT, 422, "", "x", 422, "4.0.0", "x"},
        {ANSWER_RCPT, 552, "5.2.2", "full", 552, "5.2.2", "full"},
        {ANSWER_RCPT, 553, "", "name", 553, "5.0.0", "name"},
        {ANSWER_RCPT, 571, "", "policy", 571, "5.0.0", "policy"},
        {ANSWER_RCPT, 554, "5.7.1", "a\nb\x1b", 554, "5.7.1", "a b?"},
        {ANSWER_RCPT, 421, "", "bye", 451, "4.3.5", "server old said: 421 bye"},
        {ANSWER_RCPT, 500, "", "what", 451, "4.3.5", "server old said: 500 what"},
        {ANSWER_RCPT, 501, "5.5.4", "x", 451, "4.3.5", "server old said: 501 x"},
        {ANSWER_RCPT, 503, "", "x", 451, "4.3.5", "server old said: 503 x"},
        {ANSWER_RCPT, 501, "5.1.3", "bad syntax", 501, "5.1.3", "bad syntax"},
        {ANSWER_RCPT_MORE, 501, "5.1.3", "bad syntax", 501, "5.1.3", "bad syntax"},
        {ANSWER_MAIL, 501, "5.1.7", "bad sender", 501, "5.1.7", "bad sender"},
        {ANSWER_MAIL, 501, "5.1.8", "no such domain", 501, "5.1.8", "no such domain"},
        {ANSWER_RCPT, 504, "5.5.2", "need a full name", 451, "4.3.5",
            "server old said: 504 need a full name"},
        {ANSWER_RCPT, 521, "5.2.1", "mailbox disabled", 521, "5.2.1", "mailbox disabled"},
        {ANSWER_DOT, 500, "5.6.0", "bad content", 500, "5.6.0", "bad content"},
        {ANSWER_DOT, 521, "5.7.1", "x", 451, "4.3.5", "server old said: 521 x"},
        {ANSWER_RCPT, 501, "5.10.1", "x", 451, "4.3.5", "server old said: 501 x"},
        {ANSWER_RCPT, 521, "", "x", 451, "4.3.5", "server old said: 521 x"},
        {ANSWER_MAIL, 530, "5.7.0", "x", 451, "4.3.5", "server old said: 530 x"},
        {ANSWER_MAIL, 535, "", "x", 451, "4.3.5", "server old said: 535 x"},
        {ANSWER_MAIL, 555, "", "x", 451, "4.3.5", "server old said: 555 x"},
        {ANSWER_MAIL, 550, "5.7.1", "bad sender", 550, "5.7.1", "bad sender"},
        {ANSWER_MAIL, 552, "", "too big", 552, "5.0.0", "too big"},
        {ANSWER_MAIL, 451, "4.7.1", "greylisted", 451, "4.7.1", "greylisted"},
        {ANSWER_MAIL, 250, "", "ok", 250, "2.1.0", "ok"},
        {ANSWER_DATA, 554, "", "no", 554, "5.0.0", "no"},
        {ANSWER_DATA, 451, "", "later", 451, "4.0.0", "later"},
        {ANSWER_DATA, 503, "", "x", 451, "4.3.5", "server old said: 503 x"},
        {ANSWER_DATA, 250, "", "x", 451, "4.3.5", "server old said: 250 x"},
        {ANSWER_DOT, 250, "", "queued", 250, "2.0.0", "queued"},
        {ANSWER_DOT, 354, "", "x", 451, "4.3.5", "server old said: 354 x"},
        {ANSWER_DOT, 554, "5.7.1", "spam", 554, "5.7.1", "spam"},
        {ANSWER_DOT, 552, "", "quota", 552, "5.0.0", "quota"},
        {ANSWER_DOT, 452, "4.3.1", "disk", 452, "4.3.1", "disk"},
        {ANSWER_DOT, 421, "4.3.2", "bye", 451, "4.3.5", "server old said: 421 bye"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct smtp_reply reply = {
            .code = rows[i].code, .text = slice_str(rows[i].text), .n_lines = 1};
        struct answer a;
        char name[64];

        memcpy(reply.enhanced, rows[i].enhanced, strlen(rows[i].enhanced) + 1);
        answer_from_target(rows[i].stage, &reply, "old", &a);
        assert_int_equal(
            fmt_into(name, sizeof(name), "stage %d, %d", rows[i].stage, rows[i].code), 0);
        assert_row(name, a.code == rows[i].want);
        assert_row(name, strcmp(a.enhanced, rows[i].want_enhanced) == 0);
        assert_row(name, strcmp(a.text, rows[i].want_text) == 0);
    }
}

/* No code that a target can send makes a stage positive but 2xx, and none passes as nonsense. */
static void test_every_code(void **state)
{
    (void)state;
    for (int stage = ANSWER_MAIL; stage <= ANSWER_DOT; stage++) {
        for (int code = 200; code < 600; code++) {
            struct smtp_reply reply = {.code = code, .text = SLICE_LIT("x"), .n_lines = 1};
            struct answer a;

            answer_from_target((enum answer_stage)stage, &reply, "old", &a);
            assert_true(answer_is_positive(&a) == (code < 300 && stage != ANSWER_DATA));
            assert_true(a.code == 250 || (a.code >= 400 && a.code < 600));
            assert_true(a.enhanced[0] - '0' == a.code / 100);
        }
    }
}

/* What a server says about the host that asks. */
static void test_about_us(void **state)
{
    static const struct {
        const char *text;
        int code;
        bool is_about_us;
    } rows[] = {
        {"<gw[10.0.0.1]>: Client host rejected: Access denied", 554, true},
        {"Service unavailable; CLIENT HOST [10.0.0.1] blocked using bl.test", 554, true},
        {"<gw>: Helo command rejected: Host not found", 450, true},
        {"<ann@x>: Relay access denied", 554, true},
        {"Relaying denied", 550, true},
        {"relay not permitted", 550, true},
        {"Unable to relay", 550, true},
        {"no such user", 550, false},
        {"Access denied", 550, false},
        {"Client host is welcome", 250, false},
        {"", 550, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct smtp_reply reply = {.code = rows[i].code, .text = slice_str(rows[i].text)};
        struct answer a;

        answer_from_target(ANSWER_RCPT, &reply, "old", &a);
        assert_row(rows[i].text, a.is_about_us == rows[i].is_about_us);
        assert_row(rows[i].text, a.code == rows[i].code);
    }
}

/* RFC 5321 4.5.3.1.5: 512 octets with CRLF, whatever made the answer. */
static void test_line_length(void **state)
{
    static const char *const enhanced[] = {"", "5.1.1", "5.999.999"};
    char text[2 * SMTP_REPLY_CLEAN_MAX];
    struct buf out;

    (void)state;
    buf_init(&out, 2000);
    for (size_t e = 0; e < COUNT_OF(enhanced); e++) {
        size_t head = 4 + (enhanced[e][0] != '\0' ? strlen(enhanced[e]) + 1 : 0);

        for (size_t n = 0; n < sizeof(text); n++) {
            struct answer a;

            memset(text, 'x', n);
            text[n] = '\0';
            answer_set(&a, 550, enhanced[e], "%s", text);
            buf_clear(&out);
            assert_int_equal(answer_format(&a, &out), 0);
            assert_int_equal(
                out.n, head + n + 2 <= ANSWER_LINE_MAX ? head + n + 2 : ANSWER_LINE_MAX);
            assert_true(slice_search(buf_slice(&out), SLICE_LIT("\r\n")) == (ptrdiff_t)out.n - 2);
        }
    }
    /* The cut is between two words, if there is a word to end with. */
    for (size_t at = 0; at < SMTP_REPLY_CLEAN_MAX; at++) {
        struct answer a;
        size_t room = ANSWER_LINE_MAX - 2 - 10, want = at > room / 2 && at <= room ? at : room;

        memset(text, 'x', SMTP_REPLY_CLEAN_MAX);
        text[at] = ' ';
        text[SMTP_REPLY_CLEAN_MAX - 1] = '\0';
        answer_set(&a, 550, "5.1.1", "%s", text);
        buf_clear(&out);
        assert_int_equal(answer_format(&a, &out), 0);
        assert_int_equal(out.n, 10 + want + 2);
    }
    buf_fini(&out);
}

static void test_others(void **state)
{
    struct answer a;
    struct decision d = {.code = 450, .enhanced = "4.2.1", .text = "being moved"};
    struct err err = ERR_INIT;
    struct buf out;
    char longest[2 * SMTP_REPLY_CLEAN_MAX];

    (void)state;
    answer_from_decision(&d, &a);
    buf_init(&out, 2000);
    assert_int_equal(answer_format(&a, &out), 0);
    assert_string_equal(buf_cstr(&out), "450 4.2.1 being moved\r\n");
    buf_clear(&out);
    err_set(&err, ERR_TEMP, 0, "connect: refused\r\n250 injected");
    answer_from_target_error("old", &err, &a);
    assert_int_equal(answer_format(&a, &out), 0);
    assert_string_equal(buf_cstr(&out),
        "451 4.4.1 server old is not available: connect: refused? 250 injected\r\n");
    buf_clear(&out);
    answer_set(&a, 354, "", "go");
    assert_int_equal(answer_format(&a, &out), 0);
    assert_string_equal(buf_cstr(&out), "354 go\r\n");
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    answer_set(&a, 550, "5.1.1", "%s", longest);
    assert_int_equal(strlen(a.text), SMTP_REPLY_CLEAN_MAX - 1);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_from_target),
        cmocka_unit_test(test_every_code),
        cmocka_unit_test(test_about_us),
        cmocka_unit_test(test_line_length),
        cmocka_unit_test(test_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
