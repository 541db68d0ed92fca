/* SPDX-License-Identifier: ISC */
/*
 * users: see users.h.  The environment is opened as contained (base/os/bdb.h), as journals are: a
 * command may read the store, close it, and then open a journal.
 */
#include "imapsync/jobs/users.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/os/bdb.h"
#include "base/os/io.h"
#include "imapsync/jobs/import.h"
#include "imapsync/journal/pack.h"

#define PATH_LENGTH_MAX 4096
#define CACHE_SIZE (8u << 20)
#define KEY_MAX (2 * MOVE_NAME_MAX)

struct users {
    struct bdb_env *env;
    struct bdb *users, *requests, *meta;
    struct bdb_txn *txn; /* NULL: each change is one by itself */
    struct buf value;
};

int users_base(const struct conf *conf, struct buf *out, struct err *err)
{
    buf_init(out, PATH_LENGTH_MAX);
    if (io_path(out, conf->state, "sync") != 0)
        return err_set(err, ERR_PERM, EX_CONFIG, "the path %s is too long", conf->state);
    return 0;
}

/* --- Opening ------------------------------------------------------------------------------ */

static int damaged(const char *what, struct err *err)
{
    return err_set(err, ERR_BUG, EX_DATAERR, "the store of cut-overs is damaged: %s", what);
}

static int check_version(struct users *s, struct err *err)
{
    bool found;
    uint8_t version;
    if (bdb_get(s->meta, NULL, SLICE_LIT("v"), &s->value, &found, err) != 0)
        return -1;
    if (!found) {
        buf_clear(&s->value);
        pack_u8(&s->value, USERS_VERSION);
        return bdb_put(s->meta, NULL, SLICE_LIT("v"), buf_slice(&s->value), err);
    }
    struct slice v = buf_slice(&s->value);
    if (!unpack_u8(&v, &version))
        return damaged("its version", err);
    if (version != USERS_VERSION)
        return err_set(err, ERR_PERM, EX_CONFIG,
            "the store of cut-overs is of version %u, and this program knows %u", version,
            USERS_VERSION);
    return 0;
}

static int open_tables(struct users *s, const char *home, struct err *err)
{
    const struct bdb_options options = {.cache_size = CACHE_SIZE,
        .is_contained = true,
        .has_checksums = true,
        .has_small_log = true};
    if (bdb_env_open_as(home, &options, &s->env, err) != 0 ||
        bdb_open(s->env, "users", &s->users, err) != 0 ||
        bdb_open(s->env, "requests", &s->requests, err) != 0 ||
        bdb_open(s->env, "meta", &s->meta, err) != 0)
        return err_wrap(err, "the store of cut-overs");
    return check_version(s, err);
}

int users_open(const struct conf *conf, struct users **out, struct err *err)
{
    struct users *s = mem_zalloc(sizeof(*s));
    struct buf base, home;
    buf_init(&s->value, RECORD_PACKED_MAX + PATH_LENGTH_MAX);
    buf_init(&home, PATH_LENGTH_MAX);
    int result = users_base(conf, &base, err);
    if (result == 0)
        result = io_mkdir(conf->state, 0755, err);
    if (result == 0)
        result = io_mkdir(buf_cstr(&base), 0700, err);
    if (result == 0 && io_path(&home, buf_cstr(&base), "store") != 0)
        result = err_set(err, ERR_PERM, EX_CONFIG, "the path %s is too long", conf->state);
    if (result == 0)
        result = open_tables(s, buf_cstr(&home), err);
    if (result == 0)
        result = import_records(s, buf_cstr(&base), err);
    buf_fini(&base);
    buf_fini(&home);
    *out = s;
    if (result != 0)
        users_close(out);
    return result;
}

void users_close(struct users **sp)
{
    struct users *s = *sp;
    *sp = NULL;
    if (!s)
        return;
    if (s->txn)
        bdb_abort(&s->txn);
    bdb_close(&s->users);
    bdb_close(&s->requests);
    bdb_close(&s->meta);
    (void)bdb_env_close(&s->env);
    buf_fini(&s->value);
    free(s);
}

bool users_is_failed(const struct users *s)
{
    return bdb_env_is_failed(s->env);
}

/* --- One user ------------------------------------------------------------------------------ */

int users_load(struct users *s, const char *user, struct move_record *out, struct err *err)
{
    bool found;
    *out = (struct move_record){0};
    if (bdb_get(s->users, s->txn, slice_str(user), &s->value, &found, err) != 0)
        return -1;
    if (found && !move_record_unpack(buf_slice(&s->value), true, out)) {
        move_record_fini(out);
        *out = (struct move_record){0};
        return damaged(user, err);
    }
    return 0;
}

/* A full disk, most likely: it is no fault of what was to be written, and passes. */
static int not_written(struct err *err)
{
    err_wrap(err, "the store of cut-overs");
    err->class = ERR_TEMP;
    err->code = EX_TEMPFAIL;
    return -1;
}

/* A change that has failed ends the transaction that it was in. */
static int changed(struct users *s, int result, struct err *err)
{
    if (result == 0 && (s->txn || bdb_env_checkpoint(s->env, err) == 0))
        return 0;
    if (s->txn)
        bdb_abort(&s->txn);
    return not_written(err);
}

int users_save(struct users *s, const struct move_record *r, struct err *err)
{
    move_record_pack(&s->value, r);
    return changed(
        s, bdb_put(s->users, s->txn, slice_str(r->user), buf_slice(&s->value), err), err);
}

int users_ask(struct users *s, const char *user, const struct request *r, struct err *err)
{
    request_pack(&s->value, r);
    return changed(
        s, bdb_put(s->requests, s->txn, slice_str(user), buf_slice(&s->value), err), err);
}

int users_forget(struct users *s, const char *user, struct err *err)
{
    bool found;
    return changed(s, bdb_del(s->requests, s->txn, slice_str(user), &found, err), err);
}

int users_begin(struct users *s, struct err *err)
{
    BUG_ON(s->txn);
    return bdb_begin(s->env, &s->txn, err);
}

int users_commit(struct users *s, struct err *err)
{
    if (bdb_commit(&s->txn, err) != 0 || bdb_env_checkpoint(s->env, err) != 0)
        return not_written(err);
    return 0;
}

/* --- All of them --------------------------------------------------------------------------- */

/* The next pair, with its key as text; a key that is none is left out. */
static int next_pair(struct bdb_cursor *c, char user[KEY_MAX], struct slice *value, struct err *err)
{
    struct slice key;
    int result;
    while ((result = bdb_cursor_next(c, &key, value, err)) == 1) {
        if (key.n < KEY_MAX && slice_find(key, '\0') < 0) {
            memcpy(user, key.p, key.n);
            user[key.n] = '\0';
            return 1;
        }
    }
    return result;
}

int users_each(struct users *s, const char *after, bool with_report,
    int (*each)(void *arg, struct move_record *r), void *arg, struct err *err)
{
    struct bdb_cursor *c;
    struct slice value;
    char user[KEY_MAX];
    int result, got = 0;
    if (bdb_cursor_open(s->users, s->txn, slice_str(after ? after : ""), &c, err) != 0)
        return -1;
    for (result = 0; result == 0 && (got = next_pair(c, user, &value, err)) == 1;) {
        struct move_record r;
        if (after && strcmp(user, after) == 0)
            continue;
        if (move_record_unpack(value, with_report, &r))
            result = each(arg, &r);
        else
            log_error("record_damaged", log_str("user", user));
        move_record_fini(&r);
    }
    bdb_cursor_close(&c);
    return got < 0 ? -1 : result;
}

int users_each_request(struct users *s,
    int (*each)(void *arg, const char *user, const struct request *r), void *arg, struct err *err)
{
    struct bdb_cursor *c;
    struct slice value;
    char user[KEY_MAX];
    int result, got = 0;
    if (bdb_cursor_open(s->requests, s->txn, slice_str(""), &c, err) != 0)
        return -1;
    for (result = 0; result == 0 && (got = next_pair(c, user, &value, err)) == 1;) {
        struct request r;
        if (request_unpack(value, &r))
            result = each(arg, user, &r);
        else
            log_error("request_damaged", log_str("user", user));
    }
    bdb_cursor_close(&c);
    return got < 0 ? -1 : result;
}
