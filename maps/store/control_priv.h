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
json_t *control_entry_json(struct slice key, const struct route_entry *entry);

/* --- Changes of entries --------------------------------------------------------------- */

enum { CHANGE_KIND = 1, CHANGE_ROUTE = 2, CHANGE_DELIVER_AS = 4, CHANGE_NOTE = 8 };

struct change {
    struct slice key;
    struct slice route, deliver_as, note;
    uint64_t expect_epoch; /* 0: any */
    enum route_kind kind;
    unsigned has; /* CHANGE_... */
    bool is_delete;
    uint32_t row; /* in the import */
    /* Of an import: for an entry that is new and has no route of its own. */
    struct slice default_route;
};

struct change_counts {
    uint64_t added, changed, deleted, unchanged;
};

/* 0 when mail can be routed there. */
int change_check_route(const struct conf *conf, struct slice route, struct err *err) ATTR_WUR;
/* Slices are copied into mem. */
int change_parse(const struct conf *conf, const json_t *row, struct arena *mem, struct change *out,
    struct err *err) ATTR_WUR;
/* Reads, checks and writes.  bytes is scratch; entry_out may be NULL and borrows from bytes. */
enum control_outcome change_apply(struct control_call *call, const struct change *change,
    struct buf *bytes, struct change_counts *counts, struct route_entry *entry_out);
void change_report(struct control_call *call, const struct change_counts *counts);

void control_import_free(struct control_import **import);

/* --- The operations ---------------------------------------------------------------------- */

enum control_outcome control_get(struct control_call *call);
enum control_outcome control_list(struct control_call *call);
enum control_outcome control_log(struct control_call *call);
enum control_outcome control_status(struct control_call *call);
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
enum control_outcome control_revert(struct control_call *call);
/* What a held entry is without its hold. */
void control_end_hold(struct route_entry *entry);

#endif
