/* SPDX-License-Identifier: ISC */
/*
 * imap_open: EXAMINE or SELECT, and in the same round trip what has changed.
 *
 * What comes before "[CLOSED]" is about the folder that was open before (RFC 7162 3.2.11), and so
 * is every FETCH and EXPUNGE before the answer to EXAMINE.
 *
 * A listing that has fewer messages than the server has counted (a server that leaves out lines, or
 * answers for so many at a time, RFC 9738) is asked for again, in parts by position.  If it is
 * still short the changes are not sure.
 *
 * Courier gives a folder that no client has opened for writing another UIDVALIDITY at each EXAMINE.
 * So where one is not the one that was expected, EXAMINE is asked once more; if the two differ as
 * well, one SELECT makes it last.
 */
#include <stdlib.h>
#include <sysexits.h>

#include "base/core/mem.h"
#include "base/mail/uids.h"
#include "imapsync/ends/date.h"
#include "imapsync/ends/imap_parts.h"
#include "imapsync/ends/limits.h"

#define PART 100 /* messages of one question when the whole did not come */

enum step { STEP_OPEN = IMAP_STEP_OWN, STEP_LIST, STEP_PART };

enum way {
    WAY_EXAMINE, /* first */
    WAY_AGAIN,   /* its UIDVALIDITY was not the expected one */
    WAY_SELECT,
};

struct open_request {
    struct imap_request r;
    struct end_changes *out;
    enum way way;
    unsigned next; /* of enum step */
    uint32_t expected, first_uidvalidity, from;
    uint32_t *known; /* owned */
    size_t n_known;
    unsigned want;
    bool is_for_writing, is_only_opened;
    bool is_open;     /* EXAMINE was answered: FETCH is about this folder */
    bool has_parts;   /* the second, careful listing is on its way */
    bool was_refused; /* a listing was answered by NO */
    uint32_t part;    /* next position of it */
    uint32_t exists;  /* when it was opened, less those that went since */
    struct imap_outcome refusal;
};

void imap_compose_items(struct imap_client *client, unsigned want)
{
    imap_cmd_text(client, "(UID");
    if (want & END_WANT_FLAGS)
        imap_cmd_text(client, " FLAGS");
    if (want & END_WANT_DATES)
        imap_cmd_text(client, " INTERNALDATE");
    if (want & END_WANT_SIZES)
        imap_cmd_text(client, " RFC822.SIZE");
    imap_cmd_text(client, ")");
}

bool imap_listed(struct end_changes *out, const struct imap_fetch_data *f, struct listed *m)
{
    *m = (struct listed){.uid = f->uid};
    if (!(f->has & IMAP_FETCH_UID))
        return false;
    m->has_size = (f->has & IMAP_FETCH_SIZE) != 0;
    m->size = f->size > UINT32_MAX ? UINT32_MAX : (uint32_t)f->size;
    m->has_date =
        f->has & IMAP_FETCH_INTERNALDATE && date_parse(f->internal_date, &m->date_s, &m->zone_min);
    m->has_flags = (f->has & IMAP_FETCH_FLAGS) != 0;
    if (m->has_flags)
        out->flags_lost += flags_parse(f->flags, out->keywords, &m->flags);
    return true;
}

/* --- What comes -------------------------------------------------------------------------- */

static void forget(struct open_request *q)
{
    struct end_changes *c = q->out;
    c->n = 0;
    c->is_disordered = false;
    c->uidvalidity = c->uidnext = c->exists = 0;
    c->modseq = 0;
    c->storable = FLAG_ANSWERED | FLAG_DELETED | FLAG_DRAFT | FLAG_FLAGGED | FLAG_SEEN;
    c->takes_keywords = true;
    c->flags_lost = 0;
    q->exists = 0;
}

static void take_permanent(struct end_changes *c, struct slice list)
{
    struct keywords none = {0};
    struct flags f;
    flags_parse(list, &none, &f);
    keywords_fini(&none);
    c->storable = f.system;
    c->takes_keywords = imap_words_have(list, "\\*");
}

static void take_code(struct open_request *q, const struct imap_code *code)
{
    struct end_changes *c = q->out;
    switch (code->kind) {
    case IMAP_CODE_CLOSED:
        forget(q);
        break;
    case IMAP_CODE_UIDVALIDITY:
        c->uidvalidity = code->number <= UINT32_MAX ? (uint32_t)code->number : 0;
        break;
    case IMAP_CODE_UIDNEXT:
        c->uidnext = code->number <= UINT32_MAX ? (uint32_t)code->number : 0;
        break;
    case IMAP_CODE_HIGHESTMODSEQ:
        c->modseq = code->number;
        break;
    case IMAP_CODE_NOMODSEQ:
        c->modseq = 0;
        break;
    case IMAP_CODE_PERMANENTFLAGS:
        take_permanent(c, code->list);
        break;
    default:
        break;
    }
}

static void take_fetch(struct open_request *q, const struct imap_fetch_data *f)
{
    struct listed m;
    /* "n:*" names the last message even when it is below n (RFC 9051 sequence-set). */
    if (!q->is_open || q->is_only_opened || !imap_listed(q->out, f, &m) || m.uid < q->from)
        return;
    if (!end_changes_add(q->out, &m)) {
        struct err err = ERR_INIT;
        err_set(&err, ERR_PERM, EX_DATAERR, "more than %u messages", (unsigned)MESSAGES_MAX);
        err_scope_set(&err, ERR_SCOPE_FOLDER);
        imap_request_fail(&q->r, &err);
    }
}

static bool open_untagged(struct imap_request *r, const struct imap_response *resp)
{
    struct open_request *q = (struct open_request *)r;
    switch (resp->kind) {
    case IMAP_KIND_FETCH:
        take_fetch(q, &resp->fetch);
        return true;
    case IMAP_KIND_EXISTS:
        /* Later ones are new messages, which the listing may leave out. */
        if (!q->is_open)
            q->exists = q->out->exists = resp->number;
        return true;
    case IMAP_KIND_EXPUNGE:
        if (q->is_open && q->exists > 0)
            q->exists--;
        return true;
    case IMAP_KIND_STATUS:
        if (!q->is_open)
            take_code(q, &resp->code);
        return true;
    default:
        return false;
    }
}

/* --- What is asked -------------------------------------------------------------------------- */

static void compose_list(struct open_request *q)
{
    struct imap_client *client = q->r.e->client;
    imap_request_cmd(&q->r, STEP_LIST);
    imap_cmd_f(client, "UID FETCH %u:* ", q->from);
    imap_compose_items(client, q->want);
    imap_cmd_end(client);
}

static void compose_part(struct open_request *q)
{
    struct imap_client *client = q->r.e->client;
    uint32_t last = q->part + PART - 1;
    imap_request_cmd(&q->r, STEP_PART);
    imap_cmd_f(client, "FETCH %u:%u ", q->part, last < q->exists ? last : q->exists);
    imap_compose_items(client, q->want);
    imap_cmd_end(client);
    q->part += PART;
    q->r.has_more = q->part <= q->exists;
}

static void open_send(struct imap_request *r)
{
    struct open_request *q = (struct open_request *)r;
    switch (q->next) {
    case STEP_OPEN:
        imap_compose_open(r, STEP_OPEN, q->is_for_writing || q->way == WAY_SELECT);
        imap_cmd_end(r->e->client);
        q->next = STEP_LIST;
        r->has_more = !q->is_only_opened;
        break;
    case STEP_LIST:
        compose_list(q);
        r->has_more = false;
        break;
    default:
        compose_part(q);
        break;
    }
}

/* --- What is made of it ------------------------------------------------------------------------
 */

static void ask_again(struct open_request *q, enum way way)
{
    q->way = way;
    q->next = STEP_OPEN;
    q->r.has_more = true;
    q->r.opens = true;
    q->is_open = false;
    forget(q);
}

static void opened(struct open_request *q, const struct imap_outcome *o)
{
    struct imap_request *r = &q->r;
    struct end_changes *c = q->out;
    struct err err = ERR_INIT;
    q->is_open = true;
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
    if (q->is_for_writing && q->expected != 0 && c->uidvalidity != q->expected) {
        err_set(&err, ERR_TEMP, EX_TEMPFAIL, "the folder was replaced meanwhile (UIDVALIDITY)");
        imap_opened_refuse(r->opened, &err);
        return;
    }
    r->opens = false;
    r->opened->uidvalidity = c->uidvalidity;
    r->opened->is_confirmed = r->e->tail == r->opened;
}

/* Whether UIDVALIDITY has to be looked at again before anything else is believed. */
static bool is_odd(struct open_request *q)
{
    struct imap_end *e = q->r.e;
    uint32_t now = q->out->uidvalidity;
    if (q->expected == 0 || now == q->expected || q->is_for_writing || q->way == WAY_SELECT)
        return false;
    if (q->way == WAY_EXAMINE && !e->invents_uidvalidity) {
        q->first_uidvalidity = now;
        ask_again(q, WAY_AGAIN);
        return true;
    }
    if (q->way == WAY_AGAIN && now == q->first_uidvalidity)
        return false;
    e->invents_uidvalidity = true;
    ask_again(q, WAY_SELECT);
    return true;
}

static size_t listed_of_then(const struct end_changes *c)
{
    size_t n = c->n;
    while (c->uidnext > 0 && n > 0 && c->v[n - 1].uid >= c->uidnext)
        n--;
    return n;
}

static bool is_short(const struct open_request *q)
{
    return q->from <= 1 && listed_of_then(q->out) < q->exists;
}

static void finish(struct open_request *q)
{
    struct imap_request *r = &q->r;
    struct end_changes *c = q->out;
    end_changes_finish(c);
    if (r->opened->is_refused || r->result != END_OK || is_odd(q) || q->is_only_opened)
        return;
    if (is_short(q) && !q->has_parts && !(q->was_refused && c->n == 0)) {
        q->has_parts = true;
        q->next = STEP_PART;
        q->part = 1;
        r->has_more = true;
        return;
    }
    /* An empty folder: some servers answer NO to "1:*" there. */
    if (q->was_refused && is_short(q) && c->n == 0) {
        imap_request_refuse(r, &q->refusal, ERR_SCOPE_FOLDER);
        return;
    }
    c->is_whole = q->from <= 1;
    c->is_sure = !is_short(q);
    c->is_reset = q->expected != 0 && c->uidvalidity != q->expected;
    end_changes_miss(c, q->known, q->n_known);
}

static void open_answered(struct imap_request *r, unsigned step, const struct imap_outcome *o,
    const struct imap_response *resp)
{
    struct open_request *q = (struct open_request *)r;
    (void)resp;
    if (step == STEP_OPEN) {
        opened(q, o);
    } else if (o->status != IMAP_STATUS_OK) {
        q->was_refused = true;
        q->refusal = *o;
    }
    if (r->n_cmds == 0 && !r->has_more)
        finish(q);
}

static void open_free(struct imap_request *r)
{
    struct open_request *q = (struct open_request *)r;
    free(q->known);
    imap_request_free_head(r);
}

static const struct imap_request_kind open_kind = {
    open_send, open_untagged, open_answered, open_free};

void imap_end_open(
    struct end *end, const struct end_open *o, struct end_changes *out, struct end_ticket *t)
{
    struct imap_end *e = imap_end_of(end);
    struct open_request *q = imap_request_new(e, sizeof(*q), &open_kind, t);
    struct imap_opened *opened = mem_zalloc(sizeof(*opened));
    opened->refs = 1;
    opened->name = imap_slice_copy(o->folder);
    opened->is_for_writing = o->is_for_writing;
    imap_opened_unref(&e->last_opened);
    e->last_opened = opened;
    q->r.opened = imap_opened_ref(opened);
    q->r.opens = true;
    q->out = out;
    q->expected = o->uidvalidity;
    q->from = o->from > 0 ? o->from : 1;
    q->known = imap_uids_copy(o->known, o->n_known, &q->n_known);
    q->want = o->want;
    q->is_for_writing = o->is_for_writing;
    q->is_only_opened = o->is_only_opened;
    q->next = STEP_OPEN;
    forget(q);
    imap_request_begin(&q->r);
}

/* --- Single messages
 * ------------------------------------------------------------------------------ */

struct attributes_request {
    struct imap_request r;
    struct end_changes *out;
    uint32_t *uids; /* owned, ascending */
    size_t n, sent;
    unsigned want;
};

static void attributes_send(struct imap_request *r)
{
    struct attributes_request *q = (struct attributes_request *)r;
    struct buf set;
    buf_init(&set, IMAP_SET_MAX);
    q->sent += imap_set_some(&set, q->uids + q->sent, q->n - q->sent);
    imap_request_cmd(r, STEP_LIST);
    imap_cmd_f(r->e->client, "UID FETCH %s ", buf_cstr(&set));
    imap_compose_items(r->e->client, q->want);
    imap_cmd_end(r->e->client);
    buf_fini(&set);
    r->has_more = q->sent < q->n;
}

static bool attributes_untagged(struct imap_request *r, const struct imap_response *resp)
{
    struct attributes_request *q = (struct attributes_request *)r;
    struct listed m;
    if (resp->kind != IMAP_KIND_FETCH || !imap_listed(q->out, &resp->fetch, &m))
        return false;
    /* It is one of ours: there cannot be too many. */
    return uids_have(q->uids, q->n, m.uid) && end_changes_add(q->out, &m);
}

static void attributes_answered(struct imap_request *r, unsigned step, const struct imap_outcome *o,
    const struct imap_response *resp)
{
    struct attributes_request *q = (struct attributes_request *)r;
    (void)step, (void)resp;
    if (o->status != IMAP_STATUS_OK)
        imap_request_refuse(r, o, ERR_SCOPE_NONE);
    if (r->n_cmds == 0 && !r->has_more)
        end_changes_finish(q->out);
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
    q->want = want;
    q->out = out;
    imap_request_on_open(&q->r);
    imap_request_begin(&q->r);
}
