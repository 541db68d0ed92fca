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
#include "maps/format/export_priv.h"

#include <stdlib.h>
#include "base/core/mem.h"
#include "maps/next_hop.h"

#define ANSWER_MAX 1024 /* bytes of a table's right side */

/* The words of a table.  What they do not append is no line. */
struct words {
    int (*wait)(const char *code, const char *text, struct buf *out);
    int (*refuse)(struct buf *out);
    int (*deliver)(const struct conf_server *server, struct buf *out);
    const char *at; /* in front of a domain */
};

static const struct route_entry held = {.state = ROUTE_STATE_HELD};
static const char *const roles[EXPORT_ROLES] = {"postmaster", "abuse"};

static int postfix_wait(const char *code, const char *text, struct buf *out)
{
    return buf_addf(out, "retry:%s %s", code, text);
}

static int postfix_refuse(struct buf *out)
{
    return buf_add_str(out, "error:5.1.1 User unknown");
}

/* Whether there is such an address, nothing else: what happens to it says the transport table. */
static int exists_wait(const char *code ATTR_UNUSED, const char *text ATTR_UNUSED, struct buf *out)
{
    return buf_add_str(out, "OK");
}

static int exists_refuse(struct buf *out ATTR_UNUSED)
{
    return 0;
}

static int exists_deliver(const struct conf_server *server ATTR_UNUSED, struct buf *out)
{
    return buf_add_str(out, "OK");
}

static int sendmail_wait(const char *code, const char *text, struct buf *out)
{
    return buf_addf(out, "error:%s:450 %s", code, text);
}

static int sendmail_refuse(struct buf *out)
{
    return buf_add_str(out, "error:5.1.1:550 User unknown");
}

static const struct words *words_of(enum export_format format)
{
    static const struct words transport = {postfix_wait, postfix_refuse, next_hop_postfix, ""},
                              recipients = {exists_wait, exists_refuse, exists_deliver, "@"},
                              mailhost = {sendmail_wait, sendmail_refuse, next_hop_sendmail, "@"};

    return format == EXPORT_POSTFIX_TRANSPORT    ? &transport
           : format == EXPORT_POSTFIX_RECIPIENTS ? &recipients
           : format == EXPORT_SENDMAIL_MAILHOST  ? &mailhost
                                                 : NULL;
}

/* --- Lines ------------------------------------------------------------------------------ */

static bool fits_table(struct slice key)
{
    return key.p[0] != '#' && slice_find(key, '"') < 0;
}

static bool is_refusal(const struct route_entry *e)
{
    return e->kind == ROUTE_KIND_REJECT && e->state == ROUTE_STATE_ACTIVE;
}

/* Goes to other addresses, and to no server by itself. */
static bool is_alias(const struct route_entry *e)
{
    return e->kind == ROUTE_KIND_ALIAS || e->kind == ROUTE_KIND_FORWARD ||
           (e->kind == ROUTE_KIND_GROUP && e->route.n == 0);
}

/* A table does not know who sends, and Sendmail's has one address for another. */
static bool fits_alias(const struct export *x, const struct route_entry *e)
{
    bool is_sendmail =
        x->format == EXPORT_SENDMAIL_ADDRESS || x->format == EXPORT_SENDMAIL_MAILHOST;
    return e->senders.n == 0 && slice_find(e->targets, '"') < 0 &&
           (!is_sendmail || route_list_count(e->targets) == 1);
}

static int add_nexthop(const struct export *x, int server, struct buf *out)
{
    const struct words *w = words_of(x->format);

    if (server == CONF_SERVER_NONE)
        return w->wait("4.3.5", "The server of this recipient is not configured", out);
    if (!conf_server_takes_mail(&x->conf->servers[server]))
        return w->wait("4.3.5", "The server of this recipient takes no mail", out);
    return w->deliver(&x->conf->servers[server], out);
}

static int add_answer(
    const struct export *x, const struct route_entry *e, int server, struct buf *out)
{
    if (e->state == ROUTE_STATE_HELD)
        return words_of(x->format)->wait("4.2.1", "This mailbox is being moved", out);
    if (e->state == ROUTE_STATE_RETIRING)
        return words_of(x->format)->wait("4.2.1", "This mailbox is being closed", out);
    if (e->kind == ROUTE_KIND_REJECT)
        return words_of(x->format)->refuse(out);
    if (is_alias(e)) /* the table of addresses has rewritten it before, if it is used */
        return words_of(x->format)->wait("4.3.5", "This is an alias", out);
    return add_nexthop(x, server, out);
}

/* Behind its key: ends the line, or takes it back if it says nothing. */
static int end_line(struct buf *out, size_t before, size_t answer)
{
    if (out->n > answer)
        return buf_add_byte(out, '\n');
    buf_truncate(out, before);
    return 0;
}

static void push_line(struct export_line **v, size_t *n, size_t *cap, struct slice key,
    const char *answer, bool is_refusal)
{
    if (*n == *cap) {
        *cap = *cap ? 2 * *cap : 64;
        *v = mem_realloc_array(*v, *cap, sizeof **v);
    }
    struct export_line *line = &(*v)[(*n)++];
    *line = (struct export_line){.key = slice_dup(key),
        .folded = slice_dup(key),
        .answer = mem_strdup(answer),
        .is_refusal = is_refusal};
    for (char *p = line->folded; *p; p++)
        *p = (char)ascii_lower((unsigned char)*p);
}

static void free_lines(struct export_line **v, size_t *n, size_t *cap)
{
    for (size_t i = 0; i < *n; i++) {
        mem_free_string(&(*v)[i].key);
        mem_free_string(&(*v)[i].folded);
        mem_free_string(&(*v)[i].answer);
    }
    free(*v);
    *v = NULL;
    *n = *cap = 0;
}

/* Refusals last: they give way to a user, whose server refuses the others. */
static int compare_lines(const void *a, const void *b)
{
    const struct export_line *one = a, *other = b;
    int order = strcmp(one->folded, other->folded);

    return order != 0 ? order : (int)one->is_refusal - (int)other->is_refusal;
}

/* Lines of one key from `from` on: where they end, and whether they say the same. */
static size_t one_group(const struct export_line *v, size_t n, size_t from, bool *is_one_out)
{
    size_t to;

    *is_one_out = true;
    for (to = from + 1; to < n && strcmp(v[to].folded, v[from].folded) == 0; to++)
        *is_one_out &= v[to].is_refusal || strcmp(v[to].answer, v[from].answer) == 0;
    return to;
}

/* Where they do not, words say what happens; without words there is no line. */
static int write_cased(struct export *x, struct buf *out)
{
    const struct words *w = words_of(x->format);
    size_t from, to;

    mem_sort(x->cased, x->n_cased, sizeof *x->cased, compare_lines);
    for (from = 0; from < x->n_cased; from = to) {
        const struct export_line *first = &x->cased[from];
        size_t before = out->n, answer;
        bool is_one;

        to = one_group(x->cased, x->n_cased, from, &is_one);
        for (size_t i = from; i < to; i++)
            if (!is_one || strcmp(x->cased[i].answer, first->answer) != 0)
                export_tell(x, slice_str(x->cased[i].key));
        if (buf_addf(out, "%s\t", first->folded) != 0)
            return -1;
        answer = out->n;
        if (is_one ? buf_add_str(out, first->answer) != 0
                   : w && w->wait("4.3.5", "This table cannot tell upper and lower case", out) != 0)
            return -1;
        if (end_line(out, before, answer) != 0)
            return -1;
    }
    return 0;
}

/* --- Where mail goes ---------------------------------------------------------------------- */

static void leave_out(
    struct export *x, struct export_domain *domain, struct slice key, const struct route_entry *e)
{
    export_tell(x, key);
    if (!domain || is_refusal(e))
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
        return add_answer(x, e, server, out);
    if (d->has_lost && (d->is_lost_scattered || d->lost_server != server)) {
        x->deferred++;
        return words_of(x->format)->wait("4.3.5", "This table lacks addresses of the domain", out);
    }
    if (is_own)
        return add_answer(x, e, server, out);
    return server == CONF_SERVER_NONE ? add_answer(x, &reject, server, out)
                                      : add_nexthop(x, server, out);
}

/* The line of a domain, for all addresses that have none of their own; e is NULL for the default of
 * the configuration. */
static int add_domain(struct export *x, size_t i, const struct route_entry *e, struct buf *out)
{
    size_t before = out->n, answer;

    if (buf_addf(out, "%s%s\t", words_of(x->format)->at, x->conf->domains[i].name) != 0)
        return -1;
    answer = out->n;
    return answer_domain(x, i, e, out) != 0 ? -1 : end_line(out, before, answer);
}

/* postmaster and abuse are always valid, whatever the map has for them (route.h). */
static int role_of(struct slice key)
{
    for (size_t i = 0; i < EXPORT_ROLES; i++)
        if (slice_eq(normalise_local(key), slice_str(roles[i])))
            return (int)i;
    return -1;
}

static bool folds(const struct export *x, const struct export_domain *domain)
{
    return !domain || x->conf->domains[domain - x->domains].fold_local_part;
}

static int add_user(struct export *x, const struct export_domain *domain, struct slice key,
    const struct route_entry *e, struct buf *out)
{
    int server = conf_server_index(x->conf, e->route);
    size_t before = out->n, answer;

    if (!folds(x, domain)) {
        struct buf text;
        buf_init(&text, ANSWER_MAX);
        int rc = add_answer(x, e, server, &text);
        if (rc == 0)
            push_line(&x->cased, &x->n_cased, &x->cap_cased, key, buf_cstr(&text), is_refusal(e));
        buf_fini(&text);
        return rc;
    }
    if (buf_add(out, key) != 0 || buf_add_byte(out, '\t') != 0)
        return -1;
    answer = out->n;
    return add_answer(x, e, server, out) != 0 ? -1 : end_line(out, before, answer);
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
    buf_init(&answer, ANSWER_MAX);
    int rc = add_answer(x, e, conf_server_index(x->conf, e->route), &answer);
    if (rc == 0 && as.p[0] == '@' && key.p[0] != '@') {
        struct buf own;
        buf_init(&own, 2 * ROUTE_KEY_MAX);
        rc = buf_add(&own, normalise_local(key)) != 0 ? -1 : buf_add(&own, as);
        if (rc == 0)
            push_line(&x->origins, &x->n_origins, &x->cap_origins, buf_slice(&own),
                buf_cstr(&answer), false);
        buf_fini(&own);
    } else if (rc == 0) {
        push_line(&x->origins, &x->n_origins, &x->cap_origins,
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

    mem_sort(x->origins, x->n_origins, sizeof *x->origins, compare_lines);
    mem_sort(x->keys, x->n_keys, sizeof *x->keys, compare_hashes);
    for (from = 0; from < x->n_origins; from = to) {
        const struct export_line *first = &x->origins[from];
        bool is_one;

        to = one_group(x->origins, x->n_origins, from, &is_one);
        if (!fits_table(slice_str(first->folded)) || is_known(x, first->folded))
            continue;
        if (buf_addf(out, "%s\t", first->folded) != 0 ||
            (is_one ? buf_add_str(out, first->answer)
                    : postfix_wait("4.3.5",
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
    const struct route_entry *e = domain && domain->is_held ? &held : entry;
    int role = role_of(key);

    if (x->format == EXPORT_POSTFIX_TRANSPORT) {
        struct route_entry own = *entry;
        own.state = e->state;
        if (note_origin(x, key, &own) != 0)
            return -1;
    }
    if (!fits_table(key)) {
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
    if (x->format == EXPORT_SENDMAIL_MAILHOST && is_alias(e) && e->state == ROUTE_STATE_ACTIVE &&
        key.p[0] != '@' && fits_alias(x, e))
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
        (x->domains[i].is_held ? add_answer(x, &held, CONF_SERVER_NONE, out)
                               : add_nexthop(x, domain->postmaster_server, out)) != 0)
        return -1;
    return buf_add_byte(out, '\n');
}

static int route_end(struct export *x, struct buf *out)
{
    for (size_t i = 0; i < x->conf->n_domains; i++) {
        for (size_t role = 0; role < EXPORT_ROLES; role++)
            if (!x->domains[i].has_role[role] && add_role(x, i, roles[role], out) != 0)
                return -1;
        if (!x->domains[i].has_entry && add_domain(x, i, NULL, out) != 0)
            return -1;
    }
    return x->format == EXPORT_POSTFIX_TRANSPORT ? write_origins(x, out) : 0;
}

/* --- What addresses become ------------------------------------------------------------------ */

static int add_pair(struct export *x, const struct export_domain *domain, struct slice key,
    struct slice value, struct buf *out)
{
    if (!folds(x, domain)) {
        char *text = slice_dup(value);
        push_line(&x->cased, &x->n_cased, &x->cap_cased, key, text, false);
        mem_free_string(&text);
        return 0;
    }
    return buf_addf(out, "%.*s\t%.*s\n", SLICE_ARG(key), SLICE_ARG(value));
}

static int alias_entry(
    struct export *x, struct slice key, const struct route_entry *e, struct buf *out)
{
    struct slice rest = e->targets, one;
    struct buf value;
    int rc = 0;

    if (e->state != ROUTE_STATE_ACTIVE)
        return 0;
    if (!fits_table(key) || !fits_alias(x, e)) {
        export_tell(x, key);
        return 0;
    }
    buf_init(&value, 2 * ROUTE_TARGETS_MAX);
    while (rc == 0 && route_list_next(&rest, &one))
        rc = buf_addf(&value, "%s%.*s", value.n ? ", " : "", SLICE_ARG(one));
    if (rc == 0 && value.n > 0)
        rc = add_pair(x, export_domain_of(x, key), key, buf_slice(&value), out);
    buf_fini(&value);
    return rc;
}

static int address_entry(
    struct export *x, struct slice key, const struct route_entry *e, struct buf *out)
{
    struct export_domain *domain = export_domain_of(x, key);
    struct slice as = e->kind == ROUTE_KIND_REJECT ? SLICE_NONE : e->deliver_as;
    int role = role_of(key), rc;
    struct buf own;

    if (domain && role >= 0)
        domain->has_role[role] = true;
    if (is_alias(e))
        return alias_entry(x, key, e, out);
    if (as.n == 0 && (key.p[0] == '@' || !domain || !domain->rewrites))
        return 0;
    if (!fits_table(key) || (as.n > 0 && slice_find(as, '"') >= 0) ||
        (x->format == EXPORT_SENDMAIL_ADDRESS && key.p[0] == '@' && as.p[0] == '@')) {
        export_tell(x, key);
        return 0;
    }
    if (as.n == 0) /* the domain's entry would rewrite it */
        return add_pair(x, domain, key, key, out);
    if (as.p[0] != '@' || key.p[0] == '@')
        return add_pair(x, key.p[0] == '@' ? NULL : domain, key, as, out);
    buf_init(&own, 2 * ROUTE_KEY_MAX);
    rc = buf_add(&own, normalise_local(key)) != 0 || buf_add(&own, as) != 0
             ? -1
             : add_pair(x, domain, key, buf_slice(&own), out);
    buf_fini(&own);
    return rc;
}

static int address_end(struct export *x, struct buf *out)
{
    for (size_t i = 0; i < x->conf->n_domains; i++)
        for (size_t role = 0; role < EXPORT_ROLES; role++)
            if (x->domains[i].rewrites && !x->domains[i].has_role[role] &&
                buf_addf(out, "%s@%s\t%s@%s\n", roles[role], x->conf->domains[i].name, roles[role],
                    x->conf->domains[i].name) != 0)
                return -1;
    return 0;
}

/* --- All ---------------------------------------------------------------------------------------
 */

int export_table_entry(
    struct export *x, struct slice key, const struct route_entry *entry, struct buf *out)
{
    return words_of(x->format) ? route_entry_line(x, key, entry, out)
                               : address_entry(x, key, entry, out);
}

int export_table_end(struct export *x, struct buf *out)
{
    if (write_cased(x, out) != 0)
        return -1;
    return words_of(x->format) ? route_end(x, out) : address_end(x, out);
}

void export_table_fini(struct export *x)
{
    free_lines(&x->cased, &x->n_cased, &x->cap_cased);
    free_lines(&x->origins, &x->n_origins, &x->cap_origins);
    free(x->keys);
    x->keys = NULL;
    x->n_keys = x->cap_keys = 0;
}
