/* SPDX-License-Identifier: ISC */
/* Sources of imports: what the map knows of the last import of each. */
#include "maps/store/sources.h"
#include "tests/unit/control_rig.h"

#define ROWS(rows) "{\"op\":\"put\",\"rows\":[" rows "]}"
#define ROW(key, route) "{\"key\":\"" key "\",\"set\":{\"route\":\"" route "\"}}"
#define ANN ROW("ann@example.org", "old")
#define BOB ROW("bob@example.org", "old")

static void import_at(int64_t now_s, const char *begin, const char *put)
{
    control.now_ms = now_s * 1000;
    number(begin, "ok");
    number(put, "rows");
    number("{\"op\":\"commit\"}", "ok");
}

/* "sources" of the status, as "name when age rows who; ..." */
static void expect_sources(const char *want)
{
    json_t *reply = ask("{\"op\":\"status\"}"), *one;
    struct buf text;
    size_t i;

    buf_init(&text, 1 << 16);
    json_array_foreach(json_object_get(reply, "sources"), i, one)
    {
        assert_int_equal(buf_addf(&text, "%s%s %s %lld %lld %s", i ? "; " : "",
                             json_string_value(json_object_get(one, "source")),
                             json_string_value(json_object_get(one, "when")),
                             (long long)json_integer_value(json_object_get(one, "age_s")),
                             (long long)json_integer_value(json_object_get(one, "rows")),
                             json_string_value(json_object_get(one, "who"))),
            0);
    }
    assert_string_equal(buf_cstr(&text), want);
    buf_fini(&text);
    json_decref(reply);
}

static void reopen(void)
{
    struct err err = ERR_INIT;
    control_session_fini(&session);
    store_close(&control.store);
    must(store_open(dir.path, CACHE_SIZE, &control.store, &err), &err);
}

#define HR(when) "{\"op\":\"begin\",\"source\":\"hr\"" when "}"

static void test_last_import(void **state)
{
    (void)state;
    expect_sources("");
    import_at(1000, HR(""), ROWS(ANN "," BOB));
    expect_sources("hr 1970-01-01T00:16:40Z 0 2 tester");
    /* One that changes nothing was one, and is durable too. */
    import_at(2000, HR(""), ROWS(ANN));
    assert_int_equal(store_generation(control.store), 2);
    reopen();
    control.now_ms = 2060999;
    expect_sources("hr 1970-01-01T00:33:20Z 60 1 tester");
    /* None was: a dry run, one that nobody named, one that is refused, one that is given up. */
    import_at(3000, HR(",\"dry_run\":true"), ROWS(ROW("cat@example.org", "old")));
    import_at(3000, "{\"op\":\"begin\"}", ROWS(ROW("cat@example.org", "old")));
    number(HR(""), "ok");
    expect_error(ROWS(ROW("cat@example.org", "mars")), EX_DATAERR, "no server");
    expect_error("{\"op\":\"commit\"}", EX_DATAERR, "no server");
    number(HR(""), "ok");
    number(ROWS(ANN), "rows");
    number("{\"op\":\"abort\"}", "ok");
    import_at(4000, "{\"op\":\"begin\",\"source\":\"a\"}", ROWS(BOB));
    expect_sources("a 1970-01-01T01:06:40Z 0 1 tester; hr 1970-01-01T00:33:20Z 2000 1 tester");
}

/* Also where many rows are switched in turns. */
static void test_in_pieces(void **state)
{
    (void)state;
    control.import_piece = 1;
    import_at(1000, HR(""), ROWS(ANN "," BOB "," ROW("cat@example.org", "new")));
    expect_sources("hr 1970-01-01T00:16:40Z 0 3 tester");
}

/* What a dump has is what a restore makes of it, whatever the map knew. */
static void restore(const json_t *rows)
{
    json_t *put = json_pack("{ss sO}", "op", "restore_put", "rows", rows);
    char *text = json_dumps(put, JSON_COMPACT);
    number("{\"op\":\"restore_begin\",\"generation\":1}", "ok");
    number(text, "ok");
    number("{\"op\":\"restore_commit\"}", "ok");
    free(text);
    json_decref(put);
}

static void test_restored(void **state)
{
    json_t *none = json_array();
    (void)state;
    import_at(1000, HR(""), ROWS(ANN));
    json_t *dump = ask("{\"op\":\"dump\"}"), *since = ask("{\"op\":\"dump\",\"since\":1}");
    assert_int_equal(json_array_size(json_object_get(dump, "rows")), 2);
    assert_int_equal(json_array_size(json_object_get(since, "rows")), 1);
    import_at(2000, HR(""), ROWS(ANN));
    import_at(2000, "{\"op\":\"begin\",\"source\":\"late\"}", ROWS(BOB));
    restore(json_object_get(dump, "rows"));
    expect_sources("hr 1970-01-01T00:16:40Z 1000 1 tester");
    restore(none); /* of a version that knew no sources */
    expect_sources("");
    number("{\"op\":\"restore_begin\",\"generation\":1}", "ok");
    expect_error("{\"op\":\"restore_put\",\"rows\":[{\"source\":\"hr\",\"record\":\"01\"}]}",
        EX_DATAERR, "record of hr");
    expect_error("{\"op\":\"restore_put\",\"rows\":[{\"source\":\"\",\"record\":\"01\"}]}",
        EX_USAGE, "empty");
    json_decref(since);
    json_decref(dump);
    json_decref(none);
}

static int count(void *arg, const struct source *source ATTR_UNUSED, struct err *err ATTR_UNUSED)
{
    ++*(size_t *)arg;
    return 0;
}

/* Names with a date come once: the oldest give way. */
static void test_oldest_give_way(void **state)
{
    struct err err = ERR_INIT;
    struct store_txn *txn;
    char name[32];
    size_t n = 0;
    (void)state;
    must(store_begin(control.store, &txn, &err), &err);
    for (int i = 0; i <= SOURCES_MAX; i++) {
        assert_int_equal(fmt_into(name, sizeof name, "file-%d", (i + 7) % (SOURCES_MAX + 1)), 0);
        const struct source source = {.name = slice_str(name), .when_s = 1000 + i};
        must(sources_put(txn, &source, &err), &err);
        must(sources_put(txn, &source, &err), &err); /* is no second one */
    }
    must(store_commit(&txn, &err), &err);
    must(sources_scan(control.store, NULL, count, &n, &err), &err);
    assert_int_equal(n, SOURCES_MAX);
    json_t *reply = ask("{\"op\":\"status\"}");
    char *text = json_dumps(reply, JSON_COMPACT);
    assert_null(strstr(text, "\"file-7\""));
    assert_non_null(strstr(text, "\"file-8\""));
    free(text);
    json_decref(reply);
}

static void test_records(void **state)
{
    static const char who[STORE_WHO_MAX + 1] = {0};
    struct source source = {.who = SLICE_LIT("ann"), .when_s = INT64_MAX, .rows = 7}, back;
    struct buf record;
    (void)state;
    buf_init(&record, 2 * SOURCE_RECORD_MAX);
    assert_int_equal(source_encode(&source, &record), 0);
    assert_int_equal(source_decode(buf_slice(&record), &back), 0);
    assert_true(back.when_s == INT64_MAX && back.rows == 7 && slice_eq(back.who, source.who));
    for (size_t n = 0; n < record.n - 3; n++)
        assert_int_equal(source_decode(slice_sub(buf_slice(&record), 0, n), &back), -1);
    buf_clear(&record);
    source.when_s = -1;
    assert_int_equal(source_encode(&source, &record), 0);
    assert_int_equal(source_decode(buf_slice(&record), &back), -1);
    buf_clear(&record);
    source.who = slice_make(who, sizeof who);
    assert_int_equal(source_encode(&source, &record), -1);
    /* Another version. */
    assert_int_equal(buf_add(&record, slice_make("\2abcdefghabcdefgh", 17)), 0);
    assert_int_equal(source_decode(buf_slice(&record), &back), -1);
    buf_fini(&record);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_last_import, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_in_pieces, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_restored, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_oldest_give_way, set_up, tear_down),
        cmocka_unit_test(test_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
