/* SPDX-License-Identifier: ISC */
/*
 * control: the requests that the map answers, as JSON objects.  coexist-mapd serves them on
 * RUN/mapd.sock; maptool runs the same code on the store itself while no mapd runs.
 *
 * Frame on the socket: four bytes of length, big endian, at most CLIENT_FRAME_MAX, then one object
 * in UTF-8.  One reply per request, in order; a client may send the next request at once.
 *
 *   reply     {"ok": true, ...} or {"ok": false, "error": {"class": "temporary|permanent|peer|bug",
 *             "code": N, "text": "..."}, ...}; code is the exit status for a command: 1 not found
 *             or differences, else as in <sysexits.h>
 *   changing  "id" (request id, at most 64 bytes, optional) and "why" belong to every request that
 *   requests  changes something.  The result is recorded with the change; the same request with the
 *             same id gives the recorded result for a week, another request EX_USAGE.
 *
 *   op        members                                   reply
 *   get       key                                       entry
 *   set       key, set {fields, see below}              entry, changed (0 or 1), generation
 *             [expect_epoch force]
 *   del       key [expect_epoch force]                  changed, generation
 *   apply     changes [{key, set} or {key, del: true}]  added changed deleted unchanged, generation
 *             [force]
 *   list      [after limit route state kind domain]     entries, generation, next (key or null)
 *   begin     [source default_route reroute replace     opens an import on this connection; what
 *             max_drop dry_run]                         they mean: import_rules.h, import_commit.c
 *   put       rows [{key, set}]                         rows (so far); "bad" [{row first_row text}]
 *                                                       are those refused, at most 20, counted from
 *                                                       0 in the import: more may be put to be
 *                                                       checked, and none is committed
 *   commit                                              as apply, and retiring, "dry_run", kept
 *                                                       {route moved held meanwhile: changed
 *                                                       since begin}, conflicts [{key kept
 *                                                       route row asked}] (at most 100), servers
 *                                                       [{server now added arrive leave retire
 *                                                       then}]; refused: "bad"
 *   abort                                               forgets the import
 *   revert    generation [keys dry_run]                 as apply, and "dry_run": these entries, or
 *                                                       all, as they were then
 *   dump      [after] or since                          rows [{key record}], next, generation,
 * map_id: records in hexadecimal digits, deleted ones too; since a generation: what has changed;
 * behind the last of both a {source record} for each source of imports
 *   restore_begin  generation                           of the backup, on this connection
 *   restore_put    [rows] [moved [{key route [by]}]]    as dump gave them; what cut-overs say, the
 *                                                       last of a key; route "-": nothing
 *   restore_commit [dry_run]                            as apply, and "held" [{key map sync}]
 *   take      key side ("map" or "sync")                entry, generation: of one held by a restore
 *   log       [key from limit]                          changes, next (generation or null), oldest
 *                                                       first; last: N gives the last N of all;
 *                                                       since: G all behind G, refused where the
 *                                                       log does not have them or G never was;
 *                                                       steps: true, without key: one for all that
 *                                                       a request has changed, with "to", "count"
 *                                                       and "what" [{old new count}], see
 *                                                       control_log.c; last counts these then
 *   hold      key owner deadline_ms [expect_epoch]      epoch, deadline
 *   flip      key epoch route                           epoch, entry
 *   release   key [epoch]                               epoch, entry
 *   retire    key [expect_epoch]                        epoch, entry; without "moved_by"
 *   barrier   key epoch timeout_ms                      result: clear, ambiguous or timeout;
 *                                                       waited_ms (only coexist-mapd)
 *   status                                              map_id generation keys holds [...]
 * sources [{source when age_s rows who}], consumers
 *                                                       [{program pid sequence used_s ...}] and
 * more unmapped  [after]                                   rows [{key seen first last known by}],
 * missed, next: who got mail and has no entry
 *
 *   entry     {key kind route state deliver_as epoch note who when [hold {owner request deadline}]
 *             [to owner senders code text also until source moved_by]}, those in brackets only
 *             where they say something; "to" is an array, "senders" one unless it is a word,
 *             "code" a number, all others are strings
 *   fields    what `set` takes, all strings: kind (mailbox, alias, group, forward, reject), route
 *             (a server), deliver_as, note, to (addresses with commas, or an array), owner (an
 *             address), senders (any, inside, members, or addresses and @domains with commas or
 *             as an array), code (400 to 599, or a number), text, also (a server), until
 *             (2026-12-31, 2026-12-31T18:00:00Z, 7d), source.  "" takes a field away.
 *   change    {generation key old new who when why request}; old and new are entries or null
 *
 * A change with expect_epoch, which a row of `apply` may have too, is refused when the entry has
 * another epoch by then; 0: when there is an entry.
 *
 * Everything that a request asks for happens at one moment or not at all.  `set`, `del` and
 * `apply` refuse a key that is held by itself, and an import leaves it as it is (a hold of its
 * whole domain does not bar them: nothing is delivered there meanwhile, which makes it the best
 * time to change its entries).
 *
 * An import lies beside the map until its commit (stage.h).  Others are served meanwhile, and who
 * changes an entry that it names wins.
 *
 * The replies of `get`, `set`, `del`, `hold` and `flip` have "follow", a text such as "2 aliases
 * follow; 5 groups on old have this member", and the first of their keys in "followers", where
 * there are any.
 *
 * A flip writes its "id" into "moved_by" (without one, that of the hold).  Until `retire` takes it
 * away, `set`, `del` and `apply` refuse to change the route of such an entry or to delete it,
 * unless the request has "force": true and a "why"; an import keeps it and names it among the
 * conflicts.
 */
#ifndef MAPS_STORE_CONTROL_H
#define MAPS_STORE_CONTROL_H

#include <stdbool.h>
#include <stdint.h>
#include <jansson.h>
#include "base/core/attr.h"
#include "base/core/conf.h"
#include "base/core/err.h"
#include "maps/store/store.h"
#include "maps/unmapped.h"

#define CONTROL_LIST_MAX 2000         /* entries in one reply */
#define CONTROL_LOG_SCANNED_MAX 20000 /* change log records looked at for one reply */
#define CONTROL_REPLY_BYTES_MAX (4u << 20)
/* Rows of an import that are handled together; as many changes are folded with the switch. */
#define CONTROL_IMPORT_PIECE 500
/* Generations that others can use up while the snapshot of an import is made; then it is made anew.
 */
#define CONTROL_IMPORT_AHEAD ((uint64_t)1 << 20)
#define CONTROL_APPLY_MAX 10000
#define CONTROL_FOLLOWERS_MAX 20 /* whose keys are told */

struct control_import;
struct control_restore;
struct store_stage;

/* Who asks: one per connection. */
struct control_session {
    char who[STORE_WHO_MAX];
    bool may_write;
    bool is_shut_out;              /* may not even read: a program that has the snapshot */
    struct control_import *import; /* opened by begin; freed by control_session_fini */
    struct control_restore *restore;
};
void control_session_fini(struct control_session *s);
/* Whether this session may ask something that only reads, or that changes something. */
int control_may(const struct control_session *s, bool reads, struct err *err) ATTR_WUR;

/* What a request is executed with. */
struct control {
    const struct conf *conf;
    struct store *store;
    int64_t now_ms; /* wall clock, set by the caller before each round */
    /* By how much the wall clock has been set since the program started: the deadlines of holds do
     * not follow it. */
    int64_t clock_step_ms;
    /* Adds to the reply of `status` what only the program knows; NULL: nothing. */
    void (*status)(void *arg, json_t *reply);
    void *status_arg;
    /* Makes a part of the snapshot that shows a staged import with this base; NULL: it is made
     * with the commit.  *ready_out: the commit of this transaction can publish it. */
    int (*prepare)(void *arg, struct store_txn *txn, const struct store_stage *stage, uint64_t base,
        const struct store_cause *cause, bool *ready_out, struct err *err);
    void *prepare_arg;
    size_t import_piece;  /* 0: CONTROL_IMPORT_PIECE */
    unsigned conf_serial; /* another one with each conf */
    uint64_t importer;    /* number of the import whose turn it is */
    bool must_abort;      /* set by control_run: a batch was refused or was a dry run */
    /* Set by control_run: there is no reply yet.  Commit, serve others, fold (stage.h), and run the
     * same request again, in another transaction. */
    bool must_continue;
};

enum control_kind {
    CONTROL_UNKNOWN,
    CONTROL_READ,
    CONTROL_STAGE,   /* begin, abort: touches only the session */
    CONTROL_ROWS,    /* put: needs a transaction of its own, which nobody sees */
    CONTROL_WRITE,   /* needs a transaction; may share it with others of its kind */
    CONTROL_BATCH,   /* needs a transaction of its own, to be aborted when must_abort is set */
    CONTROL_BARRIER, /* for the loop of coexist-mapd */
    CONTROL_LEARNT,  /* reads what the loop of coexist-mapd has, or has left on the disk */
};
enum control_kind control_kind(const json_t *request);

/* Runs one request; txn is required for CONTROL_WRITE and CONTROL_BATCH and has to be named for
 * all others while one is open.  0 with a reply, to a wrong request too, of which nothing has
 * happened; -1 when the store failed: the whole transaction has to be aborted. */
int control_run(struct control *c, struct control_session *s, struct store_txn *txn,
    const json_t *request, json_t **reply_out, struct err *err) ATTR_WUR;
/* The transaction in which control_run() ran has failed: nothing comes of the session's import. */
void control_failed(struct control_session *s);
/* {"ok": false, "error": ...} */
json_t *control_error(const struct err *err);
/* Releases the holds whose deadline is over. *n_out: how many. */
int control_expire(
    struct control *c, struct store_txn *txn, size_t *n_out, struct err *err) ATTR_WUR;
/* The clock that deadlines of holds are compared with. */
int64_t control_hold_now_ms(const struct control *c);
/* Of the next deadline by that clock, or INT64_MAX. */
int64_t control_next_deadline_ms(const struct store *s);

/* The members of a reply to "unmapped". */
int control_unmapped_page(
    const struct unmapped *u, const json_t *request, json_t *reply, struct err *err) ATTR_WUR;

/* --- Members of a request ----------------------------------------------------------------- */

/* 0, or -1 and EX_USAGE when the member is missing or wrong; absent and not required gives an empty
 * slice or leaves *out alone. */
int control_string(const json_t *request, const char *name, size_t max, bool required,
    struct slice *out, struct err *err) ATTR_WUR;
int control_number(const json_t *request, const char *name, uint64_t max, bool required,
    uint64_t *out, struct err *err) ATTR_WUR;
int control_flag(const json_t *request, const char *name, bool *out, struct err *err) ATTR_WUR;
/* The member "key" as a key of the map; its domain has to be in the configuration. */
int control_key(
    const struct conf *conf, const json_t *request, struct buf *key, struct err *err) ATTR_WUR;

#endif
