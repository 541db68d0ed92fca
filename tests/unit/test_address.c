/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include "base/mail/address.h"
#include "base/mail/idn.h"
#include "tests/unit/unit.h"

#define LABEL_64 "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd"

static void test_parse(void **state)
{
    static const struct {
        const char *name, *in;
        int rc;
        const char *local, *domain;
        bool is_quoted, is_literal;
    } rows[] = {
        {"plain", "alice@example.org", 0, "alice", "example.org", false, false},
        {"case is kept", "Al.Ice+x@Example.ORG", 0, "Al.Ice+x", "Example.ORG", false, false},
        {"every atom character", "!#$%&'*+-/=?^_`{|}~@a", 0, "!#$%&'*+-/=?^_`{|}~", "a", false,
            false},
        {"dots at odd places", ".a..b.@c", 0, ".a..b.", "c", false, false},
        {"quoted", "\"a b\"@c", 0, "\"a b\"", "c", true, false},
        {"quoted at sign", "\"a@evil\"@c", 0, "\"a@evil\"", "c", true, false},
        {"quoted brackets", "\"<a>\"@c", 0, "\"<a>\"", "c", true, false},
        {"quoted pair", "\"a\\\"b\\\\\"@c", 0, "\"a\\\"b\\\\\"", "c", true, false},
        {"quoted nothing", "\"\"@c", 0, "\"\"", "c", true, false},
        {"literal", "a@[10.1.1.1]", 0, "a", "[10.1.1.1]", false, true},
        {"literal v6", "a@[IPv6:::1]", 0, "a", "[IPv6:::1]", false, true},
        {"utf-8 local", "j\xc3\xbcrgen@c", 0, "j\xc3\xbcrgen", "c", false, false},
        {"utf-8 domain", "a@ex\xc3\xa4mple.org", 0, "a", "ex\xc3\xa4mple.org", false, false},
        {"four byte utf-8", "\xf0\x9f\x93\xa7@c", 0, "\xf0\x9f\x93\xa7", "c", false, false},
        {"underscore in the domain", "a@_x.y", 0, "a", "_x.y", false, false},
        {"bare postmaster", "PostMaster", 0, "PostMaster", "", false, false},
        {"empty", "", -1, NULL, NULL, false, false},
        {"bare local part", "alice", -1, NULL, NULL, false, false},
        {"empty local part", "@c", -1, NULL, NULL, false, false},
        {"empty domain", "a@", -1, NULL, NULL, false, false},
        {"two at signs", "a@b@c", -1, NULL, NULL, false, false},
        {"source route", "@a,@b:u@c", -1, NULL, NULL, false, false},
        {"trailing dot", "a@example.org.", -1, NULL, NULL, false, false},
        {"leading dot in the domain", "a@.example.org", -1, NULL, NULL, false, false},
        {"double dot in the domain", "a@example..org", -1, NULL, NULL, false, false},
        {"only a dot", "a@.", -1, NULL, NULL, false, false},
        {"address without brackets", "a@1.2.3.4", 0, "a", "1.2.3.4", false, false},
        {"label of 64", "a@" LABEL_64 ".c", 0, "a", LABEL_64 ".c", false, false},
        {"hyphen first", "a@-c", 0, "a", "-c", false, false},
        {"hyphen last", "a@c-", 0, "a", "c-", false, false},
        {"hyphen before a dot", "a@c-.d", 0, "a", "c-.d", false, false},
        {"hyphen behind a dot", "a@c.-d", 0, "a", "c.-d", false, false},
        {"space", "a b@c", -1, NULL, NULL, false, false},
        {"leading space", " a@c", -1, NULL, NULL, false, false},
        {"trailing space", "a@c ", -1, NULL, NULL, false, false},
        {"comment", "a(x)@c", -1, NULL, NULL, false, false},
        {"brackets", "<a@c>", -1, NULL, NULL, false, false},
        {"CR LF", "a@c\r\n", -1, NULL, NULL, false, false},
        {"quoted CR LF", "\"a\r\nb\"@c", -1, NULL, NULL, false, false},
        {"escaped LF", "\"a\\\nb\"@c", -1, NULL, NULL, false, false},
        {"tab in quotes", "\"a\tb\"@c", -1, NULL, NULL, false, false},
        {"DEL", "a\x7f@c", -1, NULL, NULL, false, false},
        {"open quote", "\"a@c", -1, NULL, NULL, false, false},
        {"backslash at the end", "\"a\\", -1, NULL, NULL, false, false},
        {"text behind the quotes", "\"a\"b@c", -1, NULL, NULL, false, false},
        {"quotes inside", "a\"b\"@c", -1, NULL, NULL, false, false},
        {"quotes alone", "\"a\"", -1, NULL, NULL, false, false},
        {"open literal", "a@[10.1.1.1", -1, NULL, NULL, false, false},
        {"empty literal", "a@[]", -1, NULL, NULL, false, false},
        {"text behind the literal", "a@[1]x", -1, NULL, NULL, false, false},
        {"literal in a literal", "a@[[1]]", -1, NULL, NULL, false, false},
        {"end of a path in a literal", "a@[1>2]", -1, NULL, NULL, false, false},
        {"start of a path in a literal", "a@[1<2]", -1, NULL, NULL, false, false},
        {"quote in a literal", "a@[1\"2]", -1, NULL, NULL, false, false},
        {"at in a literal", "a@[b@c]", -1, NULL, NULL, false, false},
        {"comma in a literal", "a@[1,2]", -1, NULL, NULL, false, false},
        {"blank in a literal", "a@[1 2]", -1, NULL, NULL, false, false},
        {"literal with a tag", "a@[x-tag:Ab9.-]", 0, "a", "[x-tag:Ab9.-]", false, true},
        {"lone continuation", "a\x80@c", -1, NULL, NULL, false, false},
        {"cut sequence", "a\xc3@c", -1, NULL, NULL, false, false},
        {"cut at the end", "a@c\xc3", -1, NULL, NULL, false, false},
        {"overlong slash", "a\xc0\xaf@c", -1, NULL, NULL, false, false},
        {"overlong in three bytes", "a\xe0\x80\xaf@c", -1, NULL, NULL, false, false},
        {"surrogate", "a\xed\xa0\x80@c", -1, NULL, NULL, false, false},
        {"beyond unicode", "a\xf4\x90\x80\x80@c", -1, NULL, NULL, false, false},
        {"C1 control", "a\xc2\x85@c", -1, NULL, NULL, false, false},
        {"line separator", "a\xe2\x80\xa8@c", -1, NULL, NULL, false, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct address a;
        int rc = address_parse(slice_str(rows[i].in), &a);
        assert_row(rows[i].name, rc == rows[i].rc);
        if (rc != 0)
            continue;
        assert_slice_equal(a.local, rows[i].local);
        assert_slice_equal(a.domain, rows[i].domain);
        assert_row(rows[i].name, a.is_quoted == rows[i].is_quoted);
        assert_row(rows[i].name, a.is_literal == rows[i].is_literal);
    }
    struct address a;
    assert_int_equal(address_parse(SLICE_LIT("a\0b@c"), &a), -1);
    assert_int_equal(address_parse(SLICE_LIT("\"a\0b\"@c"), &a), -1);
    assert_int_equal(address_parse(SLICE_LIT("a@c\0"), &a), -1);
}

/* An address of the given lengths, as a Mailbox. */
static int parse_lengths(size_t local, size_t domain)
{
    unsigned char text[ADDRESS_MAX * 2];
    struct address a;
    memset(text, 'a', sizeof text);
    text[local] = '@';
    for (size_t i = 50; i < domain; i += 51)
        text[local + 1 + i - 1] = '.';
    return address_parse(slice_make(text, local + 1 + domain), &a);
}

static void test_limits(void **state)
{
    (void)state;
    assert_int_equal(parse_lengths(ADDRESS_LOCAL_MAX - 1, 10), 0);
    assert_int_equal(parse_lengths(ADDRESS_LOCAL_MAX, 10), 0);
    assert_int_equal(parse_lengths(ADDRESS_LOCAL_MAX + 1, 10), -1);
    assert_int_equal(parse_lengths(10, ADDRESS_DOMAIN_MAX - 1), 0);
    assert_int_equal(parse_lengths(10, ADDRESS_DOMAIN_MAX), 0);
    assert_int_equal(parse_lengths(10, ADDRESS_DOMAIN_MAX + 1), -1);
    assert_int_equal(parse_lengths(120, ADDRESS_MAX - 122), 0);
    assert_int_equal(parse_lengths(120, ADDRESS_MAX - 121), 0);
    assert_int_equal(parse_lengths(120, ADDRESS_MAX - 120), -1);
}

static void test_path(void **state)
{
    static const struct {
        const char *in;
        enum address_path want;
        const char *mailbox, *rest;
    } rows[] = {
        {"<>", ADDRESS_PATH_NULL, "", ""},
        {"<> SIZE=1", ADDRESS_PATH_NULL, "", " SIZE=1"},
        {"<a@c> X", ADDRESS_PATH_MAILBOX, "a@c", " X"},
        {"<Postmaster>", ADDRESS_PATH_POSTMASTER, "Postmaster", ""},
        {"<postmaster@c>", ADDRESS_PATH_MAILBOX, "postmaster@c", ""},
        {"<\"a>b\"@c>", ADDRESS_PATH_MAILBOX, "\"a>b\"@c", ""},
        {"<\"a\\\">b\"@c>x", ADDRESS_PATH_MAILBOX, "\"a\\\">b\"@c", "x"},
        {"", ADDRESS_PATH_BAD, NULL, NULL},
        {"<", ADDRESS_PATH_BAD, NULL, NULL},
        {"a@c", ADDRESS_PATH_BAD, NULL, NULL},
        {" <a@c>", ADDRESS_PATH_BAD, NULL, NULL},
        {"<@a,@b-c:u@c> X", ADDRESS_PATH_MAILBOX, "u@c", " X"},
        {"<@a:\"u:v@w\"@c>", ADDRESS_PATH_MAILBOX, "\"u:v@w\"@c", ""},
        {"<a@c", ADDRESS_PATH_BAD, NULL, NULL},
        {"< a@c>", ADDRESS_PATH_BAD, NULL, NULL},
        {"<@a,@b>", ADDRESS_PATH_BAD, NULL, NULL},
        {"<@a@b:u@c>", ADDRESS_PATH_BAD, NULL, NULL},
        {"<@a,u@c>", ADDRESS_PATH_BAD, NULL, NULL},
        {"<@a:u@c:d>", ADDRESS_PATH_BAD, NULL, NULL},
        {"<@a: u@c>", ADDRESS_PATH_BAD, NULL, NULL},
        {"<@[10.1.1.1]:u@c>", ADDRESS_PATH_BAD, NULL, NULL},
        {"<<a@c>>", ADDRESS_PATH_BAD, NULL, NULL},
        {"<alice>", ADDRESS_PATH_BAD, NULL, NULL},
        {"<\"a@c>", ADDRESS_PATH_BAD, NULL, NULL},
        {"<\"a\\", ADDRESS_PATH_BAD, NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct slice in = slice_str(rows[i].in), mailbox;
        unsigned char plain[ADDRESS_MAX];
        struct address a;
        assert_row(rows[i].in, address_path_parse(&in, true, &a, &mailbox, plain) == rows[i].want);
        if (rows[i].want == ADDRESS_PATH_BAD) {
            assert_slice_equal(in, rows[i].in);
            continue;
        }
        assert_slice_equal(mailbox, rows[i].mailbox);
        assert_slice_equal(in, rows[i].rest);
    }
}

/* A sender without a domain is as long as a local part may be. */
static void test_bare_length(void **state)
{
    char text[ADDRESS_LOCAL_MAX + 3];

    (void)state;
    for (size_t n = ADDRESS_LOCAL_MAX; n <= ADDRESS_LOCAL_MAX + 1; n++) {
        struct slice in = slice_make(text, n + 2), mailbox;
        unsigned char plain[ADDRESS_MAX];
        struct address a;

        memset(text, 'x', sizeof(text));
        text[0] = '<';
        text[n + 1] = '>';
        assert_int_equal(address_path_parse(&in, false, &a, &mailbox, plain),
            n == ADDRESS_LOCAL_MAX ? ADDRESS_PATH_LOCAL : ADDRESS_PATH_BAD);
    }
}

/* Local parts by the rules of RFC 821 and 822, read as Postfix reads them. */
static void test_old_forms(void **state)
{
    static const struct {
        const char *in;
        enum address_path want;
        const char *mailbox;
    } rows[] = {
        {"<\"a\".x@c>", ADDRESS_PATH_MAILBOX, "a.x@c"},
        {"<x.\"a b\"@c>", ADDRESS_PATH_MAILBOX, "\"x.a b\"@c"},
        {"<\"a\".\"b\"@c>", ADDRESS_PATH_MAILBOX, "a.b@c"},
        {"<\"a\\\"\".b@c>", ADDRESS_PATH_MAILBOX, "\"a\\\".b\"@c"},
        {"<\"a@b\".x@c>", ADDRESS_PATH_MAILBOX, "\"a@b.x\"@c"},
        {"<\"x\".@c>", ADDRESS_PATH_MAILBOX, "x.@c"},
        {"<.\"x\"@c.>", ADDRESS_PATH_MAILBOX, ".x@c"},
        {"<a:b@c>", ADDRESS_PATH_MAILBOX, "\"a:b\"@c"},
        {"<@x:a:b@c>", ADDRESS_PATH_MAILBOX, "\"a:b\"@c"},
        {"<a\\b@c>", ADDRESS_PATH_MAILBOX, "ab@c"},
        {"<\\a@c>", ADDRESS_PATH_MAILBOX, "a@c"},
        {"<a\\ b@c>", ADDRESS_PATH_MAILBOX, "\"a b\"@c"},
        {"<a\\@b@c>", ADDRESS_PATH_MAILBOX, "\"a@b\"@c"},
        {"<a\\>b@c>", ADDRESS_PATH_MAILBOX, "\"a>b\"@c"},
        {"<a\\\"b@c>", ADDRESS_PATH_MAILBOX, "\"a\\\"b\"@c"},
        {"<a\\\\b@c>", ADDRESS_PATH_MAILBOX, "\"a\\\\b\"@c"},
        {"<a\\%b@c>", ADDRESS_PATH_MAILBOX, "a%b@c"},
        {"a\\ b@c", ADDRESS_PATH_MAILBOX, "\"a b\"@c"},
        {"<a\\b>", ADDRESS_PATH_LOCAL, "ab"},
        {"<\"a@b.\">", ADDRESS_PATH_LOCAL, "\"a@b.\""},
        {"<a\\@b.>", ADDRESS_PATH_LOCAL, "\"a@b.\""},
        {"<post\\master>", ADDRESS_PATH_POSTMASTER, "postmaster"},
        {"<a\"b\"@c>", ADDRESS_PATH_BAD, NULL},
        {"<\"a\"b@c>", ADDRESS_PATH_BAD, NULL},
        {"<\"a\"\"b\"@c>", ADDRESS_PATH_BAD, NULL},
        {"<\"a\"\\b@c>", ADDRESS_PATH_BAD, NULL},
        {"<\"a\":b@c>", ADDRESS_PATH_BAD, NULL},
        {"<\\\"a\"@c>", ADDRESS_PATH_BAD, NULL},
        {"<a\\@c>", ADDRESS_PATH_LOCAL, "\"a@c\""},
        {"<a\\", ADDRESS_PATH_BAD, NULL},
        {"<a(x)@c>", ADDRESS_PATH_BAD, NULL},
        {"<(x)a@c>", ADDRESS_PATH_BAD, NULL},
        {"<a[b@c>", ADDRESS_PATH_BAD, NULL},
        {"<a;b@c>", ADDRESS_PATH_BAD, NULL},
        {"<a,b@c>", ADDRESS_PATH_BAD, NULL},
        {"<a:b@c@d>", ADDRESS_PATH_BAD, NULL},
        {"<a:b@>", ADDRESS_PATH_BAD, NULL},
        {"<\"a\xc3\".x@c>", ADDRESS_PATH_BAD, NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct slice in = slice_str(rows[i].in), mailbox;
        unsigned char plain[ADDRESS_MAX];
        struct address a;

        assert_row(
            rows[i].in, address_path_parse(&in, true, &a, &mailbox, plain) == ADDRESS_PATH_BAD);
        assert_row(rows[i].in, address_path_parse(&in, false, &a, &mailbox, plain) == rows[i].want);
        if (rows[i].want != ADDRESS_PATH_BAD)
            assert_slice_equal(mailbox, rows[i].mailbox);
    }
}

/* At its limits a local part by older rules is neither cut nor more than there is room for. */
static void test_old_lengths(void **state)
{
    char text[ADDRESS_MAX + 10];
    unsigned char plain[ADDRESS_MAX];

    (void)state;
    for (size_t local = ADDRESS_LOCAL_MAX - 4; local <= ADDRESS_LOCAL_MAX + 1; local++)
        for (size_t domain = 1; domain <= 63; domain++) {
            struct slice in, mailbox;
            struct address a;
            bool fits = local + 2 <= ADDRESS_LOCAL_MAX && local + 3 + domain <= ADDRESS_MAX;

            memset(text, 'x', sizeof(text));
            text[0] = '<';
            text[2] = ':'; /* costs two quotes */
            text[1 + local] = '@';
            text[2 + local + domain] = '>';
            in = slice_make(text, 3 + local + domain);
            assert_int_equal(address_path_parse(&in, false, &a, &mailbox, plain),
                fits ? ADDRESS_PATH_MAILBOX : ADDRESS_PATH_BAD);
            assert_int_equal(mailbox.n, fits ? local + 3 + domain : 0);
        }
}

static void test_quotes(void **state)
{
    static const struct {
        const char *written, *meaning, *shortest;
    } rows[] = {
        {"alice", "alice", "alice"},
        {"\"alice\"", "alice", "alice"},
        {"\"a.b\"", "a.b", "a.b"},
        {"\"\\a\\l\"", "al", "al"},
        {"\"a b\"", "a b", "\"a b\""},
        {"\"a\\ b\"", "a b", "\"a b\""},
        {"\"a\\\"b\"", "a\"b", "\"a\\\"b\""},
        {"\"\\\\\"", "\\", "\"\\\\\""},
        {"\"\"", "", "\"\""},
        {"\"j\xc3\xbc\"", "j\xc3\xbc", "j\xc3\xbc"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        unsigned char meaning[ADDRESS_LOCAL_MAX];
        struct slice m = {meaning, address_unquote(slice_str(rows[i].written), meaning)};
        assert_slice_equal(m, rows[i].meaning);
        struct buf out;
        size_t n = strlen(rows[i].shortest);
        buf_init(&out, n);
        assert_int_equal(address_quote(m, &out), 0);
        assert_slice_equal(buf_slice(&out), rows[i].shortest);
        buf_fini(&out);
        buf_init(&out, n > 0 ? n - 1 : 0);
        assert_int_equal(address_quote(m, &out), -1);
        assert_int_equal(out.n, 0);
        buf_fini(&out);
    }
    assert_true(address_is_ascii(SLICE_LIT("a@c")));
    assert_false(address_is_ascii(SLICE_LIT("\xc3\xbc@c")));
}

static void test_idn(void **state)
{
    static const struct {
        const char *in, *out; /* out NULL: refused */
    } rows[] = {
        {"Example.ORG", "example.org"},
        {"localhost", "localhost"},
        {"a_b.c", "a_b.c"},
        {"ex\xc3\xa4mple.org", "xn--exmple-cua.org"},
        {"EX\xc3\x84MPLE.org", "xn--exmple-cua.org"},
        {"exa\xcc\x88mple.org", "xn--exmple-cua.org"}, /* decomposed */
        {"XN--Exmple-CUA.org", "xn--exmple-cua.org"},
        {"stra\xc3\x9f"
         "e.de",
            "xn--strae-oqa.de"},
        {"\xef\xbc\xa5xample.org", "example.org"},    /* full-width E */
        {"example\xe3\x80\x82org", "example.org"},    /* ideographic full stop */
        {"\xd0\xb5xample.org", "xn--xample-2of.org"}, /* Cyrillic look-alike: another name */
        {"", NULL},
        {".", NULL},
        {"a.", NULL},
        {".a", NULL},
        {"a..b", NULL},
        {"-a", NULL},
        {"a-", NULL},
        {"a b", NULL},
        {"a@b", NULL},
        {"a\xef\xbc\xa0"
         "b.c",
            NULL}, /* full-width @ */
        {"a\xe2\x84\x80"
         "b.c",
            NULL}, /* maps to "a/c" */
        {"\xff.org", NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char out[IDN_DOMAIN_MAX + 1];
        int rc = idn_to_ascii(slice_str(rows[i].in), out);
        assert_row(rows[i].in, rc == (rows[i].out ? 0 : -1));
        if (rc == 0)
            assert_string_equal(out, rows[i].out);
    }
    char out[IDN_DOMAIN_MAX + 1];
    assert_int_equal(idn_to_ascii(SLICE_LIT("a\0.org"), out), -1);
    assert_int_equal(idn_to_ascii(SLICE_LIT("\xc3\xa4\0.org"), out), -1);

    char label[64 + 1] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    assert_int_equal(idn_to_ascii(slice_make(label, 62), out), 0);
    assert_int_equal(idn_to_ascii(slice_make(label, 63), out), 0);
    assert_int_equal(idn_to_ascii(slice_make(label, 64), out), -1);

    char name[IDN_DOMAIN_MAX + 2];
    for (size_t i = 0; i < sizeof name; i++)
        name[i] = i % 50 == 49 ? '.' : 'a';
    assert_int_equal(idn_to_ascii(slice_make(name, IDN_DOMAIN_MAX - 1), out), 0);
    assert_int_equal(idn_to_ascii(slice_make(name, IDN_DOMAIN_MAX), out), 0);
    assert_int_equal(idn_to_ascii(slice_make(name, IDN_DOMAIN_MAX + 1), out), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_path),
        cmocka_unit_test(test_bare_length),
        cmocka_unit_test(test_old_forms),
        cmocka_unit_test(test_old_lengths),
        cmocka_unit_test(test_quotes),
        cmocka_unit_test(test_idn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
