/* SPDX-License-Identifier: ISC */
/* model_answers: what comes back over the connection, and when. */
#include "tests/sim/faults.h"
#include "tests/sim/model_parts.h"

/* --- Answers: what comes back --------------------------------------------------------------- */

/* One body.  true: there are more. */
static bool give_body(struct model_end *e, struct request *r)
{
    struct mailbox *b = e->open_name < 0 ? NULL : server_find(e->s, (uint8_t)e->open_name);
    if (r->result != END_OK || r->at == r->n)
        return false;
    if (!b || b->uidvalidity != e->open_validity) {
        model_refuse(r, ERR_TEMP, ERR_SCOPE_FOLDER, "the folder is not there any more");
        return false;
    }
    uint32_t uid = r->uids[r->at++];
    const struct message *m = mailbox_find(b, uid);
    struct buf octets;
    if (!m)
        return r->at < r->n;
    if (m->content < 64 && e->s->refuses.reads >> m->content & 1) {
        e->s->refuses.n++;
        model_refuse(r, ERR_PERM, ERR_SCOPE_NONE, "it cannot be read");
        return false;
    }
    b->n_read++;
    if (fault_is(FAULT_BODY_SWAPPED) && r->at < r->n && uid % 4 == 3)
        m = mailbox_find(b, r->uids[r->at]) ? mailbox_find(b, r->uids[r->at]) : m;
    buf_init(&octets, 8192);
    struct buf plain;
    buf_init(&plain, 4096);
    model_octets(m->content, &plain);
    BUG_ON((m->is_altered && buf_add_str(&octets, "X-Seen-By: a scanner\r\n") != 0) ||
           buf_add(&octets, buf_slice(&plain)) != 0);
    buf_fini(&plain);
    if (!r->sink->begin || r->sink->begin(r->sink_arg, uid, octets.n)) {
        size_t cut = uid % octets.n;
        if (cut > 0 && r->sink->data)
            r->sink->data(r->sink_arg, slice_sub(buf_slice(&octets), 0, cut));
        if (r->sink->data)
            r->sink->data(r->sink_arg, slice_from(buf_slice(&octets), cut));
        if (r->sink->end)
            r->sink->end(r->sink_arg, uid);
    }
    buf_fini(&octets);
    return r->at < r->n;
}

static bool is_listed(const struct end_changes *c, uint32_t uid)
{
    for (size_t i = 0; i < c->n; i++) {
        if (c->v[i].uid == uid)
            return true;
    }
    return false;
}

/* What others have done since, which a server may tell before it answers (RFC 9051 7, 5.2): flags
 * without anything else.  Of a message that was not listed an end tells all, or nothing. */
static void tell_unsolicited(struct model_end *e, struct request *r)
{
    const struct mailbox *b = e->open_name < 0 ? NULL : server_find(e->s, (uint8_t)e->open_name);
    if (!model_has(e, QUIRK_UNSOLICITED) || !b || b->uidvalidity != e->open_validity ||
        r->open.is_only_opened || r->changes->is_brief)
        return;
    for (size_t i = 0; i < b->n; i++) {
        if (b->v[i].modseq <= r->modseq_then || b->v[i].uid < r->open.from)
            continue;
        if (is_listed(r->changes, b->v[i].uid))
            model_tell(e, &b->v[i], END_WANT_FLAGS, r->changes);
        else if (rng_one_in(&e->w->rng, 2))
            model_tell(e, &b->v[i], r->open.want, r->changes);
    }
}

static void told_stored(struct model_end *e, const struct request *r)
{
    struct mailbox *b = server_find(e->s, (uint8_t)r->stored_in);
    for (size_t i = 0; b && i < b->n; i++) {
        if (b->v[i].uid >= r->first && b->v[i].uid < r->behind)
            b->v[i].answered_at = e->w->tick;
    }
}

static void answer(struct model_end *e, struct request *r)
{
    enum end_result result = r->result;
    if (result == END_OK && (r->kind == APPEND || r->kind == MOVE))
        told_stored(e, r);
    if (result == END_OK && r->kind == OPEN)
        tell_unsolicited(e, r);
    const struct mailbox *b = e->open_name < 0 ? NULL : server_find(e->s, (uint8_t)e->open_name);
    if (fault_is(FAULT_TOKEN_EARLY) && r->kind == OPEN && b && result == END_OK &&
        r->changes->token.n > 0)
        model_put_token(b, &r->changes->token);
    if (result == END_OK && (r->kind == OPEN || r->kind == ATTRIBUTES))
        end_changes_finish(r->changes);
    if (result == END_NO && fault_is(FAULT_NO_AS_OK) && r->kind == APPEND)
        result = END_OK;
    if (fault_is(FAULT_MOVE_NEIGHBOUR) && r->kind == MOVE && r->uids_out && r->uids_out->n > 0)
        r->uids_out->n--;
    e->queue = r->next;
    e->n--;
    end_answer(r->ticket, result, result == END_OK ? NULL : &r->err);
    model_request_free(r);
}

/* One event; false: nothing can happen. */
bool model_step(struct model_end *e)
{
    struct request *r = e->queue, *first = r;
    /* Answers come in order; the server may be further than they. */
    while (r && r->is_done && r->kind != OPEN && r->kind != READ && rng_one_in(&e->w->rng, 2))
        r = r->next;
    if (r && !r->is_done) {
        r->is_done = model_effect(e, r);
        return r->is_done || r->step > 0;
    }
    if (!first || !first->is_done)
        return false;
    if (first->kind == READ) {
        if (e->is_paused)
            return false;
        if (give_body(e, first))
            return true;
    }
    answer(e, first);
    return true;
}
