/* SPDX-License-Identifier: ISC */
#include <db.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>
#include "base/os/bdb_file.h"
#include "base/os/io.h"
#include "tests/unit/tmpdir.h"

static struct tmpdir dir;

static int set_up(void **state)
{
    (void)state;
    tmpdir_make(&dir);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tmpdir_remove(&dir);
    return 0;
}

static const char *path(void)
{
    return tmpdir_file(&dir, "table.db");
}

static void make(const char *value)
{
    struct err err = ERR_INIT;
    struct bdb_file *f = NULL;
    char key[16];

    assert_int_equal(bdb_file_new(path(), 1000, &f, &err), 0);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(fmt_into(key, sizeof key, "k%d", i), 0);
        assert_int_equal(bdb_file_add(f, slice_str(key), slice_str(value), &err), 0);
    }
    assert_int_equal(bdb_file_add(f, SLICE_LIT("k7"), SLICE_LIT("x"), &err), -1);
    assert_int_equal(err.code, EX_DATAERR);
    assert_int_equal(bdb_file_finish(&f, 0640, &err), 0);
    assert_null(f);
}

/* As a program of others opens it. */
static void check(const char *value)
{
    DB *db;
    DBT k = {.data = (char[]){"k999"}, .size = 4}, v = {0};
    DBTYPE type;

    assert_int_equal(db_create(&db, NULL, 0), 0);
    assert_int_equal(db->open(db, NULL, path(), NULL, DB_UNKNOWN, DB_RDONLY, 0), 0);
    assert_int_equal(db->get_type(db, &type), 0);
    assert_int_equal(type, DB_HASH);
    assert_int_equal(db->get(db, NULL, &k, &v, 0), 0);
    assert_slice_equal(slice_make(v.data, v.size), value);
    assert_int_equal(db->close(db, 0), 0);
}

static void test_replaces(void **state)
{
    static const struct timespec long_ago[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    struct stat st, former;
    (void)state;

    make("one");
    check("one");
    int fd = open(path(), O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(futimens(fd, long_ago), 0);
    make("two");
    check("two");
    assert_int_equal(stat(path(), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    /* Whoever has the former one open sees that it is over. */
    assert_int_equal(fstat(fd, &former), 0);
    assert_int_equal(former.st_nlink, 0);
    assert_true(former.st_mtime > 1000);
    close(fd);
}

static void test_not_finished(void **state)
{
    struct err err = ERR_INIT;
    struct bdb_file *f = NULL;
    struct stat st;
    (void)state;

    make("one");
    assert_int_equal(bdb_file_new(path(), 1, &f, &err), 0);
    assert_int_equal(bdb_file_add(f, SLICE_LIT("k"), SLICE_LIT("v"), &err), 0);
    bdb_file_free(&f);
    bdb_file_free(&f);
    check("one");
    assert_int_equal(rmdir(dir.path), -1);
    assert_int_equal(unlink(path()), 0);
    assert_int_equal(rmdir(dir.path), 0); /* nothing else was left */
    assert_int_equal(bdb_file_new(path(), 1, &f, &err), -1);
    assert_int_equal(err.code, EX_UNAVAILABLE);
    assert_int_equal(stat(path(), &st), -1);
    assert_int_equal(mkdir(dir.path, 0700), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_replaces, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_not_finished, set_up, tear_down)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
