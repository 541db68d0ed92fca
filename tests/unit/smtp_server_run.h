/* SPDX-License-Identifier: ISC */
/*
 * smtp_server_run: one session with the server engine, fed as a stream feeds it.  What the engine
 * says is kept: the codes of its replies, its events, and the content.
 */
#ifndef TESTS_UNIT_SMTP_SERVER_RUN_H
#define TESTS_UNIT_SMTP_SERVER_RUN_H

#include "relay/smtp_server.h"
#include "tests/unit/unit.h"

#define SIXTY "012345678901234567890123456789012345678901234567890123456789"

static const char *const kind_names[] = {
    "MORE", "MAIL", "RCPT", "DATA", "CONTENT", "END", "RESET", "SPOILED", "STARTTLS", "CLOSE"};

static const struct smtp_server_options plain = {.hostname = "gw.example.org",
    .offers_starttls = true,
    .size_max = 100,
    .recipients_max = 3,
    .errors_max = 4};

struct run {
    const char *name;
    struct smtp_server server;
    struct buf scratch, in, events, codes, content;
};

static inline void take_output(struct run *r)
{
    struct slice rest = buf_slice(&r->server.output), line;

    while (rest.n > 0 && slice_split(&rest, '\n', &line))
        if (line.n >= 4 && line.p[3] != '-')
            assert_int_equal(buf_addf(&r->codes, " %.*s", 3, (const char *)line.p), 0);
    buf_clear(&r->server.output);
}

static inline void start(struct run *r, const char *name, const struct smtp_server_options *options)
{
    *r = (struct run){.name = name};
    buf_init(&r->scratch, 2 * SMTP_SERVER_CONTENT_STEP + 1);
    buf_init(&r->in, 1 << 20);
    buf_init(&r->events, 10000);
    buf_init(&r->codes, 1 << 20);
    buf_init(&r->content, 1 << 20);
    smtp_server_init(&r->server, options, &r->scratch);
    smtp_server_greet(&r->server, NULL);
    take_output(r);
    buf_clear(&r->codes);
}

static inline void stop(struct run *r)
{
    smtp_server_fini(&r->server);
    buf_fini(&r->scratch);
    buf_fini(&r->in);
    buf_fini(&r->events);
    buf_fini(&r->codes);
    buf_fini(&r->content);
}

/* Feeds what the engine did not use before together with the new bytes, as a stream does. */
static inline void feed(struct run *r, struct slice more)
{
    enum smtp_server_kind kind;
    struct smtp_server_event ev;

    assert_int_equal(buf_add(&r->in, more), 0);
    do {
        size_t used = 0;
        kind = smtp_server_feed(&r->server, buf_slice(&r->in), &used, &ev);
        buf_consume(&r->in, used);
        if (kind == SMTP_SERVER_CONTENT)
            assert_int_equal(buf_add(&r->content, ev.content), 0);
        else if (kind == SMTP_SERVER_GOT_MAIL || kind == SMTP_SERVER_GOT_RCPT)
            assert_non_null(ev.command);
        if (kind == SMTP_SERVER_SPOILED)
            assert_true(ev.answer != NULL && ev.answer->code / 100 == 5);
        if (kind != SMTP_SERVER_MORE && kind != SMTP_SERVER_CONTENT)
            assert_int_equal(buf_addf(&r->events, " %s", kind_names[kind]), 0);
        take_output(r);
        if (kind == SMTP_SERVER_STARTTLS)
            buf_clear(&r->in); /* as the stream does */
        if (kind == SMTP_SERVER_MORE && used > 0)
            kind = SMTP_SERVER_CONTENT;
    } while (kind != SMTP_SERVER_MORE);
}

static inline void feed_bytes(struct run *r, struct slice in)
{
    for (size_t i = 0; i < in.n; i++)
        feed(r, slice_sub(in, i, 1));
}

static inline void reply(struct run *r, int code)
{
    struct answer a;

    answer_set(&a, code, "", "x");
    smtp_server_answer(&r->server, &a);
    take_output(r);
    feed(r, SLICE_NONE);
}

static inline void expect(struct run *r, struct buf *got, struct slice want)
{
    if (want.n == 0)
        want = SLICE_LIT("");
    if (!slice_eq(slice_trim(buf_slice(got)), want))
        fail_msg("'%s': expected %.*s, got %s", r->name, SLICE_ARG(want), buf_cstr(got));
    buf_clear(got);
}

#endif
