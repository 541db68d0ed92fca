/* SPDX-License-Identifier: ISC */
/* Files of public keys. */
#include "base/core/buf.h"
#include "base/os/io.h"
#include "base/os/tls_pins.h"
#include "tests/unit/tmpdir.h"
#include "tests/unit/unit.h"

#define A "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define B "sha256//BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB="
#define C "sha256//CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC="
#define D "sha256//DDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDD+/"

static void test_files(void **state)
{
    static const struct {
        const char *text;
        size_t n; /* 0: an error */
        const char *shown;
    } rows[] = {
        {A "\n", 1, NULL},
        {A, 1, NULL},
        {"# old\n" A "\n\n# new\r\n" B "\r\n" C "\n", 3, NULL},
        {A "\n" B "\n" C "\n" A "\n", 0, ":4: more than 3"},
        {"", 0, "there is no public key"},
        {"# none\n", 0, "there is no public key"},
        {" " A "\n", 0, ":1: no public key like"},
        {A " \n", 0, ":1: no public key like"},
        {D "\n", 0, ":1: no public key like"},
        {"sha256//AAAA=\n", 0, ":1: no public key like"},
        {"sha1//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", 0, ":1: no public key like"},
    };
    struct tmpdir dir;
    (void)state;
    tmpdir_make(&dir);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct tls_pins pins;
        struct err err = ERR_INIT;
        const char *path = tmpdir_file(&dir, "pins");
        assert_int_equal(io_write_file_durable(path, slice_str(rows[i].text), 0644, &err), 0);
        assert_row(rows[i].text, (tls_pins_read(path, &pins, &err) == 0) == (rows[i].n > 0));
        assert_row(rows[i].text, rows[i].n == 0 || pins.n == rows[i].n);
        assert_row(rows[i].text, !rows[i].shown || strstr(err.text, rows[i].shown));
    }
    tmpdir_remove(&dir);
}

static void test_adding(void **state)
{
    static const char *const texts[] = {A, B, A, C};
    struct tmpdir dir;
    struct tls_pins pins;
    struct tls_pin pin;
    struct err err = ERR_INIT;
    (void)state;
    tmpdir_make(&dir);
    const char *path = tmpdir_file(&dir, "pins");
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        assert_true(tls_pin_parse(slice_str(texts[i]), &pin));
        assert_int_equal(tls_pins_add(path, &pin, "a server", &err), 0);
        assert_int_equal(tls_pins_read(path, &pins, &err), 0);
        assert_true(tls_pins_have(&pins, &pin));
    }
    assert_int_equal(pins.n, 3);
    pin.text[8] = 'Z';
    assert_false(tls_pins_have(&pins, &pin));
    assert_int_equal(tls_pins_add(path, &pin, "a server", &err), -1);
    assert_non_null(strstr(err.text, "3 public keys already"));
    tmpdir_remove(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_adding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
