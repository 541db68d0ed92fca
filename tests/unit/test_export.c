/* SPDX-License-Identifier: ISC */
#include "maps/format/export.h"
#include "tests/unit/unit.h"

#define TEXT_MAX 8192

static char names[][16] = {"old", "new", "local", "secure", "none", "example.org", "example.net"};
static char hosts[][32] = {"10.1.1.5", "mx.example.net", "/run/lmtp", "2001:db8::1"};
static struct conf_server servers[] = {
    {.name = names[0], .smtp = {NET_SCHEME_SMTP, hosts[0], 25}},
    {.name = names[1], .smtp = {NET_SCHEME_LMTP, hosts[1], 24}},
    {.name = names[2], .smtp = {NET_SCHEME_UNIX, hosts[2], 0}},
    {.name = names[3], .smtp = {NET_SCHEME_SMTPS, hosts[3], 465}},
    {.name = names[4]},
};
static struct conf_domain domains[] = {
    {.name = names[5], .default_server = CONF_SERVER_NONE},
    {.name = names[6], .default_server = 1},
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
        "b@example.org,new,mailbox,,\"x, y\"", "b@example.org\tlmtp:inet:[mx.example.net]:24"},
    {"c@example.org", {.route = SLICE_LIT("local"), .deliver_as = SLICE_LIT("c@x.org")},
        "c@example.org,local,mailbox,c@x.org,", "c@example.org\tlmtp:unix:/run/lmtp"},
    {"d@example.org", {.route = SLICE_LIT("secure")}, "d@example.org,secure,mailbox,,",
        "d@example.org\tsmtps:[2001:db8::1]:465"},
    {"e@example.org", {.kind = ROUTE_KIND_REJECT}, "e@example.org,,reject,,",
        "e@example.org\terror:5.1.1 User unknown"},
    {"f@example.org", {.route = SLICE_LIT("old"), .state = ROUTE_STATE_HELD},
        "f@example.org,old,mailbox,,", "f@example.org\tretry:4.2.1 This mailbox is being moved"},
    {"g@example.org", {.route = SLICE_LIT("mars")}, "g@example.org,mars,mailbox,,",
        "g@example.org\tretry:4.3.5 The server of this recipient is not configured"},
    {"h@example.org", {.route = SLICE_LIT("none")}, "h@example.org,none,mailbox,,",
        "h@example.org\tretry:4.3.5 The server of this recipient is not configured"},
    {"\"i i\"@example.org", {.route = SLICE_LIT("old")},
        "\"\"\"i i\"\"@example.org\",old,mailbox,,", NULL},
    {"@example.org", {.route = SLICE_LIT("new")}, "@example.org,new,mailbox,,",
        "example.org\tlmtp:inet:[mx.example.net]:24"},
    {"@example.net", {.state = ROUTE_STATE_HELD}, "@example.net,,mailbox,,",
        "example.net\tretry:4.2.1 This mailbox is being moved"},
};

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
        assert_true(slice_split(&got, '\n', &line));
        assert_slice_equal(line, want);
    }
    assert_int_equal(got.n, 0);
    assert_int_equal(x.quoted_lost, want ? 0 : 1);
    assert_int_equal(export_end(&x, &out), 0);
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
    assert_string_equal(buf_cstr(&out), "example.net\tlmtp:inet:[mx.example.net]:24\n"
                                        "example.org\terror:5.1.1 User unknown\n");
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
        rc |= export_end(&x, &out);
        assert_int_equal(rc, -1);
        buf_fini(&out);
    }
}

static void test_formats(void **state)
{
    (void)state;
    enum export_format f;
    assert_int_equal(export_format_parse("csv", &f), 0);
    assert_int_equal(f, EXPORT_CSV);
    assert_int_equal(export_format_parse("postfix-transport", &f), 0);
    assert_int_equal(f, EXPORT_POSTFIX_TRANSPORT);
    assert_int_equal(export_format_parse("CSV", &f), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_entries),
        cmocka_unit_test(test_defaults), cmocka_unit_test(test_full),
        cmocka_unit_test(test_formats)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
