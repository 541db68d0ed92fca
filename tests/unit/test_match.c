/* SPDX-License-Identifier: ISC */
/*
 * A row says what either side has, a letter for each message: 'a' is a content, 'A' the same with
 * other line ends, 'a+' with another header line.  "-" cannot be read, "?" has no digests without
 * line ends; "/" stands before one that comes last, and a digit behind one whose flags are known.
 */
#include <stdlib.h>
#include <string.h>
#include "base/core/mem.h"
#include "imapsync/plan/match.h"
#include "tests/unit/unit.h"

static const struct flags some[] = {{.system = 0}, {.system = FLAG_SEEN}, {.keywords = {1}}};

static size_t side(const char *text, struct body *v)
{
    size_t n = 0;
    for (const char *p = text; *p; p++) {
        if (*p == '/')
            continue;
        struct body *b = &v[n++];
        *b = (struct body){.uid = (uint32_t)n * 10, .is_there = *p != '-'};
        unsigned char letter = (unsigned char)(*p | 0x20);
        memcpy(b->digest, p, 1);
        b->canon.text[0] = letter;
        b->canon.header[0] = 1;
        b->comes_last = p > text && p[-1] == '/';
        if (p[1] == '+' || p[1] == '*') {
            b->digest[1] = b->canon.header[0] = (unsigned char)p[1];
            p++;
        } else if (p[1] == '?') {
            b->canon = (struct canon){.text = {0}};
            p++;
        }
        if (p[1] >= '0' && p[1] <= '2')
            b->flags = &some[*++p - '0'];
    }
    return n;
}

static const struct {
    const char *name, *a, *b;
    enum match_how furthest;
    const char *want;
} cases[] = {
    {"nothing", "", "", MATCH_TEXT, ""},
    {"nothing on one side", "a", "", MATCH_TEXT, ""},
    {"each its own", "abc", "cab", MATCH_EXACT, "10-20 20-30 30-10"},
    {"k equal ones stay k", "aaa", "aa", MATCH_EXACT, "10-10 20-20"},
    {"m equal ones stay m", "aa", "aaa", MATCH_EXACT, "10-10 20-20"},
    {"what comes last", "/aaa", "aa", MATCH_EXACT, "20-10 30-20"},
    {"what comes last, and is closer", "/aa+", "a", MATCH_TEXT, "10-10"},
    {"equal flags first", "a0a1", "a1a0", MATCH_EXACT, "10-20 20-10"},
    {"equal flags before what comes last", "/a0a1", "a0", MATCH_EXACT, "10-10"},
    {"other flags", "/a0a1", "a2", MATCH_EXACT, "20-10"},
    {"flags and none", "aa1a2", "a2a0a", MATCH_EXACT, "10-20 20-30 30-10"},
    {"flags that one side does not know", "a0a1", "aa", MATCH_EXACT, "10-10 20-20"},
    {"the closer one, with other flags", "a0", "A0a1", MATCH_TEXT, "10-20"},
    {"equal flags of those that are as close", "a0", "A1A0", MATCH_TEXT, "10-20"},
    {"other line ends", "ab", "AB", MATCH_LINES, "10-10 20-20"},
    {"other line ends do not count", "ab", "AB", MATCH_EXACT, ""},
    {"another header line", "ab", "a+b+", MATCH_TEXT, "10-10 20-20"},
    {"another header line does not count", "ab", "a+b+", MATCH_LINES, ""},
    {"the exact one first", "Aa", "a", MATCH_TEXT, "20-10"},
    {"the exact one first, the other way round", "a", "a+Aa", MATCH_TEXT, "10-30"},
    {"the closer one first", "a", "a+A", MATCH_TEXT, "10-20"},
    {"two header lines and their own", "a+a*", "a*a+", MATCH_TEXT, "10-20 20-10"},
    {"as many as there are", "aA", "a+a*a", MATCH_TEXT, "10-30 20-10"},
    {"what cannot be read", "-a", "-a", MATCH_TEXT, "20-20"},
    {"without those digests", "a?", "A", MATCH_TEXT, ""},
    {"without those digests, exact", "a?", "a", MATCH_TEXT, "10-10"},
    {"neither has them", "a?b?", "b?a?", MATCH_TEXT, "10-20 20-10"},
};

static void test_pairs(void **state)
{
    struct body *a = mem_zalloc(20 * sizeof(*a)), *b = mem_zalloc(20 * sizeof(*b));
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        size_t n_a = side(cases[i].a, a), n_b = side(cases[i].b, b), mates = 0;
        struct buf text;
        buf_init(&text, 1000);
        match_up(a, n_a, b, n_b, cases[i].furthest);
        for (size_t k = 0; k < n_a; k++) {
            assert_int_equal(a[k].uid, (k + 1) * 10);
            if (a[k].mate == 0)
                continue;
            mates++;
            assert_int_equal(buf_addf(&text, "%s%u-%u", text.n ? " " : "", a[k].uid, a[k].mate), 0);
            assert_int_equal(b[a[k].mate / 10 - 1].mate, a[k].uid);
        }
        for (size_t k = 0; k < n_b; k++)
            mates -= b[k].mate != 0;
        assert_row(cases[i].name, mates == 0 && strcmp(buf_cstr(&text), cases[i].want) == 0);
        buf_fini(&text);
    }
    free(a);
    free(b);
}

/* The second of two equal ones is said to be it; nothing else that is said holds. */
static void test_hinted(void **state)
{
    static const struct match_hint hints[] = {{20, 20}, {10, 30}, {30, 30}, {40, 10}, {10, 50}};
    struct body a[3], b[3];
    (void)state;
    size_t n_a = side("aba", a), n_b = side("aba+", b);
    match_hinted(a, n_a, b, n_b, hints, COUNT_OF(hints));
    assert_int_equal(a[0].mate, 0);
    assert_int_equal(a[1].mate, 20);
    assert_int_equal(a[2].mate, 0); /* alike is not the same */
    n_a = side("a", a);
    n_b = side("aa", b);
    match_hinted(a, n_a, b, n_b, &(struct match_hint){10, 20}, 1);
    match_up(a, n_a, b, n_b, MATCH_TEXT);
    assert_int_equal(a[0].mate, 20);
    assert_int_equal(b[0].mate, 0);
}

static void test_how(void **state)
{
    static const struct {
        const char *a, *b;
        enum match_how want;
    } rows[] = {{"a", "a", MATCH_EXACT}, {"a", "A", MATCH_LINES}, {"a", "a+", MATCH_TEXT},
        {"a", "b", MATCH_NOTHING}, {"a", "-", MATCH_NOTHING}, {"a?", "A", MATCH_NOTHING},
        {"a?", "a", MATCH_EXACT}};
    struct body a, b;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        side(rows[i].a, &a);
        side(rows[i].b, &b);
        assert_int_equal(match_of(&a, &b), rows[i].want);
        assert_int_equal(match_of(&b, &a), rows[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_hinted),
        cmocka_unit_test(test_how),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
