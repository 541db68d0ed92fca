/* SPDX-License-Identifier: ISC */
/*
 * judge: see judge.h.
 *
 * Behind the header the map is not asked again unless the header holds a stamp of ours or too many
 * hops: a change of the map since RCPT is found by the claims, before the dot.
 */
#include <stdlib.h>
#include <string.h>
#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/mail/header.h"
#include "relay/judge.h"

/* One transaction has one target, and nothing is kept here: several deliveries, or one that leaves
 * the organisation, are for who has a spool.  The map refuses such entries where the relay is in
 * front (maps/store/control_fields.c); what it has all the same waits at its sender. */
static void take_one(struct decision *d)
{
    if (d->kind != DECIDE_DELIVER || (d->n_deliveries == 1 && !d->deliveries[0].is_outside))
        return;
    d->kind = DECIDE_DEFER;
    d->code = 451;
    memcpy(d->enhanced, "4.3.5", sizeof("4.3.5"));
    d->text = "Recipient leads to several addresses or outside, which is not possible here";
    d->n_deliveries = 0;
}

void judge_rcpt(const struct judge *j, struct slice sender, struct slice rcpt, int source_server,
    struct decision *out)
{
    struct decide_request req = {.rcpt = rcpt,
        .source_server = source_server,
        .now_s = clock_wall_s(),
        .has_sender = true,
        .sender = sender};

    arena_reset(j->mem);
    decide(j->conf, &j->view, &req, j->mem, out, NULL);
    take_one(out);
}

static struct slice key_of(const struct decision *d)
{
    return decision_key(d, 0);
}

static int refuse(const struct decision *d, const struct decision *now, struct answer *out)
{
    if (now->kind == DECIDE_DELIVER)
        answer_set(out, 451, "4.3.5", "the route of a recipient has just changed, try again");
    else
        answer_from_decision(now, out);
    log_info("header_refused", log_slice("rcpt", key_of(d)), log_i64("code", out->code),
        log_str("dsn", out->enhanced), log_str("text", out->text));
    return -1;
}

int judge_header(const struct judge *j, struct slice header, int source_server,
    const struct decision *decisions, size_t n, struct answer *refusal_out)
{
    struct decide_stamp stamps[TRACE_FIELDS_MAX];
    struct header_field field;
    size_t hops_max = j->conf->relay.hops_max;
    struct decide_request req = {.source_server = source_server,
        .now_s = clock_wall_s(),
        .stamps = stamps,
        .hops = header_count(header, SLICE_LIT("Received"), hops_max + 1),
        .hops_max = hops_max};

    if (req.hops <= hops_max && !header_find(header, SLICE_LIT(TRACE_FIELD), &field))
        return 0;
    for (size_t i = 0; i < n; i++) {
        const struct decision *d = &decisions[i];
        struct decision now;

        req.rcpt = key_of(d);
        req.n_stamps = trace_find(j->keys, header, key_of(d), req.now_s, stamps, TRACE_FIELDS_MAX);
        arena_reset(j->mem);
        decide(j->conf, &j->view, &req, j->mem, &now, NULL);
        take_one(&now);
        if (now.kind != DECIDE_DELIVER || decision_server(&now) != decision_server(d) ||
            decision_epoch(&now) != decision_epoch(d) ||
            strcmp(now.deliveries[0].address, d->deliveries[0].address) != 0)
            return refuse(d, &now, refusal_out);
    }
    return 0;
}

int judge_stamp(const struct judge *j, const struct decision *decisions, size_t n, struct buf *out)
{
    struct trace_rcpt few[16], *rcpts = few;
    size_t n_rcpts = 0;
    int rc;

    /* Two for an alias: the message may come back for it or for its target. */
    if (2 * n > sizeof(few) / sizeof(*few))
        rcpts = mem_realloc_array(NULL, 2 * n, sizeof(*rcpts));
    for (size_t i = 0; i < n; i++) {
        uint64_t epoch = decision_epoch(&decisions[i]);
        size_t rcpt = decisions[i].deliveries[0].rcpt;
        rcpts[n_rcpts++] = (struct trace_rcpt){.key = key_of(&decisions[i]), .epoch = epoch};
        if (rcpt != 0)
            rcpts[n_rcpts++] =
                (struct trace_rcpt){.key = decision_key(&decisions[i], rcpt), .epoch = epoch};
    }
    rc = trace_stamp(j->keys, rcpts, n_rcpts,
        slice_str(j->conf->servers[decision_server(&decisions[0])].name), clock_wall_s(), out);
    if (rcpts != few)
        free(rcpts);
    return rc;
}

size_t judge_stamp_size(const struct judge *j, const struct decision *d)
{
    return (d->deliveries[0].rcpt != 0 ? TRACE_ITEM_MAX : 0) +
           trace_stamp_size(j->keys, decision_epoch(d),
               slice_str(j->conf->servers[decision_server(d)].name), clock_wall_s());
}
