/* SPDX-License-Identifier: ISC */
/*
 * The client engine against a server that says anything.  Input bytes below 9 are acts of the
 * owner, the others are fed as the server's words, in pieces between the acts.  A small model
 * checks that every answer was asked for, and that content leaves only behind 354.
 */
#include <stdint.h>
#include <stdlib.h>
#include "base/mail/smtp_client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct model {
    struct smtp_client c;
    size_t n_asked; /* replies that may come */
    bool is_over, may_send_content, is_stuck;
    size_t n_dots;
};

static void flush(struct model *m)
{
    struct slice out;

    while ((out = smtp_client_output(&m->c)).n > 0) {
        if (slice_search(out, SLICE_LIT("content")) >= 0 && !m->may_send_content)
            abort();
        smtp_client_sent(&m->c, out.n);
    }
}

static void handle(struct model *m, const struct smtp_client_event *ev)
{
    if (m->is_over)
        abort();
    switch (ev->kind) {
    case SMTP_CLIENT_FAILED:
        if (!ev->err || ev->err->text[0] == '\0')
            abort();
        m->is_over = true;
        return;
    case SMTP_CLIENT_MAIL_REPLY:
    case SMTP_CLIENT_RCPT_REPLY:
    case SMTP_CLIENT_RSET_REPLY:
        break;
    case SMTP_CLIENT_DATA_REPLY:
        m->may_send_content = ev->reply->code == 354;
        break;
    case SMTP_CLIENT_DOT_REPLY:
        if (ev->is_early) {
            /* A refusal, and only while content may be sent; the only one for this message. */
            if (!m->may_send_content || !ev->is_last || ev->reply->code < 400 ||
                m->c.state != SMTP_CLIENT_DEAD)
                abort();
            m->is_over = true;
            return;
        }
        if (m->is_stuck && ev->reply->code / 100 == 2)
            abort();
        if (m->n_dots == 0 || ev->is_last != (--m->n_dots == 0))
            abort();
        m->may_send_content = !ev->is_last;
        if (ev->is_last)
            m->is_over = m->c.state == SMTP_CLIENT_DEAD;
        return;
    case SMTP_CLIENT_QUIT_REPLY:
        m->is_over = true;
        break;
    case SMTP_CLIENT_STARTTLS:
        flush(m);
        smtp_client_secured(&m->c);
        return;
    case SMTP_CLIENT_READY:
        return;
    case SMTP_CLIENT_MORE:
        abort();
    }
    if (m->n_asked-- == 0 || !ev->reply)
        abort();
}

static void feed(struct model *m, struct slice in)
{
    struct smtp_client_event ev;
    size_t used;

    while (smtp_client_feed(&m->c, in, &used, &ev) != SMTP_CLIENT_MORE) {
        in = slice_from(in, used);
        handle(m, &ev);
    }
    if (used != in.n)
        abort();
    flush(m);
}

static void act(struct model *m, uint8_t what)
{
    int rc = -1;

    switch (what) {
    case 0:
        rc = smtp_client_mail(&m->c, SLICE_LIT("a@b.c"), 77, true);
        break;
    case 1:
    case 2:
        rc = smtp_client_rcpt(&m->c, SLICE_LIT("r@b.c"));
        break;
    case 3:
        rc = smtp_client_data(&m->c);
        break;
    case 4:
        if (m->c.state == SMTP_CLIENT_DATA_ASKED || m->c.state == SMTP_CLIENT_IN_DATA)
            (void)!buf_add_str(smtp_client_content(&m->c), "content\r\n");
        break;
    case 5:
        if (m->c.state == SMTP_CLIENT_IN_DATA && smtp_client_dot(&m->c) == 0)
            m->n_dots = m->c.options.is_lmtp ? m->c.n_accepted : 1;
        break;
    case 6:
        rc = smtp_client_rset(&m->c);
        break;
    case 7:
        rc = smtp_client_quit(&m->c);
        break;
    case 8: /* what is given out from now on does not leave; behind the dot there is nothing */
        if (m->c.state == SMTP_CLIENT_DOTTED)
            break;
        m->is_stuck = true;
        smtp_client_stuck(&m->c, true);
        break;
    default:
        abort();
    }
    m->n_asked += rc == 0;
    flush(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct model m = {.n_asked = 0};
    size_t at, from;

    if (size == 0)
        return 0;
    struct smtp_client_options options = {.hello_name = "gw",
        .is_lmtp = (data[0] & 1) != 0,
        .never_pipelines = (data[0] & 64) != 0,
        .tls = {.policy = (enum conf_tls)((data[0] >> 2) % 5),
            .is_loopback = (data[0] & 128) != 0,
            .is_implicit = (data[0] & 2) != 0}};
    smtp_client_init(&m.c, &options);
    for (at = from = 1; at <= size; at++) {
        if (at < size && data[at] >= 9)
            continue;
        if (at > from)
            feed(&m, slice_make(data + from, at - from));
        if (at < size)
            act(&m, data[at]);
        from = at + 1;
    }
    if (m.c.n_pending > SMTP_CLIENT_PENDING_MAX)
        abort();
    smtp_client_fini(&m.c);
    return 0;
}
