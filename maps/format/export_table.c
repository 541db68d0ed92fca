/* SPDX-License-Identifier: ISC */
/*
 * export_table: the map as the tables by which Postfix and Sendmail route, refuse and rewrite: a
 * line is a key, a tab and a value.
 *
 * A table knows no hold: a held address, and each one of a domain that is held, becomes a temporary
 * failure, an address that is to be refused an error.  "@domain" entries, and the defaults of the
 * configuration where there is none, become lines for the domain itself: both programs look for the
 * address first.
 *
 * What a table cannot have is left out and named: keys with quotes (postmap(1) of old takes blanks
 * for the end of a key) and those that begin with "#", which are comments.  No other line may then
 * speak for them: where the line of the domain would refuse such a user or give it to another
 * server, it makes the mail wait.
 *
 * Both fold letters of keys and of what they look up.  Where the domain does not (case = keep),
 * users who differ in nothing else have one line together: their server's if they have one,
 * otherwise the mail waits.
 *
 * Postfix rewrites first (virtual) and then looks up where the result goes, so its transport table
 * has a line for each address by which somebody is delivered; a hold is obeyed there.  Such a line
 * gives way to an entry that the address has itself.
 *
 * Known weaknesses: only ASCII letters are compared so, while Postfix folds all of Unicode; and a
 * key with quotes and a detail is left out and named, but the line of the key without the detail
 * still speaks for it where Postfix takes details off.
 */
#include "maps/format/export_lines.h"

#include <stdlib.h>
#include "base/core/mem.h"

/* --- Where mail goes ---------------------------------------------------------------------- */

static void leave_out(
    struct export *x, struct export_domain *domain, struct slice key, const struct route_entry *e)
{
    export_tell(x, key);
    if (!domain || export_is_refusal(e))
        return;
    int server = conf_server_index(x->conf, e->route);
    domain->is_lost_scattered |= e->state == ROUTE_STATE_HELD || server == CONF_SERVER_NONE ||
                                 (domain->has_lost && domain->lost_server != server);
    domain->has_lost = true;
    domain->lost_server = server;
}

static int answer_domain(struct export *x, size_t i, const struct route_entry *e, struct buf *out)
{
    static const struct route_entry reject = {.kind = ROUTE_KIND_REJECT};
    const struct export_domain *d = &x->domains[i];
    int server = x->conf->domains[i].default_server;
    bool is_own = e && (e->kind == ROUTE_KIND_REJECT || e->route.n > 0);

    if (is_own)
        server =
            e->kind == ROUTE_KIND_REJECT ? CONF_SERVER_NONE : conf_server_index(x->conf, e->route);
    if (e && e->state == ROUTE_STATE_HELD)
        return export_add_answer(x, e, server, out);
    if (d->has_lost && (d->is_lost_scattered || d->lost_server != server)) {
        x->deferred++;
        return export_words_of(x->format)->wait(
            "4.3.5", "This table lacks addresses of the domain", out);
    }
    if (is_own)
        return export_add_answer(x, e, server, out);
    return server == CONF_SERVER_NONE ? export_add_answer(x, &reject, server, out)
                                      : export_add_next_hop(x, server, out);
}

/* The line of a domain, for all addresses that have none of their own; e is NULL for the default of
 * the configuration. */
static int add_domain(struct export *x, size_t i, const struct route_entry *e, struct buf *out)
{
    size_t before = out->n, answer;

    if (buf_addf(out, "%s%s\t", export_words_of(x->format)->at, x->conf->domains[i].name) != 0)
        return -1;
    answer = out->n;
    return answer_domain(x, i, e, out) != 0 ? -1 : export_end_line(out, before, answer);
}

static int add_user(struct export *x, const struct export_domain *domain, struct slice key,
    const struct route_entry *e, struct buf *out)
{
    int server = conf_server_index(x->conf, e->route);
    size_t before = out->n, answer;

    if (!export_folds(x, domain)) {
        struct buf text;
        buf_init(&text, EXPORT_ANSWER_MAX);
        int rc = export_add_answer(x, e, server, &text);
        if (rc == 0)
            export_push_line(
                &x->cased, &x->n_cased, &x->cap_cased, key, buf_cstr(&text), export_is_refusal(e));
        buf_fini(&text);
        return rc;
    }
    if (buf_add(out, key) != 0 || buf_add_byte(out, '\t') != 0)
        return -1;
    answer = out->n;
    return export_add_answer(x, e, server, out) != 0 ? -1 : export_end_line(out, before, answer);
}

/* Notes by which other address the recipient is delivered, or which keys need no such note. */
static int note_origin(struct export *x, struct slice key, const struct route_entry *e)
{
    struct slice as = e->deliver_as;
    struct buf answer;

    if (x->n_keys == x->cap_keys) {
        x->cap_keys = x->cap_keys ? 2 * x->cap_keys : 1024;
        x->keys = mem_realloc_array(x->keys, x->cap_keys, sizeof *x->keys);
    }
    x->keys[x->n_keys++] = route_key_hash(key);
    if (e->kind == ROUTE_KIND_REJECT || as.n == 0)
        return 0;
    buf_init(&answer, EXPORT_ANSWER_MAX);
    int rc = export_add_answer(x, e, conf_server_index(x->conf, e->route), &answer);
    if (rc == 0 && as.p[0] == '@' && key.p[0] != '@') {
        struct buf own;
        buf_init(&own, 2 * ROUTE_KEY_MAX);
        rc = buf_add(&own, normalise_local(key)) != 0 ? -1 : buf_add(&own, as);
        if (rc == 0)
            export_push_line(&x->origins, &x->n_origins, &x->cap_origins, buf_slice(&own),
                buf_cstr(&answer), false);
        buf_fini(&own);
    } else if (rc == 0) {
        export_push_line(&x->origins, &x->n_origins, &x->cap_origins,
            as.p[0] == '@' ? slice_from(as, 1) : as, buf_cstr(&answer), false);
    }
    buf_fini(&answer);
    return rc;
}

static int compare_hashes(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* An address that the map has itself, or a domain that it has. */
static bool is_known(const struct export *x, const char *address)
{
    struct slice text = slice_str(address);
    struct buf key;
    bool known;

    if (slice_find(text, '@') < 0)
        return conf_domain(x->conf, text) != NULL;
    buf_init(&key, 2 * ROUTE_KEY_MAX);
    known = normalise_key(x->conf, text, &key) == 0;
    if (known) {
        uint64_t hash = route_key_hash(buf_slice(&key));
        known = mem_search(&hash, x->keys, x->n_keys, sizeof hash, compare_hashes) != NULL;
    }
    buf_fini(&key);
    return known;
}

static int write_origins(struct export *x, struct buf *out)
{
    size_t from, to;

    mem_sort(x->origins, x->n_origins, sizeof *x->origins, export_compare_lines);
    mem_sort(x->keys, x->n_keys, sizeof *x->keys, compare_hashes);
    for (from = 0; from < x->n_origins; from = to) {
        const struct export_line *first = &x->origins[from];
        bool is_one;

        to = export_one_group(x->origins, x->n_origins, from, &is_one);
        if (!export_fits_table(slice_str(first->folded)) || is_known(x, first->folded))
            continue;
        if (buf_addf(out, "%s\t", first->folded) != 0 ||
            (is_one ? buf_add_str(out, first->answer)
                    : export_wait_postfix("4.3.5",
                          "Recipients on several servers are delivered by this address", out)) !=
                0 ||
            buf_add_byte(out, '\n') != 0)
            return -1;
    }
    return 0;
}

static int route_entry_line(
    struct export *x, struct slice key, const struct route_entry *entry, struct buf *out)
{
    struct export_domain *domain = export_domain_of(x, key);
    const struct route_entry *e = domain && domain->is_held ? &export_held : entry;
    int role = export_role_of(key);

    if (x->format == EXPORT_POSTFIX_TRANSPORT) {
        struct route_entry own = *entry;
        own.state = e->state;
        if (note_origin(x, key, &own) != 0)
            return -1;
    }
    if (!export_fits_table(key)) {
        leave_out(x, domain, key, e);
        return 0;
    }
    if (role >= 0 && e->state == ROUTE_STATE_ACTIVE &&
        (e->kind == ROUTE_KIND_REJECT || e->route.n == 0))
        return 0; /* route_end() writes the line */
    if (domain && role >= 0)
        domain->has_role[role] = true;
    x->deliver_as += entry->deliver_as.n > 0;
    x->held += e->state == ROUTE_STATE_HELD;
    /* Sendmail goes on with the address that its other map has, if there is no server. */
    if (x->format == EXPORT_SENDMAIL_MAILHOST && export_is_alias(e) &&
        e->state == ROUTE_STATE_ACTIVE && key.p[0] != '@' && export_fits_alias(x, e))
        return 0;
    if (key.p[0] != '@')
        return add_user(x, domain, key, e, out);
    if (!domain) /* of a domain that the configuration has no more */
        return 0;
    domain->has_entry = true;
    return add_domain(x, (size_t)(domain - x->domains), e, out);
}

static int add_role(struct export *x, size_t i, const char *role, struct buf *out)
{
    const struct conf_domain *domain = &x->conf->domains[i];

    if (buf_addf(out, "%s@%s\t", role, domain->name) != 0 ||
        (x->domains[i].is_held ? export_add_answer(x, &export_held, CONF_SERVER_NONE, out)
                               : export_add_next_hop(x, domain->postmaster_server, out)) != 0)
        return -1;
    return buf_add_byte(out, '\n');
}

static int route_end(struct export *x, struct buf *out)
{
    for (size_t i = 0; i < x->conf->n_domains; i++) {
        for (size_t role = 0; role < EXPORT_ROLES; role++)
            if (!x->domains[i].has_role[role] && add_role(x, i, export_roles[role], out) != 0)
                return -1;
        if (!x->domains[i].has_entry && add_domain(x, i, NULL, out) != 0)
            return -1;
    }
    return x->format == EXPORT_POSTFIX_TRANSPORT ? write_origins(x, out) : 0;
}

/* --- All ---------------------------------------------------------------------------------------
 */

int export_table_entry(
    struct export *x, struct slice key, const struct route_entry *entry, struct buf *out)
{
    return export_words_of(x->format) ? route_entry_line(x, key, entry, out)
                                      : export_address_entry(x, key, entry, out);
}

int export_table_end(struct export *x, struct buf *out)
{
    if (export_write_cased(x, out) != 0)
        return -1;
    return export_words_of(x->format) ? route_end(x, out) : export_address_end(x, out);
}

void export_table_fini(struct export *x)
{
    export_free_lines(&x->cased, &x->n_cased, &x->cap_cased);
    export_free_lines(&x->origins, &x->n_origins, &x->cap_origins);
    free(x->keys);
    x->keys = NULL;
    x->n_keys = x->cap_keys = 0;
}
