/* SPDX-License-Identifier: ISC */
#include <string.h>
#include "imapsync/plan/filter.h"
#include "tests/unit/unit.h"

#define NOW INT64_C(1793836800) /* 2026-11-05 00:00:00 UTC */
#define DAY 86400

struct row {
    const char *name;
    struct filter_words words;
    struct listed m;
    const char *flags; /* of the message */
    bool is_taken;
};

static const char *const flagged[] = {"\\flagged"}, *const both[] = {"\\Flagged", "Work"},
                         *const seen[] = {"\\Seen"}, *const work[] = {"work"};
#define WORDS(v)                                                                                   \
    {                                                                                              \
        v, COUNT_OF(v)                                                                             \
    }
#define DATED(s)                                                                                   \
    {                                                                                              \
        .uid = 1, .has_date = true, .date_s = (s)                                                  \
    }
#define SIZED(octets)                                                                              \
    {                                                                                              \
        .uid = 1, .has_size = true, .size = (octets)                                               \
    }
#define FLAGS                                                                                      \
    {                                                                                              \
        .uid = 1, .has_flags = true                                                                \
    }

static const struct row rows[] = {
    {"nothing is said", {0}, DATED(0), NULL, true},
    {"before: the second before", {.before = "2026-11-05"}, DATED(NOW - 1), NULL, true},
    {"before: that day", {.before = "2026-11-05"}, DATED(NOW), NULL, false},
    {"since: the second before", {.since = "2026-11-05"}, DATED(NOW - 1), NULL, false},
    {"since: that day", {.since = "2026-11-05"}, DATED(NOW), NULL, true},
    {"the message's own day: still the 4th in New York", {.before = "2026-11-05"},
        {.has_date = true, .date_s = NOW + 3600, .zone_min = -300}, NULL, true},
    {"and already the 5th in Tokyo", {.before = "2026-11-05"},
        {.has_date = true, .date_s = NOW - 3600, .zone_min = 540}, NULL, false},
    {"days ago", {.since = "3d"}, DATED(NOW - 3 * DAY), NULL, true},
    {"a day more", {.since = "3d"}, DATED(NOW - 3 * DAY - 1), NULL, false},
    {"a leap day", {.before = "2024-03-01"}, DATED(INT64_C(1709164800)), NULL, true},
    {"before 1970", {.before = "1969-12-31"}, DATED(-DAY), NULL, false},
    {"long before 1970", {.before = "1969-12-31"}, DATED(-DAY - 1), NULL, true},
    {"no date is told: taken", {.before = "2020-01-01"}, {.uid = 1}, NULL, true},
    {"of at most", {.max_size = "1k"}, SIZED(1024), NULL, true},
    {"and one more", {.max_size = "1k"}, SIZED(1025), NULL, false},
    {"of at least", {.min_size = "1k"}, SIZED(1024), NULL, true},
    {"and one less", {.min_size = "1k"}, SIZED(1023), NULL, false},
    {"larger than can be told", {.max_size = "1G"}, SIZED(UINT32_MAX), NULL, false},
    {"no size is told: taken", {.min_size = "1M"}, {.uid = 1}, NULL, true},
    {"with a flag", {.with_flags = WORDS(flagged)}, FLAGS, "\\Seen \\Flagged", true},
    {"without it", {.with_flags = WORDS(flagged)}, FLAGS, "\\Seen", false},
    {"with both", {.with_flags = WORDS(both)}, FLAGS, "\\Flagged work", true},
    {"with one of them", {.with_flags = WORDS(both)}, FLAGS, "\\Flagged", false},
    {"unseen", {.without_flags = WORDS(seen)}, FLAGS, "\\Flagged", true},
    {"seen", {.without_flags = WORDS(seen)}, FLAGS, "\\Seen", false},
    {"a keyword in other letters", {.without_flags = WORDS(work)}, FLAGS, "WORK", false},
    {"no flags are told: taken", {.with_flags = WORDS(flagged)}, {.uid = 1}, NULL, true},
    {"all of it has to be so", {.since = "3d", .with_flags = WORDS(flagged)},
        {.has_date = true, .date_s = NOW, .has_flags = true}, "\\Seen", false},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct keywords keywords = {0};
        struct listed m = rows[i].m;
        struct filter f;
        struct err err = ERR_INIT;
        if (rows[i].flags)
            assert_int_equal(flags_parse(slice_str(rows[i].flags), &keywords, &m.flags), 0);
        assert_row(rows[i].name, filter_make(&rows[i].words, NOW, &f, &err) == 0);
        assert_row(rows[i].name, filter_takes(&f, &m, &keywords) == rows[i].is_taken);
        assert_row(rows[i].name, filter_is_empty(&f) == (i == 0));
        assert_row(rows[i].name,
            (filter_wants(&f) != 0) == (rows[i].words.min_size || rows[i].words.max_size));
        keywords_fini(&keywords);
    }
}

static void test_refused(void **state)
{
    static const char *const odd[] = {"\\Recent"}, *const none[] = {"two words"};
    static const struct {
        struct filter_words words;
        const char *text;
    } bad[] = {
        {{.since = "yesterday"}, "since: yesterday is no date"},
        {{.before = "2026-02-30"}, "before: 2026-02-30 is no date"},
        {{.before = "2025-02-29"}, "is no date"},
        {{.before = "2026-1-1"}, "is no date"},
        {{.before = "d"}, "is no date"},
        {{.before = "-3d"}, "is no date"},
        {{.min_size = "much"}, "min-size: much is no size"},
        {{.max_size = "0"}, "max-size: 0 is no size"},
        {{.with_flags = WORDS(odd)}, "with-flag: \\Recent is no flag"},
        {{.without_flags = WORDS(none)}, "without-flag: two words is no flag"},
        {{.since = "2026-11-05", .before = "2026-11-05"}, "no message can be like that"},
        {{.min_size = "2M", .max_size = "1M"}, "no message can be like that"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct filter f;
        struct err err = ERR_INIT;
        assert_row(bad[i].text, filter_make(&bad[i].words, NOW, &f, &err) != 0);
        assert_row(bad[i].text, strstr(err.text, bad[i].text) != NULL && err.class == ERR_PERM);
    }
}

static void test_text(void **state)
{
    const struct filter_words words = {.since = "2024-02-29",
        .before = "3d",
        .min_size = "1k",
        .max_size = "1M",
        .with_flags = WORDS(both),
        .without_flags = WORDS(seen)};
    struct filter f;
    struct err err = ERR_INIT;
    struct buf text;
    (void)state;
    buf_init(&text, 1000);
    assert_int_equal(buf_add_str(&text, "only "), 0);
    assert_int_equal(filter_make(&words, NOW, &f, &err), 0);
    assert_int_equal(filter_text(&f, &text), 0);
    assert_string_equal(buf_cstr(&text),
        "only since 2024-02-29, before 2026-11-02, of at least 1024 octets, of at most 1048576 "
        "octets, with \\Flagged, with Work, without \\Seen");
    buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
