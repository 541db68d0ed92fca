/* SPDX-License-Identifier: ISC */
/*
 * Transactions in which client, map and target do anything that is allowed to them.  Each input
 * byte chooses the next step; the model holds the engine to its promises:
 *   - 250 to the end of the content only when the target said 2xx to a dot that a claim allowed,
 *   - no DATA before the header was judged, no dot before the claim,
 *   - no dot for what is bigger than the target's SIZE, or 8-bit where it must not be,
 *   - every question of the client has its answers, a claim that was made is given back once, a
 *     connection too.
 */
#include <stdint.h>
#include <stdlib.h>
#include "relay/cutthrough.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct cutthrough_server servers[] = {
    {"old", false, false}, {"new", false, true}, {"lmtp", true, false}};

#define PREFIX "Received: x\r\n"
#define ROOM (sizeof(PREFIX) - 1)

enum asked { NOTHING, MAIL, RCPT, DATA, END };

struct model {
    struct cutthrough ct;
    struct smtp_client client;
    bool has_client, is_lmtp, is_judged, has_claim, wants_judge, wants_claim, wants_target, held;
    enum asked asked;
    bool in_data, has_8bit;
    size_t n_content;
    bool is_stuck;                   /* nothing leaves this connection any more */
    size_t n_rcpts, n_answers;       /* accepted; answers given to END */
    size_t n_good_dots, n_good_ends; /* what the target said, what the client heard */
    const uint8_t *in;
    size_t left;
};

static unsigned choose(struct model *m, unsigned n)
{
    if (m->left == 0)
        return 0;
    m->left--;
    return *m->in++ % n;
}

static void flush(struct model *m)
{
    struct slice out;

    while (m->has_client && (out = smtp_client_output(&m->client)).n > 0) {
        if (slice_starts(out, SLICE_LIT("DATA")) && !m->is_judged)
            abort();
        smtp_client_sent(&m->client, out.n);
    }
}

static void answered(struct model *m)
{
    const struct answer *a = &m->ct.answer;

    if (a->code < 200 || a->code > 599 || m->ct.n_answers == 0)
        abort();
    switch (m->asked) {
    case NOTHING:
        abort();
    case MAIL:
        m->asked = NOTHING;
        return;
    case RCPT:
        m->n_rcpts += answer_is_positive(a);
        m->asked = NOTHING;
        return;
    case DATA:
        m->in_data = a->code == 354;
        m->asked = NOTHING;
        return;
    case END:
        m->n_answers += m->ct.n_answers;
        if (answer_is_positive(a))
            m->n_good_ends += m->ct.n_answers;
        if (m->n_answers > (m->is_lmtp ? m->n_rcpts : 1))
            abort();
        /* One 2xx of an SMTP target stands for all recipients. */
        if (m->n_good_ends >
            (m->n_good_dots > 0 && !servers[m->ct.server].is_lmtp ? m->n_rcpts : m->n_good_dots))
            abort();
        if (m->n_answers < (m->is_lmtp ? m->n_rcpts : 1))
            return;
        if (m->ct.state != CUT_IDLE)
            abort();
        m->asked = NOTHING;
        m->in_data = false;
        return;
    }
}

static void work(struct model *m)
{
    enum cutthrough_action action;

    while ((action = cutthrough_next(&m->ct)) != CUT_NOTHING) {
        switch (action) {
        case CUT_UNCLAIM:
            if (!m->has_claim)
                abort();
            m->has_claim = false;
            break;
        case CUT_RELEASE:
            if (!m->has_client || m->has_claim)
                abort();
            if (m->ct.release != CUT_RELEASE_CLOSE && m->client.state != SMTP_CLIENT_OPEN)
                abort();
            if (m->ct.release == CUT_RELEASE_KEEP && !smtp_client_is_idle(&m->client))
                abort();
            smtp_client_fini(&m->client);
            m->has_client = false;
            break;
        case CUT_HOLD:
            m->held = true;
            break;
        case CUT_CONNECT:
            if (m->has_client)
                abort();
            m->wants_target = true;
            break;
        case CUT_JUDGE:
            m->wants_judge = true;
            break;
        case CUT_CLAIM:
            m->wants_claim = true;
            if (m->client.size_max > 0 && m->n_content + ROOM > m->client.size_max)
                abort();
            if (m->has_8bit && servers[m->ct.server].refuses_8bit &&
                (m->client.caps & SMTP_CLIENT_CAP_8BITMIME) == 0)
                abort();
            break;
        case CUT_FLUSH:
            flush(m);
            break;
        case CUT_ANSWER:
            answered(m);
            break;
        case CUT_NOTHING:
            break;
        }
    }
}

static void feed(struct model *m, const char *text)
{
    struct slice in = slice_str(text);
    struct smtp_client_event ev;
    size_t used;

    if (m->has_client)
        smtp_client_stuck(&m->client, m->is_stuck);
    while (m->has_client && in.n > 0 &&
           smtp_client_feed(&m->client, in, &used, &ev) != SMTP_CLIENT_MORE) {
        in = slice_from(in, used);
        if (ev.kind == SMTP_CLIENT_DOT_REPLY) {
            if (ev.is_early ? ev.reply->code < 400 : !m->has_claim || m->is_stuck)
                abort();
            m->n_good_dots += ev.reply->code / 100 == 2;
        }
        cutthrough_target_event(&m->ct, &ev);
        work(m);
        /* Claims are made at once, before anything else is heard. */
        if (m->wants_claim)
            return;
    }
}

static void connect_target(struct model *m)
{
    static const char *const hellos[] = {"250 hi\r\n", "250-hi\r\n250 PIPELINING\r\n",
        "250-hi\r\n250-8BITMIME\r\n250 PIPELINING\r\n", "250-hi\r\n250 SIZE 40\r\n"};
    struct smtp_client_options options = {
        .hello_name = "gw", .is_lmtp = servers[m->ct.server].is_lmtp};
    struct smtp_client_event ev;
    struct err down = {.class = ERR_TEMP, .text = "down"};
    size_t used;

    m->wants_target = false;
    if (choose(m, 8) == 7) {
        cutthrough_target(&m->ct, NULL, false, &down);
        return;
    }
    smtp_client_init(&m->client, &options);
    m->has_client = true;
    m->is_stuck = false;
    smtp_client_feed(&m->client, SLICE_LIT("220 hi\r\n"), &used, &ev);
    smtp_client_sent(&m->client, smtp_client_output(&m->client).n);
    if (smtp_client_feed(&m->client, slice_str(hellos[choose(m, 4)]), &used, &ev) !=
        SMTP_CLIENT_READY)
        abort();
    cutthrough_target(&m->ct, &m->client, choose(m, 2) == 1, NULL);
}

static void decide_rcpt(struct model *m)
{
    static struct decide_delivery to[] = {{.server = 0, .address = "r@x"},
        {.server = 1, .address = "r@x"}, {.server = 2, .address = "r@x"},
        {.server = 0, .address = "r r@x"}};
    static const struct decision decisions[] = {
        {.kind = DECIDE_DELIVER, .deliveries = &to[0], .n_deliveries = 1},
        {.kind = DECIDE_DELIVER, .deliveries = &to[1], .n_deliveries = 1},
        {.kind = DECIDE_DELIVER, .deliveries = &to[2], .n_deliveries = 1},
        {.kind = DECIDE_DELIVER, .deliveries = &to[3], .n_deliveries = 1},
        {.kind = DECIDE_HOLD, .code = 450, .enhanced = "4.2.1", .text = "held"},
        {.kind = DECIDE_REJECT, .code = 550, .enhanced = "5.1.1", .text = "unknown"},
        {.kind = DECIDE_NOT_OURS, .code = 550, .enhanced = "5.7.1", .text = "denied"},
    };

    m->held = false;
    unsigned n = choose(m, 3 * sizeof(decisions) / sizeof(*decisions));
    cutthrough_rcpt(
        &m->ct, &decisions[n < sizeof(decisions) / sizeof(*decisions) ? n : n % 3], ROOM);
}

static void target_talks(struct model *m)
{
    static const char *const words[] = {"250 ok\r\n", "250 ok\r\n250 ok\r\n", "354 go\r\n",
        "450 later\r\n", "550 5.1.1 no\r\n", "421 bye\r\n", "junk\r\n", "250-",
        "530 5.7.0 tls\r\n"};
    struct err lost = {.class = ERR_TEMP, .text = "lost"};
    struct smtp_client_event ev = {.kind = SMTP_CLIENT_FAILED, .err = &lost};
    unsigned n = choose(m, 3 * sizeof(words) / sizeof(*words));

    /* What fits comes more often than what does not, else no message would ever get through. */
    if (n > sizeof(words) / sizeof(*words))
        feed(m, words[m->ct.state == CUT_WAITING ? 2 : m->client.n_pending > 1 ? 1 : 0]);
    else if (n < sizeof(words) / sizeof(*words))
        feed(m, words[n]);
    else if (m->has_client && m->client.state != SMTP_CLIENT_DEAD)
        cutthrough_target_event(&m->ct, &ev);
}

static void start_mail(struct model *m)
{
    static const uint64_t sizes[] = {0, 0, 10, 27, 28, UINT64_MAX};
    struct smtp_command mail = {.mailbox = SLICE_LIT("s@x"),
        .is_8bit = choose(m, 8) == 7,
        .has_size = true,
        .size = sizes[choose(m, sizeof(sizes) / sizeof(*sizes))]};

    m->n_rcpts = m->n_answers = m->n_good_dots = m->n_good_ends = 0;
    m->is_judged = m->has_8bit = false;
    m->n_content = 0;
    m->asked = MAIL;
    cutthrough_mail(&m->ct, &mail);
}

static void client_talks(struct model *m)
{
    static const char *const pieces[] = {
        "A: b\r\n", "\r\n", ".x\r\n", "x", "\r\n\r\n", "long: field\r\n", "\xff\r\n"};
    const char *piece;

    if (m->ct.state == CUT_IDLE && !m->in_data) {
        start_mail(m);
    } else if (m->in_data) {
        if (choose(m, 3) == 2) {
            m->asked = END;
            cutthrough_end(&m->ct);
        } else {
            piece = pieces[choose(m, sizeof(pieces) / sizeof(*pieces))];
            m->n_content += strlen(piece);
            m->has_8bit |= piece[0] == '\xff';
            cutthrough_content(&m->ct, slice_str(piece));
        }
    } else if (choose(m, 3) == 2 && m->n_rcpts > 0) {
        m->asked = DATA;
        cutthrough_data(&m->ct);
    } else {
        m->asked = RCPT;
        decide_rcpt(m);
    }
}

static void abort_it(struct model *m)
{
    cutthrough_abort(&m->ct);
    work(m);
    if (m->ct.state != CUT_DOTTED) {
        if (m->has_client || m->has_claim)
            abort();
        m->in_data = m->wants_target = m->held = false;
        m->asked = NOTHING;
    }
}

static void step(struct model *m)
{
    struct answer no;

    answer_set(&no, 451, "4.3.0", "no");
    if (m->wants_judge) {
        m->wants_judge = false;
        m->is_judged = choose(m, 8) != 7;
        cutthrough_judged(&m->ct, m->is_judged ? NULL : &no, SLICE_LIT(PREFIX));
    } else if (m->wants_claim) {
        m->wants_claim = false;
        m->has_claim = choose(m, 8) != 7;
        cutthrough_claimed(&m->ct, m->has_claim ? NULL : &no);
    } else if (choose(m, 64) == 63) {
        abort_it(m);
    } else if (m->ct.state == CUT_BODY && choose(m, 16) == 15) {
        m->is_stuck = true;
    } else if (m->wants_target) {
        connect_target(m);
    } else if (m->held) {
        if (choose(m, 3) == 2) {
            m->held = false;
            cutthrough_hold_over(&m->ct);
        } else {
            decide_rcpt(m);
        }
    } else if (m->asked != NOTHING || choose(m, 16) == 15) {
        target_talks(m);
    } else {
        client_talks(m);
    }
    work(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err lost = {.class = ERR_TEMP, .text = "lost"};
    struct smtp_client_event ev = {.kind = SMTP_CLIENT_FAILED, .err = &lost};

    if (size == 0)
        return 0;
    struct model m = {.is_lmtp = (data[0] & 1) != 0, .in = data + 1, .left = size - 1};
    cutthrough_init(&m.ct, servers, 60, m.is_lmtp);
    while (m.left > 0)
        step(&m);
    if (m.wants_judge || m.wants_claim)
        step(&m);
    abort_it(&m);
    if (m.has_client) {
        cutthrough_target_event(&m.ct, &ev);
        work(&m);
    }
    if (m.has_client || m.has_claim || m.ct.state != CUT_IDLE)
        abort();
    cutthrough_fini(&m.ct);
    return 0;
}
