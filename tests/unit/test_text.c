/* SPDX-License-Identifier: ISC */
#include <sysexits.h>
#include "base/os/charset.h"
#include "maps/format/text.h"
#include "tests/unit/unit.h"

static void test_guess(void **state)
{
    static const struct {
        const char *text;
        enum text_set want;
    } rows[] = {
        {"", TEXT_UTF8},
        {"ann@example.org\n", TEXT_UTF8},
        {"M\xc3\xbcller\n", TEXT_UTF8},
        {"M\xfcller\n", TEXT_WINDOWS_1252},
        {"\x80 5, J\xf6rg, \x93quoted\x94\n", TEXT_WINDOWS_1252},
        {"M\xc3\xbcller, M\xfcller\n", TEXT_UNKNOWN},
        {"M\xc3", TEXT_WINDOWS_1252},
        {"\xff\xfe", TEXT_UTF16},
        {"\xfe\xff", TEXT_UTF16},
        {"\xef\xbb\xbf"
         "a\xfc",
            TEXT_UNKNOWN},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_row(rows[i].text, text_guess(slice_str(rows[i].text)) == rows[i].want);
    assert_int_equal(text_guess(slice_make("a\0b\0", 4)), TEXT_UNKNOWN);
}

static void test_charset(void **state)
{
    static const struct {
        const char *set, *in;
        size_t n;
        const char *want;
    } rows[] = {
        {"WINDOWS-1252", "M\xfcller \x80", 8, "M\xc3\xbcller \xe2\x82\xac"},
        {"UTF-16",
            "\xff\xfe"
            "a\0\xfc\0",
            6, "a\xc3\xbc"},
        {"UTF-16", "\xfe\xff\0a\0\n", 6, "a\n"},
        {"utf-8", "a", 1, "a"},
    };
    struct err err = ERR_INIT;
    struct buf out;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        buf_init(&out, 1 << 20);
        assert_int_equal(
            charset_to_utf8(rows[i].set, slice_make(rows[i].in, rows[i].n), &out, &err), 0);
        assert_string_equal(buf_cstr(&out), rows[i].want);
        buf_fini(&out);
    }
    buf_init(&out, 1 << 20);
    assert_int_equal(charset_to_utf8("klingon", SLICE_LIT("a"), &out, &err), -1);
    assert_int_equal(err.code, EX_USAGE);
    assert_int_equal(charset_to_utf8("UTF-8", SLICE_LIT("a\nb\nc\xfc"), &out, &err), -1);
    assert_string_equal(err.text, "line 3: this is not text in UTF-8");
    buf_fini(&out);
    /* Cut short in the middle of a letter. */
    buf_init(&out, 1 << 20);
    assert_int_equal(charset_to_utf8("UTF-16LE", slice_make("a\0b", 3), &out, &err), -1);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guess), cmocka_unit_test(test_charset)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
