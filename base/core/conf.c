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
#include "base/core/conf_parts.h"
#include "base/core/conf_struct.h"
#include "base/core/conf_value.h"
#include "base/core/mem.h"
#include "base/core/schema.h"
#include "base/os/io.h"

#define FILE_SIZE_MAX (1U << 20)
#define COPY_BYTES_MAX ((size_t)4 << 20)
#define KEYS_PER_SECTION_MAX 64
#define END_KEY "__end"
#define END_TEXT "\n" END_KEY " = yes\n"
#define NOT_CLOSED "a brace, a quote or a comment is not closed before the end of the file"

/* Where a value stands in the file. */
struct conf_mark {
    const cfg_opt_t *opt;
    unsigned index; /* in a list */
    int line;
    bool is_closed; /* the first of a list: the list is over */
};

static _Thread_local struct conf_loader *loading;

/* --- Messages -------------------------------------------------------------------------- */

static int refuse(struct conf_loader *l, int line, const char *where, const char *what)
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

static int refuse_in(
    struct conf_loader *l, cfg_t *section, const char *name, int line, const char *what)
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

static struct conf_mark *find_mark(
    const struct conf_loader *l, const cfg_opt_t *opt, unsigned index)
{
    for (size_t i = 0; i < l->n_marks; i++)
        if (l->marks[i].opt == opt && l->marks[i].index == index)
            return &l->marks[i];
    return NULL;
}

static int line_of(const struct conf_loader *l, cfg_opt_t *opt, unsigned index)
{
    const struct conf_mark *m = find_mark(l, opt, index);

    return m != NULL ? m->line : 0;
}

static int add_mark(struct conf_loader *l, const cfg_opt_t *opt, unsigned index, int line)
{
    l->marks = mem_realloc_array(l->marks, l->n_marks + 1, sizeof(*l->marks));
    l->marks[l->n_marks++] = (struct conf_mark){.opt = opt, .index = index, .line = line};
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
    struct conf_mark *first = find_mark(loading, opt, 0);

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

static int set_section(struct conf_loader *l, cfg_t *section, enum schema_section which, void *base)
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
                if (conf_set_server_ref(l, section, key, text, conf_field(base, key)) != 0)
                    return -1;
            } else if (conf_value_set(key, conf_field(base, key), slice_str(text), &why) != 0) {
                return refuse_in(l, section, key->name, line_of(l, opt, n), why.text);
            }
        }
    }
    return 0;
}

cfg_t *conf_section(cfg_t *top, const char *name)
{
    return cfg_getsec(top, name);
}

bool conf_is_given(cfg_t *section, const char *name)
{
    cfg_opt_t *opt = cfg_getopt(section, name);

    return opt != NULL && cfg_opt_size(opt) > 0 && cfg_opt_getnstr(opt, 0) != NULL;
}

int conf_refuse_key(struct conf_loader *l, cfg_t *section, const char *name, const char *what)
{
    int line =
        conf_is_given(section, name) ? line_of(l, cfg_getopt(section, name), 0) : section->line;

    return refuse_in(l, section, name, line, what);
}

/* --- Servers ------------------------------------------------------------------------------ */

static int load_servers(struct conf_loader *l, cfg_t *cfg)
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
        if (!conf_is_server_name(name))
            return refuse(l, section->line, "server",
                "a name has 1 to 32 letters, digits, hyphens or underscores and is not reject");
        for (unsigned j = 0; j < i; j++)
            if (slice_eq_nocase(name, slice_str(c->servers[j].name)))
                return refuse(l, section->line, "server", "two names differ in case only");
        conf_set_defaults(s, SCHEMA_SERVER);
        s->name = slice_dup(name);
        c->n_servers++;
        if (set_section(l, section, SCHEMA_SERVER, s) != 0 ||
            conf_check_server(l, section, s) != 0 || conf_check_from(l, section, i) != 0)
            return -1;
    }
    return 0;
}

/* --- Domains ------------------------------------------------------------------------------- */

static int load_domains(struct conf_loader *l, cfg_t *cfg)
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
        d->postmaster_server = conf_first_mail_server(c);
        if (set_section(l, section, SCHEMA_DOMAIN, d) != 0 || conf_check_domain(l, section, d) != 0)
            return -1;
    }
    return 0;
}

/* --- Sections that come once ---------------------------------------------------------------- */

static int load_singles(struct conf_loader *l, cfg_t *cfg)
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

static int parse_with(struct conf_loader *l, cfg_t *cfg, struct buf *text)
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
    if (!conf_is_given(cfg, END_KEY))
        return refuse(l, cfg->line, "", NOT_CLOSED);
    for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++)
        if (conf_is_given(cfg, gone[i].name))
            return conf_refuse_key(l, cfg, gone[i].name, gone[i].remedy);
    if (load_singles(l, cfg) != 0 || load_servers(l, cfg) != 0 || load_domains(l, cfg) != 0)
        return -1;
    return conf_check_rest(l, cfg);
}

int conf_parse(struct slice text, const char *path, struct conf **out, struct err *err)
{
    struct conf_loader l = {.path = path, .err = err};
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

int conf_copy(const struct conf *conf, struct conf **out, struct err *err)
{
    struct buf text;

    buf_init(&text, COPY_BYTES_MAX);
    int rc = conf_dump(conf, &text) != 0
                 ? err_set(err, ERR_PERM, EX_CONFIG, "the configuration is too long")
                 : conf_parse(buf_slice(&text), conf->path, out, err);
    buf_fini(&text);
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
