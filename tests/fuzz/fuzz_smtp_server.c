/* SPDX-License-Identifier: ISC */
/*
 * The server engine with random bytes in each state.  The first byte chooses the state that the
 * session is in, the second the settings and how the owner answers, the third the length of the
 * pieces.  A small model checks the order of events and what reaches the owner as content.
 */
#include <stdint.h>
#include <stdlib.h>
#include "relay/smtp_server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct model {
    struct smtp_server s;
    unsigned answers; /* bits that choose them, used in turn */
    bool has_mail, in_data, is_closed;
    unsigned char last; /* byte of content */
    struct buf pending;
};

static void reply(struct model *m, int good)
{
    static const int bad[] = {450, 550};
    struct answer a;
    bool is_good = (m->answers & 3) != 3;
    int code = is_good ? good : bad[(m->answers >> 2) & 1];

    m->answers = (m->answers >> 1) | (m->answers << 31);
    answer_set(&a, code, "", "x");
    smtp_server_answer(&m->s, &a);
}

static void check_content(struct model *m, struct slice content)
{
    if (!m->in_data)
        abort();
    for (size_t i = 0; i < content.n; i++) {
        unsigned char c = content.p[i];
        if (c == '\0' || (c == '\n') != (m->last == '\r'))
            abort();
        m->last = c;
    }
}

static void handle(struct model *m, const struct smtp_server_event *ev)
{
    if (m->is_closed && ev->kind != SMTP_SERVER_MORE)
        abort();
    switch (ev->kind) {
    case SMTP_SERVER_GOT_MAIL:
        if (m->has_mail)
            abort();
        reply(m, 250);
        m->has_mail = m->s.state == SMTP_SERVER_ENVELOPE;
        break;
    case SMTP_SERVER_GOT_RCPT:
        if (!m->has_mail)
            abort();
        reply(m, 250);
        break;
    case SMTP_SERVER_GOT_DATA:
        if (!m->has_mail || m->s.n_rcpts == 0)
            abort();
        reply(m, 354);
        m->in_data = m->s.state == SMTP_SERVER_DATA;
        m->has_mail = m->in_data;
        m->last = 0;
        break;
    case SMTP_SERVER_CONTENT:
        check_content(m, ev->content);
        break;
    case SMTP_SERVER_END:
        if (!m->in_data || (m->last != 0 && m->last != '\n'))
            abort();
        while (m->s.asked == SMTP_SERVER_END)
            reply(m, 250);
        m->in_data = m->has_mail = false;
        break;
    case SMTP_SERVER_SPOILED:
        if (!m->in_data || ev->answer->code < 500)
            abort();
        m->in_data = m->has_mail = false;
        break;
    case SMTP_SERVER_RESET:
        if (!m->has_mail || m->in_data)
            abort();
        m->has_mail = false;
        break;
    case SMTP_SERVER_STARTTLS:
        if (m->has_mail || m->s.is_secure)
            abort();
        buf_clear(&m->pending);
        smtp_server_secured(&m->s);
        break;
    case SMTP_SERVER_CLOSE:
        m->is_closed = true;
        break;
    case SMTP_SERVER_MORE:
        break;
    }
}

static void feed(struct model *m, struct slice more)
{
    struct smtp_server_event ev;
    size_t used;

    if (buf_add(&m->pending, more) != 0)
        abort();
    do {
        smtp_server_feed(&m->s, buf_slice(&m->pending), &used, &ev);
        buf_consume(&m->pending, used);
        handle(m, &ev);
        for (size_t i = 0; i < m->s.output.n; i++)
            if (m->s.output.p[m->s.output.off + i] == '\0')
                abort();
        buf_clear(&m->s.output);
    } while (ev.kind != SMTP_SERVER_MORE || used > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const openings[] = {"", "EHLO x\r\n", "MAIL FROM:<>\r\n",
        "RCPT TO:<a@b.c>\r\n", "DATA\r\n", "a: b\r\n\r\n.", "x\r"};
    struct model m = {.answers = 0};
    struct buf scratch;
    size_t step, n_openings;

    if (size < 3)
        return 0;
    struct smtp_server_options options = {.hostname = "gw",
        .is_lmtp = (data[1] & 1) != 0,
        .offers_starttls = (data[1] & 2) != 0,
        .is_strict = (data[1] & 4) != 0,
        .bare_lf = data[1] & 8 ? CONF_BARE_LF_REFUSE : CONF_BARE_LF_NORMALISE,
        .size_max = 200,
        .recipients_max = 3,
        .errors_max = 10};
    buf_init(&scratch, 2 * SMTP_SERVER_CONTENT_STEP + 1);
    buf_init(&m.pending, 2 * size + 1000);
    smtp_server_init(&m.s, &options, &scratch);
    smtp_server_greet(&m.s, NULL);
    buf_clear(&m.s.output);

    n_openings = data[0] % (sizeof(openings) / sizeof(*openings));
    for (size_t i = 1; i <= n_openings; i++)
        feed(&m, slice_str(i == 1 && options.is_lmtp ? "LHLO x\r\n" : openings[i]));
    m.answers = data[1] >> 4;
    step = data[2] ? data[2] : size;
    for (size_t at = 3; at < size; at += step)
        feed(&m, slice_sub(slice_make(data, size), at, step));

    smtp_server_fini(&m.s);
    buf_fini(&m.pending);
    buf_fini(&scratch);
    return 0;
}
