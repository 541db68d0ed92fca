/* SPDX-License-Identifier: ISC */
/* The book of those without an entry: what is worth keeping when it is full, and its file. */
#include <sys/stat.h>
#include "maps/unmapped.h"
#include "tests/unit/tmpdir.h"

static void add(struct unmapped *u, const char *key, uint64_t count, int64_t when_s,
    enum mail_log_known known, unsigned by)
{
    unmapped_add(u, &(struct unmapped_row){.key = (char *)(uintptr_t)key,
                        .count = count,
                        .first_s = when_s,
                        .last_s = when_s,
                        .known = known,
                        .by = by});
}

static const struct unmapped_row *row_of(const struct unmapped *u, const char *key)
{
    for (size_t i = 0; i < u->n; i++)
        if (strcmp(u->v[i].key, key) == 0)
            return &u->v[i];
    return NULL;
}

static void test_rows_add_up(void **state)
{
    struct unmapped *u = unmapped_new(8);
    (void)state;
    add(u, "a@x.org", 1, 100, MAIL_LOG_TAKEN, UNMAPPED_BY_RELAY);
    add(u, "a@x.org", 2, 50, MAIL_LOG_UNKNOWN, UNMAPPED_BY_LOOKUP);
    add(u, "b@x.org", 1, 70, MAIL_LOG_UNKNOWN, UNMAPPED_BY_MILTER);
    const struct unmapped_row *a = row_of(u, "a@x.org");
    assert_int_equal(u->n, 2);
    assert_int_equal(a->count, 3);
    assert_int_equal(a->first_s, 50);
    assert_int_equal(a->last_s, 100);
    assert_int_equal(a->known, MAIL_LOG_TAKEN);
    assert_int_equal(a->by, UNMAPPED_BY_RELAY | UNMAPPED_BY_LOOKUP);
    add(u, "a@x.org", 1, 101, MAIL_LOG_REFUSED, 0);
    assert_int_equal(row_of(u, "a@x.org")->known, MAIL_LOG_REFUSED);
    unmapped_prune(u, 71);
    assert_int_equal(u->n, 1);
    assert_null(row_of(u, "b@x.org"));
    unmapped_free(&u);
}

/* A dictionary drives out itself, and not people whom a server knows. */
static void test_full(void **state)
{
    struct unmapped *u = unmapped_new(100);
    char key[64];
    (void)state;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(fmt_into(key, sizeof key, "real%d@x.org", i), 0);
        add(u, key, 1, 10, MAIL_LOG_TAKEN, 1);
        assert_int_equal(fmt_into(key, sizeof key, "often%d@x.org", i), 0);
        add(u, key, 50, 10, MAIL_LOG_UNKNOWN, 4);
    }
    for (int i = 0; i < 5000; i++) {
        assert_int_equal(fmt_into(key, sizeof key, "guess%d@x.org", i), 0);
        add(u, key, 1, 1000 + i, i % 2 ? MAIL_LOG_REFUSED : MAIL_LOG_UNKNOWN, 4);
    }
    assert_int_equal(u->n, 100);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(fmt_into(key, sizeof key, "real%d@x.org", i), 0);
        assert_non_null(row_of(u, key));
        assert_int_equal(fmt_into(key, sizeof key, "often%d@x.org", i), 0);
        assert_non_null(row_of(u, key));
    }
    /* Somebody whom a server has taken finds a place. */
    add(u, "late@x.org", 1, 9000, MAIL_LOG_TAKEN, 1);
    assert_non_null(row_of(u, "late@x.org"));
    unmapped_free(&u);
    /* Where all are worth more, who comes is counted. */
    u = unmapped_new(4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(fmt_into(key, sizeof key, "real%d@x.org", i), 0);
        add(u, key, 1, 10, MAIL_LOG_TAKEN, 1);
    }
    add(u, "guess@x.org", 3, 11, MAIL_LOG_REFUSED, 1);
    assert_int_equal(u->missed, 3);
    assert_int_equal(u->n, 4);
    unmapped_free(&u);
}

/* Rows that come and go stay where they are found. */
static void test_many_comings_and_goings(void **state)
{
    struct unmapped *u = unmapped_new(50);
    char key[64];
    (void)state;
    for (int i = 0; i < 2000; i++) {
        assert_int_equal(fmt_into(key, sizeof key, "u%d@x.org", (i * 7919) % 83), 0);
        add(u, key, 1, i, MAIL_LOG_UNKNOWN, 1);
        assert_int_equal(row_of(u, key)->last_s, i);
        if (i % 97 == 0)
            unmapped_prune(u, i - 20);
        size_t seen = 0;
        for (size_t b = 0; b < u->n_buckets; b++)
            for (uint32_t at = u->buckets[b]; at; at = u->v[at - 1].next, seen++)
                assert_int_equal(u->v[at - 1].hash % u->n_buckets, b);
        assert_int_equal(seen, u->n);
    }
    unmapped_free(&u);
}

static void test_file(void **state)
{
    struct unmapped *u = unmapped_new(8), *again = unmapped_new(8);
    struct err err = ERR_INIT;
    struct tmpdir dir;
    (void)state;
    tmpdir_make(&dir);
    assert_int_equal(unmapped_load(u, dir.path, &err), 0); /* none */
    assert_int_equal(mkdir(tmpdir_file(&dir, "map"), 0700), 0);
    add(u, "a@x.org", 3, 100, MAIL_LOG_TAKEN, UNMAPPED_BY_RELAY);
    add(u, "\"b c\"@x.org", 1, 70, MAIL_LOG_UNKNOWN, UNMAPPED_BY_MILTER);
    u->missed = 12;
    assert_int_equal(unmapped_save(u, dir.path, 4711, &err), 0);
    assert_int_equal(unmapped_load(again, dir.path, &err), 0);
    assert_int_equal(again->n, 2);
    assert_int_equal(again->missed, 12);
    assert_int_equal(again->saved_ms, 4711);
    assert_int_equal(row_of(again, "a@x.org")->count, 3);
    assert_int_equal(row_of(again, "a@x.org")->by, UNMAPPED_BY_RELAY);
    assert_int_equal(row_of(again, "\"b c\"@x.org")->last_s, 70);
    unmapped_free(&u);
    unmapped_free(&again);
    tmpdir_remove(&dir);
}

static void test_odd_files(void **state)
{
    static const struct {
        const char *text;
        size_t n;
    } rows[] = {
        {"", 0},
        {"1 1 1 0 1 a@x.org\n", 0},
        {"coexist-unmapped 2 1 0\n1 1 1 0 1 a@x.org\n", 0},
        {"coexist-unmapped 1 1 0\n", 0},
        {"coexist-unmapped 1 1 0\n1 1 1 0 1 a@x.org\n", 1},
        {"coexist-unmapped 1 1 0\n1 1 1 0 1 a@x.org", 1},
        {"coexist-unmapped 1 1 0\n1 1 1 3 1 a@x.org\n1 1 1 0 8 b@x.org\n-1 1 1 0 1 c@x.org\n", 0},
        {"coexist-unmapped 1 1 0\n1 1 1 0 1\n1 1 1 0 1 \n\n\n1 1 1 0 1 d@x.org\n", 1},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct unmapped *u = unmapped_new(8);
        unmapped_read(u, slice_str(rows[i].text));
        assert_row(rows[i].text, u->n == rows[i].n);
        unmapped_free(&u);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_add_up),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_many_comings_and_goings),
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_odd_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
