/* SPDX-License-Identifier: ISC */
/* What tells that a folder went back.  A row says what is known: the UIDVALIDITY of the pairs, the
 * highest UID that one names, and the numbers of the last listing; then those of now. */
#include "imapsync/copy/restored.h"
#include "tests/unit/unit.h"

static const struct {
    const char *name;
    struct restored_known known;
    struct record_numbers now;
    bool want;
} rows[] = {
    {"nothing is known", {0}, {7, 10, 100}, false},
    {"nothing has changed", {7, 9, {7, 10, 100}}, {7, 10, 100}, false},
    {"mail has come", {7, 9, {7, 10, 100}}, {7, 12, 104}, false},
    {"flags have changed", {7, 9, {7, 10, 100}}, {7, 10, 104}, false},
    {"mail was copied there since it was listed", {7, 14, {7, 10, 100}}, {7, 15, 120}, false},
    {"UIDNEXT is at a UID that has a pair", {7, 9, {7, 10, 100}}, {7, 9, 90}, true},
    {"below one that was copied since it was listed", {7, 14, {7, 10, 100}}, {7, 12, 110}, true},
    {"it had given UIDs that have no pair", {7, 3, {7, 10, 100}}, {7, 8, 0}, true},
    {"as much mail has come as was lost: MODSEQ tells", {7, 9, {7, 10, 100}}, {7, 10, 99}, true},
    {"more mail has come: MODSEQ tells", {7, 9, {7, 10, 100}}, {7, 13, 99}, true},
    {"more mail has come, and nothing tells", {7, 9, {7, 10, 100}}, {7, 13, 103}, false},
    {"the server has no MODSEQs any more", {7, 9, {7, 10, 100}}, {7, 10, 0}, false},
    {"it has some now", {7, 9, {7, 10, 0}}, {7, 10, 1}, false},
    {"no MODSEQs, as much mail has come", {7, 9, {7, 10, 0}}, {7, 10, 0}, false},
    {"no MODSEQs, less mail has come", {7, 9, {7, 10, 0}}, {7, 9, 0}, true},
    {"a new UIDVALIDITY", {7, 9, {7, 10, 100}}, {8, 3, 2}, false},
    {"pairs of before, listed under the new one", {7, 9, {8, 3, 2}}, {8, 3, 2}, false},
    {"no status", {7, 9, {7, 10, 100}}, {0}, false},
    {"a status without UIDNEXT", {7, 9, {7, 10, 100}}, {7, 0, 100}, false},
    {"a status with nothing but MODSEQ", {7, 9, {7, 10, 100}}, {7, 0, 99}, true},
    {"a journal from before there were numbers", {7, 9, {0}}, {7, 9, 50}, true},
    {"the same, with more mail", {7, 9, {0}}, {7, 10, 50}, false},
    {"the pairs were found to be worth nothing", {0, 9, {7, 10, 100}}, {7, 10, 100}, false},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        assert_row(rows[i].name, restored(&rows[i].known, &rows[i].now) == rows[i].want);
}

static void test_the_highest_ones_stay(void **state)
{
    struct record_numbers n = {0};
    (void)state;
    assert_true(restored_raise(&n, &(struct record_numbers){7, 10, 100}));
    assert_false(restored_raise(&n, &(struct record_numbers){7, 10, 100}));
    assert_false(restored_raise(&n, &(struct record_numbers){7, 0, 0}));
    assert_false(restored_raise(&n, &(struct record_numbers){0}));
    assert_true(restored_raise(&n, &(struct record_numbers){7, 11, 0}));
    assert_true(n.uidvalidity == 7 && n.uidnext == 11 && n.modseq == 100);
    assert_true(restored_raise(&n, &(struct record_numbers){8, 2, 0}));
    assert_true(n.uidvalidity == 8 && n.uidnext == 2 && n.modseq == 0);
}

static void test_a_status_that_lacks_some(void **state)
{
    struct folder f = {.has = FOLDER_HAS_UIDNEXT, .uidvalidity = 7, .uidnext = 3, .modseq = 9};
    (void)state;
    assert_int_equal(restored_numbers(&f).uidnext, 0);
    f.has |= FOLDER_HAS_UIDVALIDITY;
    struct record_numbers n = restored_numbers(&f);
    assert_true(n.uidvalidity == 7 && n.uidnext == 3 && n.modseq == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_the_highest_ones_stay),
        cmocka_unit_test(test_a_status_that_lacks_some),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
