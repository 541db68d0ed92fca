/* SPDX-License-Identifier: ISC */
/* Secrets that a program prints: the first line, in time, without a shell. */
#include "base/core/clock.h"
#include "imapsync/ends/secret.h"
#include "tests/unit/unit.h"

#define TIMEOUT_MS 60000

static void test_programs(void **state)
{
    static const struct {
        const char *name;
        const char *argv[4];
        unsigned timeout_ms;
        const char *out; /* NULL: it fails */
        const char *shown;
    } rows[] = {
        {"the first line", {"/bin/echo", "a\nb"}, TIMEOUT_MS, "a", NULL},
        {"CRLF", {"/bin/echo", "a\r"}, TIMEOUT_MS, "a", NULL},
        {"no shell", {"/bin/echo", "$HOME;true"}, TIMEOUT_MS, "$HOME;true", NULL},
        {"nothing", {"/bin/true"}, TIMEOUT_MS, NULL, "/bin/true gives nothing"},
        {"a failure", {"/bin/sh", "-c", "echo a; exit 1"}, TIMEOUT_MS, NULL, "it failed"},
        {"no program", {"/nowhere"}, TIMEOUT_MS, NULL, "/nowhere: it cannot be run"},
        {"too slow, with its children", {"/bin/sh", "-c", "sleep 100 & sleep 100"}, 50, NULL,
            "it takes too long"},
        {"too long", {"/bin/sh", "-c", "yes"}, TIMEOUT_MS, NULL, "too long"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf out;
        struct err err = ERR_INIT;
        char *argv[4];
        uint64_t start_ms = clock_mono_ms();
        buf_init(&out, SECRET_MAX);
        for (size_t k = 0; k < COUNT_OF(argv); k++)
            argv[k] = (char *)(uintptr_t)rows[i].argv[k];
        int result = secret_from_argv(argv, rows[i].timeout_ms, &out, &err);
        assert_row(rows[i].name, (result == 0) == (rows[i].out != NULL));
        assert_row(rows[i].name, !rows[i].out || strcmp(buf_cstr(&out), rows[i].out) == 0);
        assert_row(rows[i].name, !rows[i].shown || strstr(err.text, rows[i].shown));
        assert_row(rows[i].name, clock_mono_ms() - start_ms < TIMEOUT_MS);
        buf_fini_wipe(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_programs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
