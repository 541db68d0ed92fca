/* SPDX-License-Identifier: ISC */
#include <string.h>
#include "relay/clients.h"
#include "tests/unit/unit.h"

static struct net_addr addr(const char *text)
{
    struct net_addr a;

    assert_int_equal(net_addr_parse(slice_str(text), &a), 0);
    return a;
}

static void counts(void **state)
{
    struct clients *c = clients_new();
    struct net_addr a = addr("10.0.0.1"), b = addr("10.0.0.2");

    (void)state;
    assert_int_equal(clients_enter(c, &a), 1);
    assert_int_equal(clients_enter(c, &a), 2);
    assert_int_equal(clients_enter(c, &b), 1);
    clients_leave(c, &a);
    assert_int_equal(clients_enter(c, &a), 2);
    clients_leave(c, &a);
    clients_leave(c, &a);
    assert_int_equal(clients_enter(c, &a), 1);
    clients_free(&c);
    assert_null(c);
}

static void a_network_is_one_client(void **state)
{
    struct clients *c = clients_new();
    struct net_addr a = addr("2001:db8:0:1::1"), b = addr("2001:db8:0:1:ffff::2"),
                    other = addr("2001:db8:0:2::1");

    (void)state;
    assert_int_equal(clients_enter(c, &a), 1);
    assert_int_equal(clients_enter(c, &b), 2);
    assert_int_equal(clients_enter(c, &other), 1);
    clients_free(&c);
}

static struct net_addr numbered(unsigned n)
{
    struct net_addr a = addr("10.0.0.0");

    a.b[13] = (unsigned char)(n >> 16);
    a.b[14] = (unsigned char)(n >> 8);
    a.b[15] = (unsigned char)n;
    return a;
}

/* Against a plain array, with a step that visits all clients in another order than they came. */
static void many_come_and_go(void **state)
{
    enum { N = 1021, ROUNDS = 20000 };
    static size_t n[N];
    struct clients *c = clients_new();
    unsigned at = 1;

    (void)state;
    memset(n, 0, sizeof(n));
    for (int i = 0; i < ROUNDS; i++) {
        struct net_addr a;

        at = at * 1103515245U + 12345U;
        a = numbered(at / 65536 % N);
        if (n[at / 65536 % N] > 0 && (at & 0x8000) != 0) {
            clients_leave(c, &a);
            n[at / 65536 % N]--;
        } else {
            assert_int_equal(clients_enter(c, &a), ++n[at / 65536 % N]);
        }
    }
    for (unsigned i = 0; i < N; i++) {
        struct net_addr a = numbered(i);

        assert_int_equal(clients_enter(c, &a), n[i] + 1);
    }
    clients_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts),
        cmocka_unit_test(a_network_is_one_client),
        cmocka_unit_test(many_come_and_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
