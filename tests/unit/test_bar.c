/* SPDX-License-Identifier: ISC */
#include <string.h>
#include "base/core/buf.h"
#include "imapsync/bar.h"
#include "imapsync/width.h"
#include "tests/unit/unit.h"

#define LONG "Archive/2019/Projects of the last year/A name that nobody would type"
#define JAPANESE                                                                                   \
    "\xe6\x97\xa5\xe6\x9c\xac\xe3\x81\xae\xe9\x95\xb7\xe3\x81\x84\xe5\x90\x8d\xe5\x89\x8d"

static void expect(const char *name, const struct bar *b, size_t width, const char *want)
{
    struct buf line;
    buf_init(&line, 4096);
    bar_line(b, width, &line);
    if (strcmp(buf_cstr(&line), want) != 0)
        fail_msg("%s:\n  got    '%s'\n  wanted '%s'", name, buf_cstr(&line), want);
    buf_fini(&line);
}

static void test_lines(void **state)
{
    const struct bar begins = {.total = 2900, .left_ms = -1};
    const struct bar goes = {.done = 1234,
        .total = 2900,
        .octets = 25270026,
        .speed = {.messages = 140, .octets = 3355443},
        .left_ms = 12000,
        .folder = "INBOX"};
    struct bar with_long = goes, ends = goes, more = goes, goes_by_looks = goes;
    (void)state;
    with_long.folder = LONG;
    ends.done = 2899;
    more.done = 3000;
    expect("nothing is known", &(struct bar){.left_ms = -1}, 79, "[..........]   0%  0/0  0 B");
    expect("it begins", &begins, 79, "[..........]   0%  0/2900  0 B");
    expect("80 columns", &goes, 79,
        "[####......]  42%  1234/2900  24.1 MiB  3.2 MiB/s  0:12 left  INBOX");
    expect("120 columns", &goes, 119,
        "[#####.........]  42%  1234/2900  24.1 MiB  3.2 MiB/s  0:12 left  INBOX");
    expect("a name is cut", &with_long, 79,
        "[####......]  42%  1234/2900  24.1 MiB  3.2 MiB/s  0:12 left  Archive...ld type");
    expect("no room for it", &with_long, 69,
        "[####......]  42%  1234/2900  24.1 MiB  3.2 MiB/s  0:12 left");
    expect("the octets go next", &goes, 55, "[####......]  42%  1234/2900  3.2 MiB/s  0:12 left");
    expect("then the speed", &goes, 45, "[####......]  42%  1234/2900  0:12 left");
    expect("then the time", &goes, 30, "[####......]  42%  1234/2900");
    goes_by_looks.what = "compares";
    goes_by_looks.speed.octets = 0;
    expect("a comparison", &goes_by_looks, 79,
        "compares  [####......]  42%  1234/2900  0:12 left  INBOX");
    expect("a narrow one", &goes, 20, "1234/2900  0:12 left");
    expect("all but one is not all", &ends, 60,
        "[#########.]  99%  2899/2900  24.1 MiB  3.2 MiB/s  0:12 left");
    expect("some came meanwhile", &more, 45, "[##########] 100%  3000/3000  0:12 left");
}

/* Whatever the numbers are, it fits, and no character is cut. */
static void test_it_fits(void **state)
{
    static const char *const names[] = {NULL, "", "INBOX", LONG, JAPANESE JAPANESE JAPANESE,
        "e\xcc\x81"
        "e\xcc\x81"
        "e\xcc\x81 and so on and so on and so on and so on and so on"};
    static const uint64_t numbers[] = {0, 1, 999, 12345678, UINT64_MAX / 2};
    (void)state;
    for (size_t width = 20; width < 200; width++) {
        for (size_t i = 0; i < COUNT_OF(names) * COUNT_OF(numbers); i++) {
            uint64_t n = numbers[i % COUNT_OF(numbers)];
            const struct bar b = {.done = n / 3,
                .total = n,
                .octets = n,
                .speed = {(double)n, (double)n},
                .left_ms = (int64_t)n,
                .folder = names[i / COUNT_OF(numbers)]};
            struct buf line;
            buf_init(&line, 4096);
            bar_line(&b, width, &line);
            assert_true(width_of(buf_slice(&line)) <= width);
            buf_fini(&line);
        }
    }
}

static void test_widths(void **state)
{
    static const struct {
        const char *text;
        size_t width;
    } rows[] = {
        {"", 0},
        {"INBOX", 5},
        {"Entw\xc3\xbcrfe", 8},
        {"Entwu\xcc\x88rfe", 8},
        {"\xe6\x97\xa5\xe6\x9c\xac", 4},
        {"\xed\x95\x9c\xea\xb8\x80", 4},             /* Hangul */
        {"\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab", 2}, /* the same in parts */
        {"\xf0\x9f\x93\xa7", 2},                     /* an envelope */
        {"a\xe2\x80\x8b"
         "b",
            2},              /* nothing between them */
        {"\xef\xbc\xa1", 2}, /* a full-width A */
        {"\xc3", 1},
        {"\xff\xfe", 2},
        {"\xd7\xa9\xd6\xb8\xd7\x9c", 2},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_row(rows[i].text, width_of(slice_str(rows[i].text)) == rows[i].width);
}

static void test_cutting(void **state)
{
    static const struct {
        const char *text;
        size_t min, max;
        const char *out;
    } rows[] = {
        {"INBOX", 0, 20, "INBOX"},
        {"INBOX", 8, 20, "INBOX   "},
        {"Archive/2019/Projects", 12, 12, "Arch...jects"},
        {"Archive/2019/Projects", 5, 5, "Archi"},
        {JAPANESE, 12, 12, "\xe6\x97\xa5\xe6\x9c\xac...\xe5\x90\x8d\xe5\x89\x8d "},
        {JAPANESE, 0, 5, "\xe6\x97\xa5\xe6\x9c\xac"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf out;
        buf_init(&out, 1000);
        width_add(&out, slice_str(rows[i].text), rows[i].min, rows[i].max);
        if (strcmp(buf_cstr(&out), rows[i].out) != 0)
            fail_msg("'%s' is '%s', not '%s'", rows[i].text, buf_cstr(&out), rows[i].out);
        buf_fini(&out);
    }
}

static void test_numbers(void **state)
{
    static const struct {
        double octets;
        const char *text;
    } sizes[] = {{0, "0 B"}, {1023, "1023 B"}, {1024, "1.0 KiB"}, {1536, "1.5 KiB"},
        {25270026, "24.1 MiB"}, {1e12, "931.3 GiB"}, {1e17, "90949.5 TiB"}};
    static const struct {
        int64_t ms;
        const char *text;
    } times[] = {{0, "0:00"}, {1, "0:01"}, {12000, "0:12"}, {61000, "1:01"}, {3600000, "1:00:00"},
        {172800000, "2 d 0 h"}, {INT64_C(1000000000), "11 d 13 h"}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct buf out;
        buf_init(&out, 100);
        bar_add_octets(&out, sizes[i].octets);
        assert_string_equal(buf_cstr(&out), sizes[i].text);
        buf_fini(&out);
    }
    for (size_t i = 0; i < COUNT_OF(times); i++) {
        struct buf out;
        buf_init(&out, 100);
        bar_add_time(&out, times[i].ms);
        assert_string_equal(buf_cstr(&out), times[i].text);
        buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_it_fits),
        cmocka_unit_test(test_widths),
        cmocka_unit_test(test_cutting),
        cmocka_unit_test(test_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
