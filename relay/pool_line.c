/* SPDX-License-Identifier: ISC */
/*
 * pool_line: who waits for a connection of a target, who has one, and who has to give one up (see
 * pool.h).
 *
 * The line is one of clients, each with a line of its requests.  Whoever was served goes to its
 * end, and a connection goes to the first client that has less than its share, or, when all have
 * that, to the one that has least.  So a client alone may have everything, and one with a thousand
 * requests delays another by one of them.
 *
 * Ending a transaction is for when nothing comes free: one a second, slow ones first.  Behind an
 * MTA all mail has one client, which only waits for itself; of it, only what lies still is ended.
 */
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include "base/core/mem.h"
#include "relay/clients.h"
#include "relay/pool_parts.h"

#define ROOM_EVERY_MS 900 /* a little less than the pool's tick */

/* --- Clients ------------------------------------------------------------------------------ */

static int by_address(const void *a, const void *b)
{
    const struct pool_client *x = a, *y = b;

    return memcmp(x->addr.b, y->addr.b, sizeof(x->addr.b));
}

struct pool_client *pool_client_get(struct pool_target *t, const struct net_addr *addr)
{
    struct pool_client wanted = {.addr = clients_key(addr)}, *c;
    struct pool_client **found = tfind(&wanted, &t->clients, by_address);

    if (found != NULL) {
        (*found)->n_refs++;
        return *found;
    }
    c = mem_zalloc(sizeof(*c));
    c->addr = wanted.addr;
    c->target = t;
    c->n_refs = 1;
    TAILQ_INIT(&c->line);
    if (tsearch(c, &t->clients, by_address) == NULL)
        BUG("no memory for a client");
    return c;
}

void pool_client_put(struct pool_client *c)
{
    if (--c->n_refs > 0)
        return;
    (void)tdelete(c, &c->target->clients, by_address);
    free(c);
}

void pool_lend(struct pool_link *l, struct pool_client *c)
{
    l->client = c;
    c->n_lent++;
    c->n_refs++;
}

void pool_unlend(struct pool_link *l)
{
    struct pool_client *c = l->client;

    l->client = NULL;
    l->user = NULL;
    if (c == NULL)
        return;
    c->n_lent--;
    pool_client_put(c);
}

/* What a client may have while others wait, of what there is or may be. */
static size_t share(const struct pool_target *t)
{
    bool is_limited = loop_now_ms(t->pool->loop) < t->limit_until_ms;
    size_t all = is_limited ? pool_n_living(t) : t->hop.connections_max;

    return all > POOL_SHARE ? all / POOL_SHARE : 1;
}

/* --- The line ----------------------------------------------------------------------------- */

static struct pool_client *next_client(const struct pool_target *t)
{
    struct pool_client *c, *least = NULL;
    size_t may_have = share(t);

    for (c = TAILQ_FIRST(&t->line); c != NULL; c = TAILQ_NEXT(c, entry)) {
        if (c->n_lent < may_have)
            return c;
        if (least == NULL || c->n_lent < least->n_lent)
            least = c;
    }
    return least;
}

static void take_out_of_line(struct pool_request *r)
{
    struct pool_client *c = r->client;

    TAILQ_REMOVE(&c->line, r, entry);
    c->target->n_line--;
    if (TAILQ_EMPTY(&c->line))
        TAILQ_REMOVE(&c->target->line, c, entry);
}

static void request_ready(struct pool_request *r, struct pool_link *l, const struct err *why)
{
    struct pool *p = r->client->target->pool;

    r->is_ready = true;
    r->link = l;
    if (l != NULL)
        l->goal = r;
    else
        r->why = *why;
    TAILQ_INSERT_TAIL(&p->ready, r, entry);
    loop_timer_start(p->kick, 0);
}

void pool_serve(struct pool_target *t, struct pool_link *l, const struct err *why)
{
    struct pool_client *c = next_client(t);
    struct pool_request *r = TAILQ_FIRST(&c->line);

    if (l != NULL)
        pool_lend(l, c);
    take_out_of_line(r);
    if (!TAILQ_EMPTY(&c->line)) {
        TAILQ_REMOVE(&t->line, c, entry);
        TAILQ_INSERT_TAIL(&t->line, c, entry);
    }
    request_ready(r, l, why);
}

void pool_return_to_line(struct pool_request *r)
{
    struct pool_client *c = r->client;

    TAILQ_REMOVE(&c->target->pool->ready, r, entry);
    r->is_ready = false;
    if (r->link != NULL)
        r->link->goal = NULL;
    r->link = NULL;
    if (TAILQ_EMPTY(&c->line))
        TAILQ_INSERT_HEAD(&c->target->line, c, entry);
    TAILQ_INSERT_HEAD(&c->line, r, entry);
    c->target->n_line++;
}

static void free_request(struct pool_request *r)
{
    pool_client_put(r->client);
    free(r);
}

/* --- For users ---------------------------------------------------------------------------- */

struct pool_request *pool_ask(struct pool_target *t, struct pool_user *user)
{
    struct pool_request *r = mem_zalloc(sizeof(*r));
    struct pool_client *c = pool_client_get(t, &user->client);

    r->client = c;
    r->user = user;
    r->since_ms = loop_now_ms(t->pool->loop);
    if (t->is_down && t->is_slow_to_fail) {
        request_ready(r, NULL, &t->why);
        return r;
    }
    if (TAILQ_EMPTY(&c->line))
        TAILQ_INSERT_TAIL(&t->line, c, entry);
    TAILQ_INSERT_TAIL(&c->line, r, entry);
    t->n_line++;
    pool_fill(t);
    if (!TAILQ_EMPTY(&t->links[PLACE_IDLE]))
        loop_timer_start(t->pool->kick, 0);
    return r;
}

void pool_cancel(struct pool_request **rp)
{
    struct pool_request *r = *rp;
    struct pool_link *l;

    *rp = NULL;
    if (r == NULL)
        return;
    l = r->link;
    if (!r->is_ready) {
        take_out_of_line(r);
    } else {
        TAILQ_REMOVE(&r->client->target->pool->ready, r, entry);
        if (l != NULL) {
            l->goal = NULL;
            if (smtp_client_is_idle(smtp_conn_client(l->conn)))
                pool_offer(l);
            else
                pool_drop(l);
        }
    }
    free_request(r);
}

/* --- Who keeps others waiting ------------------------------------------------------------- */

static bool is_greedy(const struct pool_link *l, const struct pool_client *waiting)
{
    size_t may_have = share(l->target);
    uint64_t waited_ms = loop_now_ms(l->target->pool->loop) - TAILQ_FIRST(&waiting->line)->since_ms;

    return waiting->n_lent < may_have && waited_ms >= POOL_GREED_MS && l->client->n_lent > may_have;
}

/* Of those with this pace, the oldest one of the client that has most. */
static struct pool_link *find_one(struct pool_target *t, enum pool_pace pace)
{
    const struct pool_client *waiting = next_client(t);
    struct pool_link *l, *found = NULL;

    for (l = TAILQ_LAST(&t->links[PLACE_LENT], pool_links); l != NULL;
         l = TAILQ_PREV(l, pool_links, entry)) {
        if (l->user == NULL || l->user->events->pace(l->user) != pace ||
            (pace != POOL_PACE_SLOW && !is_greedy(l, waiting)))
            continue;
        if (found == NULL || l->client->n_lent > found->client->n_lent)
            found = l;
    }
    return found;
}

static void make_room(struct pool_target *t)
{
    uint64_t now = loop_now_ms(t->pool->loop);
    struct pool_link *l;

    if (t->n_line == 0 || t->n[PLACE_OPENING] > 0 || now - t->room_ms < ROOM_EVERY_MS)
        return;
    l = find_one(t, POOL_PACE_SLOW);
    if (l == NULL)
        l = find_one(t, POOL_PACE_DECENT);
    if (l == NULL)
        return;
    t->room_ms = now;
    l->user->events->end(l->user);
}

static struct pool_request *overdue(struct pool_target *t)
{
    uint64_t now = loop_now_ms(t->pool->loop);
    struct pool_client *c;

    for (c = TAILQ_FIRST(&t->line); c != NULL; c = TAILQ_NEXT(c, entry))
        if (now - TAILQ_FIRST(&c->line)->since_ms >= POOL_WAIT_MS)
            return TAILQ_FIRST(&c->line);
    return NULL;
}

void pool_line_tick(struct pool_target *t)
{
    struct err busy = ERR_INIT;
    struct pool_request *r;

    err_set(&busy, ERR_TEMP, EX_TEMPFAIL, "all connections to it are in use");
    while ((r = overdue(t)) != NULL) {
        take_out_of_line(r);
        request_ready(r, NULL, &busy);
    }
    pool_fill(t);
    make_room(t);
}
