/* SPDX-License-Identifier: ISC */
/*
 * model_end: see model_end.h.  What is planted here by faults.h is what an engine could do wrong at
 * this border: ask for something else, or believe something else of an answer.
 */

#include <stdlib.h>
#include <sysexits.h>

#include "base/core/mem.h"
#include "tests/sim/faults.h"
#include "tests/sim/model_parts.h"

static struct model_end *of(struct end *e)
{
    return (struct model_end *)e;
}

/* --- Requests --------------------------------------------------------------------------------- */

static void request_free(struct request *r)
{
    model_messages_free(r->messages, r->n_messages);
    free(r->uids);
    free(r);
}

static struct request *request_new(struct end *end, enum kind kind, struct end_ticket *t)
{
    struct model_end *e = of(end);
    struct request *r = mem_zalloc(sizeof(*r)), **last = &e->queue;
    r->kind = kind;
    r->ticket = t;
    r->result = END_OK;
    r->name = r->to = -1;
    while (*last)
        last = &(*last)->next;
    *last = r;
    e->n++;
    if (t)
        t->result = END_PENDING;
    return r;
}

static int number(struct slice name)
{
    return model_folder_number((const char *)name.p, name.n);
}

static void take_uids(struct request *r, const uint32_t *uids, size_t n)
{
    r->uids = mem_realloc_array(NULL, n + 1, sizeof(*uids));
    if (n > 0)
        memcpy(r->uids, uids, n * sizeof(*uids));
    r->n = n;
}

static void answer_all(struct model_end *e, const struct err *why)
{
    while (e->queue) {
        struct request *r = e->queue;
        e->queue = r->next;
        e->n--;
        if (r->ticket->result == END_PENDING)
            end_answer(r->ticket, END_LOST, why);
        request_free(r);
    }
    e->building = NULL;
}

/* --- Answers: what comes back --------------------------------------------------------------- */

/* One body.  true: there are more. */
static bool give_body(struct model_end *e, struct request *r)
{
    const struct mailbox *b = e->open_name < 0 ? NULL : server_find(e->s, (uint8_t)e->open_name);
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
    request_free(r);
}

/* One event; false: nothing can happen. */
static bool step(struct model_end *e)
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

/* --- The slots ------------------------------------------------------------------------------ */

static unsigned can(const struct end *end)
{
    const struct model_end *e = (const struct model_end *)end;
    unsigned c = 0;
    if (!model_has(e, QUIRK_NO_UIDPLUS))
        c |= END_CAN_TELL_UIDS | END_CAN_REMOVE;
    if (!model_has(e, QUIRK_NO_UIDPLUS) || !model_has(e, QUIRK_NO_MOVE))
        c |= END_CAN_MOVE;
    if (!model_has(e, QUIRK_NO_IDS))
        c |= END_CAN_TELL_IDS;
    if (!model_has(e, QUIRK_NO_MULTIAPPEND))
        c |= END_CAN_BATCH;
    if (!model_has(e, QUIRK_NO_CONDSTORE))
        c |= END_CAN_GUARD;
    if (!model_has(e, QUIRK_NO_TOKENS | QUIRK_NO_CONDSTORE))
        c |= END_CAN_TELL_CHANGES;
    if (model_has(e, QUIRK_LIMIT))
        c |= END_CAN_CHECK_SIZE;
    return c;
}

static uint64_t size_max(const struct end *end)
{
    return model_has((const struct model_end *)end, QUIRK_LIMIT) ? SIZE_LIMIT : 0;
}

static bool is_same(const struct end *end, const struct folder *f, struct slice token)
{
    struct model_token t;
    (void)end;
    return model_token(token, &t) && f->has & FOLDER_HAS_MODSEQ &&
           t.uidvalidity == f->uidvalidity && t.uidnext == f->uidnext && t.modseq == f->modseq;
}

static void folders(struct end *end, struct folder_list *out, struct end_ticket *t)
{
    request_new(end, FOLDERS, t)->list = out;
}

static void status(struct end *end, struct folder *out, struct end_ticket *t)
{
    struct request *r = request_new(end, STATUS, t);
    r->name = number(out->name);
    r->status = out;
}

static void make(struct end *end, struct slice name, enum folder_use use, struct end_ticket *t)
{
    (void)use;
    request_new(end, MAKE, t)->name = number(name);
}

static void rename_folder(struct end *end, struct slice name, struct slice to, struct end_ticket *t)
{
    struct request *r = request_new(end, RENAME, t);
    r->name = number(name);
    r->to = number(to);
}

static void subscribe(struct end *end, struct slice name, bool on, struct end_ticket *t)
{
    struct request *r = request_new(end, SUBSCRIBE, t);
    r->name = number(name);
    r->on = on;
}

static void open_folder(
    struct end *end, const struct end_open *o, struct end_changes *out, struct end_ticket *t)
{
    struct request *r = request_new(end, OPEN, t);
    r->open = *o;
    r->name = number(o->folder);
    take_uids(r, o->known, o->n_known);
    r->changes = out;
    /* What is only read is copied. */
    if (o->token.n > 0) {
        r->uids = mem_realloc_array(r->uids, r->n + 1 + END_TOKEN_MAX / 4, sizeof(*r->uids));
        memcpy(r->uids + r->n + 1, o->token.p, o->token.n);
        r->open.token = slice_make(r->uids + r->n + 1, o->token.n);
    }
}

static void read_bodies(struct end *end, const uint32_t *uids, size_t n,
    const struct end_sink *sink, void *arg, struct end_ticket *t)
{
    struct request *r = request_new(end, READ, t);
    take_uids(r, uids, n);
    r->sink = sink;
    r->sink_arg = arg;
}

static void attributes(struct end *end, const uint32_t *uids, size_t n, unsigned want,
    struct end_changes *out, struct end_ticket *t)
{
    struct request *r = request_new(end, ATTRIBUTES, t);
    take_uids(r, uids, n);
    r->want = want;
    r->changes = out;
}

static void append_begin(
    struct end *end, struct slice folder, struct end_uids *uids_out, struct end_ticket *t)
{
    struct request *r = request_new(end, APPEND, t);
    r->name = number(folder);
    r->uids_out = uids_out;
    of(end)->building = r;
    if (of(end)->is_broken)
        answer_all(of(end), &of(end)->why);
}

static void append_message(struct end *end, const struct end_message *m)
{
    struct request *r = of(end)->building;
    if (!r)
        return; /* it has broken in between */
    r->messages = mem_realloc_array(r->messages, r->n_messages + 1, sizeof(*r->messages));
    struct appended *a = &r->messages[r->n_messages++];
    *a = (struct appended){.flags = model_bits(m->flags, m->keywords),
        .has_date = m->has_date && !fault_is(FAULT_APPEND_NO_DATE),
        .date_s = m->date_s,
        .size = m->size};
    if (fault_is(FAULT_APPEND_NO_FLAGS))
        a->flags = 0;
    buf_init(&a->octets, 8192);
}

static void append_octets(struct end *end, struct slice octets)
{
    struct request *r = of(end)->building;
    if (!r)
        return;
    struct buf *b = &r->messages[r->n_messages - 1].octets;
    BUG_ON(buf_add(b, octets) != 0);
    if (fault_is(FAULT_APPEND_CUT) && b->n == r->messages[r->n_messages - 1].size && b->n > 30)
        buf_truncate(b, b->n - 2);
}

static void append_end(struct end *end)
{
    struct request *r = of(end)->building;
    if (r) {
        for (size_t i = 0; i < r->n_messages; i++)
            BUG_ON(r->messages[i].octets.n != r->messages[i].size && !fault_is(FAULT_APPEND_CUT));
        r->is_whole = true;
    }
    of(end)->building = NULL;
}

static size_t unsent(const struct end *end)
{
    (void)end;
    return 0;
}

static bool has_room(const struct end *end)
{
    return ((const struct model_end *)end)->n < ROOM;
}

static void flags(struct end *end, const uint32_t *uids, size_t n, const struct end_flags *f,
    struct end_uids *modified_out, struct end_ticket *t)
{
    struct request *r = request_new(end, FLAGS, t);
    take_uids(r, uids, n);
    r->flags = model_bits(f->flags, f->keywords);
    r->on = !f->is_removal;
    r->unchanged_since = f->unchanged_since;
    if (fault_is(FAULT_REMOVE_NEIGHBOUR) && r->flags == FLAG_DELETED && r->on)
        r->uids[r->n++] = uids[n - 1] + 1;
    r->uids_out = modified_out;
}

static void move(struct end *end, const uint32_t *uids, size_t n, struct slice folder,
    struct end_uids *uids_out, struct end_ticket *t)
{
    struct request *r = request_new(end, MOVE, t);
    take_uids(r, uids, n);
    r->to = fault_is(FAULT_MOVE_ELSEWHERE) ? of(end)->s->boxes[0]->name : number(folder);
    r->uids_out = uids_out;
    if (fault_is(FAULT_MOVE_NEIGHBOUR))
        r->uids[r->n++] = uids[n - 1] + 1;
}

static void remove_messages(struct end *end, const uint32_t *uids, size_t n, struct end_ticket *t)
{
    struct request *r = request_new(end, REMOVE, t);
    take_uids(r, uids, n);
    if (fault_is(FAULT_REMOVE_NEIGHBOUR))
        r->uids[r->n++] = uids[n - 1] + 1;
}

static void pause_end(struct end *end, bool on)
{
    of(end)->is_paused = on;
}

static void prepare(struct end *end, struct pollfd *fd, int *timeout_ms_out)
{
    *fd = (struct pollfd){.fd = -1};
    *timeout_ms_out = of(end)->queue && !of(end)->is_paused ? 0 : -1;
}

static void lose(struct end *end, const struct err *why)
{
    struct model_end *e = of(end);
    if (!e->is_broken)
        e->why = *why;
    if (!e->is_broken && e->s->is_target)
        ledger_unsure(&e->w->ledger);
    e->is_broken = true;
    answer_all(e, &e->why);
}

static int advance(struct end *end, short revents, bool *moved_out, struct err *err)
{
    struct model_end *e = of(end);
    (void)revents;
    for (uint32_t steps = rng_below(&e->w->rng, 4); steps > 0 && !e->is_broken; steps--) {
        if (!step(e))
            break;
        *moved_out = true;
        world_tick(e->w);
    }
    if (e->w->is_killed)
        model_end_cut(end);
    if (!e->is_broken)
        return 0;
    /* What was begun on it since. */
    answer_all(e, &e->why);
    *err = e->why;
    return -1;
}

static bool is_open(const struct end *end)
{
    (void)end;
    return true;
}

static bool is_silent(const struct end *end)
{
    (void)end;
    return false;
}

static void leave(struct end *end)
{
    (void)end;
}

static bool is_broken(const struct end *end)
{
    return ((const struct model_end *)end)->is_broken;
}

static bool is_idle(const struct end *end)
{
    return ((const struct model_end *)end)->n == 0;
}

static void close_end(struct end *end)
{
    struct model_end *e = of(end);
    struct err why = ERR_INIT;
    err_set(&why, ERR_TEMP, EX_TEMPFAIL, "closed");
    lose(end, &why);
    for (unsigned i = 0; i < 2; i++) {
        if (e->w->ends[i] == end)
            e->w->ends[i] = NULL;
    }
    free(e);
}

static const struct end_ops ops = {
    .kind = "model",
    .can = can,
    .size_max = size_max,
    .is_same = is_same,
    .folders = folders,
    .status = status,
    .make = make,
    .rename = rename_folder,
    .subscribe = subscribe,
    .open = open_folder,
    .read = read_bodies,
    .attributes = attributes,
    .append_begin = append_begin,
    .append_message = append_message,
    .append_octets = append_octets,
    .append_end = append_end,
    .unsent = unsent,
    .has_room = has_room,
    .flags = flags,
    .move = move,
    .remove = remove_messages,
    .pause = pause_end,
    .prepare = prepare,
    .advance = advance,
    .is_open = is_open,
    .is_broken = is_broken,
    .is_silent = is_silent,
    .is_idle = is_idle,
    .lose = lose,
    .leave = leave,
    .close = close_end,
};

struct end *model_end_new(struct world *w, struct server *s, const struct wait_limits *limits)
{
    struct model_end *e = mem_zalloc(sizeof(*e));
    e->end =
        (struct end){.ops = &ops, .label = s->is_target ? "target" : "source", .limits = limits};
    e->w = w;
    e->s = s;
    e->open_name = -1;
    w->ends[s->is_target] = &e->end;
    return &e->end;
}

/* --- Cuts ----------------------------------------------------------------------------------- */

/* What has arrived and has not had its turn: dropped, or done by a server that does not notice. */
static void leave_behind(struct model_end *e)
{
    for (struct request *r = e->queue; r; r = r->next) {
        if (r->kind != APPEND || r->is_done || !r->is_whole || !model_has(e, QUIRK_LATE))
            continue;
        struct late_append *l = mem_zalloc(sizeof(*l));
        *l = (struct late_append){.folder = r->name, .messages = r->messages, .n = r->n_messages};
        r->messages = NULL;
        r->n_messages = 0;
        if (!world_late(e->w, l))
            late_append_free(l);
    }
}

void model_end_cut(struct end *end)
{
    struct model_end *e = of(end);
    if (e->is_broken)
        return;
    e->is_broken = true;
    leave_behind(e);
    e->why = ERR_INIT;
    err_set(&e->why, ERR_TEMP, EX_TEMPFAIL, "%s: the connection was lost", end->label);
    err_scope_set(&e->why, ERR_SCOPE_HOST);
}

void late_append_free(struct late_append *l)
{
    model_messages_free(l->messages, l->n);
    free(l);
}
