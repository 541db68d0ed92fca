/* SPDX-License-Identifier: ISC */
/*
 * imap_move: messages of the folder that is open into another one: UID MOVE (RFC 6851), or UID COPY
 * and then UID STORE and UID EXPUNGE (RFC 4315) of just these UIDs.
 *
 * Without MOVE nothing is marked before the server has said that the copy is made, and of those it
 * names in COPYUID only these are expunged.  What was begun behind such a move waits for it, so
 * that it sees the folder behind it, as with MOVE.
 *
 * A server with a MESSAGELIMIT moves as many as it likes, and is asked once more for all of them,
 * in portions of its number: those that are gone are passed over.  A COPY that is too large for it
 * is refused as a whole (RFC 9738), and asked again in smaller ones.
 *
 * MOVE tells COPYUID before its EXPUNGEs, untagged, and may do so more than once; COPY tells it in
 * its answer.  Both are taken from wherever they stand.
 */
#include <stdlib.h>
#include <string.h>

#include "base/core/mem.h"
#include "base/mail/uids.h"
#include "imapsync/ends/imap_parts.h"

enum step { STEP_MOVE = IMAP_STEP_OWN, STEP_COPY, STEP_STORE, STEP_EXPUNGE };

struct move_request {
    struct imap_request r;
    struct slice folder; /* owned */
    uint32_t *asked;     /* owned, in the caller's order */
    size_t n_asked;
    uint32_t *uids, *given; /* owned, ascending, and what each became; 0: not told */
    size_t n, first, sent;  /* the last set that was sent: from first, below sent */
    enum step next;
    struct buf set;   /* of the last command */
    uint32_t *copied; /* owned, ascending: what is to be expunged of the last copy */
    size_t n_copied, n_expunged;
    struct end_uids *out; /* or NULL */
    uint32_t uidvalidity; /* of the other folder; 0: not told */
    bool is_odd;          /* two of them were told */
    bool was_cut;         /* a MOVE was done for a part of its messages only */
    struct imap_rest rest;
};

static void compose(struct move_request *q, enum step step, const char *verb)
{
    struct imap_client *client = q->r.e->client;
    imap_request_cmd(&q->r, step);
    imap_cmd_f(client, "%s %s", verb, buf_cstr(&q->set));
    if (step == STEP_MOVE || step == STEP_COPY) {
        imap_cmd_text(client, " ");
        imap_cmd_name(q->r.e, q->folder);
    } else if (step == STEP_STORE) {
        imap_cmd_text(client, " +FLAGS.SILENT (\\Deleted)");
    }
    imap_cmd_end(client);
}

static void move_send(struct imap_request *r)
{
    struct move_request *q = (struct move_request *)r;
    if (q->next == STEP_MOVE || q->next == STEP_COPY) {
        q->first = q->sent;
        q->sent += imap_set_some(r->e, &q->set, q->uids + q->sent, q->n - q->sent);
    }
    switch (q->next) {
    case STEP_MOVE:
        compose(q, STEP_MOVE, "UID MOVE");
        r->has_more = q->sent < q->n;
        break;
    case STEP_COPY:
        compose(q, STEP_COPY, "UID COPY");
        r->has_more = false;
        break;
    case STEP_STORE:
        q->n_expunged +=
            imap_set_some(r->e, &q->set, q->copied + q->n_expunged, q->n_copied - q->n_expunged);
        compose(q, STEP_STORE, "UID STORE");
        q->next = STEP_EXPUNGE;
        break;
    case STEP_EXPUNGE:
        compose(q, STEP_EXPUNGE, "UID EXPUNGE");
        q->next = q->n_expunged < q->n_copied ? STEP_STORE : STEP_COPY;
        r->has_more = q->next == STEP_STORE || q->sent < q->n;
        break;
    }
}

/* --- What became of them ------------------------------------------------------------------- */

static size_t at(const uint32_t *sorted, size_t n, uint32_t uid)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (sorted[mid] < uid)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static void take_code(struct move_request *q, const struct imap_code *code)
{
    size_t n_from = 0, n_to = 0;
    if (code->kind != IMAP_CODE_COPYUID || code->number == 0)
        return;
    uint32_t *from = mem_realloc_array(NULL, q->n, 2 * sizeof(*from)), *to = from + q->n;
    /* Two numbers that differ say nothing. */
    if (uids_read(code->set, from, q->n, &n_from) == 0 &&
        uids_read(code->set2, to, q->n, &n_to) == 0 && n_from == n_to) {
        q->is_odd = q->is_odd || (q->uidvalidity != 0 && q->uidvalidity != code->number);
        q->uidvalidity = (uint32_t)code->number;
        for (size_t i = 0; i < n_from; i++) {
            size_t k = at(q->uids, q->n, from[i]);
            if (k < q->n && q->uids[k] == from[i])
                q->given[k] = to[i];
        }
    }
    free(from);
}

static bool move_untagged(struct imap_request *r, const struct imap_response *resp)
{
    struct move_request *q = (struct move_request *)r;
    if (resp->kind != IMAP_KIND_STATUS || resp->code.kind != IMAP_CODE_COPYUID)
        return false;
    take_code(q, &resp->code);
    return true;
}

/* The copied ones of the set: those that were named, or all, since OK means all that are there.
 * With gaps they may be more than one set has room for. */
static void set_copied(struct move_request *q)
{
    const size_t n = q->sent - q->first;
    q->copied = mem_realloc_array(q->copied, n, sizeof(*q->copied));
    q->n_copied = q->n_expunged = 0;
    for (size_t i = q->first; i < q->sent; i++) {
        if (q->given[i] != 0)
            q->copied[q->n_copied++] = q->uids[i];
    }
    if (q->n_copied == 0) {
        memcpy(q->copied, q->uids + q->first, n * sizeof(*q->copied));
        q->n_copied = n;
    }
}

static void tell(struct move_request *q)
{
    struct end_uids *u = q->out;
    if (!u || q->uidvalidity == 0 || q->is_odd)
        return;
    *u = (struct end_uids){.uidvalidity = q->uidvalidity, .n = q->n_asked};
    u->v = mem_realloc_array(NULL, u->n, sizeof(*u->v));
    for (size_t i = 0; i < u->n; i++)
        u->v[i] = q->given[at(q->uids, q->n, q->asked[i])];
}

static void move_rest(struct move_request *q)
{
    q->was_cut = false;
    q->sent = 0;
    if (q->r.result == END_OK && imap_rest_goes_on(&q->rest, q->r.e, q->n))
        q->r.has_more = true;
    else
        imap_rest_refuse(&q->r);
}

static void move_answered(struct imap_request *r, unsigned step, const struct imap_outcome *o,
    const struct imap_response *resp)
{
    struct move_request *q = (struct move_request *)r;
    if (step == STEP_MOVE || step == STEP_COPY)
        take_code(q, &resp->code);
    if (step == STEP_COPY && o->status == IMAP_STATUS_OK && imap_rest_was_cut(o)) {
        imap_request_cannot(r, "the server has copied only some of the messages");
    } else if (step == STEP_MOVE && imap_rest_was_cut(o)) {
        q->was_cut = true;
    } else if (step == STEP_COPY && imap_rest_was_cut(o) &&
               imap_rest_goes_on(&q->rest, r->e, q->n - q->first)) {
        q->sent = q->first;
        r->has_more = true;
    } else if (step != STEP_MOVE && imap_rest_was_cut(o)) {
        /* What was copied and not expunged is in both. */
        imap_rest_refuse(r);
        r->has_more = false;
    } else if (o->status != IMAP_STATUS_OK) {
        /* What has not been sent yet stays where it is. */
        imap_request_refuse(r, o, ERR_SCOPE_FOLDER);
        r->has_more = false;
    } else if (step == STEP_COPY) {
        set_copied(q);
        q->next = STEP_STORE;
        r->has_more = true;
    }
    if (q->was_cut && r->n_cmds == 0 && !r->has_more)
        move_rest(q);
    if (r->n_cmds == 0 && !r->has_more)
        tell(q);
}

static void move_free(struct imap_request *r)
{
    struct move_request *q = (struct move_request *)r;
    imap_slice_free(&q->folder);
    free(q->asked);
    free(q->uids);
    free(q->given);
    free(q->copied);
    buf_fini(&q->set);
    imap_request_free_head(r);
}

static const struct imap_request_kind move_kind = {
    move_send, move_untagged, move_answered, move_free};

void imap_end_move(struct end *end, const uint32_t *uids, size_t n, struct slice folder,
    struct end_uids *uids_out, struct end_ticket *t)
{
    struct imap_end *e = imap_end_of(end);
    struct move_request *q = imap_request_new(e, sizeof(*q), &move_kind, t);
    bool can_move = imap_client_has(e->client, IMAP_CAP_MOVE);
    q->folder = imap_slice_copy(folder);
    q->asked = mem_realloc_array(NULL, n, sizeof(*uids));
    memcpy(q->asked, uids, n * sizeof(*uids));
    q->n_asked = n;
    q->uids = imap_uids_copy(uids, n, &q->n);
    imap_rest_begin(&q->rest, e, q->n);
    q->given = mem_zalloc(q->n * sizeof(*q->given));
    q->next = can_move ? STEP_MOVE : STEP_COPY;
    buf_init(&q->set, IMAP_SET_MAX);
    q->out = uids_out;
    q->r.is_barrier = !can_move;
    imap_request_to_change(&q->r);
    if (!(end->ops->can(end) & END_CAN_MOVE))
        imap_request_cannot(&q->r, "the server cannot move messages (no MOVE, no UIDPLUS)");
    imap_request_begin(&q->r);
}
