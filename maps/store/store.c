/* SPDX-License-Identifier: ISC */
/*
 * store: five Berkeley DB btrees in one environment under STATE/map.
 *
 * The environment is private to one process (base/os/bdb.h says why).  What a start needs to know,
 * the generation, the number of live entries and the holds, is kept beside the entries in the same
 * transaction, so that opening a map of a million entries reads three records.
 *
 * Memory (generation, holds) changes only after the commit came back, so that an aborted
 * transaction leaves no trace.  A failure of Berkeley DB that is not a broken environment, such as
 * a full disk, fails the transaction; reads go on.
 *
 * One record of the change log is about 150 bytes; whoever owns the store cuts it by age.
 */
#include "maps/store/store_priv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sysexits.h>
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/core/num.h"
#include "base/os/hmac.h"
#include "base/os/io.h"
#include "maps/store/reserve.h"

#define VALUE_MAX (64u << 10)
#define META_MAP_ID SLICE_LIT("map_id")
#define META_STATE SLICE_LIT("state")
#define META_BOOT SLICE_LIT("boot")

/* --- Lists of keys ----------------------------------------------------------- */

static void keys_add(struct store_keys *keys, const char *key, size_t n)
{
    if (keys->n == STORE_CHANGES_LISTED_MAX) {
        keys->overflowed = true;
        return;
    }
    if (!keys->v)
        keys->v = mem_realloc_array(NULL, STORE_CHANGES_LISTED_MAX, sizeof *keys->v);
    memcpy(keys->v[keys->n], key, n);
    keys->v[keys->n][n] = '\0';
    keys->n++;
}

static void keys_fini(struct store_keys *keys)
{
    free(keys->v);
    *keys = (struct store_keys){0};
}

/* --- Meta records and holds ----------------------------------------------------- */

static int load_state(struct store *s, struct err *err)
{
    struct buf value;
    bool found;
    int rc = -1;

    buf_init(&value, VALUE_MAX);
    if (bdb_get(s->meta, NULL, META_STATE, &value, &found, err) != 0)
        goto done;
    if (!found || value.n != 2 * HISTORY_KEY_SIZE) {
        err_set(err, ERR_PERM, EX_DATAERR, "the map's state record is missing or damaged");
        goto done;
    }
    struct slice state = buf_slice(&value);
    if (history_key_parse(slice_sub(state, 0, HISTORY_KEY_SIZE), &s->generation) != 0 ||
        history_key_parse(slice_from(state, HISTORY_KEY_SIZE), &s->live) != 0)
        BUG("eight bytes are always a number");
    rc = 0;
done:
    buf_fini(&value);
    return rc;
}

static int save_state(
    struct store *s, struct bdb_txn *txn, uint64_t generation, uint64_t live, struct err *err)
{
    unsigned char state[2 * HISTORY_KEY_SIZE];
    history_key(generation, state);
    history_key(live, state + HISTORY_KEY_SIZE);
    return bdb_put(s->meta, txn, META_STATE, slice_make(state, sizeof state), err);
}

int store_boot(struct store *s, char out[STORE_BOOT_SIZE], struct err *err)
{
    struct buf value;
    bool found;

    buf_init(&value, VALUE_MAX);
    int rc = bdb_get(s->meta, NULL, META_BOOT, &value, &found, err);
    /* What does not fit was not written by store_set_boot() and is no start that we know. */
    if (rc != 0 || !found || fmt_into(out, STORE_BOOT_SIZE, "%s", buf_cstr(&value)) != 0)
        out[0] = '\0';
    buf_fini(&value);
    return rc;
}

int store_set_boot(struct store *s, const char *boot, struct err *err)
{
    struct bdb_txn *txn = NULL;

    if (bdb_begin(s->env, &txn, err) != 0)
        return -1;
    if (bdb_put(s->meta, txn, META_BOOT, slice_str(boot), err) != 0) {
        bdb_abort(&txn);
        return -1;
    }
    return bdb_commit(&txn, err);
}

static int load_holds(struct store *s, struct err *err)
{
    struct bdb_cursor *cursor;
    struct slice key, value;
    size_t cap = s->n_held;
    int more;

    if (bdb_cursor_open(s->holds, NULL, SLICE_LIT(""), &cursor, err) != 0)
        return -1;
    s->n_held = 0;
    while ((more = bdb_cursor_next(cursor, &key, &value, err)) == 1) {
        uint64_t deadline;
        if (key.n > ROUTE_KEY_MAX || history_key_parse(value, &deadline) != 0) {
            more = err_set(err, ERR_PERM, EX_DATAERR, "the list of holds is damaged");
            break;
        }
        if (s->n_held == cap) {
            cap = cap ? 2 * cap : 16;
            s->held = mem_realloc_array(s->held, cap, sizeof *s->held);
        }
        struct store_hold *h = &s->held[s->n_held++];
        memcpy(h->key, key.p, key.n);
        h->key[key.n] = '\0';
        h->deadline_ms = (int64_t)deadline;
    }
    bdb_cursor_close(&cursor);
    return more;
}

static int save_hold(
    struct store_txn *txn, struct slice key, const struct route_entry *next, struct err *err)
{
    unsigned char deadline[HISTORY_KEY_SIZE];
    bool found;

    txn->holds_changed = true;
    if (next->state != ROUTE_STATE_HELD || next->is_tombstone)
        return bdb_del(txn->store->holds, txn->bdb, key, &found, err);
    history_key((uint64_t)next->hold_deadline_ms, deadline);
    return bdb_put(txn->store->holds, txn->bdb, key, slice_make(deadline, sizeof deadline), err);
}

/* --- Open, create, close ------------------------------------------------------------ */

static int open_files(const char *home, uint64_t cache_size, struct store **out, struct err *err)
{
    struct store *s = mem_zalloc(sizeof *s);
    if (bdb_env_open(home, cache_size, &s->env, err) != 0 ||
        bdb_open(s->env, "entries", &s->entries, err) != 0 ||
        bdb_open(s->env, "history", &s->history, err) != 0 ||
        bdb_open(s->env, "results", &s->results, err) != 0 ||
        bdb_open(s->env, "holds", &s->holds, err) != 0 ||
        bdb_open(s->env, "meta", &s->meta, err) != 0) {
        store_close(&s);
        return -1;
    }
    *out = s;
    return 0;
}

/* As open_files(), and what the reserve is for. */
static int open_recovered(
    const char *home, uint64_t cache_size, struct store **out, struct err *err)
{
    int rc = open_files(home, cache_size, out, err);
    if (rc != 0 && err->code == EX_IOERR && reserve_give_up(home)) {
        log_warn("reserve_used", log_str("dir", home), log_err(err));
        err_clear(err);
        rc = open_files(home, cache_size, out, err);
    }
    if (rc == 0)
        reserve_make(home);
    else if (err->code == EX_IOERR)
        err_wrap(err, "the map cannot be recovered (is the disk full?)");
    return rc;
}

/* Gives "" when there is no map yet. */
static int load_map_id(struct store *s, struct err *err)
{
    struct buf value;
    bool found;

    buf_init(&value, VALUE_MAX);
    int rc = bdb_get(s->meta, NULL, META_MAP_ID, &value, &found, err);
    if (rc == 0 && found &&
        (value.n >= sizeof s->map_id ||
            fmt_into(s->map_id, sizeof s->map_id, "%.*s", SLICE_ARG(buf_slice(&value))) != 0))
        rc = err_set(err, ERR_PERM, EX_DATAERR, "the map id is damaged");
    buf_fini(&value);
    return rc;
}

static int map_home(const char *state_dir, struct buf *out, struct err *err)
{
    buf_init(out, 4096);
    if (io_path(out, state_dir, "map") != 0)
        return err_set(err, ERR_PERM, EX_CONFIG, "the path %s/map is too long", state_dir);
    return 0;
}

static int write_first_records(struct store *s, struct err *err)
{
    unsigned char random[16];
    struct bdb_txn *txn = NULL;

    random_bytes(random, sizeof random);
    for (size_t i = 0; i < sizeof random; i++)
        if (fmt_into(s->map_id + 2 * i, 3, "%02x", (unsigned)random[i]) != 0)
            BUG("two digits fit");
    if (bdb_begin(s->env, &txn, err) != 0)
        return -1;
    if (bdb_put(s->meta, txn, META_MAP_ID, slice_str(s->map_id), err) != 0 ||
        save_state(s, txn, 0, 0, err) != 0) {
        bdb_abort(&txn);
        return -1;
    }
    return bdb_commit(&txn, err);
}

int store_create(const char *state_dir, uint64_t cache_size, struct err *err)
{
    struct store *s = NULL;
    struct buf home;
    int rc = -1;

    if (map_home(state_dir, &home, err) != 0 || io_mkdir(state_dir, 0750, err) != 0 ||
        open_files(buf_cstr(&home), cache_size, &s, err) != 0)
        goto done;
    if (load_map_id(s, err) != 0)
        goto done;
    if (s->map_id[0]) {
        err_set(
            err, ERR_PERM, EX_CANTCREAT, "%s already holds the map %s", buf_cstr(&home), s->map_id);
        goto done;
    }
    rc = write_first_records(s, err);
done:
    store_close(&s);
    buf_fini(&home);
    return rc;
}

int store_open(const char *state_dir, uint64_t cache_size, struct store **out, struct err *err)
{
    struct store *s = NULL;
    struct stat st;
    struct buf home;
    int rc = -1;

    /* A map is never made in passing: on a volume that is not mounted an empty map would refuse
     * every recipient for good. */
    if (map_home(state_dir, &home, err) != 0)
        goto done;
    if (stat(buf_cstr(&home), &st) != 0) {
        err_set(err, ERR_PERM, EX_NOINPUT, "there is no map in %s: run `maptool init` once",
            buf_cstr(&home));
        goto done;
    }
    if (open_recovered(buf_cstr(&home), cache_size, &s, err) != 0 || load_map_id(s, err) != 0)
        goto done;
    if (!s->map_id[0]) {
        err_set(err, ERR_PERM, EX_NOINPUT, "there is no map in %s: run `maptool init` once",
            buf_cstr(&home));
        goto done;
    }
    if (load_state(s, err) != 0 || load_holds(s, err) != 0) {
        err_wrap(err, "%s", buf_cstr(&home));
        goto done;
    }
    *out = s;
    s = NULL;
    rc = 0;
done:
    store_close(&s);
    buf_fini(&home);
    return rc;
}

void store_close(struct store **sp)
{
    struct store *s = *sp;
    if (!s)
        return;
    bdb_close(&s->entries);
    bdb_close(&s->history);
    bdb_close(&s->results);
    bdb_close(&s->holds);
    bdb_close(&s->meta);
    bdb_env_close(&s->env);
    free(s->held);
    free(s);
    *sp = NULL;
}

int store_checkpoint(struct store *s, struct err *err)
{
    return bdb_env_checkpoint(s->env, err);
}

const char *store_map_id(const struct store *s)
{
    return s->map_id;
}

uint64_t store_generation(const struct store *s)
{
    return s->generation;
}

uint64_t store_live_count(const struct store *s)
{
    return s->live;
}

const struct store_hold *store_holds(const struct store *s, size_t *n_out)
{
    *n_out = s->n_held;
    return s->held;
}

/* --- Transactions ---------------------------------------------------------------------- */

int store_begin(struct store *s, struct store_txn **out, struct err *err)
{
    struct bdb_txn *bdb;
    if (bdb_begin(s->env, &bdb, err) != 0)
        return -1;
    struct store_txn *txn = mem_zalloc(sizeof *txn);
    txn->store = s;
    txn->bdb = bdb;
    txn->generation = s->generation;
    txn->live = s->live;
    buf_init(&txn->scratch, VALUE_MAX);
    *out = txn;
    return 0;
}

static void txn_free(struct store_txn **txn)
{
    keys_fini(&(*txn)->changed);
    buf_fini(&(*txn)->scratch);
    free(*txn);
    *txn = NULL;
}

int store_commit(struct store_txn **txnp, struct err *err)
{
    struct store_txn *txn = *txnp;
    struct store *s = txn->store;

    if (txn->changes == 0 && !txn->results_changed) {
        store_abort(txnp);
        return 0;
    }
    if (save_state(s, txn->bdb, txn->generation, txn->live, err) != 0) {
        store_abort(txnp);
        return -1;
    }
    if (bdb_commit(&txn->bdb, err) != 0) {
        txn_free(txnp);
        return -1;
    }
    s->generation = txn->generation;
    s->live = txn->live;
    bool holds_changed = txn->holds_changed;
    txn_free(txnp);
    /* The commit stands whatever follows; a list of holds that cannot be read is no environment
     * that one may go on with. */
    if (holds_changed && load_holds(s, err) != 0)
        BUG("the holds cannot be read after a commit");
    return 0;
}

void store_abort(struct store_txn **txn)
{
    if (!*txn)
        return;
    bdb_abort(&(*txn)->bdb);
    txn_free(txn);
}

size_t store_change_count(const struct store_txn *txn)
{
    return txn->changes;
}

uint64_t store_txn_generation(const struct store_txn *txn)
{
    return txn->generation;
}

size_t store_changed_keys(const struct store_txn *txn, bool *all_out)
{
    *all_out = txn->changed.overflowed;
    return txn->changed.n;
}

struct slice store_changed_key(const struct store_txn *txn, size_t i)
{
    return slice_str(txn->changed.v[i]);
}

/* --- Entries ------------------------------------------------------------------------------ */

static int damaged(struct slice key, struct err *err)
{
    return err_set(
        err, ERR_PERM, EX_DATAERR, "the entry of %.*s in the map is damaged", SLICE_ARG(key));
}

int store_get(struct store *s, struct store_txn *txn, struct slice key, struct buf *bytes,
    struct route_entry *entry, struct err *err)
{
    bool found;

    buf_clear(bytes);
    if (bdb_get(s->entries, store_bdb_txn(txn), key, bytes, &found, err) != 0)
        return err_wrap(err, "cannot read the map");
    *entry = (struct route_entry){.is_tombstone = true};
    if (found && record_decode(buf_slice(bytes), entry) != 0)
        return damaged(key, err);
    return 0;
}

bool store_same_route(const struct route_entry *a, const struct route_entry *b)
{
    if (a->is_tombstone || b->is_tombstone)
        return a->is_tombstone == b->is_tombstone;
    return a->kind == b->kind && a->state == b->state && slice_eq(a->route, b->route) &&
           slice_eq(a->deliver_as, b->deliver_as) && slice_eq(a->hold_owner, b->hold_owner) &&
           slice_eq(a->hold_request, b->hold_request) && a->hold_deadline_ms == b->hold_deadline_ms;
}

/* Encodes old and new value one behind the other; the slices borrow from the scratch buffer. */
static int encode_both(struct store_txn *txn, const struct route_entry *old,
    const struct route_entry *next, struct slice *old_out, struct slice *new_out)
{
    struct buf *b = &txn->scratch;
    buf_clear(b);
    if (old->epoch != 0 && record_encode(old, true, b) != 0)
        return -1;
    size_t n = b->n;
    if (record_encode(next, true, b) != 0 || b->n - n > ROUTE_RECORD_MAX)
        return -1;
    *old_out = slice_sub(buf_slice(b), 0, n);
    *new_out = slice_from(buf_slice(b), n);
    return 0;
}

static int log_change(struct store_txn *txn, const struct history_record *record, struct err *err)
{
    unsigned char key[HISTORY_KEY_SIZE];
    struct buf value;

    buf_init(&value, VALUE_MAX);
    history_key(record->generation, key);
    int rc = history_encode(record, &value);
    if (rc != 0)
        err_set(err, ERR_PERM, EX_DATAERR, "the change log cannot hold so long a change");
    else
        rc = bdb_put(
            txn->store->history, txn->bdb, slice_make(key, sizeof key), buf_slice(&value), err);
    buf_fini(&value);
    return rc;
}

int store_put(struct store_txn *txn, struct slice key, const struct route_entry *old,
    struct route_entry *next, const struct store_cause *cause, struct err *err)
{
    struct history_record record = {.generation = txn->generation + 1,
        .when_s = cause->when_s,
        .key = key,
        .who = cause->who,
        .why = cause->why,
        .request_id = cause->request_id};

    next->epoch = store_same_route(old, next) ? old->epoch : record.generation;
    next->who = cause->who;
    next->when_s = cause->when_s;
    if (key.n == 0 || key.n > ROUTE_KEY_MAX ||
        encode_both(txn, old, next, &record.old_value, &record.new_value) != 0)
        return err_set(err, ERR_PERM, EX_DATAERR, "the entry of %.*s is too long", SLICE_ARG(key));
    if (bdb_put(txn->store->entries, txn->bdb, key, record.new_value, err) != 0 ||
        log_change(txn, &record, err) != 0)
        return -1;
    if ((old->state == ROUTE_STATE_HELD || next->state == ROUTE_STATE_HELD) &&
        save_hold(txn, key, next, err) != 0)
        return -1;
    txn->generation = record.generation;
    txn->live += next->is_tombstone ? 0 : 1;
    txn->live -= old->is_tombstone ? 0 : 1;
    txn->changes++;
    keys_add(&txn->changed, (const char *)key.p, key.n);
    return 0;
}

/* --- Scans ------------------------------------------------------------------------------------ */

struct store_walk {
    struct bdb_cursor *cursor;
};

int store_walk_open(struct store *s, struct store_txn *txn, struct slice from,
    struct store_walk **out, struct err *err)
{
    struct bdb_cursor *cursor;
    if (bdb_cursor_open(s->entries, store_bdb_txn(txn), from, &cursor, err) != 0)
        return -1;
    *out = mem_zalloc(sizeof **out);
    (*out)->cursor = cursor;
    return 0;
}

int store_walk_next(
    struct store_walk *w, struct slice *key_out, struct route_entry *entry_out, struct err *err)
{
    struct slice value;
    int rc = bdb_cursor_next(w->cursor, key_out, &value, err);
    *entry_out = (struct route_entry){0};
    return rc == 1 && record_decode(value, entry_out) != 0 ? damaged(*key_out, err) : rc;
}

void store_walk_close(struct store_walk **w)
{
    if (!*w)
        return;
    bdb_cursor_close(&(*w)->cursor);
    free(*w);
    *w = NULL;
}

int store_scan(struct store *s, struct store_txn *txn, struct slice from,
    int (*fn)(void *arg, struct slice key, const struct route_entry *entry, struct err *err),
    void *arg, struct err *err)
{
    struct store_walk *walk;
    struct slice key;
    struct route_entry entry;
    int rc;

    if (store_walk_open(s, txn, from, &walk, err) != 0)
        return -1;
    while ((rc = store_walk_next(walk, &key, &entry, err)) == 1) {
        rc = fn(arg, key, &entry, err);
        if (rc != 0)
            break;
    }
    store_walk_close(&walk);
    return rc < 0 ? -1 : 0;
}

int store_scan_history(struct store *s, struct store_txn *txn, uint64_t from,
    int (*fn)(void *arg, const struct history_record *record, struct err *err), void *arg,
    struct err *err)
{
    unsigned char start[HISTORY_KEY_SIZE];
    struct bdb_cursor *cursor;
    struct slice key, value;
    int rc;

    history_key(from, start);
    if (bdb_cursor_open(
            s->history, store_bdb_txn(txn), slice_make(start, sizeof start), &cursor, err) != 0)
        return -1;
    while ((rc = bdb_cursor_next(cursor, &key, &value, err)) == 1) {
        struct history_record record = {0};
        if (history_key_parse(key, &record.generation) != 0 || history_decode(value, &record) != 0)
            rc = err_set(err, ERR_PERM, EX_DATAERR, "the change log is damaged");
        else
            rc = fn(arg, &record, err);
        if (rc != 0)
            break;
    }
    bdb_cursor_close(&cursor);
    return rc < 0 ? -1 : 0;
}

struct prune {
    int64_t before_s;
    size_t max, n;
    uint64_t last; /* generation */
};

static int find_old(void *arg, const struct history_record *record, struct err *err)
{
    struct prune *p = arg;

    (void)err;
    if (p->n == p->max || record->when_s >= p->before_s)
        return 1;
    p->n++;
    p->last = record->generation;
    return 0;
}

int store_history_prune(
    struct store_txn *txn, int64_t before_s, size_t max, size_t *n_out, struct err *err)
{
    struct prune p = {.before_s = before_s, .max = max};
    unsigned char key[HISTORY_KEY_SIZE];
    bool found;

    /* Generations have no gaps, and what is older than the oldest record was taken out before. */
    if (store_scan_history(txn->store, txn, 0, find_old, &p, err) != 0)
        return -1;
    for (uint64_t i = 0; i < p.n; i++) {
        history_key(p.last - i, key);
        if (bdb_del(txn->store->history, txn->bdb, slice_make(key, sizeof key), &found, err) != 0)
            return -1;
        txn->results_changed = true;
    }
    *n_out = p.n;
    return 0;
}
