/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/os/io.h"
#include "base/os/listener.h"
#include "base/os/sock.h"
#include "tests/unit/unit.h"

#define CLIENTS_MAX (2 * LISTENER_TURN_MAX + 2)

/* In place of the one of libc: descriptors are short for the next calls. */
static int n_short, n_accepts;

int accept4(int fd, struct sockaddr *addr, socklen_t *n, int flags)
{
    n_accepts++;
    if (n_short > 0) {
        n_short--;
        errno = EMFILE;
        return -1;
    }
    return (int)syscall(SYS_accept4, fd, addr, n, flags);
}

struct house {
    struct loop *loop;
    struct listener *listener;
    struct loop_timer *guard, *between;
    struct net_addr addr;
    uint16_t port;
    int clients[CLIENTS_MAX], taken[CLIENTS_MAX];
    int n_clients, n_taken, n_failed;
    int stop_at;    /* taken; 0: at the first failure */
    int n_between;  /* taken when another event had its turn */
    int free_at;    /* taken or failed: the listener goes then */
    bool frees_one; /* what the owner answers to a failure */
    uint64_t failed_ms;
};

static void on_guard(void *arg)
{
    (void)arg;
    fail_msg("the loop waited for something that never came");
}

static void on_between(void *arg)
{
    struct house *h = arg;

    h->n_between = h->n_taken;
}

static void goes(struct house *h)
{
    if (h->n_taken + h->n_failed != h->free_at)
        return;
    listener_free(&h->listener);
    assert_null(h->listener);
    loop_stop(h->loop);
}

static void on_accepted_own(void *arg, int fd, const struct net_addr *peer)
{
    struct house *h = arg;

    assert_true(net_addr_is_loopback(peer));
    h->taken[h->n_taken++] = fd;
    if (h->n_taken == 1)
        loop_timer_start(h->between, 0);
    if (h->n_taken == h->stop_at)
        loop_stop(h->loop);
    goes(h);
}

static bool on_failed(void *arg, const struct err *err)
{
    struct house *h = arg;

    assert_int_equal(err->class, ERR_TEMP);
    if (h->n_failed++ == 0)
        h->failed_ms = loop_now_ms(h->loop);
    if (h->stop_at == 0)
        loop_stop(h->loop);
    goes(h);
    return h->frees_one;
}

static const struct listener_events events = {.accepted_own = on_accepted_own, .failed = on_failed};

static struct house *opened(int n_clients)
{
    static struct house house;
    struct house *h = &house;
    struct net_endpoint where = {.host = (char *)(uintptr_t) "127.0.0.1"};
    struct err err = ERR_INIT;
    int fd;

    *h = (struct house){.loop = loop_new(), .n_clients = n_clients, .stop_at = -1, .free_at = -1};
    h->guard = loop_timer_new(h->loop, on_guard, h);
    loop_timer_start(h->guard, 30000);
    h->between = loop_timer_new(h->loop, on_between, h);
    assert_int_equal(sock_listen(&where, false, 0, &fd, &err), 0);
    assert_int_equal(sock_local(fd, &h->addr, &h->port, &err), 0);
    h->listener = listener_new_own(h->loop, fd, &events, h);
    for (int i = 0; i < n_clients; i++) {
        struct pollfd p = {.events = POLLOUT};

        assert_int_equal(sock_connect(&h->addr, h->port, &h->clients[i], &err), 0);
        p.fd = h->clients[i];
        assert_int_equal(poll(&p, 1, 30000), 1);
    }
    n_short = n_accepts = 0;
    return h;
}

static void closed(struct house *h)
{
    listener_free(&h->listener);
    loop_timer_free(&h->guard);
    loop_timer_free(&h->between);
    for (int i = 0; i < h->n_taken; i++)
        io_close(&h->taken[i]);
    for (int i = 0; i < h->n_clients; i++)
        io_close(&h->clients[i]);
    loop_free(&h->loop);
}

static void a_crowd_keeps_nobody_waiting(void **state)
{
    struct house *h = opened(2 * LISTENER_TURN_MAX + 2);

    (void)state;
    h->stop_at = h->n_clients;
    loop_run(h->loop);
    assert_int_equal(h->n_taken, h->n_clients);
    assert_int_equal(h->n_between, LISTENER_TURN_MAX);
    assert_int_equal(h->n_failed, 0);
    closed(h);
}

static void pauses_while_descriptors_are_short(void **state)
{
    struct house *h = opened(2);

    (void)state;
    h->stop_at = 2;
    n_short = 3;
    loop_run(h->loop);
    assert_int_equal(h->n_failed, 3);
    assert_true(loop_now_ms(h->loop) - h->failed_ms >= 3 * LISTENER_PAUSE_MS);
    assert_true(n_accepts >= 5 && n_accepts <= 6); /* the last may find nobody */
    closed(h);
}

static void tries_again_when_one_was_freed(void **state)
{
    struct house *h = opened(1);

    (void)state;
    h->stop_at = 1;
    h->frees_one = true;
    n_short = 100;
    loop_run(h->loop);
    assert_int_equal(h->n_failed, 100);
    assert_true(loop_now_ms(h->loop) - h->failed_ms < 100 * LISTENER_PAUSE_MS);
    closed(h);
}

static void is_freed_by_its_events(void **state)
{
    static const struct {
        int n_short, free_at;
        bool frees_one;
    } rows[] = {{0, 1, false}, {0, 2, false}, {1, 1, false}, {1, 1, true}, {1, 2, false}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct house *h = opened(3);
        struct err err = ERR_INIT;
        struct pollfd p = {.events = POLLIN};
        int fd = -1;

        h->free_at = rows[i].free_at;
        h->frees_one = rows[i].frees_one;
        n_short = rows[i].n_short;
        loop_run(h->loop);
        assert_int_equal(h->n_taken + h->n_failed, rows[i].free_at);
        /* Who still waited is told, and nobody can come any more. */
        p.fd = h->clients[2];
        assert_int_equal(poll(&p, 1, 30000), 1);
        if (sock_connect(&h->addr, h->port, &fd, &err) == 0) {
            p = (struct pollfd){.fd = fd, .events = POLLOUT};
            assert_int_equal(poll(&p, 1, 30000), 1);
            assert_int_not_equal(sock_connect_result(fd, &err), 0);
            io_close(&fd);
        }
        closed(h);
    }
}

static void is_freed_in_a_pause(void **state)
{
    struct house *h = opened(1);

    (void)state;
    n_short = 1;
    h->stop_at = 0;
    loop_run(h->loop);
    assert_int_equal(h->n_failed, 1);
    closed(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_crowd_keeps_nobody_waiting),
        cmocka_unit_test(pauses_while_descriptors_are_short),
        cmocka_unit_test(tries_again_when_one_was_freed), cmocka_unit_test(is_freed_by_its_events),
        cmocka_unit_test(is_freed_in_a_pause)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
