/* SPDX-License-Identifier: ISC */
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/core/buf.h"
#include "base/core/mem.h"
#include "base/os/sock.h"
#include "base/os/stream.h"
#include "tests/unit/unit.h"

enum { IN_MAX = 1000, OUT_MAX = 100000 };

/* One end.  What it does with data is set by the test. */
struct end {
    struct stream *s;
    struct loop *loop;
    struct buf got;
    struct err why;
    int connected, drained, closed, offers, ended;
    size_t take_max; /* uses at most so much per offer; 0: uses nothing */
    size_t pause_at; /* pauses when it has got so much */
    size_t stop_at;  /* stops the loop when it has got so much */
    bool is_half;    /* wants to know when the peer has closed its side */
    bool echo, free_on_data, free_on_close, finish_on_data, stop_on_drained;
};

static void on_connected(void *arg)
{
    struct end *e = arg;

    e->connected++;
}

static size_t on_data(void *arg, struct slice in)
{
    struct end *e = arg;
    size_t n = in.n < e->take_max ? in.n : e->take_max;

    assert_int_equal(e->closed, 0);
    e->offers++;
    assert_int_equal(buf_add(&e->got, slice_sub(in, 0, n)), 0);
    if (e->echo)
        assert_int_equal(stream_write(e->s, slice_sub(in, 0, n)), 0);
    if (e->pause_at > 0 && e->got.n >= e->pause_at) {
        stream_pause(e->s);
        loop_stop(e->loop);
    }
    if (e->stop_at > 0 && e->got.n >= e->stop_at)
        loop_stop(e->loop);
    if (e->finish_on_data)
        stream_finish(e->s);
    if (e->free_on_data) {
        stream_free(&e->s);
        loop_stop(e->loop);
    }
    return n;
}

static void on_drained(void *arg)
{
    struct end *e = arg;

    e->drained++;
    if (e->stop_on_drained)
        loop_stop(e->loop);
}

static void on_closed(void *arg, const struct err *why)
{
    struct end *e = arg;

    e->closed++;
    e->why = *why;
    if (e->free_on_close)
        stream_free(&e->s);
    loop_stop(e->loop);
}

static void on_ended(void *arg)
{
    struct end *e = arg;

    e->ended++;
    loop_stop(e->loop);
}

static const struct stream_events half_events = {
    .data = on_data, .drained = on_drained, .ended = on_ended, .closed = on_closed};
static const struct stream_events events = {
    .connected = on_connected, .data = on_data, .drained = on_drained, .closed = on_closed};

struct fixture {
    struct loop *loop;
    struct loop_timer *guard, *step;
    struct end a, b;
    int raw; /* the other side of a, when b is not a stream */
};

static void on_guard(void *arg)
{
    (void)arg;
    fail_msg("nothing happened any more");
}

static void on_step(void *arg)
{
    struct fixture *f = arg;

    loop_stop(f->loop);
}

static void end_start(struct fixture *f, struct end *e, int fd, bool is_connecting)
{
    e->loop = f->loop;
    e->take_max = SIZE_MAX;
    buf_init(&e->got, 64U << 20);
    e->s = stream_new_own(f->loop, fd, is_connecting, e->is_half ? &half_events : &events, e,
        (struct stream_limits){.in_max = IN_MAX, .out_max = OUT_MAX});
}

static int set_up(void **state)
{
    struct fixture *f = mem_zalloc(sizeof(*f));

    (void)signal(SIGPIPE, SIG_DFL); /* a plain stream needs no help against it */
    f->loop = loop_new();
    f->guard = loop_timer_new(f->loop, on_guard, f);
    loop_timer_start(f->guard, 30000);
    f->step = loop_timer_new(f->loop, on_step, f);
    f->raw = -1;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    stream_free(&f->a.s);
    stream_free(&f->b.s);
    buf_fini(&f->a.got);
    buf_fini(&f->b.got);
    loop_timer_free(&f->guard);
    loop_timer_free(&f->step);
    loop_free(&f->loop);
    if (f->raw >= 0)
        close(f->raw);
    free(f);
    return 0;
}

static void pair_of_streams(struct fixture *f)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    end_start(f, &f->a, fds[0], false);
    end_start(f, &f->b, fds[1], false);
}

/* Only a is a stream; the test plays the other side by hand. */
static void stream_and_raw(struct fixture *f)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    end_start(f, &f->a, fds[0], false);
    f->raw = fds[1];
}

static void raw_write(struct fixture *f, size_t n)
{
    static char bytes[200000];

    assert_true(n <= sizeof(bytes));
    memset(bytes, 'r', sizeof(bytes));
    assert_int_equal(write(f->raw, bytes, n), n);
}

static void test_echo(void **state)
{
    struct fixture *f = *state;

    pair_of_streams(f);
    f->b.echo = true;
    f->a.stop_at = 5;
    assert_int_equal(stream_write(f->a.s, SLICE_LIT("hello")), 0);
    assert_int_equal(stream_unsent(f->a.s), 0);
    loop_run(f->loop);
    assert_string_equal(buf_cstr(&f->a.got), "hello");
    assert_int_equal(f->a.connected, 0);
    /* Sent at once, so nothing had to wait. */
    assert_int_equal(f->a.drained, 0);
    stream_free(&f->b.s);
    loop_run(f->loop);
    assert_int_equal(f->a.closed, 1);
    assert_int_equal(f->a.why.class, ERR_NONE);
}

static void test_large_both_ways(void **state)
{
    struct fixture *f = *state;
    static unsigned char block[50000];
    size_t total = 0;

    pair_of_streams(f);
    f->b.echo = true;
    f->a.stop_on_drained = true;
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] = (unsigned char)(i * 31 >> 3);
    while (total < 3000000) {
        assert_int_equal(stream_write(f->a.s, slice_make(block, sizeof(block))), 0);
        total += sizeof(block);
        while (stream_unsent(f->a.s) > OUT_MAX - sizeof(block))
            loop_run(f->loop);
    }
    f->a.stop_at = total;
    f->a.stop_on_drained = false;
    while (f->a.got.n < total)
        loop_run(f->loop);
    assert_true(f->a.drained > 0);
    assert_int_equal(f->b.got.n, total);
    for (size_t i = 0; i < total; i += sizeof(block))
        assert_memory_equal(buf_slice(&f->a.got).p + i, block, sizeof(block));
}

static void test_unused_bytes_are_offered_again(void **state)
{
    struct fixture *f = *state;

    stream_and_raw(f);
    f->a.take_max = 3;
    f->a.stop_at = 10;
    raw_write(f, 10);
    loop_run(f->loop);
    assert_int_equal(f->a.got.n, 10);
    assert_int_equal(f->a.offers, 4);
    f->a.stop_at = 0;
    f->a.take_max = 0;
    raw_write(f, 5);
    f->a.finish_on_data = true;
    loop_run(f->loop);
    assert_int_equal(f->a.offers, 5);
    assert_int_equal(f->a.got.n, 10);
}

static size_t kept_seen;
static size_t keep_all(void *arg, struct slice in)
{
    struct end *e = arg;

    kept_seen = in.n;
    if (in.n >= e->stop_at)
        loop_stop(e->loop);
    return 0;
}

static void test_input_limit(void **state)
{
    static const struct stream_events keeping = {.data = keep_all, .closed = on_closed};
    struct fixture *f = *state;
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    f->raw = fds[1];
    f->a.loop = f->loop;
    f->a.s = stream_new_own(f->loop, fds[0], false, &keeping, &f->a,
        (struct stream_limits){.in_max = IN_MAX, .out_max = OUT_MAX});
    for (size_t n = 1; n <= 3; n++) {
        f->a.stop_at = n;
        raw_write(f, 1);
        loop_run(f->loop);
        assert_int_equal(kept_seen, n);
    }
    f->a.stop_at = IN_MAX;
    raw_write(f, IN_MAX - 3);
    loop_run(f->loop);
    assert_int_equal(kept_seen, IN_MAX);
    assert_int_equal(f->a.closed, 0);
    f->a.stop_at = SIZE_MAX;
    raw_write(f, 1);
    loop_run(f->loop);
    assert_int_equal(kept_seen, IN_MAX + 1);
    assert_int_equal(f->a.closed, 1);
    assert_int_equal(f->a.why.class, ERR_PEER);
}

/* A limit beyond the scratch buffer takes the other way through the code. */
static void test_large_input_limit(void **state)
{
    static const struct stream_events keeping = {.data = keep_all, .closed = on_closed};
    struct fixture *f = *state;
    size_t in_max = 150000;
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    f->raw = fds[1];
    f->a.loop = f->loop;
    f->a.s = stream_new_own(f->loop, fds[0], false, &keeping, &f->a,
        (struct stream_limits){.in_max = in_max, .out_max = OUT_MAX});
    for (size_t n = 10000; n <= in_max; n += 10000) {
        f->a.stop_at = n;
        raw_write(f, 10000);
        loop_run(f->loop);
        assert_int_equal(kept_seen, n);
    }
    f->a.stop_at = SIZE_MAX;
    raw_write(f, 1);
    loop_run(f->loop);
    assert_int_equal(f->a.why.class, ERR_PEER);
}

static void test_pause(void **state)
{
    struct fixture *f = *state;

    stream_and_raw(f);
    f->a.take_max = 7;
    f->a.pause_at = 7;
    raw_write(f, 70000); /* more than in_max waits while paused: that is no fault of the peer */
    loop_run(f->loop);
    assert_int_equal(f->a.got.n, 7);
    f->a.pause_at = 14;
    stream_resume(f->a.s);
    assert_int_equal(f->a.got.n, 7); /* not from inside the call */
    loop_run(f->loop);
    assert_int_equal(f->a.got.n, 14);
    f->a.pause_at = 0;
    f->a.take_max = SIZE_MAX;
    f->a.stop_at = 70000;
    stream_resume(f->a.s);
    loop_run(f->loop);
    assert_int_equal(f->a.got.n, 70000);
    assert_int_equal(f->a.closed, 0);
}

static void test_output_limit(void **state)
{
    static char bytes[OUT_MAX];
    struct fixture *f = *state;
    int rc = 0;

    stream_and_raw(f);
    for (int i = 0; i < 1000 && rc == 0; i++) {
        rc = stream_write(f->a.s, slice_make(bytes, 1000));
        assert_true(stream_unsent(f->a.s) <= OUT_MAX);
    }
    assert_int_equal(rc, -1);
    assert_int_equal(stream_unsent(f->a.s), OUT_MAX - OUT_MAX % 1000);
}

static void test_cork(void **state)
{
    static char large[OUT_MAX + 1];
    struct fixture *f = *state;
    char in[64];

    stream_and_raw(f);
    stream_cork(f->a.s);
    assert_int_equal(stream_write(f->a.s, SLICE_LIT("one ")), 0);
    assert_int_equal(stream_write(f->a.s, SLICE_LIT("two")), 0);
    assert_int_equal(recv(f->raw, in, sizeof(in), 0), -1);
    stream_uncork(f->a.s);
    assert_int_equal(recv(f->raw, in, sizeof(in), 0), 7);
    assert_memory_equal(in, "one two", 7);
    /* What the socket could take is not refused because of a cork. */
    stream_cork(f->a.s);
    assert_int_equal(stream_write(f->a.s, SLICE_LIT("x")), 0);
    assert_int_equal(stream_write(f->a.s, slice_make(large, sizeof(large))), 0);
    stream_uncork(f->a.s);
}

static void test_finish(void **state)
{
    static char bytes[OUT_MAX];
    struct fixture *f = *state;

    pair_of_streams(f);
    stream_pause(f->b.s);
    while (stream_unsent(f->a.s) == 0)
        assert_int_equal(stream_write(f->a.s, slice_make(bytes, 10000)), 0);
    stream_finish(f->a.s);
    stream_finish(f->a.s);
    assert_int_equal(stream_write(f->a.s, SLICE_LIT("ignored")), 0);
    assert_int_equal(f->a.closed, 0);
    stream_resume(f->b.s);
    loop_run(f->loop);
    /* The other side saw everything, then the end; it closes, and that ends us. */
    assert_int_equal(f->b.closed, 1);
    assert_int_equal(f->b.got.n % 10000, 0);
    assert_int_equal(f->a.closed, 0);
    stream_free(&f->b.s);
    loop_run(f->loop);
    assert_int_equal(f->a.closed, 1);
    assert_int_equal(f->a.why.class, ERR_NONE);
}

/* The last words of a server must arrive although the client still sends. */
static void test_linger(void **state)
{
    struct fixture *f = *state;
    char in[64];

    stream_and_raw(f);
    f->a.finish_on_data = true;
    f->a.take_max = 1;
    raw_write(f, 10);
    assert_int_equal(stream_write(f->a.s, SLICE_LIT("421 bye")), 0);
    loop_run(f->loop); /* until the second of patience is over, for we never close */
    assert_int_equal(f->a.closed, 1);
    assert_int_equal(f->a.why.class, ERR_NONE);
    assert_int_equal(f->a.offers, 1);
    assert_int_equal(recv(f->raw, in, sizeof(in), 0), 7);
    assert_int_equal(recv(f->raw, in, sizeof(in), 0), 0);
}

static void test_end_while_output_waits(void **state)
{
    static char bytes[OUT_MAX];
    struct fixture *f = *state;
    ssize_t n;
    size_t sent = 0, received = 0;

    stream_and_raw(f);
    while (stream_unsent(f->a.s) < 20000) {
        assert_int_equal(stream_write(f->a.s, slice_make(bytes, 10000)), 0);
        sent += 10000;
    }
    raw_write(f, 3);
    assert_int_equal(shutdown(f->raw, SHUT_WR), 0);
    f->a.stop_at = 3;
    loop_run(f->loop);
    assert_int_equal(f->a.closed, 0);
    while (!f->a.closed || received < sent) {
        n = recv(f->raw, bytes, sizeof(bytes), 0);
        if (n > 0) {
            received += (size_t)n;
            continue;
        }
        assert_false(f->a.closed);
        loop_timer_start(f->step, 1);
        loop_run(f->loop);
    }
    assert_int_equal(received, sent);
    assert_int_equal(f->a.why.class, ERR_NONE);
}

/* A peer that has closed its side hears what is written later, and the end. */
static void test_half_close(void **state)
{
    struct fixture *f = *state;
    char in[64];

    f->a.is_half = true;
    stream_and_raw(f);
    raw_write(f, 3);
    assert_int_equal(shutdown(f->raw, SHUT_WR), 0);
    f->a.take_max = 100;
    loop_run(f->loop);
    assert_int_equal(f->a.ended, 1);
    assert_int_equal(f->a.got.n, 3);
    loop_timer_start(f->step, 1);
    loop_run(f->loop);
    assert_int_equal(f->a.closed, 0);
    assert_int_equal(stream_write(f->a.s, SLICE_LIT("250 kept")), 0);
    stream_finish(f->a.s);
    loop_run(f->loop);
    assert_int_equal(f->a.closed, 1);
    assert_int_equal(f->a.ended, 1);
    assert_int_equal(f->a.why.class, ERR_NONE);
    assert_int_equal(recv(f->raw, in, sizeof(in), 0), 8);
    assert_int_equal(recv(f->raw, in, sizeof(in), 0), 0);
}

/* And one that has closed both is noticed when something is written. */
static void test_half_close_that_was_a_whole_one(void **state)
{
    struct fixture *f = *state;

    f->a.is_half = true;
    stream_and_raw(f);
    close(f->raw);
    f->raw = -1;
    loop_run(f->loop);
    assert_int_equal(f->a.ended, 1);
    assert_int_equal(stream_write(f->a.s, SLICE_LIT("250 kept")), 0);
    loop_run(f->loop);
    assert_int_equal(f->a.closed, 1);
    assert_int_not_equal(f->a.why.class, ERR_NONE);
}

/* The peer refused and went away while we were still sending: its words come before the end. */
static void test_last_words_before_broken_pipe(void **state)
{
    struct fixture *f = *state;

    stream_and_raw(f);
    assert_int_equal(write(f->raw, "552 no", 6), 6);
    assert_int_equal(shutdown(f->raw, SHUT_RD), 0);
    assert_int_equal(stream_write(f->a.s, SLICE_LIT("x")), 0);
    assert_int_equal(stream_write(f->a.s, SLICE_LIT("y")), 0);
    assert_int_equal(f->a.closed, 0);
    close(f->raw);
    f->raw = -1;
    loop_run(f->loop);
    assert_string_equal(buf_cstr(&f->a.got), "552 no");
    assert_int_equal(f->a.closed, 1);
    assert_int_equal(f->a.why.class, ERR_TEMP);
    assert_non_null(strstr(f->a.why.text, "write"));
}

static void test_broken_pipe_while_paused(void **state)
{
    struct fixture *f = *state;

    stream_and_raw(f);
    stream_pause(f->a.s);
    close(f->raw);
    f->raw = -1;
    assert_int_equal(stream_write(f->a.s, SLICE_LIT("x")), 0);
    loop_run(f->loop);
    assert_int_equal(f->a.closed, 1);
    assert_int_equal(f->a.why.class, ERR_TEMP);
}

static void test_free_inside_callbacks(void **state)
{
    struct fixture *f = *state;

    pair_of_streams(f);
    f->b.free_on_data = true;
    f->a.free_on_close = true;
    assert_int_equal(stream_write(f->a.s, SLICE_LIT("x")), 0);
    loop_run(f->loop);
    assert_null(f->b.s);
    loop_run(f->loop);
    assert_null(f->a.s);
}

static void test_deadline(void **state)
{
    struct fixture *f = *state;

    stream_and_raw(f);
    stream_deadline(f->a.s, 60000);
    stream_deadline(f->a.s, 0);
    stream_deadline(f->a.s, 1);
    f->a.free_on_close = true;
    loop_run(f->loop);
    assert_int_equal(f->a.closed, 1);
    assert_int_equal(f->a.why.class, ERR_TEMP);
    assert_string_equal(f->a.why.text, "timed out");
    assert_null(f->a.s);
}

static void test_connect(void **state)
{
    struct fixture *f = *state;
    struct net_endpoint where = {.host = (char[]){"127.0.0.1"}};
    struct err err = ERR_INIT;
    struct net_addr addr;
    uint16_t port;
    int server, fd;

    assert_int_equal(sock_listen(&where, false, 0, &server, &err), 0);
    assert_int_equal(sock_local(server, &addr, &port, &err), 0);
    assert_int_equal(sock_connect(&addr, port, &fd, &err), 0);
    end_start(f, &f->a, fd, true);
    /* Written before there is a connection: leaves with it. */
    assert_int_equal(stream_write(f->a.s, SLICE_LIT("early")), 0);
    assert_int_equal(stream_unsent(f->a.s), 5);
    f->a.stop_on_drained = true;
    loop_run(f->loop);
    assert_int_equal(f->a.connected, 1);
    assert_int_equal(f->a.drained, 1);
    assert_int_equal(sock_accept(server, &fd, NULL, &err), 0);
    assert_true(fd >= 0);
    end_start(f, &f->b, fd, false);
    f->b.stop_at = 5;
    loop_run(f->loop);
    assert_string_equal(buf_cstr(&f->b.got), "early");
    close(server);
    stream_free(&f->a.s);
    buf_fini(&f->a.got);
    f->a = (struct end){0};
    /* Nobody listens any more. */
    assert_int_equal(sock_connect(&addr, port, &fd, &err), 0);
    end_start(f, &f->a, fd, true);
    stream_pause(f->b.s);
    loop_run(f->loop);
    assert_int_equal(f->a.connected, 0);
    assert_int_equal(f->a.closed, 1);
    assert_int_equal(f->a.why.class, ERR_TEMP);
}

int main(void)
{
#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_echo),
        WITH_FIXTURE(test_large_both_ways),
        WITH_FIXTURE(test_unused_bytes_are_offered_again),
        WITH_FIXTURE(test_input_limit),
        WITH_FIXTURE(test_large_input_limit),
        WITH_FIXTURE(test_pause),
        WITH_FIXTURE(test_output_limit),
        WITH_FIXTURE(test_cork),
        WITH_FIXTURE(test_finish),
        WITH_FIXTURE(test_linger),
        WITH_FIXTURE(test_end_while_output_waits),
        WITH_FIXTURE(test_half_close),
        WITH_FIXTURE(test_half_close_that_was_a_whole_one),
        WITH_FIXTURE(test_last_words_before_broken_pipe),
        WITH_FIXTURE(test_broken_pipe_while_paused),
        WITH_FIXTURE(test_free_inside_callbacks),
        WITH_FIXTURE(test_deadline),
        WITH_FIXTURE(test_connect),
    };

    return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
