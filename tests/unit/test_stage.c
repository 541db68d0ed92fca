/* SPDX-License-Identifier: ISC */
/*
 * Imports in the store: what is seen of one in each of its states, also behind a kill between any
 * two of them, and who wins when its entries are changed meanwhile.
 */
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>
#include "base/core/mem.h"
#include "maps/store/stage.h"
#include "tests/unit/store_rig.h"

#define MANY 300 /* rows that need more than one pair of the index of places */

static const struct store_cause CAUSE = {.when_s = 1000, .who = {(const unsigned char *)"ann", 3}};
static const struct store_cause IMPORT = {.when_s = 2000,
    .who = {(const unsigned char *)"bob", 3},
    .why = {(const unsigned char *)"nightly", 7}};

static struct route_entry get_in(struct store_txn *txn, const char *key)
{
    static unsigned char copy[2 * ROUTE_RECORD_MAX];
    struct err err = ERR_INIT;
    struct route_entry e;
    struct buf bytes, record;
    buf_init(&bytes, 2 * ROUTE_RECORD_MAX);
    buf_init(&record, 2 * ROUTE_RECORD_MAX);
    must(store_get(store, txn, slice_str(key), &bytes, &e, &err), &err);
    assert_int_equal(record_encode(&e, true, &record), 0);
    memcpy(copy, buf_slice(&record).p, record.n);
    assert_int_equal(record_decode(slice_make(copy, record.n), &e), 0);
    buf_fini(&bytes);
    buf_fini(&record);
    return e;
}

static void change_in(struct store_txn *txn, const char *key, const char *route)
{
    struct err err = ERR_INIT;
    struct route_entry old = get_in(txn, key);
    struct route_entry next = {.route = slice_str(route), .is_tombstone = !*route};
    must(store_put(txn, slice_str(key), &old, &next, &CAUSE, &err), &err);
}

static void change(const char *key, const char *route)
{
    struct store_txn *txn = begin();
    change_in(txn, key, route);
    commit(txn);
}

static const char *route_of(const char *key)
{
    static char out[64];
    struct route_entry e = get_in(NULL, key);
    assert_int_equal(
        fmt_into(out, sizeof out, "%.*s", SLICE_ARG(e.is_tombstone ? SLICE_LIT("-") : e.route)), 0);
    return out;
}

/* --- Staging ------------------------------------------------------------------------------- */

static struct store_stage *stage(void)
{
    struct err err = ERR_INIT;
    struct store_stage *st;
    must(stage_new(store, &st, &err), &err);
    return st;
}

static uint32_t first_row;

static enum stage_result row_in(struct store_txn *txn, struct store_stage *st, uint32_t row,
    const char *key, struct route_entry *next)
{
    struct err err = ERR_INIT;
    enum stage_result result;
    struct route_entry old = get_in(txn, key);
    const struct stage_row r = {.key = slice_str(key), .row = row, .info = slice_str("info")};
    must(stage_put(txn, st, &r, &old, next, &IMPORT, &result, &first_row, &err), &err);
    return result;
}

/* NULL: as it is; "": gone. */
static enum stage_result row(struct store_stage *st, uint32_t n, const char *key, const char *route)
{
    struct store_txn *txn = begin();
    struct route_entry next = {
        .route = slice_str(route ? route : ""), .is_tombstone = route && !*route};
    enum stage_result result = row_in(txn, st, n, key, route ? &next : NULL);
    commit(txn);
    return result;
}

static void alias_row(struct store_stage *st, uint32_t n, const char *key, const char *target)
{
    struct store_txn *txn = begin();
    struct route_entry next = {.kind = ROUTE_KIND_ALIAS, .targets = slice_str(target)};
    assert_int_equal(row_in(txn, st, n, key, &next), STAGE_TAKEN);
    commit(txn);
}

static void switch_to(struct store_stage *st, uint64_t base)
{
    struct err err = ERR_INIT;
    struct store_txn *txn = begin();
    must(store_switch(txn, st, base, &IMPORT, &err), &err);
    assert_true(store_has_switched(txn));
    commit(txn);
}

static bool fold(size_t max)
{
    struct err err = ERR_INIT;
    struct store_txn *txn = begin();
    bool done;
    must(store_fold(store, txn, max, &done, &err), &err);
    commit(txn);
    return done;
}

static size_t sweep(size_t max)
{
    struct err err = ERR_INIT;
    struct store_txn *txn = begin();
    size_t n;
    must(store_sweep(store, txn, max, &n, &err), &err);
    commit(txn);
    return n;
}

static size_t n_lost;
static char lost[256];

static int add_lost(void *arg, const struct stage_row *r, bool is_change,
    const struct route_entry *next, struct err *err)
{
    size_t at = strlen(lost);
    (void)arg;
    (void)err;
    assert_int_equal(r->info.n, 4);
    return fmt_into(lost + at, sizeof lost - at, "%.*s:%u:%.*s ", SLICE_ARG(r->key), r->row,
        SLICE_ARG(is_change ? next->route : SLICE_LIT("same")));
}

static const char *take_lost(struct store_stage *st)
{
    struct err err = ERR_INIT;
    struct store_txn *txn = begin();
    lost[0] = '\0';
    must(stage_lost(txn, st, 10, add_lost, NULL, &n_lost, &err), &err);
    commit(txn);
    return lost;
}

/* --- All that can be read -------------------------------------------------------------------- */

static int draw_entry(void *arg, struct slice key, const struct route_entry *e, struct err *err)
{
    (void)err;
    return buf_addf(arg, "%.*s %.*s%s %llu %.*s %lld\n", SLICE_ARG(key), SLICE_ARG(e->route),
        e->is_tombstone ? "-" : "", (unsigned long long)e->epoch, SLICE_ARG(e->who),
        (long long)e->when_s);
}

static void draw_value(struct buf *out, struct slice value)
{
    struct route_entry e;
    if (value.n && record_decode(value, &e) == 0)
        assert_int_equal(
            buf_addf(out, " %.*s/%llu", SLICE_ARG(e.route), (unsigned long long)e.epoch), 0);
}

static int draw_change(void *arg, const struct history_record *r, struct err *err)
{
    (void)err;
    assert_int_equal(buf_addf(arg, "%llu %.*s %.*s %.*s", (unsigned long long)r->generation,
                         SLICE_ARG(r->key), SLICE_ARG(r->who), SLICE_ARG(r->why)),
        0);
    draw_value(arg, r->old_value);
    draw_value(arg, r->new_value);
    return buf_addf(arg, "\n");
}

static int draw_key(void *arg, struct slice key, struct err *err)
{
    (void)err;
    return buf_addf(arg, "%.*s ", SLICE_ARG(key));
}

/* Of everything that a reader can ask; the caller frees it. */
static char *picture(struct store_txn *txn)
{
    struct err err = ERR_INIT;
    struct buf out;
    buf_init(&out, 1 << 20);
    must(store_scan(store, txn, SLICE_LIT(""), draw_entry, &out, &err), &err);
    must(store_scan_history(store, txn, 0, draw_change, &out, &err), &err);
    must(store_followers(store, txn, SLICE_LIT("t@x"), draw_key, &out, &err), &err);
    must(store_followers(store, txn, SLICE_LIT("u@x"), draw_key, &out, &err), &err);
    assert_int_equal(
        buf_addf(&out, "generation %llu live %llu", (unsigned long long)store_generation(store),
            (unsigned long long)store_live_count(store)),
        0);
    return buf_steal_cstr(&out);
}

static void expect_picture(const char *want)
{
    char *now = picture(NULL);
    if (strcmp(now, want) != 0)
        fail_msg("now\n%s\nnot\n%s", now, want);
    mem_free_string(&now);
}

/* --- Tests --------------------------------------------------------------------------------- */

/* a changes, b goes, c stays, d is new, f follows t no more but u. */
static struct store_stage *stage_all_kinds(void)
{
    struct store_txn *txn = begin();
    struct err err = ERR_INIT;
    struct route_entry old = {.is_tombstone = true};
    struct route_entry f = {.kind = ROUTE_KIND_ALIAS, .targets = SLICE_LIT("t@x")};
    change_in(txn, "a@x", "old");
    change_in(txn, "b@x", "old");
    change_in(txn, "c@x", "old");
    must(store_put(txn, SLICE_LIT("f@x"), &old, &f, &CAUSE, &err), &err);
    commit(txn);
    struct store_stage *st = stage();
    assert_int_equal(row(st, 0, "d@x", "new"), STAGE_TAKEN);
    assert_int_equal(row(st, 1, "a@x", "new"), STAGE_TAKEN);
    assert_int_equal(row(st, 2, "c@x", NULL), STAGE_TAKEN);
    assert_int_equal(row(st, 3, "b@x", ""), STAGE_TAKEN);
    alias_row(st, 4, "f@x", "u@x");
    return st;
}

#define ALL_KINDS                                                                                  \
    "a@x new 12 bob 2000\nb@x - 13 bob 2000\nc@x old 3 ann 1000\nd@x new 11 bob 2000\n"            \
    "f@x  14 bob 2000\n"                                                                           \
    "1 a@x ann  old/1\n2 b@x ann  old/2\n3 c@x ann  old/3\n4 f@x ann  /4\n"                        \
    "11 d@x bob nightly new/11\n12 a@x bob nightly old/1 new/12\n13 b@x bob nightly old/2 /13\n"   \
    "14 f@x bob nightly /4 /14\n"                                                                  \
    "f@x generation 14 live 4"

static void test_nobody_reads_what_is_staged(void **state)
{
    (void)state;
    change("a@x", "old");
    char *before = picture(NULL);
    struct store_stage *st = stage();
    row(st, 0, "a@x", "new");
    row(st, 1, "b@x", "new");
    expect_picture(before);
    reopen(); /* the stage went with the store */
    expect_picture(before);
    assert_true(store_has_leftovers(store));
    while (sweep(1) != 0)
        expect_picture(before);
    assert_false(store_has_leftovers(store));
    mem_free_string(&before);
}

static void test_a_row_twice(void **state)
{
    (void)state;
    struct store_stage *st = stage();
    assert_int_equal(row(st, 0, "a@x", "new"), STAGE_TAKEN);
    assert_int_equal(row(st, 1, "a@x", "old"), STAGE_TWICE);
    assert_int_equal(first_row, 0);
    assert_int_equal(stage_changes(st), 1);
    stage_free(&st);
}

static void test_switched_is_seen_at_once(void **state)
{
    (void)state;
    struct store_stage *st = stage_all_kinds();
    switch_to(st, 10);
    stage_free(&st);
    expect_picture(ALL_KINDS);
    assert_string_equal(route_of("a@x"), "new");
    assert_string_equal(route_of("b@x"), "-");
    assert_string_equal(route_of("c@x"), "old");
    reopen();
    expect_picture(ALL_KINDS);
    assert_true(store_is_folding(store));
    while (!fold(1))
        expect_picture(ALL_KINDS);
    expect_picture(ALL_KINDS);
    assert_false(store_is_folding(store));
    reopen();
    assert_false(store_is_folding(store));
    expect_picture(ALL_KINDS);
    while (sweep(100) != 0)
        expect_picture(ALL_KINDS);
    assert_false(store_has_leftovers(store));
}

/* The transaction of a switch sees it too, and may fold it: then its changes are counted. */
static void test_folded_at_once(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct store_stage *st = stage_all_kinds();
    struct store_txn *txn = begin();
    bool done = false;
    must(store_switch(txn, st, 10, &IMPORT, &err), &err);
    assert_string_equal(slice_eq(get_in(txn, "a@x").route, SLICE_LIT("new")) ? "new" : "", "new");
    while (!done)
        must(store_fold(store, txn, 100, &done, &err), &err);
    assert_false(store_has_switched(txn));
    assert_int_equal(store_change_count(txn), 4);
    commit(txn);
    expect_picture(ALL_KINDS);
    stage_free(&st);
}

static void test_aborted_switch(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct store_stage *st = stage_all_kinds();
    char *before = picture(NULL);
    struct store_txn *txn = begin();
    must(store_switch(txn, st, 10, &IMPORT, &err), &err);
    store_abort(&txn);
    expect_picture(before);
    assert_false(store_is_folding(store));
    stage_free(&st);
    mem_free_string(&before);
}

/* Before its row comes, behind it, and in a transaction that fails. */
static void test_changes_meanwhile_win(void **state)
{
    (void)state;
    struct store_stage *st;
    change("a@x", "old");
    change("b@x", "old");
    change("c@x", "old");
    st = stage();
    row(st, 0, "a@x", "new");
    change("a@x", "third");
    change("a@x", "fourth");
    change("b@x", "third");
    assert_int_equal(row(st, 1, "b@x", "new"), STAGE_TOUCHED);
    assert_int_equal(row(st, 1, "b@x", "new"), STAGE_TWICE);
    row(st, 2, "c@x", NULL);
    change("c@x", "");
    row(st, 3, "d@x", "new");
    struct store_txn *txn = begin();
    change_in(txn, "d@x", "third");
    store_abort(&txn);
    row(st, 4, "e@x", "new");
    change("e@x", "third"); /* the last change of the import */
    assert_string_equal(take_lost(st), "a@x:0:new c@x:2:same e@x:4:new ");
    assert_int_equal(n_lost, 3);
    assert_string_equal(take_lost(st), "");
    switch_to(st, 20);
    stage_free(&st);
    assert_int_equal(store_generation(store), 22);
    for (int i = 0; i < 2; i++) {
        assert_string_equal(route_of("a@x"), "fourth");
        assert_string_equal(route_of("b@x"), "third");
        assert_string_equal(route_of("c@x"), "-");
        assert_string_equal(route_of("d@x"), "new");
        assert_string_equal(route_of("e@x"), "third");
        assert_int_equal(store_live_count(store), 4);
        while (!fold(100)) {
        }
    }
    assert_int_equal(get_in(NULL, "d@x").epoch, 22); /* that of a was 21 */
}

/* The row is folded first: its generation comes before that of the change. */
static void test_change_behind_the_switch(void **state)
{
    (void)state;
    struct store_stage *st = stage_all_kinds();
    switch_to(st, 10);
    stage_free(&st);
    change("a@x", "third");
    change("d@x", "");
    assert_string_equal(route_of("a@x"), "third");
    char *after = picture(NULL);
    assert_non_null(strstr(after, "12 a@x bob nightly old/1 new/12\n"));
    assert_non_null(strstr(after, "15 a@x ann  new/12 third/15\n"));
    assert_non_null(strstr(after, "16 d@x ann  new/11 /16\n"));
    while (!fold(1))
        expect_picture(after);
    reopen();
    expect_picture(after);
    mem_free_string(&after);
}

/* A second import waits staged; what the first one changes is changed meanwhile. */
static void test_two_imports(void **state)
{
    (void)state;
    struct store_stage *one = stage(), *two = stage();
    row(one, 0, "a@x", "new");
    row(two, 0, "a@x", "old");
    row(two, 1, "b@x", "old");
    switch_to(one, 0);
    assert_true(stage_is_live(store, stage_number(two)));
    stage_free(&one);
    while (!fold(10)) {
    }
    assert_string_equal(take_lost(two), "a@x:0:old ");
    switch_to(two, store_generation(store));
    uint64_t number = stage_number(two);
    stage_free(&two);
    assert_false(stage_is_live(store, number));
    assert_string_equal(route_of("a@x"), "new");
    assert_string_equal(route_of("b@x"), "old");
    while (!fold(10)) {
    }
    assert_string_equal(route_of("b@x"), "old");
}

/* An import that begins behind the switch of another one has seen it: the fold takes nothing. */
static void test_an_import_behind_a_switch(void **state)
{
    (void)state;
    struct store_stage *one = stage();
    row(one, 0, "a@x", "new");
    row(one, 1, "b@x", "new");
    switch_to(one, 0);
    stage_free(&one);
    struct store_stage *two = stage();
    row(two, 0, "a@x", "old");
    row(two, 1, "b@x", "old");
    change("b@x", "third");
    while (!fold(10)) {
    }
    assert_string_equal(take_lost(two), "b@x:1:old ");
    switch_to(two, store_generation(store));
    stage_free(&two);
    assert_string_equal(route_of("a@x"), "old");
    assert_string_equal(route_of("b@x"), "third");
}

static void stage_many(void)
{
    struct store_stage *st = stage();
    struct store_txn *txn = begin();
    char key[16];
    for (uint32_t i = 0; i < MANY; i++) { /* not in the order of their keys */
        assert_int_equal(fmt_into(key, sizeof key, "u%03u@x", i * 7 % MANY), 0);
        struct route_entry next = {.route = SLICE_LIT("new")};
        assert_int_equal(row_in(txn, st, i, key, &next), STAGE_TAKEN);
    }
    commit(txn);
    switch_to(st, 0);
    stage_free(&st);
}

static int first_generation(void *arg, const struct history_record *r, struct err *err)
{
    (void)err;
    *(uint64_t *)arg = r->generation;
    return 1;
}

/* The change log of rows that are not folded, from any generation on. */
static void test_log_from_anywhere(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    stage_many();
    char *all = picture(NULL);
    for (int i = 0; i < 3; i++) {
        for (uint64_t from = 1; from <= MANY; from++) {
            uint64_t seen = 0;
            must(store_scan_history(store, NULL, from, first_generation, &seen, &err), &err);
            assert_int_equal(seen, from);
        }
        expect_picture(all);
        fold(MANY / 3);
    }
    mem_free_string(&all);
}

/* --- Kills --------------------------------------------------------------------------------- */

/* In a process of its own, which ends without closing anything. */
static void killed_behind(void (*doing)(void))
{
    store_close(&store);
    pid_t pid = fork();
    if (pid == 0) {
        reopen();
        doing();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    reopen();
}

static void stage_and_die(void)
{
    struct store_stage *st = stage();
    row(st, 0, "a@x", "new");
    row(st, 1, "b@x", "new");
    change("z@x", "old"); /* durable, and all before it */
}

static void fold_some(void)
{
    fold(MANY / 2);
    change("z@x", "third");
}

static void fold_all(void)
{
    while (!fold(MANY)) {
    }
    change("z@x", "fourth");
}

static void sweep_some(void)
{
    sweep(1);
    change("z@x", "fourth");
}

static void test_killed_while_staged(void **state)
{
    (void)state;
    killed_behind(stage_and_die);
    assert_string_equal(route_of("a@x"), "-");
    assert_string_equal(route_of("z@x"), "old");
    assert_true(store_has_leftovers(store));
    struct store_stage *st = stage(); /* meets nothing of the one before */
    assert_int_equal(row(st, 0, "a@x", "third"), STAGE_TAKEN);
    killed_behind(sweep_some);
    while (sweep(1) != 0) {
    }
    assert_false(store_has_leftovers(store));
    assert_string_equal(route_of("a@x"), "-");
}

static void test_killed_while_folding(void **state)
{
    (void)state;
    killed_behind(stage_many);
    assert_true(store_is_folding(store));
    assert_int_equal(store_generation(store), MANY);
    assert_int_equal(store_live_count(store), MANY);
    char *switched = picture(NULL);
    assert_non_null(strstr(switched, "u299@x new"));
    killed_behind(fold_some);
    assert_true(store_is_folding(store));
    assert_int_equal(store_live_count(store), MANY + 1);
    char *half = picture(NULL);
    killed_behind(fold_all);
    assert_false(store_is_folding(store));
    change("z@x", "third"); /* as it was in the first half but for its epoch */
    char *all = picture(NULL);
    /* The entries of the import are the first of the picture: */
    size_t n = (size_t)(strstr(switched, "1 u") - switched);
    assert_memory_equal(half, switched, n);
    assert_memory_equal(all, switched, n);
    mem_free_string(&switched);
    mem_free_string(&half);
    mem_free_string(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nobody_reads_what_is_staged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_row_twice, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_switched_is_seen_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_folded_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_aborted_switch, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_changes_meanwhile_win, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_change_behind_the_switch, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_two_imports, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_import_behind_a_switch, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_log_from_anywhere, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_killed_while_staged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_killed_while_folding, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
