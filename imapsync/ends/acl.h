/* SPDX-License-Identifier: ISC */
/*
 * acl: who has which rights on a folder (RFC 4314), and what the letters of one server are on
 * another.  A server of RFC 2086 has "c" for making and "d" for all kinds of deleting, where RFC
 * 4314 has k, and x, t and e; one that speaks the newer tells both, and then only the new ones
 * count.
 */
#ifndef IMAPSYNC_ENDS_ACL_H
#define IMAPSYNC_ENDS_ACL_H

#include <stdbool.h>
#include "base/core/slice.h"

#define ACL_LETTERS 32

/* Letters, in the order of RFC 4314, each once. */
struct acl_rights {
    char given[ACL_LETTERS]; /* as the target writes them */
    char lost[ACL_LETTERS];  /* of the source: the target has nothing for them */
};

/* is_old: the server speaks RFC 2086. */
void acl_translate(
    struct slice rights, bool is_old_source, bool is_old_target, struct acl_rights *out);
/* Whether both are the same letters, in any order. */
bool acl_is_same(struct slice rights, const char *given);

#endif
