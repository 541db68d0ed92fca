/* SPDX-License-Identifier: ISC */
/*
 * site: what readers of tables of mail servers share: to what place a name in such a table belongs,
 * and the rows that come of it.  Pure.
 *
 * Such tables speak of more domains than ours and say things that no map can have.  What is about
 * other domains is noted; what is lost is told as lost.
 */
#ifndef MAPS_FORMAT_SITE_H
#define MAPS_FORMAT_SITE_H

#include "base/core/attr.h"
#include "base/core/conf.h"
#include "base/core/err.h"
#include "maps/format/sink.h"

#define SITE_HOPS_MAX 64
#define SITE_TARGETS_MAX 8192 /* bytes of the addresses of one alias, with commas */

/* "smtp:[10.1.1.5]:25" is server "old". */
struct site_hop {
    struct slice hop, server;
};

struct site {
    const struct conf *conf;
    const struct sink *sink;
    struct slice domain; /* of names without one; n == 0: there is none */
    struct site_hop hops[SITE_HOPS_MAX];
    size_t n_hops;
};

/* "HOP=SERVER" (--next-hop). */
int site_hop(struct site *s, struct slice text, struct err *err) ATTR_WUR;

/* The first word of a line and the rest, both without blanks around.  A word may stand in quotes,
 * or have some, as in "a b"@example.org. */
struct slice site_word(struct slice text, struct slice *rest_out);

/* --- Names ------------------------------------------------------------------------------------ */

enum site_place {
    SITE_OURS,
    SITE_ELSEWHERE, /* another domain */
    SITE_NOWHERE,   /* no address, or no domain is known for it */
};
/* An address, a name without a domain or "@domain" as an address with a domain, appended to out. */
enum site_place site_address(const struct site *s, struct slice name, struct buf *out);

/* --- Rows ------------------------------------------------------------------------------------- */

/* All take the key as it stands in the file, and give at most one row.  0, or -1 from the sink. */
/* hop: "" for none. */
int site_mailbox(const struct site *s, size_t line, struct slice key, struct slice hop,
    struct slice deliver_as, struct err *err) ATTR_WUR;
/* Addresses with commas between them.  One that is the key itself makes a mailbox, if it is alone;
 * to other domains only, it is a forward. */
int site_alias(const struct site *s, size_t line, struct slice key, struct slice targets,
    struct err *err) ATTR_WUR;
/* Its server expands it. */
int site_group(const struct site *s, size_t line, struct slice key, struct slice hop,
    struct err *err) ATTR_WUR;
/* What the table answers (answer.h). */
int site_reject(const struct site *s, size_t line, struct slice key, struct slice text,
    struct err *err) ATTR_WUR;

#endif
