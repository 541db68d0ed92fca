/* SPDX-License-Identifier: ISC */
/*
 * imap_identify: what tells a mailbox from others of its server: the MAILBOXID of its INBOX
 * (RFC 8474), or what Dovecot before 2.4 tells in its place, the GUID that it calls X-GUID.  A
 * server that knows neither says BAD, or nothing, and that is an answer.
 */
#include "imapsync/ends/imap_parts.h"

struct identify_request {
    struct imap_request r;
    struct buf *out;
};

static void identify_send(struct imap_request *r)
{
    struct imap_client *client = r->e->client;
    r->has_more = false;
    imap_request_cmd(r, IMAP_STEP_OWN);
    imap_cmd_text(client, imap_client_has(client, IMAP_CAP_OBJECTID) ? "STATUS INBOX (MAILBOXID)"
                                                                     : "STATUS INBOX (X-GUID)");
    imap_cmd_end(client);
}

static bool identify_untagged(struct imap_request *r, const struct imap_response *resp)
{
    struct identify_request *q = (struct identify_request *)r;
    const struct imap_status_data *d = &resp->status_data;
    const unsigned ids = IMAP_ITEM_MAILBOXID | IMAP_ITEM_GUID;
    if (resp->kind != IMAP_KIND_MAILBOX_STATUS || !(d->has & ids))
        return false;
    buf_clear(q->out);
    if (buf_add(q->out, d->has & IMAP_ITEM_MAILBOXID ? d->id : d->guid) != 0)
        buf_clear(q->out);
    return true;
}

static void identify_answered(struct imap_request *r, unsigned step, const struct imap_outcome *o,
    const struct imap_response *resp)
{
    (void)r, (void)step, (void)o, (void)resp;
}

static const struct imap_request_kind identify_kind = {
    identify_send, identify_untagged, identify_answered, imap_request_free_head};

void imap_end_identify(struct end *e, struct buf *out, struct end_ticket *t)
{
    struct identify_request *q = imap_request_new(imap_end_of(e), sizeof(*q), &identify_kind, t);
    q->out = out;
    imap_request_begin(&q->r);
}
