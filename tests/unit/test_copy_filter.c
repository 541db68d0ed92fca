/* SPDX-License-Identifier: ISC */
/*
 * A filter decides which messages are copied, and nothing else: what it leaves out is never deleted
 * on the target, what falls out of it later stays, and the same journal goes on without it.
 */
#include "tests/unit/copy_rig.h"

#define IN 1
#define OTHER 5
#define FLAG FLAG_FLAGGED

static struct rig rig;

static void filter_by(struct rig *r, const struct filter_words *words)
{
    struct err err = ERR_INIT;
    rig_close(r);
    copy_free(&r->copy);
    r->options.filter = (struct filter){0};
    if (words)
        assert_int_equal(filter_make(words, 0, &r->options.filter, &err), 0);
}

static const char *const flagged[] = {"\\Flagged"};
static const struct filter_words unflagged = {.without_flags = {flagged, 1}};

static void begin(const char *name, size_t portion, bool is_newest_first)
{
    rig_init(&rig, name, 0, 0, 1);
    rig.options.portion = portion;
    rig.options.is_newest_first = is_newest_first;
    for (uint32_t i = 0; i < 6; i++)
        rig_deliver(&rig, IN, i, i % 2 ? FLAG : 0);
    filter_by(&rig, &unflagged);
    (void)rig_pass(&rig);
}

static void test_copies_what_it_takes(void **state)
{
    (void)state;
    begin("a filter", 0, false);
    rig_expect(&rig, &rig.w.target, IN, "0 2 4");
    assert_int_equal(rig.n.messages_filtered, 3);
    assert_int_equal(rig.n.messages_copied, 3);
    assert_string_equal(rig.told, "Sent 0 3 messages are not copied: only those without \\Flagged");
    /* Asked for, it is no exception; and it is told with every pass. */
    assert_int_equal(rig.n.items_withheld, 0);
    assert_true(rig_pass(&rig));
    assert_int_equal(rig.n.messages_filtered, 3);
    rig_fini(&rig);
}

static void test_takes_nothing_away(void **state)
{
    (void)state;
    begin("what falls out of it", 0, false);
    /* By a flag, by a move, and what was never taken is deleted. */
    assert_true(rig_flag(&rig, &rig.w.source, IN, 0, FLAG, true));
    assert_true(rig_flag(&rig, &rig.w.source, IN, 2, FLAG, true));
    rig_quiet(&rig);
    rig_expect(&rig, &rig.w.target, IN, "0+8 2+8 4");
    rig_move(&rig.w.source, IN, 2, OTHER);
    rig_remove(&rig.w.source, IN, 1);
    rig_remove(&rig.w.source, IN, 4);
    rig_quiet(&rig);
    rig_expect(&rig, &rig.w.target, IN, "0+8");
    rig_expect(&rig, &rig.w.target, OTHER, "2+8");
    assert_int_equal(rig.n.messages_filtered, 2);
    /* What comes into it is copied. */
    assert_true(rig_flag(&rig, &rig.w.source, IN, 3, FLAG, false));
    rig_quiet(&rig);
    rig_expect(&rig, &rig.w.target, IN, "0+8 3");
    /* And without it all is. */
    filter_by(&rig, NULL);
    rig_quiet(&rig);
    rig_compare(&rig);
    assert_int_equal(rig.n.messages_filtered, 0);
    rig_fini(&rig);
}

static void test_is_not_missing(void **state)
{
    struct copy_verdict v;
    struct err err = ERR_INIT;
    (void)state;
    begin("a comparison", 0, false);
    assert_int_equal(copy_verify(rig.copy, COPY_ALL, true, &v, &err), 0);
    assert_int_equal(v.missing, 0);
    assert_int_equal(v.messages, 3);
    rig_deliver(&rig, IN, 6, 0);
    assert_int_equal(copy_verify(rig.copy, COPY_CHANGED, true, &v, &err), 0);
    assert_int_equal(v.missing, 1);
    rig_fini(&rig);
}

/* Message by message, from both ends of a folder; and killed in between. */
static void test_portions(void **state)
{
    (void)state;
    for (unsigned newest = 0; newest < 2; newest++) {
        begin("portions", 2, newest);
        assert_int_equal(rig.n.messages_filtered, 3);
        assert_int_equal(rig.n.messages_copied, 3);
        const struct mailbox *b = server_find(&rig.w.target, IN);
        assert_int_equal(b->v[0].content, newest ? 4 : 0);
        assert_int_equal(b->v[2].content, newest ? 0 : 4);
        filter_by(&rig, NULL);
        rig_quiet(&rig);
        rig_compare(&rig);
        rig_fini(&rig);
    }
}

static int teardown(void **state)
{
    (void)state;
    rig_fini(&rig);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_copies_what_it_takes, teardown),
        cmocka_unit_test_teardown(test_takes_nothing_away, teardown),
        cmocka_unit_test_teardown(test_is_not_missing, teardown),
        cmocka_unit_test_teardown(test_portions, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
