/* SPDX-License-Identifier: ISC */
#include "base/core/buf.h"
#include "imapsync/copy/acls.h"
#include "imapsync/ends/acl.h"
#include "tests/unit/unit.h"

static void test_letters(void **state)
{
    static const struct {
        const char *name, *rights;
        bool is_old_source, is_old_target;
        const char *given, *lost;
    } rows[] = {
        {"new to new", "lrswipkxtea", false, false, "lrswipkxtea", ""},
        {"new tells c and d as well", "lrkxtecd", false, false, "lrkxte", ""},
        {"order, and none twice", "rlrs", false, false, "lrs", ""},
        {"no letters of ours", "l0z\1r", false, false, "lr", ""},
        {"old to new", "lrscd", true, false, "lrskxte", ""},
        {"old to new, making only", "lc", true, false, "lk", ""},
        {"new to old", "lrskxte", false, true, "lrscd", ""},
        {"new to old, making only", "lrk", false, true, "lrc", ""},
        {"a part of deleting", "lrte", false, true, "lr", "te"},
        {"folders only", "lrx", false, true, "lr", "x"},
        {"old to old", "lrswipcda", true, true, "lrswipacd", ""},
        {"nothing", "", true, true, "", ""},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct acl_rights r;
        acl_translate(slice_str(rows[i].rights), rows[i].is_old_source, rows[i].is_old_target, &r);
        assert_row(rows[i].name, strcmp(r.given, rows[i].given) == 0);
        assert_row(rows[i].name, strcmp(r.lost, rows[i].lost) == 0);
    }
}

static void test_same(void **state)
{
    (void)state;
    assert_true(acl_is_same(SLICE_LIT("srl"), "lrs"));
    assert_true(acl_is_same(SLICE_LIT("lrkxtecd"), "lrkxte"));
    assert_true(acl_is_same(SLICE_LIT("lrcd"), "lrcd"));
    assert_false(acl_is_same(SLICE_LIT("lr"), "lrs"));
    assert_false(acl_is_same(SLICE_LIT("lrc"), "lrcd"));
}

static void test_names(void **state)
{
    const struct acl_names names = {
        SLICE_LIT("# who is who\nbob@old bob@new\r\n\n  eva\teva.new \ngroup=team team"), true};
    static const struct {
        const char *old, *want; /* NULL: nobody has said */
    } rows[] = {{"bob@old", "bob@new"}, {"eva", "eva.new"}, {"group=team", "team"},
        {"-eva", "-eva.new"}, {"anyone", "anyone"}, {"bob", NULL}, {"#", NULL}, {"-", NULL}};
    struct err err = ERR_INIT;
    struct buf out;
    (void)state;
    buf_init(&out, 100);
    assert_int_equal(acl_names_check(&names, &err), 0);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        bool is = acl_names_find(&names, slice_str(rows[i].old), &out);
        assert_row(rows[i].old, is == (rows[i].want != NULL));
        assert_row(rows[i].old, !is || slice_eq(buf_slice(&out), slice_str(rows[i].want)));
    }
    assert_int_equal(acl_names_check(&(struct acl_names){SLICE_LIT("a b\nbob"), true}, &err), -1);
    assert_int_equal(acl_names_check(&(struct acl_names){SLICE_LIT("a b c"), true}, &err), -1);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_letters),
        cmocka_unit_test(test_same),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
