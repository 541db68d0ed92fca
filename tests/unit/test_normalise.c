/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include "maps/route.h"
#include "tests/unit/unit.h"

static struct conf_domain domains[] = {
    {.name = (char *)"example.org", .fold_local_part = true},
    {.name = (char *)"keep.example", .fold_local_part = false},
    {.name = (char *)"xn--exmple-cua.org", .fold_local_part = true},
    {.name = (char *)"minus.example", .fold_local_part = true, .delimiter = (char *)"-"},
    {.name = (char *)"many.example", .fold_local_part = true, .delimiter = (char *)"+-=_"},
    {.name = (char *)"none.example", .fold_local_part = true, .delimiter = (char *)"none"},
};
static const struct conf conf = {.domains = domains, .n_domains = COUNT_OF(domains)};

static const struct {
    const char *in, *key, *bare; /* key NULL: refused; bare NULL: no detail */
} rows[] = {
    {"alice@example.org", "alice@example.org", NULL},
    {"Alice.B@EXAMPLE.Org", "alice.b@example.org", NULL},
    {"\"Alice\"@example.org", "alice@example.org", NULL},
    {"\"Al\\ice\"@example.org", "alice@example.org", NULL},
    {"\"a b\"@example.org", "\"a b\"@example.org", NULL},
    {"\"a\\ B\"@example.org", "\"a b\"@example.org", NULL},
    {"\"\"@example.org", "\"\"@example.org", NULL},
    {"\"u@evil.example\"@example.org", "\"u@evil.example\"@example.org", NULL},
    {"alice+Box@example.org", "alice+box@example.org", "alice@example.org"},
    {"alice+a+b@example.org", "alice+a+b@example.org", "alice@example.org"},
    {"alice+@example.org", "alice+@example.org", "alice@example.org"},
    {"+x@example.org", "+x@example.org", NULL},
    {"\"a b+c\"@example.org", "\"a b+c\"@example.org", "\"a b\"@example.org"},
    {"\"a+b c\"@example.org", "\"a+b c\"@example.org", "a@example.org"},
    {"Alice@keep.example", "Alice@keep.example", NULL},
    {"Alice+X@KEEP.example", "Alice+X@keep.example", "Alice@keep.example"},
    {"PostMaster@keep.example", "postmaster@keep.example", NULL},
    {"ABUSE@keep.example", "abuse@keep.example", NULL},
    {"PostMaster+X@keep.example", "PostMaster+X@keep.example", "postmaster@keep.example"},
    {"Alice@other.example", "alice@other.example", NULL},
    {"J\xc3\xbcrgen@example.org", "j\xc3\xbcrgen@example.org", NULL},
    {"J\xc3\x9crgen@example.org", "j\xc3\x9crgen@example.org", NULL},
    {"a@Ex\xc3\x84mple.org", "a@xn--exmple-cua.org", NULL},
    {"a@XN--Exmple-cua.ORG", "a@xn--exmple-cua.org", NULL},
    {"PostMaster", "postmaster@example.org", NULL},
    {"@Example.ORG", "@example.org", NULL},
    {"@ex\xc3\xa4mple.org", "@xn--exmple-cua.org", NULL},
    {"user%evil.example@example.org", "user%evil.example@example.org", NULL},
    /* What begins a detail is the domain's to say; the first of it counts. */
    {"ann-box+x@minus.example", "ann-box+x@minus.example", "ann@minus.example"},
    {"ann+x@minus.example", "ann+x@minus.example", NULL},
    {"-x@minus.example", "-x@minus.example", NULL},
    {"ann_a+b@many.example", "ann_a+b@many.example", "ann@many.example"},
    {"ann=a-b@many.example", "ann=a-b@many.example", "ann@many.example"},
    {"Abuse-x@many.example", "abuse-x@many.example", "abuse@many.example"},
    {"ann+x@none.example", "ann+x@none.example", NULL},
    {"non@none.example", "non@none.example", NULL},
    /* Names of other systems: one key for each meaning, in any case, and no detail. */
    {"IMCEAEX-_O=EXAMPLE_OU=FIRST+20GROUP_CN=ANN+2EB@keep.example",
        "imceaex-_o=example_ou=first+20group_cn=ann+2eb@keep.example", NULL},
    {"imceaex-+2Fo=Example+2fcn=+41nn+2Db+3D+5f@example.org",
        "imceaex-_o=example_cn=ann-b=+5f@example.org", NULL},
    {"IMCEAEX-_o=a-b_cn=x@minus.example", "imceaex-_o=a-b_cn=x@minus.example", NULL},
    {"IMCEAEX-_o=a+2B20_cn=x@example.org", "imceaex-_o=a+2b20_cn=x@example.org", NULL},
    {"IMCEAFAX-+2B1+20425@keep.example", "imceafax-+2b1+20425@keep.example", NULL},
    {"IMCEAEX-_o=A+2@keep.example", "imceaex-_o=a+2@keep.example", NULL},
    {"IMCEAEX-_o=A+zz+41@keep.example", "imceaex-_o=a+zz+41@keep.example", NULL},
    {"IMCEAEX-_o=\xc3\xa4+C3+A4@keep.example", "imceaex-_o=\xc3\xa4+c3+a4@keep.example", NULL},
    {"\"IMCEAEX-_o=a b\"@keep.example", "\"imceaex-_o=a b\"@keep.example", NULL},
    {"IMCEAEX+x@keep.example", "IMCEAEX+x@keep.example", "IMCEAEX@keep.example"},
    {"IMCEA-x+y@keep.example", "IMCEA-x+y@keep.example", "IMCEA-x@keep.example"},
    /* A domain that only ends or begins like ours stays another one. */
    {"a@example.org.evil.example", "a@example.org.evil.example", NULL},
    {"a@notexample.org", "a@notexample.org", NULL},
    {"", NULL, NULL},
    {"@", NULL, NULL},
    {"@example.org.", NULL, NULL},
    {"@[10.1.1.1]", NULL, NULL},
    {"alice", NULL, NULL},
    {"alice@", NULL, NULL},
    {"a@example.org.", NULL, NULL},
    {"a@b@example.org", NULL, NULL},
    {"@a:b@example.org", NULL, NULL},
    {"a@[10.1.1.1]", NULL, NULL},
    {"a@example.org\r\n", NULL, NULL},
    {"a@example\xef\xbc\xa0.org", NULL, NULL},
};

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf key, again, bare;
        buf_init(&key, ROUTE_KEY_MAX);
        buf_init(&again, ROUTE_KEY_MAX);
        buf_init(&bare, ROUTE_KEY_MAX);
        int rc = normalise_key(&conf, slice_str(rows[i].in), &key);
        assert_row(rows[i].in, rc == (rows[i].key ? 0 : -1));
        if (rc == 0) {
            assert_string_equal(buf_cstr(&key), rows[i].key);
            assert_int_equal(normalise_key(&conf, buf_slice(&key), &again), 0);
            assert_string_equal(buf_cstr(&again), rows[i].key);
            bool has = normalise_strip_detail(
                conf_domain(&conf, normalise_domain(buf_slice(&key))), buf_slice(&key), &bare);
            assert_row(rows[i].in, has == (rows[i].bare != NULL));
            assert_string_equal(buf_cstr(&bare), rows[i].bare ? rows[i].bare : "");
        } else {
            assert_int_equal(key.n, 0);
        }
        buf_fini(&key);
        buf_fini(&again);
        buf_fini(&bare);
    }
}

static void test_without_configuration(void **state)
{
    struct buf key;
    (void)state;
    buf_init(&key, ROUTE_KEY_MAX);
    assert_int_equal(normalise_key(NULL, SLICE_LIT("Alice@keep.example"), &key), 0);
    assert_string_equal(buf_cstr(&key), "alice@keep.example");
    buf_clear(&key);
    assert_int_equal(normalise_key(NULL, SLICE_LIT("postmaster"), &key), -1);
    buf_fini(&key);
}

static void test_parts(void **state)
{
    (void)state;
    assert_slice_equal(normalise_domain(SLICE_LIT("\"a@b\"@c")), "c");
    assert_slice_equal(normalise_local(SLICE_LIT("\"a@b\"@c")), "\"a@b\"");
    assert_slice_equal(normalise_domain(SLICE_LIT("@c")), "c");
    assert_slice_equal(normalise_local(SLICE_LIT("@c")), "");
    assert_slice_equal(normalise_domain(SLICE_LIT("a")), "");
    assert_true(normalise_is_role(SLICE_LIT("Abuse@c")));
    assert_false(normalise_is_role(SLICE_LIT("postmaster2@c")));
    assert_false(normalise_is_role(SLICE_LIT("@postmaster")));
}

/* A name in UTF-8 may grow when it becomes A-labels: the limit holds for the key. */
static void test_limit(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 300; n++) {
        unsigned char text[400];
        size_t at = n;
        memset(text, 'a', n);
        const char *domain = "@"
                             "\xc3\xbc\xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4"
                             ".\xc3\xbc\xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4"
                             ".\xc3\xbc\xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4"
                             ".\xc3\xbc\xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4";
        memcpy(text + at, domain, strlen(domain));
        struct buf key;
        buf_init(&key, 4 * ROUTE_KEY_MAX);
        if (normalise_key(NULL, slice_make(text, at + strlen(domain)), &key) == 0)
            assert_in_range(key.n, 1, ROUTE_KEY_MAX);
        buf_fini(&key);
    }
}

/* The sizes that RFC 5321 4.5.3.1 names, and what is longer: 255 octets of a domain are 253
 * characters, as DNS counts a length and the root (RFC 1035 2.3.4). */
static void test_sizes(void **state)
{
    static const struct {
        size_t local, domain;
        bool is_key;
    } sizes[] = {{1, 1, true}, {64, 253, true}, {66, 253, true}, {67, 253, false}, {64, 254, false},
        {256, 63, true}, {256, 64, false}, {257, 10, false}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        unsigned char text[600];
        size_t n = sizes[i].local;
        struct buf key;
        memset(text, 'a', sizeof text);
        text[n++] = '@';
        for (size_t k = 0; k < sizes[i].domain; k++)
            text[n++] = k % 64 == 63 && k + 1 < sizes[i].domain ? '.' : 'd';
        buf_init(&key, ROUTE_KEY_MAX);
        if ((normalise_key(NULL, slice_make(text, n), &key) == 0) != sizes[i].is_key)
            fail_msg("%zu@%zu", sizes[i].local, sizes[i].domain);
        if (sizes[i].is_key)
            assert_true(slice_eq(buf_slice(&key), slice_make(text, n)));
        buf_fini(&key);
    }
}

static void test_lists(void **state)
{
    char *patterns[] = {(char *)"*-request", (char *)"owner-*", (char *)"bounces+*"};
    const struct conf_domain d = {.fold_local_part = true, .list_addresses = {patterns, 3}};
    static const struct {
        const char *key, *list; /* NULL: of none */
    } keys[] = {
        {"staff-request@x.org", "staff@x.org"},
        {"staff-Request@x.org", "staff@x.org"},
        {"owner-staff@x.org", "staff@x.org"},
        {"bounces+staff@x.org", "staff@x.org"},
        {"owner-staff-request@x.org", "owner-staff@x.org"},
        {"staff@x.org", NULL},
        {"-request@x.org", NULL},
        {"owner-@x.org", NULL},
        {"postmaster-request@x.org", NULL},
        {"owner-Abuse@x.org", NULL},
        {"imceaex-_o=e_cn=ann-request@x.org", NULL},
        {"\"a b-request\"@x.org", "\"a b\"@x.org"},
        {"@x.org", NULL},
    };
    struct buf key;
    (void)state;
    buf_init(&key, ROUTE_KEY_MAX);
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        buf_clear(&key);
        assert_row(keys[i].key,
            normalise_list(&d, slice_str(keys[i].key), &key) == (keys[i].list != NULL));
        assert_string_equal(buf_cstr(&key), keys[i].list ? keys[i].list : "");
    }
    assert_false(normalise_list(NULL, SLICE_LIT("staff-request@x.org"), &key));
    buf_fini(&key);
}

static void test_encapsulate(void **state)
{
    static const struct {
        const char *name, *local;
    } names[] = {{"/o=Example/cn=Ann B", "IMCEAEX-_o=Example_cn=Ann+20B"},
        {"/o=A_b/cn=x.y(z)+", "IMCEAEX-_o=A+5Fb_cn=x+2Ey+28z+29+2B"}, {"", "IMCEAEX-"},
        {"/o=\xc3\xa4", "IMCEAEX-_o=+C3+A4"}};
    struct buf local;
    (void)state;
    buf_init(&local, 1000);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        buf_clear(&local);
        assert_int_equal(normalise_encapsulate(slice_str(names[i].name), &local), 0);
        assert_string_equal(buf_cstr(&local), names[i].local);
    }
    unsigned char text[300];
    memset(text, 'a', sizeof text);
    buf_clear(&local);
    assert_int_equal(normalise_encapsulate(slice_make(text, 249), &local), -1);
    assert_int_equal(local.n, 0);
    assert_int_equal(normalise_encapsulate(slice_make(text, 248), &local), 0);
    buf_fini(&local);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_without_configuration),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_encapsulate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
