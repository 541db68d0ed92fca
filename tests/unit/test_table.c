/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include "maps/tool/table.h"
#include "tests/unit/unit.h"

static void check(struct table *t, const char *want)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    assert_non_null(out);
    table_flush(t, out);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text, want);
    free(text);
}

static void row(struct table *t, const char *a, const char *b, const char *c)
{
    const char *cells[] = {a, b, c};
    table_row(t, cells);
}

static void test_columns(void **state)
{
    (void)state;
    struct table *t = table_new("A|NUMBER>|TEXT");
    check(t, "");
    row(t, "long one", "7", "x");
    row(t, "b", "1234567", NULL);
    row(t, "M\xc3\xbcller", NULL, "y");
    check(t, "A          NUMBER  TEXT\n"
             "long one        7  x\n"
             "b         1234567\n"
             "M\xc3\xbcller             y\n");
    /* The heading comes once, and widths stay. */
    row(t, "c", "1", "z");
    check(t, "c               1  z\n");
    table_free(&t);
    assert_null(t);
}

static void test_clean(void **state)
{
    (void)state;
    static const struct {
        const char *in, *want;
    } ROWS[] = {
        {"", ""},
        {"plain ~", "plain ~"},
        {"\x1b[2J\r\n\x7f", "?[2J???"},
        {"M\xc3\xbcller", "M\xc3\xbcller"},
        {"\xc2\x9b"
         "2J",
            "??2J"},
        {"\xc2\xa0", "\xc2\xa0"},
        {"\xc2", "\xc2"},
    };
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        char text[32];
        memcpy(text, ROWS[i].in, strlen(ROWS[i].in) + 1);
        table_clean(text);
        assert_string_equal(text, ROWS[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns), cmocka_unit_test(test_clean)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
