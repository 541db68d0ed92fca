/* SPDX-License-Identifier: ISC */
/*
 * export: CSV, which `maptool import` reads back, and Postfix' transport(5).
 *
 * A transport table routes; it does not rewrite and knows no hold.  deliver_as is therefore lost
 * (the caller tells), a held address becomes a temporary failure, and so do all addresses of a
 * domain that is held, an address that is to be refused an error.  "@domain" entries, and the
 * defaults of the configuration where there is none, become lines for the domain itself: Postfix
 * looks for the address first.
 *
 * What a table cannot have is left out and named: keys with quotes (postmap(1) of old takes blanks
 * for the end of a key) and those that begin with "#", which are comments.  No other line may then
 * speak for them: where the line of the domain would refuse such a user or give it to another
 * server, it makes the mail wait.
 *
 * Postfix folds letters of keys and of what it looks up.  Where the domain does not (case = keep),
 * users who differ in nothing else have one line together: their server's if they have one,
 * otherwise the mail waits.
 *
 * Known weaknesses: only ASCII letters are compared so, while Postfix folds all of Unicode; and a
 * key with quotes and a detail is left out and named, but the line of the key without the detail
 * still speaks for it where Postfix takes details off.
 */
#include "maps/format/export.h"

#include <stdlib.h>
#include "base/core/mem.h"
#include "maps/format/csv.h"
#include "maps/next_hop.h"

#define NAMES_MAX 4096  /* bytes of names that are told */
#define ANSWER_MAX 1024 /* bytes of a table's right side */
#define COUNT_OF_ROLES 2

int export_format_parse(const char *name, enum export_format *out)
{
    if (strcmp(name, "csv") == 0)
        *out = EXPORT_CSV;
    else if (strcmp(name, "postfix-transport") == 0)
        *out = EXPORT_POSTFIX_TRANSPORT;
    else
        return -1;
    return 0;
}

/* --- CSV ---------------------------------------------------------------------------- */

static int csv_entry(struct slice key, const struct route_entry *e, struct buf *out)
{
    const struct slice cells[] = {
        key, e->route, slice_str(route_kind_name(e->kind)), e->deliver_as, e->note};
    for (size_t i = 0; i < sizeof cells / sizeof cells[0]; i++)
        if ((i && buf_add_byte(out, ',') != 0) || csv_write(out, cells[i]) != 0)
            return -1;
    return buf_add_byte(out, '\n');
}

/* --- Postfix transport -------------------------------------------------------------- */

/* What the lines of a domain depend on. */
struct export_domain {
    bool is_held;
    bool has_entry; /* "@domain", whose line is written */
    bool has_role[COUNT_OF_ROLES];
    /* Users that the table cannot have, and where they are: a server's index, or several. */
    bool has_lost, is_lost_scattered;
    int lost_server;
};

/* An address of a domain with case = keep.  The texts are its own. */
struct export_cased {
    char *key, *folded, *answer;
    bool is_refusal;
};

static const struct route_entry held = {.state = ROUTE_STATE_HELD};
static const char *const roles[COUNT_OF_ROLES] = {"postmaster", "abuse"};

static bool fits_table(struct slice key)
{
    return key.p[0] != '#' && slice_find(key, '"') < 0;
}

static int add_nexthop(const struct conf *conf, int server, struct buf *out)
{
    if (server == CONF_SERVER_NONE)
        return buf_add_str(out, "retry:4.3.5 The server of this recipient is not configured");
    return next_hop_postfix(&conf->servers[server], out);
}

static int add_answer(
    const struct conf *conf, const struct route_entry *e, int server, struct buf *out)
{
    if (e->state == ROUTE_STATE_HELD)
        return buf_add_str(out, "retry:4.2.1 This mailbox is being moved");
    if (e->kind == ROUTE_KIND_REJECT)
        return buf_add_str(out, "error:5.1.1 User unknown");
    return add_nexthop(conf, server, out);
}

static struct export_domain *domain_of(const struct export *x, struct slice key)
{
    const struct conf_domain *d = conf_domain(x->conf, normalise_domain(key));
    return d ? &x->domains[d - x->conf->domains] : NULL;
}

static bool is_refusal(const struct route_entry *e)
{
    return e->kind == ROUTE_KIND_REJECT && e->state == ROUTE_STATE_ACTIVE;
}

static void tell(struct export *x, struct slice key)
{
    size_t before = x->left_out_names.n;
    x->left_out++;
    if (buf_add(&x->left_out_names, key) != 0 || buf_add_byte(&x->left_out_names, '\n') != 0)
        buf_truncate(&x->left_out_names, before);
}

static void leave_out(
    struct export *x, struct export_domain *domain, struct slice key, const struct route_entry *e)
{
    tell(x, key);
    if (!domain || is_refusal(e))
        return;
    int server = conf_server_index(x->conf, e->route);
    domain->is_lost_scattered |= e->state == ROUTE_STATE_HELD || server == CONF_SERVER_NONE ||
                                 (domain->has_lost && domain->lost_server != server);
    domain->has_lost = true;
    domain->lost_server = server;
}

/* The line of a domain, for all addresses that have none of their own; e is NULL for the default of
 * the configuration. */
static int add_domain(struct export *x, size_t i, const struct route_entry *e, struct buf *out)
{
    static const struct route_entry reject = {.kind = ROUTE_KIND_REJECT};
    const struct conf_domain *conf = &x->conf->domains[i];
    const struct export_domain *d = &x->domains[i];
    int server = conf->default_server;
    bool is_own = e && (e->kind == ROUTE_KIND_REJECT || e->route.n > 0);

    if (is_own)
        server =
            e->kind == ROUTE_KIND_REJECT ? CONF_SERVER_NONE : conf_server_index(x->conf, e->route);
    if (buf_addf(out, "%s\t", conf->name) != 0)
        return -1;
    if (e && e->state == ROUTE_STATE_HELD)
        return add_answer(x->conf, e, server, out);
    if (d->has_lost && (d->is_lost_scattered || d->lost_server != server)) {
        x->deferred++;
        return buf_add_str(out, "retry:4.3.5 This table lacks addresses of the domain");
    }
    if (is_own)
        return add_answer(x->conf, e, server, out);
    return server == CONF_SERVER_NONE ? add_answer(x->conf, &reject, server, out)
                                      : add_nexthop(x->conf, server, out);
}

/* postmaster and abuse are always valid, whatever the map has for them (route.h). */
static int role_of(struct slice key)
{
    for (size_t i = 0; i < COUNT_OF_ROLES; i++)
        if (slice_eq(normalise_local(key), slice_str(roles[i])))
            return (int)i;
    return -1;
}

/* Its line is written by write_cased(). */
static int add_cased(struct export *x, struct slice key, const struct route_entry *e)
{
    struct export_cased *c;
    struct buf answer;

    buf_init(&answer, ANSWER_MAX);
    if (add_answer(x->conf, e, conf_server_index(x->conf, e->route), &answer) != 0) {
        buf_fini(&answer);
        return -1;
    }
    if (x->n_cased == x->cap_cased) {
        x->cap_cased = x->cap_cased ? 2 * x->cap_cased : 64;
        x->cased = mem_realloc_array(x->cased, x->cap_cased, sizeof *x->cased);
    }
    c = &x->cased[x->n_cased++];
    *c = (struct export_cased){.key = mem_zalloc(key.n + 1),
        .folded = mem_zalloc(key.n + 1),
        .answer = mem_strdup(buf_cstr(&answer)),
        .is_refusal = is_refusal(e)};
    memcpy(c->key, key.p, key.n);
    for (size_t i = 0; i < key.n; i++)
        c->folded[i] = (char)ascii_lower(key.p[i]);
    buf_fini(&answer);
    return 0;
}

/* Refusals last: they give way to a user, whose server refuses the others. */
static int compare_cased(const void *a, const void *b)
{
    const struct export_cased *one = a, *other = b;
    int order = strcmp(one->folded, other->folded);

    return order != 0 ? order : (int)one->is_refusal - (int)other->is_refusal;
}

static int write_cased(struct export *x, struct buf *out)
{
    size_t from, to;

    mem_sort(x->cased, x->n_cased, sizeof *x->cased, compare_cased);
    for (from = 0; from < x->n_cased; from = to) {
        const struct export_cased *first = &x->cased[from];
        bool is_one = true;

        for (to = from + 1; to < x->n_cased && strcmp(x->cased[to].folded, first->folded) == 0;
             to++)
            is_one &= x->cased[to].is_refusal || strcmp(x->cased[to].answer, first->answer) == 0;
        for (size_t i = from; i < to; i++)
            if (!is_one || strcmp(x->cased[i].answer, first->answer) != 0)
                tell(x, slice_str(x->cased[i].key));
        if (buf_addf(out, "%s\t%s\n", first->folded,
                is_one ? first->answer
                       : "retry:4.3.5 This table cannot tell upper and lower case") != 0)
            return -1;
    }
    return 0;
}

static int transport_entry(
    struct export *x, struct slice key, const struct route_entry *entry, struct buf *out)
{
    struct export_domain *domain = domain_of(x, key);
    const struct route_entry *e = domain && domain->is_held ? &held : entry;
    int role = role_of(key);

    if (!fits_table(key)) {
        leave_out(x, domain, key, e);
        return 0;
    }
    if (role >= 0 && e->state == ROUTE_STATE_ACTIVE &&
        (e->kind == ROUTE_KIND_REJECT || e->route.n == 0))
        return 0; /* export_end() writes the line */
    if (domain && role >= 0)
        domain->has_role[role] = true;
    x->deliver_as += entry->deliver_as.n > 0;
    x->held += e->state == ROUTE_STATE_HELD;
    if (key.p[0] == '@' && domain) {
        domain->has_entry = true;
        if (add_domain(x, (size_t)(domain - x->domains), e, out) != 0)
            return -1;
    } else if (domain && key.p[0] != '@' &&
               !x->conf->domains[domain - x->domains].fold_local_part) {
        return add_cased(x, key, e);
    } else if (buf_add(out, key.p[0] == '@' ? slice_from(key, 1) : key) != 0 ||
               buf_add_byte(out, '\t') != 0 ||
               add_answer(x->conf, e, conf_server_index(x->conf, e->route), out) != 0) {
        return -1;
    }
    return buf_add_byte(out, '\n');
}

static int transport_end(struct export *x, struct buf *out)
{
    if (write_cased(x, out) != 0)
        return -1;
    for (size_t i = 0; i < x->conf->n_domains; i++) {
        const struct conf_domain *domain = &x->conf->domains[i];
        for (size_t role = 0; role < COUNT_OF_ROLES; role++)
            if (!x->domains[i].has_role[role] &&
                (buf_addf(out, "%s@%s\t", roles[role], domain->name) != 0 ||
                    (x->domains[i].is_held
                            ? add_answer(x->conf, &held, CONF_SERVER_NONE, out)
                            : add_nexthop(x->conf, domain->postmaster_server, out)) != 0 ||
                    buf_add_byte(out, '\n') != 0))
                return -1;
        if (!x->domains[i].has_entry &&
            (add_domain(x, i, NULL, out) != 0 || buf_add_byte(out, '\n') != 0))
            return -1;
    }
    return 0;
}

/* --- All ------------------------------------------------------------------------------- */

int export_begin(struct export *x, struct buf *out)
{
    export_fini(x);
    x->deliver_as = x->held = x->left_out = x->deferred = 0;
    x->domains = mem_zalloc((x->conf->n_domains + 1) * sizeof *x->domains);
    buf_init(&x->left_out_names, NAMES_MAX);
    if (x->format == EXPORT_CSV)
        return buf_add_str(out, "key,route,kind,deliver_as,note\n");
    return buf_add_str(out, "# transport(5) table, made by `maptool export`\n");
}

void export_hold_domain(struct export *x, struct slice key)
{
    struct export_domain *domain = domain_of(x, key);
    if (domain)
        domain->is_held = true;
}

int export_entry(
    struct export *x, struct slice key, const struct route_entry *entry, struct buf *out)
{
    BUG_ON(key.n == 0);
    return x->format == EXPORT_CSV ? csv_entry(key, entry, out)
                                   : transport_entry(x, key, entry, out);
}

int export_end(struct export *x, struct buf *out)
{
    return x->format == EXPORT_CSV ? 0 : transport_end(x, out);
}

void export_fini(struct export *x)
{
    for (size_t i = 0; i < x->n_cased; i++) {
        mem_free_string(&x->cased[i].key);
        mem_free_string(&x->cased[i].folded);
        mem_free_string(&x->cased[i].answer);
    }
    free(x->cased);
    x->cased = NULL;
    x->n_cased = x->cap_cased = 0;
    free(x->domains);
    x->domains = NULL;
    buf_fini(&x->left_out_names);
}
