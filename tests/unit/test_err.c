/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <sysexits.h>
#include "base/core/err.h"
#include "tests/unit/unit.h"

static void test_set_and_wrap(void **state)
{
    struct err err = ERR_INIT;

    (void)state;
    assert_int_equal(err_set(&err, ERR_PERM, EX_CONFIG, "bad %s", "key"), -1);
    assert_int_equal(err_wrap(&err, "line %d", 3), -1);
    assert_string_equal(err.text, "line 3: bad key");
    assert_int_equal(err.class, ERR_PERM);
    assert_int_equal(err_exit_code(&err), EX_CONFIG);
    err_scope_set(&err, ERR_SCOPE_USER);
    assert_int_equal(err.scope, ERR_SCOPE_USER);
    err_clear(&err);
    assert_int_equal(err.class, ERR_NONE);
    assert_string_equal(err.text, "");
    assert_int_equal(err_exit_code(&err), EX_OK);
    assert_int_equal(err_set(NULL, ERR_PERM, 0, "x"), -1);
    assert_int_equal(err_sys(NULL, EIO, "x"), -1);
    assert_int_equal(err_wrap(NULL, "x"), -1);
}

static void test_long_text_is_cut(void **state)
{
    struct err err = ERR_INIT;
    char text[2 * ERR_TEXT_MAX];

    (void)state;
    memset(text, 'a', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    err_set(&err, ERR_TEMP, 0, "%s", text);
    assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
    err_wrap(&err, "context");
    assert_memory_equal(err.text, "context: aaa", 12);
    assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
    err_wrap(&err, "%s", text);
    assert_true(strlen(err.text) < ERR_TEXT_MAX);
    err_sys(&err, EIO, "%s", text);
    assert_true(strlen(err.text) < ERR_TEXT_MAX);
}

static void test_sys(void **state)
{
    static const struct {
        const char *name;
        int errnum, code;
    } rows[] = {
        {"no access", EACCES, EX_NOPERM},
        {"missing", ENOENT, EX_UNAVAILABLE},
        {"refused", ECONNREFUSED, EX_UNAVAILABLE},
        {"disk full", ENOSPC, EX_TEMPFAIL},
        {"other", EIO, EX_OSERR},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct err err = ERR_INIT;

        err_sys(&err, rows[i].errnum, "open %s", "f");
        assert_row(rows[i].name, err.class == ERR_TEMP);
        assert_row(rows[i].name, err.code == rows[i].code);
        assert_row(rows[i].name, strncmp(err.text, "open f: ", 8) == 0);
        assert_row(rows[i].name, strlen(err.text) > 8);
    }
}

static void test_names_and_codes(void **state)
{
    static const struct {
        enum err_class class;
        const char *name;
        int code;
    } rows[] = {
        {ERR_NONE, "none", EX_OK},
        {ERR_TEMP, "temporary", EX_TEMPFAIL},
        {ERR_PERM, "permanent", EX_DATAERR},
        {ERR_PEER, "peer", EX_PROTOCOL},
        {ERR_BUG, "bug", EX_SOFTWARE},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct err err = {.class = rows[i].class};

        assert_string_equal(err_class_name(rows[i].class), rows[i].name);
        assert_int_equal(err_exit_code(&err), rows[i].code);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_and_wrap),
        cmocka_unit_test(test_long_text_is_cut),
        cmocka_unit_test(test_sys),
        cmocka_unit_test(test_names_and_codes),
    };

    return cmocka_run_group_tests_name("err", tests, NULL, NULL);
}
