/* SPDX-License-Identifier: ISC */
/*
 * imap_requests: the queue of requests over one connection; see imap_parts.h for how they go.
 *
 * Untagged data belongs to the oldest command that is on its way, since a server does one after the
 * other where the order matters, unless that one says that it is about something else.
 *
 * A command that changes messages by UID leaves only when the server has said that the folder which
 * is open has the UIDVALIDITY by which the UIDs were given.  Everything else is pipelined: a read
 * or a listing of the wrong folder does no harm, since its result is refused with the folder.
 *
 * Known weakness: the folder that is opened again for a second question costs a round trip for
 * changes that follow.
 */
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/core/mem.h"
#include "base/mail/uids.h"
#include "imapsync/ends/aside.h"
#include "imapsync/ends/imap_parts.h"
#include "imapsync/imap/fault.h"

struct imap_end *imap_end_of(struct end *e)
{
    return (struct imap_end *)e;
}

struct slice imap_slice_copy(struct slice s)
{
    return slice_make(slice_dup(s), s.n);
}

void imap_slice_free(struct slice *s)
{
    free((void *)(uintptr_t)s->p);
    *s = SLICE_NONE;
}

uint32_t *imap_uids_copy(const uint32_t *uids, size_t n, size_t *n_out)
{
    uint32_t *copy = mem_realloc_array(NULL, n, sizeof(*copy));
    if (n > 0)
        memcpy(copy, uids, n * sizeof(*copy));
    *n_out = uids_sort(copy, n);
    return copy;
}

uint64_t imap_message_limit(const struct imap_end *e)
{
    uint64_t offered = imap_client_limits(e->client).messages;
    bool is_less = e->message_limit > 0 && (offered == 0 || e->message_limit < offered);
    return is_less ? e->message_limit : offered;
}

size_t imap_set_some(const struct imap_end *e, struct buf *out, const uint32_t *uids, size_t n)
{
    uint64_t most = imap_message_limit(e);
    size_t taken = 0;
    buf_clear(out);
    if (most > 0 && n > most)
        n = (size_t)most;
    while (taken < n && out->n < IMAP_SET_MAX - 24) {
        size_t run = 1;
        while (taken + run < n && uids[taken + run] == uids[taken + run - 1] + 1)
            run++;
        BUG_ON(taken > 0 && buf_add_byte(out, ',') != 0);
        BUG_ON(uids_write(out, uids + taken, run) != 0);
        taken += run;
    }
    return taken;
}

/* --- Opened again --------------------------------------------------------------------------- */

static void compose_reopen(struct imap_request *r)
{
    imap_compose_open(r, IMAP_STEP_REOPEN, r->opened->is_for_writing);
    imap_cmd_end(r->e->client);
}

static void reopened(struct imap_request *r, const struct imap_outcome *o)
{
    struct imap_end *e = r->e;
    struct err err = ERR_INIT;
    if (o->status != IMAP_STATUS_OK)
        imap_fault_parts(o->status, o->code, o->text, "", &err);
    else if (e->reopened_uidvalidity != r->opened->uidvalidity)
        err_set(&err, ERR_TEMP, EX_TEMPFAIL, "the folder was replaced meanwhile (UIDVALIDITY)");
    else
        r->opened->is_confirmed = e->tail == r->opened;
    if (err.class != ERR_NONE)
        imap_opened_refuse(r->opened, &err);
}

/* --- Requests --------------------------------------------------------------------------------- */

void *imap_request_new(
    struct imap_end *e, size_t size, const struct imap_request_kind *kind, struct end_ticket *t)
{
    struct imap_request *r = mem_zalloc(size);
    r->kind = kind;
    r->e = e;
    r->ticket = t;
    r->result = END_OK;
    r->has_more = true;
    return r;
}

void imap_request_free_head(struct imap_request *r)
{
    imap_opened_unref(&r->opened);
    free(r);
}

void imap_request_on_open(struct imap_request *r)
{
    r->opened = imap_opened_ref(r->e->last_opened);
    BUG_ON(!r->opened);
}

void imap_request_to_change(struct imap_request *r)
{
    r->is_changing = true;
    imap_request_on_open(r);
    BUG_ON(!r->opened->is_for_writing);
}

void imap_request_fail(struct imap_request *r, const struct err *err)
{
    if (r->result == END_NO)
        return;
    r->result = END_NO;
    r->err = *err;
}

void imap_request_refuse(struct imap_request *r, const struct imap_outcome *o, enum err_scope scope)
{
    struct err err = ERR_INIT;
    imap_fault_parts(o->status, o->code, o->text, "", &err);
    if (scope != ERR_SCOPE_NONE && !imap_fault_is_throttled(&err))
        err_scope_set(&err, scope);
    imap_request_fail(r, &err);
}

void imap_request_unread(struct imap_request *r)
{
    struct err err = ERR_INIT;
    err_set(&err, ERR_PEER, EX_PROTOCOL, "what the server has answered cannot be read");
    imap_request_fail(r, &err);
}

void imap_request_cannot(struct imap_request *r, const char *why)
{
    struct err err = ERR_INIT;
    err_set(&err, ERR_PERM, EX_UNAVAILABLE, "%s", why);
    err_scope_set(&err, ERR_SCOPE_FOLDER);
    imap_request_fail(r, &err);
    r->has_more = false;
}

void imap_end_fail(struct imap_end *e, const char *why)
{
    if (e->has_failed)
        return;
    e->has_failed = true;
    /* As if it had been cut: the next one finds out at which message. */
    err_set(&e->err, ERR_TEMP, EX_PROTOCOL, "%s: %s", e->end.label, why);
    err_scope_set(&e->err, ERR_SCOPE_HOST);
}

/* Takes the oldest one off and answers it. */
static void answer_first(struct imap_end *e, enum end_result result, const struct err *err)
{
    struct imap_request *r = e->requests;
    struct end_ticket *t = r->ticket;
    struct err copy = ERR_INIT;
    if (err)
        copy = *err;
    e->requests = r->next;
    if (e->body.r == r)
        e->body.r = NULL;
    if (e->append == r)
        e->append = NULL;
    r->kind->free(r);
    end_answer(t, result, result == END_OK ? NULL : &copy);
}

bool imap_request_is_complete(const struct imap_request *r)
{
    return r && r->n_cmds == 0 && !r->has_more;
}

void imap_requests_settle(struct imap_end *e, bool *moved_out)
{
    while (imap_request_is_complete(e->requests)) {
        struct imap_request *r = e->requests;
        *moved_out = true;
        if (r->opened && r->opened->is_refused)
            answer_first(e, END_NO, &r->opened->err);
        else
            answer_first(e, r->result, &r->err);
    }
}

void imap_requests_lose(struct imap_end *e, const struct err *err)
{
    struct err copy = *err;
    e->is_broken = true;
    for (struct imap_cmd *c = e->cmds; c; c = c->next)
        c->r = NULL;
    while (e->requests)
        answer_first(e, END_LOST, &copy);
}

static bool has_room(const struct imap_end *e)
{
    return e->is_open && !e->is_broken && imap_client_has_room(e->client) &&
           imap_client_pending(e->client) < IMAP_COMMANDS_MAX &&
           imap_client_unsent(e->client) < IMAP_UNSENT_MAX;
}

bool imap_requests_may_send(const struct imap_end *e)
{
    return has_room(e) && imap_client_may_send(e->client);
}

/* One command of the request; false: not now, and nothing behind it either. */
static bool send_one(struct imap_request *r)
{
    struct imap_end *e = r->e;
    if (r->is_urgent ? !has_room(e) : !imap_requests_may_send(e))
        return false;
    if (r->opened && r->opened->is_refused) {
        r->has_more = false;
        return true;
    }
    if (r->opened && !r->opens && e->tail != r->opened) {
        compose_reopen(r);
        return true;
    }
    if (r->is_changing && !r->opened->is_confirmed && !(r->may_be_early && r->opened->is_known))
        return false;
    r->kind->send(r);
    return true;
}

void imap_requests_flush(struct imap_end *e)
{
    /* With all places taken, which is how most answers find it, none has to be looked at. */
    if (!has_room(e))
        return;
    for (struct imap_request *r = e->requests; r; r = r->next) {
        while (r->has_more) {
            if (!send_one(r))
                return;
        }
        if (r->is_barrier && !imap_request_is_complete(r))
            return;
    }
}

void imap_request_begin(struct imap_request *r)
{
    struct imap_end *e = r->e;
    *(e->requests ? &e->youngest->next : &e->requests) = r;
    e->youngest = r;
    if (e->is_broken)
        imap_requests_lose(e, &e->err);
    else
        imap_requests_flush(e);
}

/* --- Commands and what comes -------------------------------------------------------------------
 */

static void note_limit(struct imap_end *e, const struct imap_outcome *o)
{
    if (o->code == IMAP_CODE_MESSAGELIMIT && o->number > 0 &&
        (e->message_limit == 0 || o->number < e->message_limit))
        e->message_limit = o->number;
}

/* The oldest command has no answer and will not get one: it was its turn when the connection was
 * lost, and that was not our doing. */
static void note_loss(struct imap_end *e, const struct imap_cmd *c)
{
    if (e->is_loss_noted || e->is_broken)
        return;
    e->is_loss_noted = true;
    if (e->conn && imap_conn_has_avoided(e->conn))
        return; /* it was not the folder */
    e->end.lost_in_list = c->is_list;
    e->end.lost_reading = c->r->reads;
    e->end.lost_at = imap_slice_copy(c->about);
}

static void on_answer(void *arg, const struct imap_response *resp)
{
    struct imap_cmd *c = arg, **at, *before = NULL;
    struct imap_request *r = c->r;
    struct imap_end *e = c->e;
    struct imap_outcome o = {0};
    imap_read_closed(e, true);
    for (at = &e->cmds; *at != c; at = &(*at)->next)
        before = *at;
    *at = c->next;
    if (e->last_cmd == c)
        e->last_cmd = before;
    if (r && resp->status == IMAP_STATUS_CANCELLED)
        note_loss(e, c);
    imap_slice_free(&c->about);
    /* It will all be answered at once, since the connection is over. */
    if (!r || e->has_failed || resp->status == IMAP_STATUS_CANCELLED) {
        free(c);
        return;
    }
    r->n_cmds--;
    imap_outcome_set(&o, resp);
    note_limit(e, &o);
    if (c->step == IMAP_STEP_REOPEN)
        reopened(r, &o);
    else
        r->kind->answered(r, c->step, &o, resp);
    free(c);
    bool moved = false;
    imap_requests_settle(e, &moved);
    imap_requests_flush(e);
}

void imap_request_cmd(struct imap_request *r, unsigned step)
{
    struct imap_end *e = r->e;
    struct imap_cmd *c = mem_zalloc(sizeof(*c));
    *(e->cmds ? &e->last_cmd->next : &e->cmds) = c;
    e->last_cmd = c;
    c->e = e;
    c->r = r;
    c->step = step;
    if (r->opened)
        c->about = imap_slice_copy(r->opened->name);
    r->n_cmds++;
    imap_cmd_begin(r->e->client, on_answer, c);
}

void imap_request_about(struct imap_request *r, struct slice folder)
{
    struct imap_cmd *c = r->e->last_cmd;
    imap_slice_free(&c->about);
    c->about = imap_slice_copy(folder);
}

void imap_request_lists(struct imap_request *r)
{
    r->e->last_cmd->is_list = true;
}

bool imap_request_aside(struct imap_request *r, struct slice folder)
{
    struct err err = ERR_INIT;
    if (!aside_has(r->e->end.aside, folder))
        return false;
    (void)aside_refuse(&err);
    imap_request_fail(r, &err);
    r->has_more = false;
    return true;
}

static void on_untagged(void *arg, const struct imap_response *resp)
{
    struct imap_end *e = arg;
    imap_read_closed(e, true);
    if (resp->kind == IMAP_KIND_FETCH)
        imap_read_end(e, &resp->fetch);
    if (resp->kind == IMAP_KIND_ID)
        imap_end_recognise(e, resp->text);
    if (resp->kind == IMAP_KIND_ENABLED)
        e->has_qresync = e->has_qresync || imap_words_have(resp->list, "QRESYNC");
    if (e->cmds && e->cmds->step == IMAP_STEP_REOPEN) {
        if (resp->kind == IMAP_KIND_STATUS && resp->code.kind == IMAP_CODE_UIDVALIDITY)
            e->reopened_uidvalidity = resp->code.number;
        return;
    }
    for (struct imap_cmd *c = e->cmds; c; c = c->next) {
        if (c->r && c->step != IMAP_STEP_REOPEN && c->r->kind->untagged &&
            c->r->kind->untagged(c->r, resp))
            return;
    }
}

static void on_body_begin(void *arg, uint32_t uid, uint64_t size)
{
    imap_read_closed(arg, true);
    imap_read_begin(arg, uid, size);
}

static void on_body_data(void *arg, struct slice octets)
{
    imap_read_data(arg, octets);
}

static void on_body_end(void *arg)
{
    (void)arg; /* the response that it is part of tells whose it was */
}

/* Whoever's turn it is may have been told something by it. */
static void on_odd(void *arg, const struct imap_response *resp, bool is_kept, struct slice line)
{
    struct imap_end *e = arg;
    e->end.n_odd++;
    bool may_be_data = resp->kind != IMAP_KIND_TAGGED && resp->kind != IMAP_KIND_CONTINUE &&
                       slice_trim(line).n > 0;
    if (is_kept || !may_be_data)
        return;
    e->end.n_unread++;
    if (e->body.is_unclosed)
        imap_read_closed(e, slice_eq(slice_trim(line), SLICE_LIT(")")));
    else if (e->body.r)
        imap_end_fail(e, "a message came, and nobody can say which it is");
    else if (e->cmds && e->cmds->r && e->cmds->step != IMAP_STEP_REOPEN)
        e->cmds->r->n_unread++;
}

const struct imap_events imap_end_events = {
    on_untagged, on_body_begin, on_body_data, on_body_end, on_odd};
