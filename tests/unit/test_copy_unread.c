/* SPDX-License-Identifier: ISC */
/*
 * A NO to reading one message for a plan costs that message: what it is nobody knows, so nothing is
 * done to it, nor to what it may be; the others are done, and when it can be read nothing is left.
 */
#include "imapsync/copy/copy_parts.h"
#include "tests/unit/copy_rig.h"

#define INBOX 0
#define WORK 1
#define N 9
#define ODD 4 /* that is not given */

static struct rig rig;

static void begin(const char *name, uint32_t source, uint32_t target)
{
    rig_init(&rig, name, source, target, 1);
    for (uint32_t i = 0; i < N; i++)
        rig_deliver(&rig, INBOX, i, 0);
    rig_deliver(&rig, WORK, N, 0);
    rig_quiet(&rig);
}

static void mended(void)
{
    size_t n = rig.w.source.refuses.n + rig.w.target.refuses.n;
    rig.w.source.refuses = rig.w.target.refuses = (struct refusals){0};
    rig_quiet(&rig);
    rig_compare(&rig);
    assert_true(n > 0);
    assert_int_equal(rig.n.items_loss + rig.n.items_withheld + rig.n.items_changed, 0);
}

/* Without IDs only contents tell what was moved. */
static void test_moved(void **state)
{
    (void)state;
    begin("moved", QUIRK_NO_IDS, QUIRK_NO_IDS);
    rig.w.source.refuses.reads = 1u << ODD;
    for (uint32_t i = 3; i < 6; i++)
        rig_move(&rig.w.source, INBOX, i, WORK);
    (void)rig_pass(&rig);
    assert_int_equal(rig.n.messages_moved, 2);
    assert_int_equal(rig.n.messages_copied + rig.n.messages_deleted + rig.n.folders_failed, 0);
    assert_int_equal(rig.n.items_withheld, 2);
    rig_expect(&rig, &rig.w.target, INBOX, "0 1 2 4 6 7 8");
    rig_expect(&rig, &rig.w.target, WORK, "3 5 9");
    rig_quiet(&rig);
    rig_expect(&rig, &rig.w.target, INBOX, "0 1 2 4 6 7 8");
    mended();
}

/* The journal is lost: what the target has is found by content. */
static void adopt(const char *name, bool is_source)
{
    begin(name, 0, 0);
    (is_source ? &rig.w.source : &rig.w.target)->refuses.reads = 1u << ODD;
    rig_close(&rig);
    site_lose(site_dir());
    (void)rig_pass(&rig);
    assert_int_equal(rig.n.messages_adopted, N);
    assert_int_equal(rig.n.folders_failed + rig.n.messages_failed, 0);
}

static void test_adopted(void **state)
{
    (void)state;
    adopt("adopted", true);
    assert_int_equal(rig.n.messages_copied, 0);
    assert_int_equal(rig.n.items_withheld, 1);
    rig_quiet(&rig);
    rig_expect(&rig, &rig.w.target, INBOX, "0 1 2 3 4 5 6 7 8");
    mended();
}

/* And nothing is there that it may be. */
static void test_adopted_and_new(void **state)
{
    (void)state;
    begin("adopted, and new", 0, 0);
    rig.w.source.refuses.reads = UINT64_C(1) << 20;
    rig_deliver(&rig, INBOX, 20, 0);
    rig_close(&rig);
    site_lose(site_dir());
    (void)rig_pass(&rig);
    assert_int_equal(rig.n.messages_adopted, N + 1);
    assert_int_equal(rig.n.messages_failed, 1);
    assert_int_equal(rig.n.folders_failed + rig.n.items_withheld, 0);
    rig.w.source.refuses.reads = 0;
    rig_quiet(&rig);
    rig_compare(&rig);
}

/* A copy that cannot be read is none. */
static void test_a_copy(void **state)
{
    (void)state;
    adopt("a copy", false);
    assert_int_equal(rig.n.messages_copied, 1);
    rig.w.target.refuses.reads = 0;
    rig_expect(&rig, &rig.w.target, INBOX, "0 1 2 3 4 4 5 6 7 8");
}

/* The source has numbered its messages anew. */
static void test_renumbered(void **state)
{
    (void)state;
    begin("renumbered", QUIRK_NO_IDS, 0);
    rig.w.source.refuses.reads = 1u << ODD;
    server_renumber(&rig.w.source, server_find(&rig.w.source, INBOX));
    (void)rig_pass(&rig);
    assert_int_equal(rig.n.messages_copied + rig.n.messages_deleted + rig.n.folders_failed, 0);
    rig_expect(&rig, &rig.w.target, INBOX, "0 1 2 3 4 5 6 7 8");
    rig_quiet(&rig);
    rig_expect(&rig, &rig.w.target, INBOX, "0 1 2 3 4 5 6 7 8");
    mended();
}

/* What was on its way is looked for by content. */
static void test_settling(void **state)
{
    (void)state;
    rig_init(&rig, "settling", 0, QUIRK_NO_UIDPLUS, 1);
    rig.w.target.refuses.reads = 1u << ODD;
    for (uint32_t i = 0; i < N; i++)
        rig_deliver(&rig, INBOX, i, 0);
    for (int i = 0; i < 3; i++)
        (void)rig_pass(&rig);
    assert_int_equal(rig.n.folders_failed, 0);
    rig_expect(&rig, &rig.w.target, INBOX, "0 1 2 3 4 5 6 7 8");
    mended();
}

/* Too many are an error of the folder, and cost it alone. */
static void test_too_many(void **state)
{
    (void)state;
    rig_init(&rig, "too many", 0, 0, 1);
    for (uint32_t i = 0; i < 30; i++)
        rig_deliver(&rig, INBOX, i, 0);
    rig_deliver(&rig, WORK, 40, 0);
    rig_quiet(&rig);
    rig.w.target.refuses.reads = 0x3fffffff;
    rig_close(&rig);
    site_lose(site_dir());
    (void)rig_pass(&rig);
    assert_int_equal(rig.n.folders_failed, 1);
    assert_int_equal(rig.n.messages_adopted, 1);
    rig_expect(&rig, &rig.w.target, WORK, "40");
    mended();
}

static int clean_up(void **state)
{
    (void)state;
    rig_fini(&rig);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_moved, clean_up),
        cmocka_unit_test_teardown(test_adopted, clean_up),
        cmocka_unit_test_teardown(test_adopted_and_new, clean_up),
        cmocka_unit_test_teardown(test_a_copy, clean_up),
        cmocka_unit_test_teardown(test_renumbered, clean_up),
        cmocka_unit_test_teardown(test_settling, clean_up),
        cmocka_unit_test_teardown(test_too_many, clean_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
