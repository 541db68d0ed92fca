/* SPDX-License-Identifier: ISC */
/*
 * A NO to a change of messages costs the message, or the flag, that it is about: the others are
 * changed, what is at fault is named, and when the target takes it nothing of it is left.
 */
#include "imapsync/copy/copy_parts.h"
#include "imapsync/copy/items_choice.h"
#include "tests/unit/copy_rig.h"

#define INBOX 0
#define WORK 1
#define TRASH 2
#define SEEN FLAG_SEEN
#define WORD 32u /* a keyword */
#define N 9

static struct rig rig;

static const uint32_t kinds[] = {
    0, QUIRK_NO_CONDSTORE, QUIRK_NO_MOVE, QUIRK_NO_CONDSTORE | QUIRK_NO_TOKENS};

static struct refusals *no(void)
{
    return &rig.w.target.refuses;
}

static void begin(const char *name, uint32_t quirks, uint32_t n)
{
    rig_init(&rig, name, 0, quirks, 1);
    for (uint32_t i = 0; i < n; i++)
        rig_deliver(&rig, INBOX, i, 0);
    rig_box(&rig.w.source, WORK);
    rig_quiet(&rig);
}

static void flag_all(uint16_t flag, bool on)
{
    for (uint32_t i = 0; i < N; i++)
        assert_true(rig_flag(&rig, &rig.w.source, INBOX, i, flag, on));
}

/* How many of INBOX have the flags. */
static size_t count(const struct server *s, uint16_t flags)
{
    const struct mailbox *b = server_find(s, INBOX);
    size_t n = 0;
    for (size_t i = 0; i < b->n; i++)
        n += (b->v[i].flags & flags) == flags;
    return n;
}

/* The refusal ends, and with it everything that was told of it. */
static void mended(void)
{
    const size_t n = no()->n;
    *no() = (struct refusals){0};
    rig_quiet(&rig);
    rig_compare(&rig);
    assert_true(n > 0);
    assert_int_equal(rig.n.items_loss + rig.n.items_withheld + rig.n.items_changed, 0);
}

/* The whole folder says no to one keyword: it is the keyword, and not nine messages. */
static void test_a_keyword(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        begin("keyword", kinds[i], N);
        no()->set = WORD;
        flag_all(SEEN | WORD, true);
        (void)rig_pass(&rig);
        assert_int_equal(count(&rig.w.target, SEEN), N);
        assert_int_equal(count(&rig.w.target, WORD), 0);
        assert_int_equal(rig.n.folders_failed, 0);
        assert_int_equal(rig.n.flags_changed, N);
        assert_non_null(strstr(rig.told, "does not set k0"));
        assert_true(no()->n < 2 * N);
        mended();
        rig_fini(&rig);
    }
}

/* What is taken away and stays is common to both, so it is tried again, and nobody's user has it.
 */
static void test_taking_away(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        begin("taking away", kinds[i], N);
        flag_all(WORD, true);
        rig_quiet(&rig);
        no()->take = WORD;
        flag_all(WORD, false);
        flag_all(SEEN, true);
        (void)rig_pass(&rig);
        assert_int_equal(count(&rig.w.target, SEEN | WORD), N);
        assert_non_null(strstr(rig.told, "does not take away k0"));
        assert_int_equal(rig.n.folders_failed, 0);
        mended();
        rig_fini(&rig);
    }
}

/* What was refused is not sent again with every sweep; what else happens to the messages is done.
 */
static void test_resting(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * COUNT_OF(kinds); i++) {
        uint32_t n = i % 2 ? N : 2;
        begin("resting", kinds[i / 2], n);
        no()->set = WORD;
        for (uint32_t k = 0; k < n; k++)
            assert_true(rig_flag(&rig, &rig.w.source, INBOX, k, SEEN | WORD, true));
        (void)rig_pass(&rig);
        size_t n_refused = no()->n;
        uint64_t n_items = rig.n.items_changed;
        assert_int_equal(n_items, n == 2 ? 2 : 1);
        rig.copy->backs_off = true;
        assert_true(rig_flag(&rig, &rig.w.source, INBOX, 0, FLAG_FLAGGED, true));
        for (unsigned pass = 0; pass < 2; pass++) {
            (void)rig_pass(&rig);
            assert_int_equal(no()->n, n_refused);
            assert_int_equal(rig.n.items_changed, n_items);
            assert_int_equal(count(&rig.w.target, SEEN), n);
            assert_int_equal(count(&rig.w.target, FLAG_FLAGGED), 1);
        }
        rig.copy->backs_off = false;
        mended();
        rig_fini(&rig);
    }
}

/* One message, wherever it is among the others. */
static void test_a_message(void **state)
{
    (void)state;
    for (uint32_t at = 0; at < N * COUNT_OF(kinds); at++) {
        begin("message", kinds[at / N], N);
        no()->contents = UINT64_C(1) << at % N;
        no()->flags = true;
        flag_all(SEEN | WORD, true);
        (void)rig_pass(&rig);
        assert_int_equal(count(&rig.w.target, SEEN | WORD), N - 1);
        assert_int_equal(rig.n.folders_failed, 0);
        assert_int_equal(rig.n.items_changed, 1);
        assert_non_null(strstr(rig.told, "not this one"));
        assert_true(no()->n < 2 * N);
        mended();
        rig_fini(&rig);
    }
}

/* None of them, and two of them. */
static void test_messages(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        begin("all", kinds[i], N);
        no()->contents = UINT64_MAX;
        no()->flags = true;
        flag_all(SEEN, true);
        (void)rig_pass(&rig);
        assert_int_equal(count(&rig.w.target, SEEN), 0);
        assert_true(no()->n < 2 * N);
        assert_int_equal(rig.n.flags_changed + rig.n.folders_failed, 0);
        mended();
        rig_fini(&rig);
        begin("two", kinds[i], N);
        no()->contents = 0x24;
        no()->flags = true;
        flag_all(SEEN, true);
        (void)rig_pass(&rig);
        assert_int_equal(count(&rig.w.target, SEEN), N - 2);
        assert_int_equal(rig.n.items_changed, 2);
        mended();
        rig_fini(&rig);
    }
}

/* --- What is not kept ------------------------------------------------------------------------ */

/* Set with OK, and not there: noticed at once, set once more, and then named. */
static void test_dropped(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        begin("dropped", kinds[i], N);
        no()->drops = WORD;
        flag_all(SEEN | WORD, true);
        (void)rig_pass(&rig);
        assert_int_equal(count(&rig.w.target, SEEN), N);
        assert_int_equal(count(&rig.w.target, WORD), 0);
        assert_non_null(strstr(rig.told, "does not set k0"));
        assert_int_equal(rig.n.items_changed, 1);
        assert_int_equal(no()->n_dropped, 2);
        /* Nobody's user has taken it away: on the way back it would go from the source. */
        no()->drops = 0;
        rig_quiet(&rig);
        rig_compare(&rig);
        rig_fini(&rig);
    }
}

/* The same of what is stored with them. */
static void test_dropped_when_stored(void **state)
{
    static const struct {
        uint16_t flag;
        uint32_t n;
        size_t n_items;
    } rows[] = {{WORD, 3, 1}, {WORD, 5, 1}, {SEEN, 5, 1}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(kinds) * COUNT_OF(rows); i++) {
        uint16_t flag = rows[i % COUNT_OF(rows)].flag;
        rig_init(&rig, "dropped when stored", 0, kinds[i / COUNT_OF(rows)], 1);
        no()->drops = flag;
        for (uint32_t k = 0; k < rows[i % COUNT_OF(rows)].n; k++)
            rig_deliver(&rig, INBOX, k, FLAG_FLAGGED | flag);
        (void)rig_pass(&rig);
        assert_int_equal(count(&rig.w.target, flag), 0);
        assert_int_equal(rig.n.items_changed, rows[i % COUNT_OF(rows)].n_items);
        assert_non_null(strstr(rig.told, "does not keep"));
        no()->drops = 0;
        rig_quiet(&rig);
        if (flag == WORD)
            rig_compare(&rig);
        rig_fini(&rig);
    }
}

/* Of two messages it may be what their user did a moment after they were stored. */
static void test_dropped_of_few(void **state)
{
    (void)state;
    rig_init(&rig, "dropped of few", 0, 0, 1);
    no()->drops = WORD;
    rig_deliver(&rig, INBOX, 1, WORD);
    rig_deliver(&rig, INBOX, 2, WORD);
    rig_quiet(&rig);
    rig_expect(&rig, &rig.w.target, INBOX, "1 2");
    assert_int_equal(rig.n.items_changed, 0);
    rig_fini(&rig);
}

/* A folder that keeps no keywords gets none, and they are named once. */
static void test_not_kept(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        rig_init(&rig, "not kept", 0, kinds[i] | QUIRK_NO_KEYWORDS, 1);
        rig_deliver(&rig, INBOX, 1, SEEN | WORD);
        rig_deliver(&rig, INBOX, 2, SEEN);
        for (unsigned pass = 0; pass < 3; pass++) {
            (void)rig_pass(&rig);
            assert_int_equal(rig.n.messages_reduced, 0);
            assert_int_equal(rig.n.items_changed, 1);
            if (pass == 0)
                assert_non_null(strstr(rig.told, "keeps none of these: k0"));
            rig_expect(&rig, &rig.w.target, INBOX, "1+16 2+16");
        }
        rig_fini(&rig);
    }
}

/* --- Removals and moves ------------------------------------------------------------------------
 */

static void remove_some(void)
{
    for (uint32_t i = 0; i < N; i++)
        rig_remove(&rig.w.source, INBOX, i);
}

/* The others go, and what stays bears no mark of ours behind the next pass. */
static void test_a_removal(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        for (unsigned is_mark = 0; is_mark < 2; is_mark++) {
            begin("removal", kinds[i], 40);
            no()->contents = UINT64_C(1) << 4;
            no()->flags = is_mark == 1;
            no()->removals = is_mark == 0;
            remove_some();
            (void)rig_pass(&rig);
            assert_int_equal(server_find(&rig.w.target, INBOX)->n, 40 - N + 1);
            assert_int_equal(rig.n.messages_deleted, N - 1);
            assert_int_equal(rig.n.folders_failed, 0);
            assert_int_equal(rig.n.items_withheld, 1);
            (void)rig_pass(&rig);
            assert_int_equal(rig.n.items_withheld, 1);
            mended();
            assert_int_equal(count(&rig.w.target, FLAG_DELETED), 0);
            rig_fini(&rig);
        }
    }
}

static void move_some(void)
{
    for (uint32_t i = 0; i < N; i++)
        rig_move(&rig.w.source, INBOX, i, WORK);
}

static void test_a_move(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        begin("move", kinds[i], 20);
        no()->contents = UINT64_C(1) << 7;
        no()->moves = true;
        move_some();
        (void)rig_pass(&rig);
        assert_int_equal(rig.n.messages_moved, N - 1);
        assert_int_equal(rig.n.folders_failed, 0);
        assert_int_equal(rig.n.items_withheld, 1);
        assert_non_null(strstr(rig.told, "not this one"));
        mended();
        rig_fini(&rig);
    }
}

/* The ways in which one does not go: moved, marked, removed, and on the way back to Trash. */
enum way { MOVED, MARKED, REMOVED, TO_TRASH, WAYS };

static void begin_held(uint32_t quirks, enum way way, uint64_t contents)
{
    begin("held", quirks, 40);
    if (way == TO_TRASH) {
        rig.policy = PLAN_REVERSE;
        rig_box(&rig.w.target, TRASH);
        rig_quiet(&rig);
    }
    no()->contents = contents;
    no()->moves = way == MOVED || way == TO_TRASH;
    no()->flags = way == MARKED;
    no()->removals = way == REMOVED;
    if (way == MOVED)
        move_some();
    else
        remove_some();
    (void)rig_pass(&rig);
    assert_int_equal(rig.n.folders_failed, 0);
}

/* What lies in Trash is nobody's on the source. */
static void held_mended(enum way way)
{
    if (way != TO_TRASH) {
        mended();
        return;
    }
    *no() = (struct refusals){0};
    rig_quiet(&rig);
    rig_expect(&rig, &rig.w.target, TRASH, "0 1 2 3 4 5 6 7 8");
    assert_int_equal(rig.n.items_loss + rig.n.items_withheld + rig.n.items_changed, 0);
}

static void decide(enum item_state state)
{
    const struct item_choice c = {
        .code = ITEM_HELD_BACK, .has_accepted = true, .by = "ann", .why = "so"};
    struct err err = ERR_INIT;
    uint64_t n = 0;
    assert_int_equal(items_decide(rig.copy->journal, &c, state, &n, &err), 0);
    assert_int_equal(n, 1);
}

/* One that did not go is not sent again with every sweep, and what else happens is done. */
static void test_held_rests(void **state)
{
    (void)state;
    for (size_t i = 0; i < WAYS * COUNT_OF(kinds); i++) {
        const enum way way = i % WAYS;
        begin_held(kinds[i / WAYS], way, UINT64_C(1) << 4);
        const size_t n_there = server_find(&rig.w.target, INBOX)->n;
        size_t n_refused = no()->n;
        assert_int_equal(rig.n.items_withheld, 1);
        rig.copy->backs_off = true;
        for (uint32_t pass = 0; pass < 3; pass++) {
            assert_true(rig_flag(&rig, &rig.w.source, INBOX, 20 + pass, FLAG_FLAGGED, true));
            rig_move(&rig.w.source, INBOX, 30 + pass, WORK);
            rig_deliver(&rig, INBOX, 50 + pass, 0);
            (void)rig_pass(&rig);
            assert_int_equal(no()->n, n_refused);
            assert_int_equal(rig.n.folders_failed, 0);
            assert_int_equal(rig.n.items_withheld, 1);
            assert_int_equal(rig.n.deletions_withheld, 1);
            assert_int_equal(rig.n.flags_changed + rig.n.messages_moved, 2);
            assert_int_equal(server_find(&rig.w.target, INBOX)->n, n_there);
        }
        /* Once more, as somebody wants it, and then it rests again. */
        decide(ITEM_RETRIED);
        (void)rig_pass(&rig);
        assert_true(no()->n > n_refused);
        assert_int_equal(rig.n.items_withheld, 1);
        n_refused = no()->n;
        (void)rig_pass(&rig);
        assert_int_equal(no()->n, n_refused);
        /* As it is, it is good: then it is never tried. */
        decide(ITEM_ACCEPTED);
        rig.copy->backs_off = false;
        for (unsigned pass = 0; pass < 2; pass++) {
            (void)rig_pass(&rig);
            assert_int_equal(no()->n, n_refused);
            assert_int_equal(rig.n.items_withheld + rig.n.deletions_withheld, 0);
            assert_int_equal(rig.n.items_accepted, 1);
        }
        decide(ITEM_RETRIED);
        held_mended(way);
        rig_fini(&rig);
    }
}

/* What happens to a message whose move rests waits with it, or is done where its copy is. */
static void test_held_changes_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3 * COUNT_OF(kinds); i++) {
        begin_held(kinds[i / 3], MOVED, UINT64_C(1) << 4);
        const size_t n_refused = no()->n;
        rig.copy->backs_off = true;
        if (i % 3 == 0) {
            assert_true(rig_flag(&rig, &rig.w.source, WORK, 4, SEEN, true));
        } else if (i % 3 == 1) {
            rig_remove(&rig.w.source, WORK, 4);
        } else {
            rig_move(&rig.w.source, WORK, 4, INBOX);
        }
        (void)rig_pass(&rig);
        assert_int_equal(no()->n, n_refused);
        assert_int_equal(rig.n.items_withheld, i % 3 == 2 ? 0 : 1);
        assert_int_equal(server_find(&rig.w.target, INBOX)->n, 40 - N + 1);
        assert_int_equal(server_find(&rig.w.target, WORK)->n, N - 1);
        rig.copy->backs_off = false;
        mended();
        rig_fini(&rig);
    }
}

/* Those that are left, each of them refused alone before, do not speak for the folder. */
static void test_held_ones_left(void **state)
{
    (void)state;
    for (size_t i = 0; i < WAYS * COUNT_OF(kinds); i++) {
        begin_held(kinds[i / WAYS], i % WAYS, 0x5a);
        assert_int_equal(rig.n.items_withheld, 4);
        for (unsigned pass = 0; pass < 2; pass++) {
            (void)rig_pass(&rig);
            assert_int_equal(rig.n.folders_failed, 0);
            assert_int_equal(rig.n.items_withheld, 4);
            assert_int_equal(rig.n.items_loss, 0);
        }
        held_mended(i % WAYS);
        rig_fini(&rig);
    }
}

/* On the way back, where no Trash can be made, what was removed stays, and all else is done. */
static void test_no_trash(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        begin("no trash", kinds[i], N);
        rig.policy = PLAN_REVERSE;
        no()->makes = true;
        rig_remove(&rig.w.source, INBOX, 0);
        rig_move(&rig.w.source, INBOX, 1, WORK);
        rig_deliver(&rig, INBOX, 10, 0);
        assert_true(rig_flag(&rig, &rig.w.source, INBOX, 2, SEEN, true));
        for (unsigned pass = 0; pass < 2; pass++) {
            (void)rig_pass(&rig);
            rig.copy->backs_off = true;
            assert_int_equal(rig.n.folders_failed, 0);
            assert_int_equal(rig.n.items_withheld, 1);
            assert_non_null(strstr(rig.told, "it has no Trash"));
            rig_expect(&rig, &rig.w.target, INBOX, "0 2+16 3 4 5 6 7 8 10");
            rig_expect(&rig, &rig.w.target, WORK, "1");
        }
        *no() = (struct refusals){0};
        rig_quiet(&rig);
        rig_expect(&rig, &rig.w.target, INBOX, "2+16 3 4 5 6 7 8 10");
        rig_expect(&rig, &rig.w.target, TRASH, "0");
        rig_fini(&rig);
    }
}

/* A folder that lets nothing go is one that cannot be changed. */
static void test_no_removal_at_all(void **state)
{
    (void)state;
    begin("no removal", 0, 40);
    no()->contents = UINT64_MAX;
    no()->removals = true;
    remove_some();
    (void)rig_pass(&rig);
    assert_int_equal(rig.n.folders_failed, 1);
    assert_int_equal(rig.n.messages_deleted, 0);
    assert_true(no()->n < 2 * N);
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
        cmocka_unit_test_teardown(test_a_keyword, clean_up),
        cmocka_unit_test_teardown(test_taking_away, clean_up),
        cmocka_unit_test_teardown(test_resting, clean_up),
        cmocka_unit_test_teardown(test_a_message, clean_up),
        cmocka_unit_test_teardown(test_messages, clean_up),
        cmocka_unit_test_teardown(test_dropped, clean_up),
        cmocka_unit_test_teardown(test_dropped_when_stored, clean_up),
        cmocka_unit_test_teardown(test_dropped_of_few, clean_up),
        cmocka_unit_test_teardown(test_not_kept, clean_up),
        cmocka_unit_test_teardown(test_a_removal, clean_up),
        cmocka_unit_test_teardown(test_a_move, clean_up),
        cmocka_unit_test_teardown(test_held_rests, clean_up),
        cmocka_unit_test_teardown(test_held_changes_again, clean_up),
        cmocka_unit_test_teardown(test_held_ones_left, clean_up),
        cmocka_unit_test_teardown(test_no_trash, clean_up),
        cmocka_unit_test_teardown(test_no_removal_at_all, clean_up),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    site_remove();
    return failed;
}
