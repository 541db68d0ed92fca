/* SPDX-License-Identifier: ISC */
#include "base/core/buf.h"
#include "imapsync/ends/utf7.h"
#include "tests/unit/unit.h"

static void test_pairs(void **state)
{
    static const struct {
        const char *utf7, *utf8;
    } rows[] = {
        {"", ""},
        {"INBOX", "INBOX"},
        {"a&-b", "a&b"},
        {"&AOQ-", "\xc3\xa4"},
        {"Entw&APw-rfe", "Entw\xc3\xbcrfe"},
        {"~peter/mail/&U,BTFw-/&ZeVnLIqe-",
            "~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e"},
        {"&2D3eAA-", "\xf0\x9f\x98\x80"},
        {"&-&AOQ-&-", "&\xc3\xa4&"},
        {"&AH8-", "\x7f"},
        {"&AAE-", "\x01"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf b;
        buf_init(&b, 200);
        assert_row(rows[i].utf7, imap_utf7_decode(slice_str(rows[i].utf7), &b) == 0);
        assert_row(rows[i].utf7, slice_eq(buf_slice(&b), slice_str(rows[i].utf8)));
        buf_clear(&b);
        assert_row(rows[i].utf7, imap_utf7_encode(slice_str(rows[i].utf8), &b) == 0);
        assert_row(rows[i].utf7, slice_eq(buf_slice(&b), slice_str(rows[i].utf7)));
        buf_fini(&b);
    }
}

static void test_bad_utf7(void **state)
{
    static const char *const rows[] = {
        "&",    /* no end */
        "&AOQ", /* no end */
        "a&AOQ",
        "&AO-",       /* half a unit */
        "&AOQA-",     /* a superfluous digit */
        "&AOR-",      /* bits left over that are not zero */
        "&AGE-",      /* "a", printable */
        "&AAA-",      /* NUL */
        "&2D0-",      /* a high surrogate alone */
        "&3gA-",      /* a low one alone */
        "&2D3YPQ-",   /* two high ones */
        "&AOQ-&AOQ-", /* two shifts that should be one */
        "&AO/-",      /* "/" is not a digit here */
        "&AO=-",
        "\xc3\xa4", /* raw 8-bit */
        "a\tb",
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf b;
        buf_init(&b, 100);
        assert_row(rows[i], imap_utf7_decode(slice_str(rows[i]), &b) != 0);
        assert_row(rows[i], b.n == 0);
        buf_fini(&b);
    }
}

static void test_bad_utf8(void **state)
{
    static const char *const rows[] = {
        "\x80",
        "\xc3",
        "\xc0\xaf",
        "\xe0\x80\xaf",
        "\xed\xa0\x80",
        "\xf4\x90\x80\x80",
        "\xff",
        "a\xc3(",
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf b;
        buf_init(&b, 100);
        assert_row(rows[i], imap_utf7_encode(slice_str(rows[i]), &b) != 0);
        assert_row(rows[i], b.n == 0 && !imap_utf8_valid(slice_str(rows[i])));
        buf_fini(&b);
    }
    struct buf b;
    buf_init(&b, 100);
    assert_int_not_equal(imap_utf7_encode(SLICE_LIT("a\0b"), &b), 0);
    buf_fini(&b);
    buf_init(&b, 3);
    assert_int_not_equal(imap_utf7_encode(SLICE_LIT("abcd"), &b), 0);
    assert_int_not_equal(imap_utf7_decode(SLICE_LIT("abcd"), &b), 0);
    assert_int_equal(imap_utf7_decode(SLICE_LIT("abc"), &b), 0);
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_bad_utf7),
        cmocka_unit_test(test_bad_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
