/* SPDX-License-Identifier: ISC */
#include "imapsync/ends/changes.h"
#include "imapsync/ends/mailbox.h"
#include "tests/unit/unit.h"

static void test_order_and_merging(void **state)
{
    const struct listed words[] = {
        {.uid = 5, .has_flags = true, .flags = {.system = FLAG_SEEN}},
        {.uid = 2, .has_date = true, .date_s = 20},
        {.uid = 9},
        {.uid = 5, .has_date = true, .date_s = 50, .zone_min = 60},
        {.uid = 5, .has_flags = true, .flags = {.system = FLAG_FLAGGED}},
        {.uid = 2, .has_size = true, .size = 7},
        {.uid = 1},
    };
    struct keywords k = {0};
    struct end_changes c;
    (void)state;
    end_changes_init(&c, &k);
    for (size_t i = 0; i < COUNT_OF(words); i++)
        assert_true(end_changes_add(&c, &words[i]));
    end_changes_finish(&c);
    assert_int_equal(c.n, 4);
    for (size_t i = 1; i < c.n; i++)
        assert_true(c.v[i - 1].uid < c.v[i].uid);
    const struct listed *five = end_changes_find(&c, 5), *two = end_changes_find(&c, 2);
    assert_true(five->has_flags && five->has_date && !five->has_size);
    assert_int_equal(five->flags.system, FLAG_FLAGGED);
    assert_int_equal(five->date_s, 50);
    assert_true(two->has_date && two->has_size && !two->has_flags);
    assert_null(end_changes_find(&c, 3));
    end_changes_fini(&c);
    end_changes_fini(&c);
}

/* In disorder, twice, and too long; they follow their messages. */
static void test_ids(void **state)
{
    static const char too_long[OBJECT_ID_MAX + 2] = {0};
    struct keywords k = {0};
    struct end_changes c;
    (void)state;
    end_changes_init(&c, &k);
    for (uint32_t uid = 9; uid > 5; uid--)
        assert_true(end_changes_add(&c, &(struct listed){.uid = uid}));
    assert_int_equal(end_changes_id(&c, 0).n, 0);
    end_changes_add_id(&c, 9, SLICE_LIT("nine"));
    end_changes_add_id(&c, 6, SLICE_LIT("six"));
    end_changes_add_id(&c, 7, slice_make(too_long, OBJECT_ID_MAX + 1));
    end_changes_add_id(&c, 9, SLICE_LIT("more"));
    end_changes_add_id(&c, 8, SLICE_NONE);
    end_changes_finish(&c);
    assert_slice_equal(end_changes_id(&c, 0), "six");
    assert_int_equal(end_changes_id(&c, 1).n, 0);
    assert_int_equal(end_changes_id(&c, 2).n, 0);
    assert_slice_equal(end_changes_id(&c, 3), "more");
    end_changes_clear(&c);
    assert_int_equal(c.n, 0);
    assert_null(c.ids);
    end_changes_fini(&c);
}

/* Descending, which turns everything round, and each UID twice. */
static void test_many_in_disorder(void **state)
{
    struct keywords k = {0};
    struct end_changes c;
    (void)state;
    end_changes_init(&c, &k);
    for (uint32_t i = 2000; i-- > 0;) {
        struct listed m = {.uid = i / 2 + 1, .has_size = true, .size = i};
        assert_true(end_changes_add(&c, &m));
    }
    end_changes_finish(&c);
    assert_int_equal(c.n, 1000);
    for (uint32_t i = 0; i < 1000; i++) {
        assert_int_equal(c.v[i].uid, i + 1);
        assert_int_equal(c.v[i].size, 2 * i); /* the last word */
    }
    end_changes_fini(&c);
}

/* Who tells the same over and over takes no more room. */
static void test_repeated(void **state)
{
    struct keywords k = {0};
    struct end_changes c;
    (void)state;
    end_changes_init(&c, &k);
    for (uint32_t i = 0; i < 300000; i++) {
        assert_true(
            end_changes_add(&c, &(struct listed){.uid = 1 + i % 3, .has_size = true, .size = i}));
        end_changes_add_id(&c, 1 + i % 3, SLICE_LIT("id"));
        end_changes_add_vanished(&c, 7 - i % 3);
    }
    end_changes_finish(&c);
    assert_int_equal(c.n, 3);
    assert_int_equal(c.v[2].size, 299999);
    assert_slice_equal(end_changes_id(&c, 1), "id");
    assert_true(c.cap <= 100 && c.cap_vanished <= 100);
    end_changes_fini(&c);
}

static void test_vanished(void **state)
{
    static const struct {
        const char *name;
        bool is_whole, is_sure;
        size_t n;
    } rows[] = {{"whole", true, true, 2}, {"not sure", true, false, 0}, {"a part", false, true, 0}};
    struct uid_set known = uid_set_of((const uint32_t[]){1, 3, 4}, 3);
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct keywords k = {0};
        struct end_changes c;
        end_changes_init(&c, &k);
        assert_true(end_changes_add(&c, &(struct listed){.uid = 3}));
        assert_true(end_changes_add(&c, &(struct listed){.uid = 8}));
        end_changes_finish(&c);
        c.is_whole = rows[i].is_whole;
        c.is_sure = rows[i].is_sure;
        end_changes_miss(&c, &known);
        assert_row(rows[i].name, c.n_vanished == rows[i].n);
        assert_row(rows[i].name, c.n_vanished == 0 || (c.vanished[0] == 1 && c.vanished[1] == 4));
        end_changes_fini(&c);
    }
    uid_set_fini(&known);
}

static void test_names(void **state)
{
    static const struct {
        const char *a, *b;
        bool is_same;
    } rows[] = {{"INBOX", "inbox", true}, {"Inbox", "iNBOX", true}, {"Work", "Work", true},
        {"Work", "WORK", false}, {"INBOX.a", "inbox.a", false}, {"INBOX", "INBOX.", false}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_row(rows[i].a,
            folder_same_name(slice_str(rows[i].a), slice_str(rows[i].b)) == rows[i].is_same);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_merging),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_many_in_disorder),
        cmocka_unit_test(test_repeated),
        cmocka_unit_test(test_vanished),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
