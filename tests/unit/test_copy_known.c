/* SPDX-License-Identifier: ISC */
/* What the journal says of a folder of the target, and what the target has meanwhile. */
#include "imapsync/ends/named.h"
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

/* What was opened anew is claimed anew, and what is open as it was not again: before a flip nobody
 * is at somebody else's mailbox. */
static void test_claims(void **state)
{
    struct err err = ERR_INIT;
    (void)state;
    rig_init(&rig, "claims", 0, 0, 1);
    (void)rig_pass(&rig);
    assert_int_equal(rig.n_claims, 0);
    assert_int_equal(copy_claim(rig.copy, &err), 0);
    assert_int_equal(rig.n_claims, 2);
    assert_int_equal(copy_claim_again(rig.copy, &err), 0);
    assert_int_equal(rig.n_claims, 2);
    copy_disconnect(rig.copy);
    assert_int_equal(copy_connect(rig.copy, &err), 0);
    assert_int_equal(copy_claim_again(rig.copy, &err), 0);
    assert_int_equal(rig.n_claims, 4);
    copy_disconnect(rig.copy);
    rig.is_anothers = true;
    assert_int_equal(copy_claim_again(rig.copy, &err), -1);
    assert_string_equal(err.text, "another user's");
    /* Nor is it forgotten. */
    assert_int_equal(copy_claim_again(rig.copy, &err), -1);
    assert_int_equal(rig.n_claims, 6);
}

/* --- Annotations -------------------------------------------------------------------------------
 */

static struct {
    const struct end_ops *model;
    struct end_ops ops;
    unsigned n_asked, n_set;
    bool is_theirs; /* the target has another value */
} noted;

static unsigned can_more(const struct end *e)
{
    return noted.model->can(e) | END_CAN_METADATA;
}

static void metadata(struct end *e, struct slice name, struct named_list *out, struct end_ticket *t)
{
    const bool is_source = strcmp(e->label, "source") == 0;
    (void)name;
    noted.n_asked += is_source;
    if (is_source || noted.is_theirs)
        named_list_add(out, SLICE_LIT("/private/comment"),
            is_source ? SLICE_LIT("ours") : SLICE_LIT("theirs"));
    end_answer(t, END_OK, NULL);
}

static void set_metadata(
    struct end *e, struct slice name, struct slice entry, struct slice value, struct end_ticket *t)
{
    (void)e, (void)name, (void)entry;
    assert_true(slice_eq(value, SLICE_LIT("ours")));
    noted.n_set++;
    end_answer(t, END_OK, NULL);
}

static void dress(struct end *e)
{
    noted.model = e->ops;
    noted.ops = *e->ops;
    noted.ops.can = can_more;
    noted.ops.metadata = metadata;
    noted.ops.set_metadata = set_metadata;
    e->ops = &noted.ops;
}

/* Once in the life of a copy, and again when a folder has come. */
static void test_annotations_are_asked_for_once(void **state)
{
    (void)state;
    rig_init(&rig, "annotations", 0, 0, 1);
    memset(&noted, 0, sizeof(noted));
    rig_dress = dress;
    rig_deliver(&rig, INBOX, 1, 0);
    (void)rig_pass(&rig);
    const unsigned n = noted.n_asked;
    assert_true(n > 0);
    assert_int_equal(noted.n_set, n);
    rig_deliver(&rig, INBOX, 2, 0);
    (void)rig_pass(&rig);
    assert_int_equal(noted.n_asked, n);
    noted.is_theirs = true;
    rig_deliver(&rig, WORK, 3, 0);
    (void)rig_pass(&rig);
    assert_true(noted.n_asked > n);
    assert_int_equal(noted.n_set, n);
    assert_int_equal(rig.n.items_changed, noted.n_asked - n);
    rig_close(&rig);
    copy_free(&rig.copy);
    rig.options.no_metadata = true;
    const unsigned before = noted.n_asked;
    (void)rig_pass(&rig);
    assert_int_equal(noted.n_asked, before);
}

static int clean_up(void **state)
{
    (void)state;
    rig_fini(&rig);
    rig_dress = NULL;
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
        cmocka_unit_test_teardown(test_claims, clean_up),
        cmocka_unit_test_teardown(test_annotations_are_asked_for_once, clean_up),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    site_remove();
    return failed;
}
