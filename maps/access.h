/* SPDX-License-Identifier: ISC */
/*
 * access: which user each program becomes, and who owns the directories that they share.  The table
 * of users, groups and modes is in coexist(7).
 *
 * Everything here is for the start of a program: it may ask a directory service and wait.
 */
#ifndef MAPS_ACCESS_H
#define MAPS_ACCESS_H

#include <stdbool.h>
#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/conf.h"
#include "base/core/err.h"
#include "base/os/user.h"

/* As root: becomes `user` (of the program's section; NULL: stays root) and joins the group that may
 * read RUN.  Nothing for others. */
int access_become(const struct conf *conf, const char *user, struct err *err) ATTR_WUR;
/* As root, with a user of mapd or a group in the configuration: RUN is there, STATE/map too with
 * makes_map, and both belong to mapd's user, which this process then is.  It joins the group of the
 * relay's user, whose claims it reads.  For mapd, and for maptool when it works without one. */
int access_become_mapd(const struct conf *conf, bool makes_map, struct err *err) ATTR_WUR;
/* As root: STATE/sync is there and belongs to its user, which this process then is. */
int access_become_sync(const struct conf *conf, struct err *err) ATTR_WUR;

/* Where `coexist-sync run` listens: RUN/sync.sock, and STATE/sync/run.sock when it has a user of
 * its own, who may make nothing in RUN. */
int access_sync_socket(const struct conf *conf, struct buf *out, struct err *err) ATTR_WUR;

/* --- Who may change the map ------------------------------------------------------------ */

struct access_writer {
    uid_t uid;
    char name[USER_NAME_MAX];
};

#define ACCESS_CONSUMERS_MAX 3

struct access_writers {
    struct access_writer *v; /* owned */
    size_t n;
    uid_t consumers[ACCESS_CONSUMERS_MAX];
    size_t n_consumers;
};

/* Root, our own user, that of coexist-sync, and mapd.writers; an error if one of these, root aside,
 * is also the user of the relay, the milter or the lookup. */
int access_writers_load(
    const struct conf *conf, struct access_writers *out, struct err *err) ATTR_WUR;
/* NULL: this user may only read. */
const struct access_writer *access_writer(const struct access_writers *w, uid_t uid);
/* Who a process is for the change log: the name of its user, and of whoever signed in and became
 * that user: "root (login uid1000)".  The kernel knows the second from the login (pam_loginuid). */
void access_who(pid_t pid, uid_t uid, const char *name, char *out, size_t size);
/* The same with the file that the kernel keeps for the process. */
void access_who_from(
    const char *loginuid_path, uid_t uid, const char *name, char *out, size_t size);
/* The user of the relay, the milter or the lookup, who has the snapshot and needs nothing of mapd:
 * whoever takes such a program over is to learn no more than it knew. */
bool access_is_consumer(const struct access_writers *w, uid_t uid);
void access_writers_fini(struct access_writers *w);

#endif
