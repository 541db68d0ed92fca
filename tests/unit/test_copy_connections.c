/* SPDX-License-Identifier: ISC */
/*
 * A copy over several connections to each server: whole folders go over them, beside each other.
 * What one connection gives several give, whatever is refused, cut or killed: no message twice,
 * none missing, and none anywhere else.
 */
#include "tests/unit/copy_rig.h"

#define FOLDERS 6
#define EACH 5
#define ENDS_MAX 64
#define TICKS_MAX 600

static struct rig rig;

/* The ends of the rig, and what becomes of those that are opened beside the first ones. */
static struct {
    const struct end_ops *model;
    struct {
        struct end *e;
        bool is_further;
        unsigned appends;
        uint32_t folders; /* that it stored into, by name */
        struct end_ops ops;
    } v[ENDS_MAX];
    size_t n;
    unsigned n_further; /* of the target */
    bool is_refused;    /* the server has no room for them */
    bool is_elsewhere;  /* they lead to another mailbox */
    bool is_lone;       /* the kind of end does not take more than one */
} seen;

static size_t place_of(const struct end *e)
{
    size_t i = seen.n;
    while (i > 0 && seen.v[i - 1].e != e)
        i--;
    assert_true(i > 0);
    return i - 1;
}

static void append_begin(
    struct end *e, struct slice folder, struct end_uids *uids, struct end_ticket *t)
{
    size_t at = place_of(e);
    seen.v[at].appends++;
    seen.v[at].folders |= 1u << model_folder_number((const char *)folder.p, folder.n);
    seen.model->append_begin(e, folder, uids, t);
}

static void status(struct end *e, struct folder *out, struct end_ticket *t)
{
    if (!seen.is_elsewhere || !seen.v[place_of(e)].is_further) {
        seen.model->status(e, out, t);
        return;
    }
    out->has = FOLDER_HAS_UIDVALIDITY;
    out->uidvalidity = 4711;
    end_answer(t, END_OK, NULL);
}

static unsigned can(const struct end *e)
{
    return seen.model->can(e) & ~(seen.is_lone ? (unsigned)END_CAN_SHARE : 0u);
}

static void dress(struct end *e)
{
    const bool is_target = strcmp(e->label, "target") == 0;
    assert_true(seen.n < ENDS_MAX);
    seen.model = e->ops;
    seen.v[seen.n].e = e;
    seen.v[seen.n].is_further = world->ends[is_target] != e;
    seen.v[seen.n].appends = 0;
    seen.v[seen.n].folders = 0;
    seen.v[seen.n].ops = *e->ops;
    seen.v[seen.n].ops.append_begin = append_begin;
    seen.v[seen.n].ops.status = status;
    seen.v[seen.n].ops.can = can;
    e->ops = &seen.v[seen.n].ops;
    seen.n_further += seen.v[seen.n].is_further && is_target;
    if (seen.v[seen.n++].is_further && seen.is_refused)
        model_end_cut(e);
}

/* How many connections have stored something. */
static unsigned n_used(void)
{
    unsigned n = 0;
    for (size_t i = 0; i < seen.n; i++)
        n += seen.v[i].appends > 0;
    return n;
}

static void deliver_all(uint32_t first)
{
    for (uint32_t i = 0; i < FOLDERS * EACH; i++)
        rig_deliver(&rig, (uint8_t)(i % FOLDERS), first + i, i % 3 ? 0 : FLAG_SEEN);
}

static void begin_empty(uint32_t target, uint64_t seed, unsigned connections)
{
    memset(&seen, 0, sizeof(seen));
    rig_init(&rig, "connections", 0, target, seed);
    rig_dress = dress;
    rig.options.connections = connections;
    rig.options.connection_messages = EACH;
}

static void begin(uint32_t target, uint64_t seed, unsigned connections)
{
    begin_empty(target, seed, connections);
    deliver_all(0);
}

static int end(void **state)
{
    (void)state;
    rig_fini(&rig);
    rig_dress = NULL;
    return 0;
}

static void test_folders_go_over_all_of_them(void **state)
{
    uint32_t taken = 0;
    (void)state;
    begin(0, 1, 3);
    assert_false(rig_pass(&rig));
    assert_int_equal(rig.n.messages_copied, FOLDERS * EACH);
    assert_int_equal(seen.n_further, 2);
    assert_int_equal(n_used(), 3);
    for (size_t i = 0; i < seen.n; i++) {
        assert_int_equal(taken & seen.v[i].folders, 0);
        taken |= seen.v[i].folders;
    }
    assert_int_equal(taken, (1u << FOLDERS) - 1);
    /* They have gone with their work. */
    assert_null(rig.w.more[0][0]);
    assert_null(rig.w.more[1][0]);
    rig_quiet(&rig);
    rig_compare(&rig);
}

/* --- When there is one ------------------------------------------------------------------------ */

static void few(void)
{
    rig.options.connection_messages = FOLDERS * EACH;
}

static void lone(void)
{
    seen.is_lone = true;
}

static void refused(void)
{
    seen.is_refused = true;
}

static void elsewhere(void)
{
    seen.is_elsewhere = true;
}

static const struct {
    const char *name;
    void (*change)(void);
    unsigned n_further;
} ones[] = {
    {"few messages", few, 0},
    {"a kind of end that takes one", lone, 0},
    {"no room for more", refused, 2},
    {"another mailbox", elsewhere, 2},
};

static void test_one_goes_on_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(ones); i++) {
        begin(0, 1 + i, 3);
        rig.name = ones[i].name;
        ones[i].change();
        assert_false(rig_pass(&rig));
        assert_int_equal(rig.err.class, ERR_NONE);
        assert_int_equal(seen.n_further, ones[i].n_further);
        assert_int_equal(n_used(), 1);
        /* Nobody asks again. */
        deliver_all(FOLDERS * EACH);
        assert_false(rig_pass(&rig));
        assert_int_equal(seen.n_further, ones[i].n_further);
        rig_quiet(&rig);
        rig_compare(&rig);
        (void)end(state);
    }
}

static void test_one_is_what_nobody_has_to_ask_for(void **state)
{
    (void)state;
    begin(0, 1, 0);
    assert_false(rig_pass(&rig));
    assert_int_equal(seen.n_further, 0);
    rig_compare(&rig);
}

/* --- What goes wrong -------------------------------------------------------------------------- */

static const uint32_t targets[] = {0, QUIRK_NO_UIDPLUS | QUIRK_LATE, QUIRK_NO_MULTIAPPEND,
    QUIRK_STORES_NO, QUIRK_ALTERS | QUIRK_UIDS};
static const enum act acts[] = {
    ACT_CUT_SOURCE, ACT_CUT_TARGET, ACT_KILL, ACT_KILL_AT_COMMIT, ACT_KILL_BEHIND_COMMIT};

/* false: the pass was over before it. */
static bool goes_on_behind(enum act what, uint32_t tick, uint32_t target)
{
    begin(target, 1 + tick, 3);
    rig_arm(&rig, what, tick);
    (void)rig_pass(&rig);
    bool is_in_it = rig.w.tick >= tick;
    rig_quiet(&rig);
    rig_compare(&rig);
    (void)end(NULL);
    return is_in_it;
}

/* At each event of the network, of one kind of interruption or another. */
static void test_no_interruption_costs_anything(void **state)
{
    (void)state;
    for (uint32_t t = 0; t < COUNT_OF(targets); t++) {
        uint32_t tick = 10 + t;
        while (tick < TICKS_MAX && goes_on_behind(acts[tick % COUNT_OF(acts)], tick, targets[t]))
            tick += 4;
        assert_true(tick > 60);
    }
}

/* What breaks a connection is looked for with one. */
static void test_a_loss_leaves_one(void **state)
{
    for (uint32_t ticks = 20; ticks < TICKS_MAX; ticks++) {
        struct err err = ERR_INIT;
        struct copy_counts n = {0};
        begin_empty(0, ticks, 3);
        (void)rig_pass(&rig);
        deliver_all(0);
        rig_arm(&rig, ACT_CUT_TARGET, ticks);
        if (copy_pass(rig.copy, rig.policy, &n, &err) != 0 && n_used() > 1) {
            const unsigned n_further = seen.n_further;
            assert_int_equal(copy_pass(rig.copy, rig.policy, &n, &err), 0);
            assert_int_equal(seen.n_further, n_further);
            rig_quiet(&rig);
            rig_compare(&rig);
            return;
        }
        (void)end(state);
    }
    fail_msg("no connection was lost while there were several");
}

static void test_refusals_cost_what_is_refused(void **state)
{
    uint64_t n_refused = 0;
    (void)state;
    begin(QUIRK_REFUSES, 1, 3);
    for (uint32_t i = 0; i < FOLDERS * EACH; i++)
        n_refused += i % 7 == 3;
    (void)rig_pass(&rig);
    assert_int_equal(rig.n.messages_failed, n_refused);
    assert_int_equal(rig.n.messages_copied, FOLDERS * EACH - n_refused);
    assert_true(n_used() > 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_folders_go_over_all_of_them, end),
        cmocka_unit_test_teardown(test_one_goes_on_alone, end),
        cmocka_unit_test_teardown(test_one_is_what_nobody_has_to_ask_for, end),
        cmocka_unit_test_teardown(test_no_interruption_costs_anything, end),
        cmocka_unit_test_teardown(test_a_loss_leaves_one, end),
        cmocka_unit_test_teardown(test_refusals_cost_what_is_refused, end),
    };
    int result = cmocka_run_group_tests(tests, NULL, NULL);
    site_remove();
    return result;
}
