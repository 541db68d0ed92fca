/* SPDX-License-Identifier: ISC */
#include <poll.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/os/lookup.h"
#include "tests/unit/unit.h"

static int gate[2]; /* the slow resolver answers when a byte is there */

static int slow(const char *host, struct net_addr *out, size_t max, size_t *n_out, struct err *err)
{
    char byte = 0;
    *n_out = 0;
    if (read(gate[0], &byte, 1) != 1)
        return err_set(err, ERR_BUG, 0, "the gate is gone");
    if (byte == 'x')
        return err_set(err, ERR_PERM, EX_NOHOST, "look up %s: no such name", host);
    while (byte == '2' && *n_out < max && *n_out < 2) {
        if (net_addr_parse(SLICE_LIT("192.0.2.1"), &out[(*n_out)++]) != 0)
            return err_set(err, ERR_BUG, 0, "no address");
    }
    return 0;
}

static bool is_readable(const struct lookup *l, int timeout_ms)
{
    struct pollfd p = {.fd = lookup_fd(l), .events = POLLIN};
    return poll(&p, 1, timeout_ms) == 1;
}

static void test_answers(void **state)
{
    static const struct {
        char byte;
        int result;
        size_t n;
        enum err_class class;
    } rows[] = {{'2', 0, 2, ERR_NONE}, {'x', -1, 0, ERR_PERM}, {'0', -1, 0, ERR_TEMP}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct lookup *l;
        struct net_addr addrs[LOOKUP_MAX];
        struct err err = ERR_INIT;
        size_t n;
        assert_int_equal(lookup_start("mail.example.org", slow, &l, &err), 0);
        assert_false(lookup_is_done(l));
        assert_false(is_readable(l, 0));
        assert_int_equal(write(gate[1], &rows[i].byte, 1), 1);
        assert_true(is_readable(l, 60000));
        assert_true(lookup_is_done(l));
        assert_int_equal(lookup_answer(l, addrs, &n, &err), rows[i].result);
        assert_int_equal(n, rows[i].n);
        assert_int_equal(err.class, rows[i].class);
        lookup_free(&l);
        assert_null(l);
    }
}

/* Nobody waits for it any more; it ends by itself. */
static void test_forgotten(void **state)
{
    struct lookup *l, *next;
    struct err err = ERR_INIT;
    (void)state;
    assert_int_equal(lookup_start("a", slow, &l, &err), 0);
    lookup_free(&l);
    lookup_free(&l);
    assert_int_equal(write(gate[1], "22", 2), 2);
    assert_int_equal(lookup_start("b", slow, &next, &err), 0);
    assert_true(is_readable(next, 60000));
    lookup_free(&next);
}

static void test_the_system_is_asked(void **state)
{
    struct lookup *l;
    struct net_addr addrs[LOOKUP_MAX];
    struct err err = ERR_INIT;
    size_t n;
    (void)state;
    assert_int_equal(lookup_start("localhost", NULL, &l, &err), 0);
    assert_true(is_readable(l, 60000));
    assert_int_equal(lookup_answer(l, addrs, &n, &err), 0);
    assert_true(n > 0 && net_addr_is_loopback(&addrs[0]));
    lookup_free(&l);
}

static int set_up(void **state)
{
    (void)state;
    return pipe(gate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_forgotten),
        cmocka_unit_test(test_the_system_is_asked),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
