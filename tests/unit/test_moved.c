/* SPDX-License-Identifier: ISC */
/* What cut-overs note of users: lines there and back, and a file with anything else in it. */
#include <fcntl.h>
#include <unistd.h>

#include "base/os/io.h"
#include "maps/moved.h"
#include "tests/unit/tmpdir.h"
#include "tests/unit/unit.h"

#define WHEN SLICE_LIT("2023-11-14T22:13:20Z")

static struct moved of(const char *user, const char *server, const char *by)
{
    return (struct moved){slice_str(user), slice_str(server), slice_str(by)};
}

static void test_a_line(void **state)
{
    (void)state;
    const struct moved in = of("\"a b\"@example.org", "new", "flip-17");
    struct moved out;
    struct buf line;
    buf_init(&line, MOVED_LINE_MAX);
    assert_int_equal(moved_line(&in, WHEN, &line), 0);
    struct slice text = buf_slice(&line);
    assert_true(
        slice_starts(text, SLICE_LIT("2023-11-14T22:13:20Z\t\"a b\"@example.org\tnew\tflip-17\t")));
    text = slice_sub(text, 0, text.n - 1);
    assert_true(moved_parse(text, &out));
    assert_true(
        slice_eq(out.user, in.user) && slice_eq(out.server, in.server) && slice_eq(out.by, in.by));
    /* Any octet that is another one, any that is missing in front or behind, and any one more. */
    for (size_t i = 0; i < text.n; i++) {
        unsigned char broken[MOVED_LINE_MAX];
        memcpy(broken, text.p, text.n);
        broken[i] ^= 1;
        assert_false(moved_parse(slice_make(broken, text.n), &out));
        assert_false(moved_parse(slice_sub(text, 0, i), &out));
        assert_false(i > 0 && moved_parse(slice_from(text, i), &out));
    }
    assert_int_equal(buf_add_byte(&line, 'x'), 0);
    assert_false(moved_parse(buf_slice(&line), &out));
    buf_fini(&line);
}

static void test_what_is_no_part(void **state)
{
    (void)state;
    char at_limit[321], longer[322];
    struct buf line;
    memset(at_limit, 'a', 320);
    at_limit[320] = '\0';
    memset(longer, 'a', 321);
    longer[321] = '\0';
    const struct {
        struct moved m;
        int want;
    } rows[] = {{of("", "new", "f"), -1}, {of("a", "", "f"), -1}, {of("a", "new", ""), -1},
        {of("a\tb", "new", "f"), -1}, {of("a", "n\nw", "f"), -1}, {of("a", "new", "\x7f"), -1},
        {of(at_limit, "new", "f"), 0}, {of(longer, "new", "f"), -1},
        {of(at_limit, at_limit, at_limit), 0}};
    buf_init(&line, MOVED_LINE_MAX);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct moved out;
        buf_clear(&line);
        assert_int_equal(moved_line(&rows[i].m, WHEN, &line), rows[i].want);
        if (rows[i].want == 0)
            assert_true(moved_parse(slice_sub(buf_slice(&line), 0, line.n - 1), &out));
        else
            assert_int_equal(line.n, 0);
    }
    buf_fini(&line);
}

static int add(void *arg, const struct moved *m, struct err *err)
{
    (void)err;
    return buf_addf(
        arg, "%.*s %.*s %.*s\n", SLICE_ARG(m->user), SLICE_ARG(m->server), SLICE_ARG(m->by));
}

static void expect(const struct tmpdir *t, const char *want, size_t n_bad, size_t first)
{
    struct moved_bad bad;
    struct err err = ERR_INIT;
    struct buf all;
    buf_init(&all, 4096);
    assert_int_equal(moved_read(t->path, add, &all, &bad, &err), 0);
    assert_string_equal(buf_cstr(&all), want);
    assert_int_equal(bad.n, n_bad);
    assert_int_equal(bad.first, first);
    buf_fini(&all);
}

static void put(struct tmpdir *t, struct slice bytes, int flags)
{
    struct err err = ERR_INIT;
    int fd = open(tmpdir_file(t, "sync/moved"), O_WRONLY | flags);
    assert_true(fd >= 0);
    assert_int_equal(io_write_all(fd, bytes, &err), 0);
    io_close(&fd);
}

static void test_a_file(void **state)
{
    (void)state;
    const struct moved ann = of("ann@example.org", "new", "flip-1"),
                       bob = of("bob@example.org", "new", "flip-2"),
                       back = of("ann@example.org", "-", "-");
    struct tmpdir t;
    struct err err = ERR_INIT;
    tmpdir_make(&t);
    expect(&t, "", 0, 0);
    assert_int_equal(moved_note(t.path, &ann, &err), -1);
    assert_non_null(strstr(err.text, "sync/moved"));
    err_clear(&err);
    assert_int_equal(io_mkdir(tmpdir_file(&t, "sync"), 0700, &err), 0);
    assert_int_equal(moved_note(t.path, &ann, &err), 0);
    assert_int_equal(moved_note(t.path, &bob, &err), 0);
    expect(&t, "ann@example.org new flip-1\nbob@example.org new flip-2\n", 0, 0);
    /* A line that was torn costs itself; so does anything else. */
    put(&t, SLICE_LIT("2023-11-14T22:13:20Z\tcat@exam"), O_APPEND);
    expect(&t, "ann@example.org new flip-1\nbob@example.org new flip-2\n", 1, 3);
    assert_int_equal(moved_note(t.path, &back, &err), 0);
    put(&t, SLICE_LIT("\0\xff\n\n\r\n"), O_APPEND);
    expect(
        &t, "ann@example.org new flip-1\nbob@example.org new flip-2\nann@example.org - -\n", 3, 3);
    put(&t, SLICE_LIT("garbage"), O_TRUNC);
    expect(&t, "", 1, 1);
    tmpdir_remove(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line),
        cmocka_unit_test(test_what_is_no_part),
        cmocka_unit_test(test_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
