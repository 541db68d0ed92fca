/* SPDX-License-Identifier: ISC */
/*
 * dns: see dns.h.  The only file that knows c-ares.
 *
 * A and AAAA are asked for separately, because ares_getaddrinfo() reports the status of whichever
 * answer came last: a SERVFAIL for A followed by "no AAAA" would look like a host that does not
 * exist.  Search domains are not used; a name in a mail system is complete.
 *
 * All who ask for the same host at the same time share one lookup.  A finished lookup stays as the
 * cache entry of its host until it expires; callbacks come from a timer, so that they never run
 * inside c-ares.
 *
 * Weakness: resolv.conf is read when the channel is made, so a change of it needs a reload.
 */
#include <ares.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sysexits.h>
#include "base/core/buf.h"
#include "base/core/mem.h"
#include "base/os/dns.h"
#include "base/os/loop.h"

#define TIMEOUT_MS_DEFAULT 3000
#define TRIES 3
#define CLASS_IN 1
#define TYPE_A 1
#define TYPE_AAAA 28
#define TTL_S_MIN 1
#define TTL_S_MAX 86400
/* c-ares does not hand out the SOA that would tell how long "none" holds. */
#define TTL_S_NONE 30
#define TTL_S_HOSTS 5
#define CACHE_MAX 1024
#define REASON_MAX 160

struct dns_query {
    struct dns_query *next;
    struct lookup *lookup;
    void (*fn)(void *arg, const struct dns_answer *answer);
    void *arg;
};

struct lookup {
    struct lookup *next;
    struct dns *dns;
    char *host;
    struct dns_query *queries;
    int unanswered; /* of A and AAAA; 0: finished */
    uint64_t expires_ms;
    enum dns_result result;
    struct net_addr addrs[DNS_ADDRS_MAX];
    size_t n;
    uint32_t ttl_s;
    char reason[REASON_MAX];
};

struct sock_watch {
    struct sock_watch *next;
    struct dns *dns;
    struct loop_io *io;
    ares_socket_t fd;
};

struct dns {
    struct loop *loop;
    ares_channel channel;
    struct loop_timer *timer; /* of c-ares */
    struct loop_timer *kick;  /* answers that wait to be given */
    struct sock_watch *socks;
    struct lookup *lookups;
    size_t n_lookups;
    bool is_ending;
};

/* --- The channel and the loop ---------------------------------------------------------- */

static void arm_timer(struct dns *d)
{
    struct timeval tv;

    if (ares_timeout(d->channel, NULL, &tv) == NULL)
        loop_timer_stop(d->timer);
    else
        loop_timer_start(d->timer, (uint64_t)tv.tv_sec * 1000 + (uint64_t)tv.tv_usec / 1000 + 1);
}

static void on_timer(void *arg)
{
    struct dns *d = arg;

    ares_process_fd(d->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    arm_timer(d);
}

static void on_io(void *arg, int events)
{
    struct sock_watch *w = arg;
    struct dns *d = w->dns;
    ares_socket_t fd = w->fd;

    /* The watch may be gone after this. */
    ares_process_fd(d->channel, events & LOOP_READ ? fd : ARES_SOCKET_BAD,
        events & LOOP_WRITE ? fd : ARES_SOCKET_BAD);
    arm_timer(d);
}

/* c-ares tells what it waits for; nothing means that it is about to close the socket. */
static void on_sock_state(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct dns *d = arg;
    struct sock_watch **at = &d->socks, *w;

    while (*at != NULL && (*at)->fd != fd)
        at = &(*at)->next;
    w = *at;
    if (!readable && !writable) {
        if (w != NULL) {
            *at = w->next;
            loop_io_free(&w->io);
            free(w);
        }
        return;
    }
    if (w == NULL) {
        w = mem_zalloc(sizeof(*w));
        *w = (struct sock_watch){.next = d->socks, .dns = d, .fd = fd};
        w->io = loop_io_new(d->loop, fd, on_io, w);
        d->socks = w;
    }
    loop_io_want(w->io, (readable ? LOOP_READ : 0) | (writable ? LOOP_WRITE : 0));
}

/* --- Lookups ----------------------------------------------------------------------------- */

static void add_addr(struct lookup *l, const void *bytes, size_t n)
{
    struct net_addr a = {{[10] = 0xff, [11] = 0xff}};

    memcpy(a.b + sizeof(a.b) - n, bytes, n);
    if (l->n < DNS_ADDRS_MAX)
        l->addrs[l->n++] = a;
}

static void clamp_ttl(struct lookup *l, int ttl_s)
{
    uint32_t t = ttl_s < TTL_S_MIN ? TTL_S_MIN : ttl_s > TTL_S_MAX ? TTL_S_MAX : (uint32_t)ttl_s;

    if (t < l->ttl_s)
        l->ttl_s = t;
}

static void finish(struct lookup *l)
{
    struct dns *d = l->dns;

    if (l->n > 0)
        l->result = DNS_FOUND;
    else if (l->result == DNS_NONE)
        clamp_ttl(l, TTL_S_NONE);
    /* What is temporary is asked again by the next who wants to know. */
    l->expires_ms =
        l->result == DNS_TEMPORARY ? 0 : loop_now_ms(d->loop) + (uint64_t)l->ttl_s * 1000;
    if (!d->is_ending)
        loop_timer_start(d->kick, 0);
}

static bool is_absence(int status)
{
    return status == ARES_ENOTFOUND || status == ARES_ENODATA || status == ARES_EBADNAME;
}

static void answered(struct lookup *l, int status, const char *kind)
{
    if (status != ARES_SUCCESS) {
        if (!is_absence(status))
            l->result = DNS_TEMPORARY;
        /* The reason of a temporary failure is worth more than "not found". */
        if ((!is_absence(status) || l->reason[0] == '\0') &&
            fmt_into(l->reason, sizeof(l->reason), "%s record: %s", kind, ares_strerror(status)) !=
                0)
            BUG("texts of c-ares are short");
    }
    if (--l->unanswered == 0)
        finish(l);
}

static void on_a(void *arg, int status, int timeouts, unsigned char *reply, int n)
{
    struct lookup *l = arg;
    struct ares_addrttl found[DNS_ADDRS_MAX];
    int n_found = DNS_ADDRS_MAX;

    (void)timeouts;
    if (status == ARES_SUCCESS)
        status = ares_parse_a_reply(reply, n, NULL, found, &n_found);
    if (status == ARES_SUCCESS) {
        /* In front of the AAAA records, whichever came first. */
        struct net_addr others[DNS_ADDRS_MAX];
        size_t n_others = l->n;

        memcpy(others, l->addrs, n_others * sizeof(others[0]));
        l->n = 0;
        for (int i = 0; i < n_found; i++) {
            add_addr(l, &found[i].ipaddr, 4);
            clamp_ttl(l, found[i].ttl);
        }
        for (size_t i = 0; i < n_others && l->n < DNS_ADDRS_MAX; i++)
            l->addrs[l->n++] = others[i];
        status = n_found > 0 ? ARES_SUCCESS : ARES_ENODATA;
    }
    answered(l, status, "A");
}

static void on_aaaa(void *arg, int status, int timeouts, unsigned char *reply, int n)
{
    struct lookup *l = arg;
    struct ares_addr6ttl found[DNS_ADDRS_MAX];
    int n_found = DNS_ADDRS_MAX;

    (void)timeouts;
    if (status == ARES_SUCCESS)
        status = ares_parse_aaaa_reply(reply, n, NULL, found, &n_found);
    if (status == ARES_SUCCESS) {
        for (int i = 0; i < n_found; i++) {
            add_addr(l, &found[i].ip6addr, 16);
            clamp_ttl(l, found[i].ttl);
        }
        status = n_found > 0 ? ARES_SUCCESS : ARES_ENODATA;
    }
    answered(l, status, "AAAA");
}

/* /etc/hosts, which is read anew each time: it is small, and people expect changes to count. */
static void look_in_hosts_file(struct lookup *l, int family)
{
    struct hostent *h = NULL;

    if (ares_gethostbyname_file(l->dns->channel, l->host, family, &h) != ARES_SUCCESS)
        return;
    for (char **a = h->h_addr_list; *a != NULL; a++)
        add_addr(l, *a, family == AF_INET ? 4 : 16);
    ares_free_hostent(h);
}

static bool known_without_asking(struct lookup *l)
{
    struct net_addr addr;

    if (net_addr_parse(slice_str(l->host), &addr) == 0) {
        l->addrs[l->n++] = addr;
        return true;
    }
    if (!net_is_host_name(slice_str(l->host))) {
        l->result = DNS_NONE;
        if (fmt_into(l->reason, sizeof(l->reason), "this is not a host name") != 0)
            BUG("the text fits");
        return true;
    }
    look_in_hosts_file(l, AF_INET);
    look_in_hosts_file(l, AF_INET6);
    clamp_ttl(l, TTL_S_HOSTS);
    if (l->n > 0)
        return true;
    l->ttl_s = TTL_S_MAX;
    return false;
}

static void start(struct lookup *l)
{
    l->ttl_s = TTL_S_MAX;
    l->result = DNS_NONE;
    l->n = 0;
    l->reason[0] = '\0';
    if (known_without_asking(l)) {
        finish(l);
        return;
    }
    l->unanswered = 2;
    ares_query(l->dns->channel, l->host, CLASS_IN, TYPE_A, on_a, l);
    ares_query(l->dns->channel, l->host, CLASS_IN, TYPE_AAAA, on_aaaa, l);
    arm_timer(l->dns);
}

static void forget(struct lookup **at)
{
    struct lookup *l = *at;

    *at = l->next;
    l->dns->n_lookups--;
    mem_free_string(&l->host);
    free(l);
}

/* Old entries go when new ones come; nothing that somebody waits for is ever dropped. */
static void make_room(struct dns *d)
{
    uint64_t now = loop_now_ms(d->loop);
    bool is_full = d->n_lookups >= CACHE_MAX;

    for (struct lookup **at = &d->lookups; *at != NULL;) {
        struct lookup *l = *at;
        bool is_idle = l->unanswered == 0 && l->queries == NULL;

        if (is_idle && (l->expires_ms <= now || is_full)) {
            forget(at);
            is_full = d->n_lookups >= CACHE_MAX;
        } else {
            at = &l->next;
        }
    }
}

static struct lookup *lookup_for(struct dns *d, const char *host)
{
    uint64_t now = loop_now_ms(d->loop);
    struct lookup *l;

    for (l = d->lookups; l != NULL; l = l->next)
        if (slice_eq_nocase(slice_str(l->host), slice_str(host)))
            break;
    /* An answer that is about to be given to others is as good for this one. */
    if (l != NULL && (l->unanswered > 0 || l->queries != NULL))
        return l;
    if (l != NULL && l->expires_ms > now)
        return l;
    if (l == NULL) {
        make_room(d);
        l = mem_zalloc(sizeof(*l));
        l->dns = d;
        l->host = mem_strdup(host);
        l->next = d->lookups;
        d->lookups = l;
        d->n_lookups++;
    }
    start(l);
    return l;
}

/* --- Asking -------------------------------------------------------------------------------- */

struct dns_query *dns_resolve(struct dns *d, const char *host,
    void (*fn)(void *arg, const struct dns_answer *answer), void *arg)
{
    struct dns_query *q = mem_zalloc(sizeof(*q));

    q->lookup = lookup_for(d, host);
    q->fn = fn;
    q->arg = arg;
    q->next = q->lookup->queries;
    q->lookup->queries = q;
    if (q->lookup->unanswered == 0)
        loop_timer_start(d->kick, 0);
    return q;
}

void dns_cancel(struct dns_query **qp)
{
    struct dns_query *q = *qp, **at;

    *qp = NULL;
    if (q == NULL)
        return;
    for (at = &q->lookup->queries; *at != q; at = &(*at)->next)
        BUG_ON(*at == NULL);
    *at = q->next;
    free(q);
}

static struct lookup *first_to_answer(struct dns *d)
{
    for (struct lookup *l = d->lookups; l != NULL; l = l->next)
        if (l->unanswered == 0 && l->queries != NULL)
            return l;
    return NULL;
}

/* A callback may ask and cancel, so the lists are looked at afresh after each. */
static void on_kick(void *arg)
{
    struct dns *d = arg;
    struct lookup *l;

    while ((l = first_to_answer(d)) != NULL) {
        struct dns_query q = *l->queries;
        struct lookup copy = *l;
        struct dns_answer answer = {.result = copy.result,
            .addrs = copy.addrs,
            .n = copy.n,
            .reason = copy.result == DNS_FOUND ? "" : copy.reason};

        free(l->queries);
        l->queries = q.next;
        q.fn(q.arg, &answer);
    }
}

/* --- Life ------------------------------------------------------------------------------------ */

int dns_new(struct loop *loop, const struct dns_options *options, struct dns **out, struct err *err)
{
    struct dns *d = mem_zalloc(sizeof(*d));
    uint32_t timeout_ms = options && options->timeout_ms ? options->timeout_ms : TIMEOUT_MS_DEFAULT;
    struct ares_options o = {.timeout = (int)timeout_ms,
        .tries = TRIES,
        .ndomains = 0,
        .sock_state_cb = on_sock_state,
        .sock_state_cb_data = d};
    int rc = ares_library_init(ARES_LIB_INIT_ALL);

    d->loop = loop;
    if (rc == ARES_SUCCESS)
        rc = ares_init_options(&d->channel, &o,
            ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_DOMAINS | ARES_OPT_SOCK_STATE_CB);
    if (rc != ARES_SUCCESS) {
        free(d);
        return err_set(err, ERR_TEMP, EX_OSERR, "start of the resolver: %s", ares_strerror(rc));
    }
    if (options && options->servers)
        rc = ares_set_servers_ports_csv(d->channel, options->servers);
    d->timer = loop_timer_new(loop, on_timer, d);
    d->kick = loop_timer_new(loop, on_kick, d);
    if (rc != ARES_SUCCESS) {
        err_set(
            err, ERR_PERM, EX_CONFIG, "name servers '%s': %s", options->servers, ares_strerror(rc));
        dns_free(&d);
        return -1;
    }
    *out = d;
    return 0;
}

void dns_free(struct dns **dp)
{
    struct dns *d = *dp;

    *dp = NULL;
    if (d == NULL)
        return;
    /* c-ares answers what is under way with ARES_EDESTRUCTION. */
    d->is_ending = true;
    ares_destroy(d->channel);
    while (d->lookups != NULL) {
        while (d->lookups->queries != NULL) {
            struct dns_query *q = d->lookups->queries;

            dns_cancel(&q);
        }
        forget(&d->lookups);
    }
    BUG_ON(d->socks != NULL);
    loop_timer_free(&d->timer);
    loop_timer_free(&d->kick);
    free(d);
}
