/* SPDX-License-Identifier: ISC */
#include "base/core/buf.h"
#include "base/core/parse.h"
#include "maps/lookup/socketmap.h"
#include "tests/unit/site.h"

/* --- Requests -------------------------------------------------------------------- */

static const struct {
    const char *name, *in;
    enum parse want;
    const char *map, *key;
    size_t left; /* bytes behind the request */
} requests[] = {
    {"plain", "25:transport ann@example.org,", PARSE_DONE, "transport", "ann@example.org", 0},
    {"another follows", "3:a b,3:c d,", PARSE_DONE, "a", "b", 6},
    {"empty", "0:,", PARSE_DONE, "", "", 0},
    {"no blank", "3:abc,", PARSE_DONE, "", "abc", 0},
    {"empty key", "2:a ,", PARSE_DONE, "a", "", 0},
    {"empty map", "2: a,", PARSE_DONE, "", "a", 0},
    {"blank in the key", "5:a b c,", PARSE_DONE, "a", "b c", 0},
    {"colon and comma in the key", "5:a :,b,", PARSE_DONE, "a", ":,b", 0},
    {"nothing", "", PARSE_MORE, NULL, NULL, 0},
    {"length only", "12", PARSE_MORE, NULL, NULL, 0},
    {"no content yet", "3:", PARSE_MORE, NULL, NULL, 0},
    {"no comma yet", "3:a b", PARSE_MORE, NULL, NULL, 0},
    {"no length", ":a b,", PARSE_BAD, NULL, NULL, 0},
    {"not a digit", "x", PARSE_BAD, NULL, NULL, 0},
    {"negative", "-1:", PARSE_BAD, NULL, NULL, 0},
    {"sign", "+3:a b,", PARSE_BAD, NULL, NULL, 0},
    {"leading zero", "03:a b,", PARSE_BAD, NULL, NULL, 0},
    {"two zeros", "00", PARSE_BAD, NULL, NULL, 0},
    {"blank in the length", "3 :a b,", PARSE_BAD, NULL, NULL, 0},
    {"no comma", "3:a b;", PARSE_BAD, NULL, NULL, 0},
    {"too short a length", "2:a b,", PARSE_BAD, NULL, NULL, 0},
    {"over the limit", "8193:", PARSE_BAD, NULL, NULL, 0},
    {"five digits", "10000", PARSE_BAD, NULL, NULL, 0},
    {"a line of text", "GET / HTTP/1.1\r\n", PARSE_BAD, NULL, NULL, 0},
};

static void test_requests(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(requests); i++) {
        struct slice in = slice_str(requests[i].in);
        struct socketmap_request r = {SLICE_NONE, SLICE_NONE};
        size_t used = 0;

        assert_row(requests[i].name, socketmap_parse(in, &r, &used) == requests[i].want);
        if (requests[i].want != PARSE_DONE)
            continue;
        assert_row(requests[i].name, slice_eq(r.map, slice_str(requests[i].map)));
        assert_row(requests[i].name, slice_eq(r.key, slice_str(requests[i].key)));
        assert_row(requests[i].name, in.n - used == requests[i].left);
        /* Every shorter piece of it is a request that has not ended. */
        for (size_t n = 0; n < used; n++)
            assert_row(requests[i].name,
                socketmap_parse(slice_sub(in, 0, n), &r, &(size_t){0}) == PARSE_MORE);
    }
}

/* Bad input is known as bad at the first byte that makes it so, and stays bad. */
static void test_bad_early(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(requests); i++) {
        bool is_bad = false;

        if (requests[i].want != PARSE_BAD)
            continue;
        for (size_t n = 0; n <= strlen(requests[i].in); n++) {
            struct socketmap_request r;
            size_t used;
            enum parse got = socketmap_parse(slice_make(requests[i].in, n), &r, &used);

            assert_row(requests[i].name, got != PARSE_DONE && !(is_bad && got == PARSE_MORE));
            is_bad = got == PARSE_BAD;
        }
        assert_row(requests[i].name, is_bad);
    }
}

static void test_request_limit(void **state)
{
    (void)state;
    for (size_t n = SOCKETMAP_REQUEST_MAX - 1; n <= SOCKETMAP_REQUEST_MAX + 1; n++) {
        struct socketmap_request r;
        struct buf in;
        size_t used;

        buf_init(&in, SOCKETMAP_WIRE_MAX + 1);
        assert_int_equal(buf_addf(&in, "%zu:", n), 0);
        while (in.n < n + SOCKETMAP_LENGTH_DIGITS + 1)
            assert_int_equal(buf_add_byte(&in, 'x'), 0);
        assert_int_equal(buf_add_byte(&in, ','), 0);
        assert_int_equal(socketmap_parse(buf_slice(&in), &r, &used),
            n <= SOCKETMAP_REQUEST_MAX ? PARSE_DONE : PARSE_BAD);
        assert_true(in.n <= SOCKETMAP_WIRE_MAX || n > SOCKETMAP_REQUEST_MAX);
        buf_fini(&in);
    }
}

/* --- Answers ----------------------------------------------------------------------- */

static const char conf_text[] = "domain \"whole.test\" { }\ndomain \"catch.test\" { }\n"
                                "domain \"frozen.test\" { }\n"
                                "domain \"example.org\" { model = central default = reject }\n"
                                "domain \"all.test\" { default = \"new\" }\n"
                                "server \"old\" { smtp = \"smtp://10.1.1.5\" tls = none }\n"
                                "server \"new\" { smtp = \"smtp://127.0.0.1:2526\" tls = none }\n"
                                "server \"box\" { smtp = \"lmtp://127.0.0.1:2424\" tls = none }\n"
                                "server \"six\" { smtp = \"smtp://[::1]:25\" tls = none }\n"
                                "server \"lsix\" { smtp = \"lmtp://[::1]:24\" tls = none }\n"
                                "server \"ssl\" { smtp = \"smtps://mx.example.net\" }\n";

static const struct site_row rows[] = {
    {.key = "ann@example.org", .route = "old", .epoch = 1},
    {.key = "bob@example.org", .route = "new", .epoch = 2},
    {.key = "box@example.org", .route = "box", .epoch = 3},
    {.key = "six@example.org", .route = "six", .epoch = 4},
    {.key = "lsix@example.org", .route = "lsix", .epoch = 4},
    {.key = "ssl@example.org", .route = "ssl", .epoch = 5},
    {.key = "held@example.org", .route = "old", .state = ROUTE_STATE_HELD, .epoch = 6},
    {.key = "heldas@example.org",
        .route = "old",
        .deliver_as = "x@old.test",
        .state = ROUTE_STATE_HELD,
        .epoch = 6},
    {.key = "as@example.org", .route = "new", .deliver_as = "as@new.example.org", .epoch = 7},
    {.key = "gone@example.org", .epoch = 8},
    {.key = "\"o dd\"@example.org", .route = "old", .epoch = 9},
    {.key = "away@example.org", .route = "nowhere", .epoch = 10},
    {.key = "no@all.test", .epoch = 11},
    {.key = "one@example.org", .to = "ann@example.org", .epoch = 12},
    {.key = "oneas@example.org", .to = "as@example.org", .epoch = 12},
    {.key = "team@example.org", .to = "ann@example.org\nas@example.org\nc@out.test", .epoch = 13},
    {.key = "waits@example.org", .to = "ann@example.org\nheld@example.org", .epoch = 14},
    {.key = "out@example.org", .to = "c@out.test", .epoch = 15},
    {.key = "dead@example.org", .to = "nobody@example.org", .epoch = 16},
    {.key = "few@example.org", .to = "ann@example.org", .senders = "bob@example.org", .epoch = 17},
    {0},
};

#define LIST_OF_MAPS "coexist-lookup has transport, recipients, aliases and mailhost"

static const struct {
    const char *map, *key, *want;
} answers[] = {
    {"transport", "ann@example.org", "OK smtp:[10.1.1.5]:25"},
    {"transport", "ANN@EXAMPLE.ORG", "OK smtp:[10.1.1.5]:25"},
    {"transport", "ann+news@example.org", "OK smtp:[10.1.1.5]:25"},
    {"transport", "bob@example.org", "OK smtp:[127.0.0.1]:2526"},
    {"transport", "box@example.org", "OK lmtp:inet:127.0.0.1:2424"},
    {"transport", "six@example.org", "OK smtp:[::1]:25"},
    {"transport", "lsix@example.org", "OK lmtp:inet:[::1]:24"},
    {"transport", "ssl@example.org", "OK smtps:[mx.example.net]:465"},
    {"transport", "held@example.org", "OK retry:4.2.1 Mailbox is being moved, try again later"},
    {"transport", "held+x@example.org", "OK retry:4.2.1 Mailbox is being moved, try again later"},
    {"transport", "nobody@example.org", "NOTFOUND "},
    {"transport", "gone@example.org", "NOTFOUND "},
    {"transport", "away@example.org",
        "TEMP 4.3.5 Recipient is routed to a server not configured here"},
    {"transport", "someone@elsewhere.test", "NOTFOUND "},
    {"transport", "whoever@all.test", "OK smtp:[127.0.0.1]:2526"},
    /* The keys that Postfix tries behind a NOTFOUND must not overrule it. */
    {"transport", "@example.org", "NOTFOUND "},
    {"transport", "@all.test", "NOTFOUND "},
    {"transport", "all.test", "NOTFOUND "},
    {"transport", ".test", "NOTFOUND "},
    {"transport", "*", "NOTFOUND "},
    {"transport", "", "NOTFOUND "},
    {"transport", "no@all.test", "NOTFOUND "},
    /* Postfix asks with and without the quotes. */
    {"transport", "\"o dd\"@example.org", "OK smtp:[10.1.1.5]:25"},
    {"transport", "o dd@example.org", "OK smtp:[10.1.1.5]:25"},
    {"transport", "a\"b\\c d@example.org", "NOTFOUND "},
    {"transport", "postmaster@example.org", "OK smtp:[10.1.1.5]:25"},
    {"transport", "postmaster", "NOTFOUND "},
    {"recipients", "ann@example.org", "OK old"},
    {"recipients", "ann+x@example.org", "OK old"},
    {"recipients", "held@example.org", "OK old"},
    {"recipients", "nobody@example.org", "NOTFOUND "},
    {"recipients", "gone@example.org", "NOTFOUND "},
    {"recipients", "abuse@example.org", "OK old"},
    {"recipients", "whoever@all.test", "OK new"},
    {"recipients", "@all.test", "NOTFOUND "},
    {"recipients", "someone@elsewhere.test", "NOTFOUND "},
    {"aliases", "ann@example.org", "NOTFOUND "},
    {"aliases", "Ann@Example.Org", "NOTFOUND "},
    {"aliases", "as@example.org", "OK as@new.example.org"},
    {"aliases", "as+x@example.org", "OK as+x@new.example.org"},
    {"aliases", "held@example.org", "NOTFOUND "},
    {"aliases", "heldas@example.org", "TEMP 4.2.1 Mailbox is being moved, try again later"},
    {"aliases", "nobody@example.org", "NOTFOUND "},
    {"aliases", "one@example.org", "OK ann@example.org"},
    {"aliases", "one+x@example.org", "OK ann@example.org"},
    {"aliases", "oneas@example.org", "OK as@new.example.org"},
    {"aliases", "team@example.org", "OK ann@example.org,as@new.example.org,c@out.test"},
    {"aliases", "waits@example.org", "TEMP 4.2.1 Mailbox is being moved, try again later"},
    {"aliases", "out@example.org", "OK c@out.test"},
    {"aliases", "dead@example.org", "NOTFOUND "},
    {"aliases", "few@example.org", "OK ann@example.org"},
    {"recipients", "one@example.org", "OK old"},
    {"recipients", "team@example.org", "OK old"},
    {"recipients", "out@example.org", "OK outside"},
    {"recipients", "dead@example.org", "NOTFOUND "},
    {"transport", "one@example.org",
        "OK retry:4.3.5 An alias that nobody resolved: virtual_alias_maps has to"},
    {"transport", "out@example.org",
        "OK retry:4.3.5 An alias that nobody resolved: virtual_alias_maps has to"},
    {"mailhost", "one@example.org", "OK [10.1.1.5]"},
    {"ldapmra", "one@example.org", "OK ann@example.org"},
    {"ldapmra", "team@example.org", "TEMP 4.3.5 ldap_routing cannot deliver to several or outside"},
    {"ldapmh", "team@example.org", "TEMP 4.3.5 ldap_routing cannot deliver to several or outside"},
    {"mailhost", "ann@example.org", "OK [10.1.1.5]"},
    {"ldapmh", "ann@example.org", "OK [10.1.1.5]"},
    {"mailhost", "six@example.org", "OK [IPv6:::1]"},
    {"mailhost", "bob@example.org", "OK coexist-new:[127.0.0.1]"},
    {"mailhost", "box@example.org", "OK coexist-box:[127.0.0.1]"},
    {"mailhost", "held@example.org", "TEMP 4.2.1 Mailbox is being moved, try again later"},
    {"mailhost", "nobody@example.org", "NOTFOUND "},
    {"mailhost", "@example.org", "NOTFOUND "},
    {"nomap", "ann@example.org", "TEMP 4.3.5 no such map: " LIST_OF_MAPS},
    {"Transport", "ann@example.org", "TEMP 4.3.5 no such map: " LIST_OF_MAPS},
    {"", "", "TEMP 4.3.5 no such map: " LIST_OF_MAPS},
};

/* All entries with a deliver_as may be the origin of any address. */
static void find_origins(void *arg, struct slice key, socketmap_on_origin *on_origin, void *to)
{
    const struct site_map *map = arg;

    (void)key;
    for (const struct site_row *row = map->rows; row->key != NULL; row++)
        if (!on_origin(to, slice_str(row->key)))
            return;
}

static struct socketmap_site make_site(const struct conf *conf, struct site_map *map)
{
    static struct arena *mem;

    arena_free(&mem);
    mem = arena_new(SOCKETMAP_MEM_MAX);
    return (struct socketmap_site){.conf = conf,
        .mem = mem,
        .view = site_view(map),
        .origins = {.find = map->is_unknown ? NULL : find_origins, .arg = map}};
}

/* The text of a reply, which must be exactly one netstring. */
static struct slice content(struct slice wire)
{
    ptrdiff_t colon = slice_find(wire, ':');
    char length[16];

    assert_true(colon > 0 && wire.p[wire.n - 1] == ',');
    assert_int_equal(fmt_into(length, sizeof(length), "%zu", wire.n - (size_t)colon - 2), 0);
    assert_slice_equal(slice_sub(wire, 0, (size_t)colon), length);
    return slice_sub(wire, (size_t)colon + 1, wire.n - (size_t)colon - 2);
}

static void test_answers(void **state)
{
    struct conf *conf = site_conf(conf_text);
    struct site_map map = {.rows = rows};
    struct socketmap_site site = make_site(conf, &map);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(answers); i++) {
        struct socketmap_request r = {slice_str(answers[i].map), slice_str(answers[i].key)};
        enum socketmap_result result;
        struct buf out;

        buf_init(&out, SOCKETMAP_REPLY_MAX);
        assert_int_equal(socketmap_answer(&site, &r, 1000, &out, &result), 0);
        if (!slice_eq(content(buf_slice(&out)), slice_str(answers[i].want)))
            fail_msg("%s %s: got %s", answers[i].map, answers[i].key, buf_cstr(&out));
        assert_true(
            slice_starts(slice_str(answers[i].want), slice_str(socketmap_result_name(result))));
        buf_fini(&out);
    }
    conf_free(&conf);
}

/* What `aliases` gives, `transport` knows, wherever it is; it is rewritten no further. */
static const struct site_row tenant_rows[] = {
    {.key = "ann@example.org", .route = "new", .deliver_as = "Ann@tenant.test", .epoch = 1},
    {.key = "ann+box@example.org", .route = "old", .epoch = 1},
    {.key = "bob@example.org", .route = "old", .deliver_as = "@tenant.test", .epoch = 2},
    {.key = "held@example.org",
        .route = "old",
        .deliver_as = "x@tenant.test",
        .state = ROUTE_STATE_HELD,
        .epoch = 3},
    {.key = "held2@example.org", .route = "new", .deliver_as = "x@tenant.test", .epoch = 9},
    {.key = "own@example.org", .route = "old", .epoch = 4},
    {.key = "cat@example.org", .route = "new", .deliver_as = "own@example.org", .epoch = 5},
    {.key = "dan@example.org", .route = "old", .deliver_as = "d123@example.org", .epoch = 6},
    {.key = "eve@example.org", .route = "six", .deliver_as = "e123@all.test", .epoch = 6},
    {.key = "two1@example.org", .route = "old", .deliver_as = "two@tenant.test", .epoch = 7},
    {.key = "two2@example.org", .route = "new", .deliver_as = "two@tenant.test", .epoch = 8},
    {.key = "lost@example.org", .route = "mars", .deliver_as = "lost@tenant.test", .epoch = 8},
    {.key = "quo@example.org", .route = "old", .deliver_as = "\"q o\"@tenant.test", .epoch = 8},
    {.key = "per@example.org", .route = "old", .deliver_as = "p%er@tenant.test", .epoch = 8},
    {.key = "pm@example.org", .route = "new", .deliver_as = "postmaster@example.org", .epoch = 8},
    {.key = "no@example.org", .deliver_as = "no@tenant.test", .epoch = 8},
    {.key = "@whole.test", .route = "six", .deliver_as = "@hosted.test", .epoch = 8},
    {.key = "zoe@whole.test", .route = "old", .epoch = 8},
    {.key = "@catch.test", .route = "six", .deliver_as = "all@hosted2.test", .epoch = 8},
    {.key = "all@catch.test", .route = "old", .epoch = 8},
    {.key = "@frozen.test",
        .route = "new",
        .deliver_as = "@hosted3.test",
        .state = ROUTE_STATE_HELD,
        .epoch = 8},
    {.key = "fay@frozen.test", .route = "old", .deliver_as = "fay@tenant.test", .epoch = 8},
    {0},
};

#define NEW_HOP "OK smtp:[127.0.0.1]:2526"
#define OLD_HOP "OK smtp:[10.1.1.5]:25"
#define SIX_HOP "OK smtp:[::1]:25"
#define RETRY "OK retry:4.2.1 Mailbox is being moved, try again later"
#define NO "NOTFOUND "

static const struct {
    const char *key, *aliases, *transport;
} rewritten[] = {
    {"ann@example.org", "OK Ann@tenant.test", NEW_HOP},
    {"Ann@Tenant.test", NO, NEW_HOP},
    {"ann+x@example.org", "OK Ann+x@tenant.test", NEW_HOP},
    {"ann+x@tenant.test", NO, NEW_HOP},
    {"\"ann+a b\"@example.org", "OK \"Ann+a b\"@tenant.test", NEW_HOP},
    {"\"ann+a b\"@tenant.test", NO, NEW_HOP},
    {"ann+a b@tenant.test", NO, NEW_HOP},
    /* By an entry of its own ann+box is somewhere else, and under no other address. */
    {"ann+box@tenant.test", NO, NO},
    {"annx@tenant.test", NO, NO},
    {"tenant.test", NO, NO},
    {"@tenant.test", NO, NO},
    {"bob@example.org", "OK bob@tenant.test", OLD_HOP},
    {"bob@tenant.test", NO, OLD_HOP},
    {"bob+x@tenant.test", NO, OLD_HOP},
    {"held@example.org", "TEMP 4.2.1 Mailbox is being moved, try again later", RETRY},
    {"x@tenant.test", NO, RETRY},
    {"x+d@tenant.test", NO, RETRY},
    /* An entry of its own is heard first. */
    {"own@example.org", NO, OLD_HOP},
    {"dan@example.org", "OK d123@example.org", OLD_HOP},
    {"d123@example.org", NO, OLD_HOP},
    {"d123+x@example.org", NO, OLD_HOP},
    {"d124@example.org", NO, NO},
    /* So is an address by which somebody is delivered, before a default. */
    {"e123@all.test", NO, SIX_HOP},
    {"e124@all.test", NO, NEW_HOP},
    {"two@tenant.test", NO, NEW_HOP},
    {"lost@tenant.test", "TEMP 4.3.5 Recipient is routed to a server not configured here",
        "TEMP 4.3.5 Recipient is routed to a server not configured here"},
    {"q o@tenant.test", NO, OLD_HOP},
    {"\"q o\"@tenant.test", NO, OLD_HOP},
    {"\"q o+d\"@tenant.test", NO, OLD_HOP},
    {"p%er@tenant.test", NO, OLD_HOP},
    {"p%er+x@tenant.test", NO, NO},
    {"ann+a%b@tenant.test", NO, NO},
    {"postmaster@example.org", NO, OLD_HOP},
    {"no@tenant.test", NO, NO},
    {"any@whole.test", "OK any@hosted.test", SIX_HOP},
    {"any@hosted.test", NO, SIX_HOP},
    {"any+x@hosted.test", NO, SIX_HOP},
    {"zoe@hosted.test", NO, NO},
    {"any%x@hosted.test", NO, NO},
    {"any@catch.test", "OK all@hosted2.test", SIX_HOP},
    {"all@hosted2.test", NO, SIX_HOP},
    {"any@hosted3.test", NO, RETRY},
    {"fay@tenant.test", NO, RETRY},
    {"x@elsewhere.test", NO, NO},
};

static void test_rewritten(void **state)
{
    struct conf *conf = site_conf(conf_text);
    struct site_map map = {.rows = tenant_rows};
    struct socketmap_site site = make_site(conf, &map);

    (void)state;
    for (size_t i = 0; i < 2 * COUNT_OF(rewritten); i++) {
        struct socketmap_request r = {
            i % 2 ? SLICE_LIT("aliases") : SLICE_LIT("transport"), slice_str(rewritten[i / 2].key)};
        const char *want = i % 2 ? rewritten[i / 2].aliases : rewritten[i / 2].transport;
        struct buf out;

        buf_init(&out, SOCKETMAP_REPLY_MAX);
        assert_int_equal(socketmap_answer(&site, &r, 1000, &out, NULL), 0);
        if (!slice_eq(content(buf_slice(&out)), slice_str(want)))
            fail_msg("%.*s %s: got %s", SLICE_ARG(r.map), rewritten[i / 2].key, buf_cstr(&out));
        buf_fini(&out);
    }
    /* When the map is lost, what was known before is enough to say that we do not know. */
    site.origins.find = find_origins;
    map.is_unknown = true;
    struct socketmap_request r = {SLICE_LIT("transport"), SLICE_LIT("ann@tenant.test")};
    enum socketmap_result result;
    struct buf out;
    buf_init(&out, SOCKETMAP_REPLY_MAX);
    assert_int_equal(socketmap_answer(&site, &r, 1000, &out, &result), 0);
    assert_int_equal(result, SOCKETMAP_TEMP);
    buf_fini(&out);
    conf_free(&conf);
}

/* Without a map nothing of ours is "not found", and what is not ours is no business of the map. */
static void test_unknown_state(void **state)
{
    static const char *const maps[] = {"transport", "recipients", "aliases", "mailhost"};
    struct conf *conf = site_conf(conf_text);
    struct site_map map = {.rows = rows, .is_unknown = true};
    struct socketmap_site site = make_site(conf, &map);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(maps); i++) {
        static const struct {
            const char *key;
            enum socketmap_result want;
        } keys[] = {
            {"ann@example.org", SOCKETMAP_TEMP},
            {"nobody@example.org", SOCKETMAP_TEMP},
            {"postmaster@example.org", SOCKETMAP_TEMP},
            {"whoever@all.test", SOCKETMAP_TEMP},
            {"someone@elsewhere.test", SOCKETMAP_NOTFOUND},
        };

        for (size_t k = 0; k < COUNT_OF(keys); k++) {
            struct socketmap_request r = {slice_str(maps[i]), slice_str(keys[k].key)};
            enum socketmap_result result;
            struct buf out;

            buf_init(&out, SOCKETMAP_REPLY_MAX);
            assert_int_equal(socketmap_answer(&site, &r, 1000, &out, &result), 0);
            assert_row(keys[k].key, result == keys[k].want);
            buf_fini(&out);
        }
    }
    conf_free(&conf);
}

/* A held domain holds users that it does not have: nobody knows whether it will have them. */
static void test_held_domain(void **state)
{
    static const struct site_row held[] = {
        {.key = "@example.org", .route = "old", .state = ROUTE_STATE_HELD, .epoch = 3},
        {.key = "ann@example.org", .route = "new", .epoch = 1},
        {0},
    };
    struct conf *conf = site_conf(conf_text);
    struct site_map map = {.rows = held};
    struct socketmap_site site = make_site(conf, &map);
    struct socketmap_request known = {SLICE_LIT("recipients"), SLICE_LIT("ann@example.org")};
    struct socketmap_request other = {SLICE_LIT("recipients"), SLICE_LIT("who@example.org")};
    enum socketmap_result result;
    struct buf out;

    (void)state;
    buf_init(&out, (size_t)2 * SOCKETMAP_REPLY_MAX);
    assert_int_equal(socketmap_answer(&site, &known, 1000, &out, &result), 0);
    assert_int_equal(result, SOCKETMAP_OK);
    assert_int_equal(socketmap_answer(&site, &other, 1000, &out, &result), 0);
    assert_int_not_equal(result, SOCKETMAP_NOTFOUND);
    buf_fini(&out);
    conf_free(&conf);
}

/* A buffer without room gets nothing, not a part. */
static void test_no_room(void **state)
{
    struct conf *conf = site_conf(conf_text);
    struct site_map map = {.rows = rows};
    struct socketmap_site site = make_site(conf, &map);
    struct socketmap_request r = {SLICE_LIT("recipients"), SLICE_LIT("ann@example.org")};
    struct buf out;

    (void)state;
    buf_init(&out, strlen("6:OK old,") - 1);
    assert_int_equal(socketmap_answer(&site, &r, 1000, &out, NULL), -1);
    assert_int_equal(out.n, 0);
    buf_fini(&out);
    conf_free(&conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_bad_early),
        cmocka_unit_test(test_request_limit),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_rewritten),
        cmocka_unit_test(test_unknown_state),
        cmocka_unit_test(test_held_domain),
        cmocka_unit_test(test_no_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
