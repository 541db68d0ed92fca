/* SPDX-License-Identifier: ISC */
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/os/loop.h"
#include "tests/unit/unit.h"

struct seen {
    struct loop *loop;
    struct loop_io *io;
    struct loop_timer *timer, *guard;
    struct loop_async *async;
    struct loop_signal *signal;
    int fd, events, calls;
    uint64_t at_ms;
};

static void on_guard(void *arg)
{
    (void)arg;
    fail_msg("the loop waited for something that never came");
}

static void begin(struct seen *s)
{
    *s = (struct seen){.loop = loop_new(), .fd = -1};
    s->guard = loop_timer_new(s->loop, on_guard, s);
    loop_timer_start(s->guard, 30000);
}

static void end(struct seen *s)
{
    loop_timer_free(&s->guard);
    loop_free(&s->loop);
    assert_null(s->loop);
}

static void on_readable(void *arg, int events)
{
    struct seen *s = arg;
    char c;

    s->events |= events;
    s->calls++;
    if (events & LOOP_READ)
        assert_int_equal(read(s->fd, &c, 1), 1);
    if (s->calls == 3) {
        /* Freed inside its own callback. */
        loop_io_free(&s->io);
        loop_stop(s->loop);
    }
}

static void test_io(void **state)
{
    struct seen s;
    int pair[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    begin(&s);
    s.fd = pair[0];
    s.io = loop_io_new(s.loop, pair[0], on_readable, &s);
    loop_io_want(s.io, LOOP_READ);
    assert_int_equal(write(pair[1], "abc", 3), 3);
    loop_run(s.loop);
    assert_null(s.io);
    assert_int_equal(s.calls, 3);
    assert_int_equal(s.events, LOOP_READ);
    close(pair[0]);
    close(pair[1]);
    end(&s);
}

static void on_any(void *arg, int events)
{
    struct seen *s = arg;

    s->events = events;
    s->calls++;
    loop_io_want(s->io, 0);
    loop_stop(s->loop);
}

static void test_interest(void **state)
{
    struct seen s;
    int pair[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    begin(&s);
    s.io = loop_io_new(s.loop, pair[0], on_any, &s);
    loop_io_want(s.io, LOOP_READ);
    loop_io_want(s.io, 0);
    loop_io_want(s.io, LOOP_WRITE);
    loop_io_want(s.io, LOOP_WRITE);
    loop_run(s.loop);
    assert_int_equal(s.events, LOOP_WRITE);
    assert_int_equal(write(pair[1], "x", 1), 1);
    loop_io_want(s.io, LOOP_READ | LOOP_WRITE);
    loop_run(s.loop);
    assert_int_equal(s.events, LOOP_READ | LOOP_WRITE);
    /* The end of the stream counts as readable. */
    close(pair[1]);
    loop_io_want(s.io, LOOP_READ);
    loop_run(s.loop);
    assert_int_equal(s.events & LOOP_READ, LOOP_READ);
    loop_io_free(&s.io);
    /* The same descriptor number may be used again at once. */
    close(pair[0]);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    s.io = loop_io_new(s.loop, pair[0], on_any, &s);
    loop_io_want(s.io, LOOP_WRITE);
    loop_run(s.loop);
    loop_io_free(&s.io);
    close(pair[0]);
    close(pair[1]);
    end(&s);
}

static void on_timer(void *arg)
{
    struct seen *s = arg;

    s->at_ms = loop_now_ms(s->loop);
    if (++s->calls == 3) {
        loop_timer_free(&s->timer);
        loop_stop(s->loop);
    }
}

static void on_timer_once(void *arg)
{
    struct seen *s = arg;

    s->calls++;
    loop_stop(s->loop);
}

static void test_timers(void **state)
{
    struct seen s;
    struct loop_timer *never;
    uint64_t start;

    (void)state;
    begin(&s);
    start = loop_now_ms(s.loop);
    s.timer = loop_timer_new(s.loop, on_timer, &s);
    never = loop_timer_new(s.loop, on_guard, &s);
    loop_timer_start(never, 1);
    loop_timer_stop(never);
    loop_timer_repeat(s.timer, 2);
    loop_run(s.loop);
    assert_int_equal(s.calls, 3);
    assert_true(s.at_ms >= start + 6);
    assert_null(s.timer);
    s.timer = loop_timer_new(s.loop, on_timer_once, &s);
    loop_timer_start(s.timer, 60000);
    loop_timer_start(s.timer, 1);
    loop_run(s.loop);
    assert_int_equal(s.calls, 4);
    loop_timer_free(&s.timer);
    loop_timer_free(&never);
    loop_timer_free(&never);
    end(&s);
}

static void on_signal(void *arg, int signum)
{
    struct seen *s = arg;

    s->events = signum;
    loop_signal_free(&s->signal);
    loop_stop(s->loop);
}

static void test_signal(void **state)
{
    struct seen s;

    (void)state;
    begin(&s);
    s.signal = loop_signal_new(s.loop, SIGUSR2, on_signal, &s);
    assert_int_equal(raise(SIGUSR2), 0);
    loop_run(s.loop);
    assert_int_equal(s.events, SIGUSR2);
    end(&s);
}

static void on_async(void *arg)
{
    struct seen *s = arg;

    s->calls++;
    loop_async_free(&s->async);
    loop_stop(s->loop);
}

static void *send_from_thread(void *arg)
{
    loop_async_send(arg);
    return NULL;
}

static void test_async(void **state)
{
    struct seen s;
    pthread_t thread;

    (void)state;
    begin(&s);
    s.async = loop_async_new(s.loop, on_async, &s);
    assert_int_equal(pthread_create(&thread, NULL, send_from_thread, s.async), 0);
    loop_run(s.loop);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(s.calls, 1);
    end(&s);
}

static void test_end_without_handles(void **state)
{
    struct loop *l = loop_new();
    size_t size;
    unsigned char *scratch = loop_scratch(l, &size);

    (void)state;
    loop_run(l);
    scratch[size - 1] = 1;
    assert_ptr_equal(loop_scratch(l, &size), scratch);
    loop_free(&l);
    loop_free(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_io),
        cmocka_unit_test(test_interest),
        cmocka_unit_test(test_timers),
        cmocka_unit_test(test_signal),
        cmocka_unit_test(test_async),
        cmocka_unit_test(test_end_without_handles),
    };

    return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
