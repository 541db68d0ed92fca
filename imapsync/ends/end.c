/* SPDX-License-Identifier: ISC */
/*
 * end: waiting.  The only poll() of a copy is here: over the descriptors of the ends, the cancel
 * descriptor of the job, and as long as the job's limits and each end's own patience allow.
 */
#include "imapsync/ends/end.h"

#include <errno.h>
#include <stdlib.h>
#include <sysexits.h>

#include "base/core/clock.h"

void end_answer(struct end_ticket *t, enum end_result result, const struct err *err)
{
    BUG_ON(t->result != END_PENDING || result == END_PENDING || (result != END_OK && !err));
    if (err)
        t->err = *err;
    t->result = result;
    if (t->done)
        t->done(t->arg, t);
}

void end_uids_fini(struct end_uids *u)
{
    free(u->v);
    *u = (struct end_uids){0};
}

void end_amount_add(struct end_amount *a, uint64_t used, uint64_t limit)
{
    const uint64_t left = used < limit ? limit - used : 0;
    if (used > 0 && (a->used == 0 || used < a->used))
        a->used = used;
    if (limit == 0 || (a->limit > 0 && a->left <= left))
        return;
    a->limit = limit;
    a->left = left;
}

static void sooner(int *wait_ms, int64_t ms)
{
    if (ms >= 0 && (*wait_ms < 0 || ms < *wait_ms))
        *wait_ms = (int)(ms < INT32_MAX ? ms : INT32_MAX);
}

static int is_over(const struct wait_limits *limits, const struct pollfd *cancel, struct err *err)
{
    if (cancel->revents != 0)
        err_set(err, ERR_TEMP, EX_TEMPFAIL, "stopped on request");
    else if (limits->until_ms > 0 && clock_mono_ms() >= limits->until_ms)
        err_set(err, ERR_TEMP, EX_TEMPFAIL, "the time for it is over");
    else
        return 0;
    return -1;
}

/* The ends that were asked for, n_asked of them, and those beside them. */
struct party {
    struct end *v[END_PUMP_MAX];
    size_t n, n_asked;
    struct end *broken; /* of those that were asked for */
};

static void invite(struct party *p, struct end *e)
{
    for (size_t i = 0; i < p->n; i++) {
        if (p->v[i] == e)
            return;
    }
    if (e && p->n < END_PUMP_MAX)
        p->v[p->n++] = e;
}

static int advance(struct party *p, const struct pollfd *fds, bool *moved_out, struct err *err)
{
    struct err ignored = ERR_INIT;
    bool has_moved = false;
    for (size_t i = 0; i < p->n; i++) {
        bool is_asked = i < p->n_asked;
        int result = p->v[i]->ops->advance(
            p->v[i], fds[i].revents, is_asked ? moved_out : &has_moved, is_asked ? err : &ignored);
        if (result != 0 && is_asked) {
            p->broken = p->v[i];
            return -1;
        }
    }
    return 0;
}

static int pump(struct party *p, struct err *err)
{
    struct pollfd fds[END_PUMP_MAX + 1] = {{0}};
    const struct wait_limits *limits = p->v[0]->limits;
    for (bool moved = false; !moved;) {
        int wait_ms = -1;
        for (size_t i = 0; i < p->n; i++) {
            int ms = -1;
            fds[i] = (struct pollfd){.fd = -1};
            if (i < p->n_asked || !p->v[i]->ops->is_broken(p->v[i]))
                p->v[i]->ops->prepare(p->v[i], &fds[i], &ms);
            sooner(&wait_ms, ms);
        }
        fds[p->n] = (struct pollfd){.fd = limits ? limits->cancel_fd : -1, .events = POLLIN};
        if (limits && limits->until_ms > 0) {
            uint64_t now = clock_mono_ms();
            sooner(&wait_ms, limits->until_ms > now ? (int64_t)(limits->until_ms - now) : 0);
        }
        int r = poll(fds, p->n + 1, wait_ms);
        if (r < 0 && errno != EINTR)
            return err_sys(err, errno, "poll");
        for (size_t i = 0; i <= p->n && r <= 0; i++)
            fds[i].revents = 0;
        if (limits && is_over(limits, &fds[p->n], err) != 0)
            return -1;
        if (advance(p, fds, &moved, err) != 0)
            return -1;
    }
    return 0;
}

static struct party party_of(struct end *const *ends, size_t n)
{
    struct party p = {.n = 0};
    BUG_ON(n == 0 || n > END_PUMP_MAX);
    for (size_t i = 0; i < n; i++)
        invite(&p, ends[i]);
    p.n_asked = p.n;
    for (size_t i = 0; i < n; i++)
        invite(&p, ends[i]->beside);
    return p;
}

int end_pump_apart(struct end *const *ends, size_t n, struct end **broken_out, struct err *err)
{
    struct party p = party_of(ends, n);
    int result = pump(&p, err);
    *broken_out = p.broken;
    return result;
}

int end_pump(struct end *const *ends, size_t n, struct err *err)
{
    struct party p = party_of(ends, n);
    if (pump(&p, err) == 0)
        return 0;
    for (size_t i = 0; i < n; i++)
        end_lose(ends[i], err);
    return -1;
}

void end_lose(struct end *e, const struct err *why)
{
    e->ops->lose(e, why);
}

int end_wait(struct end *e, const struct end_ticket *t, struct err *err)
{
    while (t->result == END_PENDING) {
        if (end_pump(&e, 1, err) != 0)
            return -1;
    }
    if (t->result != END_LOST)
        return 0;
    *err = t->err;
    return -1;
}

int end_check(struct end *e, const struct end_ticket *t, const char *what, struct err *err)
{
    if (end_wait(e, t, err) != 0)
        return -1;
    if (t->result == END_OK)
        return 0;
    *err = t->err;
    return err_wrap(err, "%s: %s", e->label, what);
}

int end_drain(struct end *e, struct err *err)
{
    /* One that has broken while somebody waited for the other side is idle: all was answered. */
    while (!e->ops->is_idle(e) || e->ops->is_broken(e)) {
        if (end_pump(&e, 1, err) != 0)
            return -1;
    }
    return 0;
}

int end_room(struct end *e, struct err *err)
{
    while (!e->ops->has_room(e)) {
        if (end_pump(&e, 1, err) != 0)
            return -1;
    }
    return 0;
}

void end_beside(struct end *a, struct end *b)
{
    a->beside = b;
    b->beside = a;
}

/* --- Opening and closing --------------------------------------------------------------- */

static bool is_opening(const struct end *e)
{
    return !e->ops->is_open(e);
}

static bool is_leaving(const struct end *e)
{
    return !e->ops->is_broken(e) && !e->ops->is_idle(e);
}

/* Those of which that is true. */
static size_t choose(
    struct end *const *ends, size_t n, bool (*is_chosen)(const struct end *e), struct end **out)
{
    size_t n_out = 0;
    for (size_t i = 0; i < n; i++) {
        if (ends[i] && is_chosen(ends[i]))
            out[n_out++] = ends[i];
    }
    return n_out;
}

int end_open_all(const struct end_maker *const *makers, size_t n, const struct wait_limits *limits,
    struct end **out, const struct end_maker **silent_out, struct err *err)
{
    struct end *waiting[END_PUMP_MAX];
    size_t n_waiting;
    int result = 0;
    BUG_ON(n > END_PUMP_MAX);
    *silent_out = NULL;
    for (size_t i = 0; i < n; i++)
        out[i] = makers[i]->make(makers[i], limits);
    while (result == 0 && (n_waiting = choose(out, n, is_opening, waiting)) > 0)
        result = end_pump(waiting, n_waiting, err);
    for (size_t i = 0; i < n && result != 0; i++) {
        if (out[i]->ops->is_silent(out[i]))
            *silent_out = makers[i];
    }
    if (result != 0)
        end_close_all(out, n);
    return result;
}

static void close_now(struct end **e)
{
    if (*e)
        (*e)->ops->close(*e);
    *e = NULL;
}

void end_close_all(struct end **ends, size_t n)
{
    struct end *leaving[END_PUMP_MAX];
    size_t n_leaving;
    struct err ignored = ERR_INIT;
    BUG_ON(n > END_PUMP_MAX);
    for (size_t i = 0; i < n; i++) {
        struct end *e = ends[i];
        if (e && e->beside) {
            e->beside->beside = NULL;
            e->beside = NULL;
        }
        if (e && e->ops->is_open(e) && !e->ops->is_broken(e) && e->ops->is_idle(e))
            e->ops->leave(e);
        else
            close_now(&ends[i]);
    }
    int result = 0;
    while (result == 0 && (n_leaving = choose(ends, n, is_leaving, leaving)) > 0)
        result = end_pump(leaving, n_leaving, &ignored);
    for (size_t i = 0; i < n; i++)
        close_now(&ends[i]);
}

void end_close(struct end **e)
{
    end_close_all(e, 1);
}
