/* SPDX-License-Identifier: ISC */
/*
 * user: users and groups as settings name them: a name of this host, or a number.  For the start of
 * a program: a look-up may ask a directory service and wait for it.
 */
#ifndef BASE_OS_USER_H
#define BASE_OS_USER_H

#include <stddef.h>
#include <sys/types.h>
#include "base/core/attr.h"
#include "base/core/err.h"

#define USER_NAME_MAX 64

struct user {
    uid_t uid;
    gid_t gid;     /* the primary group */
    gid_t *groups; /* owned; all groups, the primary one included */
    size_t n_groups;
};

/* NAME, UID or UID:GID.  A number that is no user of this host has the group of the same number. */
int user_find(const char *text, struct user *out, struct err *err) ATTR_WUR;
int user_find_group(const char *text, gid_t *out, struct err *err) ATTR_WUR; /* NAME or GID */
void user_add_group(struct user *u, gid_t gid);
void user_fini(struct user *u);
/* The name of a user for people, "uid1000" when there is none. */
void user_name(uid_t uid, char out[USER_NAME_MAX]);

#endif
