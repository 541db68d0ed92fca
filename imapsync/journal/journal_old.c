/* SPDX-License-Identifier: ISC */
/*
 * journal_old: a journal of version 1, which lay in DIR itself and knew one direction, is read into
 * a new one (A its source, B its target).  The old files are removed when the new journal has its
 * name; a crash before that begins the migration again.
 *
 *   notes     "pair" -> version, both ends; "last-folder" -> id
 *   folders   source name -> id, target name, UIDVALIDITYs, last STATUS
 *   keywords  folder id -> names in the order of their bits
 *   pairs     folder id, source UID -> state, target UID, flags, digest
 *   intents   folder id, intent id -> time, target UIDNEXT, source UIDs
 *
 * The last STATUS is left behind: the next pass looks at each folder once.
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/os/io.h"
#include "imapsync/journal/journal_parts.h"
#include "imapsync/journal/pack.h"

#define OLD_VERSION 1
#define PATH_LENGTH_MAX 4096
#define AT_ONCE 200

static const char *const tables[] = {"notes", "folders", "keywords", "pairs", "intents"};
enum { NOTES, FOLDERS, KEYWORDS, PAIRS, INTENTS, N_TABLES };

struct migration {
    struct bdb_env *env;
    struct bdb *from[N_TABLES];
    struct journal_tables *to;
    uint32_t last_folder;
    uint64_t last_intent;
    size_t n; /* puts in the open transaction */
};

bool journal_is_old(const char *dir)
{
    struct buf path;
    buf_init(&path, PATH_LENGTH_MAX);
    bool is_old = io_path(&path, dir, "notes.db") == 0 && access(buf_cstr(&path), F_OK) == 0;
    buf_fini(&path);
    return is_old;
}

static bool is_old_file(const char *name)
{
    if (strncmp(name, "log.", 4) == 0 || strncmp(name, "__db.", 5) == 0)
        return true;
    for (size_t i = 0; i < N_TABLES; i++) {
        size_t n = strlen(tables[i]);
        if (strncmp(name, tables[i], n) == 0 && strcmp(name + n, ".db") == 0)
            return true;
    }
    return false;
}

static void move_file(const char *dir, const char *name, const char *to)
{
    struct buf from, at;
    buf_init(&from, PATH_LENGTH_MAX);
    buf_init(&at, PATH_LENGTH_MAX);
    if (io_path(&from, dir, name) == 0 && !to)
        (void)unlink(buf_cstr(&from));
    else if (to && io_path(&at, to, name) == 0)
        (void)rename(buf_cstr(&from), buf_cstr(&at));
    buf_fini(&from);
    buf_fini(&at);
}

/* "notes" last: while it is there the journal is an old one. */
void journal_move_old(const char *dir, const char *to)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    if (!d)
        return;
    while ((e = readdir(d)) != NULL) {
        if (is_old_file(e->d_name) && strcmp(e->d_name, "notes.db") != 0)
            move_file(dir, e->d_name, to);
    }
    (void)closedir(d);
    move_file(dir, "notes.db", to);
}

static int damaged(const char *what, struct err *err)
{
    err_set(err, ERR_TEMP, EX_DATAERR, "the old journal is damaged (%s)", what);
    return err_scope_set(err, ERR_SCOPE_USER);
}

static int put(struct migration *m, struct bdb *db, const struct buf *key, const struct buf *value,
    struct err *err)
{
    return bdb_put(db, m->to->txn, buf_slice(key), buf_slice(value), err);
}

static int put_folder(struct migration *m, struct slice key, struct slice value, struct err *err)
{
    struct record_folder f = {0};
    struct buf k, v;
    uint32_t id, skipped;
    uint64_t modseq;
    f.end[SIDE_A].name = key;
    if (!unpack_u32(&value, &id) || !unpack_bytes(&value, &f.end[SIDE_B].name) ||
        !unpack_u32(&value, &f.end[SIDE_A].uidvalidity) ||
        !unpack_u32(&value, &f.end[SIDE_B].uidvalidity) || !unpack_u32(&value, &skipped) ||
        !unpack_u32(&value, &skipped) || !unpack_u64(&value, &modseq) || value.n > 0)
        return damaged("folder", err);
    m->last_folder = id > m->last_folder ? id : m->last_folder;
    buf_init(&k, RECORD_MAX);
    buf_init(&v, RECORD_MAX);
    record_key_folder(&k, id);
    record_pack_folder(&v, &f);
    int r = put(m, m->to->state, &k, &v, err);
    record_pack_id(&v, id);
    for (int side = SIDE_A; r == 0 && side < SIDES; side++) {
        record_key_name(&k, side, f.end[side].name);
        r = put(m, m->to->state, &k, &v, err);
    }
    buf_fini(&k);
    buf_fini(&v);
    return r;
}

static int put_keywords(struct migration *m, struct slice key, struct slice value, struct err *err)
{
    struct keywords names = {0};
    struct buf k, v;
    uint32_t id;
    bool is_right = unpack_u32(&key, &id) && record_unpack_keywords(value, &names);
    keywords_fini(&names);
    if (!is_right)
        return damaged("keywords", err);
    buf_init(&k, 16);
    buf_init(&v, RECORD_MAX);
    record_key_keywords(&k, id);
    int r = buf_add(&v, value);
    BUG_ON(r != 0);
    r = put(m, m->to->state, &k, &v, err);
    buf_fini(&k);
    buf_fini(&v);
    return r;
}

static int put_pair(struct migration *m, struct slice key, struct slice value, struct err *err)
{
    static const unsigned char none[SHA256_SIZE];
    struct record_pair p = {0};
    uint32_t folder;
    uint8_t state;
    bool is_right = unpack_u32(&key, &folder) && unpack_u32(&key, &p.uid[SIDE_A]) &&
                    unpack_u8(&value, &state) && unpack_u32(&value, &p.uid[SIDE_B]) &&
                    unpack_u8(&value, &p.flags.system);
    for (size_t i = 0; is_right && i < FLAGS_WORDS; i++) {
        uint64_t word = 0;
        is_right = unpack_u64(&value, &word);
        p.flags.keywords[i] = word;
    }
    if (!is_right || value.n != SHA256_SIZE || state < PAIR_STORED || state > PAIR_GONE ||
        p.uid[SIDE_A] == 0 || (state == PAIR_STORED) != (p.uid[SIDE_B] != 0))
        return damaged("pair", err);
    p.state = (enum pair_state)state;
    memcpy(p.digest, value.p, SHA256_SIZE);
    p.has_digest = memcmp(p.digest, none, SHA256_SIZE) != 0;
    int r = tables_put_pair(m->to, folder, &p, err);
    return r > 0 ? damaged("pair", err) : r;
}

static int put_intent(struct migration *m, struct slice key, struct slice value, struct err *err)
{
    struct record_intent i = {.kind = INTENT_APPEND, .to = SIDE_B};
    struct buf k, v;
    uint32_t folder;
    uint64_t id, time;
    if (!unpack_u32(&key, &folder) || !unpack_u64(&key, &id) || !unpack_u64(&value, &time) ||
        !unpack_u32(&value, &i.uidnext) || value.n % 4 != 0)
        return damaged("intent", err);
    m->last_intent = id > m->last_intent ? id : m->last_intent;
    i.time_ms = (int64_t)time;
    i.uids = value;
    buf_init(&k, 16);
    buf_init(&v, RECORD_MAX);
    record_key_intent(&k, folder, id);
    record_pack_intent(&v, &i);
    int r = put(m, m->to->state, &k, &v, err);
    buf_fini(&k);
    buf_fini(&v);
    return r;
}

static int put_all(struct migration *m, int table,
    int (*one)(struct migration *m, struct slice key, struct slice value, struct err *err),
    struct err *err)
{
    struct bdb_cursor *c;
    struct slice key, value;
    int r;
    if (bdb_cursor_open(m->from[table], NULL, SLICE_NONE, &c, err) != 0)
        return -1;
    while ((r = bdb_cursor_next(c, &key, &value, err)) > 0) {
        if (!m->to->txn)
            r = bdb_begin(m->to->env, &m->to->txn, err);
        else
            r = 0;
        if (r == 0)
            r = one(m, key, value, err);
        if (r == 0 && ++m->n % AT_ONCE == 0 && tables_commit(m->to, err) != 0)
            r = -1;
        if (r == 0 && m->n % AT_ONCE == 0)
            r = bdb_env_checkpoint(m->to->env, err);
        if (r != 0)
            break;
    }
    bdb_cursor_close(&c);
    return r;
}

static int check_version(
    struct migration *m, const char *source, const char *target, struct err *err)
{
    struct buf have;
    struct slice a, b;
    uint8_t version;
    bool found = false;
    buf_init(&have, RECORD_MAX);
    int r = bdb_get(m->from[NOTES], NULL, SLICE_LIT("pair"), &have, &found, err);
    struct slice s = buf_slice(&have);
    if (r == 0 && (!found || !unpack_u8(&s, &version)))
        r = damaged("version", err);
    else if (r == 0 && version != OLD_VERSION)
        r = err_set(err, ERR_PERM, EX_CONFIG,
            "the journal is of version %u, and this program knows versions %d and %d", version,
            OLD_VERSION, RECORD_VERSION);
    else if (r == 0 && (!unpack_bytes(&s, &a) || !unpack_bytes(&s, &b)))
        r = damaged("version", err);
    else if (r == 0 && (!slice_eq(a, slice_str(source)) || !slice_eq(b, slice_str(target))))
        r = err_set(err, ERR_PERM, EX_USAGE, "the journal belongs to another pair of mailboxes");
    buf_fini(&have);
    return r;
}

static int put_last(struct migration *m, struct err *err)
{
    struct buf key, value;
    buf_init(&key, 16);
    buf_init(&value, 16);
    record_key_last(&key);
    record_pack_last(&value, m->last_folder, m->last_intent);
    int r = put(m, m->to->state, &key, &value, err);
    buf_fini(&key);
    buf_fini(&value);
    return r;
}

int journal_migrate(const char *dir, const char *source, const char *target,
    struct journal_tables *into, struct err *err)
{
    const struct bdb_options options = {
        .cache_size = JOURNAL_CACHE_SIZE, .is_contained = true, .is_complete = true};
    struct migration m = {.to = into};
    int r = bdb_env_open_as(dir, &options, &m.env, err);
    for (size_t i = 0; r == 0 && i < N_TABLES; i++)
        r = bdb_open(m.env, tables[i], &m.from[i], err);
    if (r == 0)
        r = check_version(&m, source, target, err);
    if (r == 0)
        r = put_all(&m, FOLDERS, put_folder, err);
    if (r == 0)
        r = put_all(&m, KEYWORDS, put_keywords, err);
    if (r == 0)
        r = put_all(&m, PAIRS, put_pair, err);
    if (r == 0)
        r = put_all(&m, INTENTS, put_intent, err);
    if (r == 0)
        r = put_last(&m, err);
    if (r == 0)
        r = tables_commit(into, err);
    for (size_t i = 0; i < N_TABLES; i++)
        bdb_close(&m.from[i]);
    (void)bdb_env_close(&m.env);
    return r == 0 ? 0 : -1;
}
