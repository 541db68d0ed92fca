/* SPDX-License-Identifier: ISC */
#include <sys/stat.h>
#include <sysexits.h>
#include "tests/unit/store_rig.h"

static const struct store_cause CAUSE = {.when_s = 1000};

static struct buf bytes;

static struct route_entry get(struct store_txn *txn, const char *key)
{
    struct err err = ERR_INIT;
    struct route_entry e;
    if (bytes.max == 0)
        buf_init(&bytes, 2 * ROUTE_RECORD_MAX);
    must(store_get(store, txn, slice_str(key), &bytes, &e, &err), &err);
    return e;
}

static uint64_t put(struct store_txn *txn, const char *key, struct route_entry next)
{
    struct err err = ERR_INIT;
    struct route_entry old = get(txn, key);
    must(store_put(txn, slice_str(key), &old, &next, &CAUSE, &err), &err);
    return next.epoch;
}

static struct route_entry on(const char *route)
{
    return (struct route_entry){.route = slice_str(route)};
}

static void test_create_and_open(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct store *second = NULL;
    char id[STORE_MAP_ID_SIZE];

    assert_int_equal(strlen(store_map_id(store)), 32);
    assert_int_equal(fmt_into(id, sizeof id, "%s", store_map_id(store)), 0);
    /* Somebody has it open. */
    assert_int_equal(store_open(dir.path, CACHE_SIZE, &second, &err), -1);
    assert_int_equal(err.code, EX_TEMPFAIL);
    store_close(&store);
    /* An existing map is left alone. */
    assert_int_equal(store_create(dir.path, CACHE_SIZE, &err), -1);
    assert_int_equal(err.code, EX_CANTCREAT);
    reopen();
    assert_string_equal(store_map_id(store), id);
}

static void test_no_map(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct store *none = NULL;
    assert_int_equal(store_open(tmpdir_file(&dir, "nowhere"), CACHE_SIZE, &none, &err), -1);
    assert_int_equal(err.code, EX_NOINPUT);
    assert_non_null(strstr(err.text, "maptool init"));
    /* A folder without a map is no map either, and none is made by looking. */
    const char *empty = tmpdir_file(&dir, "empty");
    char path[300];
    assert_int_equal(mkdir(empty, 0700), 0);
    assert_int_equal(fmt_into(path, sizeof path, "%s/map", empty), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(store_open(tmpdir_file(&dir, "empty"), CACHE_SIZE, &none, &err), -1);
        assert_int_equal(err.code, EX_NOINPUT);
    }
}

static void test_epochs(void **state)
{
    (void)state;
    struct store_txn *txn = begin();
    assert_true(get(txn, "a@x").is_tombstone);
    assert_int_equal(get(txn, "a@x").epoch, 0);
    assert_int_equal(put(txn, "a@x", on("old")), 1);
    assert_int_equal(put(txn, "b@x", on("old")), 2);
    commit(txn);
    assert_int_equal(store_generation(store), 2);
    assert_int_equal(store_live_count(store), 2);

    /* A note moves the generation and not the epoch. */
    txn = begin();
    struct route_entry next = on("old");
    next.note = SLICE_LIT("hello");
    assert_int_equal(put(txn, "a@x", next), 1);
    assert_int_equal(put(txn, "a@x", on("new")), 4);
    commit(txn);
    assert_int_equal(store_generation(store), 4);

    /* A tombstone keeps the epoch from falling. */
    txn = begin();
    assert_int_equal(put(txn, "a@x", (struct route_entry){.is_tombstone = true}), 5);
    commit(txn);
    assert_int_equal(store_live_count(store), 1);
    assert_true(get(NULL, "a@x").is_tombstone);
    assert_int_equal(get(NULL, "a@x").epoch, 5);
    reopen();
    assert_int_equal(store_generation(store), 5);
    assert_int_equal(store_live_count(store), 1);
    assert_int_equal(get(NULL, "a@x").epoch, 5);
    txn = begin();
    assert_int_equal(put(txn, "a@x", on("old")), 6);
    commit(txn);
    assert_slice_equal(get(NULL, "a@x").route, "old");
}

/* An epoch stands for all that a delivery and a hold depend on, and for nothing else. */
static void test_same_route(void **state)
{
    const struct route_entry held = {.state = ROUTE_STATE_HELD,
        .route = SLICE_LIT("old"),
        .deliver_as = SLICE_LIT("a@b"),
        .hold_owner = SLICE_LIT("me"),
        .hold_request = SLICE_LIT("r1"),
        .hold_deadline_ms = 7};
    struct route_entry other[7];
    (void)state;
    for (size_t i = 0; i < COUNT_OF(other); i++)
        other[i] = held;
    other[0].kind = ROUTE_KIND_REJECT;
    other[1].state = ROUTE_STATE_ACTIVE;
    other[2].route = SLICE_LIT("new");
    other[3].deliver_as = SLICE_LIT("c@b");
    other[4].hold_owner = SLICE_LIT("you");
    other[5].hold_request = SLICE_LIT("r2");
    other[6].hold_deadline_ms = 8;
    for (size_t i = 0; i < COUNT_OF(other); i++) {
        assert_false(store_same_route(&held, &other[i]));
        assert_false(store_same_route(&other[i], &held));
    }
    struct route_entry noted = held, gone = held;
    noted.note = noted.who = SLICE_LIT("somebody");
    noted.when_s = 9;
    noted.epoch = 9;
    assert_true(store_same_route(&held, &noted));
    gone.is_tombstone = true;
    assert_false(store_same_route(&held, &gone));
    assert_true(store_same_route(&gone, &(struct route_entry){.is_tombstone = true}));
}

static void test_abort(void **state)
{
    (void)state;
    struct store_txn *txn = begin();
    struct route_entry held = on("old");
    held.state = ROUTE_STATE_HELD;
    held.hold_deadline_ms = 5000;
    put(txn, "a@x", held);
    assert_int_equal(store_change_count(txn), 1);
    assert_int_equal(store_txn_generation(txn), 1);
    store_abort(&txn);
    assert_null(txn);
    size_t n;
    store_holds(store, &n);
    assert_int_equal(n, 0);
    assert_int_equal(store_generation(store), 0);
    assert_int_equal(store_live_count(store), 0);
    assert_true(get(NULL, "a@x").is_tombstone);
}

static void test_holds(void **state)
{
    (void)state;
    struct store_txn *txn = begin();
    size_t n;
    put(txn, "a@x", on("old"));
    commit(txn);
    txn = begin();
    struct route_entry held = on("old");
    held.state = ROUTE_STATE_HELD;
    held.hold_owner = SLICE_LIT("sync");
    held.hold_deadline_ms = 5000;
    put(txn, "a@x", held);
    commit(txn);
    for (int i = 0; i < 2; i++) {
        const struct store_hold *holds = store_holds(store, &n);
        assert_int_equal(n, 1);
        assert_string_equal(holds[0].key, "a@x");
        assert_int_equal(holds[0].deadline_ms, 5000);
        reopen();
    }
    txn = begin();
    put(txn, "a@x", on("new"));
    commit(txn);
    store_holds(store, &n);
    assert_int_equal(n, 0);
}

struct seen {
    char text[512];
    size_t stop_after, n;
};

static int see_entry(void *arg, struct slice key, const struct route_entry *e, struct err *err)
{
    (void)err;
    struct seen *s = arg;
    size_t at = strlen(s->text);
    assert_int_equal(fmt_into(s->text + at, sizeof s->text - at, "%.*s%s ", SLICE_ARG(key),
                         e->is_tombstone ? "-" : ""),
        0);
    return ++s->n == s->stop_after;
}

static int see_change(void *arg, const struct history_record *r, struct err *err)
{
    (void)err;
    struct seen *s = arg;
    struct route_entry e;
    size_t at = strlen(s->text);
    assert_int_equal(record_decode(r->new_value, &e), 0);
    assert_int_equal(fmt_into(s->text + at, sizeof s->text - at, "%d:%.*s=%.*s/%zu/%.*s ",
                         (int)r->generation, SLICE_ARG(r->key), SLICE_ARG(e.route),
                         r->old_value.n ? (size_t)1 : (size_t)0, SLICE_ARG(r->why)),
        0);
    return 0;
}

static void test_scans(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct seen seen = {0};
    struct store_txn *txn = begin();
    put(txn, "b@x", on("old"));
    put(txn, "a@x", on("old"));
    put(txn, "c@x", on("old"));
    put(txn, "b@x", (struct route_entry){.is_tombstone = true});
    must(store_scan(store, txn, SLICE_LIT(""), see_entry, &seen, &err), &err);
    assert_string_equal(seen.text, "a@x b@x- c@x ");
    commit(txn);
    seen = (struct seen){.stop_after = 1};
    must(store_scan(store, NULL, SLICE_LIT("b"), see_entry, &seen, &err), &err);
    assert_string_equal(seen.text, "b@x- ");
    seen = (struct seen){0};
    must(store_scan_history(store, NULL, 2, see_change, &seen, &err), &err);
    assert_string_equal(seen.text, "2:a@x=old/0/ 3:c@x=old/0/ 4:b@x=/1/ ");
}

static void test_results(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct buf result;
    uint64_t digest;
    bool found;
    static const char LONGEST[] =
        "0123456789012345678901234567890123456789012345678901234567890123";

    assert_int_equal(strlen(LONGEST), STORE_REQUEST_ID_MAX);
    buf_init(&result, 1024);
    struct store_txn *txn = begin();
    must(store_result_put(txn, SLICE_LIT("one"), 7, SLICE_LIT("first"), 100, &err), &err);
    must(store_result_put(txn, slice_str(LONGEST), 8, SLICE_LIT("second"), 200, &err), &err);
    must(store_result_get(store, txn, SLICE_LIT("one"), &digest, &result, &found, &err), &err);
    assert_true(found);
    commit(txn);
    must(store_result_get(store, NULL, slice_str(LONGEST), &digest, &result, &found, &err), &err);
    assert_true(found);
    assert_int_equal(digest, 8);
    assert_slice_equal(buf_slice(&result), "second");
    must(store_result_get(store, NULL, SLICE_LIT("on"), &digest, &result, &found, &err), &err);
    assert_false(found);

    txn = begin();
    size_t n;
    must(store_result_prune(txn, 200, 10, &n, &err), &err);
    assert_int_equal(n, 1);
    commit(txn);
    must(store_result_get(store, NULL, SLICE_LIT("one"), &digest, &result, &found, &err), &err);
    assert_false(found);
    must(store_result_get(store, NULL, slice_str(LONGEST), &digest, &result, &found, &err), &err);
    assert_true(found);
    buf_fini(&result);
}

static int add_generation(void *arg, const struct history_record *record, struct err *err)
{
    (void)err;
    *(uint64_t *)arg = *(uint64_t *)arg * 10 + record->generation;
    return 0;
}

/* The generations in the change log, one digit each. */
static uint64_t logged(void)
{
    struct err err = ERR_INIT;
    uint64_t digits = 0;
    must(store_scan_history(store, NULL, 0, add_generation, &digits, &err), &err);
    return digits;
}

static size_t prune(int64_t before_s, size_t max)
{
    struct err err = ERR_INIT;
    struct store_txn *txn = begin();
    size_t n;
    must(store_history_prune(txn, before_s, max, &n, &err), &err);
    commit(txn);
    return n;
}

static void test_old_changes_are_forgotten(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct store_txn *txn = begin();
    for (int64_t when_s = 10; when_s <= 60; when_s += 10) {
        struct store_cause cause = CAUSE;
        struct route_entry old = get(txn, "a@x"), next = on(when_s % 20 ? "old" : "new");
        cause.when_s = when_s;
        must(store_put(txn, SLICE_LIT("a@x"), &old, &next, &cause, &err), &err);
    }
    commit(txn);
    assert_int_equal(logged(), 123456);
    assert_int_equal(prune(10, 100), 0);
    assert_int_equal(prune(41, 2), 2);
    assert_int_equal(logged(), 3456);
    assert_int_equal(prune(41, 100), 2);
    assert_int_equal(logged(), 56);
    assert_int_equal(prune(1000, 100), 2);
    assert_int_equal(prune(1000, 100), 0);
    reopen();
    assert_int_equal(logged(), 0);
    assert_int_equal(store_generation(store), 6);
    assert_int_equal(get(NULL, "a@x").epoch, 6);
    txn = begin();
    assert_int_equal(put(txn, "a@x", on("old")), 7);
    commit(txn);
    assert_int_equal(logged(), 7);
}

static void test_too_long(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct store_txn *txn = begin();
    struct route_entry old = get(txn, "a@x"), next = on("old");
    static char note[ROUTE_NOTE_MAX + 2];
    memset(note, 'n', sizeof note - 1);
    for (size_t n = ROUTE_NOTE_MAX - 1; n <= ROUTE_NOTE_MAX + 1; n++) {
        next.note = slice_make(note, n);
        int rc = store_put(txn, SLICE_LIT("a@x"), &old, &next, &CAUSE, &err);
        assert_int_equal(rc, n <= ROUTE_NOTE_MAX ? 0 : -1);
    }
    assert_int_equal(err.code, EX_DATAERR);
    store_abort(&txn);
}

static void test_history_record(void **state)
{
    (void)state;
    struct history_record in = {.when_s = 1234567,
        .key = SLICE_LIT("a@x"),
        .who = SLICE_LIT("root"),
        .why = SLICE_LIT(""),
        .request_id = SLICE_LIT("id"),
        .old_value = SLICE_LIT(""),
        .new_value = SLICE_LIT("\0\1\2")};
    struct history_record out = {0};
    struct buf b;
    buf_init(&b, 1024);
    assert_int_equal(history_encode(&in, &b), 0);
    assert_int_equal(history_decode(buf_slice(&b), &out), 0);
    assert_int_equal(out.when_s, 1234567);
    assert_true(slice_eq(in.key, out.key) && slice_eq(in.who, out.who) && out.why.n == 0 &&
                slice_eq(in.request_id, out.request_id) && slice_eq(in.new_value, out.new_value));
    for (size_t n = 0; n < b.n; n++)
        assert_int_equal(history_decode(slice_sub(buf_slice(&b), 0, n), &out), -1);
    b.p[b.off]++; /* the version */
    assert_int_equal(history_decode(buf_slice(&b), &out), -1);
    b.p[b.off]--;
    assert_int_equal(history_decode(buf_slice(&b), &out), 0);
    assert_int_equal(buf_add_byte(&b, 0), 0);
    assert_int_equal(history_decode(buf_slice(&b), &out), -1);
    buf_fini(&b);
}

static int free_bytes(void **state)
{
    (void)state;
    buf_fini(&bytes);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_create_and_open, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_map, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_epochs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_abort, set_up, tear_down),
        cmocka_unit_test(test_same_route),
        cmocka_unit_test_setup_teardown(test_holds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_scans, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_results, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_old_changes_are_forgotten, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_too_long, set_up, tear_down),
        cmocka_unit_test(test_history_record),
    };
    return cmocka_run_group_tests(tests, NULL, free_bytes);
}
