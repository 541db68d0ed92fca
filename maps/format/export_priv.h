/* SPDX-License-Identifier: ISC */
/* export_priv: what the files of export share and nobody else sees. */
#ifndef MAPS_FORMAT_EXPORT_PRIV_H
#define MAPS_FORMAT_EXPORT_PRIV_H

#include "maps/format/export.h"

#define EXPORT_ROLES 2 /* postmaster and abuse */

/* What the lines of a domain depend on. */
struct export_domain {
    bool is_held;
    bool rewrites;  /* its "@domain" entry has a deliver_as */
    bool has_entry; /* "@domain", whose line is written */
    bool has_role[EXPORT_ROLES];
    /* Users that the table cannot have, and where they are: a server's index, or several. */
    bool has_lost, is_lost_scattered;
    int lost_server;
};

/* A line that is written at the end.  The texts are its own. */
struct export_line {
    char *key, *folded, *answer;
    bool is_refusal;
};

/* NULL: the domain is not in the configuration. */
struct export_domain *export_domain_of(const struct export *x, struct slice key);
/* Names an entry that the format cannot have. */
void export_tell(struct export *x, struct slice key);

/* The tables of Postfix and Sendmail. */
int export_table_entry(
    struct export *x, struct slice key, const struct route_entry *entry, struct buf *out) ATTR_WUR;
int export_table_end(struct export *x, struct buf *out) ATTR_WUR;
void export_table_fini(struct export *x);

/* The other addresses of lists, in tables (export_other.c). */
void export_note_own(struct export *x, struct slice key);
int export_other_entries(
    struct export *x, struct slice key, const struct route_entry *entry, struct buf *out) ATTR_WUR;

/* The lists of proxies. */
int export_list_entry(
    struct export *x, struct slice key, const struct route_entry *entry, struct buf *out) ATTR_WUR;
int export_list_end(struct export *x, struct buf *out) ATTR_WUR;

#endif
