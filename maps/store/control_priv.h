/* SPDX-License-Identifier: ISC */
/* control_priv: what the files of control share and nobody else sees. */
#ifndef MAPS_STORE_CONTROL_PRIV_H
#define MAPS_STORE_CONTROL_PRIV_H

#include "base/core/arena.h"
#include "maps/store/control.h"

/* Every operation returns one of these.  After REFUSED nothing has happened, unless it is a batch,
 * whose transaction is then aborted. */
enum control_outcome { CONTROL_FAILED = -1, CONTROL_DONE = 0, CONTROL_REFUSED = 1 };

/* One request being executed. */
struct control_call {
    struct control *c;
    struct control_session *session;
    struct store_txn *txn;
    const json_t *request;
    json_t *reply; /* members of the reply; kept when the request is refused */
    struct store_cause cause;
    struct err *err;
};

int control_refuse(struct control_call *call, enum err_class class, int code, const char *fmt, ...)
    ATTR_PRINTF(4, 5);
void control_set(json_t *object, const char *name, struct slice text);
void control_set_u64(json_t *object, const char *name, uint64_t v);
void control_set_time(json_t *object, const char *name, int64_t when_s);
json_t *control_entry_json(struct slice key, const struct route_entry *entry);

/* "consumers" into the reply. */
void control_add_consumers(const struct control_call *call);

/* --- Changes of entries --------------------------------------------------------------- */

enum {
    CHANGE_KIND = 1 << 0,
    CHANGE_ROUTE = 1 << 1,
    CHANGE_DELIVER_AS = 1 << 2,
    CHANGE_NOTE = 1 << 3,
    CHANGE_TO = 1 << 4,
    CHANGE_OWNER = 1 << 5,
    CHANGE_SENDERS = 1 << 6,
    CHANGE_CODE = 1 << 7,
    CHANGE_TEXT = 1 << 8,
    CHANGE_ALSO = 1 << 9,
    CHANGE_UNTIL = 1 << 10,
    CHANGE_SOURCE = 1 << 11,
};

/* Fields that few changes have: an import keeps a change per row. */
struct change_more {
    struct slice targets, owner, senders, reply_text, also, source;
    unsigned reply_code;
    int64_t until_s;
};

struct change {
    struct slice key;
    struct slice route, deliver_as, note;
    struct change_more *more; /* NULL: none of them */
    uint64_t expect_epoch;    /* 0: there is no entry */
    enum route_kind kind;
    unsigned has; /* CHANGE_... */
    bool is_delete;
    bool expects;   /* expect_epoch, and nothing is changed where the epoch is another one */
    bool is_forced; /* even against a cut-over that has moved the entry */
    uint32_t row;   /* in the import */
};

struct change_counts {
    uint64_t added, changed, deleted, unchanged;
};

/* The member "expect_epoch": false in *has_out without it. */
int control_expect(
    const json_t *request, bool *has_out, uint64_t *epoch_out, struct err *err) ATTR_WUR;
/* Is the entry what whoever asks has seen? */
enum control_outcome control_check_expected(struct control_call *call, struct slice key,
    const struct route_entry *entry, uint64_t expected);
/* 0 when mail can be routed there. */
int change_check_route(const struct conf *conf, struct slice route, struct err *err) ATTR_WUR;
/* Slices are copied into mem. */
int change_parse(const struct control *c, const json_t *row, struct arena *mem, struct change *out,
    struct err *err) ATTR_WUR;
/* One member of "set". */
int change_parse_field(const struct control *c, const json_t *set, const char *name,
    struct arena *mem, struct change *out, struct err *err) ATTR_WUR;
/* What the entry would be; borrows from both. */
void change_merge(
    const struct change *change, const struct route_entry *old, struct route_entry *next);
/* 0 when an entry may be so. */
int change_check_entry(const struct control *c, struct slice key, const struct route_entry *e,
    struct err *err) ATTR_WUR;
/* May this change happen, or does it take the route from a cut-over that has moved the entry? */
bool change_is_conflict(
    const struct change *change, const struct route_entry *old, const struct route_entry *next);
enum control_outcome change_refuse_moved(
    struct control_call *call, struct slice key, const struct route_entry *old);
/* The member "force", which wants a "why". */
int change_parse_force(struct control_call *call, bool *out, struct err *err) ATTR_WUR;
/* Do both say the same? */
bool change_is_none(const struct route_entry *old, const struct route_entry *next);
/* Checks, and fills what the entry would be. */
enum control_outcome change_evaluate(struct control_call *call, const struct change *change,
    const struct route_entry *old, struct route_entry *next, bool *is_same_out);
/* Reads, checks and writes.  bytes is scratch; entry_out may be NULL and borrows from bytes. */
enum control_outcome change_apply(struct control_call *call, const struct change *change,
    struct buf *bytes, struct change_counts *counts, struct route_entry *entry_out);
void change_report(struct control_call *call, const struct change_counts *counts);

/* Refused when what the entry would be leads in a circle or to too many, or makes another one that
 * leads here do so. */
enum control_outcome control_check_targets(struct control_call *call, struct slice key,
    const struct route_entry *old, const struct route_entry *entry);
/* The same of an entry that the transaction has already; is_above: of those that lead here. */
enum control_outcome control_check_written(
    struct control_call *call, struct slice key, bool is_above);
/* "follow" and "followers" into the reply. -1: the store failed. */
int control_tell_followers(struct control_call *call, struct slice key) ATTR_WUR;

void control_import_free(struct control_import **import);

/* --- The operations ---------------------------------------------------------------------- */

enum control_outcome control_get(struct control_call *call);
enum control_outcome control_list(struct control_call *call);
enum control_outcome control_log(struct control_call *call);
enum control_outcome control_status(struct control_call *call);
enum control_outcome control_unmapped(struct control_call *call);
enum control_outcome control_set_entry(struct control_call *call);
enum control_outcome control_del(struct control_call *call);
enum control_outcome control_apply(struct control_call *call);
enum control_outcome control_import_begin(struct control_call *call);
enum control_outcome control_import_put(struct control_call *call);
enum control_outcome control_import_commit(struct control_call *call);
enum control_outcome control_import_abort(struct control_call *call);
enum control_outcome control_hold(struct control_call *call);
enum control_outcome control_flip(struct control_call *call);
enum control_outcome control_release(struct control_call *call);
enum control_outcome control_dump(struct control_call *call);
enum control_outcome control_restore_begin(struct control_call *call);
enum control_outcome control_restore_put(struct control_call *call);
enum control_outcome control_restore_commit(struct control_call *call);
void control_restore_free(struct control_restore **restore);
enum control_outcome control_take(struct control_call *call);
enum control_outcome control_revert(struct control_call *call);
/* What a held entry is without its hold. */
void control_end_hold(struct route_entry *entry);
enum control_outcome control_retire(struct control_call *call);

#endif
