/* SPDX-License-Identifier: ISC */
#include <sysexits.h>
#include <stdlib.h>
#include <unistd.h>
#include "maps/access.h"
#include "maps/store/store.h"
#include "tests/unit/unit.h"

#define SITE "server \"old\" { smtp = \"smtp://192.0.2.1\" }\n"

static int load(const char *text, struct access_writers *out, struct err *err)
{
    struct conf *conf = NULL;
    char all[512];
    int rc;

    assert_int_equal(fmt_into(all, sizeof(all), SITE "%s\n", text), 0);
    assert_int_equal(conf_parse(slice_str(all), "f", &conf, err), 0);
    rc = access_writers_load(conf, out, err);
    conf_free(&conf);
    return rc;
}

static void test_writers(void **state)
{
    struct access_writers w = {0};
    struct err err = ERR_INIT;

    (void)state;
    assert_int_equal(load("sync { user = \"54321\" } mapd { writers = {\"54322:7\"} }\n"
                          "relay { user = \"54323\" } milter { user = \"no-such-user-here\" }\n",
                         &w, &err),
        0);
    for (uid_t uid = 54321; uid <= 54324; uid++) {
        assert_int_equal(access_writer(&w, uid) != NULL, uid <= 54322);
        assert_int_equal(access_is_consumer(&w, uid), uid == 54323);
    }
    assert_non_null(access_writer(&w, 0));
    assert_non_null(access_writer(&w, geteuid()));
    access_writers_fini(&w);
}

/* Two names of one user are one user. */
static void test_a_consumer_cannot_write(void **state)
{
    static const struct {
        const char *text, *setting;
    } rows[] = {
        {"relay { user = \"54321:1\" } mapd { writers = {\"54321\"} }", "relay.user"},
        {"milter { user = \"54321\" } mapd { writers = {\"54322\", \"54321:2\"} }", "milter.user"},
        {"lookup { user = \"54321\" } sync { user = \"54321:1\" }", "lookup.user"},
        {"lookup { user = \"nobody\" } sync { user = \"65534\" }", "lookup.user"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct access_writers w = {0};
        struct err err = ERR_INIT;

        assert_row(rows[i].text, load(rows[i].text, &w, &err) == -1);
        assert_row(rows[i].text, err.code == EX_CONFIG);
        assert_row(rows[i].text, strstr(err.text, rows[i].setting) != NULL);
        assert_row(rows[i].text, w.v == NULL);
    }
}

/* Without a setting they all are root, who may do everything anyway. */
static void test_root_is_no_consumer(void **state)
{
    struct access_writers w = {0};
    struct err err = ERR_INIT;

    (void)state;
    assert_int_equal(load("relay { user = \"0\" }", &w, &err), 0);
    assert_false(access_is_consumer(&w, 0));
    access_writers_fini(&w);
}

/* Under sudo everybody is root: the login tells them apart, where there was one. */
static void test_who(void **state)
{
    static const struct {
        const char *login, *want;
    } rows[] = {
        {"1000", "root (login uid1000)"},
        {"1000\n", "root (login uid1000)"},
        {"0", "root"},
        {"4294967295", "root"}, /* none */
        {"", "root"},
        {"anna", "root"},
        {"10000000000000000000", "root"},
    };
    char path[] = "/tmp/coexist-who.XXXXXX", out[STORE_WHO_MAX], name[USER_NAME_MAX] = {0};
    (void)state;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(
            pwrite(fd, rows[i].login, strlen(rows[i].login), 0), (ssize_t)strlen(rows[i].login));
        access_who_from(path, 0, "root", out, sizeof out);
        assert_string_equal(out, rows[i].want);
    }
    /* What does not fit gives way to the number. */
    memset(name, 'x', sizeof name - 1);
    access_who_from(path, 7, name, out, 32);
    assert_string_equal(out, "uid7");
    close(fd);
    unlink(path);
    access_who_from(path, 0, "root", out, sizeof out);
    assert_string_equal(out, "root");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writers),
        cmocka_unit_test(test_who),
        cmocka_unit_test(test_a_consumer_cannot_write),
        cmocka_unit_test(test_root_is_no_consumer),
    };

    return cmocka_run_group_tests_name("access", tests, NULL, NULL);
}
