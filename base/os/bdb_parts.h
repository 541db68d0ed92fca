/* SPDX-License-Identifier: ISC */
/*
 * bdb_parts: what the files of bdb share among themselves.  Nobody else knows Berkeley DB.
 */
#ifndef BASE_OS_BDB_PARTS_H
#define BASE_OS_BDB_PARTS_H

#include <db.h>
#include "base/os/bdb.h"

#define FILE_MODE 0600

struct bdb_env {
    DB_ENV *env;
    int lock_fd;
    bool is_in_use;    /* there was a transaction: from now on a panic ends the process */
    bool has_panicked; /* before that, or contained */
    struct bdb_options options;
    bool is_failed, is_damaged; /* of a contained one */
    int panic_rc;               /* its cause; the call that notices knows only DB_RUNRECOVERY */
    uint64_t messages_since_ms;
    unsigned n_messages;     /* since then */
    char first_message[128]; /* of the start: what came first is the cause */
};

struct bdb {
    DB *db;
    struct bdb_env *env;
};

struct bdb_txn {
    DB_TXN *txn;
    struct bdb_env *env;
};

_Noreturn void bdb_end_process(const char *why);
/* The end of a contained environment: what it has not written is not to be written any more. */
void bdb_fail_contained(struct bdb_env *e, int rc, bool is_read);
/* What a return code means, as an error of the call: "DOING WHAT: ...".  -1, or no return. */
int bdb_fail(struct bdb_env *e, int rc, const char *doing, const char *what, struct err *err);
/* Why a start failed.  Never EX_TEMPFAIL, which stands for a lock that somebody else has. */
int bdb_fail_start(
    const struct bdb_env *e, int rc, const char *doing, const char *what, struct err *err);
/* In a panic the library frees nothing, and without one it writes at the close what it has: pages
 * whose log is not on the disk. */
void bdb_begin_close(struct bdb_env *e);

#endif
