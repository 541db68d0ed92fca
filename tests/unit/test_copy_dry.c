/* SPDX-License-Identifier: ISC */
/*
 * A dry pass looks at both sides and plans, and changes neither the target nor the journal: the end
 * behind is a model that notices, and the same plan is made again.
 */
#include "imapsync/ends/dry_end.h"
#include "tests/unit/copy_rig.h"

#define IN 1
#define OTHER 5

static struct rig rig;

/* Of the whole target. */
static void text_of(const struct server *s, struct buf *out)
{
    for (uint8_t f = 0; f < MODEL_FOLDERS; f++) {
        assert_int_equal(buf_addf(out, "|%d ", server_find(s, f) != NULL), 0);
        rig_text(s, f, out);
    }
}

static void dry(struct rig *r, bool is_dry)
{
    rig_close(r);
    copy_free(&r->copy);
    r->options.is_dry = is_dry;
}

static void test_first_plan(void **state)
{
    struct buf before, after;
    (void)state;
    buf_init(&before, 100000);
    buf_init(&after, 100000);
    rig_init(&rig, "a dry pass", 0, 0, 1);
    for (uint32_t i = 0; i < 6; i++)
        rig_deliver(&rig, i < 4 ? IN : OTHER, i, 0);
    (void)user_add(&rig.w.target, rig_box(&rig.w.target, IN), 2, 0);
    (void)user_add(&rig.w.target, rig_box(&rig.w.target, IN), 20, 0);
    text_of(&rig.w.target, &before);
    for (unsigned i = 0; i < 2; i++) {
        dry(&rig, true);
        (void)rig_pass(&rig);
        assert_string_equal(rig.told, "");
        assert_int_equal(rig.n.messages_copied, 5);
        assert_int_equal(rig.n.messages_adopted, 1);
        assert_int_not_equal(rig.n.octets_copied, 0);
        buf_clear(&after);
        text_of(&rig.w.target, &after);
        assert_string_equal(buf_cstr(&before), buf_cstr(&after));
    }
    dry(&rig, false);
    (void)rig_pass(&rig);
    assert_int_equal(rig.n.messages_copied, 5);
    rig_expect(&rig, &rig.w.target, IN, "0 1 2 3 20");
    rig_fini(&rig);
    buf_fini(&before);
    buf_fini(&after);
}

/* In portions, each message is counted once. */
static void test_portions(void **state)
{
    (void)state;
    rig_init(&rig, "portions of a dry pass", 0, 0, 1);
    rig.options.portion = 2;
    rig.options.is_dry = true;
    for (uint32_t i = 0; i < 7; i++)
        rig_deliver(&rig, IN, i, 0);
    (void)rig_pass(&rig);
    assert_int_equal(rig.n.messages_copied, 7);
    rig_expect(&rig, &rig.w.target, IN, "");
    rig_fini(&rig);
}

/* --- The end by itself -------------------------------------------------------------------------
 */

static struct end *make_target(const struct end_maker *m, const struct wait_limits *limits)
{
    (void)m;
    return model_end_new(world, &world->target, limits);
}

static enum end_result result_of(struct end *e, struct end_ticket *t)
{
    struct err err = ERR_INIT;
    assert_int_equal(end_wait(e, t, &err), 0);
    return t->result;
}

static void test_every_change_is_refused(void **state)
{
    static const struct end_maker model = {
        .label = "target", .user = "user", .name = "sim://new", .make = make_target};
    const struct flags seen = {.system = FLAG_SEEN};
    struct keywords keywords = {0};
    const struct end_flags mark = {.flags = &seen, .keywords = &keywords};
    const struct slice name = slice_str(model_folder_name(IN)), new = SLICE_LIT("New");
    const uint32_t uid = 1;
    struct dry_maker dry_maker;
    const struct end_maker *makers[] = {&dry_maker.maker}, *silent;
    struct end_changes c;
    struct end_uids uids = {0};
    struct end *e;
    struct err err = ERR_INIT;
    struct buf before, after;
    (void)state;
    buf_init(&before, 100000);
    buf_init(&after, 100000);
    rig_init(&rig, "a dry end", 0, 0, 1);
    (void)user_add(&rig.w.target, rig_box(&rig.w.target, IN), 2, 0);
    text_of(&rig.w.target, &before);
    dry_maker_init(&dry_maker, &model);
    assert_int_equal(end_open_all(makers, 1, NULL, &e, &silent, &err), 0);
    /* It shows what is there. */
    end_changes_init(&c, &keywords);
    struct end_ticket t = {0};
    e->ops->open(e,
        &(struct end_open){.folder = name, .is_for_writing = true, .want = END_WANT_FLAGS}, &c, &t);
    assert_int_equal(result_of(e, &t), END_OK);
    assert_int_equal(c.n, 1);
    end_changes_fini(&c);
    /* And changes none of it. */
    t = (struct end_ticket){0};
    e->ops->flags(e, &uid, 1, &mark, NULL, &t);
    assert_int_equal(result_of(e, &t), END_NO);
    t = (struct end_ticket){0};
    e->ops->move(e, &uid, 1, new, &uids, &t);
    assert_int_equal(result_of(e, &t), END_NO);
    t = (struct end_ticket){0};
    e->ops->remove(e, &uid, 1, &t);
    assert_int_equal(result_of(e, &t), END_NO);
    t = (struct end_ticket){0};
    e->ops->rename(e, name, new, &t);
    assert_int_equal(result_of(e, &t), END_NO);
    t = (struct end_ticket){0};
    e->ops->append_begin(e, name, &uids, &t);
    e->ops->append_message(
        e, &(struct end_message){.flags = &seen, .keywords = &keywords, .size = 1});
    e->ops->append_octets(e, SLICE_LIT("x"));
    e->ops->append_end(e);
    assert_int_equal(result_of(e, &t), END_NO);
    /* A folder that is made is there for it. */
    t = (struct end_ticket){0};
    e->ops->make(e, new, FOLDER_USE_NONE, &t);
    assert_int_equal(result_of(e, &t), END_OK);
    t = (struct end_ticket){0};
    e->ops->subscribe(e, new, true, &t);
    assert_int_equal(result_of(e, &t), END_OK);
    struct folder f = {.name = new};
    t = (struct end_ticket){0};
    e->ops->status(e, &f, &t);
    assert_int_equal(result_of(e, &t), END_OK);
    assert_int_equal(f.uidnext, 1);
    end_changes_init(&c, &keywords);
    t = (struct end_ticket){0};
    e->ops->open(e, &(struct end_open){.folder = new, .is_for_writing = true}, &c, &t);
    assert_int_equal(result_of(e, &t), END_OK);
    assert_true(c.is_sure && c.is_whole && c.n == 0 && c.uidvalidity == f.uidvalidity);
    end_changes_fini(&c);
    end_close(&e);
    text_of(&rig.w.target, &after);
    assert_string_equal(buf_cstr(&before), buf_cstr(&after));
    keywords_fini(&keywords);
    end_uids_fini(&uids);
    buf_fini(&before);
    buf_fini(&after);
    rig_fini(&rig);
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
        cmocka_unit_test_teardown(test_first_plan, teardown),
        cmocka_unit_test_teardown(test_portions, teardown),
        cmocka_unit_test_teardown(test_every_change_is_refused, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
