/* SPDX-License-Identifier: ISC */
/*
 * A source like Gmail: one folder shows all messages, and what is archived is nowhere else.  Each
 * message comes once, into Archive what is only there, whatever its user does next.
 */
#include "tests/unit/copy_rig.h"

#define INBOX 0
#define TRASH 2
#define WORK 3
#define ARCHIVE 5
#define ALL 6

static struct rig rig;

/* In this folder, and so in All. */
static void deliver(uint8_t box, uint32_t content, uint16_t flags)
{
    struct server *s = &rig.w.source;
    struct mailbox *b = rig_box(s, box);
    struct message *m = user_add(s, b, content, flags);
    (void)user_copy(s, b, m, rig_box(s, ALL));
}

static void archive(uint32_t content)
{
    (void)user_add(&rig.w.source, rig_box(&rig.w.source, ALL), content, 0);
}

static void label(uint32_t content, uint8_t box)
{
    struct server *s = &rig.w.source;
    (void)user_copy(s, rig_box(s, ALL), rig_find(s, ALL, content), rig_box(s, box));
}

static void remove_everywhere(uint32_t content)
{
    static const uint8_t boxes[] = {INBOX, WORK, ALL};
    for (size_t i = 0; i < COUNT_OF(boxes); i++) {
        if (rig_find(&rig.w.source, boxes[i], content))
            rig_remove(&rig.w.source, boxes[i], content);
    }
}

static void begin(const char *name, uint32_t quirks, uint64_t seed)
{
    rig_init(&rig, name, quirks, 0, seed);
    rig_box(&rig.w.source, ALL)->is_shown = true;
    deliver(INBOX, 0, 0);
    deliver(INBOX, 1, FLAG_SEEN);
    label(1, WORK);
    deliver(WORK, 2, 0);
    archive(3);
    archive(4);
}

static void expect(const char *inbox, const char *work, const char *archived, const char *trash)
{
    const struct server *t = &rig.w.target;
    rig_expect(&rig, t, INBOX, inbox);
    rig_expect(&rig, t, WORK, work);
    rig_expect(&rig, t, ARCHIVE, archived);
    rig_expect(&rig, t, TRASH, trash);
    rig_expect(&rig, t, ALL, "");
}

static void expect_copied(void)
{
    expect("0 1+16", "1+16 2", "3 4", "");
}

static void begin_copied(const char *name, uint32_t quirks, uint64_t seed)
{
    begin(name, quirks, seed);
    rig_quiet(&rig);
    expect_copied();
}

/* --- Once ---------------------------------------------------------------------------------------
 */

static void test_once(void **state)
{
    (void)state;
    begin("once", 0, 1);
    (void)rig_pass(&rig);
    expect_copied();
    assert_int_equal(rig.n.messages_copied, 6);
    assert_int_equal(rig.n.folders_failed + rig.n.messages_failed + rig.n.messages_left_out, 0);
    /* What is elsewhere too is known by its EMAILID; the others are read, and copied. */
    assert_int_equal(server_find(&rig.w.source, ALL)->n_read, 4);
    assert_true(rig_pass(&rig));
    assert_int_equal(server_find(&rig.w.source, ALL)->n_read, 4);
}

/* Without IDs, and without headers, each is read once. */
static void test_once_by_content(void **state)
{
    (void)state;
    begin("once, by content", QUIRK_NO_IDS, 1);
    (void)rig_pass(&rig);
    expect_copied();
    assert_int_equal(server_find(&rig.w.source, ALL)->n_read, 7);
    assert_true(rig_pass(&rig));
    assert_int_equal(server_find(&rig.w.source, ALL)->n_read, 7);
}

/* Nothing is only there, and no folder is made for nothing. */
static void test_nothing_archived(void **state)
{
    (void)state;
    rig_init(&rig, "nothing archived", 0, 0, 1);
    rig_box(&rig.w.source, ALL)->is_shown = true;
    deliver(INBOX, 0, 0);
    rig_quiet(&rig);
    expect("0", "", "", "");
    assert_null(server_find(&rig.w.target, ARCHIVE));
    assert_null(server_find(&rig.w.target, ALL));
}

/* --- Later ---------------------------------------------------------------------------------------
 */

static void gets_label(void)
{
    label(3, WORK);
}

static void is_archived(void)
{
    rig_remove(&rig.w.source, INBOX, 0);
}

static void both(void)
{
    gets_label();
    is_archived();
}

static void is_removed(void)
{
    rig_remove(&rig.w.source, ALL, 4);
}

static void is_removed_everywhere(void)
{
    remove_everywhere(1);
}

static void goes_to_trash(void)
{
    rig_move(&rig.w.source, ALL, 4, TRASH);
}

static void comes_to_both(void)
{
    deliver(INBOX, 7, 0);
}

static void comes_archived(void)
{
    archive(8);
}

static void is_read(void)
{
    (void)rig_flag(&rig, &rig.w.source, ALL, 4, FLAG_SEEN, true);
}

static void loses_one_label(void)
{
    rig_remove(&rig.w.source, INBOX, 1);
}

static void is_renumbered(void)
{
    server_renumber(&rig.w.source, server_find(&rig.w.source, ALL));
}

static void all_at_once(void)
{
    both();
    goes_to_trash();
    comes_to_both();
    comes_archived();
    loses_one_label();
}

static const struct later {
    const char *name;
    void (*change)(void);
    const char *inbox, *work, *archived, *trash;
    size_t n_moved, n_copied, n_deleted;
} laters[] = {
    {"gets a label", gets_label, "0 1+16", "1+16 2 3", "4", "", 1, 0, 0},
    {"is archived", is_archived, "1+16", "1+16 2", "0 3 4", "", 1, 0, 0},
    {"both ways", both, "1+16", "1+16 2 3", "0 4", "", 2, 0, 0},
    {"is removed", is_removed, "0 1+16", "1+16 2", "3", "", 0, 0, 1},
    {"is removed everywhere", is_removed_everywhere, "0", "2", "3 4", "", 0, 0, 2},
    {"goes to Trash", goes_to_trash, "0 1+16", "1+16 2", "3", "4", 1, 0, 0},
    {"comes to both", comes_to_both, "0 1+16 7", "1+16 2", "3 4", "", 0, 1, 0},
    {"comes archived", comes_archived, "0 1+16", "1+16 2", "3 4 8", "", 0, 1, 0},
    {"is read", is_read, "0 1+16", "1+16 2", "3 4+16", "", 0, 0, 0},
    {"loses one label", loses_one_label, "0", "1+16 2", "3 4", "", 0, 0, 1},
    {"is renumbered", is_renumbered, "0 1+16", "1+16 2", "3 4", "", 0, 0, 0},
    {"all at once", all_at_once, "7", "1+16 2 3", "0 8", "4", 3, 2, 1},
};

static void expect_later(const struct later *l)
{
    expect(l->inbox, l->work, l->archived, l->trash);
}

static void test_later(void **state)
{
    static const uint32_t quirks[] = {
        0, QUIRK_NO_IDS, QUIRK_NO_CONDSTORE | QUIRK_NO_TOKENS | QUIRK_NO_IDS};
    const struct later *l = *state;
    for (size_t q = 0; q < COUNT_OF(quirks); q++) {
        begin_copied(l->name, quirks[q], 1 + q);
        l->change();
        (void)rig_pass(&rig);
        assert_int_equal(rig.n.messages_moved, l->n_moved);
        assert_int_equal(rig.n.messages_copied, l->n_copied);
        assert_int_equal(rig.n.messages_deleted, l->n_deleted);
        expect_later(l);
        assert_true(rig_pass(&rig));
        expect_later(l);
        rig_fini(&rig);
    }
}

/* --- Kills ---------------------------------------------------------------------------------------
 */

/* During the first pass, and during the one that follows a change. */
static void test_killed(void **state)
{
    static const enum act kills[] = {
        ACT_KILL, ACT_KILL_AT_COMMIT, ACT_KILL_BEHIND_COMMIT, ACT_CUT_TARGET, ACT_CUT_SOURCE};
    const struct later *l = *state;
    const uint32_t step = getenv("COEXIST_KILLS") ? 1 : 23;
    for (size_t k = 0; k < COUNT_OF(kills); k++) {
        for (uint32_t tick = 1 + (uint32_t)k; tick < 300; tick += step) {
            begin(l->name, tick % 2 ? 0 : QUIRK_NO_IDS, tick);
            rig_arm(&rig, kills[k], tick);
            (void)rig_pass(&rig);
            rig_disarm(&rig);
            l->change();
            rig_arm(&rig, kills[k], tick);
            (void)rig_pass(&rig);
            rig_quiet(&rig);
            expect_later(l);
            rig_fini(&rig);
        }
    }
}

/* --- Comparisons --------------------------------------------------------------------------------
 */

static void test_verify(void **state)
{
    struct copy_verdict v;
    struct err err = ERR_INIT;
    (void)state;
    begin_copied("verified", QUIRK_NO_IDS, 1);
    assert_int_equal(copy_verify(rig.copy, COPY_ALL, true, &v, &err), 0);
    assert_int_equal(v.messages, 6);
    assert_int_equal(v.missing + v.different + v.gone + v.extra, 0);
    /* What came since: once in a folder and in All, once archived. */
    comes_to_both();
    comes_archived();
    assert_int_equal(copy_verify(rig.copy, COPY_CHANGED, true, &v, &err), 0);
    assert_int_equal(v.missing, 3);
    rig_quiet(&rig);
    assert_int_equal(copy_verify(rig.copy, COPY_CHANGED, true, &v, &err), 0);
    assert_int_equal(v.messages, 8);
    assert_int_equal(v.missing + v.different + v.gone + v.extra, 0);
}

static int clean_up(void **state)
{
    (void)state;
    rig_fini(&rig);
    return 0;
}

int main(void)
{
    const struct CMUnitTest some[] = {
        cmocka_unit_test_teardown(test_once, clean_up),
        cmocka_unit_test_teardown(test_once_by_content, clean_up),
        cmocka_unit_test_teardown(test_nothing_archived, clean_up),
        cmocka_unit_test_teardown(test_verify, clean_up),
    };
    struct CMUnitTest tests[COUNT_OF(some) + 2 * COUNT_OF(laters)];
    memcpy(tests, some, sizeof(some));
    for (size_t i = 0; i < 2 * COUNT_OF(laters); i++) {
        const struct later *l = &laters[i / 2];
        tests[COUNT_OF(some) + i] = (struct CMUnitTest){.name = l->name,
            .test_func = i % 2 ? test_killed : test_later,
            .teardown_func = clean_up,
            .initial_state = (void *)(uintptr_t)l};
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    site_remove();
    return failed;
}
