/* SPDX-License-Identifier: ISC */
#include <sysexits.h>
#include "base/os/user.h"
#include "tests/unit/unit.h"

static void test_find(void **state)
{
    static const struct {
        const char *text;
        int code; /* 0: found */
        uid_t uid;
        gid_t gid;
    } rows[] = {
        {"root", 0, 0, 0}, {"0", 0, 0, 0}, {"54321", 0, 54321, 54321}, {"54321:77", 0, 54321, 77},
        {"0:77", 0, 0, 77}, {"4294967294", 0, 4294967294U, 4294967294U},
        {"no-such-user-here", EX_NOUSER, 0, 0}, {"root:0", EX_NOUSER, 0, 0},
        {"54321:", EX_NOUSER, 0, 0}, {"54321:x", EX_NOUSER, 0, 0}, {"54321:1:2", EX_NOUSER, 0, 0},
        {":1", EX_NOUSER, 0, 0}, {"", EX_NOUSER, 0, 0}, {"-1", EX_NOUSER, 0, 0},
        {"4294967295", EX_NOUSER, 0, 0}, /* "leave it" to the kernel */
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const char *name = rows[i].text;
        struct err err = ERR_INIT;
        struct user u = {0};

        assert_row(name, user_find(name, &u, &err) == (rows[i].code == 0 ? 0 : -1));
        assert_row(name, err.code == rows[i].code);
        assert_row(name, u.uid == rows[i].uid && u.gid == rows[i].gid);
        assert_row(name, rows[i].code != 0 || (u.n_groups >= 1 && u.groups != NULL));
        user_fini(&u);
    }
}

static void test_group_and_name(void **state)
{
    struct err err = ERR_INIT;
    char name[USER_NAME_MAX];
    gid_t gid = 1;

    (void)state;
    assert_int_equal(user_find_group("root", &gid, &err), 0);
    assert_int_equal(gid, 0);
    assert_int_equal(user_find_group("54321", &gid, &err), 0);
    assert_int_equal(gid, 54321);
    assert_int_equal(user_find_group("no-such-group-here", &gid, &err), -1);
    assert_int_equal(err.code, EX_NOUSER);
    user_name(0, name);
    assert_string_equal(name, "root");
    user_name(54321, name);
    assert_string_equal(name, "uid54321");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_group_and_name),
    };

    return cmocka_run_group_tests_name("user", tests, NULL, NULL);
}
