/* SPDX-License-Identifier: ISC */
/*
 * loop: see loop.h.  The only file that knows libuv.
 *
 * libuv keeps a handle in its lists until the callback of uv_close() ran, so handles are on the
 * heap and are freed there; that is what makes freeing a handle inside its own callback safe.
 * Starting a uv_poll that already runs costs two system calls (it is removed from epoll and added
 * again), so loop_io_want() does nothing when the interest stays the same.
 *
 * On POLLERR libuv stops the poll by itself and reports EBADF.  We pass that on as readable and
 * writable, so that the owner meets the real error in its own read or write, and start the poll
 * again if the owner still wants it.
 *
 * libuv returns errors only for broken arguments and without memory: both end the process.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <uv.h>
#include "base/core/err.h"
#include "base/core/mem.h"
#include "base/os/loop.h"

#define SCRATCH_SIZE 65536

struct loop {
    uv_loop_t uv;
    unsigned char *scratch;
};

struct loop_io {
    uv_poll_t poll;
    void (*fn)(void *arg, int events);
    void *arg;
    int want;
};

struct loop_timer {
    uv_timer_t timer;
    void (*fn)(void *arg);
    void *arg;
};

struct loop_signal {
    uv_signal_t signal;
    void (*fn)(void *arg, int signum);
    void *arg;
};

struct loop_async {
    uv_async_t async;
    void (*fn)(void *arg);
    void *arg;
};

/* --- The loop ---------------------------------------------------------------- */

struct loop *loop_new(void)
{
    struct loop *l = mem_zalloc(sizeof(*l));

    BUG_ON(uv_loop_init(&l->uv) != 0);
    return l;
}

static void must_be_closing(uv_handle_t *h, void *arg)
{
    (void)arg;
    BUG_ON(!uv_is_closing(h));
}

void loop_free(struct loop **l)
{
    if (*l == NULL)
        return;
    uv_walk(&(*l)->uv, must_be_closing, NULL);
    /* The close callbacks, which free the handles. */
    (void)uv_run(&(*l)->uv, UV_RUN_DEFAULT);
    BUG_ON(uv_loop_close(&(*l)->uv) != 0);
    free((*l)->scratch);
    free(*l);
    *l = NULL;
}

void loop_run(struct loop *l)
{
    (void)uv_run(&l->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *l)
{
    uv_stop(&l->uv);
}

uint64_t loop_now_ms(const struct loop *l)
{
    return uv_now(&l->uv);
}

unsigned char *loop_scratch(struct loop *l, size_t *size_out)
{
    if (l->scratch == NULL)
        l->scratch = mem_zalloc(SCRATCH_SIZE);
    *size_out = SCRATCH_SIZE;
    return l->scratch;
}

/* Every handle of ours begins with its libuv handle and is one allocation. */
static void release(uv_handle_t *h)
{
    free(h);
}

/* --- Descriptors ------------------------------------------------------------- */

static void on_poll(uv_poll_t *poll, int status, int events);

static void poll_start(struct loop_io *io)
{
    int events =
        (io->want & LOOP_READ ? UV_READABLE : 0) | (io->want & LOOP_WRITE ? UV_WRITABLE : 0);

    BUG_ON(uv_poll_start(&io->poll, events, on_poll) != 0);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct loop_io *io = (struct loop_io *)poll;

    if (status < 0) {
        /* Started before the owner is told, so that the owner may free it or change its mind. */
        if (io->want != 0)
            poll_start(io);
        io->fn(io->arg, LOOP_READ | LOOP_WRITE);
        return;
    }
    io->fn(
        io->arg, (events & UV_READABLE ? LOOP_READ : 0) | (events & UV_WRITABLE ? LOOP_WRITE : 0));
}

struct loop_io *loop_io_new(struct loop *l, int fd, void (*fn)(void *arg, int events), void *arg)
{
    struct loop_io *io = mem_zalloc(sizeof(*io));

    BUG_ON(uv_poll_init(&l->uv, &io->poll, fd) != 0);
    io->fn = fn;
    io->arg = arg;
    return io;
}

void loop_io_want(struct loop_io *io, int events)
{
    if (events == io->want)
        return;
    io->want = events;
    if (events == 0)
        (void)uv_poll_stop(&io->poll);
    else
        poll_start(io);
}

void loop_io_free(struct loop_io **io)
{
    if (*io != NULL)
        uv_close((uv_handle_t *)&(*io)->poll, release);
    *io = NULL;
}

/* --- Timers ------------------------------------------------------------------ */

static void on_timer(uv_timer_t *timer)
{
    struct loop_timer *t = (struct loop_timer *)timer;

    t->fn(t->arg);
}

struct loop_timer *loop_timer_new(struct loop *l, void (*fn)(void *arg), void *arg)
{
    struct loop_timer *t = mem_zalloc(sizeof(*t));

    BUG_ON(uv_timer_init(&l->uv, &t->timer) != 0);
    t->fn = fn;
    t->arg = arg;
    return t;
}

static void timer_start(struct loop_timer *t, uint64_t delay_ms, uint64_t repeat_ms)
{
    /* libuv counts from the time of the last event; without this, a timer that is set after long
     * work would fire early. */
    uv_update_time(t->timer.loop);
    BUG_ON(uv_timer_start(&t->timer, on_timer, delay_ms, repeat_ms) != 0);
}

void loop_timer_start(struct loop_timer *t, uint64_t delay_ms)
{
    timer_start(t, delay_ms, 0);
}

void loop_timer_repeat(struct loop_timer *t, uint64_t every_ms)
{
    timer_start(t, every_ms, every_ms);
}

void loop_timer_stop(struct loop_timer *t)
{
    (void)uv_timer_stop(&t->timer);
}

void loop_timer_free(struct loop_timer **t)
{
    if (*t != NULL)
        uv_close((uv_handle_t *)&(*t)->timer, release);
    *t = NULL;
}

/* --- Signals ----------------------------------------------------------------- */

static void on_signal(uv_signal_t *signal, int signum)
{
    struct loop_signal *s = (struct loop_signal *)signal;

    s->fn(s->arg, signum);
}

struct loop_signal *loop_signal_new(
    struct loop *l, int signum, void (*fn)(void *arg, int signum), void *arg)
{
    struct loop_signal *s = mem_zalloc(sizeof(*s));

    BUG_ON(uv_signal_init(&l->uv, &s->signal) != 0);
    s->fn = fn;
    s->arg = arg;
    BUG_ON(uv_signal_start(&s->signal, on_signal, signum) != 0);
    return s;
}

void loop_signal_free(struct loop_signal **s)
{
    if (*s != NULL)
        uv_close((uv_handle_t *)&(*s)->signal, release);
    *s = NULL;
}

/* --- Wake-ups from other threads --------------------------------------------- */

static void on_async(uv_async_t *async)
{
    struct loop_async *a = (struct loop_async *)async;

    a->fn(a->arg);
}

struct loop_async *loop_async_new(struct loop *l, void (*fn)(void *arg), void *arg)
{
    struct loop_async *a = mem_zalloc(sizeof(*a));

    a->fn = fn;
    a->arg = arg;
    BUG_ON(uv_async_init(&l->uv, &a->async, on_async) != 0);
    return a;
}

void loop_async_send(struct loop_async *a)
{
    (void)uv_async_send(&a->async);
}

void loop_async_free(struct loop_async **a)
{
    if (*a != NULL)
        uv_close((uv_handle_t *)&(*a)->async, release);
    *a = NULL;
}
