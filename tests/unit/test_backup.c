/* SPDX-License-Identifier: ISC */
#include <sysexits.h>
#include "maps/store/backup.h"
#include "tests/unit/tmpdir.h"

static struct tmpdir dir;
static struct conf conf;

static int set_up(void **state)
{
    (void)state;
    tmpdir_make(&dir);
    conf = (struct conf){.state = dir.path, .mapd = {.backup_keep_ms = 1000 * 1000}};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tmpdir_remove(&dir);
    return 0;
}

static void make_set(const char *name)
{
    char path[512];
    assert_int_equal(fmt_into(path, sizeof path, "%s/backup/%s", dir.path, name), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(fmt_into(path, sizeof path, "%s/backup/%s/map.jsonl", dir.path, name), 0);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fclose(f);
}

static size_t count(struct backup_set **v)
{
    struct err err = ERR_INIT;
    size_t n;
    assert_int_equal(backup_list(&conf, v, &n, &err), 0);
    return n;
}

/* Sets by their time; what has another name is none and stays. */
static void test_list_and_prune(void **state)
{
    struct err err = ERR_INIT;
    struct backup_set *v;
    (void)state;
    assert_int_equal(count(&v), 0);
    free(v);
    assert_int_equal(mkdir(tmpdir_file(&dir, "backup"), 0700), 0);
    make_set("20261102T090000Z-7");
    make_set("20261102T080000Z-9");
    make_set("19700101T000010Z-1");
    make_set("19700101T001000Z-2");
    make_set(".new.17");
    make_set("20261102T080000Z-x");
    assert_int_equal(count(&v), 4);
    assert_string_equal(v[0].name, "19700101T000010Z-1");
    assert_int_equal(v[0].made_s, 10);
    assert_int_equal(v[3].generation, 7);
    free(v);
    assert_int_equal(backup_prune(&conf, 1100, &err), 0);
    assert_int_equal(count(&v), 3);
    free(v);
    /* However old it is, the last one stays. */
    assert_int_equal(backup_prune(&conf, INT64_MAX, &err), 0);
    assert_int_equal(count(&v), 1);
    assert_string_equal(v[0].name, "20261102T090000Z-7");
    free(v);
}

static void test_lines(void **state)
{
    static const struct {
        const char *line;
        int kind;
    } rows[] = {
        {"{\"format\":\"coexist-map\",\"version\":1,\"made\":\"x\"}", 0},
        {"{\"key\":\"a@x\",\"record\":\"00\"}", 1},
        {"{\"generation\":7,\"rows\":1}", 2},
        {"{\"format\":\"coexist-map\",\"version\":2}", -1},
        {"{\"format\":\"coexist-map\"}", -1},
        {"{\"format\":\"other\",\"version\":1}", -1},
        {"{\"key\":\"a@x\"}", -1},
        {"{\"key\":7,\"record\":\"00\"}", -1},
        {"{\"generation\":-1}", -1},
        {"{\"generation\":7,\"generation\":8}", -1},
        {"[]", -1},
        {"", -1},
        {"{", -1},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct err err = ERR_INIT;
        uint64_t generation = 0;
        json_t *row = NULL;
        int kind = backup_line(slice_str(rows[i].line), &row, &generation, &err);
        if (kind != rows[i].kind || (kind < 0 && err.code != EX_DATAERR) ||
            (row != NULL) != (kind == 1) || generation != (kind == 2 ? 7 : 0))
            fail_msg("%s: %d", rows[i].line, kind);
        json_decref(row);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_list_and_prune, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lines, set_up, tear_down)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
