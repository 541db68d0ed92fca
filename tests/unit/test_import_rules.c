/* SPDX-License-Identifier: ISC */
/* An import never moves anybody back: what becomes of an entry, for each state and each wish. */
#include "maps/store/import_rules.h"
#include "tests/unit/unit.h"

#define NOW 1000000

static struct route_entry entry(const char *route)
{
    return (struct route_entry){.route = slice_str(route),
        .source = SLICE_LIT("users.csv"),
        .note = SLICE_LIT("n"),
        .epoch = 7};
}

static void test_new(void **state)
{
    const struct import_rules r = {
        .source = SLICE_LIT("users.csv"), .default_route = SLICE_LIT("old")};
    const struct route_entry none = {.is_tombstone = true, .epoch = 3};
    (void)state;
    struct route_entry next = {0};
    assert_int_equal(import_row(&r, &none, &next), IMPORT_TAKEN);
    assert_slice_equal(next.route, "old");
    assert_slice_equal(next.source, "users.csv");
    /* What the row says stands before the default, and what needs no route gets none. */
    next = (struct route_entry){.route = SLICE_LIT("new"), .source = SLICE_LIT("other")};
    assert_int_equal(import_row(&r, &none, &next), IMPORT_TAKEN);
    assert_slice_equal(next.route, "new");
    assert_slice_equal(next.source, "other");
    static const struct {
        enum route_kind kind;
        const char *targets, *want;
    } kinds[] = {{ROUTE_KIND_REJECT, "", ""}, {ROUTE_KIND_ALIAS, "a@x", ""},
        {ROUTE_KIND_FORWARD, "a@x", ""}, {ROUTE_KIND_GROUP, "a@x", ""},
        {ROUTE_KIND_GROUP, "", "old"}};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        next = (struct route_entry){.kind = kinds[i].kind, .targets = slice_str(kinds[i].targets)};
        assert_int_equal(import_row(&r, &none, &next), IMPORT_TAKEN);
        assert_slice_equal(next.route, kinds[i].want);
    }
}

/* What a row wants, and what comes of it. */
static void test_rows(void **state)
{
    static const struct {
        const char *name;
        enum route_state state;
        const char *moved_by, *note, *route, *deliver_as;
        enum route_kind kind;
        bool reroute;
        enum import_row want;
        const char *want_note, *want_route, *want_deliver_as;
    } rows[] = {
        {"the same", ROUTE_STATE_ACTIVE, "", "n", "new", "", ROUTE_KIND_MAILBOX, false,
            IMPORT_TAKEN, "n", "new", ""},
        {"a note", ROUTE_STATE_ACTIVE, "", "m", "new", "", ROUTE_KIND_MAILBOX, false, IMPORT_TAKEN,
            "m", "new", ""},
        {"deliver_as", ROUTE_STATE_ACTIVE, "", "n", "new", "a@y", ROUTE_KIND_MAILBOX, false,
            IMPORT_TAKEN, "n", "new", "a@y"},
        {"a route", ROUTE_STATE_ACTIVE, "", "m", "old", "a@y", ROUTE_KIND_MAILBOX, false,
            IMPORT_KEPT_ROUTE, "m", "new", ""},
        {"a route, asked for", ROUTE_STATE_ACTIVE, "", "m", "old", "a@y", ROUTE_KIND_MAILBOX, true,
            IMPORT_TAKEN, "m", "old", "a@y"},
        {"a kind", ROUTE_STATE_ACTIVE, "", "n", "new", "", ROUTE_KIND_REJECT, false,
            IMPORT_KEPT_ROUTE, "n", "new", ""},
        {"a kind, asked for", ROUTE_STATE_ACTIVE, "", "n", "new", "", ROUTE_KIND_REJECT, true,
            IMPORT_TAKEN, "n", "new", ""},
        {"moved", ROUTE_STATE_ACTIVE, "r1", "m", "old", "", ROUTE_KIND_MAILBOX, false,
            IMPORT_KEPT_MOVED, "m", "new", ""},
        {"moved, asked for", ROUTE_STATE_ACTIVE, "r1", "m", "old", "", ROUTE_KIND_MAILBOX, true,
            IMPORT_KEPT_MOVED, "m", "new", ""},
        {"moved, the old server's name of it", ROUTE_STATE_ACTIVE, "r1", "n", "new", "a@y",
            ROUTE_KIND_MAILBOX, true, IMPORT_KEPT_MOVED, "n", "new", ""},
        {"moved, the same", ROUTE_STATE_ACTIVE, "r1", "n", "new", "", ROUTE_KIND_MAILBOX, false,
            IMPORT_TAKEN, "n", "new", ""},
        {"held", ROUTE_STATE_HELD, "", "m", "new", "", ROUTE_KIND_MAILBOX, true, IMPORT_KEPT_HELD,
            "n", "new", ""},
        {"held, a route", ROUTE_STATE_HELD, "", "n", "old", "", ROUTE_KIND_MAILBOX, true,
            IMPORT_KEPT_HELD, "n", "new", ""},
        {"held, the same", ROUTE_STATE_HELD, "", "n", "new", "", ROUTE_KIND_MAILBOX, true,
            IMPORT_TAKEN, "n", "new", ""},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct import_rules r = {.source = SLICE_LIT("users.csv"),
            .default_route = SLICE_LIT("old"),
            .reroute = rows[i].reroute};
        struct route_entry old = entry("new"), next;
        old.state = rows[i].state;
        old.moved_by = slice_str(rows[i].moved_by);
        next = old;
        next.note = slice_str(rows[i].note);
        next.route = slice_str(rows[i].route);
        next.deliver_as = slice_str(rows[i].deliver_as);
        next.kind = rows[i].kind;
        assert_row(rows[i].name, import_row(&r, &old, &next) == rows[i].want);
        assert_row(rows[i].name, slice_eq(next.note, slice_str(rows[i].want_note)));
        assert_row(rows[i].name, slice_eq(next.route, slice_str(rows[i].want_route)));
        assert_row(rows[i].name, slice_eq(next.deliver_as, slice_str(rows[i].want_deliver_as)));
        assert_row(rows[i].name, next.state == rows[i].state);
        assert_row(rows[i].name, slice_eq(next.moved_by, old.moved_by));
    }
}

static void test_source(void **state)
{
    const struct import_rules r = {.source = SLICE_LIT("b.csv")};
    struct route_entry old = entry("old"), next = old;
    (void)state;
    /* Another's stays another's; one that is nobody's becomes ours. */
    assert_int_equal(import_row(&r, &old, &next), IMPORT_TAKEN);
    assert_slice_equal(next.source, "users.csv");
    old.source = next.source = SLICE_NONE;
    assert_int_equal(import_row(&r, &old, &next), IMPORT_TAKEN);
    assert_slice_equal(next.source, "b.csv");
}

static void test_back_again(void **state)
{
    const struct import_rules r = {
        .source = SLICE_LIT("users.csv"), .now_s = NOW, .retire_s = 86400};
    struct route_entry active = entry("old"), old, next;
    (void)state;
    import_retire(&r, &active, &old);
    assert_int_equal(old.state, ROUTE_STATE_RETIRING);
    assert_int_equal(old.until_s, NOW + 86400);
    assert_slice_equal(old.route, "old");
    next = old;
    assert_int_equal(import_row(&r, &old, &next), IMPORT_TAKEN);
    assert_int_equal(next.state, ROUTE_STATE_ACTIVE);
    assert_int_equal(next.until_s, 0);
}

static void test_missing(void **state)
{
    static const struct {
        const char *name, *key, *source, *moved_by, *route;
        enum route_kind kind;
        enum route_state state;
        int64_t until_s;
        enum import_missing want;
    } rows[] = {
        {"ours", "a@x", "users.csv", "", "old", ROUTE_KIND_MAILBOX, ROUTE_STATE_ACTIVE, 0,
            IMPORT_RETIRES},
        {"an alias of ours", "a@x", "users.csv", "", "", ROUTE_KIND_ALIAS, ROUTE_STATE_ACTIVE, 0,
            IMPORT_RETIRES},
        {"another's", "a@x", "b.csv", "", "old", ROUTE_KIND_MAILBOX, ROUTE_STATE_ACTIVE, 0,
            IMPORT_STAYS},
        {"nobody's", "a@x", "", "", "old", ROUTE_KIND_MAILBOX, ROUTE_STATE_ACTIVE, 0, IMPORT_STAYS},
        {"moved by a cut-over", "a@x", "users.csv", "r", "old", ROUTE_KIND_MAILBOX,
            ROUTE_STATE_ACTIVE, 0, IMPORT_STAYS},
        {"moved by hand", "a@x", "users.csv", "", "new", ROUTE_KIND_MAILBOX, ROUTE_STATE_ACTIVE, 0,
            IMPORT_STAYS},
        {"a domain", "@x", "users.csv", "", "old", ROUTE_KIND_MAILBOX, ROUTE_STATE_ACTIVE, 0,
            IMPORT_STAYS},
        {"held", "a@x", "users.csv", "", "old", ROUTE_KIND_MAILBOX, ROUTE_STATE_HELD, 0,
            IMPORT_HELD},
        {"a refusal", "a@x", "users.csv", "", "", ROUTE_KIND_REJECT, ROUTE_STATE_ACTIVE, 0,
            IMPORT_GOES},
        {"retiring", "a@x", "users.csv", "", "old", ROUTE_KIND_MAILBOX, ROUTE_STATE_RETIRING,
            NOW + 1, IMPORT_STAYS},
        {"retired", "a@x", "users.csv", "", "old", ROUTE_KIND_MAILBOX, ROUTE_STATE_RETIRING, NOW,
            IMPORT_GOES},
    };
    const struct import_rules r = {
        .source = SLICE_LIT("users.csv"), .default_route = SLICE_LIT("old"), .now_s = NOW};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct route_entry e = {.kind = rows[i].kind,
            .state = rows[i].state,
            .until_s = rows[i].until_s,
            .route = slice_str(rows[i].route),
            .source = slice_str(rows[i].source),
            .moved_by = slice_str(rows[i].moved_by)};
        assert_row(rows[i].name, import_missing(&r, slice_str(rows[i].key), &e) == rows[i].want);
    }
    const struct route_entry gone = {.is_tombstone = true, .source = SLICE_LIT("users.csv")};
    assert_int_equal(import_missing(&r, SLICE_LIT("a@x"), &gone), IMPORT_STAYS);
    /* Without a server of its own a source has all of them. */
    const struct import_rules any = {.source = SLICE_LIT("users.csv")};
    const struct route_entry on_new = entry("new");
    assert_int_equal(import_missing(&any, SLICE_LIT("a@x"), &on_new), IMPORT_RETIRES);
}

static void test_too_much(void **state)
{
    (void)state;
    assert_false(import_is_too_much(20, 20, 2, 20));
    assert_true(import_is_too_much(21, 21, 2, 20));
    assert_false(import_is_too_much(200, 10000, 2, 20));
    assert_true(import_is_too_much(201, 10000, 2, 20));
    assert_false(import_is_too_much(0, 0, 0, 0));
    assert_true(import_is_too_much(1, 1000000, 0, 0));
    assert_false(import_is_too_much(1000000, 1000000, 100, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_source),
        cmocka_unit_test(test_back_again),
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_too_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
