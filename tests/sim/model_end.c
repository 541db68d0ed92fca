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

struct model_end *model_of(struct end *e)
{
    return (struct model_end *)e;
}

/* --- Requests --------------------------------------------------------------------------------- */

void model_request_free(struct request *r)
{
    model_messages_free(r->messages, r->n_messages);
    free(r->uids);
    free(r);
}

struct request *model_request_new(struct end *end, enum kind kind, struct end_ticket *t)
{
    struct model_end *e = model_of(end);
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

int model_number(struct slice name)
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

static void take_known(struct request *r, const struct uid_set *known)
{
    r->n = known ? uid_set_size(known) : 0;
    r->uids = mem_realloc_array(NULL, r->n + 1, sizeof(*r->uids));
    if (known)
        (void)uid_set_some(known, 0, r->uids, r->n);
}

static void answer_all(struct model_end *e)
{
    const struct err *why = &e->why;
    while (e->queue) {
        struct request *r = e->queue;
        e->queue = r->next;
        e->n--;
        if (r->ticket->result == END_PENDING)
            end_answer(r->ticket, END_LOST, why);
        model_request_free(r);
    }
    e->building = NULL;
}

/* What is begun on an end that is broken is answered at once. */
void model_request_begin(struct model_end *e)
{
    if (e->is_broken)
        answer_all(e);
}

/* --- The slots ------------------------------------------------------------------------------ */

static unsigned can(const struct end *end)
{
    const struct model_end *e = (const struct model_end *)end;
    unsigned c = END_CAN_SHARE;
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
    model_request_new(end, FOLDERS, t)->list = out;
    model_request_begin(model_of(end));
}

static void status(struct end *end, struct folder *out, struct end_ticket *t)
{
    struct request *r = model_request_new(end, STATUS, t);
    r->name = model_number(out->name);
    r->status = out;
    model_request_begin(model_of(end));
}

static void identify(struct end *end, struct buf *out, struct end_ticket *t)
{
    model_request_new(end, IDENTIFY, t)->identity = out;
    model_request_begin(model_of(end));
}

static void quota(struct end *end, struct end_quota *out, struct end_ticket *t)
{
    model_request_new(end, QUOTA, t)->quota = out;
    model_request_begin(model_of(end));
}

static void make(struct end *end, struct slice name, enum folder_use use, struct end_ticket *t)
{
    (void)use;
    model_request_new(end, MAKE, t)->name = model_number(name);
    model_request_begin(model_of(end));
}

static void rename_folder(struct end *end, struct slice name, struct slice to, struct end_ticket *t)
{
    struct request *r = model_request_new(end, RENAME, t);
    r->name = model_number(name);
    r->to = model_number(to);
    model_request_begin(model_of(end));
}

static void subscribe(struct end *end, struct slice name, bool on, struct end_ticket *t)
{
    struct request *r = model_request_new(end, SUBSCRIBE, t);
    r->name = model_number(name);
    r->on = on;
    model_request_begin(model_of(end));
}

static void take_listed(struct request *r, const struct end_open *o)
{
    const unsigned all =
        FOLDER_HAS_MESSAGES | FOLDER_HAS_UIDNEXT | FOLDER_HAS_UIDVALIDITY | FOLDER_HAS_MODSEQ;
    const struct folder *f = o->listed;
    r->is_listed_empty = f && (f->has & all) == all && f->messages == 0 && f->modseq != 0 &&
                         o->token.n == 0 && !o->is_for_writing && !o->is_only_opened &&
                         (o->uidvalidity == 0 || o->uidvalidity == f->uidvalidity);
    if (r->is_listed_empty)
        r->listed = *f;
}

static void open_folder(
    struct end *end, const struct end_open *o, struct end_changes *out, struct end_ticket *t)
{
    struct request *r = model_request_new(end, OPEN, t);
    r->open = *o;
    r->open.listed = NULL;
    r->name = model_number(o->folder);
    take_listed(r, o);
    take_known(r, o->known);
    r->changes = out;
    /* What is only read is copied. */
    if (o->token.n > 0) {
        r->uids = mem_realloc_array(r->uids, r->n + 1 + END_TOKEN_MAX / 4, sizeof(*r->uids));
        memcpy(r->uids + r->n + 1, o->token.p, o->token.n);
        r->open.token = slice_make(r->uids + r->n + 1, o->token.n);
    }
    model_request_begin(model_of(end));
}

static void read_bodies(struct end *end, const uint32_t *uids, size_t n,
    const struct end_sink *sink, void *arg, struct end_ticket *t)
{
    struct request *r = model_request_new(end, READ, t);
    take_uids(r, uids, n);
    r->sink = sink;
    r->sink_arg = arg;
    model_request_begin(model_of(end));
}

static void attributes(struct end *end, const uint32_t *uids, size_t n, unsigned want,
    struct end_changes *out, struct end_ticket *t)
{
    struct request *r = model_request_new(end, ATTRIBUTES, t);
    take_uids(r, uids, n);
    r->want = want;
    r->changes = out;
    model_request_begin(model_of(end));
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
    struct request *r = model_request_new(end, FLAGS, t);
    take_uids(r, uids, n);
    r->flags = model_bits(f->flags, f->keywords);
    r->on = !f->is_removal;
    r->unchanged_since = f->unchanged_since;
    if (fault_is(FAULT_REMOVE_NEIGHBOUR) && r->flags == FLAG_DELETED && r->on)
        r->uids[r->n++] = uids[n - 1] + 1;
    r->uids_out = modified_out;
    r->changes = f->there;
    model_request_begin(model_of(end));
}

static void move(struct end *end, const uint32_t *uids, size_t n, struct slice folder,
    struct end_uids *uids_out, struct end_ticket *t)
{
    struct request *r = model_request_new(end, MOVE, t);
    take_uids(r, uids, n);
    r->to =
        fault_is(FAULT_MOVE_ELSEWHERE) ? model_of(end)->s->boxes[0]->name : model_number(folder);
    r->uids_out = uids_out;
    if (fault_is(FAULT_MOVE_NEIGHBOUR))
        r->uids[r->n++] = uids[n - 1] + 1;
    model_request_begin(model_of(end));
}

static void remove_messages(struct end *end, const uint32_t *uids, size_t n, struct end_ticket *t)
{
    struct request *r = model_request_new(end, REMOVE, t);
    take_uids(r, uids, n);
    if (fault_is(FAULT_REMOVE_NEIGHBOUR))
        r->uids[r->n++] = uids[n - 1] + 1;
    model_request_begin(model_of(end));
}

static void pause_end(struct end *end, bool on)
{
    model_of(end)->is_paused = on;
}

static void prepare(struct end *end, struct pollfd *fd, int *timeout_ms_out)
{
    *fd = (struct pollfd){.fd = -1};
    const struct model_end *e = model_of(end);
    bool can_go_on = (e->queue && !e->is_paused) || !e->is_open || e->is_broken || e->is_cut;
    *timeout_ms_out = can_go_on ? 0 : -1;
}

static void lose(struct end *end, const struct err *why)
{
    struct model_end *e = model_of(end);
    if (e->is_broken)
        return;
    e->why = *why;
    if (e->s->is_target)
        ledger_unsure(&e->w->ledger);
    e->is_broken = true;
    answer_all(e);
}

static int advance(struct end *end, short revents, bool *moved_out, struct err *err)
{
    struct model_end *e = model_of(end);
    (void)revents;
    for (uint32_t steps = rng_below(&e->w->rng, 4); steps > 0 && !e->is_cut && !e->is_broken;
         steps--) {
        if (e->is_open && !model_step(e))
            break;
        e->is_open = true;
        *moved_out = true;
        world_tick(e->w);
    }
    if (e->w->is_killed)
        model_end_cut(end);
    e->is_broken |= e->is_cut;
    if (!e->is_broken)
        return 0;
    /* Also what was begun on it since, without a turn of its own. */
    answer_all(e);
    *err = e->why;
    return -1;
}

static bool is_open(const struct end *end)
{
    return ((const struct model_end *)end)->is_open;
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
    struct model_end *e = model_of(end);
    struct err why = ERR_INIT;
    err_set(&why, ERR_TEMP, EX_TEMPFAIL, "closed");
    lose(end, &why);
    world_closed(e->w, end);
    free(e);
}

static const struct end_ops ops = {
    .kind = "model",
    .can = can,
    .size_max = size_max,
    .is_same = is_same,
    .folders = folders,
    .status = status,
    .identify = identify,
    .quota = quota,
    .make = make,
    .rename = rename_folder,
    .subscribe = subscribe,
    .open = open_folder,
    .read = read_bodies,
    .attributes = attributes,
    .append_begin = model_append_begin,
    .append_message = model_append_message,
    .append_octets = model_append_octets,
    .append_end = model_append_end,
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
    world_opened(w, s->is_target, &e->end);
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
    struct model_end *e = model_of(end);
    if (e->is_broken || e->is_cut)
        return;
    e->is_cut = true;
    leave_behind(e);
    e->why = ERR_INIT;
    err_set(&e->why, ERR_TEMP, EX_TEMPFAIL, "%s: the connection was lost", end->label);
    err_scope_set(&e->why, ERR_SCOPE_HOST);
}
