/* SPDX-License-Identifier: ISC */
#include <fcntl.h>
#include <sysexits.h>
#include <unistd.h>
#include "base/os/io.h"
#include "base/os/sock.h"
#include "relay/listeners.h"
#include "tests/unit/unit.h"

/* A loopback address that no other process uses, so that a free port stays free. */
static char own_address[sizeof "127.255.255.255"];

/* A port that is free now. */
static uint16_t free_port(void)
{
    struct net_endpoint where = {.host = own_address};
    struct net_addr addr;
    struct err err = ERR_INIT;
    uint16_t port;
    int fd;

    assert_int_equal(sock_listen(&where, false, 0, &fd, &err), 0);
    assert_int_equal(sock_local(fd, &addr, &port, &err), 0);
    io_close(&fd);
    return port;
}

static struct conf conf_with(struct net_endpoint *where, size_t n)
{
    struct conf conf = {.relay.listen = {.v = where, .n = n}};

    return conf;
}

static bool is_listening(uint16_t port)
{
    struct net_endpoint where = {.host = own_address, .port = port};
    struct err err = ERR_INIT;
    int fd = -1;
    bool is_free = sock_listen(&where, false, 0, &fd, &err) == 0;

    io_close(&fd);
    return !is_free;
}

/* How many of the sockets a worker keeps; the child process is imagined: all others are closed. */
static void each_worker_has_its_own(void **state)
{
    (void)state;
    for (unsigned slot = 0; slot < 3; slot++) {
        struct net_endpoint where[2] = {{.host = own_address, .port = free_port()},
            {.scheme = NET_SCHEME_LMTP, .host = own_address}};
        struct conf conf;
        struct listeners *l = listeners_new();
        struct err err = ERR_INIT;
        const struct worker_listener *kept;
        size_t n = 0;

        where[1].port = free_port();
        conf = conf_with(where, 2);
        assert_int_equal(listeners_open(l, &conf, 5, &err), 0);
        /* Five sockets for three workers: 0 and 3, 1 and 4, 2. */
        kept = listeners_keep(l, &conf, slot, 3, &n);
        assert_int_equal(n, slot < 2 ? 4 : 2);
        assert_false(kept[0].is_lmtp);
        assert_true(kept[n - 1].is_lmtp);
        for (size_t i = 0; i < n; i++) {
            int fd = kept[i].fd;

            assert_true(fcntl(fd, F_GETFD) >= 0);
            io_close(&fd);
        }
        assert_false(is_listening(where[0].port));
        listeners_free(&l);
        assert_null(l);
    }
}

static void undone(void **state)
{
    struct net_endpoint where[2] = {
        {.host = own_address, .port = free_port()}, {.host = own_address}};
    struct conf one = conf_with(where, 1), two = conf_with(where, 2);
    struct listeners *l = listeners_new();
    struct err err = ERR_INIT;
    size_t n;

    (void)state;
    where[1].port = free_port();
    assert_int_equal(listeners_open(l, &one, 1, &err), 0);
    assert_int_equal(listeners_open(l, &two, 2, &err), 0);
    assert_true(is_listening(where[1].port));
    listeners_undo(l);
    assert_true(is_listening(where[0].port));
    assert_false(is_listening(where[1].port));
    (void)listeners_keep(l, &two, 0, 1, &n);
    assert_int_equal(n, 1);
    listeners_free(&l);
}

static void in_use(void **state)
{
    struct net_endpoint where[2] = {
        {.host = own_address, .port = free_port()}, {.host = own_address}};
    struct conf conf = conf_with(where, 2);
    struct listeners *l = listeners_new(), *other = listeners_new();
    struct err err = ERR_INIT;
    struct conf theirs = conf_with(where + 1, 1);

    (void)state;
    where[1].port = free_port();
    assert_int_equal(listeners_open(other, &theirs, 2, &err), 0);
    assert_int_equal(listeners_open(l, &conf, 2, &err), -1);
    assert_int_equal(err.code, EX_UNAVAILABLE);
    assert_non_null(strstr(err.text, own_address));
    assert_false(is_listening(where[0].port));
    listeners_free(&other);
    assert_int_equal(listeners_open(l, &conf, 2, &err), 0);
    listeners_prune(l, &theirs);
    assert_false(is_listening(where[0].port));
    assert_true(is_listening(where[1].port));
    listeners_free(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_worker_has_its_own),
        cmocka_unit_test(undone),
        cmocka_unit_test(in_use),
    };
    unsigned pid = (unsigned)getpid();

    if (fmt_into(own_address, sizeof own_address, "127.%u.%u.%u", 1 + (pid >> 16 & 63),
            pid >> 8 & 255, pid & 255) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
