/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include "base/core/net.h"
#include "tests/unit/unit.h"

static void test_addresses(void **state)
{
    static const struct {
        const char *in, *out; /* out NULL: refused */
    } rows[] = {
        {"10.1.1.5", "10.1.1.5"},
        {"[10.1.1.5]", "10.1.1.5"},
        {"::1", "::1"},
        {"[::1]", "::1"},
        {"IPv6:::1", "::1"},
        {"[ipv6:2001:DB8::5]", "2001:db8::5"},
        {"::ffff:10.1.1.5", "10.1.1.5"},
        {"2001:db8:0:0:0:0:0:1", "2001:db8::1"},
        {"", NULL},
        {"[]", NULL},
        {"[", NULL},
        {"10.1.1", NULL},
        {"10.1.1.256", NULL},
        {"010.1.1.5", NULL},
        {"10.1.1.5 ", NULL},
        {"10.1.1.5/8", NULL},
        {"::1%lo", NULL},
        {"host", NULL},
        {"1111:2222:3333:4444:5555:6666:7777:8888:9999", NULL},
        {"1111:2222:3333:4444:5555:6666:255.255.255.255000", NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct net_addr a;
        char text[NET_TEXT_MAX];
        int rc = net_addr_parse(slice_str(rows[i].in), &a);

        assert_row(rows[i].in, rc == (rows[i].out ? 0 : -1));
        if (rc == 0) {
            net_addr_format(&a, text);
            assert_string_equal(text, rows[i].out);
        }
    }
    assert_int_equal(net_addr_parse(SLICE_LIT("10.1.1.5\0"), &(struct net_addr){{0}}), -1);
}

static void test_ranges(void **state)
{
    static const struct {
        const char *range;
        int rc;
        const char *in, *out; /* an address inside and one outside, or NULL */
    } rows[] = {
        {"10.0.0.0/8", 0, "10.255.255.255", "11.0.0.0"},
        {"10.1.1.5", 0, "10.1.1.5", "10.1.1.4"},
        {"10.1.1.4/31", 0, "10.1.1.5", "10.1.1.6"},
        {"10.1.1.0/25", 0, "10.1.1.127", "10.1.1.128"},
        {"0.0.0.0/0", 0, "255.1.2.3", "::1"},
        {"::/0", 0, "1.2.3.4", NULL},
        {"::1/128", 0, "::1", "::2"},
        {"2001:db8::/33", 0, "2001:db8:7fff::1", "2001:db8:8000::1"},
        {"::ffff:10.0.0.0/104", 0, "10.9.9.9", "11.0.0.0"},
        {"10.0.0.0/33", -1, NULL, NULL},
        {"::/129", -1, NULL, NULL},
        {"10.0.0.0/", -1, NULL, NULL},
        {"/8", -1, NULL, NULL},
        {"10.0.0.0/-1", -1, NULL, NULL},
        {"10.1.1.5/8", -1, NULL, NULL},
        {"::1/64", -1, NULL, NULL},
        {"", -1, NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct net_range r;
        struct net_addr a;

        assert_row(rows[i].range, net_range_parse(slice_str(rows[i].range), &r) == rows[i].rc);
        if (rows[i].in != NULL) {
            assert_int_equal(net_addr_parse(slice_str(rows[i].in), &a), 0);
            assert_row(rows[i].range, net_range_contains(&r, &a));
        }
        if (rows[i].out != NULL) {
            assert_int_equal(net_addr_parse(slice_str(rows[i].out), &a), 0);
            assert_row(rows[i].range, !net_range_contains(&r, &a));
        }
    }
}

static void test_loopback(void **state)
{
    static const struct {
        const char *text;
        bool is_loopback, is_v4;
    } rows[] = {{"127.0.0.1", true, true}, {"127.9.9.9", true, true}, {"::1", true, false},
        {"128.0.0.1", false, true}, {"::2", false, false}, {"::", false, false}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct net_addr a;

        assert_int_equal(net_addr_parse(slice_str(rows[i].text), &a), 0);
        assert_row(rows[i].text, net_addr_is_loopback(&a) == rows[i].is_loopback);
        assert_row(rows[i].text, net_addr_is_v4(&a) == rows[i].is_v4);
    }
}

static void test_endpoints(void **state)
{
    static const struct {
        const char *in;
        uint16_t default_port;
        const char *host; /* NULL: refused */
        enum net_scheme scheme;
        uint16_t port;
    } rows[] = {
        {"smtp://10.1.1.5:25", 0, "10.1.1.5", NET_SCHEME_SMTP, 25},
        {"smtp://mail.example.org", 0, "mail.example.org", NET_SCHEME_SMTP, 25},
        {"SMTPS://mail", 0, "mail", NET_SCHEME_SMTPS, 465},
        {"lmtp://[::1]:24", 0, "::1", NET_SCHEME_LMTP, 24},
        {"lmtp://[::1]", 0, "::1", NET_SCHEME_LMTP, 24},
        {"imap://h/", 0, "h", NET_SCHEME_IMAP, 143},
        {"imaps://h:1993", 0, "h", NET_SCHEME_IMAPS, 1993},
        {"imaps://h", 7, "h", NET_SCHEME_IMAPS, 7},
        {"inet:127.0.0.1:10225", 0, "127.0.0.1", NET_SCHEME_NONE, 10225},
        {"0.0.0.0:25", 0, "0.0.0.0", NET_SCHEME_NONE, 25},
        {"127.0.0.1:0", 0, "127.0.0.1", NET_SCHEME_NONE, 0},
        {"[::]:25", 0, "::", NET_SCHEME_NONE, 25},
        {"localhost", 25, "localhost", NET_SCHEME_NONE, 25},
        {"h:65535", 0, "h", NET_SCHEME_NONE, 65535},
        {"unix:/run/x.sock", 0, "/run/x.sock", NET_SCHEME_UNIX, 0},
        {"localhost", 0, NULL, 0, 0},
        {"h:65536", 0, NULL, 0, 0},
        {"h:", 0, NULL, 0, 0},
        {"h:x", 0, NULL, 0, 0},
        {":25", 0, NULL, 0, 0},
        {"", 25, NULL, 0, 0},
        {"::1", 25, NULL, 0, 0},
        {"::1:25", 0, NULL, 0, 0},
        {"[::1", 25, NULL, 0, 0},
        {"[::1]25", 25, NULL, 0, 0},
        {"[host]:25", 25, NULL, 0, 0},
        {"smtp://", 0, NULL, 0, 0},
        {"smtp://user@host", 0, NULL, 0, 0},
        {"http://host", 0, NULL, 0, 0},
        {"-h:25", 0, NULL, 0, 0},
        {"h h:25", 0, NULL, 0, 0},
        {"unix:relative", 0, NULL, 0, 0},
        {"unix:", 0, NULL, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct net_endpoint e = {0};
        struct err err = ERR_INIT;
        int rc = net_endpoint_parse(slice_str(rows[i].in), rows[i].default_port, &e, &err);

        assert_row(rows[i].in, rc == (rows[i].host ? 0 : -1));
        if (rc == 0) {
            assert_string_equal(e.host, rows[i].host);
            assert_row(rows[i].in, e.scheme == rows[i].scheme);
            assert_row(rows[i].in, e.port == rows[i].port);
        } else {
            assert_row(rows[i].in, err.class == ERR_PERM && err.text[0] != '\0');
        }
        net_endpoint_fini(&e);
    }
}

static void test_socket_path_limit(void **state)
{
    char text[5 + 108 + 1] = "unix:/";
    struct net_endpoint e;

    (void)state;
    for (size_t n = 106; n <= 108; n++) {
        memset(text + 6, 'p', n - 1);
        assert_int_equal(
            net_endpoint_parse(slice_make(text, 5 + n), 0, &e, NULL), n < 108 ? 0 : -1);
        if (n < 108)
            net_endpoint_fini(&e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_loopback),
        cmocka_unit_test(test_endpoints),
        cmocka_unit_test(test_socket_path_limit),
    };

    return cmocka_run_group_tests_name("net", tests, NULL, NULL);
}
