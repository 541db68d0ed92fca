/* SPDX-License-Identifier: ISC */
#include <sysexits.h>
#include <unistd.h>
#include <utime.h>
#include "base/os/gzip.h"
#include "maps/route.h"
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

static void make_file(const char *set, const char *name)
{
    char path[512];
    assert_int_equal(fmt_into(path, sizeof path, "%s/backup/%s/%s", dir.path, set, name), 0);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("four", f);
    fclose(f);
}

static void make_set(const char *name, bool is_whole)
{
    char path[512];
    assert_int_equal(fmt_into(path, sizeof path, "%s/backup/%s", dir.path, name), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    make_file(name, BACKUP_MAP);
    if (is_whole)
        make_file(name, BACKUP_SUMS);
}

/* Written at that time. */
static void make_aside(const char *name, time_t when)
{
    const struct utimbuf times = {when, when};
    char path[512];
    make_set(name, false);
    assert_int_equal(fmt_into(path, sizeof path, "%s/backup/%s", dir.path, name), 0);
    assert_int_equal(utime(path, &times), 0);
}

static bool is_there(const char *name)
{
    char path[512];
    assert_int_equal(fmt_into(path, sizeof path, "%s/backup/%s", dir.path, name), 0);
    return access(path, F_OK) == 0;
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
    make_set("20261102T090000Z-7", true);
    make_set("20261102T080000Z-9", true);
    make_set("19700101T000010Z-1", true);
    make_set("19700101T001000Z-2", true);
    make_set("20261102T100000Z-8", false); /* without sums */
    make_aside(".new.17", 1000);
    make_set("20261102T080000Z-x", true);
    assert_int_equal(count(&v), 4);
    assert_string_equal(v[0].name, "19700101T000010Z-1");
    assert_int_equal(v[0].made_s, 10);
    assert_int_equal(v[3].generation, 7);
    assert_int_equal(v[3].bytes, 8);
    free(v);
    assert_int_equal(backup_prune(&conf, 1100, &err), 0);
    assert_int_equal(count(&v), 3);
    free(v);
    /* However old it is, the last one stays. */
    assert_int_equal(backup_prune(&conf, INT64_MAX, &err), 0);
    assert_int_equal(count(&v), 1);
    assert_string_equal(v[0].name, "20261102T090000Z-7");
    free(v);
    assert_false(is_there(".new.17"));
}

/* What somebody may still be writing stays for a day. */
static void test_asides(void **state)
{
    struct err err = ERR_INIT;
    (void)state;
    assert_int_equal(mkdir(tmpdir_file(&dir, "backup"), 0700), 0);
    make_aside(".new.17", 1000);
    make_aside(".new.18", 1001);
    assert_int_equal(backup_prune(&conf, 1001 + 86400, &err), 0);
    assert_false(is_there(".new.17"));
    assert_true(is_there(".new.18"));
}

static void test_lines(void **state)
{
    static const struct {
        const char *line;
        int kind;
    } rows[] = {
        {"{\"format\":\"coexist-map\",\"version\":1,\"made\":\"x\"}", 0},
        {"{\"format\":\"coexist-map\",\"version\":2}", 0},
        {"{\"format\":\"coexist-map\",\"version\":3}", 0},
        {"{\"key\":\"a@x\",\"record\":\"00\"}", 1},
        {"{\"source\":\"hr\",\"record\":\"00\"}", 1},
        {"{\"generation\":7,\"rows\":1}", 2},
        {"{\"format\":\"coexist-map\",\"version\":0}", -1},
        {"{\"format\":\"coexist-map\",\"version\":4}", -1},
        {"{\"format\":\"coexist-map\"}", -1},
        {"{\"format\":\"other\",\"version\":1}", -1},
        {"{\"key\":\"a@x\"}", -1},
        {"{\"key\":7,\"record\":\"00\"}", -1},
        {"{\"source\":\"hr\"}", -1},
        {"{\"generation\":-1,\"rows\":1}", -1},
        {"{\"generation\":7,\"rows\":-1}", -1},
        {"{\"generation\":7}", -1},
        {"{\"generation\":7,\"generation\":8,\"rows\":1}", -1},
        {"[]", -1},
        {"", -1},
        {"{", -1},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct err err = ERR_INIT;
        struct backup_end end = {0};
        json_t *row = NULL;
        int kind = backup_line(slice_str(rows[i].line), &row, &end, &err);
        if (kind != rows[i].kind || (kind < 0 && err.code != EX_DATAERR) ||
            (row != NULL) != (kind == 1) || end.generation != (kind == 2 ? 7 : 0) ||
            end.rows != (kind == 2))
            fail_msg("%s: %d", rows[i].line, kind);
        json_decref(row);
    }
}

/* --- A whole file ------------------------------------------------------------------------------
 */

#define HEAD "{\"format\":\"coexist-map\",\"version\":2}\n"
#define ROW "{\"key\":\"a@x\",\"record\":\"00\"}\n"
#define SOURCE "{\"source\":\"hr\",\"record\":\"00\"}\n"
#define END(n) "{\"generation\":7,\"rows\":" n "}\n"

static int count_rows(void *arg, json_t *rows_own, struct err *err)
{
    size_t *n = arg;
    (void)err;
    *n += json_array_size(rows_own);
    json_decref(rows_own);
    return 0;
}

static void pack(struct slice text, struct buf *out)
{
    struct gzip *z = gzip_new();
    for (size_t i = 0; i < text.n; i++)
        assert_int_equal(gzip_add(z, slice_sub(text, i, 1), out), 0);
    assert_int_equal(gzip_end(z, out), 0);
    gzip_free(&z);
}

static void read_text(
    const char *text, struct slice bytes, bool is_packed, int rows, const char *part)
{
    struct err err = ERR_INIT;
    uint64_t generation = 0;
    size_t n = 0;
    int rc = backup_read_bytes(bytes, is_packed, count_rows, &n, &generation, &err);
    if (part ? rc == 0 || err.code != EX_DATAERR || !strstr(err.text, part)
             : rc != 0 || generation != 7 || n != (size_t)rows)
        fail_msg("%s: %d, %zu rows, %s", text, rc, n, err.text);
}

static void test_files(void **state)
{
    static const struct {
        const char *text;
        int rows;
        const char *part; /* of the error */
    } rows[] = {
        {HEAD END("0"), 0, NULL},
        {HEAD ROW ROW END("2"), 2, NULL},
        {HEAD ROW SOURCE END("2"), 2, NULL},
        {HEAD ROW END("2"), 0, "has 1 rows, and says that there are 2"},
        {HEAD ROW "{\"generation\":7,\"rows\":1}", 0, "no end"},
        {HEAD ROW, 0, "no end"},
        {"", 0, "no end"},
        {ROW END("1"), 0, "not in order"},
        {HEAD HEAD END("0"), 0, "not in order"},
        {HEAD END("0") ROW, 0, "not in order"},
        {HEAD "\n" END("0"), 0, "a line of it is damaged"},
    };
    struct buf packed;
    (void)state;
    buf_init(&packed, 1 << 20);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct slice text = slice_str(rows[i].text);
        read_text(rows[i].text, text, false, rows[i].rows, rows[i].part);
        buf_clear(&packed);
        pack(text, &packed);
        read_text(rows[i].text, buf_slice(&packed), true, rows[i].rows, rows[i].part);
        /* Cut off anywhere it is none, and so is one with something behind it. */
        for (size_t n = 0; n < packed.n; n++)
            read_text(rows[i].text, slice_sub(buf_slice(&packed), 0, n), true, 0, "");
        assert_int_equal(buf_add_byte(&packed, 'x'), 0);
        read_text(
            rows[i].text, buf_slice(&packed), true, 0, rows[i].part ? "" : "no whole gzip file");
    }
    buf_fini(&packed);
}

/* More than one piece of the packer, and more rows than are given at once. */
static void test_large_file(void **state)
{
    struct buf text, packed;
    char end[64];
    (void)state;
    buf_init(&text, 1 << 24);
    buf_init(&packed, 1 << 24);
    assert_int_equal(buf_add_str(&text, HEAD), 0);
    for (int i = 0; i < 30000; i++)
        assert_int_equal(buf_addf(&text, "{\"key\":\"u%d@x\",\"record\":\"%08x\"}\n", i,
                             (unsigned)i * 2654435761u),
            0);
    assert_int_equal(fmt_into(end, sizeof end, END("%d"), 30000), 0);
    assert_int_equal(buf_add_str(&text, end), 0);
    struct gzip *z = gzip_new();
    assert_int_equal(gzip_add(z, buf_slice(&text), &packed), 0);
    assert_int_equal(gzip_end(z, &packed), 0);
    gzip_free(&z);
    assert_true(packed.n < text.n / 4);
    read_text("large", buf_slice(&packed), true, 30000, NULL);
    buf_clear(&text);
    assert_int_equal(buf_add_str(&text, HEAD), 0);
    for (int i = 0; i < 4 * ROUTE_RECORD_MAX; i++)
        assert_int_equal(buf_add_byte(&text, ' '), 0);
    assert_int_equal(buf_add_byte(&text, ' '), 0);
    read_text("long", buf_slice(&text), false, 0, "too long");
    buf_fini(&packed);
    buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_list_and_prune, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_asides, set_up, tear_down),
        cmocka_unit_test(test_lines), cmocka_unit_test(test_files),
        cmocka_unit_test(test_large_file)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
