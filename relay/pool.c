/* SPDX-License-Identifier: ISC */
/*
 * pool: see pool.h, and pool_parts.h for the parts.  This file has the ways of a connection between
 * the pool and its users.
 */
#include <stdlib.h>
#include "base/core/mem.h"
#include "relay/pool_parts.h"

#define TICK_MS 1000
#define NEWS_MS 10 /* after this, bytes that had come on an idle connection were read */

/* --- Connections -------------------------------------------------------------------------- */

size_t pool_n_living(const struct pool_target *t)
{
    return t->n[PLACE_IDLE] + t->n[PLACE_LENT] + t->n[PLACE_BUSY];
}

size_t pool_n_all(const struct pool_target *t)
{
    return t->n[PLACE_OPENING] + pool_n_living(t);
}

static void unlink_from(struct pool_link *l)
{
    TAILQ_REMOVE(&l->target->links[l->place], l, entry);
    l->target->n[l->place]--;
    pool_unlend(l);
}

static void link_move(struct pool_link *l, enum pool_place place)
{
    unlink_from(l);
    l->place = place;
    l->since_ms = loop_now_ms(l->target->pool->loop);
    TAILQ_INSERT_HEAD(&l->target->links[place], l, entry);
    l->target->n[place]++;
}

void pool_drop(struct pool_link *l)
{
    struct pool_target *t = l->target;

    if (l->goal != NULL)
        pool_return_to_line(l->goal);
    unlink_from(l);
    dns_cancel(&l->query);
    smtp_conn_free(&l->conn);
    free(l);
    pool_fill(t);
}

/* Says QUIT. */
static void link_leave(struct pool_link *l)
{
    struct smtp_client *client = smtp_conn_client(l->conn);

    if (!smtp_client_is_idle(client) || smtp_client_quit(client) != 0) {
        pool_drop(l);
        return;
    }
    link_move(l, PLACE_BUSY);
    smtp_conn_flush(l->conn);
}

void pool_offer(struct pool_link *l)
{
    struct pool_target *t = l->target;

    if (t->n_line > 0) {
        link_move(l, PLACE_LENT);
        pool_serve(t, l, NULL);
    } else if (t->pool->is_draining) {
        link_leave(l);
    } else {
        link_move(l, PLACE_IDLE);
    }
}

/* --- From the pool to a user ---------------------------------------------------------------- */

/* What a user may get now, if there is one.  A reply that nobody asked for would be taken as the
 * one to MAIL; so would "421 idle too long" and the end.  The loop has not come to those
 * connections yet, and will. */
static struct pool_link *quiet_one(const struct pool_target *t)
{
    struct pool_link *l;

    for (l = TAILQ_FIRST(&t->links[PLACE_IDLE]); l != NULL; l = TAILQ_NEXT(l, entry))
        if (smtp_conn_is_quiet(l->conn))
            return l;
    return NULL;
}

/* News may turn out to be nothing, a session ticket of TLS.  So whoever waits beyond what is being
 * opened gets an idle connection as soon as one is quiet; true while there are others. */
static bool serve_line(struct pool_target *t)
{
    struct pool_link *l;

    pool_fill(t);
    while (t->n_line > t->n[PLACE_OPENING] && (l = quiet_one(t)) != NULL)
        pool_offer(l);
    return t->n_line > t->n[PLACE_OPENING] && !TAILQ_EMPTY(&t->links[PLACE_IDLE]);
}

static void call(struct pool_request *r)
{
    struct pool_link *l = r->link;

    TAILQ_REMOVE(&r->client->target->pool->ready, r, entry);
    if (l != NULL) {
        l->goal = NULL;
        l->user = r->user;
    }
    r->user->events->served(r->user, l != NULL ? l->conn : NULL, &r->why);
    pool_client_put(r->client);
    free(r);
}

static void on_kick(void *arg)
{
    struct pool *p = arg;
    struct pool_request *r;
    struct pool_target *t;
    bool must_return = false;

    while ((r = TAILQ_FIRST(&p->ready)) != NULL) {
        struct pool_link *l = r->link;

        if (l != NULL && !smtp_conn_is_quiet(l->conn)) {
            pool_return_to_line(r);
            link_move(l, PLACE_IDLE);
            continue;
        }
        call(r);
    }
    for (t = LIST_FIRST(&p->targets); t != NULL; t = LIST_NEXT(t, entry))
        must_return |= serve_line(t);
    if (TAILQ_EMPTY(&p->ready) && must_return)
        loop_timer_start(p->kick, NEWS_MS);
}

struct smtp_conn *pool_take(struct pool_target *t, struct pool_user *user)
{
    struct pool_link *l = t->n_line > t->n[PLACE_OPENING] ? NULL : quiet_one(t);
    struct pool_client *c;

    if (l == NULL)
        return NULL;
    c = pool_client_get(t, &user->client);
    link_move(l, PLACE_LENT);
    pool_lend(l, c);
    pool_client_put(c);
    l->user = user;
    return l->conn;
}

void pool_put_own(struct pool_target *t, struct smtp_conn **conn, enum pool_give_back how)
{
    struct pool_link *l = TAILQ_FIRST(&t->links[PLACE_LENT]);
    struct smtp_client *client = smtp_conn_client(*conn);

    while (l != NULL && l->conn != *conn)
        l = TAILQ_NEXT(l, entry);
    BUG_ON(l == NULL);
    *conn = NULL;
    smtp_conn_set_owner(l->conn, &pool_link_events, l);
    if (how == POOL_KEEP && smtp_client_is_idle(client)) {
        pool_offer(l);
    } else if (how != POOL_CLOSE && smtp_client_rset(client) == 0) {
        link_move(l, PLACE_BUSY);
        smtp_conn_flush(l->conn);
    } else {
        pool_drop(l);
    }
}

/* --- What the servers take ---------------------------------------------------------------- */

uint64_t pool_size_most(const struct pool *p)
{
    const struct pool_target *t;
    uint64_t most = 0;

    for (t = LIST_FIRST(&p->targets); t != NULL; t = LIST_NEXT(t, entry)) {
        uint64_t size = t->is_known ? t->size_max : UINT64_MAX;

        if (t->hop.where->host != NULL && size > most)
            most = size;
    }
    return most > 0 ? most : UINT64_MAX;
}

void pool_probe(struct pool *p)
{
    struct pool_target *t;

    for (t = LIST_FIRST(&p->targets); t != NULL; t = LIST_NEXT(t, entry))
        if (!t->is_known && t->n[PLACE_OPENING] == 0 && t->hop.where->host != NULL)
            pool_open(t);
}

/* --- Time and life ------------------------------------------------------------------------ */

static void tick_target(struct pool_target *t)
{
    uint64_t now = loop_now_ms(t->pool->loop), idle_ms = t->pool->conf->idle_pool_ms;
    struct pool_link *oldest;

    while ((oldest = TAILQ_LAST(&t->links[PLACE_IDLE], pool_links)) != NULL &&
           (now - oldest->since_ms >= idle_ms || (t->pool->is_draining && t->n_line == 0)))
        link_leave(oldest);
    pool_line_tick(t);
}

static void on_tick(void *arg)
{
    struct pool *p = arg;
    struct pool_target *t;

    for (t = LIST_FIRST(&p->targets); t != NULL; t = LIST_NEXT(t, entry))
        tick_target(t);
}

struct pool *pool_new(struct loop *loop, const struct conf_relay *conf)
{
    struct pool *p = mem_zalloc(sizeof(*p));
    uint64_t tick_ms = conf->idle_pool_ms / 4;

    p->loop = loop;
    p->conf = conf;
    LIST_INIT(&p->targets);
    TAILQ_INIT(&p->ready);
    p->kick = loop_timer_new(loop, on_kick, p);
    p->tick = loop_timer_new(loop, on_tick, p);
    loop_timer_repeat(p->tick, tick_ms < 10 ? 10 : tick_ms < TICK_MS ? tick_ms : TICK_MS);
    return p;
}

void pool_free(struct pool **pp)
{
    struct pool *p = *pp;

    *pp = NULL;
    if (p == NULL)
        return;
    BUG_ON(!TAILQ_EMPTY(&p->ready));
    while (!LIST_EMPTY(&p->targets))
        pool_target_free(LIST_FIRST(&p->targets));
    dns_free(&p->dns);
    loop_timer_free(&p->kick);
    loop_timer_free(&p->tick);
    free(p);
}

void pool_drain(struct pool *p)
{
    struct pool_target *t;

    p->is_draining = true;
    for (t = LIST_FIRST(&p->targets); t != NULL; t = LIST_NEXT(t, entry))
        while (!TAILQ_EMPTY(&t->links[PLACE_IDLE]))
            link_leave(TAILQ_FIRST(&t->links[PLACE_IDLE]));
}

bool pool_is_empty(const struct pool *p)
{
    const struct pool_target *t;

    for (t = LIST_FIRST(&p->targets); t != NULL; t = LIST_NEXT(t, entry))
        if (pool_n_all(t) > 0)
            return false;
    return true;
}
