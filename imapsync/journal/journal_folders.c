/* SPDX-License-Identifier: ISC */
/* journal_folders: folders by id; their names on either side lead to it. */
#include <stdlib.h>
#include <string.h>

#include "base/core/mem.h"
#include "imapsync/journal/journal_parts.h"
#include "imapsync/journal/pack.h"

void journal_set(struct slice *owned, struct slice value)
{
    char *copy = value.n > 0 ? slice_dup(value) : NULL;
    free((void *)(uintptr_t)owned->p);
    *owned = slice_make(copy, value.n);
}

static void journal_end_fini(struct journal_end *e)
{
    free((void *)(uintptr_t)e->name.p);
    free((void *)(uintptr_t)e->mailboxid.p);
    free((void *)(uintptr_t)e->token.p);
    *e = (struct journal_end){0};
}

void journal_folder_fini(struct journal_folder *f)
{
    journal_end_fini(&f->source);
    journal_end_fini(&f->target);
    *f = (struct journal_folder){0};
}

static void take_end(const struct record_end *r, struct journal_end *out)
{
    journal_set(&out->name, r->name);
    journal_set(&out->mailboxid, r->mailboxid);
    journal_set(&out->token, r->token);
    out->uidvalidity = r->uidvalidity;
    out->numbers = r->numbers;
    out->is_restored = r->is_restored;
}

static struct record_end give_end(const struct journal_end *e)
{
    return (struct record_end){.name = e->name,
        .mailboxid = e->mailboxid,
        .token = e->token,
        .uidvalidity = e->uidvalidity,
        .numbers = e->numbers,
        .is_restored = e->is_restored};
}

static int unpack(
    struct journal *j, uint32_t id, struct slice value, struct journal_folder *out, struct err *err)
{
    struct record_folder r;
    *out = (struct journal_folder){0};
    if (!record_unpack_folder(value, &r))
        return journal_damaged(j, "folder", err);
    out->id = id;
    take_end(&r.end[j->from], &out->source);
    take_end(&r.end[j->to], &out->target);
    return 0;
}

int journal_folder_by_id(
    struct journal *j, uint32_t id, struct journal_folder *out, bool *found_out, struct err *err)
{
    struct buf key, value;
    buf_init(&key, 16);
    buf_init(&value, RECORD_MAX);
    record_key_folder(&key, id);
    *out = (struct journal_folder){0};
    int result = bdb_get(j->t.state, j->t.txn, buf_slice(&key), &value, found_out, err);
    if (result == 0 && *found_out)
        result = unpack(j, id, buf_slice(&value), out, err);
    buf_fini(&key);
    buf_fini(&value);
    return result;
}

int journal_folder_get(struct journal *j, struct slice source, struct journal_folder *out,
    bool *found_out, struct err *err)
{
    struct buf key, value;
    uint32_t id = 0;
    buf_init(&key, RECORD_MAX);
    buf_init(&value, RECORD_MAX);
    record_key_name(&key, j->from, source);
    *out = (struct journal_folder){0};
    int result = bdb_get(j->t.state, NULL, buf_slice(&key), &value, found_out, err);
    if (result == 0 && *found_out) {
        if (!record_unpack_id(buf_slice(&value), &id))
            result = journal_damaged(j, "name of a folder", err);
        else
            result = journal_folder_by_id(j, id, out, found_out, err);
        if (result == 0 && !*found_out)
            result = journal_damaged(j, "a folder is missing", err);
    }
    buf_fini(&key);
    buf_fini(&value);
    return result;
}

int journal_folders_each(struct journal *j,
    void (*each)(void *arg, const struct journal_folder *folder), void *arg, struct err *err)
{
    struct bdb_cursor *c;
    struct slice key, value;
    struct buf from;
    int r;
    buf_init(&from, 16);
    record_key_folder(&from, 0);
    r = bdb_cursor_open(j->t.state, NULL, buf_slice(&from), &c, err);
    buf_fini(&from);
    if (r != 0)
        return -1;
    while ((r = bdb_cursor_next(c, &key, &value, err)) > 0) {
        struct journal_folder f;
        uint32_t id;
        if (!record_is_folder(key, &id)) {
            r = 0;
            break;
        }
        r = unpack(j, id, value, &f, err);
        if (r == 0)
            each(arg, &f);
        journal_folder_fini(&f);
        if (r != 0)
            break;
    }
    bdb_cursor_close(&c);
    return r;
}

/* The name leads to `id`: whose it is, is not written again. */
static bool is_named(struct journal *j, const struct buf *key, uint32_t id)
{
    struct buf value;
    bool found = false;
    uint32_t its = 0;
    buf_init(&value, 16);
    if (j->txn_result == 0)
        j->txn_result = bdb_get(j->t.state, j->t.txn, buf_slice(key), &value, &found, &j->txn_err);
    found = j->txn_result == 0 && found && record_unpack_id(buf_slice(&value), &its) && its == id;
    buf_fini(&value);
    return found;
}

static void put_name(struct journal *j, int side, struct slice name, uint32_t id)
{
    struct buf key, value;
    buf_init(&key, RECORD_MAX);
    buf_init(&value, 16);
    record_key_name(&key, side, name);
    record_pack_id(&value, id);
    if (!is_named(j, &key, id))
        journal_put_record(j, j->t.state, &key, &value);
    buf_fini(&key);
    buf_fini(&value);
}

static void drop_name(struct journal *j, int side, struct slice name, uint32_t id, struct slice now)
{
    struct buf key;
    buf_init(&key, RECORD_MAX);
    record_key_name(&key, side, name);
    if (is_named(j, &key, id)) {
        journal_del_record(j, j->t.state, &key);
        journal_items_rename(j, side, name, now);
    }
    buf_fini(&key);
}

/* The names that the folder had and has no more; a name that is another's now is left to it. */
static void drop_names(struct journal *j, const struct journal_folder *f)
{
    struct journal_folder old;
    bool found = false;
    if (j->txn_result == 0)
        j->txn_result = journal_folder_by_id(j, f->id, &old, &found, &j->txn_err);
    if (j->txn_result != 0)
        return;
    if (found && !slice_eq(old.source.name, f->source.name))
        drop_name(j, j->from, old.source.name, f->id, f->source.name);
    if (found && !slice_eq(old.target.name, f->target.name))
        drop_name(j, j->to, old.target.name, f->id, f->target.name);
    journal_folder_fini(&old);
}

void journal_folder_note(struct journal *j, const struct journal_folder *f)
{
    struct record_folder r;
    struct buf key, value;
    r.end[j->from] = give_end(&f->source);
    r.end[j->to] = give_end(&f->target);
    buf_init(&key, 16);
    buf_init(&value, RECORD_MAX);
    record_key_folder(&key, f->id);
    record_pack_folder(&value, &r);
    journal_put_record(j, j->t.state, &key, &value);
    buf_fini(&key);
    buf_fini(&value);
}

int journal_folder_put(struct journal *j, struct journal_folder *f, struct err *err)
{
    bool is_new = f->id == 0;
    if (is_new)
        f->id = ++j->last_folder;
    journal_begin(j);
    if (is_new)
        journal_put_last(j);
    else
        drop_names(j, f);
    put_name(j, j->from, f->source.name, f->id);
    put_name(j, j->to, f->target.name, f->id);
    journal_folder_note(j, f);
    return journal_commit_later(j, err);
}

/* --- Folders that others follow ------------------------------------------------------------- */

uint32_t journal_folder_next(const struct journal *j)
{
    return j->last_folder + 1;
}

/* One without a UIDVALIDITY on either side, whose name is another's, is over. */
int journal_folder_succeed(
    struct journal *j, struct journal_folder *f, bool is_over, struct err *err)
{
    struct journal_folder old = {
        .id = f->id, .source = {.name = f->source.name}, .target = {.name = f->target.name}};
    f->id = ++j->last_folder;
    journal_begin(j);
    if (is_over)
        journal_folder_note(j, &old);
    journal_put_last(j);
    put_name(j, j->from, f->source.name, f->id);
    put_name(j, j->to, f->target.name, f->id);
    journal_folder_note(j, f);
    return journal_commit(j, err);
}

int journal_folder_is_past(
    struct journal *j, const struct journal_folder *f, bool *out, struct err *err)
{
    struct journal_folder now;
    bool found;
    int result = journal_folder_get(j, f->source.name, &now, &found, err);
    *out = result == 0 && !(found && now.id == f->id);
    journal_folder_fini(&now);
    return result;
}

int journal_folder_drop(struct journal *j, uint32_t folder, struct err *err)
{
    struct buf key;
    if (journal_folder_forget(j, folder, err) != 0)
        return -1;
    buf_init(&key, 16);
    journal_begin(j);
    record_key_keywords(&key, folder);
    journal_del_record(j, j->t.state, &key);
    record_key_folder(&key, folder);
    journal_del_record(j, j->t.state, &key);
    buf_fini(&key);
    return journal_commit(j, err);
}

struct over {
    struct journal *j;
    uint32_t *ids;
    size_t n;
    int result;
    struct err err;
};

static void look_at(void *arg, const struct journal_folder *f)
{
    struct over *o = arg;
    struct journal_folder its;
    bool found;
    if (f->source.uidvalidity != 0 || f->target.uidvalidity != 0 || o->result != 0)
        return;
    o->result = journal_folder_get(o->j, f->source.name, &its, &found, &o->err);
    if (o->result == 0 && found && its.id != f->id) {
        o->ids = mem_realloc_array(o->ids, o->n + 1, sizeof(*o->ids));
        o->ids[o->n++] = f->id;
    }
    journal_folder_fini(&its);
}

int journal_drop_over(struct journal *j, struct err *err)
{
    struct over o = {.j = j, .err = ERR_INIT};
    int result = journal_folders_each(j, look_at, &o, err);
    if (result == 0 && o.result != 0) {
        *err = o.err;
        result = -1;
    }
    for (size_t i = 0; result == 0 && i < o.n; i++)
        result = journal_folder_drop(j, o.ids[i], err);
    free(o.ids);
    return result;
}

int journal_keywords_get(struct journal *j, uint32_t folder, struct keywords *out, struct err *err)
{
    struct buf key, value;
    bool found = false;
    buf_init(&key, 16);
    buf_init(&value, RECORD_MAX);
    record_key_keywords(&key, folder);
    int result = bdb_get(j->t.state, NULL, buf_slice(&key), &value, &found, err);
    if (result == 0 && found && !record_unpack_keywords(buf_slice(&value), out))
        result = journal_damaged(j, "keywords", err);
    buf_fini(&key);
    buf_fini(&value);
    return result;
}

int journal_keywords_put(
    struct journal *j, uint32_t folder, const struct keywords *k, struct err *err)
{
    struct buf key, value;
    buf_init(&key, 16);
    buf_init(&value, RECORD_MAX);
    record_key_keywords(&key, folder);
    record_pack_keywords(&value, k);
    journal_begin(j);
    journal_put_record(j, j->t.state, &key, &value);
    buf_fini(&key);
    buf_fini(&value);
    return journal_commit_later(j, err);
}

/* --- Comparisons ------------------------------------------------------------------------------ */

int journal_compared_get(struct journal *j, uint32_t folder, struct journal_compared *out,
    bool *found_out, struct err *err)
{
    struct record_compared r;
    struct buf key, value;
    buf_init(&key, 16);
    buf_init(&value, RECORD_MAX);
    record_key_compared(&key, folder);
    *out = (struct journal_compared){0};
    int result = bdb_get(j->t.state, NULL, buf_slice(&key), &value, found_out, err);
    if (result == 0 && *found_out && !record_unpack_compared(buf_slice(&value), &r))
        result = journal_damaged(j, "a comparison", err);
    /* One of the way back says nothing about the way there. */
    *found_out = result == 0 && *found_out && r.from == j->from;
    if (*found_out)
        *out = (struct journal_compared){
            .source = r.seen[j->from], .target = r.seen[j->to], .gone = r.gone, .extra = r.extra};
    buf_fini(&key);
    buf_fini(&value);
    return result;
}

int journal_compared_put(
    struct journal *j, uint32_t folder, const struct journal_compared *c, struct err *err)
{
    struct record_compared r = {.from = (uint8_t)j->from, .gone = c->gone, .extra = c->extra};
    struct buf key, value;
    r.seen[j->from] = c->source;
    r.seen[j->to] = c->target;
    buf_init(&key, 16);
    buf_init(&value, RECORD_MAX);
    record_key_compared(&key, folder);
    record_pack_compared(&value, &r);
    journal_begin(j);
    journal_put_record(j, j->t.state, &key, &value);
    buf_fini(&key);
    buf_fini(&value);
    return journal_commit(j, err);
}

int journal_compared_forget(struct journal *j, uint32_t folder, struct err *err)
{
    struct buf key;
    buf_init(&key, 16);
    record_key_compared(&key, folder);
    journal_begin(j);
    journal_del_record(j, j->t.state, &key);
    buf_fini(&key);
    return journal_commit_later(j, err);
}
