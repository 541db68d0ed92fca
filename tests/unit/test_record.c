/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include "maps/key_hash.h"
#include "maps/route.h"
#include "tests/unit/unit.h"

static const struct route_entry held = {
    .kind = ROUTE_KIND_MAILBOX,
    .state = ROUTE_STATE_HELD,
    .epoch = 0x123456789abcull,
    .route = {(const unsigned char *)"old", 3},
    .deliver_as = {(const unsigned char *)"a@new.example.org", 17},
    .hold_owner = {(const unsigned char *)"sync", 4},
    .hold_request = {(const unsigned char *)"r-1", 3},
    .hold_deadline_ms = 1800000000123,
    .note = {(const unsigned char *)"a note", 6},
    .who = {(const unsigned char *)"root", 4},
    .when_s = 1800000000,
};

static void assert_same(const struct route_entry *a, const struct route_entry *b, bool with_notes)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->state, b->state);
    assert_int_equal(a->is_tombstone, b->is_tombstone);
    assert_int_equal(a->epoch, b->epoch);
    assert_int_equal(a->when_s, b->when_s);
    assert_true(slice_eq(a->route, b->route));
    assert_true(slice_eq(a->deliver_as, b->deliver_as));
    if (b->state == ROUTE_STATE_HELD) {
        assert_true(slice_eq(a->hold_owner, b->hold_owner));
        assert_true(slice_eq(a->hold_request, b->hold_request));
        assert_int_equal(a->hold_deadline_ms, b->hold_deadline_ms);
    }
    assert_true(slice_eq(a->note, with_notes ? b->note : SLICE_NONE));
    assert_true(slice_eq(a->who, with_notes ? b->who : SLICE_NONE));
}

static void test_round_trip(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 16; bits++) {
        struct route_entry e = held, back;
        bool with_notes = bits & 1;
        e.state = bits & 2 ? ROUTE_STATE_HELD : ROUTE_STATE_ACTIVE;
        e.kind = bits & 4 ? ROUTE_KIND_REJECT : ROUTE_KIND_MAILBOX;
        e.is_tombstone = bits & 8;
        struct buf out;
        buf_init(&out, ROUTE_RECORD_MAX);
        assert_int_equal(record_encode(&e, with_notes, &out), 0);
        assert_int_equal(record_decode(buf_slice(&out), &back), 0);
        assert_same(&back, &e, with_notes);

        /* Every cut, and every byte more, is no record. */
        for (size_t n = 0; n < out.n; n++)
            assert_int_equal(record_decode(slice_make(out.p, n), &back), -1);
        assert_int_equal(buf_add_byte(&out, 0), 0);
        assert_int_equal(record_decode(buf_slice(&out), &back), -1);
        buf_fini(&out);
    }
}

static void test_usual_is_small(void **state)
{
    struct route_entry e = {.epoch = 1000000, .when_s = 1800000000, .route = SLICE_LIT("old")};
    struct buf out;
    (void)state;
    buf_init(&out, ROUTE_RECORD_MAX);
    assert_int_equal(record_encode(&e, false, &out), 0);
    assert_in_range(out.n, 1, 19);
    buf_fini(&out);
}

static void test_texts(void **state)
{
    static const char *const bad[] = {"a\rb", "a\nb", "\n", "a\0b"};
    static const size_t sizes[] = {3, 3, 1, 3};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct slice text = slice_make(bad[i], sizes[i]);
        for (int field = 0; field < 6; field++) {
            struct route_entry e = held;
            *(struct slice *[]){&e.route, &e.deliver_as, &e.hold_owner, &e.hold_request, &e.note,
                &e.who}[field] = text;
            struct buf out;
            buf_init(&out, ROUTE_RECORD_MAX);
            assert_int_equal(buf_add_byte(&out, 'x'), 0);
            assert_int_equal(record_encode(&e, true, &out), -1);
            assert_slice_equal(buf_slice(&out), "x");
            buf_fini(&out);
        }
    }
    struct route_entry e = {.route = SLICE_LIT("o\td")};
    struct buf out;
    buf_init(&out, ROUTE_RECORD_MAX);
    assert_int_equal(record_encode(&e, true, &out), 0);
    memchr(out.p, '\t', out.n) ? *(char *)memchr(out.p, '\t', out.n) = '\n' : 0;
    assert_int_equal(record_decode(buf_slice(&out), &e), -1);
    buf_fini(&out);
}

static void test_limits(void **state)
{
    static unsigned char text[ROUTE_NOTE_MAX + 1];
    struct buf out;
    (void)state;
    memset(text, 'a', sizeof text);
    buf_init(&out, ROUTE_RECORD_MAX);
    static const size_t limits[] = {ROUTE_SERVER_MAX, ROUTE_KEY_MAX, ROUTE_NOTE_MAX, ROUTE_NOTE_MAX,
        ROUTE_NOTE_MAX, ROUTE_NOTE_MAX};
    for (size_t field = 0; field < COUNT_OF(limits); field++) {
        for (int d = -1; d <= 1; d++) {
            struct route_entry e = held;
            *(struct slice *[]){&e.route, &e.deliver_as, &e.hold_owner, &e.hold_request, &e.note,
                &e.who}[field] = slice_make(text, (size_t)((int)limits[field] + d));
            buf_clear(&out);
            assert_int_equal(record_encode(&e, true, &out), d <= 0 ? 0 : -1);
        }
    }
    /* All of them at their longest are more than a record may be. */
    struct route_entry e = held;
    e.hold_owner = e.hold_request = e.note = e.who = slice_make(text, ROUTE_NOTE_MAX);
    buf_clear(&out);
    assert_int_equal(record_encode(&e, true, &out), -1);
    e.note = SLICE_NONE;
    buf_clear(&out);
    assert_int_equal(record_encode(&e, true, &out), 0);
    static const int64_t times[] = {-1, 0, (1ll << 48) - 1, 1ll << 48};
    for (size_t i = 0; i < COUNT_OF(times); i++) {
        int rc = i == 1 || i == 2 ? 0 : -1;
        struct route_entry t = held;
        buf_clear(&out);
        t.when_s = times[i];
        assert_int_equal(record_encode(&t, true, &out), rc);
        t = held;
        buf_clear(&out);
        t.hold_deadline_ms = times[i];
        assert_int_equal(record_encode(&t, true, &out), rc);
        t = held;
        buf_clear(&out);
        t.epoch = (uint64_t)times[i];
        assert_int_equal(record_encode(&t, true, &out), rc);
    }
    buf_fini(&out);
}

static void test_refused(void **state)
{
    static const struct {
        const char *name;
        unsigned char bytes[20];
        size_t n;
    } rows[] = {
        {"nothing", {0}, 0},
        {"version 0", {0}, 16},
        {"version 2", {2}, 16},
        {"unknown flag", {1, 0x10}, 16},
        {"a byte more", {1}, 17},
        {"length beyond the end", {[0] = 1, [15] = 1}, 16},
        {"long form of a short text", {[0] = 1, [14] = 0x80}, 17},
        {"long length cut", {[0] = 1, [15] = 0x80}, 16},
        {"held without the rest", {1, 2}, 16},
        {"notes without the rest", {1, 8}, 16},
    };
    struct route_entry e;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_row(rows[i].name, record_decode(slice_make(rows[i].bytes, rows[i].n), &e) == -1);
    static const unsigned char least[16] = {1};
    assert_int_equal(record_decode(slice_make(least, sizeof least), &e), 0);
    static const unsigned char most[16] = {1, 0, 255, 255, 255, 255, 255, 255};
    assert_int_equal(record_decode(slice_make(most, sizeof most), &e), 0);
    assert_int_equal(e.epoch, (1ull << 48) - 1);
}

static void test_names(void **state)
{
    enum route_kind kind;
    enum route_state st;
    (void)state;
    for (int i = ROUTE_KIND_MAILBOX; i <= ROUTE_KIND_REJECT; i++) {
        assert_int_equal(
            route_kind_parse(slice_str(route_kind_name((enum route_kind)i)), &kind), 0);
        assert_int_equal(kind, i);
    }
    for (int i = ROUTE_STATE_ACTIVE; i <= ROUTE_STATE_HELD; i++) {
        assert_int_equal(
            route_state_parse(slice_str(route_state_name((enum route_state)i)), &st), 0);
        assert_int_equal(st, i);
    }
    assert_int_equal(route_kind_parse(SLICE_LIT("Mailbox"), &kind), -1);
    assert_int_equal(route_state_parse(SLICE_LIT(""), &st), -1);
}

/* The values are a promise to other processes and releases. */
static void test_hash(void **state)
{
    (void)state;
    assert_int_equal(route_key_hash(SLICE_LIT("")), 0xa5506ff52926ac13ull);
    assert_int_equal(route_key_hash(SLICE_LIT("a")), 0x37c0ab888779f5baull);
    assert_int_equal(route_key_hash(SLICE_LIT("abc@")), 0xab7f79bb31dfeae7ull);
    assert_int_equal(route_key_hash(SLICE_LIT("alice@example.org")), 0x4344f483f74cde41ull);
    /* One changed bit anywhere changes the hash. */
    unsigned char text[40];
    memset(text, 'x', sizeof text);
    for (size_t n = 1; n <= sizeof text; n++) {
        uint64_t h = route_key_hash(slice_make(text, n));
        assert_true(h != route_key_hash(slice_make(text, n - 1)));
        for (size_t bit = 0; bit < 8 * n; bit++) {
            text[bit / 8] ^= (unsigned char)(1u << bit % 8);
            assert_true(h != route_key_hash(slice_make(text, n)));
            text[bit / 8] ^= (unsigned char)(1u << bit % 8);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_usual_is_small),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
