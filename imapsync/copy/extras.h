/* SPDX-License-Identifier: ISC */
/*
 * extras: what folders have beside their messages, given on the target as well: annotations, and
 * rights of others (acls.h).  Nothing is taken away there.
 *
 * Many folders are asked in one round trip, and the target only about those that have something.
 */
#ifndef IMAPSYNC_COPY_EXTRAS_H
#define IMAPSYNC_COPY_EXTRAS_H

#include "imapsync/copy/copy_parts.h"
#include "imapsync/ends/named.h"

/* What one folder, or the mailbox as a whole, has. */
struct extra {
    struct copy *c;
    const struct extra_kind *kind;
    const struct folder *told_of; /* by whose name what is missing is told */
    struct slice from, there;     /* its names; there is owned */
    bool is_kept;                 /* the target has something of the kind */
    struct named_list old, new;
    struct end_ticket asked, asked_there;
    struct giving *giving; /* owned; at most one for each of old */
    size_t n_giving;
    struct buf words; /* what cannot be given */
    uint64_t n_lost;
};

struct extra_kind {
    unsigned can, can_all; /* END_CAN_...; can_all: of the mailbox as a whole; 0: nothing */
    enum item_code code;
    const char *name; /* "annotations" */
    void (*ask)(struct end *e, struct slice name, struct named_list *out, struct end_ticket *t);
    void (*give)(struct end *e, struct slice name, struct slice what, struct slice value,
        struct end_ticket *t);
    /* Whether this one of the source is to be there at all. */
    bool (*concerns)(const struct extra *x, const struct named *has);
    /* Gives what the target lacks of this one of the source, or says why not. */
    void (*weigh)(struct extra *x, const struct named *has);
};

/* At most once for each one of old; shown: beside its name when it is refused, at most ACL_LETTERS
 * octets. */
void extra_give(struct extra *x, const struct named *has, struct slice what, struct slice value,
    const char *shown);
void extra_lost(struct extra *x, struct slice what, const char *shown, const char *why);

/* Of all folders that both sides have; what cannot be given is an item of the folder. */
int copy_extras(
    struct copy *c, struct pass *p, const struct extra_kind *kind, struct err *err) ATTR_WUR;

/* Annotations; has_new: folders have come since.  Once in the life of a copy all are looked at, and
 * again when folders come. */
int copy_metadata(struct copy *c, struct pass *p, bool has_new, struct err *err) ATTR_WUR;
/* Whether an annotation is the user's, and not one by which a server keeps its own things; is_all:
 * one of the mailbox as a whole, where what is shared is the server's. */
bool metadata_is_users(struct slice entry, bool is_all);

#endif
