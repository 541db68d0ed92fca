/* SPDX-License-Identifier: ISC */
/*
 * delay_proxy: a TCP proxy on loopback that delivers every byte half a round trip later, in both
 * directions, as a long line would; for benches and tests of what waits for answers.
 *
 *     delay_proxy ROUND_TRIP_MS[,OCTETS] HOST:PORT ...
 *
 * For each target it listens on a free port of 127.0.0.1; "ports N ..." on standard output names
 * them in order.  It ends when its standard input does, so it never outlives who started it.
 *
 * The line has no limit of bandwidth, but OCTETS a second for each connection and direction, as
 * servers have it that share themselves out; each direction holds at most WINDOW octets, which is
 * what a receive window is.  A connection costs a round trip, like a handshake.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/core/num.h"
#include "base/os/io.h"
#include "base/os/sock.h"

#define WINDOW (8u << 20)
#define CHUNK (64u << 10)
#define TARGETS_MAX 16
#define LINES_MAX 128

struct chunk {
    struct chunk *next;
    uint64_t due_ns;
    size_t n, sent;
    unsigned char bytes[CHUNK];
};

struct direction {
    struct chunk *first, **end;
    size_t held;
    uint64_t free_ns; /* then what has come so far is through */
    bool has_ended;   /* nothing more comes */
    bool was_closed;  /* and that was passed on */
    uint64_t end_due_ns;
};

struct line {
    int fds[2];            /* client, target; the target is -1 until the handshake's time is over */
    struct direction d[2]; /* from fds[i] to the other */
    uint64_t connect_ns;
    size_t target;
};

static struct net_endpoint targets[TARGETS_MAX];
static int listeners[TARGETS_MAX];
static size_t n_targets;
static struct line *lines[LINES_MAX];
static size_t n_lines;
static uint64_t half_ns, rate;

static void die(const struct err *err)
{
    fprintf(stderr, "delay_proxy: %s\n", err->text);
    exit(1);
}

static void line_close(size_t at)
{
    struct line *l = lines[at];
    for (size_t i = 0; i < 2; i++) {
        io_close(&l->fds[i]);
        while (l->d[i].first) {
            struct chunk *next = l->d[i].first->next;
            free(l->d[i].first);
            l->d[i].first = next;
        }
    }
    free(l);
    lines[at] = lines[--n_lines];
}

static void line_open(size_t target, uint64_t now)
{
    struct err err = ERR_INIT;
    int fd;
    if (sock_accept(listeners[target], &fd, NULL, &err) != 0)
        die(&err);
    if (fd < 0)
        return;
    if (n_lines == LINES_MAX) {
        io_close(&fd);
        return;
    }
    struct line *l = mem_zalloc(sizeof(*l));
    l->fds[0] = fd;
    l->fds[1] = -1;
    l->target = target;
    l->connect_ns = now + 2 * half_ns;
    for (size_t i = 0; i < 2; i++)
        l->d[i].end = &l->d[i].first;
    lines[n_lines++] = l;
}

static int line_connect(struct line *l)
{
    struct net_addr addr;
    struct err err = ERR_INIT;
    size_t n;
    if (sock_resolve(targets[l->target].host, &addr, 1, &n, &err) != 0 || n == 0)
        return -1;
    return sock_connect(&addr, targets[l->target].port, &l->fds[1], &err);
}

/* -1: the line is broken. */
static int take(struct line *l, size_t from, uint64_t now)
{
    struct direction *d = &l->d[from];
    struct chunk *c = malloc(sizeof(*c));
    if (!c)
        return -1;
    ssize_t n = recv(l->fds[from], c->bytes, sizeof(c->bytes), 0);
    if (n <= 0) {
        int errnum = errno;
        free(c);
        if (n < 0 && (errnum == EAGAIN || errnum == EINTR))
            return 0;
        d->has_ended = true;
        d->end_due_ns = (d->free_ns > now ? d->free_ns : now) + half_ns;
        return n < 0 ? -1 : 0;
    }
    c->next = NULL;
    if (d->free_ns < now)
        d->free_ns = now;
    d->free_ns += rate > 0 ? (uint64_t)n * 1000000000 / rate : 0;
    c->due_ns = d->free_ns + half_ns;
    c->n = (size_t)n;
    c->sent = 0;
    *d->end = c;
    d->end = &c->next;
    d->held += c->n;
    return 0;
}

static int give(struct line *l, size_t from, uint64_t now)
{
    struct direction *d = &l->d[from];
    int fd = l->fds[1 - from];
    while (d->first && d->first->due_ns <= now) {
        struct chunk *c = d->first;
        ssize_t n = send(fd, c->bytes + c->sent, c->n - c->sent, MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOTCONN))
            return 0;
        if (n < 0)
            return -1;
        c->sent += (size_t)n;
        d->held -= (size_t)n;
        if (c->sent < c->n)
            return 0;
        d->first = c->next;
        if (!d->first)
            d->end = &d->first;
        free(c);
    }
    if (d->has_ended && !d->first && d->end_due_ns <= now && !d->was_closed) {
        shutdown(fd, SHUT_WR);
        d->was_closed = true;
    }
    return 0;
}

static bool is_over(const struct line *l)
{
    return l->d[0].was_closed && l->d[1].was_closed;
}

/* When something falls due on the line; UINT64_MAX: nothing. */
static uint64_t next_due(const struct line *l)
{
    uint64_t due = l->fds[1] < 0 ? l->connect_ns : UINT64_MAX;
    for (size_t i = 0; i < 2 && l->fds[1] >= 0; i++) {
        const struct direction *d = &l->d[i];
        uint64_t at = d->first                         ? d->first->due_ns
                      : d->has_ended && !d->was_closed ? d->end_due_ns
                                                       : UINT64_MAX;
        due = at < due ? at : due;
    }
    return due;
}

static short wanted(const struct line *l, size_t i, uint64_t now)
{
    const struct direction *in = &l->d[i], *out = &l->d[1 - i];
    bool reads = !in->has_ended && in->held < WINDOW;
    bool writes = out->first && out->first->due_ns <= now;
    return (short)((reads ? POLLIN : 0) | (writes ? POLLOUT : 0));
}

/* -1: the line is over or broken. */
static int serve(struct line *l, const struct pollfd *fds, uint64_t now)
{
    if (l->fds[1] < 0 && l->connect_ns <= now && line_connect(l) != 0)
        return -1;
    for (size_t i = 0; i < 2; i++) {
        if (l->fds[i] >= 0 && fds[i].revents & (POLLIN | POLLHUP | POLLERR) && !l->d[i].has_ended &&
            take(l, i, now) != 0)
            return -1;
    }
    for (size_t i = 0; i < 2 && l->fds[1] >= 0; i++) {
        if (give(l, i, now) != 0)
            return -1;
    }
    return is_over(l) ? -1 : 0;
}

static void turn(void)
{
    struct pollfd fds[1 + TARGETS_MAX + 2 * LINES_MAX];
    uint64_t now = clock_mono_ns(), due = UINT64_MAX;
    size_t n = 0, served = n_lines;
    fds[n++] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
    for (size_t i = 0; i < n_targets; i++)
        fds[n++] = (struct pollfd){.fd = listeners[i], .events = POLLIN};
    for (size_t i = 0; i < n_lines; i++) {
        uint64_t at = next_due(lines[i]);
        due = at < due ? at : due;
        for (size_t k = 0; k < 2; k++)
            fds[n++] = (struct pollfd){.fd = lines[i]->fds[k], .events = wanted(lines[i], k, now)};
    }
    uint64_t wait = due == UINT64_MAX ? 1000000000u : due > now ? due - now : 0;
    struct timespec timeout = {
        .tv_sec = (time_t)(wait / 1000000000u), .tv_nsec = (long)(wait % 1000000000u)};
    if (ppoll(fds, n, &timeout, NULL) < 0 && errno != EINTR)
        exit(1);
    unsigned char ignored;
    if (fds[0].revents != 0 && read(STDIN_FILENO, &ignored, 1) <= 0)
        exit(0);
    now = clock_mono_ns();
    for (size_t i = served; i-- > 0;) {
        if (serve(lines[i], &fds[1 + n_targets + 2 * i], now) != 0)
            line_close(i);
    }
    for (size_t i = 0; i < n_targets; i++) {
        if (fds[1 + i].revents != 0)
            line_open(i, now);
    }
}

static bool read_line_of(struct slice text)
{
    uint32_t round_trip_ms;
    ptrdiff_t comma = slice_find(text, ',');
    if (comma >= 0 && num_bytes(slice_from(text, (size_t)comma + 1), &rate) != 0)
        return false;
    if (num_u32(comma >= 0 ? slice_sub(text, 0, (size_t)comma) : text, 0, 10000, &round_trip_ms) !=
        0)
        return false;
    half_ns = (uint64_t)round_trip_ms * 500000u;
    return true;
}

int main(int argc, char **argv)
{
    struct err err = ERR_INIT;
    if (argc < 3 || argc - 2 > TARGETS_MAX || !read_line_of(slice_str(argv[1]))) {
        fprintf(stderr, "usage: delay_proxy ROUND_TRIP_MS[,OCTETS] HOST:PORT ...\n");
        return 64;
    }
    printf("ports");
    for (; n_targets < (size_t)argc - 2; n_targets++) {
        struct net_endpoint here = {.host = (char[]){"127.0.0.1"}};
        struct net_addr addr;
        uint16_t port;
        if (net_endpoint_parse(slice_str(argv[2 + n_targets]), 0, &targets[n_targets], &err) != 0 ||
            sock_listen(&here, false, 0, &listeners[n_targets], &err) != 0 ||
            sock_local(listeners[n_targets], &addr, &port, &err) != 0)
            die(&err);
        printf(" %u", (unsigned)port);
    }
    printf("\n");
    fflush(stdout);
    for (;;)
        turn();
}
