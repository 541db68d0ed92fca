/* SPDX-License-Identifier: ISC */
/* journal_parts: what the files of the journal share among themselves. */
#ifndef IMAPSYNC_COPY_JOURNAL_PARTS_H
#define IMAPSYNC_COPY_JOURNAL_PARTS_H

#include "base/os/bdb.h"
#include "imapsync/copy/journal.h"

struct journal_tables {
    struct bdb_env *env;
    struct bdb *state, *pairs, *uids, *digests;
    struct bdb_txn *txn;
};

struct journal {
    char *dir, *source, *target;
    int lock_fd;
    struct journal_tables t; /* env NULL: it has failed and could not be opened again */
    bool is_marked;          /* the mark of a clean close is on the disk */
    bool is_damaged;         /* its octets are whole and make no sense */
    bool is_complete;
    bool is_of_before; /* as it was opened: of an earlier version */
    int from, to;      /* sides of the source and of the target */
    const struct journal_watch *watch;
    uint32_t last_folder;
    uint64_t last_intent;
    struct err txn_err;
    int txn_result;
};

/* The records make no sense: the journal will be set aside. */
int journal_damaged(struct journal *j, const char *what, struct err *err);
void journal_put_record(
    struct journal *j, struct bdb *db, const struct buf *key, const struct buf *value);
void journal_del_record(struct journal *j, struct bdb *db, const struct buf *key);

/* Drops what journal_folder_succeed() has left. */
int journal_drop_over(struct journal *j, struct err *err) ATTR_WUR;
int journal_compared_forget(struct journal *j, uint32_t folder, struct err *err) ATTR_WUR;

/* --- Tables, without a journal around them: migration fills them too ----------------- */

int tables_put_pair(struct journal_tables *t, uint32_t folder, const struct record_pair *p,
    struct err *err) ATTR_WUR;

/* --- On the disk ----------------------------------------------------------------------- */

#define JOURNAL_CACHE_SIZE (1u << 20)

/* Whether dir has a journal of the version before this one, which lay in the folder itself. */
bool journal_is_old(const char *dir);
void journal_move_old(const char *dir, const char *to); /* NULL: removes it */
/* Reads it into the new tables.  It must not be locked by the caller. */
int journal_migrate(const char *dir, const char *source, const char *target,
    struct journal_tables *into, struct err *err) ATTR_WUR;

#endif
