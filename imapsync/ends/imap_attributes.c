/* SPDX-License-Identifier: ISC */
/*
 * imap_attributes: what FETCH tells about messages besides their bodies.
 *
 * Of a message that is told by half (see imap_whole.c) the whole is asked for once more; it may
 * have gone meanwhile, and what is still without flags then is not told.  Where only the date is
 * still missing, since the server has none or one that nobody can read, its header is asked.
 */
#include <stdlib.h>

#include "base/core/clock.h"
#include "base/mail/uids.h"
#include "imapsync/ends/arrival.h"
#include "imapsync/ends/date.h"
#include "imapsync/ends/imap_parts.h"

void imap_compose_items(struct imap_client *client, unsigned want)
{
    imap_cmd_text(client, "(UID");
    if (want & END_WANT_FLAGS)
        imap_cmd_text(client, " FLAGS");
    if (want & END_WANT_DATES)
        imap_cmd_text(client, " INTERNALDATE");
    if (want & END_WANT_SIZES)
        imap_cmd_text(client, " RFC822.SIZE");
    if (want & END_WANT_IDS && imap_client_has(client, IMAP_CAP_OBJECTID))
        imap_cmd_text(client, " EMAILID");
    else if (want & END_WANT_IDS && imap_client_has(client, IMAP_CAP_GMAIL))
        imap_cmd_text(client, " X-GM-MSGID");
    imap_cmd_text(client, ")");
}

void imap_compose_fields(struct imap_client *client)
{
    imap_cmd_f(
        client, "(UID BODY.PEEK[HEADER.FIELDS (DATE RECEIVED)]<0.%u>)", (unsigned)IMAP_FIELDS_MAX);
}

/* An INTERNALDATE in a form of its own is a date all the same. */
static bool read_date(struct slice text, struct listed *m)
{
    return date_parse(text, &m->date_s, &m->zone_min) ||
           arrival_parse(text, &m->date_s, &m->zone_min);
}

/* A line that was cut by the server may have half a date. */
static bool read_fields(struct slice fields, struct listed *m)
{
    if (fields.n >= IMAP_FIELDS_MAX)
        fields.n = (size_t)(slice_rfind(fields, '\n') + 1);
    return arrival_of(fields, clock_wall_s(), &m->date_s, &m->zone_min);
}

bool imap_listed(struct end_changes *out, const struct imap_fetch_data *f, struct listed *m)
{
    *m = (struct listed){.uid = f->uid};
    if (!(f->has & IMAP_FETCH_UID))
        return false;
    m->has_size = (f->has & IMAP_FETCH_SIZE) != 0;
    m->size = f->size > UINT32_MAX ? UINT32_MAX : (uint32_t)f->size;
    m->has_date = f->has & IMAP_FETCH_INTERNALDATE && read_date(f->internal_date, m);
    if (!m->has_date && f->has & IMAP_FETCH_FIELDS)
        m->has_date = m->has_arrival = read_fields(f->fields, m);
    m->has_flags = (f->has & IMAP_FETCH_FLAGS) != 0;
    if (m->has_flags) {
        end_changes_take_flags(out, f->flags, &m->flags);
        out->flags_lost += f->has_odd_flags;
    }
    if (f->has & IMAP_FETCH_EMAILID)
        end_changes_add_id(out, f->uid, f->email_id);
    return true;
}

struct attributes_request {
    struct imap_request r;
    struct end_changes *out;
    uint32_t *uids; /* owned, ascending */
    size_t n, sent;
    unsigned want;
    bool is_second; /* uids: those that were told by half */
    bool is_third;  /* those without a date, whose header is asked */
    bool was_cut;   /* a command was done for a part of its messages only */
    struct imap_rest rest;
};

static void attributes_send(struct imap_request *r)
{
    struct attributes_request *q = (struct attributes_request *)r;
    struct buf set;
    buf_init(&set, IMAP_SET_MAX);
    q->sent += imap_set_some(r->e, &set, q->uids + q->sent, q->n - q->sent);
    imap_request_cmd(r, IMAP_STEP_OWN);
    imap_cmd_f(r->e->client, "UID FETCH %s ", buf_cstr(&set));
    if (q->is_third)
        imap_compose_fields(r->e->client);
    else
        imap_compose_items(r->e->client, q->want);
    imap_cmd_end(r->e->client);
    buf_fini(&set);
    r->has_more = q->sent < q->n;
}

/* Others have removed them, and the server has told of them, or not, before it said so. */
static void take_vanished(struct end_changes *c, struct slice set)
{
    struct uid_range range;
    while (uids_next(&set, &range) > 0) {
        size_t kept = 0;
        for (size_t i = 0; i < c->n; i++) {
            if (c->v[i].uid < range.first || c->v[i].uid > range.last)
                c->v[kept++] = c->v[i];
        }
        c->n = kept;
    }
}

static bool attributes_untagged(struct imap_request *r, const struct imap_response *resp)
{
    struct attributes_request *q = (struct attributes_request *)r;
    struct listed m;
    if (resp->kind == IMAP_KIND_VANISHED && !resp->is_earlier) {
        take_vanished(q->out, resp->set);
        return true;
    }
    if (resp->kind != IMAP_KIND_FETCH || !imap_listed(q->out, &resp->fetch, &m))
        return false;
    /* It is one of ours: there cannot be too many. */
    return uids_have(q->uids, q->n, m.uid) && end_changes_add(q->out, &m);
}

/* Of those that were asked for: they are not there any more, or were told in vain. */
static bool has_all(const struct attributes_request *q)
{
    bool has = true;
    for (size_t i = 0; has && i < q->n; i++)
        has = end_changes_find(q->out, q->uids[i]) != NULL;
    return has;
}

static unsigned lacks(const struct attributes_request *q, uint32_t uid)
{
    const struct listed *m = end_changes_find(q->out, uid);
    return m ? end_listed_lacks(m, q->want) : 0;
}

static void keep_partial(struct attributes_request *q)
{
    size_t n = 0;
    for (size_t i = 0; i < q->n; i++) {
        if (lacks(q, q->uids[i]))
            q->uids[n++] = q->uids[i];
    }
    q->n = n;
    q->sent = 0;
}

static void drop_partial(struct attributes_request *q)
{
    struct end_changes *c = q->out;
    size_t kept = 0;
    for (size_t i = 0; i < c->n; i++) {
        if (!uids_have(q->uids, q->n, c->v[i].uid) ||
            !(end_listed_lacks(&c->v[i], q->want) & END_WANT_FLAGS))
            c->v[kept++] = c->v[i];
    }
    c->n = kept;
}

/* A date is only asked of a header beside flags: for a copy.  Whoever asks for dates alone wants to
 * know what the server has. */
static void keep_dateless(struct attributes_request *q)
{
    size_t n = 0;
    for (size_t i = 0; i < q->n; i++) {
        if (q->want & END_WANT_FLAGS && lacks(q, q->uids[i]) & END_WANT_DATES)
            q->uids[n++] = q->uids[i];
    }
    q->n = n;
    q->sent = 0;
}

/* Those that have been told are not asked for again, by half or whole. */
static bool asks_for_rest(struct attributes_request *q)
{
    size_t left = 0;
    for (size_t i = 0; q->was_cut && i < q->n; i++)
        left += !end_changes_find(q->out, q->uids[i]);
    if (!q->was_cut || left == 0)
        return false;
    q->was_cut = false;
    if (!imap_rest_goes_on(&q->rest, q->r.e, left)) {
        imap_rest_refuse(&q->r);
        return false;
    }
    q->sent = 0;
    q->r.has_more = true;
    return true;
}

static void attributes_answered(struct imap_request *r, unsigned step, const struct imap_outcome *o,
    const struct imap_response *resp)
{
    struct attributes_request *q = (struct attributes_request *)r;
    (void)step, (void)resp;
    if (imap_rest_was_cut(o))
        q->was_cut = true;
    else if (o->status != IMAP_STATUS_OK && !q->is_third)
        imap_request_refuse(r, o, ERR_SCOPE_NONE);
    if (r->n_cmds > 0 || r->has_more)
        return;
    end_changes_finish(q->out);
    if (r->n_unread > 0 && !has_all(q))
        imap_request_unread(r);
    if (asks_for_rest(q))
        return;
    if (!q->is_second) {
        keep_partial(q);
        q->is_second = true;
        r->has_more = q->n > 0;
        return;
    }
    drop_partial(q);
    keep_dateless(q);
    r->has_more = !q->is_third && q->n > 0;
    q->is_third = true;
}

static void attributes_free(struct imap_request *r)
{
    struct attributes_request *q = (struct attributes_request *)r;
    free(q->uids);
    imap_request_free_head(r);
}

static const struct imap_request_kind attributes_kind = {
    attributes_send, attributes_untagged, attributes_answered, attributes_free};

void imap_end_attributes(struct end *end, const uint32_t *uids, size_t n, unsigned want,
    struct end_changes *out, struct end_ticket *t)
{
    struct attributes_request *q =
        imap_request_new(imap_end_of(end), sizeof(*q), &attributes_kind, t);
    q->uids = imap_uids_copy(uids, n, &q->n);
    imap_rest_begin(&q->rest, q->r.e, q->n);
    q->want = want;
    q->out = out;
    imap_request_on_open(&q->r);
    imap_request_begin(&q->r);
}
