/* SPDX-License-Identifier: ISC */
/*
 * store: seven Berkeley DB btrees in one environment under STATE/map.
 *
 * The environment is private to one process (base/os/bdb.h says why).  What a start needs to know,
 * the generation, the number of live entries and the holds, is kept beside the entries in the same
 * transaction, so that opening a map of a million entries reads three records.
 *
 * Transactions are in store_txn.c, scans in store_scan.c.
 */
#include "maps/store/store_priv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sysexits.h>
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/os/hmac.h"
#include "base/os/io.h"
#include "maps/store/reserve.h"

#define META_MAP_ID SLICE_LIT("map_id")
#define META_STATE SLICE_LIT("state")
#define META_BOOT SLICE_LIT("boot") /* of older versions */

/* --- Meta records and holds ----------------------------------------------------- */

static int load_state(struct store *s, struct err *err)
{
    struct buf value;
    bool found;
    int rc = -1;

    buf_init(&value, STORE_VALUE_MAX);
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

int store_save_state(
    struct store *s, struct bdb_txn *txn, uint64_t generation, uint64_t live, struct err *err)
{
    unsigned char state[2 * HISTORY_KEY_SIZE];
    history_key(generation, state);
    history_key(live, state + HISTORY_KEY_SIZE);
    return bdb_put(s->meta, txn, META_STATE, slice_make(state, sizeof state), err);
}

int store_former_boot(struct store *s, char out[BOOT_ID_SIZE], struct err *err)
{
    struct buf value;
    bool found;

    buf_init(&value, STORE_VALUE_MAX);
    int rc = bdb_get(s->meta, NULL, META_BOOT, &value, &found, err);
    /* What does not fit is no start that we know. */
    if (rc != 0 || !found || fmt_into(out, BOOT_ID_SIZE, "%s", buf_cstr(&value)) != 0)
        out[0] = '\0';
    buf_fini(&value);
    return rc;
}

int store_forget_boot(struct store *s, struct err *err)
{
    struct bdb_txn *txn = NULL;
    bool found;

    if (bdb_begin(s->env, &txn, err) != 0)
        return -1;
    if (bdb_del(s->meta, txn, META_BOOT, &found, err) != 0) {
        bdb_abort(&txn);
        return -1;
    }
    return bdb_commit(&txn, err);
}

int store_load_holds(struct store *s, struct err *err)
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

/* --- Open, create, close ------------------------------------------------------------ */

static int open_files(const char *home, uint64_t cache_size, struct store **out, struct err *err)
{
    struct store *s = mem_zalloc(sizeof *s);
    if (bdb_env_open(home, cache_size, &s->env, err) != 0 ||
        bdb_open(s->env, "entries", &s->entries, err) != 0 ||
        bdb_open(s->env, "history", &s->history, err) != 0 ||
        bdb_open(s->env, "results", &s->results, err) != 0 ||
        bdb_open(s->env, "holds", &s->holds, err) != 0 ||
        bdb_open(s->env, "targets", &s->targets, err) != 0 ||
        bdb_open(s->env, "staged", &s->staged, err) != 0 ||
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

    buf_init(&value, STORE_VALUE_MAX);
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
        store_save_state(s, txn, 0, 0, err) != 0) {
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
    if (load_state(s, err) != 0 || store_load_holds(s, err) != 0 || view_load(s, err) != 0 ||
        stage_load(s, err) != 0) {
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
    bdb_close(&s->targets);
    bdb_close(&s->staged);
    bdb_close(&s->meta);
    bdb_env_close(&s->env);
    stage_unload(s);
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
