/* SPDX-License-Identifier: ISC */
/* journal_parts: what the files of the journal share among themselves. */
#ifndef IMAPSYNC_JOURNAL_JOURNAL_PARTS_H
#define IMAPSYNC_JOURNAL_JOURNAL_PARTS_H

#include "base/os/bdb.h"
#include "imapsync/journal/journal.h"

struct journal_tables {
    struct bdb_env *env;
    struct bdb *state, *pairs, *uids, *digests;
    struct bdb_txn *txn;
    struct span *spans; /* that the transaction has looked at: journal_spans.c */
    size_t n_spans;
};

struct journal {
    char *dir, *source, *target;
    int lock_fd;
    struct journal_tables t; /* env NULL: it has failed and could not be opened again */
    bool is_marked;          /* the mark of a clean close is on the disk */
    bool is_damaged;         /* its octets are whole and make no sense */
    bool is_throw_away;      /* its folder goes when it is closed */
    bool is_complete;
    bool is_of_before;   /* as it was opened: of an earlier version */
    bool has_way;        /* it was turned at some time */
    bool has_alone;      /* a pair may stand alone all the same */
    int way_from;        /* the source's side when it was last used */
    bool is_way_through; /* all that the change to it asked for is done */
    int from, to;        /* sides of the source and of the target */
    const struct journal_watch *watch, *watch_beside; /* the second: while it is exchanged */
    uint32_t last_folder;
    uint64_t last_intent;
    struct buf item; /* the one that was asked for last */
    struct err txn_err;
    int txn_result;
    bool is_changing;   /* between begin and commit */
    bool gathers;       /* a change of folders may wait for the next one */
    unsigned n_waiting; /* so many do, in the transaction that is open */
    bool has_new_last;  /* the last numbers have changed: written with the commit */
};

/* What is in DIR/journal, and whose it is; under the lock. */
int journal_open_tables(struct journal *j, const char *home, struct err *err) ATTR_WUR;

/* The records make no sense: the journal will be set aside. */
int journal_damaged(struct journal *j, const char *what, struct err *err);
void journal_put_record(
    struct journal *j, struct bdb *db, const struct buf *key, const struct buf *value);
void journal_del_record(struct journal *j, struct bdb *db, const struct buf *key);

/* Drops what journal_folder_succeed() has left. */
int journal_drop_over(struct journal *j, struct err *err) ATTR_WUR;
int journal_compared_forget(struct journal *j, uint32_t folder, struct err *err) ATTR_WUR;

/* Part of a change: what is known of the folder goes with its new name. */
void journal_items_rename(struct journal *j, int side, struct slice from, struct slice to);

/* Of a folder, of every kind. */
int journal_intents_any(struct journal *j, uint32_t folder, struct intent **out, size_t *n_out,
    struct err *err) ATTR_WUR;

/* journal_commit(), or, while the journal gathers, later. */
int journal_commit_later(struct journal *j, struct err *err) ATTR_WUR;

/* Part of a change: the last numbers of folders and intents are written with it. */
void journal_put_last(struct journal *j);

/* Of one folder (journal_scan.c): `pairs` or `uids` from this UID on. */
int scan_open(struct journal *j, struct bdb *db, uint32_t folder, uint32_t uid,
    struct bdb_cursor **out, struct err *err) ATTR_WUR;
/* The next record of the folder.  1: one, 0: no more. */
int scan_next(struct bdb_cursor *c, uint32_t folder, uint32_t *uid_out, struct slice *out,
    struct err *err) ATTR_WUR;

/* The pairs under a UID of the source; and the one that has only this UID of the target: state 0,
 * there is none. */
typedef int each_pair(
    struct journal *j, uint32_t folder, const struct record_pair *p, void *arg, struct err *err);
int journal_each_of_source(struct journal *j, uint32_t folder, uint32_t uid, each_pair *each,
    void *arg, struct err *err) ATTR_WUR;
int journal_get_alone(struct journal *j, uint32_t folder, uint32_t tgt_uid, struct record_pair *out,
    struct err *err) ATTR_WUR;

/* --- Tables, without a journal around them: migration fills them too ----------------- */

#define TABLES_DAMAGED 1 /* 0 and -1 as everywhere: it was read and makes no sense */
struct pair journal_as_pair(const struct journal *j, const struct record_pair *p);
/* r, or -1 when it says that the tables are damaged. */
int journal_as_error(struct journal *j, int r, const char *what, struct err *err) ATTR_WUR;

/* What stands under a UID of B: UIDs of A, a pair that has none, or both. */
struct under_b {
    bool found, is_pair;
    struct record_pair pair;
    struct buf uids; /* the caller's to free, whatever the result is */
};

int tables_get_a(struct journal_tables *t, uint32_t folder, uint32_t uid, struct record_pair *out,
    bool *found_out, struct err *err) ATTR_WUR;
int tables_get_b(struct journal_tables *t, uint32_t folder, uint32_t uid, struct under_b *out,
    struct err *err) ATTR_WUR;
int tables_put_pair(struct journal_tables *t, uint32_t folder, const struct record_pair *p,
    struct err *err) ATTR_WUR;
/* What stands under its UID on A alone: it has one, and all else is as it was. */
int tables_put_under_a(struct journal_tables *t, uint32_t folder, const struct record_pair *p,
    struct err *err) ATTR_WUR;
int tables_drop_pair(struct journal_tables *t, uint32_t folder, const struct record_pair *p,
    struct err *err) ATTR_WUR;

/* Ends the transaction, if there is one; its spans go with it. */
int tables_commit(struct journal_tables *t, struct err *err) ATTR_WUR;
void tables_abort(struct journal_tables *t);

/* --- Which UIDs have pairs (journal_spans.c) -------------------------------------------- */

/* What stands under a UID of a side is now this (struct record_span).  Whoever writes a record of
 * `pairs` or `uids` says so, in the same transaction. */
int spans_set(struct journal_tables *t, uint32_t folder, int side, uint32_t uid, uint8_t what,
    struct err *err) ATTR_WUR;
uint8_t spans_under_a(const struct record_pair *p);
uint8_t spans_under_b(bool is_pair, const struct record_pair *alone, size_t n_uids);
/* What has changed of those that were looked at; none are in memory behind it. */
int spans_write(struct journal_tables *t, struct err *err) ATTR_WUR;
void spans_forget(struct journal_tables *t);
/* From all pairs, for a journal of a version without them. */
int spans_make(struct journal_tables *t, struct err *err) ATTR_WUR;

/* Of a copy of a journal (journal_throw_away.c): all of the folder. */
void throw_away(const char *dir);

/* --- On the disk (journal_disk.c) ------------------------------------------------------ */

#define JOURNAL_CACHE_SIZE (1u << 20)

int disk_path(struct buf *out, const char *dir, const char *name, struct err *err) ATTR_WUR;
bool disk_has(const char *path);
bool disk_has_log(const char *home);
/* A folder of files of which nothing is needed any more. */
void disk_remove(const char *path);
int disk_move(const char *dir, const char *from, const char *to, struct err *err) ATTR_WUR;
/* When it cannot be moved it stays, and the next opening says so again. */
void disk_set_aside(struct journal *j, const char *why);
/* One of the version before, which has no folder of its own. */
int disk_set_aside_old(struct journal *j, const char *why, struct err *err) ATTR_WUR;
/* Opens all tables of a journal in `home`; is_new: makes them. */
int tables_open(const char *home, bool is_clean, bool is_new, struct journal_tables *out,
    struct err *err) ATTR_WUR;
/* true: nothing has to be recovered. */
bool tables_close(struct journal_tables *t);
/* Closes them; what is damaged is set aside. */
void disk_close(struct journal *j);
/* The mark of a clean close.  Without one the next opening recovers, which is slow and right. */
void disk_write_mark(const char *home);
int disk_remove_mark(struct journal *j, struct err *err) ATTR_WUR;

/* Whether dir has a journal of the version before this one, which lay in the folder itself. */
bool journal_is_old(const char *dir);
void journal_move_old(const char *dir, const char *to); /* NULL: removes it */
/* Reads it into the new tables.  It must not be locked by the caller. */
int journal_migrate(const char *dir, const char *source, const char *target,
    struct journal_tables *into, struct err *err) ATTR_WUR;

#endif
