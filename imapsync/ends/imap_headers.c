/* SPDX-License-Identifier: ISC */
/*
 * imap_headers: the headers of messages, and how large these are: what it costs to know a message
 * again without reading it.  A header is asked for up to a length that a response may have; of a
 * longer one the beginning comes, which is that of no message.
 */
#include <stdlib.h>

#include "base/core/mem.h"
#include "base/mail/uids.h"
#include "imapsync/ends/imap_parts.h"
#include "imapsync/ends/limits.h"

#define HEADER_MAX 32768
_Static_assert(HEADER_MAX < IMAP_LITERAL_INLINE_MAX, "it fits");

struct headers_request {
    struct imap_request r;
    const struct end_sink *sink;
    void *arg;
    uint32_t *uids; /* owned, ascending */
    bool *has_come; /* owned, as uids */
    size_t n, sent;
};

static int by_number(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void headers_send(struct imap_request *r)
{
    struct headers_request *q = (struct headers_request *)r;
    struct buf set;
    buf_init(&set, IMAP_SET_MAX);
    q->sent += imap_set_some(r->e, &set, q->uids + q->sent, q->n - q->sent);
    imap_request_cmd(r, IMAP_STEP_OWN);
    imap_cmd_f(r->e->client, "UID FETCH %s (UID RFC822.SIZE BODY.PEEK[HEADER]<0.%d>)",
        buf_cstr(&set), HEADER_MAX);
    imap_cmd_end(r->e->client);
    buf_fini(&set);
    r->has_more = q->sent < q->n;
}

static bool headers_untagged(struct imap_request *r, const struct imap_response *resp)
{
    struct headers_request *q = (struct headers_request *)r;
    const struct imap_fetch_data *f = &resp->fetch;
    const unsigned all = IMAP_FETCH_UID | IMAP_FETCH_SIZE | IMAP_FETCH_HEADER;
    if (resp->kind != IMAP_KIND_FETCH || (f->has & all) != all || f->header.is_nil)
        return false;
    size_t at = mem_place(&f->uid, q->uids, q->n, sizeof(f->uid), by_number);
    if (at == q->n || q->uids[at] != f->uid || q->has_come[at])
        return false;
    struct buf text;
    buf_init(&text, IMAP_LITERAL_INLINE_MAX);
    q->has_come[at] = true;
    if (imap_str_add(f->header, &text) == 0 &&
        (!q->sink->begin || q->sink->begin(q->arg, f->uid, f->size))) {
        if (q->sink->data)
            q->sink->data(q->arg, buf_slice(&text));
        if (q->sink->end)
            q->sink->end(q->arg, f->uid);
    }
    buf_fini(&text);
    return true;
}

static void headers_answered(struct imap_request *r, unsigned step, const struct imap_outcome *o,
    const struct imap_response *resp)
{
    (void)step, (void)resp;
    if (o->status != IMAP_STATUS_OK)
        imap_request_refuse(r, o, ERR_SCOPE_NONE);
}

static void headers_free(struct imap_request *r)
{
    struct headers_request *q = (struct headers_request *)r;
    free(q->uids);
    free(q->has_come);
    imap_request_free_head(r);
}

static const struct imap_request_kind headers_kind = {
    headers_send, headers_untagged, headers_answered, headers_free};

void imap_end_headers(struct end *end, const uint32_t *uids, size_t n, const struct end_sink *sink,
    void *arg, struct end_ticket *t)
{
    struct headers_request *q = imap_request_new(imap_end_of(end), sizeof(*q), &headers_kind, t);
    q->sink = sink;
    q->arg = arg;
    q->r.reads = true;
    q->uids = imap_uids_copy(uids, n, &q->n);
    q->has_come = mem_zalloc(q->n * sizeof(*q->has_come) + 1);
    imap_request_on_open(&q->r);
    imap_request_begin(&q->r);
}
