/* SPDX-License-Identifier: ISC */
/*
 * disk_end: the life of an end that keeps a mailbox in files.
 *
 * Nothing has to be waited for but other people's locks and the clock.  What is begun waits in the
 * queue all the same, and one call of advance() does one step of the first of them, so that the
 * other side of the copy has its turn and nobody is called back from inside a slot.
 */
#include <stdlib.h>
#include <sysexits.h>

#include "base/core/clock.h"
#include "base/core/mem.h"
#include "imapsync/ends/disk.h"

#define QUEUE_ROOM 64

/* --- Requests ----------------------------------------------------------------------------- */

struct disk_request *disk_request_new(struct end *end, struct end_ticket *t,
    enum disk_step (*step)(struct disk_end *, struct disk_request *, struct err *))
{
    struct disk_request *r = mem_zalloc(sizeof(*r)), **last = &disk_end_of(end)->queue;
    r->ticket = t;
    r->step = step;
    buf_init(&r->token, END_TOKEN_MAX);
    while (*last)
        last = &(*last)->next;
    *last = r;
    t->result = END_PENDING;
    return r;
}

static void free_slice(struct slice s)
{
    free((void *)(uintptr_t)s.p);
}

static void request_free(struct disk_end *e, struct disk_request *r)
{
    e->kind->forget(e, r);
    free_slice(r->name);
    free_slice(r->to);
    free(r->uids);
    uid_set_fini(&r->known);
    buf_fini(&r->token);
    keywords_fini(&r->keywords);
    free(r);
}

/* The first of the queue, which is over. */
static void answer(struct disk_end *e, enum end_result result, const struct err *err)
{
    struct disk_request *r = e->queue;
    e->queue = r->next;
    if (e->building == r)
        e->building = NULL;
    end_answer(r->ticket, result, err);
    request_free(e, r);
}

static void lose_all(struct disk_end *e)
{
    const struct err why = e->why;
    while (e->queue)
        answer(e, END_LOST, &why);
}

void disk_request_begin(struct end *end)
{
    if (disk_end_of(end)->is_broken)
        lose_all(disk_end_of(end));
}

/* --- The slots about itself --------------------------------------------------------------- */

static unsigned can(const struct end *end)
{
    return ((const struct disk_end *)end)->kind->can;
}

static uint64_t size_max(const struct end *end)
{
    (void)end;
    return 0;
}

static bool is_same(const struct end *end, const struct folder *f, struct slice token)
{
    return ((const struct disk_end *)end)->kind->is_same(end, f, token);
}

static size_t unsent(const struct end *end)
{
    (void)end;
    return 0;
}

static bool has_room(const struct end *end)
{
    const struct disk_end *e = (const struct disk_end *)end;
    size_t n = 0;
    for (const struct disk_request *r = e->queue; r; r = r->next)
        n++;
    return n < QUEUE_ROOM;
}

static void set_pause(struct end *end, bool on)
{
    disk_end_of(end)->is_paused = on;
}

static bool can_go_on(const struct disk_end *e)
{
    if (!e->is_open || e->is_broken)
        return true;
    return e->queue && !e->queue->is_building && !(e->is_paused && e->queue->sink);
}

static void prepare(struct end *end, struct pollfd *fd, int *timeout_ms_out)
{
    const struct disk_end *e = disk_end_of(end);
    uint64_t now = clock_mono_ms();
    *fd = (struct pollfd){.fd = -1};
    *timeout_ms_out = !can_go_on(e) ? -1 : e->again_ms > now ? (int)(e->again_ms - now) : 0;
}

static void lose(struct end *end, const struct err *why)
{
    struct disk_end *e = disk_end_of(end);
    if (e->is_broken)
        return;
    e->why = *why;
    e->is_broken = true;
    lose_all(e);
}

static int broken(struct disk_end *e, const struct err *why, struct err *err)
{
    struct err copy = *why;
    lose(&e->end, &copy);
    lose_all(e); /* what was begun on it since, without a turn of its own */
    *err = copy;
    return -1;
}

/* --- Steps -------------------------------------------------------------------------------- */

static enum disk_step do_step(struct disk_end *e, struct disk_request *r, struct err *err)
{
    if (r->needs_open && !e->is_opened) {
        err_set(err, ERR_TEMP, EX_TEMPFAIL, "the folder that it is about was not opened");
        err_scope_set(err, ERR_SCOPE_FOLDER);
        return DISK_NO;
    }
    if (r->needs_writing && !e->is_for_writing) {
        err_set(err, ERR_PERM, EX_SOFTWARE, "the folder was opened for reading only");
        err_scope_set(err, ERR_SCOPE_FOLDER);
        return DISK_NO;
    }
    return r->step(e, r, err);
}

static void again(struct disk_end *e, struct disk_request *r)
{
    struct err err = ERR_INIT;
    uint64_t now = clock_mono_ms();
    if (r->since_ms == 0)
        r->since_ms = now;
    e->again_ms = now + DISK_AGAIN_MS;
    if (now - r->since_ms < DISK_PATIENCE_MS)
        return;
    e->again_ms = 0;
    err_set(&err, ERR_TEMP, EX_TEMPFAIL, "another program has had its lock for too long");
    err_scope_set(&err, ERR_SCOPE_FOLDER);
    answer(e, END_NO, &err);
}

static int advance(struct end *end, short revents, bool *moved_out, struct err *err)
{
    struct disk_end *e = disk_end_of(end);
    struct err why = ERR_INIT;
    (void)revents;
    if (e->is_broken)
        return broken(e, &e->why, err);
    if (!e->is_open) {
        if (e->kind->begin(e, &why) != 0)
            return broken(e, &why, err);
        e->is_open = true;
        *moved_out = true;
    }
    if (!can_go_on(e) || e->again_ms > clock_mono_ms())
        return 0;
    e->again_ms = 0;
    struct disk_request *r = e->queue;
    switch (do_step(e, r, &why)) {
    case DISK_DONE:
        answer(e, END_OK, NULL);
        break;
    case DISK_NO:
        answer(e, END_NO, &why);
        break;
    case DISK_AGAIN:
        again(e, r);
        return 0;
    case DISK_LOST:
        return broken(e, &why, err);
    case DISK_MORE:
        r->since_ms = 0;
        break;
    }
    *moved_out = true;
    /* A callback of the ticket may have lost it. */
    return e->is_broken ? broken(e, &e->why, err) : 0;
}

static bool is_open(const struct end *end)
{
    return ((const struct disk_end *)end)->is_open;
}

static bool is_broken(const struct end *end)
{
    return ((const struct disk_end *)end)->is_broken;
}

static bool is_silent(const struct end *end)
{
    (void)end;
    return false;
}

static bool is_idle(const struct end *end)
{
    return !((const struct disk_end *)end)->queue;
}

static void leave(struct end *end)
{
    (void)end;
}

static void do_close(struct end *end)
{
    struct disk_end *e = disk_end_of(end);
    struct err err = ERR_INIT;
    err_set(&err, ERR_TEMP, EX_TEMPFAIL, "%s: closed before it was done", end->label);
    lose(end, &err);
    lose_all(e);
    e->kind->fini(e);
    free(e);
}

static const struct end_ops ops = {
    .kind = "files",
    .can = can,
    .size_max = size_max,
    .is_same = is_same,
    .folders = disk_slot_folders,
    .status = disk_slot_status,
    .identify = disk_slot_identify,
    .quota = disk_slot_quota,
    .make = disk_slot_make,
    .rename = disk_slot_rename,
    .subscribe = disk_slot_subscribe,
    .open = disk_slot_open,
    .read = disk_slot_read,
    .attributes = disk_slot_attributes,
    .append_begin = disk_slot_append_begin,
    .append_message = disk_slot_append_message,
    .append_octets = disk_slot_append_octets,
    .append_end = disk_slot_append_end,
    .flags = disk_slot_flags,
    .move = disk_slot_move,
    .remove = disk_slot_remove,
    .unsent = unsent,
    .has_room = has_room,
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

void disk_end_init(struct disk_end *e, const struct disk_kind *kind, const char *label,
    const struct wait_limits *limits)
{
    e->kind = kind;
    e->end = (struct end){.ops = &ops, .label = label, .limits = limits};
}
