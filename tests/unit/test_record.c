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
    .targets = {(const unsigned char *)"b@x\nc@x", 7},
    .owner = {(const unsigned char *)"o@x", 3},
    .senders = {(const unsigned char *)"members", 7},
    .reply_code = 450,
    .reply_text = {(const unsigned char *)"4.2.1 Later", 11},
    .also = {(const unsigned char *)"new", 3},
    .until_s = 1800000001,
    .source = {(const unsigned char *)"hr", 2},
    .moved_by = {(const unsigned char *)"flip-1", 6},
};

/* Text fields that have a limit, and which limit; lists are texts with "\n". */
#define N_TEXTS 13
static struct slice *text_of(struct route_entry *e, size_t i)
{
    struct slice *all[N_TEXTS] = {&e->route, &e->deliver_as, &e->hold_owner, &e->hold_request,
        &e->note, &e->who, &e->source, &e->moved_by, &e->owner, &e->also, &e->reply_text,
        &e->targets, &e->senders};
    return all[i];
}
static const size_t limits[N_TEXTS] = {ROUTE_SERVER_MAX, ROUTE_KEY_MAX, ROUTE_NOTE_MAX,
    ROUTE_NOTE_MAX, ROUTE_NOTE_MAX, ROUTE_NOTE_MAX, ROUTE_NOTE_MAX, ROUTE_NOTE_MAX, ROUTE_KEY_MAX,
    ROUTE_SERVER_MAX, ROUTE_TEXT_MAX, ROUTE_TARGETS_MAX, ROUTE_TARGETS_MAX};
#define FIRST_LIST 11

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
    assert_true(slice_eq(a->targets, b->targets));
    assert_true(slice_eq(a->owner, b->owner));
    assert_true(slice_eq(a->senders, b->senders));
    assert_int_equal(a->reply_code, b->reply_code);
    assert_true(slice_eq(a->reply_text, b->reply_text));
    assert_true(slice_eq(a->also, b->also));
    assert_int_equal(a->until_s, b->until_s);
    assert_true(slice_eq(a->note, with_notes ? b->note : SLICE_NONE));
    assert_true(slice_eq(a->who, with_notes ? b->who : SLICE_NONE));
    assert_true(slice_eq(a->source, with_notes ? b->source : SLICE_NONE));
    assert_true(slice_eq(a->moved_by, with_notes ? b->moved_by : SLICE_NONE));
}

/* Leaves out the rare fields whose bit is not set. */
static void keep_rare(struct route_entry *e, unsigned bits)
{
    if (!(bits & 1))
        e->targets = SLICE_NONE;
    if (!(bits & 2))
        e->owner = SLICE_NONE;
    if (!(bits & 4))
        e->senders = SLICE_NONE;
    if (!(bits & 8))
        e->reply_code = 0;
    if (!(bits & 16))
        e->reply_text = SLICE_NONE;
    if (!(bits & 32))
        e->until_s = 0;
    if (!(bits & 64))
        e->also = SLICE_NONE;
}

static void test_round_trip(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 4 * 4 * 5 * 128; bits++) {
        struct route_entry e = held, back;
        bool with_notes = bits & 1;
        e.is_tombstone = bits & 2;
        e.state = (enum route_state)(bits / 4 % 4);
        e.kind = (enum route_kind)(bits / 16 % 5);
        keep_rare(&e, bits / 80);
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
    static const struct {
        const char *text;
        size_t n;
        bool is_list;
    } rows[] = {{"a\rb", 3, false}, {"a\nb", 3, true}, {"\n", 1, false}, {"a\0b", 3, false},
        {"a\n\nb", 4, false}, {"\nb", 2, false}, {"a\n", 2, false}, {"a\nb\nc", 5, true}};
    struct buf out;
    (void)state;
    buf_init(&out, ROUTE_RECORD_MAX);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        for (size_t field = 0; field < N_TEXTS; field++) {
            struct route_entry e = held;
            *text_of(&e, field) = slice_make(rows[i].text, rows[i].n);
            buf_clear(&out);
            assert_int_equal(buf_add_byte(&out, 'x'), 0);
            if (rows[i].is_list && field >= FIRST_LIST) {
                assert_int_equal(record_encode(&e, true, &out), 0);
                continue;
            }
            assert_int_equal(record_encode(&e, true, &out), -1);
            assert_slice_equal(buf_slice(&out), "x");

            /* Nor is it read when it stands in a record: "?" is what becomes of a byte. */
            unsigned char with[8];
            memcpy(with, rows[i].text, rows[i].n);
            for (size_t k = 0; k < rows[i].n; k++)
                with[k] = with[k] < ' ' ? (unsigned char)('1' + with[k]) : with[k];
            *text_of(&e, field) = slice_make(with, rows[i].n);
            buf_clear(&out);
            assert_int_equal(record_encode(&e, true, &out), 0);
            unsigned char *at = memmem(out.p, out.n, with, rows[i].n);
            assert_non_null(at);
            memcpy(at, rows[i].text, rows[i].n);
            assert_int_equal(record_decode(buf_slice(&out), &e), -1);
        }
    }
    buf_fini(&out);
}

static void test_lists(void **state)
{
    struct slice rest = SLICE_LIT("a\nb"), part;
    (void)state;
    assert_int_equal(route_list_count(rest), 2);
    assert_true(route_list_next(&rest, &part));
    assert_slice_equal(part, "a");
    assert_true(route_list_next(&rest, &part));
    assert_slice_equal(part, "b");
    assert_false(route_list_next(&rest, &part));
    rest = SLICE_LIT("");
    assert_int_equal(route_list_count(rest), 0);
    assert_false(route_list_next(&rest, &part));
}

static void test_limits(void **state)
{
    static unsigned char text[ROUTE_TARGETS_MAX + 1];
    struct buf out;
    (void)state;
    memset(text, 'a', sizeof text);
    buf_init(&out, ROUTE_RECORD_MAX);
    for (size_t field = 0; field < N_TEXTS; field++) {
        for (int d = -1; d <= 1; d++) {
            struct route_entry e = held, back;
            *text_of(&e, field) = slice_make(text, (size_t)((int)limits[field] + d));
            buf_clear(&out);
            assert_int_equal(record_encode(&e, true, &out), d <= 0 ? 0 : -1);
            if (d <= 0) {
                assert_int_equal(record_decode(buf_slice(&out), &back), 0);
                assert_same(&back, &e, true);
            }
        }
    }
    /* All of them at their longest are more than a record may be. */
    struct route_entry e = held;
    e.targets = e.senders = slice_make(text, ROUTE_TARGETS_MAX);
    buf_clear(&out);
    assert_int_equal(record_encode(&e, true, &out), -1);
    e.senders = SLICE_NONE;
    buf_clear(&out);
    assert_int_equal(record_encode(&e, true, &out), 0);
    static const unsigned codes[] = {0, 400, 599, 600};
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        struct route_entry t = held;
        t.reply_code = codes[i];
        buf_clear(&out);
        assert_int_equal(record_encode(&t, true, &out), codes[i] < 600 ? 0 : -1);
    }
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
        t.until_s = times[i];
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
        unsigned char bytes[23];
        size_t n;
    } rows[] = {
        {"nothing", {0}, 0},
        {"version 0", {0}, 16},
        {"version 3", {3}, 16},
        {"unknown flag of version 1", {1, 0x10}, 16},
        {"unknown kind", {2, 5}, 16},
        {"a byte more", {2}, 17},
        {"length beyond the end", {[0] = 2, [15] = 1}, 16},
        {"long form of a short text", {[0] = 2, [14] = 0x80}, 17},
        {"long length cut", {[0] = 2, [15] = 0x80}, 16},
        {"held without the rest", {2, 8}, 16},
        {"notes without the rest", {2, 0x40}, 16},
        {"more without the rest", {2, 0x80}, 16},
        {"more that is nothing", {2, 0x80}, 17},
        {"more that is not known", {2, 0x80, 0x40}, 17},
        {"no targets", {2, 0x80, 1}, 18},
        {"no owner", {2, 0x80, 2}, 18},
        {"no senders", {2, 0x80, 4}, 18},
        {"no answer", {2, 0x80, 8}, 20},
        {"an answer of 600", {[0] = 2, [1] = 0x80, [2] = 8, [17] = 88, [18] = 2}, 20},
        {"until never", {2, 0x80, 16}, 23},
        {"also nowhere", {2, 0x80, 32}, 18},
    };
    struct route_entry e;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_row(rows[i].name, record_decode(slice_make(rows[i].bytes, rows[i].n), &e) == -1);
    static const unsigned char least[16] = {2};
    assert_int_equal(record_decode(slice_make(least, sizeof least), &e), 0);
    static const unsigned char most[16] = {2, 0, 255, 255, 255, 255, 255, 255};
    assert_int_equal(record_decode(slice_make(most, sizeof most), &e), 0);
    assert_int_equal(e.epoch, (1ull << 48) - 1);
}

/* What maps from before hold. */
static void test_version_1(void **state)
{
    static const unsigned char reject[16] = {1, 0x01, 7};
    static const unsigned char gone[16] = {1, 0x04, 7};
    static const unsigned char full[] = {1, 0x0a, 7, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 3, 'o', 'l',
        'd', 3, 'a', '@', 'x', 4, 's', 'y', 'n', 'c', 2, 'r', '1', 5, 0, 0, 0, 0, 0, 4, 'n', 'o',
        't', 'e', 4, 'r', 'o', 'o', 't'};
    struct route_entry e, back;
    struct buf out;
    (void)state;
    assert_int_equal(record_decode(slice_make(reject, sizeof reject), &e), 0);
    assert_int_equal(e.kind, ROUTE_KIND_REJECT);
    assert_int_equal(e.state, ROUTE_STATE_ACTIVE);
    assert_int_equal(record_decode(slice_make(gone, sizeof gone), &e), 0);
    assert_true(e.is_tombstone);
    assert_int_equal(e.kind, ROUTE_KIND_MAILBOX);
    assert_int_equal(record_decode(slice_make(full, sizeof full), &e), 0);
    assert_int_equal(e.state, ROUTE_STATE_HELD);
    assert_int_equal(e.epoch, 7);
    assert_int_equal(e.when_s, 9);
    assert_slice_equal(e.route, "old");
    assert_slice_equal(e.deliver_as, "a@x");
    assert_slice_equal(e.hold_owner, "sync");
    assert_slice_equal(e.hold_request, "r1");
    assert_int_equal(e.hold_deadline_ms, 5);
    assert_slice_equal(e.note, "note");
    assert_slice_equal(e.who, "root");
    assert_int_equal(e.source.n + e.moved_by.n + e.targets.n, 0);
    for (size_t n = 0; n < sizeof full; n++)
        assert_int_equal(record_decode(slice_make(full, n), &back), -1);

    /* The next write makes it one of today. */
    assert_int_equal(record_decode(slice_make(full, sizeof full), &e), 0);
    buf_init(&out, ROUTE_RECORD_MAX);
    assert_int_equal(record_encode(&e, true, &out), 0);
    assert_int_equal(out.p[0], 2);
    assert_int_equal(record_decode(buf_slice(&out), &back), 0);
    assert_same(&back, &e, true);
    buf_fini(&out);
}

static void test_names(void **state)
{
    enum route_kind kind;
    enum route_state st;
    (void)state;
    for (int i = ROUTE_KIND_MAILBOX; i <= ROUTE_KIND_FORWARD; i++) {
        assert_int_equal(
            route_kind_parse(slice_str(route_kind_name((enum route_kind)i)), &kind), 0);
        assert_int_equal(kind, i);
    }
    for (int i = ROUTE_STATE_ACTIVE; i <= ROUTE_STATE_RETIRING; i++) {
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
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_version_1),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
