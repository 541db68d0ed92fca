/* SPDX-License-Identifier: ISC */
#include "relay/smtp_command.h"
#include "tests/unit/unit.h"

#define NONE 0, ADDRESS_PATH_BAD, "", false, 0, false
#define BAD(code) code, ADDRESS_PATH_BAD, "", false, 0, false

static const struct {
    const char *line;
    enum smtp_verb verb;
    int bad; /* 0: good */
    enum address_path path;
    const char *text; /* mailbox or argument */
    bool has_size;
    uint64_t size;
    bool is_8bit;
} rows[] = {
    {"NOOP", SMTP_VERB_NOOP, NONE},
    {"noop   anything <at> all ", SMTP_VERB_NOOP, 0, 0, "anything <at> all", false, 0, false},
    {"QUIT", SMTP_VERB_QUIT, NONE},
    {"QUIT  ", SMTP_VERB_QUIT, NONE},
    {"DATA", SMTP_VERB_DATA, NONE},
    {"DATA x", SMTP_VERB_DATA, BAD(501)},
    {"RSET x", SMTP_VERB_RSET, BAD(501)},
    {"STARTTLS", SMTP_VERB_STARTTLS, NONE},
    {"STARTTLS x", SMTP_VERB_STARTTLS, BAD(501)},
    {"VRFY user", SMTP_VERB_VRFY, 0, 0, "user", false, 0, false},
    {"HELP", SMTP_VERB_HELP, NONE},
    {"EHLO mx.example.org", SMTP_VERB_EHLO, 0, 0, "mx.example.org", false, 0, false},
    {"HELO a_b", SMTP_VERB_HELO, 0, 0, "a_b", false, 0, false},
    {"LHLO [127.0.0.1]", SMTP_VERB_LHLO, 0, 0, "[127.0.0.1]", false, 0, false},
    {"EHLO [IPv6:::1]", SMTP_VERB_EHLO, 0, 0, "[IPv6:::1]", false, 0, false},
    {"EHLO", SMTP_VERB_EHLO, BAD(501)},
    {"EHLO M\xc3\x9cLLER-PC", SMTP_VERB_EHLO, BAD(501)},
    {"HELO m\xfcller", SMTP_VERB_HELO, BAD(501)},
    {"LHLO \x01", SMTP_VERB_LHLO, BAD(501)},
    {"EHLO  ", SMTP_VERB_EHLO, BAD(501)},
    {"EHLO mx.example.org:25 ", SMTP_VERB_EHLO, 0, 0, "mx.example.org:25", false, 0, false},
    {"EHLO mx.example.org.", SMTP_VERB_EHLO, 0, 0, "mx.example.org.", false, 0, false},
    {"MAIL FROM:<a@b.c>", SMTP_VERB_MAIL, 0, ADDRESS_PATH_MAILBOX, "a@b.c", false, 0, false},
    {"mail from: <a@b.c> ", SMTP_VERB_MAIL, 0, ADDRESS_PATH_MAILBOX, "a@b.c", false, 0, false},
    {"MAIL FROM:<>", SMTP_VERB_MAIL, 0, ADDRESS_PATH_NULL, "", false, 0, false},
    {"MAIL FROM:<> SIZE=0", SMTP_VERB_MAIL, 0, ADDRESS_PATH_NULL, "", true, 0, false},
    {"MAIL FROM:<a@b.c> SIZE=1000 BODY=8BITMIME", SMTP_VERB_MAIL, 0, ADDRESS_PATH_MAILBOX, "a@b.c",
        true, 1000, true},
    {"MAIL FROM:<a@b.c>  body=7bit  size=18446744073709551615", SMTP_VERB_MAIL, 0,
        ADDRESS_PATH_MAILBOX, "a@b.c", true, UINT64_MAX, false},
    {"MAIL FROM:<a@b.c> SIZE=18446744073709551616", SMTP_VERB_MAIL, BAD(501)},
    {"MAIL FROM:<a@b.c> SIZE=-1", SMTP_VERB_MAIL, BAD(501)},
    {"MAIL FROM:<a@b.c> SIZE=", SMTP_VERB_MAIL, BAD(501)},
    {"MAIL FROM:<a@b.c> SIZE", SMTP_VERB_MAIL, BAD(501)},
    {"MAIL FROM:<a@b.c> SIZE=1 SIZE=2", SMTP_VERB_MAIL, BAD(501)},
    {"MAIL FROM:<a@b.c> BODY=7BIT BODY=8BITMIME", SMTP_VERB_MAIL, BAD(501)},
    {"MAIL FROM:<a@b.c> BODY=BINARYMIME", SMTP_VERB_MAIL, BAD(501)},
    {"MAIL FROM:<a@b.c> RET=HDRS", SMTP_VERB_MAIL, BAD(555)},
    {"MAIL FROM:<a@b.c> SMTPUTF8", SMTP_VERB_MAIL, BAD(555)},
    {"MAIL FROM:<a@b.c> AUTH=<>", SMTP_VERB_MAIL, BAD(555)},
    {"MAIL FROM:<a@b.c>SIZE=1", SMTP_VERB_MAIL, BAD(501)},
    {"MAIL FROM:", SMTP_VERB_MAIL, BAD(501)},
    {"MAIL FROM: ", SMTP_VERB_MAIL, BAD(501)},
    {"MAIL FROM: SIZE=1", SMTP_VERB_MAIL, BAD(501)},
    {"MAIL FROM :<a@b.c>", SMTP_VERB_MAIL, BAD(501)},
    {"MAIL FROM:A <a@b.c>", SMTP_VERB_MAIL, BAD(555)},
    {"MAIL FROM:\"A\" <a@b.c>", SMTP_VERB_MAIL, BAD(555)},
    {"MAIL FROM:<@>", SMTP_VERB_MAIL, BAD(501)},
    {"MAIL FROM:<a@b.c", SMTP_VERB_MAIL, BAD(501)},
    {"MAIL FROM:a@b.c>", SMTP_VERB_MAIL, BAD(501)},
    {"MAIL FROM:<<a@b.c>>", SMTP_VERB_MAIL, BAD(501)},
    {"MAIL FROM:<a@b.c> BODY=", SMTP_VERB_MAIL, BAD(501)},
    {"MAIL FROM:<a@b.c> SIZE =1", SMTP_VERB_MAIL, BAD(501)},
    {"MAIL FROM:<a@b.c> =", SMTP_VERB_MAIL, BAD(555)},
    {"MAIL <a@b.c>", SMTP_VERB_MAIL, BAD(501)},
    {"MAIL", SMTP_VERB_MAIL, BAD(501)},
    {"MAIL FROM:<a@b.c> <d@e.f>", SMTP_VERB_MAIL, BAD(555)},
    {"RCPT TO:<a@b.c>", SMTP_VERB_RCPT, 0, ADDRESS_PATH_MAILBOX, "a@b.c", false, 0, false},
    {"RCPT TO:<Postmaster>", SMTP_VERB_RCPT, 0, ADDRESS_PATH_POSTMASTER, "Postmaster", false, 0,
        false},
    {"RCPT TO:<\"a b\"@c.d>", SMTP_VERB_RCPT, 0, ADDRESS_PATH_MAILBOX, "\"a b\"@c.d", false, 0,
        false},
    {"RCPT TO:<>", SMTP_VERB_RCPT, BAD(501)},
    {"RCPT TO:<a@b.c> NOTIFY=NEVER", SMTP_VERB_RCPT, BAD(555)},
    {"RCPT TO:<a@x> <b@y>", SMTP_VERB_RCPT, BAD(555)},
    {"RCPT TO:<a@x>,<b@y>", SMTP_VERB_RCPT, BAD(501)},
    {"RCPT TO:<a@b@c>", SMTP_VERB_RCPT, BAD(501)},
    {"RCPT TO:<a b@c>", SMTP_VERB_RCPT, BAD(501)},
    {"RCPT TO:<a>", SMTP_VERB_RCPT, BAD(501)},
    {"RCPT FROM:<a@b.c>", SMTP_VERB_RCPT, BAD(501)},
    {"RCPT TO:a", SMTP_VERB_RCPT, BAD(501)},
    {"RCPT TO:", SMTP_VERB_RCPT, BAD(501)},
    {"RCPT TO:< >", SMTP_VERB_RCPT, BAD(501)},
    {"RCPT TO:a@x,b@y", SMTP_VERB_RCPT, BAD(501)},
    {"RCPT TO:a@x b@y", SMTP_VERB_RCPT, BAD(555)},
    {"RCPT TO:a@x <b@y>", SMTP_VERB_RCPT, BAD(555)},
    {"RCPT TO:<a@b.c..>", SMTP_VERB_RCPT, BAD(501)},
    {"RCPT TO:<a@.>", SMTP_VERB_RCPT, BAD(501)},
    {"RCPT TO:<@a:postmaster>", SMTP_VERB_RCPT, BAD(501)},
    {"RCPT TO:<@a>", SMTP_VERB_RCPT, BAD(501)},
    {"RCPT TO:<@a,b:c@d.e>", SMTP_VERB_RCPT, BAD(501)},
    {"RCPT TO:<@a,:c@d.e>", SMTP_VERB_RCPT, BAD(501)},
    {"RCPT TO:<@:c@d.e>", SMTP_VERB_RCPT, BAD(501)},
    {"RCPT TO:<@a:@b:c@d.e>", SMTP_VERB_RCPT, BAD(501)},
    {"RCPT TO:<@a;:c@d.e>", SMTP_VERB_RCPT, BAD(501)},
    {"RCPT TO:<a\t@b.c>", SMTP_VERB_RCPT, BAD(501)},
    {"RCPT TO:<\"a\tb\"@b.c>", SMTP_VERB_RCPT, BAD(501)},
    {"\tNOOP", SMTP_VERB_UNKNOWN, BAD(500)},
    {"RCPT TO:<@a,@b.x:c@d.e>", SMTP_VERB_RCPT, 0, ADDRESS_PATH_MAILBOX, "c@d.e", false, 0, false},
    {"MAIL FROM:<@a:c@d.e> SIZE=1", SMTP_VERB_MAIL, 0, ADDRESS_PATH_MAILBOX, "c@d.e", true, 1,
        false},
    {"RCPT TO:(comment)<a@b.c>", SMTP_VERB_RCPT, BAD(501)},
    {"RCPT TO:<\xc3\xa4@b.c>", SMTP_VERB_RCPT, BAD(553)},
    {"RCPT TO:<a\x7f@b.c>", SMTP_VERB_RCPT, BAD(553)},
    {"NOOP\r", SMTP_VERB_UNKNOWN, BAD(500)},
    {"NOOP \x1b[2J", SMTP_VERB_NOOP, BAD(500)},
    {"", SMTP_VERB_UNKNOWN, BAD(500)},
    {" NOOP", SMTP_VERB_UNKNOWN, BAD(500)},
    {"NOOPS", SMTP_VERB_UNKNOWN, BAD(500)},
    {"GET / HTTP/1.1", SMTP_VERB_UNKNOWN, BAD(500)},
    {"EXPN list", SMTP_VERB_REFUSED, 0, 0, "list", false, 0, false},
    {"AUTH PLAIN AHgAeA==", SMTP_VERB_REFUSED, 0, 0, "PLAIN AHgAeA==", false, 0, false},
    {"BDAT 0 LAST", SMTP_VERB_REFUSED, 0, 0, "0 LAST", false, 0, false},
};

static void test_table(void **state)
{
    (void)state;
    for (size_t n = 0; n < 2 * COUNT_OF(rows); n++) {
        size_t i = n / 2;
        struct smtp_command c;
        struct answer bad = {0};
        int rc = smtp_command_parse(slice_str(rows[i].line), n % 2 == 0, &c, &bad);

        assert_row(rows[i].line, c.verb == rows[i].verb);
        assert_row(rows[i].line, rc == (rows[i].bad ? -1 : 0));
        if (rows[i].bad) {
            /* The strict rules may stop sooner: at a tab, or where brackets are missing. */
            assert_row(rows[i].line,
                bad.code == rows[i].bad || (n % 2 == 0 && (bad.code == 501 || bad.code == 553)));
            assert_row(rows[i].line, bad.enhanced[0] == '5' && bad.text[0] != '\0');
            continue;
        }
        assert_row(rows[i].line, c.path == rows[i].path);
        assert_row(rows[i].line,
            slice_eq(c.path == ADDRESS_PATH_BAD ? c.argument : c.mailbox, slice_str(rows[i].text)));
        assert_row(rows[i].line, c.has_size == rows[i].has_size && c.size == rows[i].size);
        assert_row(rows[i].line, c.is_8bit == rows[i].is_8bit);
    }
}

/* What strict_syntax refuses: the code then, and what is understood without it. */
static const struct {
    const char *line;
    int strict;
    enum address_path path;
    const char *text;
    bool has_size;
} lenient[] = {
    {"MAIL FROM:a@b.c", 501, ADDRESS_PATH_MAILBOX, "a@b.c", false},
    {"mail from: a@b.c  size=1 ", 501, ADDRESS_PATH_MAILBOX, "a@b.c", true},
    {"MAIL FROM:a@b.c\tSIZE=1\t", 553, ADDRESS_PATH_MAILBOX, "a@b.c", true},
    {"MAIL FROM:\"a b\"@b.c SIZE=1", 501, ADDRESS_PATH_MAILBOX, "\"a b\"@b.c", true},
    {"MAIL FROM:@x,@y:a@b.c.", 501, ADDRESS_PATH_MAILBOX, "a@b.c", false},
    {"MAIL FROM:< >", 501, ADDRESS_PATH_NULL, "", false},
    {"MAIL FROM:<root>", 501, ADDRESS_PATH_LOCAL, "root", false},
    {"MAIL FROM:root SIZE=1", 501, ADDRESS_PATH_LOCAL, "root", true},
    {"MAIL FROM:<\"a b\">", 501, ADDRESS_PATH_LOCAL, "\"a b\"", false},
    {"MAIL FROM:<postmaster>", 501, ADDRESS_PATH_LOCAL, "postmaster", false},
    {"MAIL FROM:<a@b.c.>", 501, ADDRESS_PATH_MAILBOX, "a@b.c", false},
    {"MAIL\tFROM:\t<a@b.c>\tSIZE=1", 553, ADDRESS_PATH_MAILBOX, "a@b.c", true},
    {"RCPT TO:a@b.c", 501, ADDRESS_PATH_MAILBOX, "a@b.c", false},
    {"RCPT TO: a@b.c.", 501, ADDRESS_PATH_MAILBOX, "a@b.c", false},
    {"RCPT TO:postmaster", 501, ADDRESS_PATH_POSTMASTER, "postmaster", false},
    {"RCPT TO:<a@b.c.>", 501, ADDRESS_PATH_MAILBOX, "a@b.c", false},
    {"RCPT TO:<@x.:a@b.c>", 501, ADDRESS_PATH_BAD, "", false},
    {"RCPT TO:<\"a@x.\"@b.c.>", 501, ADDRESS_PATH_MAILBOX, "\"a@x.\"@b.c", false},
    {"RCPT TO:< a@b.c\t>", 553, ADDRESS_PATH_MAILBOX, "a@b.c", false},
    {"RCPT TO:< a@b.c >", 501, ADDRESS_PATH_MAILBOX, "a@b.c", false},
    {"QUIT now", 501, ADDRESS_PATH_BAD, "", false},
    {"EHLO a b", 501, ADDRESS_PATH_BAD, "a b", false},
    {"EHLO a(b)", 501, ADDRESS_PATH_BAD, "a(b)", false},
    {"EHLO a\\b", 501, ADDRESS_PATH_BAD, "a\\b", false},
    {"EHLO a\"b", 501, ADDRESS_PATH_BAD, "a\"b", false},
    {"EHLO a<b>", 501, ADDRESS_PATH_BAD, "a<b>", false},
    {"EHLO a@b", 501, ADDRESS_PATH_BAD, "a@b", false},
    {"EHLO a,b", 501, ADDRESS_PATH_BAD, "a,b", false},
    {"EHLO a\tb", 501, ADDRESS_PATH_BAD, "a\tb", false},
    {"EHLO a;b", 501, ADDRESS_PATH_BAD, "a;b", false},
    {"HELO <x>", 501, ADDRESS_PATH_BAD, "<x>", false},
    {"EHLO \"x\"", 501, ADDRESS_PATH_BAD, "\"x\"", false},
    {"MAIL FROM:<\"a\".b@c.d> SIZE=1", 501, ADDRESS_PATH_MAILBOX, "a.b@c.d", true},
    {"MAIL FROM:<A\\b>", 501, ADDRESS_PATH_LOCAL, "Ab", false},
    {"RCPT TO:<a:b@c.d>", 501, ADDRESS_PATH_MAILBOX, "\"a:b\"@c.d", false},
    {"RCPT TO:<a\\b>", 501, ADDRESS_PATH_BAD, "", false},
    {"EHLO it's&that+x", 501, ADDRESS_PATH_BAD, "it's&that+x", false},
};

static void test_lenient(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(lenient); i++) {
        struct smtp_command c;
        struct answer bad = {0};
        struct slice line = slice_str(lenient[i].line);

        assert_row(lenient[i].line, smtp_command_parse(line, true, &c, &bad) == -1);
        assert_row(lenient[i].line, bad.code == lenient[i].strict);
        if (smtp_command_parse(line, false, &c, &bad) != 0) {
            assert_row(lenient[i].line, lenient[i].text[0] == '\0' && bad.code == 501);
            continue;
        }
        assert_row(lenient[i].line, c.path == lenient[i].path);
        assert_row(lenient[i].line, slice_eq(c.path == ADDRESS_PATH_BAD ? c.argument : c.mailbox,
                                        slice_str(lenient[i].text)));
        assert_row(lenient[i].line, c.has_size == lenient[i].has_size);
    }
}

static void test_nul(void **state)
{
    struct smtp_command c;
    struct answer bad;

    (void)state;
    assert_int_equal(smtp_command_parse(slice_make("RCPT TO:<a\0@b.c>", 16), false, &c, &bad), -1);
    assert_int_equal(bad.code, 553);
    assert_int_equal(smtp_command_parse(slice_make("NOOP\0", 5), false, &c, &bad), -1);
    assert_int_equal(bad.code, 500);
}

static void test_hello_limit(void **state)
{
    char line[ADDRESS_DOMAIN_MAX + 10];
    struct smtp_command c;
    struct answer bad;

    (void)state;
    memset(line, 'a', sizeof(line));
    memcpy(line, "EHLO ", 5);
    for (size_t n = ADDRESS_DOMAIN_MAX - 1; n <= ADDRESS_DOMAIN_MAX + 1; n++)
        assert_int_equal(smtp_command_parse(slice_make(line, 5 + n), false, &c, &bad),
            n <= ADDRESS_DOMAIN_MAX ? 0 : -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_lenient),
        cmocka_unit_test(test_nul),
        cmocka_unit_test(test_hello_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
