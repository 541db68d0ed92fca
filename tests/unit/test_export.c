/* SPDX-License-Identifier: ISC */
#include "base/core/mem.h"
#include "maps/format/export.h"
#include "tests/unit/unit.h"

#define TEXT_MAX 8192

static char names[][16] = {"old", "new", "local", "secure", "none", "example.org", "example.net"};
static char hosts[][32] = {"10.1.1.5", "mx.example.net", "", "2001:db8::1"};
static struct conf_server servers[] = {
    {.name = names[0], .smtp = {NET_SCHEME_SMTP, hosts[0], 25}},
    {.name = names[1], .smtp = {NET_SCHEME_LMTP, hosts[1], 24}},
    {.name = names[2], .smtp = {NET_SCHEME_LMTP, hosts[3], 2424}},
    {.name = names[3], .smtp = {NET_SCHEME_SMTPS, hosts[3], 465}},
    {.name = names[4]},
};
static struct conf_domain domains[] = {
    {.name = names[5], .default_server = CONF_SERVER_NONE, .fold_local_part = true},
    {.name = names[6], .default_server = 1, .fold_local_part = true},
};
static const struct conf CONF = {
    .servers = servers, .n_servers = 5, .domains = domains, .n_domains = 2};

static const struct {
    const char *key;
    struct route_entry entry;
    const char *csv, *transport;
} ROWS[] = {
    {"a@example.org", {.route = SLICE_LIT("old")}, "a@example.org,old,mailbox,,",
        "a@example.org\tsmtp:[10.1.1.5]:25"},
    {"b@example.org", {.route = SLICE_LIT("new"), .note = SLICE_LIT("x, y")},
        "b@example.org,new,mailbox,,\"x, y\"", "b@example.org\tlmtp:inet:mx.example.net:24"},
    {"c@example.org", {.route = SLICE_LIT("local"), .deliver_as = SLICE_LIT("c@x.org")},
        "c@example.org,local,mailbox,c@x.org,", "c@example.org\tlmtp:inet:[2001:db8::1]:2424"},
    {"d@example.org", {.route = SLICE_LIT("secure")}, "d@example.org,secure,mailbox,,",
        "d@example.org\tsmtps:[2001:db8::1]:465"},
    {"e@example.org", {.kind = ROUTE_KIND_REJECT}, "e@example.org,,reject,,",
        "e@example.org\terror:5.1.1 User unknown"},
    {"f@example.org", {.route = SLICE_LIT("old"), .state = ROUTE_STATE_HELD},
        "f@example.org,old,mailbox,,", "f@example.org\tretry:4.2.1 This mailbox is being moved"},
    {"g@example.org", {.route = SLICE_LIT("mars")}, "g@example.org,mars,mailbox,,",
        "g@example.org\tretry:4.3.5 The server of this recipient is not configured"},
    {"h@example.org", {.route = SLICE_LIT("none")}, "h@example.org,none,mailbox,,",
        "h@example.org\tretry:4.3.5 The server of this recipient takes no mail"},
    {"\"i i\"@example.org", {.route = SLICE_LIT("old")},
        "\"\"\"i i\"\"@example.org\",old,mailbox,,", NULL},
    {"#j@example.org", {.route = SLICE_LIT("old")}, "#j@example.org,old,mailbox,,", NULL},
    {"k#k@example.org", {.route = SLICE_LIT("old")}, "k#k@example.org,old,mailbox,,",
        "k#k@example.org\tsmtp:[10.1.1.5]:25"},
    {"@example.org", {.route = SLICE_LIT("new")}, "@example.org,new,mailbox,,",
        "example.org\tlmtp:inet:mx.example.net:24"},
    {"@example.net", {.state = ROUTE_STATE_HELD}, "@example.net,,mailbox,,",
        "example.net\tretry:4.2.1 This mailbox is being moved"},
};

/* The cells of fields that few entries have. */
#define NO_MORE ",,,,,,,,"

static void check_one(enum export_format format, size_t i)
{
    struct export x = {.conf = &CONF, .format = format};
    const char *want = format == EXPORT_CSV ? ROWS[i].csv : ROWS[i].transport;
    struct buf out;
    buf_init(&out, TEXT_MAX);
    assert_int_equal(export_begin(&x, &out), 0);
    size_t head = out.n;
    assert_int_equal(export_entry(&x, slice_str(ROWS[i].key), &ROWS[i].entry, &out), 0);
    struct slice got = slice_from(buf_slice(&out), head), line;
    if (want) {
        char all[TEXT_MAX];
        assert_int_equal(
            fmt_into(all, sizeof all, "%s%s", want, format == EXPORT_CSV ? NO_MORE : ""), 0);
        assert_true(slice_split(&got, '\n', &line));
        assert_slice_equal(line, all);
    }
    assert_int_equal(got.n, 0);
    assert_int_equal(x.left_out, want ? 0 : 1);
    assert_int_equal(export_end(&x, &out), 0);
    export_fini(&x);
    buf_fini(&out);
}

static void test_entries(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        check_one(EXPORT_CSV, i);
        check_one(EXPORT_POSTFIX_TRANSPORT, i);
    }
}

static void test_csv_more(void **state)
{
    (void)state;
    struct export x = {.conf = &CONF, .format = EXPORT_CSV};
    const struct route_entry alias = {.kind = ROUTE_KIND_ALIAS,
        .targets = SLICE_LIT("a@example.org\nb@example.org"),
        .owner = SLICE_LIT("o@example.org"),
        .senders = SLICE_LIT("x@example.org\n@example.net"),
        .source = SLICE_LIT("hr")};
    const struct route_entry reject = {.kind = ROUTE_KIND_REJECT,
        .reply_code = 450,
        .reply_text = SLICE_LIT("4.2.1 Later, please"),
        .also = SLICE_LIT("new"),
        .until_s = 1793611800};
    struct buf out;
    buf_init(&out, TEXT_MAX);
    assert_int_equal(export_begin(&x, &out), 0);
    assert_int_equal(export_entry(&x, SLICE_LIT("m@example.org"), &alias, &out), 0);
    assert_int_equal(export_entry(&x, SLICE_LIT("r@example.org"), &reject, &out), 0);
    assert_string_equal(buf_cstr(&out),
        "key,route,kind,deliver_as,note,to,owner,senders,code,text,also,until,source\n"
        "m@example.org,,alias,,,\"a@example.org,b@example.org\",o@example.org,"
        "\"x@example.org,@example.net\",,,,,hr\n"
        "r@example.org,,reject,,,,,,450,\"4.2.1 Later, please\",new,2026-11-02T09:30:00Z,\n");
    export_fini(&x);
    buf_fini(&out);
}

/* Domains without an entry of their own get the default of the configuration. */
static void test_defaults(void **state)
{
    (void)state;
    struct export x = {.conf = &CONF, .format = EXPORT_POSTFIX_TRANSPORT};
    const struct route_entry at = {.kind = ROUTE_KIND_MAILBOX};
    struct buf out;
    buf_init(&out, TEXT_MAX);
    assert_int_equal(export_begin(&x, &out), 0);
    buf_clear(&out);
    /* An entry without a route means the default too. */
    assert_int_equal(export_entry(&x, SLICE_LIT("@example.net"), &at, &out), 0);
    assert_int_equal(export_end(&x, &out), 0);
    assert_string_equal(buf_cstr(&out), "example.net\tlmtp:inet:mx.example.net:24\n"
                                        "postmaster@example.org\tsmtp:[10.1.1.5]:25\n"
                                        "abuse@example.org\tsmtp:[10.1.1.5]:25\n"
                                        "example.org\terror:5.1.1 User unknown\n"
                                        "postmaster@example.net\tsmtp:[10.1.1.5]:25\n"
                                        "abuse@example.net\tsmtp:[10.1.1.5]:25\n");
    export_fini(&x);
    buf_fini(&out);
}

/* postmaster and abuse have a line whatever the map says of them: the domain's would refuse them.
 */
static void test_roles(void **state)
{
    static const struct {
        const char *name;
        struct route_entry entry;
        const char *want;
    } rows[] = {
        {"elsewhere", {.route = SLICE_LIT("new")},
            "abuse@example.org\tlmtp:inet:mx.example.net:24\n"},
        {"held", {.route = SLICE_LIT("new"), .state = ROUTE_STATE_HELD},
            "abuse@example.org\tretry:4.2.1 This mailbox is being moved\n"},
        {"refused", {.kind = ROUTE_KIND_REJECT}, "abuse@example.org\tsmtp:[10.1.1.5]:25\n"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct export x = {.conf = &CONF, .format = EXPORT_POSTFIX_TRANSPORT};
        struct buf out;
        buf_init(&out, TEXT_MAX);
        assert_int_equal(export_begin(&x, &out), 0);
        assert_int_equal(export_entry(&x, SLICE_LIT("abuse@example.org"), &rows[i].entry, &out), 0);
        assert_int_equal(export_end(&x, &out), 0);
        const char *first = strstr(buf_cstr(&out), "abuse@example.org");
        assert_row(rows[i].name, strncmp(first, rows[i].want, strlen(rows[i].want)) == 0);
        assert_null(strstr(first + 1, "abuse@example.org"));
        export_fini(&x);
        buf_fini(&out);
    }
}

/* While a domain is held, all of it is, whatever its entries say. */
static void test_held_domain(void **state)
{
    static const struct {
        const char *key;
        struct route_entry entry;
    } rows[] = {
        {"#a@example.org", {.route = SLICE_LIT("old")}},
        {"1@example.org", {.route = SLICE_LIT("old")}},
        {"@example.org", {.state = ROUTE_STATE_HELD}},
        {"abuse@example.org", {.kind = ROUTE_KIND_REJECT}},
        {"ann@example.net", {.route = SLICE_LIT("old")}},
        {"ann@example.org", {.route = SLICE_LIT("old")}},
        {"eve@example.org", {.kind = ROUTE_KIND_REJECT}},
    };
    (void)state;
    for (int fold = 0; fold < 2; fold++) {
        struct conf_domain own[2] = {domains[0], domains[1]};
        struct conf conf = CONF;
        struct export x = {.conf = &conf, .format = EXPORT_POSTFIX_TRANSPORT};
        struct buf out;
        size_t lines = 0;
        own[0].fold_local_part = fold != 0;
        conf.domains = own;
        buf_init(&out, TEXT_MAX);
        assert_int_equal(export_begin(&x, &out), 0);
        size_t head = out.n;
        export_ahead(&x, SLICE_LIT("@example.org"), &rows[2].entry);
        for (size_t i = 0; i < COUNT_OF(rows); i++)
            assert_int_equal(export_entry(&x, slice_str(rows[i].key), &rows[i].entry, &out), 0);
        assert_int_equal(export_end(&x, &out), 0);
        struct slice rest = slice_from(buf_slice(&out), head), line, key;
        while (slice_split(&rest, '\n', &line) && line.n > 0) {
            assert_true(slice_split(&line, '\t', &key));
            if (slice_ends_nocase(key, SLICE_LIT("example.org"))) {
                lines++;
                assert_slice_equal(line, "retry:4.2.1 This mailbox is being moved");
            } else if (slice_starts(key, SLICE_LIT("ann"))) {
                assert_slice_equal(line, "smtp:[10.1.1.5]:25");
            }
        }
        assert_int_equal(lines, 6); /* "#a" has none, postmaster has */
        export_fini(&x);
        buf_fini(&out);
    }
}

/* A user that the table cannot have is not refused, nor given to another server, by the line of the
 * domain. */
static void test_left_out(void **state)
{
#define WAITS "retry:4.3.5 This table lacks addresses of the domain"
    static const struct route_entry old = {.route = SLICE_LIT("old")},
                                    new = {.route = SLICE_LIT("new")},
                                    reject = {.kind = ROUTE_KIND_REJECT},
                                    held = {.route = SLICE_LIT("old"), .state = ROUTE_STATE_HELD},
                                    lost = {.route = SLICE_LIT("mars")},
                                    held_domain = {.state = ROUTE_STATE_HELD};
    static const struct {
        const char *name;
        const struct route_entry *first, *second, *domain;
        const char *org, *net; /* the lines of the domains, whose defaults are reject and new */
    } rows[] = {
        {"nobody", NULL, NULL, NULL, "error:5.1.1 User unknown", "lmtp:inet:mx.example.net:24"},
        {"one", &new, NULL, NULL, WAITS, "lmtp:inet:mx.example.net:24"},
        {"one on another server", &old, NULL, NULL, WAITS, WAITS},
        {"two on the same", &new, &new, NULL, WAITS, "lmtp:inet:mx.example.net:24"},
        {"two on two", &old, &new, NULL, WAITS, WAITS},
        {"refused", &reject, NULL, NULL, "error:5.1.1 User unknown", "lmtp:inet:mx.example.net:24"},
        {"held", &held, NULL, NULL, WAITS, WAITS},
        {"unknown server", &lost, NULL, NULL, WAITS, WAITS},
        {"by entry, the same", &old, NULL, &old, "smtp:[10.1.1.5]:25", "smtp:[10.1.1.5]:25"},
        {"by entry, another", &new, NULL, &old, WAITS, WAITS},
        {"by entry, refused", &old, NULL, &reject, WAITS, WAITS},
        {"by entry, held", &old, NULL, &held_domain, "retry:4.2.1 This mailbox is being moved",
            "retry:4.2.1 This mailbox is being moved"},
    };
    static const char *const domain_names[] = {"example.org", "example.net"};
    (void)state;
    for (size_t i = 0; i < 2 * COUNT_OF(rows); i++) {
        const char *domain = domain_names[i % 2], *want = i % 2 ? rows[i / 2].net : rows[i / 2].org;
        const struct route_entry *entries[] = {
            rows[i / 2].first, rows[i / 2].second, rows[i / 2].domain};
        const char *const locals[] = {"\"a b\"", "#c", ""};
        struct export x = {.conf = &CONF, .format = EXPORT_POSTFIX_TRANSPORT};
        struct buf out;
        char key[64], line[128];
        size_t left_out = 0;
        buf_init(&out, TEXT_MAX);
        assert_int_equal(export_begin(&x, &out), 0);
        for (size_t k = 0; k < 3; k++) {
            if (!entries[k])
                continue;
            left_out += k < 2;
            assert_int_equal(fmt_into(key, sizeof key, "%s@%s", locals[k], domain), 0);
            assert_int_equal(export_entry(&x, slice_str(key), entries[k], &out), 0);
        }
        assert_int_equal(export_end(&x, &out), 0);
        assert_int_equal(fmt_into(line, sizeof line, "\n%s\t%s\n", domain, want), 0);
        if (!strstr(buf_cstr(&out), line))
            fail_msg("row '%s': no%s in\n%s", rows[i / 2].name, line, buf_cstr(&out));
        assert_row(rows[i / 2].name, x.left_out == left_out);
        assert_row(rows[i / 2].name, x.deferred == (strcmp(want, WAITS) == 0));
        export_fini(&x);
        buf_fini(&out);
    }
}

/* Postfix knows no upper and lower case: users who differ in nothing else, in a domain that does,
 * have one line, which refuses none of them and gives none to another's server. */
static void test_letter_case(void **state)
{
#define CASED "retry:4.3.5 This table cannot tell upper and lower case"
    static const struct route_entry old = {.route = SLICE_LIT("old")},
                                    new = {.route = SLICE_LIT("new")},
                                    reject = {.kind = ROUTE_KIND_REJECT},
                                    held = {.route = SLICE_LIT("old"), .state = ROUTE_STATE_HELD};
    static const struct {
        const char *name;
        const struct route_entry *entries[3]; /* of ANN, Ann and ann */
        const char *want;
        size_t left_out;
    } rows[] = {
        {"one", {NULL, &old, NULL}, "smtp:[10.1.1.5]:25", 0},
        {"the same server", {&old, &old, &old}, "smtp:[10.1.1.5]:25", 0},
        {"two servers", {NULL, &new, &old}, CASED, 2},
        {"two of three on one", {&new, &new, &old}, CASED, 3},
        {"one is held", {&held, NULL, &old}, CASED, 2},
        {"the last is refused", {NULL, &old, &reject}, "smtp:[10.1.1.5]:25", 1},
        {"the first is refused", {&reject, &old, &old}, "smtp:[10.1.1.5]:25", 1},
        {"all are refused", {&reject, NULL, &reject}, "error:5.1.1 User unknown", 0},
        {"refused, held", {&reject, &held, NULL}, "retry:4.2.1 This mailbox is being moved", 1},
    };
    static const char *const keys[] = {"ANN@example.org", "Ann@example.org", "ann@example.org"};
    struct conf_domain keep = {.name = names[5], .default_server = CONF_SERVER_NONE};
    const struct conf conf = {.servers = servers, .n_servers = 5, .domains = &keep, .n_domains = 1};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct export x = {.conf = &conf, .format = EXPORT_POSTFIX_TRANSPORT};
        struct buf out;
        char line[128];
        buf_init(&out, TEXT_MAX);
        assert_int_equal(export_begin(&x, &out), 0);
        for (size_t k = 0; k < COUNT_OF(keys); k++)
            if (rows[i].entries[k])
                assert_int_equal(export_entry(&x, slice_str(keys[k]), rows[i].entries[k], &out), 0);
        assert_int_equal(export_end(&x, &out), 0);
        assert_int_equal(fmt_into(line, sizeof line, "\nann@example.org\t%s\n", rows[i].want), 0);
        const char *first = strstr(buf_cstr(&out), line);
        if (!first)
            fail_msg("row '%s': no%s in\n%s", rows[i].name, line, buf_cstr(&out));
        assert_row(rows[i].name, !strstr(first + 1, "\nann@") && !strstr(buf_cstr(&out), "Ann"));
        assert_row(rows[i].name, x.left_out == rows[i].left_out);
        assert_row(rows[i].name, strstr(buf_cstr(&out), "\nexample.org\terror:") != NULL);
        export_fini(&x);
        buf_fini(&out);
    }
}

/* The names of what was left out, as many as there is room for. */
static void test_names(void **state)
{
    static const struct route_entry old = {.route = SLICE_LIT("old")};
    struct export x = {.conf = &CONF, .format = EXPORT_POSTFIX_TRANSPORT};
    struct buf out;
    char key[64];
    (void)state;
    buf_init(&out, TEXT_MAX);
    assert_int_equal(export_begin(&x, &out), 0);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(fmt_into(key, sizeof key, "#%d@example.org", i), 0);
        assert_int_equal(export_entry(&x, slice_str(key), &old, &out), 0);
    }
    assert_int_equal(x.left_out, 1000);
    assert_true(slice_starts(buf_slice(&x.left_out_names), SLICE_LIT("#0@example.org\n#1@")));
    assert_int_equal(buf_slice(&x.left_out_names).p[x.left_out_names.n - 1], '\n');
    assert_true(x.left_out_names.n < 4096);
    export_fini(&x);
    buf_fini(&out);
}

static void test_full(void **state)
{
    (void)state;
    for (size_t max = 0; max < 120; max++) {
        struct export x = {.conf = &CONF, .format = EXPORT_POSTFIX_TRANSPORT};
        struct buf out;
        buf_init(&out, max);
        int rc = export_begin(&x, &out);
        if (rc == 0)
            rc = export_entry(&x, slice_str(ROWS[0].key), &ROWS[0].entry, &out);
        if (rc == 0)
            rc = export_end(&x, &out);
        export_fini(&x);
        assert_int_equal(rc, -1);
        buf_fini(&out);
    }
}

static void test_formats(void **state)
{
    (void)state;
    enum export_format f;
    for (size_t i = 0; i < EXPORT_FORMATS; i++) {
        assert_int_equal(export_format_parse(export_format_name((enum export_format)i), &f), 0);
        assert_int_equal(f, i);
    }
    assert_int_equal(export_format_parse("CSV", &f), -1);
    assert_true(export_is_table(EXPORT_SENDMAIL_ADDRESS));
    assert_false(export_is_table(EXPORT_STALWART));
}

/* The other tables and lists of one small map: every line that they have. */
static void test_whole(void **state)
{
#define HOLD "This mailbox is being moved"
    static char imap_hosts[][16] = {"10.1.1.5", "2001:db8::1"};
    struct conf_server own[] = {
        {.name = names[0],
            .smtp = {NET_SCHEME_SMTP, hosts[0], 25},
            .imap = {NET_SCHEME_IMAP, imap_hosts[0], 143},
            .tls = CONF_TLS_VERIFY},
        {.name = names[1],
            .smtp = {NET_SCHEME_LMTP, hosts[1], 24},
            .imap = {NET_SCHEME_IMAPS, imap_hosts[1], 993},
            .tls = CONF_TLS_ENCRYPT},
        {.name = names[4]},
    };
    const struct conf conf = {.servers = own, .n_servers = 3, .domains = domains, .n_domains = 2};
    static const struct {
        const char *key;
        struct route_entry entry;
    } rows[] = {
        {"@example.net", {.route = SLICE_LIT("new"), .deliver_as = SLICE_LIT("@x.net")}},
        {"as@example.org", {.route = SLICE_LIT("old"), .deliver_as = SLICE_LIT("As@x.org")}},
        {"both@example.org", {.route = SLICE_LIT("new"), .deliver_as = SLICE_LIT("as@x.org")}},
        {"eve@example.net", {.kind = ROUTE_KIND_REJECT}},
        {"eve@example.org", {.kind = ROUTE_KIND_REJECT}},
        {"far@example.org", {.route = SLICE_LIT("old"), .deliver_as = SLICE_LIT("@y.org")}},
        {"held@example.org", {.route = SLICE_LIT("old"),
                                 .state = ROUTE_STATE_HELD,
                                 .deliver_as = SLICE_LIT("held@x.org")}},
        {"none@example.org", {.route = SLICE_LIT("none")}},
        {"old@example.net", {.route = SLICE_LIT("old")}},
        {"to@example.org", {.route = SLICE_LIT("new"), .deliver_as = SLICE_LIT("eve@example.net")}},
        {"~t*:@example.org", {.route = SLICE_LIT("old")}},
    };
    static const struct {
        enum export_format format;
        const char *want;
    } wants[] = {
        {EXPORT_POSTFIX_RECIPIENTS,
            "@example.net\tOK\nas@example.org\tOK\nboth@example.org\tOK\nfar@example.org\tOK\n"
            "held@example.org\tOK\nnone@example.org\tOK\nold@example.net\tOK\nto@example.org\tOK\n"
            "~t*:@example.org\tOK\npostmaster@example.org\tOK\nabuse@example.org\tOK\n"
            "postmaster@example.net\tOK\nabuse@example.net\tOK\n"},
        {EXPORT_POSTFIX_VIRTUAL,
            "@example.net\t@x.net\nas@example.org\tAs@x.org\nboth@example.org\tas@x.org\n"
            "eve@example.net\teve@example.net\nfar@example.org\tfar@y.org\n"
            "held@example.org\theld@x.org\nold@example.net\told@example.net\n"
            "to@example.org\teve@example.net\npostmaster@example.net\tpostmaster@example.net\n"
            "abuse@example.net\tabuse@example.net\n"},
        {EXPORT_SENDMAIL_MAILHOST,
            "@example.net\tcoexist-new:[mx.example.net]\nas@example.org\t[10.1.1.5]\n"
            "both@example.org\tcoexist-new:[mx.example.net]\n"
            "eve@example.net\terror:5.1.1:550 User unknown\n"
            "eve@example.org\terror:5.1.1:550 User unknown\nfar@example.org\t[10.1.1.5]\n"
            "held@example.org\terror:4.2.1:450 " HOLD "\n"
            "none@example.org\terror:4.3.5:450 The server of this recipient takes no mail\n"
            "old@example.net\t[10.1.1.5]\nto@example.org\tcoexist-new:[mx.example.net]\n"
            "~t*:@example.org\t[10.1.1.5]\npostmaster@example.org\t[10.1.1.5]\n"
            "abuse@example.org\t[10.1.1.5]\n@example.org\terror:5.1.1:550 User unknown\n"
            "postmaster@example.net\t[10.1.1.5]\nabuse@example.net\t[10.1.1.5]\n"},
        /* The lines of Postfix for addresses that virtual makes: two servers, a hold, a domain. */
        {EXPORT_POSTFIX_TRANSPORT,
            "example.net\tlmtp:inet:mx.example.net:24\nas@example.org\tsmtp:[10.1.1.5]:25\n"
            "both@example.org\tlmtp:inet:mx.example.net:24\n"
            "eve@example.net\terror:5.1.1 User unknown\neve@example.org\terror:5.1.1 User unknown\n"
            "far@example.org\tsmtp:[10.1.1.5]:25\nheld@example.org\tretry:4.2.1 " HOLD "\n"
            "none@example.org\tretry:4.3.5 The server of this recipient takes no mail\n"
            "old@example.net\tsmtp:[10.1.1.5]:25\nto@example.org\tlmtp:inet:mx.example.net:24\n"
            "~t*:@example.org\tsmtp:[10.1.1.5]:25\npostmaster@example.org\tsmtp:[10.1.1.5]:25\n"
            "abuse@example.org\tsmtp:[10.1.1.5]:25\nexample.org\terror:5.1.1 User unknown\n"
            "postmaster@example.net\tsmtp:[10.1.1.5]:25\nabuse@example.net\tsmtp:[10.1.1.5]:25\n"
            "as@x.org\tretry:4.3.5 Recipients on several servers are delivered by this address\n"
            "far@y.org\tsmtp:[10.1.1.5]:25\nheld@x.org\tretry:4.2.1 " HOLD "\n"
            "x.net\tlmtp:inet:mx.example.net:24\n"},
        {EXPORT_SENDMAIL_ADDRESS,
            "as@example.org\tAs@x.org\nboth@example.org\tas@x.org\neve@example.net\teve@example."
            "net\n"
            "far@example.org\tfar@y.org\nheld@example.org\theld@x.org\n"
            "old@example.net\told@example.net\nto@example.org\teve@example.net\n"
            "postmaster@example.net\tpostmaster@example.net\nabuse@example.net\tabuse@example."
            "net\n"},
        {EXPORT_NGINX_MAP,
            "\"~*@example\\.net$\" \"[2001:db8::1]:993\";\n\"as@example.org\" \"10.1.1.5:143\";\n"
            "\"both@example.org\" \"[2001:db8::1]:993\";\n\"eve@example.net\" \"\";\n"
            "\"eve@example.org\" \"\";\n\"far@example.org\" \"10.1.1.5:143\";\n"
            "\"held@example.org\" \"10.1.1.5:143\";\n\"old@example.net\" \"10.1.1.5:143\";\n"
            "\"to@example.org\" \"[2001:db8::1]:993\";\n\"\\\\~t*:@example.org\" "
            "\"10.1.1.5:143\";\n"},
        {EXPORT_DOVECOT_PASSDB,
            "as@example.org:::::::proxy=y nopassword=y host=10.1.1.5 port=143 starttls=yes\n"
            "both@example.org:::::::proxy=y nopassword=y host=2001:db8::1 port=993 ssl=any-cert\n"
            "far@example.org:::::::proxy=y nopassword=y host=10.1.1.5 port=143 starttls=yes\n"
            "held@example.org:::::::proxy=y nopassword=y host=10.1.1.5 port=143 starttls=yes\n"
            "old@example.net:::::::proxy=y nopassword=y host=10.1.1.5 port=143 starttls=yes\n"
            "to@example.org:::::::proxy=y nopassword=y host=2001:db8::1 port=993 ssl=any-cert\n"},
        {EXPORT_STALWART, "\"*@example.net\" = \"new\"\n\"as@example.org\" = \"old\"\n"
                          "\"both@example.org\" = \"new\"\n\"eve@example.net\" = \"\"\n"
                          "\"eve@example.org\" = \"\"\n\"far@example.org\" = \"old\"\n"
                          "\"held@example.org\" = \"old\"\n\"old@example.net\" = \"old\"\n"
                          "\"to@example.org\" = \"new\"\n"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(wants); i++) {
        struct export x = {.conf = &conf, .format = wants[i].format};
        struct buf out;
        buf_init(&out, TEXT_MAX);
        assert_int_equal(export_begin(&x, &out), 0);
        size_t head = out.n;
        for (size_t k = 0; k < COUNT_OF(rows) && rows[k].key[0] == '@'; k++)
            export_ahead(&x, slice_str(rows[k].key), &rows[k].entry);
        for (size_t k = 0; k < COUNT_OF(rows); k++)
            assert_int_equal(export_entry(&x, slice_str(rows[k].key), &rows[k].entry, &out), 0);
        assert_int_equal(export_end(&x, &out), 0);
        if (!slice_eq(slice_from(buf_slice(&out), head), slice_str(wants[i].want)))
            fail_msg("%s: not\n%s\nbut\n%s", export_format_name(wants[i].format), wants[i].want,
                buf_cstr(&out) + head);
        struct slice rest = buf_slice(&out), key, value;
        size_t n = 0;
        while (export_is_table(x.format) && export_next_line(&rest, &key, &value)) {
            assert_true(key.n > 0 && value.n > 0);
            n++;
        }
        assert_true(n > 0 || !export_is_table(x.format));
        export_fini(&x);
        buf_fini(&out);
    }
}

/* An alias is a line of the table of addresses, for whoever may write to it. */
static void test_aliases(void **state)
{
    static const struct {
        const char *key;
        struct route_entry entry;
    } rows[] = {
        {"all@example.org",
            {.kind = ROUTE_KIND_ALIAS, .targets = SLICE_LIT("a@example.org\nb@x.org")}},
        {"club@example.org", {.kind = ROUTE_KIND_GROUP,
                                 .targets = SLICE_LIT("a@example.org"),
                                 .senders = SLICE_LIT("members")}},
        {"held@example.org", {.kind = ROUTE_KIND_ALIAS,
                                 .targets = SLICE_LIT("a@example.org"),
                                 .state = ROUTE_STATE_HELD}},
        {"one@example.org", {.kind = ROUTE_KIND_FORWARD, .targets = SLICE_LIT("b@x.org")}},
    };
    static const struct {
        enum export_format format;
        const char *want;
        size_t left_out;
    } wants[] = {
        {EXPORT_POSTFIX_VIRTUAL,
            "all@example.org\ta@example.org, b@x.org\none@example.org\tb@x.org\n", 1},
        {EXPORT_SENDMAIL_ADDRESS, "one@example.org\tb@x.org\n", 2},
        {EXPORT_SENDMAIL_MAILHOST,
            "all@example.org\terror:4.3.5:450 This is an alias\n"
            "club@example.org\terror:4.3.5:450 This is an alias\n"
            "held@example.org\terror:4.2.1:450 This mailbox is being moved\n",
            0},
        {EXPORT_POSTFIX_TRANSPORT,
            "all@example.org\tretry:4.3.5 This is an alias\n"
            "club@example.org\tretry:4.3.5 This is an alias\n"
            "held@example.org\tretry:4.2.1 This mailbox is being moved\n"
            "one@example.org\tretry:4.3.5 This is an alias\n",
            0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(wants); i++) {
        struct export x = {.conf = &CONF, .format = wants[i].format};
        struct buf out;
        buf_init(&out, TEXT_MAX);
        assert_int_equal(export_begin(&x, &out), 0);
        size_t head = out.n;
        for (size_t k = 0; k < COUNT_OF(rows); k++)
            assert_int_equal(export_entry(&x, slice_str(rows[k].key), &rows[k].entry, &out), 0);
        assert_slice_equal(slice_from(buf_slice(&out), head), wants[i].want);
        assert_int_equal(x.left_out, wants[i].left_out);
        export_fini(&x);
        buf_fini(&out);
    }
}

/* Other addresses of lists are lines of their own, but where the map has the address itself. */
static void test_lists(void **state)
{
    static char *forms[] = {(char *)"*-request", (char *)"owner-*"};
    static const struct {
        const char *key;
        struct route_entry entry;
    } rows[] = {
        {"a@example.org", {.route = SLICE_LIT("old")}},
        {"abuse@example.org", {.route = SLICE_LIT("new")}},
        {"as@example.org", {.route = SLICE_LIT("old"), .deliver_as = SLICE_LIT("people@x.org")}},
        {"at@example.org", {.route = SLICE_LIT("old"), .deliver_as = SLICE_LIT("@x.org")}},
        {"eve@example.org", {.kind = ROUTE_KIND_REJECT}},
        {"held@example.org", {.route = SLICE_LIT("old"), .state = ROUTE_STATE_HELD}},
        {"here@example.org", {.kind = ROUTE_KIND_GROUP,
                                 .targets = SLICE_LIT("a@example.org"),
                                 .senders = SLICE_LIT("members"),
                                 .owner = SLICE_LIT("boss@example.org")}},
        {"net@example.net", {.route = SLICE_LIT("old")}},
        {"owner-a@example.org", {.route = SLICE_LIT("new")}},
        {"solo@example.org", {.kind = ROUTE_KIND_ALIAS, .targets = SLICE_LIT("a@example.org")}},
    };
    static const struct {
        enum export_format format;
        const char *want;
    } wants[] = {
        {EXPORT_POSTFIX_RECIPIENTS,
            "a@example.org OK\na-request@example.org OK\nabuse@example.org OK\n"
            "as@example.org OK\nas-request@example.org OK\nowner-as@example.org OK\n"
            "at@example.org OK\nat-request@example.org OK\nowner-at@example.org OK\n"
            "held@example.org OK\nheld-request@example.org OK\nowner-held@example.org OK\n"
            "here@example.org OK\nhere-request@example.org OK\nowner-here@example.org OK\n"
            "net@example.net OK\nowner-a@example.org OK\n"
            "owner-a-request@example.org OK\nowner-owner-a@example.org OK\nsolo@example.org OK\n"},
        {EXPORT_POSTFIX_VIRTUAL,
            "as@example.org people@x.org\nas-request@example.org people-request@x.org\n"
            "owner-as@example.org owner-people@x.org\nat@example.org at@x.org\n"
            "at-request@example.org at-request@x.org\nowner-at@example.org owner-at@x.org\n"
            "here-request@example.org boss@example.org\nowner-here@example.org boss@example.org\n"
            "solo@example.org a@example.org\n"},
        {EXPORT_SENDMAIL_MAILHOST,
            "a@example.org [10.1.1.5]\n"
            "a-request@example.org [10.1.1.5]\n"
            "abuse@example.org coexist-new:[mx.example.net]\n"
            "as@example.org [10.1.1.5]\n"
            "as-request@example.org [10.1.1.5]\n"
            "owner-as@example.org [10.1.1.5]\n"
            "at@example.org [10.1.1.5]\n"
            "at-request@example.org [10.1.1.5]\n"
            "owner-at@example.org [10.1.1.5]\n"
            "eve@example.org error:5.1.1:550 User unknown\n"
            "eve-request@example.org error:5.1.1:550 User unknown\n"
            "owner-eve@example.org error:5.1.1:550 User unknown\n"
            "held@example.org error:4.2.1:450 This mailbox is being moved\n"
            "held-request@example.org error:4.2.1:450 This mailbox is being moved\n"
            "owner-held@example.org error:4.2.1:450 This mailbox is being moved\n"
            "here@example.org error:4.3.5:450 This is an alias\n"
            "net@example.net [10.1.1.5]\n"
            "owner-a@example.org coexist-new:[mx.example.net]\n"
            "owner-a-request@example.org coexist-new:[mx.example.net]\n"
            "owner-owner-a@example.org coexist-new:[mx.example.net]\n"},
    };
    struct conf_domain own[2] = {domains[0], domains[1]};
    struct conf conf = CONF;
    (void)state;
    own[0].list_addresses = (struct conf_strings){forms, 2};
    conf.domains = own;
    for (size_t i = 0; i < COUNT_OF(wants); i++) {
        struct export x = {.conf = &conf, .format = wants[i].format};
        struct buf out;
        buf_init(&out, TEXT_MAX);
        assert_int_equal(export_begin(&x, &out), 0);
        size_t head = out.n;
        assert_true(export_wants_all(&x));
        for (size_t k = 0; k < COUNT_OF(rows); k++)
            export_ahead(&x, slice_str(rows[k].key), &rows[k].entry);
        for (size_t k = 0; k < COUNT_OF(rows); k++)
            assert_int_equal(export_entry(&x, slice_str(rows[k].key), &rows[k].entry, &out), 0);
        char *text = slice_dup(slice_from(buf_slice(&out), head));
        for (char *p = text; *p; p++)
            *p = *p == '\t' ? ' ' : *p;
        if (strcmp(text, wants[i].want) != 0)
            fail_msg("%s: not\n%s\nbut\n%s", export_format_name(x.format), wants[i].want, text);
        mem_free_string(&text);
        assert_int_equal(export_end(&x, &out), 0);
        export_fini(&x);
        buf_fini(&out);
    }
    struct export x = {.conf = &conf, .format = EXPORT_CSV};
    assert_false(export_wants_all(&x));
    x = (struct export){.conf = &CONF, .format = EXPORT_POSTFIX_TRANSPORT};
    assert_false(export_wants_all(&x));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_entries),
        cmocka_unit_test(test_csv_more), cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_roles), cmocka_unit_test(test_held_domain),
        cmocka_unit_test(test_left_out), cmocka_unit_test(test_letter_case),
        cmocka_unit_test(test_names), cmocka_unit_test(test_full), cmocka_unit_test(test_formats),
        cmocka_unit_test(test_whole), cmocka_unit_test(test_aliases), cmocka_unit_test(test_lists)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
