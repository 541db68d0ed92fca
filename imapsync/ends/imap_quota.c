/* SPDX-License-Identifier: ISC */
/*
 * imap_quota: GETQUOTAROOT of INBOX (RFC 2087, RFC 9208): a line for each quota that counts for it.
 * A server that does not offer it is not asked, and one that refuses has told nothing.
 *
 * What Gmail calls used has the user's photographs and files in it.
 */
#include "imapsync/ends/imap_parts.h"

#define STORAGE_UNIT 1024

struct quota_request {
    struct imap_request r;
    struct end_quota *out;
};

static void quota_send(struct imap_request *r)
{
    struct imap_client *client = r->e->client;
    r->has_more = false;
    if (!imap_client_has(client, IMAP_CAP_QUOTA))
        return;
    imap_request_cmd(r, IMAP_STEP_OWN);
    imap_cmd_text(client, "GETQUOTAROOT INBOX");
    imap_cmd_end(client);
}

static uint64_t octets_of(uint64_t units)
{
    return units < UINT64_MAX / STORAGE_UNIT ? units * STORAGE_UNIT : UINT64_MAX;
}

static bool quota_untagged(struct imap_request *r, const struct imap_response *resp)
{
    struct end_quota *q = ((struct quota_request *)r)->out;
    const struct imap_quota_data *d = &resp->quota;
    if (resp->kind != IMAP_KIND_QUOTA)
        return false;
    if (d->of[IMAP_RESOURCE_STORAGE].is_told)
        end_amount_add(&q->octets, octets_of(d->of[IMAP_RESOURCE_STORAGE].used),
            octets_of(d->of[IMAP_RESOURCE_STORAGE].limit));
    if (d->of[IMAP_RESOURCE_MESSAGE].is_told)
        end_amount_add(
            &q->messages, d->of[IMAP_RESOURCE_MESSAGE].used, d->of[IMAP_RESOURCE_MESSAGE].limit);
    if (imap_client_has(r->e->client, IMAP_CAP_GMAIL))
        q->octets.used = 0;
    return true;
}

static void quota_answered(struct imap_request *r, unsigned step, const struct imap_outcome *o,
    const struct imap_response *resp)
{
    (void)r, (void)step, (void)o, (void)resp;
}

static const struct imap_request_kind quota_kind = {
    quota_send, quota_untagged, quota_answered, imap_request_free_head};

void imap_end_quota(struct end *e, struct end_quota *out, struct end_ticket *t)
{
    struct quota_request *q = imap_request_new(imap_end_of(e), sizeof(*q), &quota_kind, t);
    q->out = out;
    imap_request_begin(&q->r);
}
