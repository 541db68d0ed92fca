/* SPDX-License-Identifier: ISC */
/*
 * loop: the event loop, a thin layer over libuv (the only file that includes uv.h is loop.c).
 * Handles live on the heap and may be freed at any time, from their own callback too.  A loop
 * belongs to the thread that runs it; only loop_async_send may be called from others.
 */
#ifndef BASE_OS_LOOP_H
#define BASE_OS_LOOP_H

#include <stddef.h>
#include <stdint.h>

struct loop;
struct loop_io;
struct loop_timer;
struct loop_signal;
struct loop_async;

enum loop_events { LOOP_READ = 1, LOOP_WRITE = 2 };

struct loop *loop_new(void);
void loop_free(struct loop **l); /* every handle must have been freed before */
void loop_run(struct loop *l);   /* until loop_stop() or nothing is left to wait for */
void loop_stop(struct loop *l);
uint64_t loop_now_ms(const struct loop *l); /* monotonic, as of the last event */
/* One buffer per loop to read into: its bytes are only good until the callback returns. */
unsigned char *loop_scratch(struct loop *l, size_t *size_out);

/* The descriptor stays the caller's; free the handle before closing it.  An error on it is reported
 * as LOOP_READ|LOOP_WRITE: the read or write that follows tells which. */
struct loop_io *loop_io_new(struct loop *l, int fd, void (*fn)(void *arg, int events), void *arg);
void loop_io_want(struct loop_io *io, int events); /* 0: none */
void loop_io_free(struct loop_io **io);

struct loop_timer *loop_timer_new(struct loop *l, void (*fn)(void *arg), void *arg);
void loop_timer_start(struct loop_timer *t, uint64_t delay_ms); /* once; restarts when running */
void loop_timer_repeat(struct loop_timer *t, uint64_t every_ms);
void loop_timer_stop(struct loop_timer *t);
void loop_timer_free(struct loop_timer **t);

struct loop_signal *loop_signal_new(
    struct loop *l, int signum, void (*fn)(void *arg, int signum), void *arg);
void loop_signal_free(struct loop_signal **s);

struct loop_async *loop_async_new(struct loop *l, void (*fn)(void *arg), void *arg);
void loop_async_send(struct loop_async *a); /* from any thread; sends may merge */
void loop_async_free(struct loop_async **a);

#endif
