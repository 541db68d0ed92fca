/* SPDX-License-Identifier: ISC */
/* Imports: what is refused together, and what becomes of entries that people have changed
 * meanwhile. */
#include "maps/store/stage.h"
#include "tests/unit/control_rig.h"

#define BEGIN "{\"op\":\"begin\"}"
#define PUT(rows) "{\"op\":\"put\",\"rows\":[" rows "]}"
#define ROW(key, route) "{\"key\":\"" key "\",\"set\":{\"route\":\"" route "\"}}"

static void test_import(void **state)
{
    (void)state;
    number(SET("a@example.org", "old"), "generation");
    number(BEGIN, "ok");
    assert_int_equal(
        number(PUT(ROW("b@example.org", "new") "," ROW("a@example.org", "old")), "rows"), 2);
    assert_int_equal(number(PUT(ROW("A2@example.org", "new")), "rows"), 3);
    assert_string_equal(route_of("b@example.org"), "-");
    expect("{\"op\":\"commit\"}",
        "{\"added\":2,\"changed\":0,\"conflicts\":[],\"deleted\":0,\"dry_run\":false,"
        "\"generation\":3,"
        "\"kept\":{\"held\":0,\"meanwhile\":0,\"moved\":0,\"route\":0},\"ok\":true,\"retiring\":0,"
        "\"servers\":"
        "[{\"added\":2,\"arrive\":0,\"leave\":0,\"retire\":0,\"server\":\"new\"}],\"unchanged\":"
        "1}");
    assert_string_equal(route_of("b@example.org"), "new");
    expect_error("{\"op\":\"commit\"}", EX_USAGE, "no import was begun");
    /* A commit whose reply was lost may be asked for again, on another connection too. */
    number(BEGIN, "ok");
    number(PUT(ROW("c@example.org", "new")), "rows");
    for (int i = 0; i < 2; i++)
        assert_int_equal(number("{\"op\":\"commit\",\"id\":\"i1\"}", "added"), 1);
    /* A second one begins with nothing of the first. */
    number(BEGIN, "ok");
    number(PUT(ROW("d@example.org", "new")), "rows");
    number(BEGIN, "ok");
    assert_int_equal(number(PUT(ROW("e@example.org", "new")), "rows"), 1);
    assert_int_equal(number("{\"op\":\"commit\"}", "added"), 1);
    assert_string_equal(route_of("d@example.org"), "-");
}

#define ALIAS_ROW(key, to) "{\"key\":\"" key "\",\"set\":{\"kind\":\"alias\",\"to\":\"" to "\"}}"

/* Rows that are right one by one: what they make together, and with what the map has. */
static void test_import_of_chains(void **state)
{
    char request[256];
    (void)state;
    control.conf = &CONF_ALIASES;
    number(SET("end@example.org", "old"), "generation");
    for (int i = DECIDE_DEPTH_MAX - 1; i >= 1; i--) {
        assert_int_equal(fmt_into(request, sizeof request,
                             "{\"op\":\"set\",\"key\":\"a%d@example.org\",\"set\":{\"kind\":"
                             "\"alias\",\"to\":\"a%d@example.org\"}}",
                             i, i + 1),
            0);
        number(request, "changed");
    }
    /* a1 to a9 lead to a10: as an alias it is the last one that may be. */
    number(BEGIN, "ok");
    number(PUT(ALIAS_ROW("a10@example.org", "a11@example.org") "," ALIAS_ROW(
               "a11@example.org", "end@example.org")),
        "rows");
    expect_error("{\"op\":\"commit\"}", EX_DATAERR,
        "a10@example.org: a1@example.org leads here, and then: The map leads this recipient "
        "through "
        "too many aliases: a1@example.org -> a2@example.org");
    assert_string_equal(route_of("a10@example.org"), "-");
    number(BEGIN, "ok");
    number(PUT(ALIAS_ROW("a10@example.org", "end@example.org")), "rows");
    assert_int_equal(number("{\"op\":\"commit\"}", "added"), 1);
    number(BEGIN, "ok");
    number(PUT(ALIAS_ROW("a0@example.org", "a1@example.org")), "rows");
    expect_error("{\"op\":\"commit\"}", EX_DATAERR,
        "a0@example.org: The map leads this recipient through too many aliases: a0@example.org "
        "-> ");
    number(BEGIN, "ok");
    number(PUT(ALIAS_ROW("x@example.org", "y@example.org") "," ALIAS_ROW(
               "y@example.org", "x@example.org")),
        "rows");
    expect_error("{\"op\":\"commit\"}", EX_DATAERR, "in a circle: x@example.org -> ");
}

static void check_row(const char *request, int row, const char *part)
{
    json_t *reply = ask(request);
    const json_t *error = json_object_get(reply, "error");
    assert_non_null(error);
    assert_non_null(strstr(json_string_value(json_object_get(error, "text")), part));
    assert_int_equal(json_integer_value(json_object_get(reply, "row")), row);
    json_decref(reply);
}

static void test_import_refused(void **state)
{
    (void)state;
    number(SET("held@example.org", "old"), "generation");
    number(HOLD("held@example.org"), "epoch");
    /* Nothing comes of an import with a wrong row. */
    number(BEGIN, "ok");
    number(PUT(ROW("a@example.org", "old")), "rows");
    check_row(PUT(ROW("b@example.org", "old") "," ROW("c@example.org", "mars")), 2, "no server");
    expect_error("{\"op\":\"commit\"}", EX_DATAERR, "no server");
    number(BEGIN, "ok");
    check_row(PUT(ROW("b@example.org", "archive")), 0, "has no smtp");
    /* So does a key twice, whose rows are named. */
    number(BEGIN, "ok");
    number(PUT(ROW("b@example.org", "old") "," ROW("a@example.org", "old") "," ROW(
               "B@example.org", "new")),
        "rows");
    check_row("{\"op\":\"commit\"}", 2, "b@example.org occurs twice");
    number(BEGIN, "ok");
    assert_string_equal(route_of("z@example.org"), "-");
    assert_int_equal(store_generation(control.store), 2);
    /* A dry run says what would happen. */
    number("{\"op\":\"begin\",\"dry_run\":true}", "ok");
    number(PUT(ROW("z@example.org", "old")), "rows");
    assert_int_equal(number("{\"op\":\"commit\"}", "added"), 1);
    assert_string_equal(route_of("z@example.org"), "-");
    number(BEGIN, "ok");
    number("{\"op\":\"abort\"}", "ok");
    expect_error("{\"op\":\"commit\"}", EX_USAGE, "no import was begun");
}

/* All that are wrong come at once, those of a later put too. */
static void test_import_refused_together(void **state)
{
    (void)state;
    number(BEGIN, "ok");
    expect(PUT(ROW("x", "old") "," ROW("a@example.org", "old") "," ROW("b@example.org", "mars")),
        "{\"bad\":[{\"row\":0,\"text\":\"x is not an address or @domain that can be in the "
        "map\"},{\"row\":2,\"text\":\"there is no "
        "server \\\"mars\\\" in the configuration (servers: old, new, archive)\"}],\"error\":"
        "{\"class\":\"permanent\",\"code\":65,\"text\":\"x is not an address or @domain that can "
        "be in the map\"},\"ok\":false,"
        "\"row\":0,\"rows\":1}");
    check_row(PUT(ROW("y", "old")), 3, "x is not");
    expect_error("{\"op\":\"commit\"}", EX_DATAERR, "x is not an address");
    expect_error("{\"op\":\"commit\"}", EX_USAGE, "no import was begun");
    number(BEGIN, "ok");
    number(PUT(ROW("a@example.org", "old") "," ROW("b@example.org", "old") "," ROW(
               "B@example.org", "old") "," ROW("A@example.org", "old")),
        "rows");
    expect("{\"op\":\"commit\"}",
        "{\"bad\":[{\"first_row\":1,\"row\":2,\"text\":\"b@example.org occurs twice\"},"
        "{\"first_row\":0,\"row\":3,\"text\":\"a@example.org occurs twice\"}],\"error\":"
        "{\"class\":\"permanent\",\"code\":65,\"text\":\"b@example.org occurs twice\"},"
        "\"first_row\":1,\"ok\":false,\"row\":2}");
    assert_int_equal(store_generation(control.store), 0);
}

/* An import may hold nothing; also with "replace" it then means nothing. */
static void test_import_of_nothing(void **state)
{
    (void)state;
    number(SET("a@example.org", "old"), "generation");
    number(BEGIN, "ok");
    number("{\"op\":\"commit\"}", "ok");
    number("{\"op\":\"begin\",\"replace\":true,\"source\":\"s\"}", "ok");
    assert_int_equal(number("{\"op\":\"commit\"}", "deleted"), 0);
    assert_int_equal(store_live_count(control.store), 1);
}

/* --- Rules -------------------------------------------------------------------------------- */

/* The reply of the commit, which is the caller's. */
static json_t *commit(const char *begin, const char *rows)
{
    char request[2048];
    assert_int_equal(fmt_into(request, sizeof request, "{\"op\":\"begin\",%s}", begin), 0);
    number(request, "ok");
    assert_int_equal(fmt_into(request, sizeof request, "{\"op\":\"put\",\"rows\":[%s]}", rows), 0);
    number(request, "rows");
    return ask("{\"op\":\"commit\"}");
}

static void import(const char *begin, const char *rows)
{
    json_t *reply = commit(begin, rows);
    if (!json_is_true(json_object_get(reply, "ok")))
        fail_msg("%s", json_string_value(json_object_get(json_object_get(reply, "error"), "text")));
    json_decref(reply);
}

/* What remains of a reply when the order of its members is taken out. */
static void expect_commit(const char *begin, const char *rows, const char *member, const char *want)
{
    json_t *reply = commit(begin, rows);
    char *text =
        json_dumps(json_object_get(reply, member), JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    if (!text || strcmp(text, want) != 0)
        fail_msg("%s %s\n  gave %s\n  want %s", begin, rows, text ? text : "nothing", want);
    free(text);
    json_decref(reply);
}

static void expect_commit_error(const char *begin, const char *rows, const char *part)
{
    json_t *reply = commit(begin, rows);
    const char *text = json_string_value(json_object_get(json_object_get(reply, "error"), "text"));
    if (!text || !strstr(text, part))
        fail_msg("%s\n  gave %s\n  want %s", begin, text ? text : "(ok)", part);
    json_decref(reply);
}

static void expect_member(const char *key, const char *member, const char *want)
{
    char request[256];
    assert_int_equal(fmt_into(request, sizeof request, "{\"op\":\"get\",\"key\":\"%s\"}", key), 0);
    json_t *reply = ask(request);
    const char *text = json_string_value(json_object_get(json_object_get(reply, "entry"), member));
    if (strcmp(text ? text : "-", want) != 0)
        fail_msg("%s %s: %s, not %s", key, member, text ? text : "-", want);
    json_decref(reply);
}

#define NIGHTLY "\"source\":\"users.csv\",\"default_route\":\"old\",\"replace\":true"
#define U(n) "{\"key\":\"u" #n "@example.org\",\"set\":{}}"
#define FOUR U(0) "," U(1) "," U(2) "," U(3)

static void flip(const char *key)
{
    char request[256];
    assert_int_equal(
        fmt_into(request, sizeof request,
            "{\"op\":\"hold\",\"key\":\"%s\",\"owner\":\"o\",\"deadline_ms\":5000}", key),
        0);
    json_int_t epoch = number(request, "epoch");
    assert_int_equal(
        fmt_into(request, sizeof request,
            "{\"op\":\"flip\",\"id\":\"f%s\",\"key\":\"%s\",\"epoch\":%lld,\"route\":\"new\"}", key,
            key, (long long)epoch),
        0);
    number(request, "epoch");
}

/* The same file every night, while people move. */
static void test_nightly(void **state)
{
    (void)state;
    import(NIGHTLY, FOUR);
    flip("u0@example.org");
    number(SET("u1@example.org", "new"), "generation");
    number(HOLD("u2@example.org"), "epoch");
    uint64_t before = store_generation(control.store);
    expect_commit(NIGHTLY, FOUR, "unchanged", "4");
    assert_int_equal(store_generation(control.store), before);
    assert_string_equal(route_of("u0@example.org"), "new");
    assert_string_equal(route_of("u1@example.org"), "new");
    /* Nor does one that says where they once were. */
    const char *rows = ROW("u0@example.org", "old") "," ROW("u1@example.org", "old") "," ROW(
        "u2@example.org", "new") "," ROW("u3@example.org", "old");
    expect_commit(NIGHTLY, rows, "kept", "{\"held\":1,\"meanwhile\":0,\"moved\":1,\"route\":1}");
    expect_commit(NIGHTLY, rows, "conflicts",
        "[{\"asked\":\"old\",\"kept\":\"moved\",\"key\":\"u0@example.org\",\"route\":\"new\","
        "\"row\":0},"
        "{\"asked\":\"old\",\"kept\":\"route\",\"key\":\"u1@example.org\",\"route\":\"new\","
        "\"row\":1},"
        "{\"asked\":\"new\",\"kept\":\"held\",\"key\":\"u2@example.org\",\"route\":\"old\",\"row\":"
        "2}]");
    assert_int_equal(store_generation(control.store), before);
    /* Told to, it changes the route that is nobody's, and no more. */
    expect_commit(NIGHTLY ",\"reroute\":true,\"max_drop\":100", rows, "kept",
        "{\"held\":1,\"meanwhile\":0,\"moved\":1,\"route\":0}");
    assert_string_equal(route_of("u0@example.org"), "new");
    assert_string_equal(route_of("u1@example.org"), "old");
    assert_string_equal(route_of("u2@example.org"), "old");
}

/* Who is not in the file any more. */
static void test_leavers(void **state)
{
    (void)state;
    import(NIGHTLY, FOUR);
    number(SET("hand@example.org", "old"), "generation");
    number(SET("u9@example.net", "old"), "generation");
    import("\"source\":\"other.csv\"", ROW("x@example.org", "old"));
    flip("u0@example.org");
    number(HOLD("u1@example.org"), "epoch");
    /* Moved, held: they stay. Those of others, made by hand or in other domains: never looked at.
     */
    expect_commit(NIGHTLY ",\"max_drop\":100", U(3), "retiring", "1");
    expect_member("u2@example.org", "state", "retiring");
    expect_member("u2@example.org", "route", "old");
    expect_member("u1@example.org", "state", "held");
    expect_member("u0@example.org", "state", "active");
    expect_member("x@example.org", "state", "active");
    expect_member("hand@example.org", "state", "active");
    expect_member("u9@example.net", "state", "active");
    /* Until the time is over nothing more happens. */
    expect_commit(NIGHTLY ",\"max_drop\":100", U(3), "deleted", "0");
    /* Back again. */
    expect_commit(NIGHTLY, U(2) "," U(3), "changed", "1");
    expect_member("u2@example.org", "state", "active");
    expect_commit(NIGHTLY ",\"max_drop\":100", U(3), "retiring", "1");
    control.now_ms += RETIRE_MS;
    expect_commit(NIGHTLY ",\"max_drop\":100", U(3), "deleted", "1");
    assert_string_equal(route_of("u2@example.org"), "-");
}

/* The guard looks at each server, at who leaves and at who gets another route. */
static void test_guard(void **state)
{
    (void)state;
    import(NIGHTLY, FOUR);
    import("\"source\":\"new.csv\"", ROW("n0@example.org", "new") "," ROW("n1@example.org", "new"));
    expect_commit_error(NIGHTLY ",\"max_drop\":49", U(0) "," U(1),
        "would take 2 of 4 addresses from old (2 are not in it, 0 get another route), more than "
        "49 ");
    expect_commit_error("\"source\":\"users.csv\",\"reroute\":true,\"max_drop\":24",
        ROW("u0@example.org", "new"),
        "would take 1 of 4 addresses from old (0 are not in it, 1 get");
    assert_string_equal(route_of("u0@example.org"), "old");
    /* 49 percent of all, but all of one server. */
    expect_commit_error("\"source\":\"new.csv\",\"reroute\":true,\"max_drop\":49",
        ROW("n0@example.org", "old") "," ROW("n1@example.org", "old"), "2 of 2 addresses from new");
    import(NIGHTLY ",\"max_drop\":50", U(0) "," U(1));
    /* Without --max-drop some may go in any case: DROP_COUNT of them. */
    import("\"source\":\"new.csv\",\"reroute\":true",
        ROW("n0@example.org", "old") "," ROW("n1@example.org", "old"));
    expect_commit_error("\"source\":\"new.csv\",\"reroute\":true",
        ROW("n0@example.org", "new") "," ROW("n1@example.org", "new") "," ROW(
            "u0@example.org", "new"),
        "more than 2 percent");
}

static void test_servers(void **state)
{
    (void)state;
    import(NIGHTLY, FOUR);
    expect_commit(NIGHTLY ",\"reroute\":true,\"max_drop\":100,\"dry_run\":true",
        ROW("u0@example.org", "new") "," U(1) "," U(2) "," U(4) "," ROW("n@example.org", "new"),
        "servers",
        "[{\"added\":1,\"arrive\":0,\"leave\":1,\"now\":4,\"retire\":1,\"server\":\"old\",\"then\":"
        "4},"
        "{\"added\":1,\"arrive\":1,\"leave\":0,\"now\":0,\"retire\":0,\"server\":\"new\",\"then\":"
        "2}]");
    assert_string_equal(route_of("u0@example.org"), "old");
    assert_int_equal(store_live_count(control.store), 4);
}

static void test_sources(void **state)
{
    (void)state;
    number(SET("hand@example.org", "new"), "generation");
    import(NIGHTLY, U(0) ",{\"key\":\"hand@example.org\",\"set\":{}}");
    expect_member("hand@example.org", "source", "users.csv");
    expect_member("hand@example.org", "route", "new");
    import("\"source\":\"b.csv\",\"default_route\":\"new\"", U(0) "," U(1));
    expect_member("u0@example.org", "source", "users.csv");
    expect_member("u0@example.org", "route", "old");
    expect_member("u1@example.org", "source", "b.csv");
    expect_member("u1@example.org", "route", "new");
    expect_error("{\"op\":\"begin\",\"replace\":true}", EX_USAGE, "needs a \"source\"");
    expect_error("{\"op\":\"begin\",\"default_route\":\"mars\"}", EX_DATAERR, "no server");
}

static void test_import_replace_with_many_domains(void **state)
{
    (void)state;
    enum { MANY = 300 };
    struct conf_domain many[MANY];
    char names[MANY][32];
    struct conf large = CONF;
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(fmt_into(names[i], sizeof names[i], "d%zu.example", i), 0);
        many[i] = (struct conf_domain){
            .name = names[i], .default_server = CONF_SERVER_NONE, .fold_local_part = true};
    }
    large.domains = many;
    large.n_domains = MANY;
    control.conf = &large;
    import("\"source\":\"s\"", ROW("u1@d299.example", "old") "," ROW("u2@d299.example", "old"));
    number("{\"op\":\"begin\",\"replace\":true,\"max_drop\":50,\"source\":\"s\"}", "ok");
    number(PUT(ROW("u1@d299.example", "old")), "rows");
    json_int_t retiring = number("{\"op\":\"commit\"}", "retiring");
    control.conf = &CONF;
    assert_int_equal(retiring, 1);
}

/* --- In pieces ------------------------------------------------------------------------------ */

#define PIECE 4
#define MANY 50

static void fold_piece(void)
{
    struct err err = ERR_INIT;
    struct store_txn *txn;
    bool done;
    must(store_begin(control.store, &txn, &err), &err);
    must(store_fold(control.store, txn, PIECE, &done, &err), &err);
    must(store_commit(&txn, &err), &err);
}

static unsigned turns;

/* Whoever asks between the turns is served. */
static void others(void)
{
    if (turns++ == 2)
        number(SET("u1@example.org", "new"), "generation");
    assert_string_equal(route_of("hand@example.org"), "old");
    fold_piece();
}

static void put_many(const char *route)
{
    char request[256];
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(fmt_into(request, sizeof request,
                             "{\"op\":\"put\",\"rows\":[{\"key\":\"u%d@example.org\",\"set\":{"
                             "\"route\":\"%s\"}}]}",
                             i, route),
            0);
        assert_int_equal(number(request, "rows"), i + 1);
    }
}

/* More rows than are handled at once, and requests of others between them. */
static void test_pieces(void **state)
{
    (void)state;
    number(SET("hand@example.org", "old"), "generation");
    control.import_piece = PIECE;
    between_turns = others;
    number("{\"op\":\"begin\",\"source\":\"s\"}", "ok");
    put_many("old");
    assert_int_equal(number("{\"op\":\"commit\"}", "added"), MANY);
    assert_int_equal(store_live_count(control.store), MANY + 1);
    assert_int_equal(store_generation(control.store), MANY + 1);
    assert_true(store_is_folding(control.store));
    assert_string_equal(route_of("u49@example.org"), "old");
    /* The next one waits for the fold, counts, and loses to who is quicker. */
    turns = 0;
    number("{\"op\":\"begin\",\"source\":\"s\",\"reroute\":true,\"max_drop\":100}", "ok");
    put_many("new");
    number("{\"op\":\"hold\",\"key\":\"u2@example.org\",\"owner\":\"o\",\"deadline_ms\":5000}",
        "epoch");
    json_t *reply = ask("{\"op\":\"commit\"}");
    char *conflicts = json_dumps(json_object_get(reply, "conflicts"), JSON_SORT_KEYS);
    assert_string_equal(conflicts,
        "[{\"asked\": \"new\", \"kept\": \"meanwhile\", \"key\": \"u1@example.org\", "
        "\"route\": \"new\", \"row\": 1}, {\"asked\": \"new\", \"kept\": \"meanwhile\", "
        "\"key\": \"u2@example.org\", \"route\": \"old\", \"row\": 2}]");
    assert_int_equal(json_integer_value(json_object_get(reply, "changed")), MANY - 2);
    json_decref(reply);
    free(conflicts);
    assert_true(turns > MANY / PIECE);
    assert_string_equal(route_of("u0@example.org"), "new");
    assert_string_equal(route_of("u1@example.org"), "new");
    assert_string_equal(route_of("u2@example.org"), "old");
    expect_member("u2@example.org", "state", "held");
    number("{\"op\":\"release\",\"key\":\"u2@example.org\"}", "epoch");
    assert_string_equal(route_of("u2@example.org"), "old");
    while (store_is_folding(control.store))
        fold_piece();
    assert_string_equal(route_of("u2@example.org"), "old");
    assert_string_equal(route_of("u49@example.org"), "new");
}

/* The reply of a large commit is recorded with the switch. */
static void test_pieces_asked_for_again(void **state)
{
    (void)state;
    control.import_piece = PIECE;
    between_turns = fold_piece;
    number("{\"op\":\"begin\",\"source\":\"s\",\"replace\":true}", "ok");
    put_many("old");
    for (int i = 0; i < 2; i++)
        assert_int_equal(number("{\"op\":\"commit\",\"id\":\"i1\"}", "added"), MANY);
    /* Nothing of a dry run remains. */
    number("{\"op\":\"begin\",\"source\":\"s\",\"replace\":true,\"dry_run\":true,\"max_drop\":100}",
        "ok");
    number(PUT(ROW("u0@example.org", "old")), "rows");
    assert_int_equal(number("{\"op\":\"commit\"}", "retiring"), MANY - 1);
    expect_member("u1@example.org", "state", "active");
    number("{\"op\":\"begin\",\"source\":\"s\",\"replace\":true,\"max_drop\":100}", "ok");
    number(PUT(ROW("u0@example.org", "old")), "rows");
    assert_int_equal(number("{\"op\":\"commit\"}", "retiring"), MANY - 1);
    expect_member("u1@example.org", "state", "retiring");
    expect_member("u0@example.org", "state", "active");
    assert_int_equal(store_live_count(control.store), MANY);
}

/* Rows that leave the configuration under an import. */
static void test_another_configuration(void **state)
{
    (void)state;
    number(BEGIN, "ok");
    control.conf_serial++;
    expect_error(PUT(ROW("a@example.org", "old")), EX_TEMPFAIL, "begin it again");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_import_of_chains, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_import, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_import_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_import_refused_together, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_import_of_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nightly, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_leavers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_guard, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_servers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pieces, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pieces_asked_for_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_another_configuration, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_sources, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_import_replace_with_many_domains, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
