/* SPDX-License-Identifier: ISC */
/*
 * conf: see conf.h.  The only file that knows libconfuse.
 *
 * libconfuse sees nothing but strings and lists of strings: what a number or an endpoint is, the
 * schema says, so that every message reads alike: FILE:LINE: [SECTION:] KEY: what is wrong.
 * While it parses, a callback notes the line of each value; the values are converted afterwards,
 * and then what several of them mean together is checked.
 *
 * Its messages come to report() instead of stderr; the first one counts.  It offers no pointer of
 * ours there, hence the thread-local loader.
 *
 * It takes a file that ends inside a section or a string for a whole one.  A file that was cut must
 * never be obeyed, so a last setting of ours is added behind the text; if it does not arrive at the
 * top level, something was not closed.
 */
#include <confuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>
#include "base/core/conf.h"
#include "base/core/conf_struct.h"
#include "base/core/conf_value.h"
#include "base/core/mem.h"
#include "base/core/schema.h"
#include "base/os/io.h"

#define FILE_SIZE_MAX (1U << 20)
#define KEYS_PER_SECTION_MAX 64
#define SERVER_NAME_MAX 32
#define END_KEY "__end"
#define END_TEXT "\n" END_KEY " = yes\n"
#define NOT_CLOSED "a brace, a quote or a comment is not closed before the end of the file"

/* Where a value stands in the file. */
struct mark {
    const cfg_opt_t *opt;
    unsigned index; /* in a list */
    int line;
    bool is_closed; /* the first of a list: the list is over */
};

struct loader {
    const char *path;
    struct conf *conf;
    struct err *err;
    bool has_failed;
    struct mark *marks;
    size_t n_marks;
};

static _Thread_local struct loader *loading;

/* --- Messages -------------------------------------------------------------------------- */

static int refuse(struct loader *l, int line, const char *where, const char *what)
{
    if (!l->has_failed)
        err_set(l->err, ERR_PERM, EX_CONFIG, "%s:%d: %s%s%s", l->path, line, where,
            where[0] != '\0' ? ": " : "", what);
    l->has_failed = true;
    return -1;
}

/* `server "old": name`, `relay: name` or `name`; name may be empty. */
static void describe(cfg_t *section, const char *name, struct buf *out)
{
    const char *kind = cfg_name(section), *title = cfg_title(section);
    int rc = 0;

    if (kind != NULL && strcmp(kind, "root") != 0)
        rc = title ? buf_addf(out, "%s \"%.100s\"", kind, title) : buf_add_str(out, kind);
    if (rc == 0 && out->n > 0 && name[0] != '\0')
        rc = buf_add_str(out, ": ");
    if (rc != 0 || buf_add_str(out, name) != 0)
        BUG("names in the schema are short");
}

static int refuse_in(struct loader *l, cfg_t *section, const char *name, int line, const char *what)
{
    struct buf where;

    buf_init(&where, ERR_TEXT_MAX);
    describe(section, name, &where);
    refuse(l, line, buf_cstr(&where), what);
    buf_fini(&where);
    return -1;
}

static void ATTR_PRINTF(2, 0) report(cfg_t *cfg, const char *fmt, va_list ap)
{
    struct buf text;

    buf_init(&text, ERR_TEXT_MAX);
    if (buf_vaddf(&text, fmt, ap) != 0 && buf_add_str(&text, "cannot be read") != 0)
        BUG("a short text fits");
    if (slice_search(buf_slice(&text), SLICE_LIT(END_KEY)) >= 0)
        refuse_in(loading, cfg, "", cfg->line - 1, NOT_CLOSED);
    else
        refuse_in(loading, cfg, "", cfg->line, buf_cstr(&text));
    buf_fini(&text);
}

/* --- Lines ------------------------------------------------------------------------------- */

static struct mark *find_mark(const struct loader *l, const cfg_opt_t *opt, unsigned index)
{
    for (size_t i = 0; i < l->n_marks; i++)
        if (l->marks[i].opt == opt && l->marks[i].index == index)
            return &l->marks[i];
    return NULL;
}

static int line_of(const struct loader *l, cfg_opt_t *opt, unsigned index)
{
    const struct mark *m = find_mark(l, opt, index);

    return m != NULL ? m->line : 0;
}

static int add_mark(struct loader *l, const cfg_opt_t *opt, unsigned index, int line)
{
    l->marks = mem_realloc_array(l->marks, l->n_marks + 1, sizeof(*l->marks));
    l->marks[l->n_marks++] = (struct mark){.opt = opt, .index = index, .line = line};
    return 0;
}

/* Called by libconfuse after each value and after each section that comes once. */
static int on_value(cfg_t *cfg, cfg_opt_t *opt)
{
    if (find_mark(loading, opt, 0) != NULL)
        return refuse_in(loading, cfg, cfg_opt_name(opt), cfg->line, "is given twice");
    return add_mark(loading, opt, 0, cfg->line);
}

/* Called after each value of a list, and once more at its closing brace. */
static int on_list(cfg_t *cfg, cfg_opt_t *opt)
{
    unsigned size = cfg_opt_size(opt), index = size > 0 ? size - 1 : 0;
    struct mark *first = find_mark(loading, opt, 0);

    if (first != NULL && first->is_closed)
        return refuse_in(loading, cfg, cfg_opt_name(opt), cfg->line, "is given twice");
    if (size > 0 && find_mark(loading, opt, index) == NULL)
        return add_mark(loading, opt, index, cfg->line);
    if (first == NULL) {
        (void)add_mark(loading, opt, 0, cfg->line); /* an empty list */
        first = find_mark(loading, opt, 0);
    }
    first->is_closed = true;
    return 0;
}

/* --- libconfuse's tables ------------------------------------------------------------------ */

/* Settings that are no more, and what to write instead. */
static const struct {
    const char *name, *remedy;
} gone[] = {
    {"user", "is no more: each program has a user of its own, the setting user in the sections "
             "mapd, lookup, relay, milter and sync"},
};

struct tables {
    cfg_opt_t options[SCHEMA_SECTIONS][KEYS_PER_SECTION_MAX];
};

static struct tables *tables_new(void)
{
    struct tables *t = mem_zalloc(sizeof(*t));
    size_t n[SCHEMA_SECTIONS] = {0};

    for (size_t i = 0; i < schema_keys_n; i++) {
        const struct schema_key *key = &schema_keys[i];
        cfg_opt_t *opt = &t->options[key->section][n[key->section]++];

        BUG_ON(n[key->section] > KEYS_PER_SECTION_MAX - SCHEMA_SECTIONS - 2);
        if (schema_is_list(key))
            *opt = (cfg_opt_t)CFG_STR_LIST(key->name, NULL, CFGF_NODEFAULT);
        else
            *opt = (cfg_opt_t)CFG_STR(key->name, NULL, CFGF_NODEFAULT);
        opt->validcb = schema_is_list(key) ? on_list : on_value;
    }
    for (int s = SCHEMA_TOP + 1; s < SCHEMA_SECTIONS; s++) {
        enum schema_section which = (enum schema_section)s;
        cfg_opt_t *opt = &t->options[SCHEMA_TOP][n[SCHEMA_TOP]++];
        bool is_titled = schema_section_is_titled(which);
        cfg_flag_t flags = is_titled ? CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES : CFGF_NONE;

        *opt = (cfg_opt_t)CFG_SEC(schema_section_name(which), t->options[s], flags);
        opt->validcb = is_titled ? NULL : on_value;
    }
    for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++) {
        cfg_opt_t *opt = &t->options[SCHEMA_TOP][n[SCHEMA_TOP]++];

        *opt = (cfg_opt_t)CFG_STR(gone[i].name, NULL, CFGF_NODEFAULT);
        opt->validcb = on_value;
    }
    t->options[SCHEMA_TOP][n[SCHEMA_TOP]] = (cfg_opt_t)CFG_STR(END_KEY, NULL, CFGF_NODEFAULT);
    t->options[SCHEMA_TOP][n[SCHEMA_TOP]].validcb = on_value;
    return t;
}

/* --- Values ------------------------------------------------------------------------------- */

static int set_server_ref(
    struct loader *l, cfg_t *section, const struct schema_key *key, void *field, cfg_opt_t *opt)
{
    const char *name = cfg_opt_getnstr(opt, 0);
    int index = conf_server_index(l->conf, slice_str(name));
    char what[160];

    for (size_t i = 0; key->choices != NULL && key->choices[i] != NULL; i++)
        if (slice_eq_nocase(slice_str(name), slice_str(key->choices[i]))) {
            *(int *)field = CONF_SERVER_NONE;
            return 0;
        }
    if (index == CONF_SERVER_NONE) {
        if (fmt_into(what, sizeof(what), "there is no server \"%.64s\"%s", name,
                key->choices != NULL ? " (a server's name or reject is allowed)" : "") != 0)
            BUG("the message fits");
        return refuse_in(l, section, key->name, line_of(l, opt, 0), what);
    }
    if (!conf_server_takes_mail(&l->conf->servers[index])) {
        if (fmt_into(what, sizeof(what), "server \"%.64s\" has no smtp, so no mail can go there",
                name) != 0)
            BUG("the message fits");
        return refuse_in(l, section, key->name, line_of(l, opt, 0), what);
    }
    *(int *)field = index;
    return 0;
}

static int set_section(struct loader *l, cfg_t *section, enum schema_section which, void *base)
{
    for (size_t i = 0; i < schema_keys_n; i++) {
        const struct schema_key *key = &schema_keys[i];
        cfg_opt_t *opt = key->section == which ? cfg_getopt(section, key->name) : NULL;

        if (opt == NULL)
            continue;
        for (unsigned n = 0; n < cfg_opt_size(opt); n++) {
            const char *text = cfg_opt_getnstr(opt, n);
            struct err why = ERR_INIT;

            if (text == NULL)
                continue;
            if (key->type == SCHEMA_SERVER_REF) {
                if (set_server_ref(l, section, key, conf_field(base, key), opt) != 0)
                    return -1;
            } else if (conf_value_set(key, conf_field(base, key), slice_str(text), &why) != 0) {
                return refuse_in(l, section, key->name, line_of(l, opt, n), why.text);
            }
        }
    }
    return 0;
}

/* The key of a section as libconfuse has it, for the checks below. */
static bool is_given(cfg_t *section, const char *name)
{
    cfg_opt_t *opt = cfg_getopt(section, name);

    return opt != NULL && cfg_opt_size(opt) > 0 && cfg_opt_getnstr(opt, 0) != NULL;
}

static int refuse_key(struct loader *l, cfg_t *section, const char *name, const char *what)
{
    int line = is_given(section, name) ? line_of(l, cfg_getopt(section, name), 0) : section->line;

    return refuse_in(l, section, name, line, what);
}

/* --- Servers ------------------------------------------------------------------------------ */

static bool is_server_name(struct slice name)
{
    for (size_t i = 0; i < name.n; i++)
        if (!ascii_is_alpha(name.p[i]) && !ascii_is_digit(name.p[i]) && name.p[i] != '-' &&
            name.p[i] != '_')
            return false;
    return name.n > 0 && name.n <= SERVER_NAME_MAX && !slice_eq_nocase(name, SLICE_LIT("reject"));
}

static bool is_loopback(const struct net_endpoint *e)
{
    struct net_addr addr;

    if (e->host == NULL || slice_eq_nocase(slice_str(e->host), SLICE_LIT("localhost")))
        return true;
    return net_addr_parse(slice_str(e->host), &addr) == 0 && net_addr_is_loopback(&addr);
}

static int check_server(struct loader *l, cfg_t *section, struct conf_server *s)
{
    bool wants_tls = s->smtp.scheme == NET_SCHEME_SMTPS || s->imap.scheme == NET_SCHEME_IMAPS;

    if (!is_given(section, "tls") && is_loopback(&s->smtp) && is_loopback(&s->imap) &&
        (s->smtp.host != NULL || s->imap.host != NULL))
        s->tls = CONF_TLS_MAY;
    if (s->tls == CONF_TLS_NONE && wants_tls)
        return refuse_key(l, section, "tls", "none contradicts an smtps:// or imaps:// endpoint");
    if (s->tls == CONF_TLS_FINGERPRINT && s->tls_fingerprint == NULL)
        return refuse_key(l, section, "fingerprint", "is missing (tls = fingerprint wants it)");
    if (s->tls != CONF_TLS_FINGERPRINT && s->tls_fingerprint != NULL)
        return refuse_key(l, section, "fingerprint", "has no effect without tls = fingerprint");
    if (s->tls != CONF_TLS_VERIFY && s->tls_ca_file != NULL)
        return refuse_key(l, section, "ca_file", "has no effect without tls = verify");
    if ((s->imap_user == NULL) != (s->imap_password_file == NULL))
        return refuse_key(l, section, s->imap_user ? "imap_password_file" : "imap_user",
            "is missing (imap_user and imap_password_file go together)");
    return 0;
}

static bool is_same_range(const struct net_range *a, const struct net_range *b)
{
    return a->bits == b->bits && net_addr_eq(&a->addr, &b->addr);
}

/* A server's addresses are its own: the same range twice would make the direction a guess. */
static int check_from(struct loader *l, cfg_t *section, size_t self)
{
    const struct conf_ranges *mine = &l->conf->servers[self].from;

    for (size_t other = 0; other < self; other++) {
        const struct conf_ranges *theirs = &l->conf->servers[other].from;

        for (size_t i = 0; i < mine->n; i++)
            for (size_t j = 0; j < theirs->n; j++)
                if (is_same_range(&mine->v[i], &theirs->v[j]))
                    return refuse_key(
                        l, section, "from", "an address belongs to another server already");
    }
    return 0;
}

static int load_servers(struct loader *l, cfg_t *cfg)
{
    struct conf *c = l->conf;
    unsigned n = cfg_size(cfg, "server");

    c->servers = mem_zalloc(n * sizeof(*c->servers));
    for (unsigned i = 0; i < n; i++) {
        cfg_t *section = cfg_getnsec(cfg, "server", i);
        struct slice name = slice_str(cfg_title(section));
        struct conf_server *s = &c->servers[i];

        if (n > CONF_SERVERS_MAX)
            return refuse(l, section->line, "server", "there are more than 64");
        if (!is_server_name(name))
            return refuse(l, section->line, "server",
                "a name has 1 to 32 letters, digits, hyphens or underscores and is not reject");
        for (unsigned j = 0; j < i; j++)
            if (slice_eq_nocase(name, slice_str(c->servers[j].name)))
                return refuse(l, section->line, "server", "two names differ in case only");
        conf_set_defaults(s, SCHEMA_SERVER);
        s->name = slice_dup(name);
        c->n_servers++;
        if (set_section(l, section, SCHEMA_SERVER, s) != 0 || check_server(l, section, s) != 0 ||
            check_from(l, section, i) != 0)
            return -1;
    }
    return 0;
}

/* --- Domains ------------------------------------------------------------------------------- */

static int first_that_takes_mail(const struct conf *c)
{
    for (size_t i = 0; i < c->n_servers; i++)
        if (conf_server_takes_mail(&c->servers[i]))
            return (int)i;
    return CONF_SERVER_NONE;
}

static int load_domains(struct loader *l, cfg_t *cfg)
{
    struct conf *c = l->conf;
    unsigned n = cfg_size(cfg, "domain");

    c->domains = mem_zalloc(n * sizeof(*c->domains));
    for (unsigned i = 0; i < n; i++) {
        cfg_t *section = cfg_getnsec(cfg, "domain", i);
        struct slice name = slice_str(cfg_title(section));
        struct conf_domain *d = &c->domains[i];

        if (!net_is_host_name(name))
            return refuse(l, section->line, "domain",
                "the name is not a domain in ASCII (xn--... for an international one)");
        if (conf_domain(c, name) != NULL)
            return refuse(l, section->line, "domain", "two names differ in case only");
        conf_set_defaults(d, SCHEMA_DOMAIN);
        d->name = slice_dup(name);
        for (char *p = d->name; *p != '\0'; p++)
            *p = (char)ascii_lower((unsigned char)*p);
        c->n_domains++;
        d->postmaster_server = first_that_takes_mail(c);
        if (set_section(l, section, SCHEMA_DOMAIN, d) != 0)
            return -1;
    }
    return 0;
}

/* --- The rest ------------------------------------------------------------------------------- */

static void set_host_name(struct conf_relay *relay)
{
    char name[256];

    if (relay->hostname != NULL)
        return;
    if (gethostname(name, sizeof(name)) != 0 || !net_is_host_name(slice_str(name)))
        relay->hostname = mem_strdup("localhost");
    else
        relay->hostname = mem_strdup(name);
}

static int set_milter_socket(struct loader *l, cfg_t *section)
{
    struct conf *c = l->conf;
    struct buf text;
    struct err why = ERR_INIT;
    int rc = 0;

    if (c->milter.listen.host != NULL)
        return 0;
    buf_init(&text, 2048);
    if (buf_addf(&text, "unix:%s/milter.sock", c->run) != 0 ||
        net_endpoint_parse(buf_slice(&text), 0, &c->milter.listen, &why) != 0)
        rc = refuse_key(l, section, "run", "is too long for the sockets in it");
    buf_fini(&text);
    return rc;
}

/* Blames the one that is in the file, since the other may be a default. */
static int refuse_pair(
    struct loader *l, cfg_t *sync, const char *wish, cfg_t *mapd, const char *limit)
{
    char what[96];

    if (is_given(sync, wish)) {
        if (fmt_into(what, sizeof(what), "is longer than %s of mapd", limit) != 0)
            BUG("names of keys are short");
        return refuse_key(l, sync, wish, what);
    }
    if (fmt_into(what, sizeof(what), "is shorter than %s of sync", wish) != 0)
        BUG("names of keys are short");
    return refuse_key(l, mapd, limit, what);
}

static bool is_same_address(const struct net_endpoint *a, const struct net_endpoint *b)
{
    struct net_addr x, y;

    if (a->port != b->port)
        return false;
    if (net_addr_parse(slice_str(a->host), &x) == 0 && net_addr_parse(slice_str(b->host), &y) == 0)
        return net_addr_eq(&x, &y);
    return strcmp(a->host, b->host) == 0;
}

/* An address speaks one protocol. */
static int check_listen(struct loader *l, cfg_t *relay)
{
    const struct conf_endpoints *listen = &l->conf->relay.listen;

    for (size_t i = 0; i < listen->n; i++)
        for (size_t k = 0; k < i; k++)
            if (is_same_address(&listen->v[i], &listen->v[k]) &&
                (listen->v[i].scheme == NET_SCHEME_LMTP) !=
                    (listen->v[k].scheme == NET_SCHEME_LMTP))
                return refuse_key(l, relay, "listen", "has one address for both SMTP and LMTP");
    return 0;
}

static bool may_write(const struct conf *c, const char *user)
{
    bool may = (c->mapd.user != NULL && strcmp(user, c->mapd.user) == 0) ||
               (c->sync.user != NULL && strcmp(user, c->sync.user) == 0);

    for (size_t i = 0; i < c->mapd.writers.n; i++)
        may = may || strcmp(user, c->mapd.writers.v[i]) == 0;
    return may;
}

/* What serves strangers must not be able to send them elsewhere for good. */
static int check_users(struct loader *l, cfg_t *cfg)
{
    const struct conf *c = l->conf;
    const struct {
        const char *section, *user;
    } servers[] = {
        {"relay", c->relay.user}, {"milter", c->milter.user}, {"lookup", c->lookup.user}};

    for (size_t i = 0; i < sizeof(servers) / sizeof(servers[0]); i++)
        if (servers[i].user != NULL && may_write(c, servers[i].user))
            return refuse_key(l, cfg_getsec(cfg, servers[i].section), "user",
                "this user may change the map (mapd: user, writers; sync: user), and a program "
                "that serves others may not: give it a user of its own");
    return 0;
}

static int check_rest(struct loader *l, cfg_t *cfg)
{
    struct conf *c = l->conf;
    cfg_t *relay = cfg_getsec(cfg, "relay"), *sync = cfg_getsec(cfg, "sync");
    cfg_t *mapd = cfg_getsec(cfg, "mapd");

    if ((c->relay.tls_cert_file == NULL) != (c->relay.tls_key_file == NULL))
        return refuse_key(l, relay, c->relay.tls_cert_file ? "tls_key_file" : "tls_cert_file",
            "is missing (certificate and key go together)");
    if (check_listen(l, relay) != 0 || check_users(l, cfg) != 0)
        return -1;
    if (c->sync.hold_ms > c->mapd.hold_max_ms)
        return refuse_pair(l, sync, "hold", mapd, "hold_max");
    if (c->sync.barrier_ms > c->mapd.barrier_max_ms)
        return refuse_pair(l, sync, "barrier", mapd, "barrier_max");
    set_host_name(&c->relay);
    return set_milter_socket(l, cfg);
}

static int load_singles(struct loader *l, cfg_t *cfg)
{
    for (int s = 0; s < SCHEMA_SECTIONS; s++) {
        enum schema_section which = (enum schema_section)s;
        cfg_t *section;

        if (schema_section_is_titled(which))
            continue;
        section = which == SCHEMA_TOP ? cfg : cfg_getsec(cfg, schema_section_name(which));
        conf_set_defaults(conf_base(l->conf, which), which);
        if (section != NULL && set_section(l, section, which, conf_base(l->conf, which)) != 0)
            return -1;
    }
    return 0;
}

/* --- Loading --------------------------------------------------------------------------------- */

static int parse_with(struct loader *l, cfg_t *cfg, struct buf *text)
{
    FILE *f = fmemopen((void *)(uintptr_t)buf_cstr(text), text->n, "r");
    int rc;

    if (f == NULL)
        return err_set(l->err, ERR_TEMP, EX_OSERR, "%s: no memory", l->path);
    /* cfg_free() releases it. */
    cfg->filename = strdup(l->path);
    BUG_ON(cfg->filename == NULL);
    rc = cfg_parse_fp(cfg, f);
    (void)fclose(f);
    if (rc != CFG_SUCCESS || l->has_failed)
        return l->has_failed ? -1 : refuse(l, cfg->line, "", "cannot be read");
    if (!is_given(cfg, END_KEY))
        return refuse(l, cfg->line, "", NOT_CLOSED);
    for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++)
        if (is_given(cfg, gone[i].name))
            return refuse_key(l, cfg, gone[i].name, gone[i].remedy);
    if (load_singles(l, cfg) != 0 || load_servers(l, cfg) != 0 || load_domains(l, cfg) != 0)
        return -1;
    return check_rest(l, cfg);
}

int conf_parse(struct slice text, const char *path, struct conf **out, struct err *err)
{
    struct loader l = {.path = path, .err = err};
    struct tables *tables;
    struct buf whole;
    cfg_t *cfg;
    int rc;

    if (slice_find(text, '\0') >= 0)
        return err_set(err, ERR_PERM, EX_CONFIG, "%s: this is not a text file", path);
    if (text.n > FILE_SIZE_MAX)
        return err_set(err, ERR_PERM, EX_CONFIG, "%s: larger than %u bytes", path, FILE_SIZE_MAX);
    buf_init(&whole, FILE_SIZE_MAX + sizeof(END_TEXT));
    if (buf_add(&whole, text) != 0 || buf_add_str(&whole, END_TEXT) != 0) {
        buf_fini(&whole);
        return err_set(err, ERR_TEMP, EX_OSERR, "%s: no memory", path);
    }
    l.conf = mem_zalloc(sizeof(*l.conf));
    l.conf->path = mem_strdup(path);
    tables = tables_new();
    cfg = cfg_init(tables->options[SCHEMA_TOP], CFGF_NONE);
    BUG_ON(cfg == NULL);
    (void)cfg_set_error_function(cfg, report);
    loading = &l;
    rc = parse_with(&l, cfg, &whole);
    loading = NULL;
    (void)cfg_free(cfg);
    free(tables);
    free(l.marks);
    buf_fini(&whole);
    if (rc != 0)
        conf_free(&l.conf);
    else
        *out = l.conf;
    return rc;
}

int conf_load(const char *path, struct conf **out, struct err *err)
{
    struct buf text;
    int rc;

    buf_init(&text, FILE_SIZE_MAX);
    rc = io_read_file(path, FILE_SIZE_MAX, &text, err);
    if (rc != 0 && err != NULL)
        err->code = EX_CONFIG;
    if (rc == 0)
        rc = conf_parse(buf_slice(&text), path, out, err);
    buf_fini(&text);
    return rc;
}
