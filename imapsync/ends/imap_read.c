/* SPDX-License-Identifier: ISC */
/*
 * imap_read: UID FETCH ... BODY.PEEK[], and the bodies to whoever asked for them.
 *
 * A body is known by its UID as soon as it begins.  Some servers tell the UID only behind the body:
 * then nobody knows yet whose it is; it is dropped, and what is missing at the end is asked for one
 * by one, where there is only one that it can be.
 *
 * Where a server counts less than it sends, the rest of the message comes as lines.  So behind a
 * body there has to be the end of its list; a CRLF may stand between, which some servers add.
 */
#include <stdlib.h>
#include <string.h>

#include "base/core/mem.h"
#include "imapsync/ends/imap_parts.h"

struct read_request {
    struct imap_request r;
    const struct end_sink *sink;
    void *arg;
    uint32_t *uids; /* owned, ascending */
    bool *has_come; /* owned, as uids */
    size_t n, sent;
    bool is_wanted; /* the body that is coming */
    bool is_late;   /* UIDs are told behind bodies */
    bool is_one_by_one;
    bool was_cut; /* a command was done for a part of its messages only */
    struct imap_rest rest;
    uint32_t alone; /* the only one that is asked for now, then */
};

static void read_send(struct imap_request *r)
{
    struct read_request *q = (struct read_request *)r;
    struct buf set;
    buf_init(&set, IMAP_SET_MAX);
    if (q->is_one_by_one) {
        q->alone = q->uids[q->sent];
        imap_set_some(r->e, &set, &q->alone, 1);
        q->sent++;
        r->has_more = false; /* the next one with its answer */
    } else {
        q->sent += imap_set_some(r->e, &set, q->uids + q->sent, q->n - q->sent);
        q->alone = q->n == 1 ? q->uids[0] : 0;
        r->has_more = q->sent < q->n;
    }
    imap_request_cmd(r, IMAP_STEP_OWN);
    imap_cmd_f(r->e->client, "UID FETCH %s (UID BODY.PEEK[])", buf_cstr(&set));
    imap_cmd_end(r->e->client);
    buf_fini(&set);
}

/* Position of a UID that was asked for, has not come and may still; n if there is none. */
static size_t find(const struct read_request *q, uint32_t uid)
{
    size_t low = 0, high = q->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (q->uids[mid] < uid)
            low = mid + 1;
        else
            high = mid;
    }
    return low < q->n && q->uids[low] == uid && !q->has_come[low] ? low : q->n;
}

static bool has_all(const struct read_request *q)
{
    size_t n = 0;
    while (n < q->n && q->has_come[n])
        n++;
    return n == q->n;
}

/* Those that have come are forgotten; one that has gone meanwhile is asked for once more. */
static void ask_for_rest(struct read_request *q)
{
    size_t left = 0;
    for (size_t i = 0; i < q->n; i++) {
        if (!q->has_come[i])
            q->uids[left++] = q->uids[i];
    }
    q->n = left;
    q->sent = 0;
    q->was_cut = false;
    memset(q->has_come, 0, left * sizeof(*q->has_come));
    if (imap_rest_goes_on(&q->rest, q->r.e, left))
        q->r.has_more = true;
    else if (left > 0)
        imap_rest_refuse(&q->r);
}

static void read_answered(struct imap_request *r, unsigned step, const struct imap_outcome *o,
    const struct imap_response *resp)
{
    struct read_request *q = (struct read_request *)r;
    (void)step, (void)resp;
    if (imap_rest_was_cut(o))
        q->was_cut = true;
    else if (o->status != IMAP_STATUS_OK)
        imap_request_refuse(r, o, ERR_SCOPE_NONE);
    if (r->n_cmds > 0 || r->has_more)
        return;
    if (r->n_unread > 0 && !has_all(q))
        imap_request_unread(r);
    if (q->was_cut && !q->is_late)
        ask_for_rest(q);
    if (!q->is_late)
        return;
    if (!q->is_one_by_one) {
        q->is_one_by_one = true;
        q->sent = 0;
    }
    while (q->sent < q->n && q->has_come[q->sent])
        q->sent++;
    r->has_more = q->sent < q->n;
}

static void read_free(struct imap_request *r)
{
    struct read_request *q = (struct read_request *)r;
    free(q->uids);
    free(q->has_come);
    imap_request_free_head(r);
}

static const struct imap_request_kind read_kind = {read_send, NULL, read_answered, read_free};

void imap_end_read(struct end *end, const uint32_t *uids, size_t n, const struct end_sink *sink,
    void *arg, struct end_ticket *t)
{
    struct read_request *q = imap_request_new(imap_end_of(end), sizeof(*q), &read_kind, t);
    q->sink = sink;
    q->arg = arg;
    q->r.reads = true;
    q->uids = imap_uids_copy(uids, n, &q->n);
    imap_rest_begin(&q->rest, q->r.e, q->n);
    q->has_come = mem_zalloc(q->n * sizeof(*q->has_come) + 1);
    imap_request_on_open(&q->r);
    imap_request_begin(&q->r);
}

/* --- Bodies ----------------------------------------------------------------------------------- */

void imap_read_begin(struct imap_end *e, uint32_t uid, uint64_t size)
{
    e->body = (struct imap_body){0};
    /* What comes behind a body that was none is taken off the wire, and nobody's. */
    for (struct imap_cmd *c = e->has_failed ? NULL : e->cmds; c; c = c->next) {
        if (!c->r || c->step == IMAP_STEP_REOPEN || c->r->kind != &read_kind)
            continue;
        if (c->r->opened->is_refused)
            return; /* by its UIDVALIDITY: these are other messages */
        struct read_request *q = (struct read_request *)c->r;
        if (uid == 0 && q->alone == 0) {
            q->is_late = true;
            return;
        }
        size_t at = find(q, uid > 0 ? uid : q->alone);
        if (at == q->n)
            continue;
        q->has_come[at] = true;
        e->body = (struct imap_body){.r = &q->r, .uid = q->uids[at]};
        q->is_wanted = !q->sink->begin || q->sink->begin(q->arg, e->body.uid, size);
        return;
    }
}

void imap_read_data(struct imap_end *e, struct slice octets)
{
    struct read_request *q = (struct read_request *)e->body.r;
    if (q && q->is_wanted && q->sink->data)
        q->sink->data(q->arg, octets);
}

static const char cut_short[] = "a message does not end where the server has said";

static void body_over(struct imap_end *e)
{
    struct read_request *q = (struct read_request *)e->body.r;
    uint32_t uid = e->body.uid;
    e->body = (struct imap_body){0};
    if (q->is_wanted && q->sink->end)
        q->sink->end(q->arg, uid);
}

void imap_read_end(struct imap_end *e, const struct imap_fetch_data *f)
{
    struct read_request *q = (struct read_request *)e->body.r;
    if (!q)
        return;
    bool is_it = f->has & IMAP_FETCH_UID ? f->uid == e->body.uid : q->alone == e->body.uid;
    if (!(f->has & IMAP_FETCH_BODY) || !is_it) {
        imap_end_fail(e, "a message came instead of another");
        return;
    }
    if (f->has_rest)
        imap_end_fail(e, cut_short);
    else if (f->is_unclosed)
        e->body.is_unclosed = true;
    else
        body_over(e);
}

void imap_read_closed(struct imap_end *e, bool is_bracket)
{
    if (!e->body.is_unclosed)
        return;
    if (is_bracket) {
        body_over(e);
        return;
    }
    e->body = (struct imap_body){0};
    imap_end_fail(e, cut_short);
}
