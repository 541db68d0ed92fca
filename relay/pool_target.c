/* SPDX-License-Identifier: ISC */
/*
 * pool_target: how connections of a target come to be (see pool.h).
 *
 * Opening: the addresses are tried in turn, the last good one first, each with the whole connect
 * timeout.  A host name is looked up for each new connection; the resolver remembers answers as
 * long as they may be.
 *
 * When no address works, and no connection lives, the target is down, and everybody in line hears
 * why.  One connection at a time is tried meanwhile, behind a pause that doubles up to
 * RETRY_MAX_MS. If it was slow to fail, whoever asks hears why at once: a black hole costs the
 * connect timeout once, and not each sender.  If not, trying costs nothing, and who asks waits for
 * the outcome of a try, unless that turns out to be slow now.
 *
 * When other connections live, it is probably the server's own limit: the line waits for those, and
 * nothing new is opened for a while.
 */
#include <stdlib.h>
#include <strings.h>
#include <sysexits.h>
#include "base/core/log.h"
#include "base/core/mem.h"
#include "relay/pool_parts.h"

#define LIMIT_MS 10000 /* how long a limit that a server showed is believed */
#define RETRY_FIRST_MS 250
#define RETRY_MAX_MS 4000
#define QUICK_MS                                                                                   \
    1000 /* less than that, and than most of the connect timeout, costs nobody much                \
          */

/* --- Opening ------------------------------------------------------------------------------ */

/* The addresses in turn, from the last good one on. */
static struct net_addr nth_addr(const struct pool_target *t, size_t n)
{
    size_t first = 0;

    while (first < t->n_addrs && !net_addr_eq(&t->addrs[first], &t->good_addr))
        first++;
    return t->addrs[(first + n) % t->n_addrs];
}

/* Goes on with the next address; false when none is left. */
static bool open_next(struct pool_link *l)
{
    struct pool_target *t = l->target;
    const struct conf_relay *conf = t->pool->conf;

    for (; l->n_tried < t->n_addrs; l->n_tried++) {
        struct smtp_conn_setup setup = {.name = t->hop.name,
            .where = t->hop.where,
            .never_pipelines = t->hop.never_pipelines,
            .policy = t->hop.policy,
            .tls_name = t->hop.tls_name,
            .tls = t->hop.tls,
            .hello_name = conf->hostname,
            .connect_timeout_ms = conf->connect_timeout_ms,
            .reply_timeout_ms = conf->reply_timeout_ms,
            .dot_timeout_ms = conf->dot_timeout_ms};

        l->addr = setup.addr = nth_addr(t, l->n_tried);
        l->conn = smtp_conn_new(t->pool->loop, &setup, &pool_link_events, l, &t->why);
        if (l->conn != NULL)
            return true;
    }
    return false;
}

static void retry_later(struct pool_target *t)
{
    if (t->pool->is_draining || t->n[PLACE_OPENING] > 0 || t->hop.where->host == NULL)
        return;
    t->pause_ms = t->pause_ms == 0                 ? RETRY_FIRST_MS
                  : t->pause_ms < RETRY_MAX_MS / 2 ? 2 * t->pause_ms
                                                   : RETRY_MAX_MS;
    loop_timer_start(t->retry, t->pause_ms);
}

static void refuse_line(struct pool_target *t)
{
    while (t->n_line > 0)
        pool_serve(t, NULL, &t->why);
}

/* No address works, for `why`. */
static void give_up(struct pool_target *t)
{
    if (!t->is_in_trouble)
        log_warn("server_down", log_str("server", t->hop.name), log_str("host", t->hop.where->host),
            log_u64("connections", pool_n_living(t)), log_err(&t->why));
    t->is_in_trouble = true;
    while (t->n_line > 0 && !TAILQ_EMPTY(&t->links[PLACE_IDLE]))
        pool_offer(TAILQ_FIRST(&t->links[PLACE_IDLE]));
    if (pool_n_living(t) > 0) {
        t->limit_until_ms = loop_now_ms(t->pool->loop) + LIMIT_MS;
        return;
    }
    t->is_down = true;
    refuse_line(t);
    retry_later(t);
}

static uint64_t quick_ms(const struct pool_target *t)
{
    uint64_t most = t->pool->conf->connect_timeout_ms / 10 * 9;

    return most < QUICK_MS ? most : QUICK_MS;
}

static void opening_failed(struct pool_link *l)
{
    struct pool_target *t = l->target;
    uint64_t took_ms = loop_now_ms(t->pool->loop) - l->since_ms;

    t->is_slow_to_fail = took_ms >= quick_ms(t);
    TAILQ_REMOVE(&t->links[PLACE_OPENING], l, entry);
    t->n[PLACE_OPENING]--;
    free(l);
    give_up(t);
    pool_fill(t);
}

static void on_addresses(void *arg, const struct dns_answer *answer)
{
    struct pool_link *l = arg;
    struct pool_target *t = l->target;

    l->query = NULL;
    t->n_addrs = 0;
    if (answer->result == DNS_FOUND)
        while (t->n_addrs < answer->n && t->n_addrs < DNS_ADDRS_MAX) {
            t->addrs[t->n_addrs] = answer->addrs[t->n_addrs];
            t->n_addrs++;
        }
    else
        err_set(&t->why, ERR_TEMP, EX_NOHOST, "%s: %s", t->hop.where->host, answer->reason);
    if (!open_next(l))
        opening_failed(l);
}

void pool_open(struct pool_target *t)
{
    struct pool_link *l = mem_zalloc(sizeof(*l));

    l->target = t;
    l->place = PLACE_OPENING;
    l->since_ms = loop_now_ms(t->pool->loop);
    TAILQ_INSERT_HEAD(&t->links[PLACE_OPENING], l, entry);
    t->n[PLACE_OPENING]++;
    if (t->is_down)
        loop_timer_start(t->retry, quick_ms(t));
    if (!t->is_numeric)
        l->query = dns_resolve(t->pool->dns, t->hop.where->host, on_addresses, l);
    else if (!open_next(l))
        opening_failed(l);
}

void pool_fill(struct pool_target *t)
{
    uint64_t now = loop_now_ms(t->pool->loop);

    while (t->n_line > t->n[PLACE_OPENING] && pool_n_all(t) < t->hop.connections_max &&
           (!t->is_down || t->n[PLACE_OPENING] == 0) &&
           (pool_n_living(t) == 0 || now >= t->limit_until_ms))
        pool_open(t);
}

/* It is time to try again, or the last try has become slow. */
static void on_retry(void *arg)
{
    struct pool_target *t = arg;

    if (!t->is_down)
        return;
    if (t->n[PLACE_OPENING] == 0 && !t->pool->is_draining) {
        pool_open(t);
        return;
    }
    t->is_slow_to_fail = true;
    refuse_line(t);
}

/* --- Events of a connection --------------------------------------------------------------- */

static void address_failed(struct pool_link *l, const struct err *why)
{
    struct pool_target *t = l->target;
    char addr[NET_TEXT_MAX];

    net_addr_format(&l->addr, addr);
    t->why = *why;
    err_wrap(&t->why, "%s:%u", addr, t->hop.where->port);
    smtp_conn_free(&l->conn);
    l->n_tried++;
    if (!open_next(l))
        opening_failed(l);
}

static void opened(struct pool_link *l)
{
    struct pool_target *t = l->target;
    const struct smtp_client *client = smtp_conn_client(l->conn);

    if (t->is_in_trouble)
        log_info("server_up", log_str("server", t->hop.name));
    t->is_known = true;
    t->is_in_trouble = t->is_down = false;
    t->pause_ms = 0;
    loop_timer_stop(t->retry);
    t->good_addr = l->addr;
    t->size_max = client->size_max > 0 ? client->size_max : UINT64_MAX;
    log_debug("server_open", log_str("server", t->hop.name),
        log_str("tls", smtp_conn_tls_version(l->conn)));
    pool_offer(l);
}

static void on_event(void *arg, const struct smtp_client_event *ev)
{
    struct pool_link *l = arg;

    switch (ev->kind) {
    case SMTP_CLIENT_READY:
        opened(l);
        return;
    case SMTP_CLIENT_RSET_REPLY:
        pool_offer(l);
        return;
    case SMTP_CLIENT_QUIT_REPLY:
        pool_drop(l);
        return;
    case SMTP_CLIENT_FAILED:
        if (l->place == PLACE_OPENING)
            address_failed(l, ev->err);
        else
            pool_drop(l);
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

const struct smtp_conn_events pool_link_events = {.event = on_event};

/* --- Life --------------------------------------------------------------------------------- */

static bool is_same(const struct pool_hop *a, const struct pool_hop *b)
{
    const char *a_name = a->tls_name != NULL ? a->tls_name : a->where->host;
    const char *b_name = b->tls_name != NULL ? b->tls_name : b->where->host;

    if (a->where->host == NULL || b->where->host == NULL)
        return a->where == b->where;
    return a->where->scheme == b->where->scheme && a->where->port == b->where->port &&
           strcasecmp(a->where->host, b->where->host) == 0 && a->policy == b->policy &&
           a->tls == b->tls && a->never_pipelines == b->never_pipelines &&
           strcasecmp(a_name, b_name) == 0;
}

static struct pool_target *new_target(struct pool *p, const struct pool_hop *hop)
{
    struct pool_target *t = mem_zalloc(sizeof(*t));

    t->pool = p;
    t->hop = *hop;
    t->size_max = UINT64_MAX;
    t->retry = loop_timer_new(p->loop, on_retry, t);
    TAILQ_INIT(&t->line);
    for (int place = 0; place < PLACES; place++)
        TAILQ_INIT(&t->links[place]);
    if (hop->where->host == NULL) {
        t->is_numeric = true;
        err_set(&t->why, ERR_TEMP, EX_CONFIG, "it has no smtp address");
    } else if (net_addr_parse(slice_str(hop->where->host), &t->addrs[0]) == 0) {
        t->is_numeric = true;
        t->n_addrs = 1;
    }
    LIST_INSERT_HEAD(&p->targets, t, entry);
    return t;
}

int pool_target(
    struct pool *p, const struct pool_hop *hop, struct pool_target **out, struct err *err)
{
    struct pool_target *t;

    for (t = LIST_FIRST(&p->targets); t != NULL; t = LIST_NEXT(t, entry))
        if (is_same(&t->hop, hop)) {
            if (t->hop.connections_max < hop->connections_max)
                t->hop.connections_max = hop->connections_max;
            *out = t;
            return 0;
        }
    t = new_target(p, hop);
    *out = t;
    return t->is_numeric || p->dns != NULL ? 0 : dns_new(p->loop, NULL, &p->dns, err);
}

void pool_target_free(struct pool_target *t)
{
    BUG_ON(t->n_line > 0 || t->n[PLACE_LENT] > 0);
    for (int place = 0; place < PLACES; place++)
        while (!TAILQ_EMPTY(&t->links[place]))
            pool_drop(TAILQ_FIRST(&t->links[place]));
    BUG_ON(t->clients != NULL);
    LIST_REMOVE(t, entry);
    loop_timer_free(&t->retry);
    free(t);
}
