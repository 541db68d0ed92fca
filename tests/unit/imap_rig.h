/* SPDX-License-Identifier: ISC */
/*
 * imap_rig: a connection over a socket pair whose other end the test writes by hand, under a clock
 * that only the test moves.
 */
#ifndef TESTS_UNIT_IMAP_RIG_H
#define TESTS_UNIT_IMAP_RIG_H

#include <sys/socket.h>
#include <unistd.h>

#include "base/core/buf.h"
#include "imapsync/imap/conn.h"
#include "tests/unit/unit.h"

#define TIMEOUT 1000
#define KEEPALIVE 300000

static uint64_t clock_ms;

static inline uint64_t fake_now(void)
{
    return clock_ms;
}

struct rig {
    struct imap_place place;
    struct wait_limits limits;
    struct imap_conn *c;
    int peer;
    struct tls *tls; /* the peer's */
    int cancel;      /* written to: stops the job */
    struct err err;
};

static inline void join(struct rig *g)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    g->peer = fds[1];
    g->c = imap_conn_adopt(&g->place, &g->limits, fds[0]);
}

static inline void rig_begin(struct rig *g)
{
    int fds[2];
    clock_ms = 1000000;
    *g = (struct rig){.place = {.label = "source",
                          .host = "peer",
                          .security = IMAP_SECURITY_NONE,
                          .user = "ann",
                          .password = SLICE_LIT("ann-secret"),
                          .timeout_ms = TIMEOUT,
                          .keepalive_ms = KEEPALIVE,
                          .now_ms = fake_now}};
    assert_int_equal(pipe(fds), 0);
    g->limits = (struct wait_limits){.cancel_fd = fds[0]};
    g->cancel = fds[1];
}

static inline void rig_up(struct rig *g)
{
    rig_begin(g);
    join(g);
}

static inline void rig_down(struct rig *g)
{
    imap_conn_close(&g->c);
    tls_free(&g->tls);
    close(g->peer);
    close(g->limits.cancel_fd);
    close(g->cancel);
}

/* One look of the caller's loop: the wait takes as long as it was to, but no longer than `most`. */
static inline int turn(struct rig *g, uint64_t most_ms)
{
    struct pollfd fd;
    int timeout_ms;
    bool moved = false;
    imap_conn_prepare(g->c, &fd, &timeout_ms);
    int r = poll(&fd, 1, 0);
    if (r == 0)
        clock_ms +=
            timeout_ms >= 0 && (uint64_t)timeout_ms < most_ms ? (uint64_t)timeout_ms : most_ms;
    g->err = ERR_INIT;
    return imap_conn_advance(g->c, r > 0 ? fd.revents : 0, &moved, &g->err);
}

static inline void peer_says(struct rig *g, const char *text)
{
    assert_int_equal(write(g->peer, text, strlen(text)), (ssize_t)strlen(text));
}

static inline void assert_peer_got(struct rig *g, const char *want)
{
    char got[4096];
    ssize_t n = read(g->peer, got, sizeof(got));
    assert_slice_equal(slice_make(got, n > 0 ? (size_t)n : 0), want);
}

/* The peer takes what there is, and one turn more sees what it says to that. */
static inline void peer_answers(struct rig *g, const char *want, const char *text)
{
    assert_int_equal(turn(g, 0), 0);
    assert_peer_got(g, want);
    peer_says(g, text);
    assert_int_equal(turn(g, 0), 0);
}

static inline void sign_in(struct rig *g)
{
    peer_answers(g, "", "* OK [CAPABILITY IMAP4rev1] hi\r\n");
    peer_answers(g, "c1 LOGIN \"ann\" \"ann-secret\"\r\n", "c1 OK [CAPABILITY IMAP4rev1] in\r\n");
    assert_true(imap_conn_is_ready(g->c));
}

static inline void command(struct rig *g, const char *text, struct imap_outcome *o)
{
    *o = (struct imap_outcome){0};
    imap_cmd_begin(imap_conn_client(g->c), imap_outcome_set, o);
    imap_cmd_text(imap_conn_client(g->c), text);
    imap_cmd_end(imap_conn_client(g->c));
}

#endif
