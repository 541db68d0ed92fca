/* SPDX-License-Identifier: ISC */
/*
 * barrier: see barrier.h.  Each round scans the whole directory of claims anew (maps/claims.h), so
 * a mapd that has just been restarted sees what its predecessor saw.
 *
 * An answer counts for the barriers that were there when the question was asked: a barrier that
 * comes while an answer is on its way knows an epoch that the hosts may have looked for too early.
 */
#include "maps/mapd/barrier.h"

#include <stdlib.h>
#include <sys/queue.h>
#include "base/core/clock.h"
#include "base/core/mem.h"

#define NS_PER_MS 1000000u

struct barrier {
    LIST_ENTRY(barrier) link;
    struct barriers *all;
    uint64_t key_hash, epoch;
    uint64_t started_ms, timeout_ms;
    uint64_t delay_ms; /* until the look after the next one */
    uint64_t due_ms;   /* the next look */
    size_t question;   /* in the round that runs */
    barrier_done *done;
    void *arg;
};

LIST_HEAD(barrier_list, barrier);

struct barriers {
    struct loop_timer *timer;
    struct hosts *hosts;
    struct barrier_list waiting; /* for the next round */
    struct barrier_list asked;   /* in the one that runs */
    size_t n;                    /* of both */
    struct claims_question *questions;
    bool is_asking;
    uint64_t asked_ns, pause_until_ns;
};

static void ask(void *arg);

/* --- The next round -------------------------------------------------------------------- */

static uint64_t deadline_ms(const struct barrier *b)
{
    return b->started_ms + b->timeout_ms;
}

static void plan(struct barriers *all)
{
    uint64_t next_ms = UINT64_MAX, now_ns = clock_mono_ns();

    if (all->is_asking || LIST_EMPTY(&all->waiting))
        return;
    for (const struct barrier *b = LIST_FIRST(&all->waiting); b; b = LIST_NEXT(b, link)) {
        uint64_t due_ms = b->due_ms < deadline_ms(b) ? b->due_ms : deadline_ms(b);
        next_ms = due_ms < next_ms ? due_ms : next_ms;
    }
    uint64_t next_ns = next_ms * NS_PER_MS;
    if (next_ns < all->pause_until_ns)
        next_ns = all->pause_until_ns;
    loop_timer_start(
        all->timer, next_ns > now_ns ? (next_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS : 0);
}

/* --- One round --------------------------------------------------------------------------- */

/* A barrier that is over is freed by whoever waits for it. */
static void settle(struct barrier *b, enum claims_scan_verdict verdict, const struct err *err)
{
    uint64_t now_ms = clock_mono_ms(), waited_ms = now_ms - b->started_ms;
    const char *result = NULL;

    if (!err && verdict == CLAIMS_CLEAR)
        result = "clear";
    else if (!err && verdict == CLAIMS_WAS_AMBIGUOUS)
        result = "ambiguous";
    else if (!err && waited_ms >= b->timeout_ms)
        result = "timeout";
    if (result || err) {
        b->done(b->arg, result, waited_ms, err);
        return;
    }
    b->due_ms = now_ms + b->delay_ms;
    b->delay_ms = 2 * b->delay_ms < BARRIER_DELAY_MAX_MS ? 2 * b->delay_ms : BARRIER_DELAY_MAX_MS;
}

static void on_answer(void *arg, const struct err *err)
{
    struct barriers *all = arg;
    struct barrier *b;
    uint64_t now_ns = clock_mono_ns();

    all->is_asking = false;
    all->pause_until_ns = now_ns + (BARRIER_SHARE - 1) * (now_ns - all->asked_ns);
    /* Whoever is told may free any of them, and make new ones. */
    while ((b = LIST_FIRST(&all->asked)) != NULL) {
        LIST_REMOVE(b, link);
        LIST_INSERT_HEAD(&all->waiting, b, link);
        settle(b, all->questions[b->question].verdict, err);
    }
    free(all->questions);
    all->questions = NULL;
    plan(all);
}

static void ask(void *arg)
{
    struct barriers *all = arg;
    struct barrier *b;
    size_t n = 0;

    all->questions = mem_realloc_array(NULL, all->n, sizeof *all->questions);
    while ((b = LIST_FIRST(&all->waiting)) != NULL) {
        LIST_REMOVE(b, link);
        LIST_INSERT_HEAD(&all->asked, b, link);
        b->question = n;
        all->questions[n++] = (struct claims_question){.key_hash = b->key_hash, .epoch = b->epoch};
    }
    all->is_asking = true;
    all->asked_ns = clock_mono_ns();
    hosts_ask(all->hosts, all->questions, n, on_answer, all);
}

/* ------------------------------------------------------------------------------------------ */

struct barriers *barriers_new(struct loop *loop, struct hosts *hosts)
{
    struct barriers *all = mem_zalloc(sizeof *all);
    LIST_INIT(&all->waiting);
    LIST_INIT(&all->asked);
    all->hosts = hosts;
    all->timer = loop_timer_new(loop, ask, all);
    return all;
}

void barriers_free(struct barriers **allp)
{
    struct barriers *all = *allp;
    if (!all)
        return;
    BUG_ON(all->n > 0);
    loop_timer_free(&all->timer);
    free(all->questions);
    free(all);
    *allp = NULL;
}

struct barrier *barrier_new(struct barriers *all, uint64_t key_hash, uint64_t epoch,
    uint64_t timeout_ms, barrier_done *done, void *arg)
{
    struct barrier *b = mem_zalloc(sizeof *b);
    b->all = all;
    b->key_hash = key_hash;
    b->epoch = epoch;
    b->started_ms = b->due_ms = clock_mono_ms();
    b->timeout_ms = timeout_ms;
    b->delay_ms = 1;
    b->done = done;
    b->arg = arg;
    LIST_INSERT_HEAD(&all->waiting, b, link);
    all->n++;
    plan(all);
    return b;
}

void barrier_free(struct barrier **bp)
{
    struct barrier *b = *bp;
    if (!b)
        return;
    LIST_REMOVE(b, link);
    b->all->n--;
    if (b->all->n == 0)
        loop_timer_stop(b->all->timer);
    free(b);
    *bp = NULL;
}
