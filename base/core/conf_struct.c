/* SPDX-License-Identifier: ISC */
/*
 * conf_struct: the configuration as structs: defaults, release, look-ups and printing, all driven
 * by the schema.  conf.c fills it from a file.
 */
#include <stdlib.h>
#include "base/core/buf.h"
#include "base/core/conf.h"
#include "base/core/conf_struct.h"
#include "base/core/conf_value.h"
#include "base/core/mem.h"

void *conf_field(void *base, const struct schema_key *key)
{
    return (char *)base + key->offset;
}

/* The struct of a section that comes once. */
void *conf_base(struct conf *conf, enum schema_section section)
{
    switch (section) {
    case SCHEMA_TOP:
        return conf;
    case SCHEMA_RELAY:
        return &conf->relay;
    case SCHEMA_MILTER:
        return &conf->milter;
    case SCHEMA_LOOKUP:
        return &conf->lookup;
    case SCHEMA_MAPD:
        return &conf->mapd;
    case SCHEMA_SYNC:
        return &conf->sync;
    case SCHEMA_DOMAIN:
    case SCHEMA_SERVER:
        break;
    }
    BUG("this section has a title");
}

void conf_set_defaults(void *base, enum schema_section section)
{
    struct err err = ERR_INIT;

    for (size_t i = 0; i < schema_keys_n; i++) {
        const struct schema_key *key = &schema_keys[i];

        if (key->section != section)
            continue;
        if (key->type == SCHEMA_SERVER_REF)
            *(int *)conf_field(base, key) = CONF_SERVER_NONE;
        else if (key->text != NULL &&
                 conf_value_set(key, conf_field(base, key), slice_str(key->text), &err) != 0)
            BUG("a default is out of range");
    }
}

static void fini_section(void *base, enum schema_section section)
{
    for (size_t i = 0; i < schema_keys_n; i++)
        if (schema_keys[i].section == section)
            conf_value_fini(&schema_keys[i], conf_field(base, &schema_keys[i]));
}

void conf_free(struct conf **cp)
{
    struct conf *c = *cp;

    *cp = NULL;
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->n_domains; i++) {
        fini_section(&c->domains[i], SCHEMA_DOMAIN);
        mem_free_string(&c->domains[i].name);
    }
    for (size_t i = 0; i < c->n_servers; i++) {
        fini_section(&c->servers[i], SCHEMA_SERVER);
        mem_free_string(&c->servers[i].name);
    }
    for (int s = 0; s < SCHEMA_SECTIONS; s++)
        if (!schema_section_is_titled((enum schema_section)s))
            fini_section(conf_base(c, (enum schema_section)s), (enum schema_section)s);
    free(c->domains);
    free(c->servers);
    mem_free_string(&c->path);
    free(c);
}

/* --- Asking ----------------------------------------------------------------------------------- */

bool conf_needs_restart(const struct conf *now, const struct net_endpoint *listens_now,
    const struct conf *fresh, const struct net_endpoint *listens_fresh)
{
    return !net_endpoint_eq(listens_now, listens_fresh) || strcmp(now->run, fresh->run) != 0;
}

bool conf_server_takes_mail(const struct conf_server *server)
{
    return server->smtp.host != NULL;
}

int conf_server_index(const struct conf *conf, struct slice name)
{
    for (size_t i = 0; i < conf->n_servers; i++)
        if (slice_eq(slice_str(conf->servers[i].name), name))
            return (int)i;
    return CONF_SERVER_NONE;
}

const struct conf_domain *conf_domain(const struct conf *conf, struct slice name)
{
    for (size_t i = 0; i < conf->n_domains; i++)
        if (slice_eq_nocase(slice_str(conf->domains[i].name), name))
            return &conf->domains[i];
    return NULL;
}

int conf_server_from(const struct conf *conf, const struct net_addr *addr)
{
    int found = CONF_SERVER_NONE;
    unsigned bits = 0;

    for (size_t i = 0; i < conf->n_servers; i++) {
        const struct conf_ranges *from = &conf->servers[i].from;

        for (size_t j = 0; j < from->n; j++)
            if (net_range_contains(&from->v[j], addr) &&
                (found == CONF_SERVER_NONE || from->v[j].bits > bits)) {
                found = (int)i;
                bits = from->v[j].bits;
            }
    }
    return found;
}

/* --- Printing ----------------------------------------------------------------------------------
 */

static int dump_key(
    const struct conf *conf, const struct schema_key *key, const void *base, struct buf *out)
{
    const void *field = (const char *)base + key->offset;
    const char *indent = key->section == SCHEMA_TOP ? "" : "    ";
    size_t before = out->n, start;

    if (buf_addf(out, "%s%s = ", indent, key->name) != 0)
        return -1;
    start = out->n;
    if (key->type == SCHEMA_SERVER_REF) {
        int index = *(const int *)field;

        if (index >= 0) {
            if (conf_value_quote(conf->servers[index].name, out) != 0)
                return -1;
        } else if (key->choices != NULL && buf_add_str(out, key->choices[0]) != 0) {
            return -1;
        }
    } else if (conf_value_format(key, field, out) != 0) {
        return -1;
    }
    if (out->n == start) {
        buf_truncate(out, before); /* not set */
        return 0;
    }
    return buf_add_byte(out, '\n');
}

static int dump_section(const struct conf *conf, enum schema_section section, const void *base,
    const char *title, struct buf *out)
{
    if (section != SCHEMA_TOP && buf_addf(out, "%s ", schema_section_name(section)) != 0)
        return -1;
    if (title != NULL && (conf_value_quote(title, out) != 0 || buf_add_byte(out, ' ') != 0))
        return -1;
    if (section != SCHEMA_TOP && buf_add_str(out, "{\n") != 0)
        return -1;
    for (size_t i = 0; i < schema_keys_n; i++)
        if (schema_keys[i].section == section && dump_key(conf, &schema_keys[i], base, out) != 0)
            return -1;
    return section != SCHEMA_TOP ? buf_add_str(out, "}\n") : 0;
}

int conf_dump(const struct conf *conf, struct buf *out)
{
    /* conf_base() is for both directions; nothing is changed here. */
    struct conf *c = (struct conf *)(uintptr_t)conf;

    for (int s = 0; s < SCHEMA_SECTIONS; s++) {
        enum schema_section which = (enum schema_section)s;
        size_t n = which == SCHEMA_DOMAIN   ? c->n_domains
                   : which == SCHEMA_SERVER ? c->n_servers
                                            : 1;

        for (size_t i = 0; i < n; i++) {
            const void *base = which == SCHEMA_DOMAIN   ? (const void *)&c->domains[i]
                               : which == SCHEMA_SERVER ? (const void *)&c->servers[i]
                                                        : conf_base(c, which);
            const char *title = which == SCHEMA_DOMAIN   ? c->domains[i].name
                                : which == SCHEMA_SERVER ? c->servers[i].name
                                                         : NULL;

            if (dump_section(conf, which, base, title, out) != 0)
                return -1;
        }
    }
    return 0;
}
