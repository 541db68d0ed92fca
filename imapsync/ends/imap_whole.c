/* SPDX-License-Identifier: ISC */
/*
 * imap_whole: whether what a server has told about a folder is all of it, and what is asked again.
 *
 * Another UIDVALIDITY, or a UIDNEXT below the token's, means that the folder was replaced or
 * restored, and UIDs have been given anew.  A HIGHESTMODSEQ below it means only that the server has
 * forgotten what has changed, as one does that has made its index again.  The token is worth
 * nothing either way, and everything is listed.  Who has found a restored folder by its numbers
 * asks without a token; where one is restored between two questions, what the token knew and the
 * listing lacks may be there under any UID, so the listing is not sure.
 *
 * A listing that has fewer messages than the server has counted (a server that leaves out lines, or
 * answers for so many at a time, RFC 9738) is asked for again, by position in parts.  If it is
 * still short, or nothing was counted, the changes are not sure.  A delta that was cut is no delta,
 * and of one by which more has vanished than the counts have lost, the UIDs that are there are
 * asked for.
 *
 * A server may tell at any time what others have changed (RFC 9051 7.5.2), so there are messages of
 * which only flags were told, such as one that has arrived meanwhile.  They are asked for by UID.
 * A line that could not be read may have been about any message, or about one that has gone: then
 * the changes are not sure either.
 *
 * Of what is still told by half nothing is told if it has no flags, or has come meanwhile and is
 * told the next time; what was there from the start gets the date that its header tells.
 */
#include <stdlib.h>

#include "base/core/mem.h"
#include "imapsync/ends/imap_open.h"

#define PART 100 /* messages of one question when the whole did not come, and nobody knows why */

/* --- Counting ------------------------------------------------------------------------------ */

/* Of those with these UIDs, below 0: without an end.  A listing's are all there. */
static size_t count(const struct end_changes *c, uint32_t from, uint32_t below)
{
    size_t n = uid_set_count(&c->uids, from, below - 1);
    for (size_t i = 0; i < c->n; i++)
        n += c->v[i].uid >= from && (below == 0 || c->v[i].uid < below);
    return n;
}

static bool has_nothing(const struct open_request *q)
{
    return q->out->n == 0 && q->out->n_uids == 0;
}

static bool is_listing(const struct open_request *q)
{
    return q->way == OPEN_WAY_LIST || q->way == OPEN_WAY_FLAGS;
}

static bool is_short_beside(const struct open_request *q, size_t n)
{
    return is_listing(q) && q->from <= 1 && count(q->out, 0, q->out->uidnext) + n < q->exists;
}

static bool is_short(const struct open_request *q)
{
    return is_short_beside(q, 0);
}

/* Messages that should be there by the counts of then and now, less those that are. */
static int64_t missed(const struct open_request *q)
{
    const struct end_changes *c = q->out;
    return (int64_t)q->token.exists + (int64_t)count(c, q->token.uidnext, c->uidnext) -
           (int64_t)c->exists - (int64_t)(q->way == OPEN_WAY_QRESYNC ? q->n_gone : 0);
}

/* More of the known ones than the counts have lost: some of them are there. */
static bool is_too_much(struct open_request *q)
{
    struct end_changes *c = q->out;
    c->n_vanished = c->n_vanished > 0 ? uids_sort(c->vanished, c->n_vanished) : 0;
    return q->way == OPEN_WAY_QRESYNC &&
           (uint64_t)c->n_vanished + q->exists >
               (uint64_t)q->token.exists + count(c, q->token.uidnext, c->uidnext);
}

/* The known ones that are not among them; false: they are fewer UIDs than there are messages. */
static bool miss_by_uids(struct open_request *q)
{
    uid_set_join(&q->present);
    if (uid_set_size(&q->present) < q->exists)
        return false;
    for (uint32_t uid = uid_set_next(&q->known, 0); uid != 0; uid = uid_set_next(&q->known, uid)) {
        if (!uid_set_has(&q->present, uid))
            end_changes_add_vanished(q->out, uid);
    }
    return true;
}

/* --- What is asked again: each says whether it has asked -------------------------------------- */

/* Everything, without the token.  Sizes were wanted of what is new: of all they may cost a server
 * the reading of each message. */
static void list_all(struct open_request *q)
{
    if (q->token.uidnext > 0)
        q->want &= ~(unsigned)END_WANT_SIZES;
    q->way = OPEN_WAY_LIST;
    q->was_refused = q->was_cut = false;
    end_changes_clear(q->out);
    q->next = OPEN_STEP_LIST;
    q->r.has_more = true;
}

/* UIDVALIDITY, before anything else is believed. */
static bool asks_uidvalidity(struct open_request *q)
{
    struct imap_end *e = q->r.e;
    uint32_t now = q->out->uidvalidity;
    if (q->expected == 0 || now == q->expected || q->is_for_writing || q->is_only_opened ||
        q->turn == OPEN_TURN_SELECT)
        return false;
    if (q->turn == OPEN_TURN_FIRST && !e->invents_uidvalidity && !e->profile->invents_uidvalidity) {
        q->first_uidvalidity = now;
        imap_open_again(q, OPEN_TURN_AGAIN);
        return true;
    }
    if (q->turn == OPEN_TURN_AGAIN && now == q->first_uidvalidity)
        return false;
    e->invents_uidvalidity = true;
    imap_open_again(q, OPEN_TURN_SELECT);
    return true;
}

/* All, where the token is void or what was told since it is not to be trusted. */
static bool asks_all(struct open_request *q)
{
    const struct end_changes *c = q->out;
    const struct imap_token *t = &q->token;
    if (t->uidnext == 0 || q->was_void)
        return false;
    q->went_back = c->uidvalidity == t->uidvalidity && c->uidnext > 0 && c->uidnext < t->uidnext;
    q->was_void = c->uidvalidity != t->uidvalidity || q->went_back ||
                  (c->modseq > 0 && c->modseq < t->modseq);
    bool has_more = q->want & (END_WANT_DATES | END_WANT_SIZES | END_WANT_IDS);
    bool is_listed =
        q->way == OPEN_WAY_LIST || (q->way == OPEN_WAY_FLAGS && !(q->was_void && has_more));
    /* Without MODSEQs the UIDs are what they were, but nobody knows what has changed. */
    bool is_delta = !q->was_void && c->modseq > 0 && !q->is_deaf && !q->was_refused && !q->was_cut;
    if (is_listed || is_delta)
        return false;
    list_all(q);
    return true;
}

/* The listing by position. */
static bool asks_parts(struct open_request *q)
{
    uint64_t size = q->portion > 0 ? q->portion : PART;
    bool is_cut = q->was_cut && is_listing(q);
    /* What could not be read once would be told again. */
    if (!(is_short_beside(q, q->r.n_unread) || is_cut) || q->by_parts == size ||
        (q->was_refused && has_nothing(q)))
        return false;
    q->way = OPEN_WAY_LIST;
    q->was_cut = false;
    q->by_parts = size;
    q->part = 1;
    q->next = OPEN_STEP_PART;
    q->r.has_more = q->exists > 0;
    return q->r.has_more;
}

/* Which UIDs there are, where a delta leaves it open. */
static bool asks_uids(struct open_request *q)
{
    if (is_listing(q) || q->has_uids)
        return false;
    bool is_lie = is_too_much(q);
    int64_t n = missed(q);
    bool can_search = imap_client_has(q->r.e->client, IMAP_CAP_ESEARCH) && !imap_open_is_large(q);
    /* VANISHED may name more UIDs than have vanished, so too few others mean nothing. */
    if (!is_lie && (n == 0 || (n < 0 && q->way != OPEN_WAY_CONDSTORE)))
        return false;
    if (is_lie)
        q->out->n_vanished = 0;
    else if (n < 0)
        can_search = false;
    if (!can_search) {
        list_all(q);
        return true;
    }
    q->has_uids = true;
    q->next = OPEN_STEP_UIDS;
    q->r.has_more = true;
    return true;
}

/* What has to be told of a message: of those that the token knows only flags can be new. */
static unsigned wanted(const struct open_request *q, uint32_t uid)
{
    bool is_known = q->way != OPEN_WAY_LIST && uid < q->token.uidnext;
    return q->want & (is_known ? END_WANT_FLAGS : ~0u);
}

static unsigned lacks(const struct open_request *q, const struct listed *m)
{
    return end_listed_lacks(m, wanted(q, m->uid));
}

/* Those that lack some of `what`. */
static bool asks_some(struct open_request *q, unsigned what, enum open_step next)
{
    const struct end_changes *c = q->out;
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++)
        n += (lacks(q, &c->v[i]) & what) != 0;
    if (n == 0)
        return false;
    q->partial = mem_realloc_array(q->partial, n, sizeof(*q->partial));
    q->n_partial = q->partial_sent = 0;
    for (size_t i = 0; i < c->n; i++) {
        if (lacks(q, &c->v[i]) & what)
            q->partial[q->n_partial++] = c->v[i].uid;
    }
    q->next = next;
    q->r.has_more = true;
    return true;
}

static bool asks_whole(struct open_request *q)
{
    return !q->partial && asks_some(q, ~0u, OPEN_STEP_WHOLE);
}

static bool asks_dates(struct open_request *q)
{
    bool may = !q->has_asked_dates;
    q->has_asked_dates = true;
    return may && asks_some(q, END_WANT_DATES, OPEN_STEP_DATES);
}

/* --- What is told ----------------------------------------------------------------------------- */

static void drop_partial(struct open_request *q)
{
    struct end_changes *c = q->out;
    size_t kept = 0;
    for (size_t i = 0; i < c->n; i++) {
        unsigned what = lacks(q, &c->v[i]);
        bool is_new = c->uidnext > 0 && c->v[i].uid >= c->uidnext;
        if (what & END_WANT_FLAGS || (what && is_new))
            q->has_gap = q->has_gap || !is_new;
        else
            c->v[kept++] = c->v[i];
    }
    c->n = kept;
}

static void conclude(struct open_request *q)
{
    struct end_changes *c = q->out;
    drop_partial(q);
    c->has_unread = q->r.n_unread > 0;
    if (is_listing(q)) {
        c->is_whole = q->from <= 1;
        c->is_brief = imap_open_is_brief(q);
        c->is_sure =
            q->is_counted && !q->went_back && !is_short(q) && !q->was_cut && !c->has_unread;
        c->n_vanished = 0;
        end_changes_miss(c, &q->known);
    } else {
        c->is_sure = q->is_counted && !q->was_refused && !q->has_gap &&
                     (!q->has_uids || miss_by_uids(q)) && !c->has_unread;
        c->n_vanished = c->n_vanished > 0 ? uids_sort(c->vanished, c->n_vanished) : 0;
    }
    const struct imap_token token = {.uidvalidity = c->uidvalidity,
        .uidnext = c->uidnext,
        .exists = c->exists,
        .modseq = c->modseq};
    if (c->is_sure)
        imap_token_pack(&c->token, &token);
}

void imap_whole_finish(struct open_request *q)
{
    struct imap_request *r = &q->r;
    struct end_changes *c = q->out;
    end_changes_finish(c);
    if (r->opened->is_refused || r->result != END_OK || asks_uidvalidity(q) || q->is_only_opened ||
        asks_all(q) || asks_parts(q))
        return;
    /* An empty folder: some servers answer NO to "1:*" there. */
    if (q->was_refused && is_short(q) && has_nothing(q)) {
        imap_request_refuse(r, &q->refusal, ERR_SCOPE_FOLDER);
        return;
    }
    if (asks_uids(q) || asks_whole(q) || asks_dates(q))
        return;
    conclude(q);
}
