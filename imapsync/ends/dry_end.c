/* SPDX-License-Identifier: ISC */
/*
 * dry_end: see dry_end.h.
 *
 * Known weakness: what is answered here is answered at once, in front of what is still on its way
 * to the end behind.  Of a folder that is only pretended nobody knows anything else, so nothing can
 * come of that.
 */
#include "imapsync/ends/dry_end.h"

#include <stdlib.h>
#include <sysexits.h>

#include "base/core/mem.h"

#define PRETENDED_UIDVALIDITY 1

struct dry_end {
    struct end end;
    struct end *inner;       /* owned */
    struct folder_list made; /* these are only pretended */
    bool is_pretended;       /* the one that is open */
};

static struct dry_end *dry_of(struct end *e)
{
    return (struct dry_end *)e;
}

static const struct dry_end *const_dry_of(const struct end *e)
{
    return (const struct dry_end *)e;
}

static struct end *inner_of(struct end *e)
{
    return dry_of(e)->inner;
}

static void refuse(struct end_ticket *t)
{
    struct err err = ERR_INIT;
    err_set(&err, ERR_PERM, EX_UNAVAILABLE, "nothing is changed in a dry run");
    err_scope_set(&err, ERR_SCOPE_FOLDER);
    end_answer(t, END_NO, &err);
}

static bool is_made(const struct dry_end *e, struct slice name)
{
    return folder_list_find(&e->made, name) != NULL;
}

/* --- What it can ----------------------------------------------------------------------------- */

static unsigned can(const struct end *end)
{
    const struct dry_end *e = const_dry_of(end);
    return e->inner->ops->can(e->inner);
}

static uint64_t size_max(const struct end *end)
{
    const struct dry_end *e = const_dry_of(end);
    return e->inner->ops->size_max(e->inner);
}

static bool is_same(const struct end *end, const struct folder *f, struct slice token)
{
    const struct dry_end *e = const_dry_of(end);
    return e->inner->ops->is_same(e->inner, f, token);
}

/* --- Folders ---------------------------------------------------------------------------------- */

static void folders(struct end *e, struct folder_list *out, struct end_ticket *t)
{
    inner_of(e)->wants_octets = e->wants_octets;
    inner_of(e)->ops->folders(inner_of(e), out, t);
}

static void status(struct end *e, struct folder *out, struct end_ticket *t)
{
    if (!is_made(dry_of(e), out->name)) {
        inner_of(e)->ops->status(inner_of(e), out, t);
        return;
    }
    out->has = FOLDER_HAS_MESSAGES | FOLDER_HAS_UIDNEXT | FOLDER_HAS_UIDVALIDITY;
    out->uidvalidity = PRETENDED_UIDVALIDITY;
    out->uidnext = 1;
    out->messages = 0;
    end_answer(t, END_OK, NULL);
}

static void quota(struct end *e, struct end_quota *out, struct end_ticket *t)
{
    inner_of(e)->ops->quota(inner_of(e), out, t);
}

static void identify(struct end *e, struct buf *out, struct end_ticket *t)
{
    inner_of(e)->ops->identify(inner_of(e), out, t);
}

static void make_folder(
    struct end *end, struct slice name, enum folder_use use, struct end_ticket *t)
{
    struct err err = ERR_INIT;
    bool is_good = folder_list_add(&dry_of(end)->made, name, -1, 0, use, &err) == 0;
    end_answer(t, is_good ? END_OK : END_NO, is_good ? NULL : &err);
}

static void rename_folder(struct end *e, struct slice name, struct slice to, struct end_ticket *t)
{
    (void)e, (void)name, (void)to;
    refuse(t);
}

static void subscribe(struct end *e, struct slice name, bool on, struct end_ticket *t)
{
    (void)e, (void)name, (void)on;
    end_answer(t, END_OK, NULL);
}

/* --- Reading ---------------------------------------------------------------------------------- */

static void open_pretended(struct end_changes *out, struct end_ticket *t)
{
    out->uidvalidity = PRETENDED_UIDVALIDITY;
    out->uidnext = 1;
    out->is_whole = out->is_sure = true;
    out->storable = UINT8_MAX;
    out->takes_keywords = true;
    end_answer(t, END_OK, NULL);
}

/* One that is on its way to the end behind. */
struct opening {
    struct end_ticket ticket, *outer;
    struct end_changes *out;
};

/* Opened for reading it tells that no flag lasts; for writing it would have told which. */
static void on_opened(void *arg, struct end_ticket *t)
{
    struct opening *o = arg;
    struct end_ticket *outer = o->outer;
    const struct end_ticket told = *t;
    o->out->storable = UINT8_MAX;
    o->out->takes_keywords = true;
    free(o);
    end_answer(outer, told.result, told.result == END_OK ? NULL : &told.err);
}

static void open_folder(
    struct end *end, const struct end_open *o, struct end_changes *out, struct end_ticket *t)
{
    struct dry_end *e = dry_of(end);
    struct end_open reading = *o;
    e->is_pretended = is_made(e, o->folder);
    reading.is_for_writing = reading.may_stay_open = reading.is_known = false;
    if (e->is_pretended) {
        open_pretended(out, t);
        return;
    }
    struct opening *opening = mem_zalloc(sizeof(*opening));
    *opening =
        (struct opening){.ticket = {.done = on_opened, .arg = opening}, .outer = t, .out = out};
    e->inner->ops->open(e->inner, &reading, out, &opening->ticket);
}

static void read_bodies(struct end *end, const uint32_t *uids, size_t n,
    const struct end_sink *sink, void *arg, struct end_ticket *t)
{
    struct dry_end *e = dry_of(end);
    if (e->is_pretended)
        end_answer(t, END_OK, NULL);
    else
        e->inner->ops->read(e->inner, uids, n, sink, arg, t);
}

static void attributes(struct end *end, const uint32_t *uids, size_t n, unsigned want,
    struct end_changes *out, struct end_ticket *t)
{
    struct dry_end *e = dry_of(end);
    if (e->is_pretended)
        end_answer(t, END_OK, NULL);
    else
        e->inner->ops->attributes(e->inner, uids, n, want, out, t);
}

/* --- Changing: never -------------------------------------------------------------------------- */

static void append_begin(
    struct end *e, struct slice folder, struct end_uids *uids_out, struct end_ticket *t)
{
    (void)e, (void)folder, (void)uids_out;
    refuse(t);
}

static void append_message(struct end *e, const struct end_message *m)
{
    (void)e, (void)m;
}

static void append_octets(struct end *e, struct slice octets)
{
    (void)e, (void)octets;
}

static void append_end(struct end *e)
{
    (void)e;
}

static size_t unsent(const struct end *e)
{
    (void)e;
    return 0;
}

static bool has_room(const struct end *end)
{
    const struct dry_end *e = const_dry_of(end);
    return e->inner->ops->has_room(e->inner);
}

static void flags(struct end *e, const uint32_t *uids, size_t n, const struct end_flags *f,
    struct end_uids *modified_out, struct end_ticket *t)
{
    (void)e, (void)uids, (void)n, (void)f, (void)modified_out;
    refuse(t);
}

static void move(struct end *e, const uint32_t *uids, size_t n, struct slice folder,
    struct end_uids *uids_out, struct end_ticket *t)
{
    (void)e, (void)uids, (void)n, (void)folder, (void)uids_out;
    refuse(t);
}

static void remove_messages(struct end *e, const uint32_t *uids, size_t n, struct end_ticket *t)
{
    (void)e, (void)uids, (void)n;
    refuse(t);
}

/* --- Life ------------------------------------------------------------------------------------- */

static void set_pause(struct end *e, bool on)
{
    inner_of(e)->ops->pause(inner_of(e), on);
}

static void prepare(struct end *e, struct pollfd *fd, int *timeout_ms_out)
{
    inner_of(e)->ops->prepare(inner_of(e), fd, timeout_ms_out);
}

static int advance(struct end *end, short revents, bool *moved_out, struct err *err)
{
    struct end *inner = inner_of(end);
    int result = inner->ops->advance(inner, revents, moved_out, err);
    end->n_odd += inner->n_odd;
    end->n_unread += inner->n_unread;
    inner->n_odd = inner->n_unread = 0;
    return result;
}

static bool is_open(const struct end *end)
{
    const struct dry_end *e = const_dry_of(end);
    return e->inner->ops->is_open(e->inner);
}

static bool is_broken(const struct end *end)
{
    const struct dry_end *e = const_dry_of(end);
    return e->inner->ops->is_broken(e->inner);
}

static bool is_silent(const struct end *end)
{
    const struct dry_end *e = const_dry_of(end);
    return e->inner->ops->is_silent(e->inner);
}

static bool is_idle(const struct end *end)
{
    const struct dry_end *e = const_dry_of(end);
    return e->inner->ops->is_idle(e->inner);
}

static void lose(struct end *e, const struct err *why)
{
    inner_of(e)->ops->lose(inner_of(e), why);
}

static void leave(struct end *e)
{
    inner_of(e)->ops->leave(inner_of(e));
}

static void do_close(struct end *end)
{
    struct dry_end *e = dry_of(end);
    e->inner->ops->close(e->inner);
    folder_list_fini(&e->made);
    free(e);
}

static const struct end_ops ops = {
    .kind = "dry",
    .can = can,
    .size_max = size_max,
    .is_same = is_same,
    .folders = folders,
    .status = status,
    .identify = identify,
    .quota = quota,
    .make = make_folder,
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
    .pause = set_pause,
    .prepare = prepare,
    .advance = advance,
    .is_open = is_open,
    .is_broken = is_broken,
    .is_silent = is_silent,
    .is_idle = is_idle,
    .lose = lose,
    .leave = leave,
    .close = do_close,
};

static struct end *make(const struct end_maker *m, const struct wait_limits *limits)
{
    const struct end_maker *of = ((const struct dry_maker *)m)->of;
    struct dry_end *e = mem_zalloc(sizeof(*e));
    e->end = (struct end){.ops = &ops, .label = m->label, .limits = limits};
    e->inner = of->make(of, limits);
    folder_list_init(&e->made);
    return &e->end;
}

void dry_maker_init(struct dry_maker *m, const struct end_maker *of)
{
    *m = (struct dry_maker){.maker = *of, .of = of};
    m->maker.make = make;
}
