/* SPDX-License-Identifier: ISC */
/*
 * users: what is durable of all users: their records and what was asked for.  One Berkeley DB
 * environment, STATE/sync/store, that one process has open at a time: `coexist-sync run`, or a
 * command where there is none.  That process opens no journal.
 *
 *   database  key    value
 *   users     user   the record (move/record.h)
 *   requests  user   the request (request.h)
 *   meta      'v'    version: one octet
 *
 * A damaged store is an error of every call, and the process has to end; the next opening recovers.
 */
#ifndef IMAPSYNC_JOBS_USERS_H
#define IMAPSYNC_JOBS_USERS_H

#include "base/core/conf.h"
#include "imapsync/jobs/request.h"
#include "imapsync/move/record.h"

#define USERS_VERSION 1

struct users;

/* Makes it when it is not there, and takes over the records of before (import.h).  Somebody else
 * has it: ERR_TEMP, EX_TEMPFAIL. */
int users_open(const struct conf *conf, struct users **out, struct err *err) ATTR_WUR;
void users_close(struct users **s);
bool users_is_failed(const struct users *s);

/* MOVE_NONE in *out when there is none. */
int users_load(
    struct users *s, const char *user, struct move_record *out, struct err *err) ATTR_WUR;
/* Durable when they return 0, or, between begin and commit, when that does; -1: nothing of it is,
 * and the transaction has ended. */
int users_save(struct users *s, const struct move_record *r, struct err *err) ATTR_WUR;
int users_ask(struct users *s, const char *user, const struct request *r, struct err *err) ATTR_WUR;
int users_forget(struct users *s, const char *user, struct err *err) ATTR_WUR; /* the request */
int users_begin(struct users *s, struct err *err) ATTR_WUR;
int users_commit(struct users *s, struct err *err) ATTR_WUR;

/* In the order of names, from the first one above `after` on (NULL: all); stops when `each` returns
 * non-zero, and returns that.  What cannot be read is logged and left out. */
int users_each(struct users *s, const char *after, bool with_report,
    int (*each)(void *arg, struct move_record *r), void *arg, struct err *err) ATTR_WUR;
int users_each_request(struct users *s,
    int (*each)(void *arg, const char *user, const struct request *r), void *arg,
    struct err *err) ATTR_WUR;

/* STATE/sync, and whether it is there. */
int users_base(const struct conf *conf, struct buf *out, struct err *err) ATTR_WUR;

#endif
