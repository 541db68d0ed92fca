/* SPDX-License-Identifier: ISC */
/*
 * imap_open: EXAMINE or SELECT, and in the same round trip what has changed since a token.
 *
 *   QRESYNC     (RFC 7162) EXAMINE itself tells what has changed and vanished; the new messages are
 *               asked for besides, since it tells no dates
 *   CONDSTORE   FETCH ... CHANGEDSINCE tells what has changed; only when the counts say that
 *               something has vanished all UIDs are asked for
 *   neither     all flags, and the dates of the new ones; that is a listing
 *
 * It is chosen for each folder: one may have no MODSEQs (NOMODSEQ), and a proxy may hide what the
 * server behind it offers.
 *
 * A server with a MESSAGELIMIT (RFC 9738) answers for so many messages in one command.  A folder
 * that has more is listed by position in portions of that number, once it is open and has told how
 * many it has.
 *
 * A folder that is open for writing already, and may stay so, does where the server tells by UID
 * what goes (QRESYNC): what follows meets what others have done meanwhile, since UNCHANGEDSINCE and
 * FETCH go by what is there and not by what the session was told (RFC 7162 3.1.3; Dovecot and Cyrus
 * do), and what vanishes during a FETCH is named.  Only messages that have come since are not
 * there for the session.  Dovecot lists a Maildir anew with each SELECT behind a change, 4 us a
 * message.  The MODSEQ that is told is that of the SELECT, so a guard by it is rather too strict.
 * Elsewhere it is opened again, and changes need not wait for the answer (NOOP is not enough:
 * Dovecot puts it off behind what is pipelined).
 *
 * An empty folder that was listed a moment ago need not be opened where its STATUS told the MODSEQ
 * too: its numbers are as of one moment, and what comes behind that changes them.  What is asked of
 * it all the same opens it first, as what another open() came before does (imap_requests.c).
 *
 * Courier gives a folder that no client has opened for writing another UIDVALIDITY at each EXAMINE.
 * So where one is not the one that was expected, EXAMINE is asked once more; if the two differ as
 * well, one SELECT makes it last.
 */
#include "imapsync/ends/imap_open.h"

#include <stdlib.h>
#include <sysexits.h>

#include "base/core/mem.h"

/* --- What is asked -------------------------------------------------------------------------- */

bool imap_open_is_large(const struct open_request *q)
{
    return q->portion > 0 && q->exists > q->portion;
}

bool imap_open_is_brief(const struct open_request *q)
{
    return q->may_be_brief && q->way == OPEN_WAY_LIST && q->from <= 1;
}

static void choose_way(struct open_request *q)
{
    const struct imap_end *e = q->r.e;
    if (q->token.uidnext == 0 || q->was_void)
        q->way = OPEN_WAY_LIST;
    else if (q->token.modseq > 0 && e->has_qresync)
        q->way = OPEN_WAY_QRESYNC;
    else if (q->token.modseq > 0 && imap_client_has(e->client, IMAP_CAP_CONDSTORE))
        q->way = OPEN_WAY_CONDSTORE;
    else if (q->may_be_brief)
        q->way = OPEN_WAY_LIST;
    else
        q->way = OPEN_WAY_FLAGS;
}

static void compose_open(struct open_request *q)
{
    struct imap_end *e = q->r.e;
    choose_way(q);
    q->portion = imap_message_limit(e);
    q->is_ours = q->way == OPEN_WAY_QRESYNC && !e->tail;
    imap_compose_open(&q->r, OPEN_STEP_OPEN, q->is_for_writing || q->turn == OPEN_TURN_SELECT);
    if (q->way == OPEN_WAY_QRESYNC)
        imap_cmd_f(e->client, " (QRESYNC (%u %llu))", q->token.uidvalidity,
            (unsigned long long)q->token.modseq);
    imap_cmd_end(e->client);
    q->next = OPEN_STEP_LIST;
    q->r.has_more = !q->is_only_opened && q->portion == 0;
}

static void compose_fetch(struct open_request *q, enum open_step step, uint32_t from, unsigned want)
{
    struct imap_client *client = q->r.e->client;
    imap_request_cmd(&q->r, step);
    imap_cmd_f(client, "UID FETCH %u:* ", from);
    imap_compose_items(client, want);
    if (q->way == OPEN_WAY_CONDSTORE && step == OPEN_STEP_LIST)
        imap_cmd_f(client, " (CHANGEDSINCE %llu)", (unsigned long long)q->token.modseq);
    imap_cmd_end(client);
}

static void compose_part(struct open_request *q)
{
    struct imap_client *client = q->r.e->client;
    uint64_t last = q->part + q->by_parts - 1;
    if (q->part == 1) {
        q->heard = 1;
        q->n_heard = 0;
    }
    imap_request_cmd(&q->r, OPEN_STEP_PART);
    imap_cmd_f(
        client, "FETCH %u:%u ", (unsigned)q->part, (unsigned)(last < q->exists ? last : q->exists));
    imap_compose_items(client, imap_open_is_brief(q) ? 0 : q->want);
    imap_cmd_end(client);
    q->part += q->by_parts;
    q->r.has_more = q->part <= q->exists;
}

static void compose_uids(struct open_request *q, enum open_step step)
{
    imap_request_cmd(&q->r, step);
    imap_cmd_text(q->r.e->client, "UID SEARCH RETURN (ALL) ALL");
    imap_cmd_end(q->r.e->client);
    q->r.has_more = false;
}

static void compose_list(struct open_request *q)
{
    bool has_new = q->want & (END_WANT_DATES | END_WANT_SIZES | END_WANT_IDS);
    if (imap_open_is_large(q) && (q->way == OPEN_WAY_LIST || q->way == OPEN_WAY_FLAGS)) {
        q->way = OPEN_WAY_LIST;
        q->next = OPEN_STEP_PART;
        q->by_parts = q->portion;
        q->part = 1;
        compose_part(q);
        return;
    }
    switch (q->way) {
    case OPEN_WAY_LIST:
        if (imap_open_is_brief(q) && imap_client_has(q->r.e->client, IMAP_CAP_ESEARCH))
            compose_uids(q, OPEN_STEP_LIST);
        else
            compose_fetch(q, OPEN_STEP_LIST, q->from, imap_open_is_brief(q) ? 0 : q->want);
        q->r.has_more = false;
        return;
    case OPEN_WAY_CONDSTORE:
        compose_fetch(q, OPEN_STEP_LIST, q->from, q->want);
        q->r.has_more = false;
        return;
    case OPEN_WAY_QRESYNC: /* the flags are there already */
        compose_fetch(q, OPEN_STEP_NEW, q->token.uidnext, q->want);
        q->r.has_more = false;
        return;
    case OPEN_WAY_FLAGS:
        compose_fetch(q, OPEN_STEP_LIST, q->from, END_WANT_FLAGS);
        q->next = OPEN_STEP_NEW;
        q->r.has_more = has_new;
        return;
    }
}

static void compose_whole(struct open_request *q, enum open_step step)
{
    struct imap_client *client = q->r.e->client;
    struct buf set;
    buf_init(&set, IMAP_SET_MAX);
    q->partial_sent +=
        imap_set_some(q->r.e, &set, q->partial + q->partial_sent, q->n_partial - q->partial_sent);
    imap_request_cmd(&q->r, step);
    imap_cmd_f(client, "UID FETCH %s ", buf_cstr(&set));
    if (step == OPEN_STEP_DATES)
        imap_compose_fields(client);
    else
        imap_compose_items(client, q->want);
    imap_cmd_end(client);
    buf_fini(&set);
    q->r.has_more = q->partial_sent < q->n_partial;
}

static void open_send(struct imap_request *r)
{
    struct open_request *q = (struct open_request *)r;
    switch (q->next) {
    case OPEN_STEP_OPEN:
        compose_open(q);
        break;
    case OPEN_STEP_LIST:
        compose_list(q);
        break;
    case OPEN_STEP_NEW:
        compose_fetch(q, OPEN_STEP_NEW, q->token.uidnext, q->want);
        r->has_more = false;
        break;
    case OPEN_STEP_UIDS:
        compose_uids(q, OPEN_STEP_UIDS);
        break;
    case OPEN_STEP_PART:
        compose_part(q);
        break;
    case OPEN_STEP_WHOLE:
    case OPEN_STEP_DATES:
        compose_whole(q, q->next);
        break;
    }
}

/* --- What it is answered ---------------------------------------------------------------------- */

void imap_open_again(struct open_request *q, enum open_turn turn)
{
    q->turn = turn;
    q->next = OPEN_STEP_OPEN;
    q->r.has_more = true;
    q->r.opens = true;
    q->is_open = false;
    q->was_cut = false;
    q->by_parts = 0;
    imap_told_clear(q);
}

static void opened(struct open_request *q, const struct imap_outcome *o)
{
    struct imap_request *r = &q->r;
    struct end_changes *c = q->out;
    struct err err = ERR_INIT;
    q->is_open = true;
    q->is_deaf = q->way == OPEN_WAY_QRESYNC && !q->is_ours;
    if (o->status != IMAP_STATUS_OK) {
        imap_request_refuse(r, o, ERR_SCOPE_FOLDER);
        imap_opened_refuse(r->opened, &r->err);
        return;
    }
    if (c->uidvalidity == 0) {
        /* Of no use: UIDs mean nothing without it.  Other folders may be better. */
        err_set(&err, ERR_PEER, EX_PROTOCOL, "the server tells no UIDVALIDITY");
        imap_opened_refuse(r->opened, &err);
        return;
    }
    if ((q->is_for_writing || q->is_only_opened) && q->expected != 0 &&
        c->uidvalidity != q->expected) {
        err_set(&err, ERR_TEMP, EX_TEMPFAIL, "the folder was replaced meanwhile (UIDVALIDITY)");
        imap_opened_refuse(r->opened, &err);
        return;
    }
    r->opens = false;
    r->opened->uidvalidity = c->uidvalidity;
    r->opened->uidnext = c->uidnext;
    r->opened->exists = c->exists;
    r->opened->modseq = c->modseq;
    r->opened->storable = c->storable;
    r->opened->takes_keywords = c->takes_keywords;
    r->opened->is_confirmed = r->e->tail == r->opened;
    r->has_more = r->has_more || (q->portion > 0 && !q->is_only_opened);
}

/* One of which nothing is told is behind the last one, however many the server has counted. */
static void part_answered(struct open_request *q)
{
    q->r.has_more = q->r.has_more && q->n_heard > 0;
    q->heard += q->by_parts;
    q->n_heard = 0;
}

static void open_answered(struct imap_request *r, unsigned step, const struct imap_outcome *o,
    const struct imap_response *resp)
{
    struct open_request *q = (struct open_request *)r;
    (void)resp;
    if (o->code == IMAP_CODE_MESSAGELIMIT) {
        q->was_cut = true;
        q->portion = imap_message_limit(r->e);
    }
    if (step == OPEN_STEP_PART)
        part_answered(q);
    if (step == OPEN_STEP_OPEN) {
        opened(q, o);
    } else if (o->status != IMAP_STATUS_OK && step != OPEN_STEP_WHOLE && step != OPEN_STEP_DATES) {
        q->was_refused = true;
        q->refusal = *o;
    }
    if (r->n_cmds == 0 && !r->has_more)
        imap_whole_finish(q);
}

static void open_free(struct imap_request *r)
{
    struct open_request *q = (struct open_request *)r;
    uid_set_fini(&q->known);
    uid_set_fini(&q->present);
    free(q->partial);
    imap_request_free_head(r);
}

static const struct imap_request_kind open_kind = {open_send, imap_told, open_answered, open_free};

/* It is what this one wants to be opened. */
static bool is_open_already(const struct imap_end *e, const struct end_open *o)
{
    const struct imap_opened *now = e->last_opened;
    return o->is_only_opened && now && now == e->tail && now->is_confirmed && !now->is_refused &&
           now->is_for_writing == o->is_for_writing && slice_eq(now->name, o->folder) &&
           (o->uidvalidity == 0 || o->uidvalidity == now->uidvalidity);
}

/* What is open stays so. */
static void tell_again(struct open_request *q, const struct imap_opened *now)
{
    struct end_changes *c = q->out;
    imap_told_clear(q);
    c->uidvalidity = now->uidvalidity;
    c->uidnext = now->uidnext;
    c->exists = now->exists;
    c->modseq = now->modseq;
    c->storable = now->storable;
    c->takes_keywords = now->takes_keywords;
}

/* Its status is all there is to know of it. */
static bool is_told_empty(const struct imap_end *e, const struct end_open *o)
{
    const unsigned all =
        FOLDER_HAS_MESSAGES | FOLDER_HAS_UIDNEXT | FOLDER_HAS_UIDVALIDITY | FOLDER_HAS_MODSEQ;
    const struct folder *f = o->listed;
    return f && (f->has & all) == all && f->messages == 0 && f->uidvalidity != 0 &&
           f->uidnext != 0 && f->modseq != 0 && o->token.n == 0 && !o->is_for_writing &&
           !o->is_only_opened && !e->profile->invents_uidvalidity &&
           (o->uidvalidity == 0 || o->uidvalidity == f->uidvalidity) &&
           (!o->known || uid_set_size(o->known) == 0);
}

static void tell_empty(struct open_request *q, const struct folder *f)
{
    struct end_changes *c = q->out;
    struct imap_opened *now = q->r.opened;
    const struct imap_token token = {
        .uidvalidity = f->uidvalidity, .uidnext = f->uidnext, .modseq = f->modseq};
    q->r.opens = q->r.has_more = false;
    now->uidvalidity = c->uidvalidity = f->uidvalidity;
    now->uidnext = c->uidnext = f->uidnext;
    now->modseq = c->modseq = f->modseq;
    c->is_whole = c->is_sure = true;
    imap_token_pack(&c->token, &token);
}

void imap_end_open(
    struct end *end, const struct end_open *o, struct end_changes *out, struct end_ticket *t)
{
    struct imap_end *e = imap_end_of(end);
    struct open_request *q = imap_request_new(e, sizeof(*q), &open_kind, t);
    q->out = out;
    q->is_only_opened = o->is_only_opened;
    if (o->may_stay_open && o->is_for_writing && e->has_qresync && is_open_already(e, o)) {
        imap_request_on_open(&q->r);
        q->r.has_more = false;
        tell_again(q, q->r.opened);
        imap_request_begin(&q->r);
        return;
    }
    struct imap_opened *now = mem_zalloc(sizeof(*now));
    now->refs = 1;
    now->name = imap_slice_copy(o->folder);
    now->is_for_writing = o->is_for_writing;
    now->is_known = o->is_known || is_open_already(e, o);
    imap_opened_unref(&e->last_opened);
    e->last_opened = now;
    q->r.opened = imap_opened_ref(now);
    q->r.opens = true;
    if (imap_request_aside(&q->r, o->folder))
        imap_opened_refuse(now, &q->r.err);
    q->expected = o->uidvalidity;
    /* From then on it lasts.  What STATUS has told in the same second is no proof that it does. */
    if (e->profile->invents_uidvalidity && o->token.n == 0 && !o->is_for_writing &&
        !o->is_only_opened)
        q->turn = OPEN_TURN_SELECT;
    q->from = o->from > 0 ? o->from : 1;
    if (o->known)
        uid_set_copy(&q->known, o->known);
    q->want = o->want;
    q->is_for_writing = o->is_for_writing;
    q->may_be_brief = o->is_brief;
    if (!o->is_only_opened && q->from == 1 && imap_token_unpack(o->token, &q->token) &&
        q->expected == 0)
        q->expected = q->token.uidvalidity;
    q->next = OPEN_STEP_OPEN;
    imap_told_clear(q);
    if (q->r.result == END_OK && is_told_empty(e, o))
        tell_empty(q, o->listed);
    imap_request_begin(&q->r);
}
