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
 * server behind it offers.  A UIDVALIDITY, UIDNEXT or HIGHESTMODSEQ below the token's means that
 * the folder was replaced or restored: then the token is worth nothing and everything is listed.
 *
 * What comes before "[CLOSED]" is about the folder that was open before (RFC 7162 3.2.11), and so
 * is every FETCH and EXPUNGE before the answer to EXAMINE, unless QRESYNC was asked for.
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
#include "base/core/num.h"
#include "base/mail/uids.h"
#include "imapsync/ends/imap_parts.h"
#include "imapsync/ends/imap_token.h"
#include "imapsync/ends/limits.h"

#define PART 100 /* messages of one question when the whole did not come */

enum step {
    STEP_OPEN = IMAP_STEP_OWN,
    STEP_LIST, /* all, or what has changed */
    STEP_NEW,  /* what the token does not know */
    STEP_PART,
    STEP_UIDS, /* which ones there are */
};

/* How often it was opened. */
enum turn {
    TURN_FIRST,
    TURN_AGAIN,  /* its UIDVALIDITY was not the expected one */
    TURN_SELECT, /* nor the same at the second look */
};

enum way { WAY_LIST, WAY_FLAGS, WAY_CONDSTORE, WAY_QRESYNC };

struct open_request {
    struct imap_request r;
    struct end_changes *out;
    enum turn turn;
    enum way way;
    unsigned next; /* of enum step */
    struct imap_token token;
    uint32_t expected, first_uidvalidity, from;
    uint32_t *known; /* owned, ascending */
    size_t n_known, cap_vanished;
    unsigned want;
    bool is_for_writing, is_only_opened;
    bool is_open;              /* EXAMINE was answered */
    bool is_ours;              /* by QRESYNC: what comes before the answer is about this folder */
    bool is_deaf;              /* by QRESYNC, and nobody knows what was about which folder */
    bool has_parts;            /* the second, careful listing is on its way */
    bool was_refused;          /* a listing was answered by NO */
    bool was_void;             /* the token */
    bool has_uids;             /* STEP_UIDS was done */
    uint32_t part;             /* next position of the careful listing */
    uint32_t exists;           /* when it was opened, less those that went since */
    uint64_t n_gone;           /* UIDs below the token's UIDNEXT that VANISHED has named */
    struct uid_range *present; /* owned: that the server has, by STEP_UIDS */
    size_t n_present, cap_present;
    struct imap_outcome refusal;
};

/* --- What comes -------------------------------------------------------------------------- */

static void forget(struct open_request *q)
{
    struct end_changes *c = q->out;
    end_changes_clear(c);
    buf_clear(&c->folder_id);
    c->uidvalidity = c->uidnext = c->exists = 0;
    c->modseq = 0;
    c->storable = FLAG_ANSWERED | FLAG_DELETED | FLAG_DRAFT | FLAG_FLAGGED | FLAG_SEEN;
    c->takes_keywords = true;
    c->flags_lost = 0;
    q->exists = 0;
    q->n_gone = 0;
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
        q->is_ours = q->way == WAY_QRESYNC;
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
    case IMAP_CODE_MAILBOXID:
        buf_clear(&c->folder_id);
        if (code->list.n <= OBJECT_ID_MAX)
            BUG_ON(buf_add(&c->folder_id, code->list) != 0);
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
    if (!(q->is_open || q->is_ours) || q->is_only_opened || !imap_listed(q->out, f, &m) ||
        m.uid < q->from)
        return;
    if (!end_changes_add(q->out, &m)) {
        struct err err = ERR_INIT;
        err_set(&err, ERR_PERM, EX_DATAERR, "more than %u messages", (unsigned)MESSAGES_MAX);
        err_scope_set(&err, ERR_SCOPE_FOLDER);
        imap_request_fail(&q->r, &err);
    }
}

static void vanished(struct open_request *q, uint32_t uid)
{
    struct end_changes *c = q->out;
    if (c->n_vanished == q->cap_vanished) {
        q->cap_vanished = q->cap_vanished ? 2 * q->cap_vanished : 64;
        c->vanished = mem_realloc_array(c->vanished, q->cap_vanished, sizeof(*c->vanished));
    }
    c->vanished[c->n_vanished++] = uid;
}

/* The known ones of a range. */
static void range_vanished(struct open_request *q, struct uid_range range)
{
    size_t low = 0, high = q->n_known;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (q->known[mid] < range.first)
            low = mid + 1;
        else
            high = mid;
    }
    for (; low < q->n_known && q->known[low] <= range.last; low++)
        vanished(q, q->known[low]);
}

static void take_vanished(struct open_request *q, struct slice set, bool is_earlier)
{
    struct uid_range range;
    if (!(q->is_open || (q->is_ours && is_earlier)))
        return;
    while (uids_next(&set, &range) > 0) {
        uint64_t n = (uint64_t)range.last - range.first + 1;
        range_vanished(q, range);
        if (!is_earlier)
            q->exists -= n < q->exists ? (uint32_t)n : q->exists;
        else if (range.first < q->token.uidnext)
            q->n_gone += (range.last < q->token.uidnext ? range.last : q->token.uidnext - 1) -
                         range.first + UINT64_C(1);
    }
}

static void take_present(struct open_request *q, struct uid_range range)
{
    if (q->n_present == q->cap_present) {
        q->cap_present = q->cap_present ? 2 * q->cap_present : 64;
        q->present = mem_realloc_array(q->present, q->cap_present, sizeof(*q->present));
    }
    q->present[q->n_present++] = range;
}

static bool open_untagged(struct imap_request *r, const struct imap_response *resp)
{
    struct open_request *q = (struct open_request *)r;
    struct uid_range range;
    struct slice set = resp->set;
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
    case IMAP_KIND_VANISHED:
        take_vanished(q, resp->set, resp->is_earlier);
        return true;
    case IMAP_KIND_ESEARCH:
        while (uids_next(&set, &range) > 0)
            take_present(q, range);
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

static void choose_way(struct open_request *q)
{
    const struct imap_end *e = q->r.e;
    if (q->token.uidnext == 0 || q->was_void)
        q->way = WAY_LIST;
    else if (q->token.modseq > 0 && e->has_qresync)
        q->way = WAY_QRESYNC;
    else if (q->token.modseq > 0 && imap_client_has(e->client, IMAP_CAP_CONDSTORE))
        q->way = WAY_CONDSTORE;
    else
        q->way = WAY_FLAGS;
}

static void compose_open(struct open_request *q)
{
    struct imap_end *e = q->r.e;
    choose_way(q);
    q->is_ours = q->way == WAY_QRESYNC && !e->tail;
    imap_compose_open(&q->r, STEP_OPEN, q->is_for_writing || q->turn == TURN_SELECT);
    if (q->way == WAY_QRESYNC)
        imap_cmd_f(e->client, " (QRESYNC (%u %llu))", q->token.uidvalidity,
            (unsigned long long)q->token.modseq);
    imap_cmd_end(e->client);
    q->next = STEP_LIST;
    q->r.has_more = !q->is_only_opened;
}

static void compose_fetch(struct open_request *q, enum step step, uint32_t from, unsigned want)
{
    struct imap_client *client = q->r.e->client;
    imap_request_cmd(&q->r, step);
    imap_cmd_f(client, "UID FETCH %u:* ", from);
    imap_compose_items(client, want);
    if (q->way == WAY_CONDSTORE && step == STEP_LIST)
        imap_cmd_f(client, " (CHANGEDSINCE %llu)", (unsigned long long)q->token.modseq);
    imap_cmd_end(client);
}

static void compose_list(struct open_request *q)
{
    bool has_new = q->want & (END_WANT_DATES | END_WANT_SIZES);
    switch (q->way) {
    case WAY_LIST:
    case WAY_CONDSTORE:
        compose_fetch(q, STEP_LIST, q->from, q->want);
        q->r.has_more = false;
        return;
    case WAY_QRESYNC: /* the flags are there already */
        compose_fetch(q, STEP_NEW, q->token.uidnext, q->want);
        q->r.has_more = false;
        return;
    case WAY_FLAGS:
        compose_fetch(q, STEP_LIST, q->from, END_WANT_FLAGS);
        q->next = STEP_NEW;
        q->r.has_more = has_new;
        return;
    }
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
        compose_open(q);
        break;
    case STEP_LIST:
        compose_list(q);
        break;
    case STEP_NEW:
        compose_fetch(q, STEP_NEW, q->token.uidnext, q->want);
        r->has_more = false;
        break;
    case STEP_UIDS:
        imap_request_cmd(r, STEP_UIDS);
        imap_cmd_text(r->e->client, "UID SEARCH RETURN (ALL) ALL");
        imap_cmd_end(r->e->client);
        r->has_more = false;
        break;
    default:
        compose_part(q);
        break;
    }
}

/* --- What is made of it ------------------------------------------------------------------------
 */

static void ask_again(struct open_request *q, enum turn turn)
{
    q->turn = turn;
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
    q->is_deaf = q->way == WAY_QRESYNC && !q->is_ours;
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
    r->opened->is_confirmed = r->e->tail == r->opened;
}

/* Whether UIDVALIDITY has to be looked at again before anything else is believed. */
static bool is_odd(struct open_request *q)
{
    struct imap_end *e = q->r.e;
    uint32_t now = q->out->uidvalidity;
    if (q->expected == 0 || now == q->expected || q->is_for_writing || q->is_only_opened ||
        q->turn == TURN_SELECT)
        return false;
    if (q->turn == TURN_FIRST && !e->invents_uidvalidity) {
        q->first_uidvalidity = now;
        ask_again(q, TURN_AGAIN);
        return true;
    }
    if (q->turn == TURN_AGAIN && now == q->first_uidvalidity)
        return false;
    e->invents_uidvalidity = true;
    ask_again(q, TURN_SELECT);
    return true;
}

/* Of those with these UIDs: a listing's are all there. */
static size_t count(const struct end_changes *c, uint32_t from, uint32_t below)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++)
        n += c->v[i].uid >= from && (below == 0 || c->v[i].uid < below);
    return n;
}

static bool is_listing(const struct open_request *q)
{
    return q->way == WAY_LIST || q->way == WAY_FLAGS;
}

static bool is_short(const struct open_request *q)
{
    return is_listing(q) && q->from <= 1 && count(q->out, 0, q->out->uidnext) < q->exists;
}

/* Everything again, without the token. */
static void list_all(struct open_request *q)
{
    q->way = WAY_LIST;
    q->was_refused = false;
    end_changes_clear(q->out);
    q->next = STEP_LIST;
    q->r.has_more = true;
}

static bool is_void(struct open_request *q)
{
    const struct end_changes *c = q->out;
    const struct imap_token *t = &q->token;
    if (t->uidnext == 0 || q->was_void)
        return false;
    q->was_void = c->uidvalidity != t->uidvalidity || (c->uidnext > 0 && c->uidnext < t->uidnext) ||
                  (c->modseq > 0 && c->modseq < t->modseq);
    bool is_listed =
        q->way == WAY_LIST ||
        (q->way == WAY_FLAGS && !(q->was_void && q->want & (END_WANT_DATES | END_WANT_SIZES)));
    /* Without MODSEQs the UIDs are what they were, but nobody knows what has changed. */
    if (is_listed || (!q->was_void && c->modseq > 0 && !q->is_deaf && !q->was_refused))
        return false;
    list_all(q);
    return true;
}

/* Messages that should be there by the counts of then and now, less those that are. */
static int64_t missed(const struct open_request *q)
{
    const struct end_changes *c = q->out;
    return (int64_t)q->token.exists + (int64_t)count(c, q->token.uidnext, c->uidnext) -
           (int64_t)c->exists - (int64_t)(q->way == WAY_QRESYNC ? q->n_gone : 0);
}

static int by_first(const void *a, const void *b)
{
    const struct uid_range *x = a, *y = b;
    return x->first < y->first ? -1 : x->first > y->first;
}

/* The known ones that are in no range; false: the ranges are fewer UIDs than there are messages. */
static bool miss_by_uids(struct open_request *q)
{
    uint64_t n = 0;
    size_t k = 0;
    mem_sort(q->present, q->n_present, sizeof(*q->present), by_first);
    for (size_t i = 0; i < q->n_present; i++)
        n += (uint64_t)q->present[i].last - q->present[i].first + 1;
    if (n < q->exists)
        return false;
    for (size_t i = 0; i < q->n_known; i++) {
        while (k < q->n_present && q->present[k].last < q->known[i])
            k++;
        if (k == q->n_present || q->present[k].first > q->known[i])
            vanished(q, q->known[i]);
    }
    return true;
}

/* Of a delta: whether it is all that has changed.  false: something else is asked first. */
static bool is_delta_whole(struct open_request *q)
{
    struct end_changes *c = q->out;
    int64_t n = missed(q);
    /* VANISHED may name more than have vanished, so too few of these mean nothing. */
    if (!q->has_uids && n < 0 && q->way == WAY_CONDSTORE) {
        list_all(q);
        return false;
    }
    if (!q->has_uids && n > 0) {
        q->has_uids = true;
        q->next = STEP_UIDS;
        q->r.has_more = true;
        if (!imap_client_has(q->r.e->client, IMAP_CAP_ESEARCH))
            list_all(q);
        return false;
    }
    c->is_sure = !q->was_refused && (!q->has_uids || miss_by_uids(q));
    c->n_vanished = c->n_vanished > 0 ? uids_sort(c->vanished, c->n_vanished) : 0;
    return true;
}

static void finish(struct open_request *q)
{
    struct imap_request *r = &q->r;
    struct end_changes *c = q->out;
    end_changes_finish(c);
    if (r->opened->is_refused || r->result != END_OK || is_odd(q) || q->is_only_opened ||
        is_void(q))
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
    if (!is_listing(q) && !is_delta_whole(q))
        return;
    c->is_reset = q->was_void || (q->expected != 0 && c->uidvalidity != q->expected);
    if (is_listing(q)) {
        c->is_whole = q->from <= 1;
        c->is_sure = !is_short(q);
        c->n_vanished = 0;
        end_changes_miss(c, q->known, q->n_known);
    }
    const struct imap_token token = {.uidvalidity = c->uidvalidity,
        .uidnext = c->uidnext,
        .exists = c->exists,
        .modseq = c->modseq};
    if (c->is_sure)
        imap_token_pack(&c->token, &token);
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
    free(q->present);
    imap_request_free_head(r);
}

static const struct imap_request_kind open_kind = {
    open_send, open_untagged, open_answered, open_free};

void imap_end_open(
    struct end *end, const struct end_open *o, struct end_changes *out, struct end_ticket *t)
{
    struct imap_end *e = imap_end_of(end);
    struct open_request *q = imap_request_new(e, sizeof(*q), &open_kind, t);
    struct imap_opened *now = mem_zalloc(sizeof(*now));
    now->refs = 1;
    now->name = imap_slice_copy(o->folder);
    now->is_for_writing = o->is_for_writing;
    imap_opened_unref(&e->last_opened);
    e->last_opened = now;
    q->r.opened = imap_opened_ref(now);
    q->r.opens = true;
    q->out = out;
    q->expected = o->uidvalidity;
    q->from = o->from > 0 ? o->from : 1;
    q->known = imap_uids_copy(o->known, o->n_known, &q->n_known);
    q->want = o->want;
    q->is_for_writing = o->is_for_writing;
    q->is_only_opened = o->is_only_opened;
    if (!o->is_only_opened && q->from == 1 && imap_token_unpack(o->token, &q->token) &&
        q->expected == 0)
        q->expected = q->token.uidvalidity;
    q->next = STEP_OPEN;
    forget(q);
    imap_request_begin(&q->r);
}
