/* SPDX-License-Identifier: ISC */
/*
 * smtp_peer: a small SMTP or LMTP server on the loop of a test, which answers as a table tells it.
 * Lines that no row fits are answered well.
 */
#ifndef TESTS_UNIT_SMTP_PEER_H
#define TESTS_UNIT_SMTP_PEER_H

#include <stdlib.h>
#include "base/core/buf.h"
#include "base/core/mem.h"
#include "base/os/io.h"
#include "base/os/sock.h"
#include "base/os/stream.h"
#include "tests/unit/unit.h"

struct smtp_peer_row {
    const char *verb;  /* "" is the connection, "." the end of the content */
    const char *reply; /* "" is silence; "-" in front: and then the end of the connection */
};

struct smtp_peer_conn {
    struct smtp_peer *peer;
    struct stream *stream;
    struct smtp_peer_conn *next;
    bool is_in_data;
};

struct smtp_peer {
    struct loop *loop;
    struct loop_io *io;
    int fd;
    uint16_t port;
    struct tls_ctx *tls;              /* for STARTTLS, or from the first byte */
    bool is_secure, is_paused;        /* paused: reads nothing */
    const struct smtp_peer_row *rows; /* may change at any time; ends with verb NULL */
    struct smtp_peer_conn *conns;
    int accepted, open, messages;
    size_t n_content;
    struct buf lines; /* all that was said outside content, LF behind each */
};

static inline void smtp_peer_say(struct smtp_peer_conn *c, const char *verb, const char *usual)
{
    const char *reply = usual;

    for (const struct smtp_peer_row *r = c->peer->rows; r != NULL && r->verb != NULL; r++)
        if (strcmp(r->verb, verb) == 0)
            reply = r->reply;
    if (*reply != '\0')
        assert_int_equal(stream_write(c->stream, slice_str(*reply == '-' ? reply + 1 : reply)), 0);
    if (*reply == '-')
        stream_finish(c->stream);
}

static inline void smtp_peer_line(struct smtp_peer_conn *c, struct slice line)
{
    struct slice rest = line, word;
    char verb[16] = "";

    assert_int_equal(buf_add(&c->peer->lines, line), 0);
    assert_int_equal(buf_add_byte(&c->peer->lines, '\n'), 0);
    if (slice_split(&rest, ' ', &word) && word.n < sizeof(verb))
        memcpy(verb, word.p, word.n);
    if (strcmp(verb, "DATA") == 0) {
        c->is_in_data = true;
        smtp_peer_say(c, verb, "354 go\r\n");
    } else if (strcmp(verb, "EHLO") == 0 || strcmp(verb, "LHLO") == 0) {
        smtp_peer_say(c, verb,
            c->peer->tls != NULL && stream_tls(c->stream) == NULL
                ? "250-peer\r\n250-STARTTLS\r\n250 PIPELINING\r\n"
                : "250-peer\r\n250-8BITMIME\r\n250-SIZE 1000\r\n250 PIPELINING\r\n");
    } else if (strcmp(verb, "STARTTLS") == 0) {
        struct err err = ERR_INIT;

        smtp_peer_say(c, verb, "220 go\r\n");
        assert_int_equal(stream_start_tls(c->stream, c->peer->tls, NULL, false, &err), 0);
    } else if (strcmp(verb, "QUIT") == 0) {
        smtp_peer_say(c, verb, "-221 bye\r\n");
    } else {
        smtp_peer_say(c, verb, "250 fine\r\n");
    }
}

static inline size_t smtp_peer_data(void *arg, struct slice in)
{
    struct smtp_peer_conn *c = arg;
    ptrdiff_t end;

    if (c->is_in_data) {
        ptrdiff_t dot = in.n >= 3 && memcmp(in.p, ".\r\n", 3) == 0
                            ? 0
                            : slice_search(in, SLICE_LIT("\r\n.\r\n"));

        if (dot < 0) {
            size_t used = in.n > 4 ? in.n - 4 : 0;

            c->peer->n_content += used;
            return used;
        }
        dot += dot > 0 ? 2 : 0;
        c->peer->n_content += (size_t)dot;
        c->peer->messages++;
        c->is_in_data = false;
        smtp_peer_say(c, ".", "250 stored\r\n");
        return (size_t)dot + 3;
    }
    end = slice_search(in, SLICE_LIT("\r\n"));
    if (end < 0)
        return 0;
    smtp_peer_line(c, slice_sub(in, 0, (size_t)end));
    return (size_t)end + 2;
}

static inline void smtp_peer_secured(void *arg)
{
    struct smtp_peer_conn *c = arg;

    if (c->peer->is_secure)
        smtp_peer_say(c, "", "220 peer\r\n");
}

static inline void smtp_peer_closed(void *arg, const struct err *why)
{
    struct smtp_peer_conn *c = arg, **at = &c->peer->conns;

    (void)why;
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    c->peer->open--;
    stream_free(&c->stream);
    free(c);
}

static const struct stream_events smtp_peer_events = {
    .data = smtp_peer_data, .secured = smtp_peer_secured, .closed = smtp_peer_closed};

static inline void smtp_peer_accept(void *arg, int events)
{
    struct smtp_peer *p = arg;
    struct smtp_peer_conn *c;
    struct err err = ERR_INIT;
    int fd;

    (void)events;
    assert_int_equal(sock_accept(p->fd, &fd, NULL, &err), 0);
    if (fd < 0)
        return;
    c = mem_zalloc(sizeof(*c));
    c->peer = p;
    c->next = p->conns;
    p->conns = c;
    p->accepted++;
    p->open++;
    c->stream = stream_new_own(p->loop, fd, false, &smtp_peer_events, c,
        (struct stream_limits){.in_max = 1U << 20, .out_max = 1U << 20});
    if (p->is_paused)
        stream_pause(c->stream);
    if (p->is_secure)
        assert_int_equal(stream_start_tls(c->stream, p->tls, NULL, false, &err), 0);
    else
        smtp_peer_say(c, "", "220 peer\r\n");
}

static inline void smtp_peer_start(struct smtp_peer *p, struct loop *loop)
{
    struct net_endpoint where = {.host = (char *)(uintptr_t) "127.0.0.1"};
    struct net_addr addr;
    struct err err = ERR_INIT;

    p->loop = loop;
    buf_init(&p->lines, 1U << 20);
    where.port = p->port; /* 0 the first time, the same one when it is started again */
    assert_int_equal(sock_listen(&where, false, 0, &p->fd, &err), 0);
    assert_int_equal(sock_local(p->fd, &addr, &p->port, &err), 0);
    p->io = loop_io_new(loop, p->fd, smtp_peer_accept, p);
    loop_io_want(p->io, LOOP_READ);
}

/* Ends the newest connection at once. */
static inline void smtp_peer_drop(struct smtp_peer *p)
{
    struct smtp_peer_conn *c = p->conns;

    p->conns = c->next;
    p->open--;
    stream_free(&c->stream);
    free(c);
}

static inline void smtp_peer_stop(struct smtp_peer *p)
{
    while (p->conns != NULL) {
        struct smtp_peer_conn *c = p->conns;

        p->conns = c->next;
        stream_free(&c->stream);
        free(c);
    }
    p->open = 0;
    loop_io_free(&p->io);
    io_close(&p->fd);
    buf_fini(&p->lines);
}

#endif
