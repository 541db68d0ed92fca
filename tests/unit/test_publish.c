/* SPDX-License-Identifier: ISC */
/* Random histories of the map, published at each commit, by the log alone, and whole: all three
 * snapshots say the same. */
#include "maps/store/publish.h"

#include "maps/snapshot.h"
#include "maps/snapshot_write.h"
#include "tests/sim/rng.h"
#include "tests/unit/control_rig.h"

#define HISTORIES 8
#define STEPS 50
#define USERS 30
#define MANY (SNAPSHOT_IN_PLACE_MAX + 50) /* more than is published in place */
#define TEXT_MAX ((size_t)1 << 20)

/* Two publishers of one store, each with a run folder of its own: one of commits, one of the log.
 */
static struct publish *commits, *follower;

static char *run_dir(const char *name)
{
    return strdup(tmpdir_file(&dir, name));
}

static void open_publish(const char *name, struct publish **out)
{
    struct err err = ERR_INIT;
    char *path = run_dir(name);
    must(publish_open(path, control.store, out, &err), &err);
    free(path);
}

static void publish_all(struct publish *p)
{
    struct err err = ERR_INIT;
    must(publish_stage(p, NULL, &err), &err);
    publish_staged(p);
}

static int set_up_both(void **state)
{
    set_up(state);
    open_publish("commits", &commits);
    open_publish("follower", &follower);
    publish_all(commits);
    publish_all(follower);
    return 0;
}

static int tear_down_both(void **state)
{
    publish_close(&commits);
    publish_close(&follower);
    return tear_down(state);
}

/* As ask(), published at the commit as coexist-mapd does. */
static bool change_own(json_t *request)
{
    struct err err = ERR_INIT;
    struct store_txn *txn = NULL;
    json_t *reply = NULL;
    enum control_kind kind = control_kind(request);
    bool has_txn = kind == CONTROL_WRITE || kind == CONTROL_BATCH || kind == CONTROL_ROWS;

    bool goes_on;
    do {
        if (has_txn)
            must(store_begin(control.store, &txn, &err), &err);
        must(control_run(&control, &session, txn, request, &reply, &err), &err);
        if (control.must_abort)
            store_abort(&txn);
        if (txn) {
            must(publish_stage(commits, txn, &err), &err);
            must(store_commit(&txn, &err), &err);
            publish_staged(commits);
        }
        goes_on = control.must_continue;
        if (goes_on && between_turns)
            between_turns();
    } while (goes_on);
    bool is_ok = json_is_true(json_object_get(reply, "ok"));
    json_decref(request);
    json_decref(reply);
    return is_ok;
}

static bool change(const char *text)
{
    json_t *request = json_loads(text, 0, NULL);
    assert_non_null(request);
    return change_own(request);
}

/* --- What a snapshot says ------------------------------------------------------------------- */

static void on_restart(void *arg)
{
    json_object_clear(arg);
}

static void on_entry(void *arg, struct slice key, const struct route_entry *ignored)
{
    char name[ROUTE_KEY_MAX + 1];
    (void)ignored;
    assert_int_equal(fmt_into(name, sizeof name, "%.*s", SLICE_ARG(key)), 0);
    json_object_set_new(arg, name, json_null());
}

/* {key: record in words}, and the numbers of the whole. */
static json_t *say(const char *name)
{
    char *path = run_dir(name);
    struct snapshot *s = snapshot_new(path);
    struct snapshot_mark mark = {0};
    struct snapshot_info info;
    struct route_store room;
    json_t *all = json_object();
    const struct snapshot_visitor visitor = {on_restart, on_entry, all};
    const char *key;
    json_t *value;
    void *next;

    assert_int_equal(snapshot_walk(s, &mark, &visitor), 0);
    json_object_foreach_safe(all, next, key, value)
    {
        struct route_entry e;
        struct buf record;
        char digits[2 * ROUTE_RECORD_MAX + 1];
        enum route_answer answer = snapshot_get(s, slice_str(key), &room, &e);
        assert_int_not_equal(answer, ROUTE_UNKNOWN);
        buf_init(&record, ROUTE_RECORD_MAX);
        assert_int_equal(record_encode(&e, false, &record), 0);
        for (size_t i = 0; i < record.n; i++)
            assert_int_equal(
                fmt_into(digits + 2 * i, 3, "%02x", (unsigned)buf_slice(&record).p[i]), 0);
        json_object_set_new(all, key, json_string(digits));
        buf_fini(&record);
    }
    assert_int_equal(snapshot_info(s, &info), 0);
    json_object_set_new(all, "generation", json_integer((json_int_t)info.generation));
    json_object_set_new(all, "keys", json_integer((json_int_t)info.keys));
    snapshot_free(&s);
    free(path);
    return all;
}

static void expect_same(const json_t *a, const json_t *b, const char *what)
{
    if (json_equal(a, b))
        return;
    char *x = json_dumps(a, JSON_SORT_KEYS | JSON_INDENT(1)),
         *y = json_dumps(b, JSON_SORT_KEYS | JSON_INDENT(1));
    fail_msg("%s:\n%s\n%s", what, x, y);
}

static int follow(void)
{
    struct err err = ERR_INIT;
    int rc, n = 0;
    while ((rc = publish_next(follower, &err)) == 1)
        n++;
    if (rc != 0) {
        assert_int_equal(err.code, EX_DATAERR);
        publish_all(follower);
    }
    return rc == 0 ? n : -1;
}

static void compare_all(void)
{
    struct publish *whole;
    open_publish("whole", &whole);
    publish_all(whole);
    json_t *want = say("whole"), *one = say("commits"), *two = say("follower");
    expect_same(want, one, "the whole map, and that of the commits");
    expect_same(want, two, "the whole map, and that of the log");
    json_decref(want);
    json_decref(one);
    json_decref(two);
    publish_close(&whole);
}

/* --- Histories -------------------------------------------------------------------------------- */

static const char *user(struct rng *r)
{
    static char out[64];
    if (rng_one_in(r, 20))
        return "@example.net";
    assert_int_equal(fmt_into(out, sizeof out, "u%u@example.org", rng_below(r, USERS)), 0);
    return out;
}

static const char *server(struct rng *r)
{
    return rng_one_in(r, 2) ? "old" : "new";
}

static void import(struct rng *r, unsigned n)
{
    json_t *rows = json_array();
    for (unsigned i = 0; i < n; i++) {
        char key[64];
        assert_int_equal(fmt_into(key, sizeof key, "u%u@example.org", i), 0);
        json_array_append_new(rows, json_pack("{ss s{ss}}", "key", key, "set", "route", server(r)));
    }
    assert_true(change("{\"op\":\"begin\",\"reroute\":true,\"max_drop\":100}"));
    assert_true(change_own(json_pack("{ss so}", "op", "put", "rows", rows)));
    change("{\"op\":\"commit\"}");
}

/* What the map was at some generation comes back, where it can. */
static void revert(struct rng *r)
{
    uint64_t now = store_generation(control.store), back = rng_below(r, 10);
    change_own(json_pack(
        "{ss sI}", "op", "revert", "generation", (json_int_t)(now > back ? now - back : 0)));
}

/* A backup of some of it: the generation jumps, and who is elsewhere is held. */
static void restore(struct rng *r)
{
    json_t *dump = ask("{\"op\":\"dump\"}"), *rows = json_array(), *row;
    size_t i;

    json_array_foreach(json_object_get(dump, "rows"), i, row) if (!rng_one_in(r, 4))
        json_array_append(rows, row);
    for (unsigned n = rng_below(r, 4); n > 0; n--)
        change_own(
            json_pack("{ss ss s{ss}}", "op", "set", "key", user(r), "set", "route", server(r)));
    assert_true(change_own(json_pack(
        "{ss sO}", "op", "restore_begin", "generation", json_object_get(dump, "generation"))));
    assert_true(change_own(json_pack("{ss so}", "op", "restore_put", "rows", rows)));
    assert_true(change("{\"op\":\"restore_commit\"}"));
    json_decref(dump);
}

static void prune(struct rng *r)
{
    struct err err = ERR_INIT;
    struct store_txn *txn;
    size_t n;
    must(store_begin(control.store, &txn, &err), &err);
    must(store_history_prune(txn, INT64_MAX, 1 + rng_below(r, 300), &n, &err), &err);
    must(store_commit(&txn, &err), &err);
}

static void step(struct rng *r)
{
    const char *key = user(r);

    switch (rng_below(r, 16)) {
    default:
        change_own(json_pack("{ss ss s{ss ss}}", "op", "set", "key", key, "set", "route", server(r),
            "note", rng_one_in(r, 2) ? "one" : "two"));
        break;
    case 0:
    case 1:
        change_own(json_pack("{ss ss}", "op", "del", "key", key));
        break;
    case 2:
    case 3:
        change_own(json_pack(
            "{ss ss ss si}", "op", "hold", "key", key, "owner", "one", "deadline_ms", 5000));
        break;
    case 4:
        change_own(json_pack(
            "{ss ss ss}", "op", "take", "key", key, "side", rng_one_in(r, 2) ? "map" : "sync"));
        break;
    case 5:
    case 6:
        change_own(json_pack("{ss ss}", "op", "release", "key", key));
        break;
    case 7:
        import(r, 1 + rng_below(r, USERS));
        break;
    case 8:
        revert(r);
        break;
    case 9:
        if (rng_one_in(r, 3))
            restore(r);
        break;
    case 10:
        if (rng_one_in(r, 2))
            prune(r);
        break;
    }
}

static void test_histories(void **state)
{
    unsigned followed = 0, was_whole = 0;
    for (uint64_t seed = 1; seed <= HISTORIES; seed++) {
        struct rng r = {seed};
        set_up_both(state);
        for (int i = 0; i < STEPS; i++) {
            step(&r);
            if (!rng_one_in(&r, 8))
                continue;
            int n = follow();
            followed += n > 0;
            was_whole += n < 0;
            compare_all();
        }
        tear_down_both(state);
    }
    /* They came to both. */
    assert_true(followed > 20);
    assert_true(was_whole > 2);
}

/* --- One by one --------------------------------------------------------------------------------
 */

/* Each generation in its turn, and none before it. */
static void test_in_order(void **state)
{
    struct err err = ERR_INIT;
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_true(change(i == 1 ? SET("a@example.org", "new") : SET("a@example.org", "old")));
    assert_true(change("{\"op\":\"del\",\"key\":\"a@example.org\"}"));
    for (json_int_t g = 1; g <= 4; g++) {
        assert_int_equal(publish_next(follower, &err), 1);
        json_t *said = say("follower");
        assert_int_equal(json_integer_value(json_object_get(said, "generation")), g);
        assert_int_equal(json_integer_value(json_object_get(said, "keys")), g < 4);
        json_decref(said);
    }
    assert_int_equal(publish_next(follower, &err), 0);
    compare_all();
}

/* More than fits in place, at once and one by one. */
static void test_many(void **state)
{
    struct rng r = {1};
    (void)state;
    import(&r, MANY);
    assert_int_equal(follow(), MANY);
    compare_all();
}

/* Where the log has been cut it is said from where on it is there; the whole map helps. */
static void test_log_is_cut(void **state)
{
    struct err err = ERR_INIT;
    struct store_txn *txn;
    size_t n;
    (void)state;
    for (int i = 0; i < 5; i++)
        assert_true(change(i % 2 ? SET("a@example.org", "new") : SET("a@example.org", "old")));
    must(store_begin(control.store, &txn, &err), &err);
    must(store_history_prune(txn, INT64_MAX, 3, &n, &err), &err);
    must(store_commit(&txn, &err), &err);
    assert_int_equal(publish_next(follower, &err), -1);
    assert_int_equal(err.code, EX_DATAERR);
    assert_non_null(strstr(err.text, "cannot follow: the change log begins with generation 4"));
    publish_all(follower);
    compare_all();
    /* The commits' own follows although nothing of what it has is in the log any more. */
    must(store_begin(control.store, &txn, &err), &err);
    must(store_history_prune(txn, INT64_MAX, 9, &n, &err), &err);
    must(store_commit(&txn, &err), &err);
    assert_true(change(SET("b@example.org", "new")));
    assert_int_equal(follow(), 1);
    compare_all();
    /* Before anything was published there is nothing to follow from. */
    publish_invalidate(follower);
    err_clear(&err);
    assert_int_equal(publish_next(follower, &err), -1);
    assert_int_equal(err.code, EX_DATAERR);
}

/* --- Imports in pieces ------------------------------------------------------------------------ */

static struct rng *chance;
static unsigned n_others;

static int prepare(void *arg, struct store_txn *txn, const struct store_stage *stage, uint64_t base,
    const struct store_cause *cause, bool *ready_out, struct err *err)
{
    (void)arg;
    return publish_prepare(commits, txn, stage, base, cause, 3, ready_out, err);
}

/* Others change what is imported, what is not, and so much that all is published anew. */
static void others(void)
{
    struct control_session own = session;
    session = (struct control_session){.who = "other", .may_write = true};
    n_others++;
    if (rng_one_in(chance, 2))
        change_own(json_pack(
            "{ss ss s{ss}}", "op", "set", "key", user(chance), "set", "route", server(chance)));
    if (rng_one_in(chance, 4))
        change_own(json_pack("{ss ss}", "op", "del", "key", user(chance)));
    session = own;
}

static void fold_some(void)
{
    struct err err = ERR_INIT;
    struct store_txn *txn;
    bool done;
    must(store_begin(control.store, &txn, &err), &err);
    must(store_fold(control.store, txn, 7, &done, &err), &err);
    must(store_commit(&txn, &err), &err);
}

static void test_imports_in_pieces(void **state)
{
    (void)state;
    struct rng r = {5};
    chance = &r;
    control.prepare = prepare;
    control.import_piece = 4;
    for (int i = 0; i < 6; i++) {
        uint64_t before = store_generation(control.store);
        n_others = 0;
        between_turns = others;
        import(&r, USERS);
        between_turns = NULL;
        assert_true(n_others > 3);
        assert_true(store_generation(control.store) > before + CONTROL_IMPORT_AHEAD);
        follow();
        compare_all();
        for (int k = 0; store_is_folding(control.store); k++) {
            if (k % 3 == 1)
                others();
            fold_some();
        }
        follow();
        compare_all();
        /* The last changes, over generations that nobody used. */
        json_t *log = ask("{\"op\":\"log\",\"last\":40}");
        assert_true(i < 3 || json_array_size(json_object_get(log, "changes")) == 40);
        json_decref(log);
    }
    control.prepare = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_histories),
        cmocka_unit_test_setup_teardown(test_in_order, set_up_both, tear_down_both),
        cmocka_unit_test_setup_teardown(test_many, set_up_both, tear_down_both),
        cmocka_unit_test_setup_teardown(test_imports_in_pieces, set_up_both, tear_down_both),
        cmocka_unit_test_setup_teardown(test_log_is_cut, set_up_both, tear_down_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
