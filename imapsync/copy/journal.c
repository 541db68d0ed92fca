/* SPDX-License-Identifier: ISC */
/*
 * journal: five tables in one environment (base/os/bdb.h).
 *
 *   notes     "pair" -> version, both ends; "last-folder" -> id; other small records by name
 *   folders   source name -> id, target name, UIDVALIDITYs, last STATUS
 *   keywords  folder id -> names in the order of their bits
 *   pairs     folder id, source UID -> state, target UID, flags, digest
 *   intents   folder id, intent id -> time, target UIDNEXT, source UIDs
 *
 * Every change is one transaction that is durable when commit returns.  A record that cannot be
 * read is an error, never skipped: a journal that forgets makes duplicates.
 */
#include "imapsync/copy/journal.h"

#include <stdlib.h>
#include <sysexits.h>

#include "base/core/mem.h"
#include "base/os/bdb.h"
#include "imapsync/copy/pack.h"

#define JOURNAL_VERSION 1
#define CACHE_SIZE (2u << 20)
#define RECORD_MAX (64u << 10)

struct journal {
    struct bdb_env *env;
    struct bdb *notes, *folders, *keywords, *pairs, *intents;
    struct bdb_txn *txn;
    struct err txn_err;
    int txn_result;
    uint64_t last_intent;
};

static int damaged(struct err *err, const char *what)
{
    return err_set(err, ERR_BUG, EX_DATAERR, "the journal is damaged (%s)", what);
}

/* --- Opening ----------------------------------------------------------------------- */

static int check_pair(struct journal *j, const char *source, const char *target, struct err *err)
{
    struct buf want, have;
    bool found = false;
    buf_init(&want, RECORD_MAX);
    buf_init(&have, RECORD_MAX);
    pack_u8(&want, JOURNAL_VERSION);
    pack_bytes(&want, slice_str(source));
    pack_bytes(&want, slice_str(target));
    int result = journal_note_get(j, "pair", &have, &found, err);
    if (result == 0 && !found)
        result = journal_note_put(j, "pair", buf_slice(&want), err);
    else if (result == 0 && (have.n == 0 || buf_slice(&have).p[0] != JOURNAL_VERSION))
        result = err_set(err, ERR_PERM, EX_CONFIG,
            "the journal is of version %d, and this program knows version %d",
            have.n == 0 ? 0 : buf_slice(&have).p[0], JOURNAL_VERSION);
    else if (result == 0 && !slice_eq(buf_slice(&want), buf_slice(&have)))
        result =
            err_set(err, ERR_PERM, EX_USAGE, "the journal belongs to another pair of mailboxes");
    buf_fini(&want);
    buf_fini(&have);
    return result;
}

static int find_last_intent(struct journal *j, struct err *err)
{
    struct bdb_cursor *c;
    struct slice key, value;
    int r;
    if (bdb_cursor_open(j->intents, NULL, SLICE_NONE, &c, err) != 0)
        return -1;
    while ((r = bdb_cursor_next(c, &key, &value, err)) > 0) {
        uint32_t folder;
        uint64_t id;
        if (!unpack_u32(&key, &folder) || !unpack_u64(&key, &id)) {
            r = damaged(err, "intent");
            break;
        }
        j->last_intent = id > j->last_intent ? id : j->last_intent;
    }
    bdb_cursor_close(&c);
    return r;
}

int journal_open(
    const char *dir, const char *source, const char *target, struct journal **out, struct err *err)
{
    struct journal *j = mem_zalloc(sizeof(*j));
    if (bdb_env_open(dir, CACHE_SIZE, &j->env, err) != 0 ||
        bdb_open(j->env, "notes", &j->notes, err) != 0 ||
        bdb_open(j->env, "folders", &j->folders, err) != 0 ||
        bdb_open(j->env, "keywords", &j->keywords, err) != 0 ||
        bdb_open(j->env, "pairs", &j->pairs, err) != 0 ||
        bdb_open(j->env, "intents", &j->intents, err) != 0 ||
        check_pair(j, source, target, err) != 0 || find_last_intent(j, err) != 0) {
        journal_close(&j);
        return err_wrap(err, "journal %s", dir);
    }
    *out = j;
    return 0;
}

void journal_close(struct journal **j)
{
    if (!*j)
        return;
    if ((*j)->txn)
        bdb_abort(&(*j)->txn);
    bdb_close(&(*j)->notes);
    bdb_close(&(*j)->folders);
    bdb_close(&(*j)->keywords);
    bdb_close(&(*j)->pairs);
    bdb_close(&(*j)->intents);
    bdb_env_close(&(*j)->env);
    free(*j);
    *j = NULL;
}

/* --- Transactions -------------------------------------------------------------------- */

void journal_begin(struct journal *j)
{
    BUG_ON(j->txn != NULL);
    j->txn_err = ERR_INIT;
    j->txn_result = bdb_begin(j->env, &j->txn, &j->txn_err);
}

int journal_commit(struct journal *j, struct err *err)
{
    int result = j->txn_result;
    if (result == 0)
        result = bdb_commit(&j->txn, &j->txn_err);
    else if (j->txn)
        bdb_abort(&j->txn);
    j->txn = NULL;
    if (result == 0)
        result = bdb_env_checkpoint(j->env, &j->txn_err);
    if (result != 0) {
        *err = j->txn_err;
        return err_wrap(err, "cannot write the journal");
    }
    return 0;
}

static void put(struct journal *j, struct bdb *db, const struct buf *key, const struct buf *value)
{
    if (j->txn_result == 0)
        j->txn_result = bdb_put(db, j->txn, buf_slice(key), buf_slice(value), &j->txn_err);
}

static void del(struct journal *j, struct bdb *db, struct slice key)
{
    bool found;
    if (j->txn_result == 0)
        j->txn_result = bdb_del(db, j->txn, key, &found, &j->txn_err);
}

/* --- Notes ---------------------------------------------------------------------------- */

int journal_note_get(
    struct journal *j, const char *name, struct buf *out, bool *found_out, struct err *err)
{
    return bdb_get(j->notes, NULL, slice_str(name), out, found_out, err);
}

int journal_note_put(struct journal *j, const char *name, struct slice value, struct err *err)
{
    journal_begin(j);
    if (j->txn_result == 0)
        j->txn_result = bdb_put(j->notes, j->txn, slice_str(name), value, &j->txn_err);
    return journal_commit(j, err);
}

/* --- Folders -------------------------------------------------------------------------- */

void journal_folder_fini(struct journal_folder *f)
{
    free((void *)(uintptr_t)f->source.p);
    free((void *)(uintptr_t)f->target.p);
    *f = (struct journal_folder){0};
}

int journal_folder_get(struct journal *j, struct slice source, struct journal_folder *out,
    bool *found_out, struct err *err)
{
    struct buf value;
    struct slice target;
    buf_init(&value, RECORD_MAX);
    *out = (struct journal_folder){0};
    int result = bdb_get(j->folders, NULL, source, &value, found_out, err);
    if (result == 0 && *found_out) {
        struct slice s = buf_slice(&value);
        if (unpack_u32(&s, &out->id) && unpack_bytes(&s, &target) &&
            unpack_u32(&s, &out->src_uidvalidity) && unpack_u32(&s, &out->tgt_uidvalidity) &&
            unpack_u32(&s, &out->src_uidnext) && unpack_u32(&s, &out->src_messages) &&
            unpack_u64(&s, &out->src_highestmodseq)) {
            out->source = slice_make(slice_dup(source), source.n);
            out->target = slice_make(slice_dup(target), target.n);
        } else {
            result = damaged(err, "folder");
        }
    }
    buf_fini(&value);
    return result;
}

int journal_folders_each(
    struct journal *j, void (*each)(void *arg, struct slice source), void *arg, struct err *err)
{
    struct bdb_cursor *c;
    struct slice key, value;
    int r;
    if (bdb_cursor_open(j->folders, NULL, SLICE_NONE, &c, err) != 0)
        return -1;
    while ((r = bdb_cursor_next(c, &key, &value, err)) > 0)
        each(arg, key);
    bdb_cursor_close(&c);
    return r;
}

static int next_folder_id(struct journal *j, uint32_t *out, struct err *err)
{
    struct buf value;
    bool found = false;
    buf_init(&value, RECORD_MAX);
    int result = journal_note_get(j, "last-folder", &value, &found, err);
    struct slice s = buf_slice(&value);
    *out = 0;
    if (result == 0 && found && !unpack_u32(&s, out))
        result = damaged(err, "last folder");
    ++*out;
    buf_fini(&value);
    return result;
}

int journal_folder_put(struct journal *j, struct journal_folder *f, struct err *err)
{
    struct buf value, last;
    buf_init(&value, RECORD_MAX);
    buf_init(&last, RECORD_MAX);
    bool is_new = f->id == 0;
    int result = is_new ? next_folder_id(j, &f->id, err) : 0;
    if (result == 0) {
        pack_u32(&value, f->id);
        pack_bytes(&value, f->target);
        pack_u32(&value, f->src_uidvalidity);
        pack_u32(&value, f->tgt_uidvalidity);
        pack_u32(&value, f->src_uidnext);
        pack_u32(&value, f->src_messages);
        pack_u64(&value, f->src_highestmodseq);
        pack_u32(&last, f->id);
        journal_begin(j);
        if (j->txn_result == 0)
            j->txn_result = bdb_put(j->folders, j->txn, f->source, buf_slice(&value), &j->txn_err);
        if (j->txn_result == 0 && is_new)
            j->txn_result =
                bdb_put(j->notes, j->txn, SLICE_LIT("last-folder"), buf_slice(&last), &j->txn_err);
        result = journal_commit(j, err);
    }
    buf_fini(&value);
    buf_fini(&last);
    return result;
}

int journal_keywords_get(struct journal *j, uint32_t folder, struct keywords *out, struct err *err)
{
    struct buf key, value;
    bool found = false;
    buf_init(&key, 16);
    buf_init(&value, RECORD_MAX);
    pack_u32(&key, folder);
    int result = bdb_get(j->keywords, NULL, buf_slice(&key), &value, &found, err);
    struct slice s = buf_slice(&value), name;
    while (result == 0 && found && s.n > 0) {
        if (!unpack_bytes(&s, &name) || keywords_bit(out, name) < 0)
            result = damaged(err, "keywords");
    }
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
    pack_u32(&key, folder);
    for (size_t i = 0; i < k->n; i++)
        pack_bytes(&value, slice_str(k->names[i]));
    journal_begin(j);
    put(j, j->keywords, &key, &value);
    buf_fini(&key);
    buf_fini(&value);
    return journal_commit(j, err);
}

/* --- Scans of one folder ------------------------------------------------------------------ */

struct scan {
    struct bdb_cursor *cursor;
    uint32_t folder;
};

static int scan_open(
    struct bdb *db, struct bdb_txn *txn, uint32_t folder, struct scan *out, struct err *err)
{
    struct buf from;
    buf_init(&from, 16);
    pack_u32(&from, folder);
    out->folder = folder;
    int result = bdb_cursor_open(db, txn, buf_slice(&from), &out->cursor, err);
    buf_fini(&from);
    return result;
}

/* 1: a record of the folder, *key is what follows the folder's id; 0: no more. */
static int scan_next(struct scan *s, struct slice *key, struct slice *value, struct err *err)
{
    uint32_t folder;
    int r = bdb_cursor_next(s->cursor, key, value, err);
    if (r <= 0)
        return r;
    if (!unpack_u32(key, &folder))
        return damaged(err, "key");
    return folder == s->folder;
}

#define FORGET_AT_ONCE 500

/* Deletes up to FORGET_AT_ONCE records of the folder: 1 when there may be more. */
static int forget_some(struct journal *j, struct bdb *db, uint32_t folder, struct err *err)
{
    struct buf keys;
    struct scan s;
    struct slice key, value;
    size_t n = 0;
    int r;
    buf_init(&keys, RECORD_MAX);
    if (scan_open(db, NULL, folder, &s, err) != 0)
        return -1;
    while (n < FORGET_AT_ONCE && (r = scan_next(&s, &key, &value, err)) > 0) {
        pack_bytes(&keys, key);
        n++;
    }
    bdb_cursor_close(&s.cursor);
    struct slice rest = buf_slice(&keys);
    journal_begin(j);
    while (n > 0 && unpack_bytes(&rest, &key)) {
        struct buf whole;
        buf_init(&whole, 64);
        pack_u32(&whole, folder);
        BUG_ON(buf_add(&whole, key) != 0);
        del(j, db, buf_slice(&whole));
        buf_fini(&whole);
    }
    buf_fini(&keys);
    if (journal_commit(j, err) != 0)
        return -1;
    return n == FORGET_AT_ONCE;
}

int journal_folder_forget(struct journal *j, uint32_t folder, struct err *err)
{
    struct bdb *const tables[] = {j->intents, j->pairs};
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        int r;
        while ((r = forget_some(j, tables[i], folder, err)) > 0)
            continue;
        if (r < 0)
            return -1;
    }
    return 0;
}

/* --- Pairs ---------------------------------------------------------------------------------- */

static void pair_key(struct buf *key, uint32_t folder, uint32_t src_uid)
{
    buf_init(key, 16);
    pack_u32(key, folder);
    pack_u32(key, src_uid);
}

static bool unpack_pair(struct slice *s, struct pair *p)
{
    uint8_t state;
    if (!unpack_u8(s, &state) || !unpack_u32(s, &p->tgt_uid) || !unpack_u8(s, &p->flags.system))
        return false;
    for (size_t i = 0; i < FLAGS_WORDS; i++) {
        if (!unpack_u64(s, &p->flags.keywords[i]))
            return false;
    }
    p->state = (enum pair_state)state;
    return state == PAIR_COPIED || state == PAIR_REFUSED || state == PAIR_GONE;
}

int journal_pairs(
    struct journal *j, uint32_t folder, struct pair **out, size_t *n_out, struct err *err)
{
    struct scan s;
    struct slice key, value;
    size_t cap = 0;
    int r;
    *out = NULL;
    *n_out = 0;
    if (scan_open(j->pairs, NULL, folder, &s, err) != 0)
        return -1;
    while ((r = scan_next(&s, &key, &value, err)) > 0) {
        if (*n_out == cap) {
            cap = cap ? cap + cap / 2 : 256;
            *out = mem_realloc_array(*out, cap, sizeof(**out));
        }
        struct pair *p = &(*out)[(*n_out)++];
        if (!unpack_u32(&key, &p->src_uid) || !unpack_pair(&value, p)) {
            r = damaged(err, "pair");
            break;
        }
    }
    bdb_cursor_close(&s.cursor);
    if (r < 0) {
        free(*out);
        *out = NULL;
    }
    return r;
}

int journal_folder_detach(struct journal *j, uint32_t folder, struct err *err)
{
    struct pair *pairs;
    size_t n;
    if (journal_pairs(j, folder, &pairs, &n, err) != 0)
        return -1;
    int result = 0;
    for (size_t i = 0; i < n && result == 0;) {
        journal_begin(j);
        for (size_t k = 0; k < FORGET_AT_ONCE && i < n; k++, i++) {
            if (pairs[i].state != PAIR_COPIED)
                continue;
            pairs[i].state = PAIR_GONE;
            pairs[i].tgt_uid = 0;
            journal_pair_put(j, folder, &pairs[i], NULL);
        }
        result = journal_commit(j, err);
    }
    free(pairs);
    return result;
}

/* The record's last bytes are the digest. */
static int get_digest(struct journal *j, struct slice key, unsigned char out[SHA256_SIZE],
    bool *found_out, struct err *err)
{
    struct buf value;
    struct pair ignored;
    buf_init(&value, RECORD_MAX);
    int result = bdb_get(j->pairs, j->txn, key, &value, found_out, err);
    struct slice s = buf_slice(&value);
    if (result == 0 && *found_out) {
        if (!unpack_pair(&s, &ignored) || s.n != SHA256_SIZE)
            result = damaged(err, "digest");
        else
            memcpy(out, s.p, SHA256_SIZE);
    }
    buf_fini(&value);
    return result;
}

int journal_digest(struct journal *j, uint32_t folder, uint32_t src_uid,
    unsigned char digest_out[SHA256_SIZE], bool *found_out, struct err *err)
{
    struct buf key;
    pair_key(&key, folder, src_uid);
    int result = get_digest(j, buf_slice(&key), digest_out, found_out, err);
    buf_fini(&key);
    return result;
}

void journal_pair_put(struct journal *j, uint32_t folder, const struct pair *p,
    const unsigned char digest[SHA256_SIZE])
{
    struct buf key, value;
    unsigned char kept[SHA256_SIZE] = {0};
    bool found;
    pair_key(&key, folder, p->src_uid);
    if (!digest && j->txn_result == 0)
        j->txn_result = get_digest(j, buf_slice(&key), kept, &found, &j->txn_err);
    buf_init(&value, RECORD_MAX);
    pack_u8(&value, (uint8_t)p->state);
    pack_u32(&value, p->tgt_uid);
    pack_u8(&value, p->flags.system);
    for (size_t i = 0; i < FLAGS_WORDS; i++)
        pack_u64(&value, p->flags.keywords[i]);
    BUG_ON(buf_add(&value, slice_make(digest ? digest : kept, SHA256_SIZE)) != 0);
    put(j, j->pairs, &key, &value);
    buf_fini(&key);
    buf_fini(&value);
}

void journal_pair_del(struct journal *j, uint32_t folder, uint32_t src_uid)
{
    struct buf key;
    pair_key(&key, folder, src_uid);
    del(j, j->pairs, buf_slice(&key));
    buf_fini(&key);
}

/* --- Intents ---------------------------------------------------------------------------------- */

static void intent_key(struct buf *key, uint32_t folder, uint64_t id)
{
    buf_init(key, 16);
    pack_u32(key, folder);
    pack_u64(key, id);
}

void journal_intent_put(struct journal *j, uint32_t folder, struct intent *i)
{
    struct buf key, value;
    i->id = ++j->last_intent;
    intent_key(&key, folder, i->id);
    buf_init(&value, RECORD_MAX);
    pack_u64(&value, (uint64_t)i->time_ms);
    pack_u32(&value, i->tgt_uidnext);
    for (size_t k = 0; k < i->n; k++)
        pack_u32(&value, i->uids[k]);
    put(j, j->intents, &key, &value);
    buf_fini(&key);
    buf_fini(&value);
}

void journal_intent_del(struct journal *j, uint32_t folder, uint64_t id)
{
    struct buf key;
    intent_key(&key, folder, id);
    del(j, j->intents, buf_slice(&key));
    buf_fini(&key);
}

int journal_intents(
    struct journal *j, uint32_t folder, struct intent **out, size_t *n_out, struct err *err)
{
    struct scan s;
    struct slice key, value;
    int r;
    *out = NULL;
    *n_out = 0;
    if (scan_open(j->intents, NULL, folder, &s, err) != 0)
        return -1;
    while ((r = scan_next(&s, &key, &value, err)) > 0) {
        uint64_t time;
        *out = mem_realloc_array(*out, *n_out + 1, sizeof(**out));
        struct intent *i = &(*out)[(*n_out)++];
        *i = (struct intent){0};
        if (!unpack_u64(&key, &i->id) || !unpack_u64(&value, &time) ||
            !unpack_u32(&value, &i->tgt_uidnext) || value.n % 4 != 0) {
            r = damaged(err, "intent");
            break;
        }
        i->time_ms = (int64_t)time;
        i->uids = mem_realloc_array(NULL, value.n / 4 + 1, sizeof(*i->uids));
        while (unpack_u32(&value, &i->uids[i->n]))
            i->n++;
    }
    bdb_cursor_close(&s.cursor);
    if (r < 0) {
        intents_free(*out, *n_out);
        *out = NULL;
        *n_out = 0;
    }
    return r;
}

void intents_free(struct intent *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(v[i].uids);
    free(v);
}
