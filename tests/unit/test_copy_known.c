/* SPDX-License-Identifier: ISC */
/* What the journal says of a folder of the target, and what the target has meanwhile. */
#include "tests/unit/copy_rig.h"

#define INBOX 0
#define WORK 1

static struct rig rig;

/* Courier: a folder that nobody has ever written to has another UIDVALIDITY each time. */
static void begin_first_open(const char *name)
{
    rig_init(&rig, name, 0, QUIRK_FIRST_OPEN, 1);
}

static void test_first_open(void **state)
{
    (void)state;
    begin_first_open("first open");
    for (uint32_t i = 0; i < 5; i++)
        rig_deliver(&rig, INBOX, i, 0);
    (void)rig_pass(&rig);
    assert_int_equal(rig.n.messages_copied, 5);
    assert_int_equal(rig.n.messages_adopted, 0);
    assert_int_equal(rig.n.folders_failed + rig.n.messages_failed, 0);
    assert_true(rig_pass(&rig));
    rig_compare(&rig);
}

/* Nothing is copied there, and then a message is moved into it. */
static void test_first_open_moved_to(void **state)
{
    (void)state;
    begin_first_open("moved to what was never opened");
    rig_deliver(&rig, WORK, 1, 0);
    rig_deliver(&rig, WORK, 2, 0);
    rig_quiet(&rig);
    rig_move(&rig.w.source, WORK, 1, INBOX);
    (void)rig_pass(&rig);
    assert_int_equal(rig.n.messages_moved, 1);
    assert_int_equal(rig.n.messages_copied + rig.n.folders_failed, 0);
    assert_true(rig_pass(&rig));
    rig_compare(&rig);
}

/* A refusal is settled by a look into the folder. */
static void test_first_open_refused(void **state)
{
    (void)state;
    rig_init(&rig, "refused", 0, QUIRK_FIRST_OPEN | QUIRK_REFUSES, 1);
    for (uint32_t i = 0; i < 5; i++)
        rig_deliver(&rig, INBOX, i, 0);
    (void)rig_pass(&rig);
    assert_int_equal(rig.n.messages_copied, 4);
    assert_int_equal(rig.n.messages_failed, 1);
    assert_int_equal(rig.n.folders_failed + rig.n.messages_adopted, 0);
    rig_expect(&rig, &rig.w.target, INBOX, "0 1 2 4");
}

/* --- One copy of several messages ----------------------------------------------------------- */

static void begin_shared(const char *name, enum plan_policy_id policy)
{
    rig_init(&rig, name, 0, QUIRK_ONCE | QUIRK_NO_MULTIAPPEND, 1);
    rig.policy = policy;
    rig_deliver(&rig, WORK, 1, 0);
    rig_deliver(&rig, WORK, 1, 0);
    rig_deliver(&rig, WORK, 2, 0);
    rig_quiet(&rig);
    rig_expect(&rig, &rig.w.target, WORK, "1 2");
}

/* It goes with the last one. */
static void test_shared(void **state)
{
    (void)state;
    begin_shared("shared", PLAN_MIRROR);
    rig_remove(&rig.w.source, WORK, 1);
    rig_quiet(&rig);
    rig_expect(&rig, &rig.w.target, WORK, "1 2");
    rig_remove(&rig.w.source, WORK, 1);
    rig_quiet(&rig);
    rig_expect(&rig, &rig.w.target, WORK, "2");
}

static void test_shared_both(void **state)
{
    (void)state;
    begin_shared("shared, both go", PLAN_MIRROR);
    rig_remove(&rig.w.source, WORK, 1);
    rig_remove(&rig.w.source, WORK, 1);
    rig_quiet(&rig);
    rig_expect(&rig, &rig.w.target, WORK, "2");
}

/* An archive keeps it, knows it as the copy of what is gone, and lets it follow its message. */
static void test_shared_archive(void **state)
{
    (void)state;
    begin_shared("shared, archive", PLAN_ARCHIVE);
    rig_remove(&rig.w.source, WORK, 1);
    rig_remove(&rig.w.source, WORK, 1);
    rig_quiet(&rig);
    rig_expect(&rig, &rig.w.target, WORK, "1 2");
    /* Had in mind still: nothing of it is deleted, or comes again, when it is a mirror now. */
    rig.policy = PLAN_MIRROR;
    rig_quiet(&rig);
    rig_expect(&rig, &rig.w.target, WORK, "1 2");
    /* One that is there again shares it, and then goes without it: the other one has it. */
    rig_deliver(&rig, WORK, 1, 0);
    rig_quiet(&rig);
    rig_expect(&rig, &rig.w.target, WORK, "1 2");
    rig_remove(&rig.w.source, WORK, 1);
    rig_quiet(&rig);
    rig_expect(&rig, &rig.w.target, WORK, "2");
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
        cmocka_unit_test_teardown(test_first_open, clean_up),
        cmocka_unit_test_teardown(test_first_open_moved_to, clean_up),
        cmocka_unit_test_teardown(test_first_open_refused, clean_up),
        cmocka_unit_test_teardown(test_shared, clean_up),
        cmocka_unit_test_teardown(test_shared_both, clean_up),
        cmocka_unit_test_teardown(test_shared_archive, clean_up),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    site_remove();
    return failed;
}
