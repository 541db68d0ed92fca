/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include "maps/trace.h"
#include "tests/unit/unit.h"

#define NOW 1800000000
#define HEX_A "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define HEX_B "ff0102030405060708090A0B0C0D0E0F101112131415161718191a1b1c1d1e1f"

static struct trace_keys *keys_of(const char *text)
{
    struct trace_keys *k = NULL;
    struct err err = ERR_INIT;
    if (trace_keys_parse(slice_str(text), &k, &err) != 0)
        fail_msg("%s", err.text);
    return k;
}

static void test_size(void **state)
{
    static const char longest[] =
        "server-name.of_the_longest.kind-0123456789abcdefghijklmnopqrstuv";
    static const uint64_t epochs[] = {0, 9, 10, 12345678901, UINT64_MAX};
    static const int64_t times[] = {0, NOW, INT64_MAX};
    struct trace_keys *k = keys_of("abcdefghijklmnopqrstuvwxyz.-_456 " HEX_A);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(epochs) * COUNT_OF(times) * 2; i++) {
        struct trace_rcpt rcpt = {SLICE_LIT("alice@example.org"), epochs[i % COUNT_OF(epochs)]};
        int64_t now = times[i / COUNT_OF(epochs) % COUNT_OF(times)];
        struct slice server = slice_str(i % 2 ? longest : "x");
        struct buf out;

        buf_init(&out, TRACE_STAMP_MAX);
        assert_int_equal(trace_stamp(k, &rcpt, 1, server, now, &out), 0);
        assert_int_equal(trace_stamp_size(k, rcpt.epoch, server, now), out.n);
        buf_fini(&out);
    }
    trace_keys_free(&k);
}

static void test_keys(void **state)
{
    static const struct {
        const char *name, *text;
        int rc;
    } rows[] = {
        {"one", "a " HEX_A "\n", 0},
        {"no line end", "a " HEX_A, 0},
        {"two", "a " HEX_A "\nb " HEX_B "\n", 0},
        {"blank lines", "\n a " HEX_A " \n\n", 0},
        {"id at its longest", "abcdefghijklmnopqrstuvwxyz.-_456 " HEX_A, 0},
        {"id too long", "abcdefghijklmnopqrstuvwxyz.-_4567 " HEX_A, -1},
        {"nothing", "", -1},
        {"blank", "\n\n", -1},
        {"three", "a " HEX_A "\nb " HEX_B "\nc " HEX_B "\n", -1},
        {"same id", "a " HEX_A "\na " HEX_B "\n", -1},
        {"no id", " " HEX_A, -1},
        {"id with a semicolon", "a; " HEX_A, -1},
        {"a digit less", "a 0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", -1},
        {"a digit more", "a " HEX_A "0", -1},
        {"not hexadecimal", "a x" HEX_A, -1},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct trace_keys *k = NULL;
        struct err err = ERR_INIT;
        int rc = trace_keys_parse(slice_str(rows[i].text), &k, &err);
        assert_row(rows[i].name, rc == rows[i].rc && (k != NULL) == (rc == 0));
        assert_row(rows[i].name, rc == 0 || (err.text[0] && !strstr(err.text, "0102")));
        trace_keys_free(&k);
        assert_null(k);
    }
}

/* The field as it is on the wire: other gateways of the site must agree on it. */
static void test_field(void **state)
{
    struct trace_keys *k = keys_of("k1 " HEX_A);
    struct trace_rcpt rcpts[3] = {{SLICE_LIT("alice@example.org"), 7},
        {SLICE_LIT("bob@example.org"), 8}, {SLICE_LIT("carol@example.org"), UINT64_MAX}};
    struct buf out;
    (void)state;
    buf_init(&out, 4096);
    assert_int_equal(trace_stamp(k, rcpts, 1, SLICE_LIT("new"), NOW, &out), 0);
    assert_string_equal(buf_cstr(&out), "Coexist-Trace: v=1; k=k1; t=1800000000;\r\n"
                                        " s=new;\r\n"
                                        " 7:FFlCoGyMRM1Px0hAwzafcw\r\n");
    buf_clear(&out);
    assert_int_equal(trace_stamp(k, rcpts, 3, SLICE_LIT("new"), NOW, &out), 0);
    size_t column = 0;
    for (size_t i = 0; i < out.n; i++) {
        column = buf_slice(&out).p[i] == '\n' ? 0 : column + 1;
        assert_in_range(column, 0, 78); /* with the CR */
    }
    assert_true(slice_search(buf_slice(&out), SLICE_LIT("alice")) < 0);

    /* All or nothing. */
    size_t whole = out.n;
    for (size_t max = 0; max <= whole; max++) {
        struct buf small;
        buf_init(&small, max);
        assert_int_equal(
            trace_stamp(k, rcpts, 3, SLICE_LIT("new"), NOW, &small), max < whole ? -1 : 0);
        assert_int_equal(small.n, max < whole ? 0 : whole);
        buf_fini(&small);
    }
    buf_clear(&out);
    assert_int_equal(trace_stamp(k, rcpts, 0, SLICE_LIT("new"), NOW, &out), -1);
    assert_int_equal(trace_stamp(k, rcpts, 1, SLICE_LIT("ne w"), NOW, &out), -1);
    assert_int_equal(trace_stamp(k, rcpts, 1, SLICE_LIT(""), NOW, &out), -1);
    assert_int_equal(trace_stamp(k, rcpts, 1, SLICE_LIT("new"), -1, &out), -1);
    assert_int_equal(out.n, 0);
    char name[65];
    memset(name, 'a', sizeof name);
    assert_true(trace_is_server_name(slice_make(name, 63)));
    assert_true(trace_is_server_name(slice_make(name, 64)));
    assert_false(trace_is_server_name(slice_make(name, 65)));
    buf_fini(&out);
    trace_keys_free(&k);
}

/* A header with stamps for alice (epoch 7, server new) and whatever stands around them. */
static struct buf header_of(
    const struct trace_keys *k, int64_t t, const char *before, const char *after)
{
    struct trace_rcpt rcpts[2] = {
        {SLICE_LIT("bob@example.org"), 3}, {SLICE_LIT("alice@example.org"), 7}};
    struct buf h;
    buf_init(&h, 1u << 20);
    assert_int_equal(buf_add_str(&h, before), 0);
    assert_int_equal(trace_stamp(k, rcpts, 2, SLICE_LIT("new"), t, &h), 0);
    assert_int_equal(buf_add_str(&h, after), 0);
    return h;
}

static size_t find(const struct trace_keys *k, struct slice header, const char *rcpt, int64_t now,
    struct decide_stamp *out)
{
    return trace_find(k, header, slice_str(rcpt), now, out, 8);
}

static void test_find(void **state)
{
    struct trace_keys *k = keys_of("k1 " HEX_A);
    struct trace_keys *rotated = keys_of("k2 " HEX_B "\nk1 " HEX_A);
    struct trace_keys *other = keys_of("k1 " HEX_B);
    struct decide_stamp s[8];
    (void)state;
    struct buf h = header_of(k, NOW, "Received: x\r\n", "Subject: y\r\n\r\n");
    struct slice header = buf_slice(&h);
    assert_int_equal(find(k, header, "alice@example.org", NOW, s), 1);
    assert_slice_equal(s[0].server, "new");
    assert_int_equal(s[0].epoch, 7);
    assert_int_equal(s[0].time_s, NOW);
    assert_true(s[0].server.p > header.p && s[0].server.p < header.p + header.n);
    assert_int_equal(find(k, header, "bob@example.org", NOW, s), 1);
    assert_int_equal(s[0].epoch, 3);
    assert_int_equal(find(k, header, "carol@example.org", NOW, s), 0);
    assert_int_equal(find(rotated, header, "alice@example.org", NOW, s), 1);
    assert_int_equal(find(other, header, "alice@example.org", NOW, s), 0);

    /* Age: younger than TRACE_VALID_S counts. */
    assert_int_equal(find(k, header, "alice@example.org", NOW + TRACE_VALID_S - 1, s), 1);
    assert_int_equal(find(k, header, "alice@example.org", NOW + TRACE_VALID_S, s), 0);
    assert_int_equal(find(k, header, "alice@example.org", NOW + TRACE_VALID_S + 1, s), 0);
    assert_int_equal(find(k, header, "alice@example.org", NOW - 100000, s), 1);

    /* Any changed byte of what is signed makes it another stamp, or none. */
    ptrdiff_t start = slice_search(header, SLICE_LIT("v=1"));
    ptrdiff_t end = slice_search(header, SLICE_LIT("Subject"));
    size_t found = 0;
    for (ptrdiff_t i = start; i < end; i++) {
        if (h.p[i] == ' ' || h.p[i] == '\r' || h.p[i] == '\n' || h.p[i] == ';')
            continue;
        h.p[i] ^= 1;
        found += find(k, header, "alice@example.org", NOW, s);
        h.p[i] ^= 1;
    }
    /* Only the digit and the 22 characters of the other recipient's item do not matter. */
    assert_int_equal(found, 23);
    buf_fini(&h);
    trace_keys_free(&k);
    trace_keys_free(&rotated);
    trace_keys_free(&other);
}

static void test_forms(void **state)
{
    struct trace_keys *k = keys_of("k1 " HEX_A);
    struct decide_stamp s[8];
    struct buf h = header_of(k, NOW, "", "");
    ptrdiff_t colon = slice_find(buf_slice(&h), ':');
    (void)state;
    struct slice value = slice_from(buf_slice(&h), (size_t)colon + 1);
    const struct {
        const char *name, *before;
        bool unfold;
        const char *after;
        size_t n;
    } rows[] = {
        {"as made", "Coexist-Trace:", false, "", 1},
        {"case of the name", "COEXIST-trace:", false, "", 1},
        {"blank before the colon", "Coexist-Trace \t:", false, "", 1},
        {"unfolded", "Coexist-Trace:", true, "", 1},
        {"folded at the start", "Coexist-Trace:\r\n ", false, "", 1},
        {"LF only", "From: a\nCoexist-Trace:", false, "", 1},
        {"behind other fields", "From: a\r\n b\r\nCoexist-Trace:", false, "To: c\r\n", 1},
        {"in the body", "From: a\r\n\r\nCoexist-Trace:", false, "", 0},
        {"in the body, LF only", "From: a\n\nCoexist-Trace:", false, "", 0},
        {"in a folded line", "From: a\r\n Coexist-Trace:", false, "", 0},
        {"another name", "X-Coexist-Trace:", false, "", 0},
        {"longer name", "Coexist-Tracer:", false, "", 0},
        {"no colon", "Coexist-Trace", false, "", 0},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf header;
        buf_init(&header, 65536);
        assert_int_equal(buf_add_str(&header, rows[i].before), 0);
        size_t at = header.n;
        assert_int_equal(buf_add(&header, value), 0);
        for (; rows[i].unfold && at + 2 < header.n; at++)
            if (header.p[at] == '\r' || header.p[at] == '\n')
                header.p[at] = ' ';
        assert_int_equal(buf_add_str(&header, rows[i].after), 0);
        size_t n = find(k, buf_slice(&header), "alice@example.org", NOW, s);
        assert_row(rows[i].name, n == rows[i].n);
        buf_fini(&header);
    }
    buf_fini(&h);
    trace_keys_free(&k);
}

/* Two hops, the newest first; and the bounds. */
static void test_many(void **state)
{
    struct trace_keys *k = keys_of("k1 " HEX_A);
    static struct decide_stamp s[2 * TRACE_FIELDS_MAX];
    struct trace_rcpt alice = {SLICE_LIT("alice@example.org"), 7};
    struct buf h;
    (void)state;
    buf_init(&h, 1u << 20);
    for (size_t n = 1; n <= TRACE_FIELDS_MAX + 1; n++) {
        assert_int_equal(trace_stamp(k, &alice, 1, n % 2 ? SLICE_LIT("old") : SLICE_LIT("new"),
                             NOW - (int)n, &h),
            0);
        size_t got = trace_find(k, buf_slice(&h), alice.key, NOW, s, COUNT_OF(s));
        assert_int_equal(got, n <= TRACE_FIELDS_MAX ? n : TRACE_FIELDS_MAX);
        assert_int_equal(trace_find(k, buf_slice(&h), alice.key, NOW, s, 1), 1);
    }
    assert_slice_equal(s[0].server, "old");
    assert_int_equal(s[0].time_s, NOW - 1);
    assert_slice_equal(s[1].server, "new");

    /* Forged items cost a bounded number of digests, and then hide what is below them. */
    static const size_t forged[] = {2046, 2047, 2048, 2049};
    for (size_t f = 0; f < COUNT_OF(forged); f++) {
        buf_clear(&h);
        assert_int_equal(buf_add_str(&h, "Coexist-Trace: v=1; k=k1; t=1800000000; s=new;"), 0);
        for (size_t i = 0; i < forged[f]; i++)
            assert_int_equal(buf_addf(&h, "%s %zu:AAAAAAAAAAAAAAAAAAAAAA", i ? ",\r\n" : "", i), 0);
        assert_int_equal(buf_add_str(&h, "\r\n"), 0);
        assert_int_equal(trace_stamp(k, &alice, 1, SLICE_LIT("new"), NOW, &h), 0);
        size_t got = trace_find(k, buf_slice(&h), alice.key, NOW, s, COUNT_OF(s));
        assert_int_equal(got, forged[f] < 2048 ? 1 : 0);
    }
    buf_fini(&h);
    trace_keys_free(&k);
}

/* No header, cut anywhere, is read past its end (ASan looks) or gives a stamp that is not there. */
static void test_cut(void **state)
{
    struct trace_keys *k = keys_of("k1 " HEX_A);
    struct decide_stamp s[8];
    struct buf h = header_of(k, NOW, "A: b\r\n", "");
    (void)state;
    for (size_t n = 0; n <= h.n; n++) {
        unsigned char *copy = malloc(n ? n : 1);
        assert_non_null(copy);
        memcpy(copy, h.p + h.off, n);
        size_t got = find(k, slice_make(copy, n), "alice@example.org", NOW, s);
        /* The last item ends two bytes before the end. */
        assert_int_equal(got, n + 2 >= h.n ? 1 : 0);
        free(copy);
    }
    buf_fini(&h);
    trace_keys_free(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_size),
        cmocka_unit_test(test_field),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
