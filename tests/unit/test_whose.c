/* SPDX-License-Identifier: ISC */
/* Which mailbox an end leads to: between model servers, with and without IDs. */
#include "imapsync/copy/whose.h"
#include "tests/unit/copy_rig.h"

#define INBOX 0

static struct rig rig;

static struct end *opened(struct server *s)
{
    struct err err = ERR_INIT;
    struct end *e = model_end_new(world, s, NULL);
    while (!e->ops->is_open(e))
        assert_int_equal(end_pump(&e, 1, &err), 0);
    return e;
}

static struct whose look(struct end *e)
{
    struct whose w;
    struct err err = ERR_INIT;
    assert_int_equal(whose_look(e, &w, &err), 0);
    return w;
}

static bool is(struct end *e, const struct whose *then)
{
    bool is_same;
    struct err err = ERR_INIT;
    struct whose now = look(e);
    assert_int_equal(whose_is(e, &now, then, &is_same, &err), 0);
    return is_same;
}

static void begin(uint32_t quirks)
{
    rig_init(&rig, "whose", quirks, quirks, 1);
    rig.w.is_quiet = true;
}

static void test_an_identity_decides(void **state)
{
    (void)state;
    begin(0);
    (void)rig_box(&rig.w.source, INBOX);
    (void)rig_box(&rig.w.target, INBOX);
    struct end *a = opened(&rig.w.source), *b = opened(&rig.w.target);
    struct whose of_a = look(a), of_b = look(b);
    assert_true(whose_is_told(&of_a) && of_a.n == 0);
    assert_true(is(a, &of_a) && is(b, &of_b));
    assert_false(is(a, &of_b) || is(b, &of_a));
    /* What has come or gone since says nothing. */
    rig_deliver(&rig, INBOX, 3, 0);
    assert_true(is(a, &of_a));
    end_close(&a);
    end_close(&b);
}

static void test_without_one_the_messages_do(void **state)
{
    (void)state;
    begin(QUIRK_NO_IDS);
    struct mailbox *inbox = rig_box(&rig.w.source, INBOX), *other = rig_box(&rig.w.target, INBOX);
    struct end *a = opened(&rig.w.source), *b = opened(&rig.w.target);
    struct whose empty = look(a);
    assert_false(whose_is_told(&empty) || is(a, &empty));
    for (uint32_t i = 0; i < 3; i++) {
        rig_deliver(&rig, INBOX, i, 0);
        (void)user_add(&rig.w.target, other, i, 0);
    }
    struct whose then = look(a);
    assert_true(then.n == 2 && then.v[0].uid < then.v[1].uid);
    assert_true(is(a, &then));
    rig_deliver(&rig, INBOX, 4, 0);
    assert_true(is(a, &then));
    /* Others have the same contents, or the same numbers, or lack the last one. */
    other->uidvalidity = inbox->uidvalidity + 1;
    assert_false(is(b, &then));
    other->uidvalidity = inbox->uidvalidity;
    assert_true(is(b, &then));
    rig_remove(&rig.w.target, INBOX, 2);
    assert_false(is(b, &then));
    rig_remove(&rig.w.source, INBOX, 0);
    assert_false(is(a, &then));
    end_close(&a);
    end_close(&b);
}

static bool same(struct server *x, struct server *y)
{
    bool is_same;
    struct err err = ERR_INIT;
    struct end *a = opened(x), *b = opened(y);
    assert_int_equal(whose_same(a, b, &is_same, &err), 0);
    end_close(&a);
    end_close(&b);
    return is_same;
}

static void test_both_ends(void **state)
{
    static const uint32_t quirks[] = {
        0, QUIRK_NO_IDS, QUIRK_NO_TOKENS, QUIRK_NO_IDS | QUIRK_NO_TOKENS};
    (void)state;
    for (size_t i = 0; i < sizeof(quirks) / sizeof(quirks[0]); i++) {
        begin(quirks[i]);
        struct mailbox *inbox = rig_box(&rig.w.source, INBOX),
                       *other = rig_box(&rig.w.target, INBOX);
        rig_deliver(&rig, INBOX, 1, 1);
        (void)user_add(&rig.w.target, other, 1, 1);
        inbox->uidvalidity = other->uidvalidity;
        assert_true(same(&rig.w.source, &rig.w.source));
        /* One is a replica of the other: without IDs the flag tells. */
        assert_false(same(&rig.w.source, &rig.w.target));
        rig_expect(&rig, &rig.w.source, INBOX, "1+1");
        rig_expect(&rig, &rig.w.target, INBOX, "1+1");
        rig_fini(&rig);
    }
}

static void test_as_text(void **state)
{
    struct whose in = {.uidvalidity = 7, .n = 2, .v = {{.uid = 1}, {.uid = UINT32_MAX}}}, out;
    (void)state;
    in.v[1].digest[31] = 0xfe;
    json_t *json = whose_json(&in);
    assert_int_equal(whose_from_json(json, &out), 0);
    assert_memory_equal(&in, &out, sizeof(in));
    json_decref(json);
    in = (struct whose){.id = "a-b_7"};
    json = whose_json(&in);
    assert_int_equal(whose_from_json(json, &out), 0);
    assert_string_equal(out.id, "a-b_7");
    json_decref(json);
    static const char *const bad[] = {"{}", "[]", "{\"id\": \"\"}", "{\"uidvalidity\": 1}",
        "{\"uidvalidity\": -1, \"messages\": []}",
        "{\"uidvalidity\": 1, \"messages\": [{\"uid\": 0, \"sha256\": \"\"}]}",
        "{\"uidvalidity\": 1, \"messages\": [{\"uid\": 1, \"sha256\": \"00\"}]}",
        "{\"uidvalidity\": 1, \"messages\": [1, 2, 3]}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        json = json_loads(bad[i], 0, NULL);
        assert_int_equal(whose_from_json(json, &out), -1);
        json_decref(json);
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
        cmocka_unit_test_teardown(test_an_identity_decides, teardown),
        cmocka_unit_test_teardown(test_without_one_the_messages_do, teardown),
        cmocka_unit_test_teardown(test_both_ends, teardown),
        cmocka_unit_test(test_as_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
