/* SPDX-License-Identifier: ISC */
/*
 * acls: rights of others on the folders of a user, given on the target to whom a file names: a line
 * for each, what he is called on the source and what on the target, with a blank between; empty
 * lines and those that begin with "#" say nothing.  "anyone" is anyone without a line.
 */
#ifndef IMAPSYNC_COPY_ACLS_H
#define IMAPSYNC_COPY_ACLS_H

#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/err.h"

/* The text of the file; borrowed. */
struct acl_names {
    struct slice text;
    bool is_wanted;
};

#define ACL_FILE_MAX (1u << 20) /* octets */

/* Into an empty buffer of ACL_FILE_MAX. */
int acl_names_read(
    const char *path, struct buf *text, struct acl_names *out, struct err *err) ATTR_WUR;
/* -1: a line is none. */
int acl_names_check(const struct acl_names *names, struct err *err) ATTR_WUR;
/* Who that is on the target; false: nobody has said.  "-bob" are rights that bob has not. */
bool acl_names_find(const struct acl_names *names, struct slice old, struct buf *out);

struct copy;
struct pass;
/* Of all folders that both sides have, on the way for which the names are; what cannot be given is
 * an item of the folder. */
int copy_acls(struct copy *c, struct pass *p, struct err *err) ATTR_WUR;

#endif
