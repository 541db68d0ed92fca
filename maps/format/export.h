/* SPDX-License-Identifier: ISC */
/*
 * export: the map in formats of others, one entry at a time, pure.
 *
 *     struct export x = {.conf = conf, .format = EXPORT_CSV};
 *     export_begin(&x, out);
 *     export_ahead(&x, key, entry) ...; export_entry(&x, key, entry, out) ...;
 *     export_end(&x, out);
 *     export_fini(&x);
 *
 * "@domain" entries are told before all others, by export_ahead(), and come again among them: what
 * they say concerns lines of others.  Where export_wants_all() says so, all entries are told so.
 */
#ifndef MAPS_FORMAT_EXPORT_H
#define MAPS_FORMAT_EXPORT_H

#include <stdbool.h>
#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/conf.h"
#include "maps/route.h"

enum export_format {
    EXPORT_CSV,
    EXPORT_POSTFIX_TRANSPORT,  /* transport(5) */
    EXPORT_POSTFIX_RECIPIENTS, /* relay_recipient_maps */
    EXPORT_POSTFIX_VIRTUAL,    /* virtual(5): deliver_as */
    EXPORT_SENDMAIL_MAILHOST,  /* the first map of FEATURE(ldap_routing) */
    EXPORT_SENDMAIL_ADDRESS,   /* the second one: deliver_as */
    EXPORT_NGINX_MAP,          /* lines for a map block: address to HOST:PORT of its IMAP server */
    EXPORT_DOVECOT_PASSDB,     /* passwd-file(5) with the fields of a proxy */
    EXPORT_STALWART,           /* an in-memory lookup store: address = "server" */
    EXPORT_FORMATS
};

struct export_domain;
struct export_line;

struct export
{
    const struct conf *conf;
    enum export_format format;
    /* What the format cannot say. */
    size_t deliver_as, held;       /* entries whose whole meaning it cannot */
    size_t left_out;               /* entries that it cannot have at all, and the first of them */
    struct buf left_out_names;     /* a line each */
    size_t deferred;               /* domains whose own line waits instead, for their sake */
    struct export_domain *domains; /* by index in conf->domains */
    struct export_line *cased;     /* lines that wait for the end */
    size_t n_cased, cap_cased;
    struct export_line *origins; /* addresses by which recipients are delivered */
    size_t n_origins, cap_origins;
    uint64_t *own; /* hashes of addresses of lists that have an entry themselves */
    size_t n_own, cap_own;
    bool is_own_sorted;
    uint64_t *keys; /* hashes of all keys, if there may be such addresses */
    size_t n_keys, cap_keys;
};

int export_format_parse(const char *name, enum export_format *out) ATTR_WUR;
const char *export_format_name(enum export_format format);
/* A line is a key, a tab and a value: it can be made a file of Berkeley DB. */
bool export_is_table(enum export_format format);
/* All return -1 when out is full.  After a begin, whatever it returned, comes a fini; begin may be
 * called anew before it. */
int export_begin(struct export *x, struct buf *out) ATTR_WUR;
bool export_wants_all(const struct export *x);
void export_ahead(struct export *x, struct slice key, const struct route_entry *entry);
int export_entry(
    struct export *x, struct slice key, const struct route_entry *entry, struct buf *out) ATTR_WUR;
int export_end(struct export *x, struct buf *out) ATTR_WUR;
void export_fini(struct export *x); /* the counters stay */
/* The next line of a table. False: there is none. */
bool export_next_line(struct slice *rest, struct slice *key_out, struct slice *value_out);

#endif
