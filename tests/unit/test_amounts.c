/* SPDX-License-Identifier: ISC */
/* A source that has nothing, or less than its quota says, and a target that has no room. */
#include <sysexits.h>

#include "imapsync/copy/amounts.h"
#include "tests/unit/copy_rig.h"

#define INBOX 0
#define WORK 1
#define SOME 5 /* messages: fewer than any limit of deletions */
#define MIB (UINT64_C(1) << 20)

static struct rig rig;

static void begin(const char *name)
{
    rig_init(&rig, name, 0, 0, 1);
    rig.options.accept = 0;
}

static void fill(uint8_t box)
{
    for (uint32_t i = 0; i < SOME; i++)
        rig_deliver(&rig, box, i, 0);
}

static void empty(uint8_t box)
{
    for (uint32_t i = 0; i < SOME; i++)
        rig_remove(&rig.w.source, box, i);
}

/* With these options from now on. */
static void accept(enum item_code code)
{
    rig_close(&rig);
    rig.options.accept = code == ITEM_NONE ? 0 : UINT32_C(1) << code;
}

static void assert_items(const char *name, unsigned withheld, unsigned accepted)
{
    if (rig.n.items_withheld != withheld || rig.n.items_accepted != accepted)
        fail_msg("%s: %u withheld, %u accepted: %s", name, (unsigned)rig.n.items_withheld,
            (unsigned)rig.n.items_accepted, rig.told);
}

static void test_less(void **state)
{
    static const struct {
        const char *name;
        uint64_t there, used, least;
        bool is;
    } rows[] = {
        {"nothing is said", 0, 0, 1, false},
        {"all is there", 100, 100, 1, false},
        {"more is", 200, 100, 1, false},
        {"half", 50, 100, 1, false},
        {"less than half", 49, 100, 1, true},
        {"less, but of little", 4, 10, 7, false},
        {"just so much", 4, 11, 7, true},
        {"the largest", UINT64_MAX - 1, UINT64_MAX, 1, false},
        {"none of the largest", 0, UINT64_MAX, 1, true},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_row(rows[i].name,
            amounts_is_less(rows[i].there, rows[i].used, rows[i].least) == rows[i].is);
}

/* --- Nothing at all --------------------------------------------------------------------------- */

static void test_new_mailbox(void **state)
{
    (void)state;
    begin("a new one");
    (void)rig_box(&rig.w.source, INBOX);
    for (unsigned i = 0; i < 2; i++) {
        (void)rig_pass(&rig);
        assert_items("nobody has said anything", 1, 0);
        assert_non_null(strstr(rig.told, "no message in any folder"));
        assert_null(strstr(rig.told, "copied from it"));
    }
    accept(ITEM_EMPTY);
    (void)rig_pass(&rig);
    assert_items("accepted in advance", 0, 1);
    assert_string_equal(rig.told, "");
    accept(ITEM_NONE);
    (void)rig_pass(&rig);
    assert_items("and kept", 0, 1);
    fill(INBOX);
    (void)rig_pass(&rig);
    assert_items("not empty any more", 0, 0);
    rig_compare(&rig);
    rig_fini(&rig);
}

/* By accident, between one pass and the next. */
static void test_emptied(void **state)
{
    (void)state;
    begin("emptied");
    fill(INBOX);
    rig_quiet(&rig);
    assert_items("full", 0, 0);
    empty(INBOX);
    for (unsigned i = 0; i < 3; i++) {
        (void)rig_pass(&rig);
        assert_true(rig.n.items_withheld > 0);
        rig_expect(&rig, &rig.w.target, INBOX, "0 1 2 3 4");
    }
    /* One is there again, so it was no accident of the server: the others go. */
    rig_deliver(&rig, INBOX, 7, 0);
    rig_quiet(&rig);
    assert_items("not empty", 0, 0);
    rig_compare(&rig);
    rig_fini(&rig);
}

static void test_emptied_on_purpose(void **state)
{
    (void)state;
    begin("on purpose");
    fill(INBOX);
    rig_quiet(&rig);
    empty(INBOX);
    (void)rig_pass(&rig);
    accept(ITEM_EMPTY);
    rig_quiet(&rig);
    assert_items("accepted", 0, 1);
    rig_expect(&rig, &rig.w.target, INBOX, "");
    rig_fini(&rig);
}

/* Who has said that a mailbox is new has not said that it may be emptied. */
static void test_acceptance_is_of_then(void **state)
{
    (void)state;
    begin("of then");
    (void)rig_box(&rig.w.source, INBOX);
    rig.options.accept = UINT32_C(1) << ITEM_EMPTY;
    (void)rig_pass(&rig);
    assert_items("new", 0, 1);
    accept(ITEM_NONE);
    fill(INBOX);
    rig_quiet(&rig);
    empty(INBOX);
    (void)rig_pass(&rig);
    assert_true(rig.n.items_withheld > 0);
    assert_int_equal(rig.n.items_accepted, 0);
    rig_expect(&rig, &rig.w.target, INBOX, "0 1 2 3 4");
    rig_fini(&rig);
}

/* Another namespace, or rights that are gone: mail is there, and its INBOX is not. */
static void test_no_inbox(void **state)
{
    (void)state;
    begin("no INBOX");
    struct mailbox *inbox = server_find(&rig.w.source, INBOX);
    if (inbox)
        server_drop(&rig.w.source, inbox);
    fill(WORK);
    (void)rig_pass(&rig);
    assert_items("mail elsewhere", 1, 0);
    assert_non_null(strstr(rig.told, "no INBOX"));
    rig_expect(&rig, &rig.w.target, WORK, "0 1 2 3 4"); /* what is there is carried over */
    rig_fini(&rig);
}

static void test_behind_the_flip(void **state)
{
    (void)state;
    begin("behind the flip");
    fill(INBOX);
    rig_quiet(&rig);
    empty(INBOX);
    rig.policy = PLAN_AFTER_FLIP;
    (void)rig_pass(&rig);
    assert_items("old may be emptied then", 0, 0);
    rig_fini(&rig);
}

/* --- Less than a quota says ------------------------------------------------------------------- */

static void test_less_than_a_quota(void **state)
{
    static const struct {
        const char *name;
        struct quota quota;
        bool is_told;
    } rows[] = {
        {"none is told", {.hidden_octets = 900 * MIB}, false},
        {"as much as there is", {.is_told = true}, false},
        {"with a limit", {.is_told = true, .octets = 900 * MIB, .messages = 1000}, false},
        {"a little more", {.is_told = true, .hidden_octets = MIB - 1000}, false},
        {"much more", {.is_told = true, .hidden_octets = MIB}, true},
        {"some messages more", {.is_told = true, .hidden_messages = 49}, false},
        {"many messages more", {.is_told = true, .hidden_messages = 50}, true},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        begin(rows[i].name);
        rig.w.source.quota = rows[i].quota;
        fill(INBOX);
        (void)rig_pass(&rig);
        assert_items(rows[i].name, rows[i].is_told, 0);
        assert_int_equal(rig.n.messages_copied, SOME); /* all the same */
        assert_int_equal(strstr(rig.told, "by its quota") != NULL, rows[i].is_told);
        (void)rig_pass(&rig);
        assert_items("told again", rows[i].is_told, 0);
        accept(ITEM_EMPTY);
        (void)rig_pass(&rig);
        assert_items("accepted", 0, rows[i].is_told);
        accept(ITEM_NONE);
        rig.w.source.quota.hidden_octets = rig.w.source.quota.hidden_messages = 0;
        (void)rig_pass(&rig);
        assert_items("in order again", 0, 0);
        rig_fini(&rig);
    }
}

/* What is left out is there. */
static void test_what_is_left_out(void **state)
{
    static const char *const words[] = {"Work"};
    (void)state;
    begin("left out");
    rig.options.folders.exclude = (struct folder_words){words, 1};
    fill(INBOX);
    (void)rig_pass(&rig);
    for (uint32_t i = 0; i < 90; i++)
        rig_deliver(&rig, WORK, i, 0);
    rig.w.source.quota = (struct quota){.is_told = true, .hidden_messages = 60};
    rig_close(&rig);
    rig.options.is_thorough = true;
    (void)rig_pass(&rig);
    assert_items("95 of 155", 0, 0);
    rig.w.source.quota.hidden_messages = 100;
    (void)rig_pass(&rig);
    assert_items("95 of 195", 1, 0);
    rig_fini(&rig);
}

/* A cut-over looks with every pass, since the source may be another one by then. */
static void test_looked_at_again(void **state)
{
    (void)state;
    begin("again");
    rig.options.is_thorough = true;
    rig.w.source.quota.is_told = true;
    fill(INBOX);
    rig_quiet(&rig);
    assert_items("all of it", 0, 0);
    rig.w.source.quota.hidden_octets = 2 * MIB;
    (void)rig_pass(&rig);
    assert_items("something has gone into hiding", 1, 0);
    rig_fini(&rig);
}

/* --- No room ---------------------------------------------------------------------------------- */

static void test_no_room(void **state)
{
    static const struct {
        const char *name;
        struct quota source, target;
        const char *why; /* NULL: there is room */
    } rows[] = {
        {"no limit", {0}, {.is_told = true}, NULL},
        {"not told", {0}, {.octets = 1, .messages = 1}, NULL},
        {"room", {0}, {.is_told = true, .octets = MIB, .messages = SOME}, NULL},
        {"too few messages", {0}, {.is_told = true, .messages = SOME - 1},
            "5 messages are to be sent, and its quota leaves 4 of 4"},
        {"too few octets", {0}, {.is_told = true, .octets = 100},
            "0.0 MiB in 5 messages are to be sent, and its quota leaves 0.0 of 0.0 MiB"},
        {"what the source says fits", {.is_told = true}, {.is_told = true, .octets = 10000}, NULL},
        {"what it says does not, its mail does", {.is_told = true, .hidden_octets = 20000},
            {.is_told = true, .octets = 10000}, NULL},
        {"taken by others", {0},
            {.is_told = true, .octets = 2 * MIB, .hidden_octets = 2 * MIB - 100},
            "leaves 0.0 of 2.0"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        begin(rows[i].name);
        rig.w.source.quota = rows[i].source;
        rig.w.target.quota = rows[i].target;
        fill(INBOX);
        (void)rig_pass(&rig);
        if (!rows[i].why) {
            assert_items(rows[i].name, 0, 0);
            rig_compare(&rig);
            rig_fini(&rig);
            continue;
        }
        assert_row(rows[i].name, rig.err.class == ERR_PERM && rig.err.code == EX_CANTCREAT);
        if (!strstr(rig.err.text, rows[i].why))
            fail_msg("%s: %s", rows[i].name, rig.err.text);
        rig_expect(&rig, &rig.w.target, INBOX, "");
        accept(ITEM_QUOTA);
        (void)rig_pass(&rig);
        assert_items("as far as it goes", 0, 1);
        rig_compare(&rig);
        /* What has come is not to be sent any more. */
        accept(ITEM_NONE);
        (void)rig_pass(&rig);
        assert_items("all has come", 0, 0);
        rig_fini(&rig);
    }
}

static void test_raised(void **state)
{
    (void)state;
    begin("raised");
    rig.w.target.quota = (struct quota){.is_told = true, .messages = 1};
    fill(INBOX);
    (void)rig_pass(&rig);
    assert_int_equal(rig.err.code, EX_CANTCREAT);
    rig.w.target.quota.messages = 100;
    rig_quiet(&rig);
    assert_items("raised", 0, 0);
    rig_compare(&rig);
    rig_fini(&rig);
}

/* What a filter leaves out is not to be sent. */
static void test_filtered(void **state)
{
    struct err err = ERR_INIT;
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        begin("filtered");
        assert_int_equal(
            filter_make(&(struct filter_words){.min_size = "46"}, 0, &rig.options.filter, &err), 0);
        rig.w.target.quota = (struct quota){.is_told = true, .messages = 2 - i};
        fill(INBOX);
        (void)rig_pass(&rig);
        if (i == 0) {
            assert_int_equal(rig.err.class, ERR_NONE);
            assert_int_equal(rig.n.messages_copied, 2);
        } else {
            assert_int_equal(rig.err.code, EX_CANTCREAT);
            assert_non_null(strstr(rig.err.text, "2 messages are to be sent"));
        }
        rig_fini(&rig);
    }
}

/* A pass that only plans tells it, and goes on planning. */
static void test_dry(void **state)
{
    (void)state;
    begin("dry");
    rig.options.is_dry = true;
    rig.w.target.quota = (struct quota){.is_told = true, .messages = 1};
    fill(INBOX);
    (void)rig_pass(&rig);
    assert_int_equal(rig.err.class, ERR_NONE);
    assert_items("told", 1, 0);
    assert_int_equal(rig.n.messages_copied, SOME);
    rig_expect(&rig, &rig.w.target, INBOX, "");
    rig_fini(&rig);
}

/* A journal that was lost: what the target has is what is to be sent. */
static void test_there_already(void **state)
{
    (void)state;
    begin("there already");
    fill(INBOX);
    rig_quiet(&rig);
    rig_close(&rig);
    site_lose(site_dir());
    rig.w.target.quota = (struct quota){.is_told = true, .messages = SOME};
    rig_quiet(&rig);
    assert_int_equal(rig.err.class, ERR_NONE);
    rig_compare(&rig);
    rig_fini(&rig);
}

static int teardown(void **state)
{
    (void)state;
    rig_fini(&rig);
    return 0;
}

#define TEST(f) cmocka_unit_test_teardown(f, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_less),
        TEST(test_new_mailbox),
        TEST(test_emptied),
        TEST(test_emptied_on_purpose),
        TEST(test_acceptance_is_of_then),
        TEST(test_no_inbox),
        TEST(test_behind_the_flip),
        TEST(test_less_than_a_quota),
        TEST(test_what_is_left_out),
        TEST(test_looked_at_again),
        TEST(test_no_room),
        TEST(test_raised),
        TEST(test_there_already),
        TEST(test_filtered),
        TEST(test_dry),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    site_remove();
    return failed;
}
