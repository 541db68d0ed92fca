/* SPDX-License-Identifier: ISC */
/*
 * export: the formats by name, what all of them share, and CSV, which `maptool import` reads back.
 * Tables of mail servers are in export_table.c, lists of proxies in export_list.c.
 */
#include "maps/format/export_priv.h"

#include <stdlib.h>
#include "base/core/clock.h"
#include "base/core/mem.h"
#include "maps/format/csv.h"

#define NAMES_MAX 4096 /* bytes of names that are told */

enum family { CSV, TABLE, LIST };

static const struct format {
    const char *name;
    const char *head; /* the first line */
    enum family family;
} FORMATS[] = {
    [EXPORT_CSV] = {"csv",
        "key,route,kind,deliver_as,note,to,owner,senders,code,text,also,until,source\n", CSV},
    [EXPORT_POSTFIX_TRANSPORT] = {"postfix-transport",
        "# transport(5) table, made by `maptool export`\n", TABLE},
    [EXPORT_POSTFIX_RECIPIENTS] = {"postfix-recipients",
        "# table for relay_recipient_maps, made by `maptool export`\n", TABLE},
    [EXPORT_POSTFIX_VIRTUAL] = {"postfix-virtual", "# virtual(5) table, made by `maptool export`\n",
        TABLE},
    [EXPORT_SENDMAIL_MAILHOST] = {"sendmail-mailhost",
        "# first map of FEATURE(ldap_routing), made by `maptool export`\n", TABLE},
    [EXPORT_SENDMAIL_ADDRESS] = {"sendmail-address",
        "# second map of FEATURE(ldap_routing), made by `maptool export`\n", TABLE},
    [EXPORT_NGINX_MAP] = {"nginx-map", "# for a map block of nginx, made by `maptool export`\n",
        LIST},
    [EXPORT_DOVECOT_PASSDB] = {"dovecot-passdb",
        "# passwd-file for a proxy, made by `maptool export`\n", LIST},
    [EXPORT_STALWART] = {"stalwart", "# made by `maptool export`\n[lookup.\"coexist\"]\n", LIST},
};
_Static_assert(sizeof FORMATS / sizeof FORMATS[0] == EXPORT_FORMATS, "every format has a row");

int export_format_parse(const char *name, enum export_format *out)
{
    for (size_t i = 0; i < EXPORT_FORMATS; i++)
        if (strcmp(name, FORMATS[i].name) == 0) {
            *out = (enum export_format)i;
            return 0;
        }
    return -1;
}

const char *export_format_name(enum export_format format)
{
    return FORMATS[format].name;
}

bool export_is_table(enum export_format format)
{
    return FORMATS[format].family == TABLE;
}

/* --- CSV ---------------------------------------------------------------------------- */

/* A list in one cell: as `import` and `set` read it. */
static int add_list(struct slice rest, struct buf *out)
{
    struct slice part;
    while (route_list_next(&rest, &part))
        if ((out->n && buf_add_byte(out, ',') != 0) || buf_add(out, part) != 0)
            return -1;
    return 0;
}

static int csv_cells(struct slice key, const struct route_entry *e, struct slice to,
    struct slice senders, struct buf *out)
{
    char code[16] = "", until[32] = "";
    if (e->reply_code && fmt_into(code, sizeof code, "%u", e->reply_code) != 0)
        BUG("a number fits");
    if (e->until_s)
        clock_format_utc(e->until_s, until);
    const struct slice cells[] = {key, e->route, slice_str(route_kind_name(e->kind)), e->deliver_as,
        e->note, to, e->owner, senders, slice_str(code), e->reply_text, e->also, slice_str(until),
        e->source};
    for (size_t i = 0; i < sizeof cells / sizeof cells[0]; i++)
        if ((i && buf_add_byte(out, ',') != 0) || csv_write(out, cells[i]) != 0)
            return -1;
    return buf_add_byte(out, '\n');
}

static int csv_entry(struct slice key, const struct route_entry *e, struct buf *out)
{
    struct buf to, senders;
    buf_init(&to, ROUTE_TARGETS_MAX);
    buf_init(&senders, ROUTE_TARGETS_MAX);
    int rc = add_list(e->targets, &to) != 0 || add_list(e->senders, &senders) != 0 ||
                     csv_cells(key, e, buf_slice(&to), buf_slice(&senders), out) != 0
                 ? -1
                 : 0;
    buf_fini(&to);
    buf_fini(&senders);
    return rc;
}

/* --- All ------------------------------------------------------------------------------- */

struct export_domain *export_domain_of(const struct export *x, struct slice key)
{
    const struct conf_domain *d = conf_domain(x->conf, normalise_domain(key));
    return d ? &x->domains[d - x->conf->domains] : NULL;
}

void export_tell(struct export *x, struct slice key)
{
    size_t before = x->left_out_names.n;
    x->left_out++;
    if (buf_add(&x->left_out_names, key) != 0 || buf_add_byte(&x->left_out_names, '\n') != 0)
        buf_truncate(&x->left_out_names, before);
}

int export_begin(struct export *x, struct buf *out)
{
    export_fini(x);
    x->deliver_as = x->held = x->left_out = x->deferred = 0;
    x->domains = mem_zalloc((x->conf->n_domains + 1) * sizeof *x->domains);
    buf_init(&x->left_out_names, NAMES_MAX);
    return buf_add_str(out, FORMATS[x->format].head);
}

void export_ahead(struct export *x, struct slice key, const struct route_entry *entry)
{
    struct export_domain *domain = export_domain_of(x, key);
    if (!domain)
        return;
    if (key.p[0] != '@') {
        export_note_own(x, key);
        return;
    }
    domain->is_held = entry->state == ROUTE_STATE_HELD;
    domain->rewrites = entry->kind == ROUTE_KIND_MAILBOX && entry->deliver_as.n > 0;
}

int export_entry(
    struct export *x, struct slice key, const struct route_entry *entry, struct buf *out)
{
    BUG_ON(key.n == 0);
    switch (FORMATS[x->format].family) {
    case CSV:
        return csv_entry(key, entry, out);
    case TABLE:
        return export_table_entry(x, key, entry, out) == 0
                   ? export_other_entries(x, key, entry, out)
                   : -1;
    case LIST:
        return export_list_entry(x, key, entry, out);
    }
    BUG("export family");
}

int export_end(struct export *x, struct buf *out)
{
    switch (FORMATS[x->format].family) {
    case CSV:
        return 0;
    case TABLE:
        return export_table_end(x, out);
    case LIST:
        return export_list_end(x, out);
    }
    BUG("export family");
}

void export_fini(struct export *x)
{
    export_table_fini(x);
    free(x->own);
    x->own = NULL;
    x->n_own = x->cap_own = 0;
    free(x->domains);
    x->domains = NULL;
    buf_fini(&x->left_out_names);
}

bool export_next_line(struct slice *rest, struct slice *key_out, struct slice *value_out)
{
    struct slice line;
    while (rest->n > 0 && slice_split(rest, '\n', &line)) {
        if (line.n == 0 || line.p[0] == '#' || !slice_split(&line, '\t', key_out))
            continue;
        *value_out = line;
        return true;
    }
    return false;
}
