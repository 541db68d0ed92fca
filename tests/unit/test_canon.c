/* SPDX-License-Identifier: ISC */
/* What counts as the same message: each pair whole, and octet by octet. */
#include <stdlib.h>
#include <string.h>
#include "base/core/mem.h"
#include "imapsync/journal/canon.h"
#include "tests/unit/unit.h"

static struct canon of(struct slice s, size_t at_once)
{
    static struct canon_reader *c;
    struct canon out;
    if (!c)
        c = canon_new();
    for (size_t i = 0; i < s.n; i += at_once)
        canon_add(c, slice_sub(s, i, s.n - i < at_once ? s.n - i : at_once));
    canon_end(c, &out);
    if (at_once == 1)
        canon_free(&c);
    return out;
}

enum alike { NOT, TEXT, BOTH };

#define H                                                                                          \
    "Date: Fri, 27 Nov 2026 10:00:00 +0000\r\nSubject: lunch\r\nMessage-ID: <1@example.org>\r\n"
#define M H "\r\nline one\r\nline two\r\n"

static const struct {
    const char *name;
    struct slice a, b;
    enum alike want;
} cases[] = {
    {"the same", SLICE_LIT(M), SLICE_LIT(M), BOTH},
    {"no final line end", SLICE_LIT(M), SLICE_LIT(H "\r\nline one\r\nline two"), BOTH},
    {"one more line end", SLICE_LIT(M), SLICE_LIT(M "\r\n"), BOTH},
    {"bare LF in the body", SLICE_LIT(M), SLICE_LIT(H "\r\nline one\nline two\n"), BOTH},
    {"CR CR LF", SLICE_LIT(M), SLICE_LIT(H "\r\nline one\r\r\nline two\r\n"), BOTH},
    {"a bare CR", SLICE_LIT(M), SLICE_LIT(H "\r\nline one\rline two\r\n"), BOTH},
    {"LF alone everywhere", SLICE_LIT(M),
        SLICE_LIT("Date: Fri, 27 Nov 2026 10:00:00 +0000\nSubject: lunch\nMessage-ID: "
                  "<1@example.org>\n\nline one\nline two\n"),
        BOTH},
    {"CR CR LF in the header", SLICE_LIT("Subject: a\r\r\nX: b\r\n\r\nc"),
        SLICE_LIT("Subject: a\r\nX: b\r\n\r\nc"), BOTH},
    {"NUL and its stand-in", SLICE_LIT(H "\r\na\0b"),
        SLICE_LIT(H "\r\na\x80"
                    "b"),
        BOTH},
    {"blanks at the end of lines", SLICE_LIT(M), SLICE_LIT(H "\r\nline one  \r\nline two\t\r\n"),
        BOTH},
    {"a folded header line", SLICE_LIT("Subject: a b c\r\n\r\nx"),
        SLICE_LIT("Subject: a\r\n b\r\n\tc\r\n\r\nx"), BOTH},
    {"the case of a name", SLICE_LIT("SUBJECT: a\r\n\r\nx"), SLICE_LIT("Subject: a\r\n\r\nx"),
        BOTH},
    {"another order", SLICE_LIT("Subject: a\r\nX: b\r\n\r\nx"),
        SLICE_LIT("X: b\r\nSubject: a\r\n\r\nx"), BOTH},
    {"a quoted From", SLICE_LIT(H "\r\nFrom here"), SLICE_LIT(H "\r\n>From here"), BOTH},
    {"a line of a scanner", SLICE_LIT(M), SLICE_LIT("X-Scanned: yes\r\n" M), TEXT},
    {"three lines in the middle", SLICE_LIT("From: a\r\nSubject: b\r\n\r\nx"),
        SLICE_LIT(
            "From: a\r\nReceived: from c\r\n by d;\r\n today\r\nX-Spam: no\r\nSubject: b\r\n\r\nx"),
        TEXT},
    {"a line was taken", SLICE_LIT("Bcc: c\r\n" M), SLICE_LIT(M), TEXT},
    {"the way it came", SLICE_LIT("Received: one\r\n" M), SLICE_LIT("Received: two\r\n" M), TEXT},
    {"another body", SLICE_LIT(M), SLICE_LIT(H "\r\nline one\r\nline three\r\n"), NOT},
    {"a shorter body", SLICE_LIT(M), SLICE_LIT(H "\r\nline one\r\nline"), NOT},
    {"another subject", SLICE_LIT("Subject: a\r\n\r\nx"), SLICE_LIT("Subject: b\r\n\r\nx"), NOT},
    {"another number", SLICE_LIT("Message-ID: <1>\r\n\r\nx"), SLICE_LIT("Message-ID: <2>\r\n\r\nx"),
        NOT},
    {"a line that is there twice", SLICE_LIT("To: a\r\n\r\nx"),
        SLICE_LIT("To: a\r\nTo: a\r\n\r\nx"), NOT},
    {"header and body", SLICE_LIT("Subject: a\r\n\r\nTo: b"),
        SLICE_LIT("Subject: a\r\nTo: b\r\n\r\n"), NOT},
    {"nothing tells it, and other lines", SLICE_LIT("X-A: 1\r\n\r\n"), SLICE_LIT("X-A: 2\r\n\r\n"),
        NOT},
    {"no header", SLICE_LIT("\r\none"), SLICE_LIT("\r\ntwo"), NOT},
    {"no body", SLICE_LIT("Subject: a\r\n"), SLICE_LIT("Subject: a\r\n\r\n"), BOTH},
    {"a header that begins with a blank", SLICE_LIT(" Subject: a\r\n\r\n"),
        SLICE_LIT(" Subject: b\r\n\r\n"), NOT},
    {"nothing", SLICE_LIT(""), SLICE_LIT("\r\n"), BOTH},
    {"a name without a colon", SLICE_LIT("subject\r\n\r\nx"), SLICE_LIT("subject:\r\n\r\nx"), NOT},
};

static void test_pairs(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct canon a = of(cases[i].a, SIZE_MAX / 2), b = of(cases[i].b, SIZE_MAX / 2);
        struct canon a1 = of(cases[i].a, 1), b1 = of(cases[i].b, 1);
        bool is_text = memcmp(a.text, b.text, CANON_TEXT) == 0;
        bool is_header = memcmp(a.header, b.header, CANON_HEADER) == 0;
        enum alike got = !is_text ? NOT : is_header ? BOTH : TEXT;
        if (got != cases[i].want || memcmp(&a, &a1, sizeof(a)) != 0 ||
            memcmp(&b, &b1, sizeof(b)) != 0)
            fail_msg("%s: %d, %d was expected", cases[i].name, got, cases[i].want);
        assert_true(canon_is_known(&a));
    }
}

/* Longer than what is held at once. */
static void test_long(void **state)
{
    enum { N = 100000 };
    unsigned char *v = mem_zalloc(N + 1);
    (void)state;
    memset(v, 'a', N);
    memcpy(v, "Subject: b\r\n\r\n", 14);
    struct canon whole = of(slice_make(v, N), N), parts = of(slice_make(v, N), 777);
    assert_memory_equal(&whole, &parts, sizeof(whole));
    v[N - 1] = 'b';
    struct canon other = of(slice_make(v, N), N);
    assert_memory_not_equal(whole.text, other.text, CANON_TEXT);
    (void)of(SLICE_LIT("x"), 1);
    free(v);
}

/* Several octets are taken at once: each of them, at each place among those that are kept. */
static void test_each_octet(void **state)
{
    (void)state;
    for (unsigned o = 0; o < 256; o++) {
        for (size_t at = 0; at < 24; at++) {
            unsigned char text[] = "\r\nabcdefghijklmnopqrstuvwxyz", plain[sizeof(text)];
            bool is_left_out = o <= ' ' || o == '>' || o == 0x7f || o == 0x80;
            size_t n = sizeof(text) - 1, n_plain = 0;
            text[2 + at] = (unsigned char)o;
            for (size_t i = 0; i < n; i++) {
                if (i != 2 + at || !is_left_out)
                    plain[n_plain++] = text[i];
            }
            struct canon whole = of(slice_make(text, n), n), single = of(slice_make(text, n), 1);
            struct canon kept = of(slice_make(plain, n_plain), n_plain);
            assert_memory_equal(&whole, &single, sizeof(whole));
            assert_memory_equal(&whole, &kept, sizeof(whole));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_each_octet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
