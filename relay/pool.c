/* SPDX-License-Identifier: ISC */
/*
 * pool: see pool.h.
 *
 * Each connection has a link for life, which is on exactly one of its server's lists: opening,
 * idle, lent, or busy with the pool (a RSET or QUIT that is not answered).  A request waits in line
 * until a connection is there for it, and then on the list of the ready ones until the loop comes
 * round to call it, since the one who gives a connection back must not be called on the way.  On
 * both ways to a session, out of idle and out of the line, the last look is for unexpected bytes.
 *
 * Opening: the addresses of a server are tried in turn, the last good one first, each with the
 * whole connect timeout.  When none works, everybody in line hears why, unless other connections to
 * that server live: then it is probably the server's own limit, and the line waits for those.
 *
 * A host name is looked up for each new connection; the resolver remembers answers as long as they
 * may be.
 */
#include <stdlib.h>
#include <sysexits.h>
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/os/dns.h"
#include "relay/pool.h"

#define TICK_MS 1000
#define PROBE_EVERY_MS 30000
#define NEWS_MS 10     /* after this, bytes that had come on an idle connection were read */
#define LIMIT_MS 10000 /* how long a limit that a server showed is believed */

enum place { PLACE_OPENING, PLACE_IDLE, PLACE_LENT, PLACE_BUSY, PLACES };

struct target;

struct link {
    struct target *target;
    struct link *prev, *next;
    struct smtp_conn *conn;
    enum place place;
    uint64_t since_ms;       /* in this place */
    struct dns_query *query; /* OPENING: the host's addresses are asked for */
    struct net_addr addr;    /* OPENING: the one that is tried */
    size_t n_tried;
    struct pool_request *goal; /* LENT: ready for this request, which was not called yet */
};

struct pool_request {
    struct target *target;
    struct pool_request *prev, *next; /* in line, or ready */
    pool_done_fn *done;
    void *arg;
    uint64_t since_ms;
    bool is_ready;
    struct link *link; /* ready: what it gets; NULL: `why` */
    struct err why;
};

struct requests {
    struct pool_request *first, *last;
};

struct target { /* one server */
    struct pool *pool;
    const struct conf_server *server;
    struct tls_ctx *tls;
    struct net_addr addrs[DNS_ADDRS_MAX]; /* as last heard */
    size_t n_addrs;
    bool is_numeric;           /* the host is an address, known from the start */
    struct net_addr good_addr; /* the last one that worked */
    struct err why;            /* there is no address, or none works */
    struct link *links[PLACES];
    size_t n[PLACES];
    struct requests line;
    size_t n_line;
    uint64_t limit_until_ms; /* no new connections: the server refuses more than we have */
    bool is_known, is_down;
    uint64_t size_max;
};

struct pool {
    struct loop *loop;
    const struct conf *conf;
    struct dns *dns; /* NULL: no host has a name */
    struct target *targets;
    struct requests ready;
    struct loop_timer *tick, *kick;
    uint64_t probed_ms;
    bool is_probing, is_draining;
    pool_short_fn *on_short;
    void *short_arg;
};

static const struct smtp_conn_events pool_events;

/* --- Lists -------------------------------------------------------------------------------- */

static void unlink_from(struct link *l)
{
    struct target *t = l->target;

    if (l->prev != NULL)
        l->prev->next = l->next;
    else
        t->links[l->place] = l->next;
    if (l->next != NULL)
        l->next->prev = l->prev;
    t->n[l->place]--;
}

static void link_to(struct link *l, enum place place)
{
    struct target *t = l->target;

    l->place = place;
    l->since_ms = loop_now_ms(t->pool->loop);
    l->prev = NULL;
    l->next = t->links[place];
    if (l->next != NULL)
        l->next->prev = l;
    t->links[place] = l;
    t->n[place]++;
}

static void move_to(struct link *l, enum place place)
{
    unlink_from(l);
    link_to(l, place);
}

static void append(struct requests *list, struct pool_request *r)
{
    r->next = NULL;
    r->prev = list->last;
    if (list->last != NULL)
        list->last->next = r;
    else
        list->first = r;
    list->last = r;
}

static void take_out(struct requests *list, struct pool_request *r)
{
    if (r->prev != NULL)
        r->prev->next = r->next;
    else
        list->first = r->next;
    if (r->next != NULL)
        r->next->prev = r->prev;
    else
        list->last = r->prev;
}

static size_t n_living(const struct target *t)
{
    return t->n[PLACE_IDLE] + t->n[PLACE_LENT] + t->n[PLACE_BUSY];
}

static size_t n_all(const struct target *t)
{
    return t->n[PLACE_OPENING] + n_living(t);
}

/* --- Requests ----------------------------------------------------------------------------- */

/* The first in line gets the link, or NULL and why. */
static void serve_first(struct target *t, struct link *l, const struct err *why)
{
    struct pool_request *r = t->line.first;

    take_out(&t->line, r);
    t->n_line--;
    r->is_ready = true;
    r->link = l;
    if (l != NULL)
        l->goal = r;
    else
        r->why = *why;
    append(&t->pool->ready, r);
    loop_timer_start(t->pool->kick, 0);
}

/* Back to where it was: what it was to get is dead. */
static void return_to_line(struct pool_request *r)
{
    struct requests *line = &r->target->line;

    take_out(&r->target->pool->ready, r);
    r->is_ready = false;
    if (r->link != NULL)
        r->link->goal = NULL;
    r->link = NULL;
    r->prev = NULL;
    r->next = line->first;
    if (line->first != NULL)
        line->first->prev = r;
    else
        line->last = r;
    line->first = r;
    r->target->n_line++;
}

/* --- Connections -------------------------------------------------------------------------- */

static void fill(struct target *t);

static void drop(struct link *l)
{
    struct target *t = l->target;

    if (l->goal != NULL)
        return_to_line(l->goal);
    unlink_from(l);
    dns_cancel(&l->query);
    smtp_conn_free(&l->conn);
    free(l);
    fill(t);
}

static void leave(struct link *l)
{
    struct smtp_client *client = smtp_conn_client(l->conn);

    if (!smtp_client_is_idle(client) || smtp_client_quit(client) != 0) {
        drop(l);
        return;
    }
    move_to(l, PLACE_BUSY);
    smtp_conn_flush(l->conn);
}

/* A connection that can serve. */
static void offer(struct link *l)
{
    struct target *t = l->target;

    if (t->line.first != NULL) {
        move_to(l, PLACE_LENT);
        serve_first(t, l, NULL);
    } else if (t->pool->is_draining) {
        leave(l);
    } else {
        move_to(l, PLACE_IDLE);
    }
}

/* The addresses in turn, from the last good one on. */
static struct net_addr nth_addr(const struct target *t, size_t n)
{
    size_t first = 0;

    while (first < t->n_addrs && !net_addr_eq(&t->addrs[first], &t->good_addr))
        first++;
    return t->addrs[(first + n) % t->n_addrs];
}

/* Goes on with the next address; false when none is left. */
static bool open_next(struct link *l)
{
    struct target *t = l->target;
    struct pool *p = t->pool;

    for (; l->n_tried < t->n_addrs; l->n_tried++) {
        struct smtp_conn_setup setup = {.server = t->server,
            .tls = t->tls,
            .hello_name = p->conf->relay.hostname,
            .connect_timeout_ms = p->conf->relay.connect_timeout_ms,
            .reply_timeout_ms = p->conf->relay.reply_timeout_ms,
            .dot_timeout_ms = p->conf->relay.dot_timeout_ms};

        l->addr = setup.addr = nth_addr(t, l->n_tried);
        l->conn = smtp_conn_new(p->loop, &setup, &pool_events, l, &t->why);
        if (l->conn != NULL)
            return true;
    }
    return false;
}

static void note_down(struct target *t)
{
    if (!t->is_down)
        log_warn("server_down", log_str("server", t->server->name),
            log_str("host", t->server->smtp.host), log_u64("connections", n_living(t)),
            log_err(&t->why));
    t->is_down = true;
}

/* No address works. */
static void give_up(struct target *t)
{
    note_down(t);
    while (t->line.first != NULL && t->links[PLACE_IDLE] != NULL)
        offer(t->links[PLACE_IDLE]);
    if (n_living(t) > 0)
        t->limit_until_ms = loop_now_ms(t->pool->loop) + LIMIT_MS;
    else
        while (t->line.first != NULL)
            serve_first(t, NULL, &t->why);
}

/* t->why is set. */
static void opening_failed(struct link *l)
{
    struct target *t = l->target;

    unlink_from(l);
    free(l);
    give_up(t);
    fill(t);
}

static void on_addresses(void *arg, const struct dns_answer *answer)
{
    struct link *l = arg;
    struct target *t = l->target;

    l->query = NULL;
    t->n_addrs = 0;
    if (answer->result == DNS_FOUND)
        while (t->n_addrs < answer->n && t->n_addrs < DNS_ADDRS_MAX) {
            t->addrs[t->n_addrs] = answer->addrs[t->n_addrs];
            t->n_addrs++;
        }
    else
        err_set(&t->why, ERR_TEMP, EX_NOHOST, "%s: %s", t->server->smtp.host, answer->reason);
    if (!open_next(l))
        opening_failed(l);
}

static void open_one(struct target *t)
{
    struct link *l = mem_zalloc(sizeof(*l));

    l->target = t;
    link_to(l, PLACE_OPENING);
    if (!t->is_numeric)
        l->query = dns_resolve(t->pool->dns, t->server->smtp.host, on_addresses, l);
    else if (!open_next(l))
        opening_failed(l);
}

/* Opens what the line needs. */
static void fill(struct target *t)
{
    uint64_t now = loop_now_ms(t->pool->loop);

    while (t->n_line > t->n[PLACE_OPENING] && n_all(t) < t->server->smtp_connections_max &&
           (n_living(t) == 0 || now >= t->limit_until_ms))
        open_one(t);
}

static void address_failed(struct link *l, const struct err *why)
{
    struct target *t = l->target;
    char addr[NET_TEXT_MAX];

    net_addr_format(&l->addr, addr);
    t->why = *why;
    err_wrap(&t->why, "%s:%u", addr, t->server->smtp.port);
    smtp_conn_free(&l->conn);
    l->n_tried++;
    if (!open_next(l))
        opening_failed(l);
}

static void opened(struct link *l)
{
    struct target *t = l->target;
    const struct smtp_client *client = smtp_conn_client(l->conn);

    if (t->is_down)
        log_info("server_up", log_str("server", t->server->name));
    t->is_known = true;
    t->is_down = false;
    t->good_addr = l->addr;
    t->size_max = client->size_max > 0 ? client->size_max : UINT64_MAX;
    log_debug("server_open", log_str("server", t->server->name),
        log_str("tls", smtp_conn_tls_version(l->conn)));
    offer(l);
}

static void on_event(void *arg, const struct smtp_client_event *ev)
{
    struct link *l = arg;

    switch (ev->kind) {
    case SMTP_CLIENT_READY:
        opened(l);
        return;
    case SMTP_CLIENT_RSET_REPLY:
        offer(l);
        return;
    case SMTP_CLIENT_QUIT_REPLY:
        drop(l);
        return;
    case SMTP_CLIENT_FAILED:
        if (l->place == PLACE_OPENING)
            address_failed(l, ev->err);
        else
            drop(l);
        return;
    case SMTP_CLIENT_MORE:
    case SMTP_CLIENT_STARTTLS:
    case SMTP_CLIENT_MAIL_REPLY:
    case SMTP_CLIENT_RCPT_REPLY:
    case SMTP_CLIENT_DATA_REPLY:
    case SMTP_CLIENT_DOT_REPLY:
        return; /* of a transaction that its owner gave up */
    }
}

static const struct smtp_conn_events pool_events = {.event = on_event};

/* --- From the pool to a session ------------------------------------------------------------- */

/* What a session may get now, if there is one.  A reply that nobody asked for would be taken as the
 * one to MAIL; so would "421 idle too long" and the end.  The loop has not come to those
 * connections yet, and will. */
static struct link *quiet_one(const struct target *t)
{
    struct link *l = t->links[PLACE_IDLE];

    while (l != NULL && !smtp_conn_is_quiet(l->conn))
        l = l->next;
    return l;
}

/* News may turn out to be nothing, a session ticket of TLS.  So whoever waits beyond what is being
 * opened gets an idle connection as soon as one is quiet; true while there are others. */
static bool serve_line(struct target *t)
{
    struct link *l;

    fill(t);
    while (t->n_line > t->n[PLACE_OPENING] && (l = quiet_one(t)) != NULL)
        offer(l);
    return t->n_line > t->n[PLACE_OPENING] && t->links[PLACE_IDLE] != NULL;
}

static void on_kick(void *arg)
{
    struct pool *p = arg;
    struct pool_request *r;
    bool must_return = false;

    while ((r = p->ready.first) != NULL) {
        struct link *l = r->link;

        if (l != NULL && !smtp_conn_is_quiet(l->conn)) {
            return_to_line(r);
            move_to(l, PLACE_IDLE);
            continue;
        }
        take_out(&p->ready, r);
        if (l != NULL)
            l->goal = NULL;
        r->done(r->arg, l != NULL ? l->conn : NULL, &r->why);
        free(r);
    }
    for (size_t i = 0; i < p->conf->n_servers; i++)
        must_return |= serve_line(&p->targets[i]);
    if (p->ready.first == NULL && must_return)
        loop_timer_start(p->kick, NEWS_MS);
}

/* --- For sessions ------------------------------------------------------------------------- */

struct smtp_conn *pool_take(struct pool *p, int server)
{
    struct link *l = quiet_one(&p->targets[server]);

    if (l == NULL)
        return NULL;
    move_to(l, PLACE_LENT);
    return l->conn;
}

struct pool_request *pool_ask(struct pool *p, int server, pool_done_fn *done, void *arg)
{
    struct target *t = &p->targets[server];
    struct pool_request *r = mem_zalloc(sizeof(*r));

    r->target = t;
    r->done = done;
    r->arg = arg;
    r->since_ms = loop_now_ms(p->loop);
    append(&t->line, r);
    t->n_line++;
    fill(t);
    if (t->links[PLACE_IDLE] != NULL)
        loop_timer_start(p->kick, 0);
    return r;
}

void pool_cancel(struct pool_request **rp)
{
    struct pool_request *r = *rp;
    struct pool *p;

    *rp = NULL;
    if (r == NULL)
        return;
    p = r->target->pool;
    if (!r->is_ready) {
        take_out(&r->target->line, r);
        r->target->n_line--;
    } else {
        take_out(&p->ready, r);
        if (r->link != NULL) {
            r->link->goal = NULL;
            if (smtp_client_is_idle(smtp_conn_client(r->link->conn)))
                offer(r->link);
            else
                drop(r->link);
        }
    }
    free(r);
}

void pool_put_own(struct pool *p, int server, struct smtp_conn **conn, enum cutthrough_release how)
{
    struct target *t = &p->targets[server];
    struct link *l = t->links[PLACE_LENT];
    struct smtp_client *client = smtp_conn_client(*conn);

    while (l != NULL && l->conn != *conn)
        l = l->next;
    BUG_ON(l == NULL);
    *conn = NULL;
    smtp_conn_set_owner(l->conn, &pool_events, l);
    if (how == CUT_RELEASE_KEEP && smtp_client_is_idle(client)) {
        offer(l);
    } else if (how != CUT_RELEASE_CLOSE && smtp_client_rset(client) == 0) {
        move_to(l, PLACE_BUSY);
        smtp_conn_flush(l->conn);
    } else {
        drop(l);
    }
}

/* --- What the servers take ---------------------------------------------------------------- */

uint64_t pool_size_most(const struct pool *p)
{
    uint64_t most = 0;

    for (size_t i = 0; i < p->conf->n_servers; i++) {
        const struct target *t = &p->targets[i];
        uint64_t size = t->is_known ? t->size_max : UINT64_MAX;

        if (t->server->smtp.host != NULL && size > most)
            most = size;
    }
    return most > 0 ? most : UINT64_MAX;
}

void pool_probe(struct pool *p)
{
    p->is_probing = true;
    p->probed_ms = loop_now_ms(p->loop);
    for (size_t i = 0; i < p->conf->n_servers; i++) {
        struct target *t = &p->targets[i];

        if (!t->is_known && t->n[PLACE_OPENING] == 0 && t->server->smtp.host != NULL)
            open_one(t);
    }
}

/* --- Time --------------------------------------------------------------------------------- */

static void tick_target(struct target *t)
{
    uint64_t now = loop_now_ms(t->pool->loop), idle_ms = t->pool->conf->relay.idle_pool_ms;
    struct err busy = ERR_INIT;
    struct link *next;

    for (struct link *l = t->links[PLACE_IDLE]; l != NULL; l = next) {
        next = l->next;
        if (now - l->since_ms >= idle_ms || (t->pool->is_draining && t->line.first == NULL))
            leave(l);
    }
    err_set(&busy, ERR_TEMP, EX_TEMPFAIL, "all connections to it are in use");
    while (t->line.first != NULL && now - t->line.first->since_ms >= POOL_WAIT_MS)
        serve_first(t, NULL, &busy);
    fill(t);
    if (t->line.first != NULL && t->n[PLACE_OPENING] == 0 && t->pool->on_short != NULL)
        t->pool->on_short(t->pool->short_arg, (int)(t - t->pool->targets));
}

static void on_tick(void *arg)
{
    struct pool *p = arg;

    for (size_t i = 0; i < p->conf->n_servers; i++)
        tick_target(&p->targets[i]);
    if (p->is_probing && !p->is_draining && loop_now_ms(p->loop) - p->probed_ms >= PROBE_EVERY_MS)
        pool_probe(p);
}

/* --- Life --------------------------------------------------------------------------------- */

static void init_target(struct target *t, struct pool *p, size_t i, struct tls_ctx *tls)
{
    *t = (struct target){.pool = p, .server = &p->conf->servers[i], .tls = tls};
    if (t->server->smtp.host == NULL) {
        t->is_numeric = true;
        err_set(&t->why, ERR_TEMP, EX_CONFIG, "it has no smtp address");
    } else if (net_addr_parse(slice_str(t->server->smtp.host), &t->addrs[0]) == 0) {
        t->is_numeric = true;
        t->n_addrs = 1;
    }
}

struct pool *pool_new(
    struct loop *loop, const struct conf *conf, struct tls_ctx *const *tls, struct err *err)
{
    struct pool *p = mem_zalloc(sizeof(*p));
    uint64_t tick_ms = conf->relay.idle_pool_ms / 4;

    p->loop = loop;
    p->conf = conf;
    p->targets = mem_realloc_array(NULL, conf->n_servers, sizeof(*p->targets));
    p->kick = loop_timer_new(loop, on_kick, p);
    p->tick = loop_timer_new(loop, on_tick, p);
    loop_timer_repeat(p->tick, tick_ms < 10 ? 10 : tick_ms < TICK_MS ? tick_ms : TICK_MS);
    for (size_t i = 0; i < conf->n_servers; i++)
        init_target(&p->targets[i], p, i, tls[i]);
    for (size_t i = 0; i < conf->n_servers; i++)
        if (!p->targets[i].is_numeric && p->dns == NULL && dns_new(loop, NULL, &p->dns, err) != 0) {
            pool_free(&p);
            return NULL;
        }
    return p;
}

static void drop_all(struct target *t, enum place place)
{
    while (t->links[place] != NULL)
        drop(t->links[place]);
}

void pool_free(struct pool **pp)
{
    struct pool *p = *pp;

    *pp = NULL;
    if (p == NULL)
        return;
    for (size_t i = 0; i < p->conf->n_servers; i++) {
        struct target *t = &p->targets[i];

        BUG_ON(t->n_line > 0 || t->n[PLACE_LENT] > 0);
        drop_all(t, PLACE_OPENING);
        drop_all(t, PLACE_IDLE);
        drop_all(t, PLACE_BUSY);
    }
    BUG_ON(p->ready.first != NULL);
    dns_free(&p->dns);
    loop_timer_free(&p->kick);
    loop_timer_free(&p->tick);
    free(p->targets);
    free(p);
}

void pool_drain(struct pool *p)
{
    p->is_draining = true;
    for (size_t i = 0; i < p->conf->n_servers; i++) {
        struct link *next;

        for (struct link *l = p->targets[i].links[PLACE_IDLE]; l != NULL; l = next) {
            next = l->next;
            leave(l);
        }
    }
}

void pool_on_short(struct pool *p, pool_short_fn *fn, void *arg)
{
    p->on_short = fn;
    p->short_arg = arg;
}

bool pool_is_empty(const struct pool *p)
{
    for (size_t i = 0; i < p->conf->n_servers; i++)
        if (n_all(&p->targets[i]) > 0)
            return false;
    return true;
}
