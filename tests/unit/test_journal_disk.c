/* SPDX-License-Identifier: ISC */
/* The mark of a clean close, damage of every kind, a crash, and journals of other versions. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/os/bdb.h"
#include "imapsync/journal/pack.h"
#include "tests/unit/journal_site.h"

/* --- Marks and damage ------------------------------------------------------------------------- */

static bool has(const char *file)
{
    struct stat st;
    return stat(tmpdir_file(&dir, file), &st) == 0;
}

static size_t set_aside(void)
{
    struct dirent *e;
    size_t n = 0;
    DIR *d = opendir(home());
    assert_non_null(d);
    while ((e = readdir(d)) != NULL)
        n += strncmp(e->d_name, "damaged-", 8) == 0;
    closedir(d);
    return n;
}

static void test_mark(void **state)
{
    struct journal *j = *state;
    struct err err = ERR_INIT;
    struct pair *v;
    size_t n;
    assert_true(has("j/journal/clean")); /* made whole, and only read since */
    assert_int_equal(journal_pairs(j, 1, &v, &n, &err), 0);
    assert_true(has("j/journal/clean"));
    journal_begin(j);
    assert_false(has("j/journal/clean"));
    commit(j);
    journal_close(&j);
    assert_true(has("j/journal/clean"));
    *state = open_as("a", "b");
}

static uint64_t on_disk(void)
{
    struct dirent *e;
    struct stat st;
    uint64_t n = 0;
    DIR *d = opendir(tmpdir_file(&dir, "j/journal"));
    assert_non_null(d);
    while ((e = readdir(d)) != NULL) {
        assert_int_equal(fstatat(dirfd(d), e->d_name, &st, 0), 0);
        n += S_ISREG(st.st_mode) ? (uint64_t)st.st_blocks * 512 : 0;
    }
    closedir(d);
    return n;
}

/* Opening writes a little into the log, for ever: passes that find nothing new are most of them. */
static void test_nothing_new_for_ever(void **state)
{
    struct journal *j = *state;
    struct err err = ERR_INIT;
    struct pair *v;
    size_t n;
    journal_begin(j);
    for (uint32_t i = 1; i <= 50; i++) {
        struct pair p = stored(i, i);
        struct content c = content_of(i);
        journal_pair_put(j, 1, &p, &c);
    }
    commit(j);
    for (int i = 0; i < 250; i++) {
        *state = reopen(&j);
        assert_true(has("j/journal/clean"));
        assert_int_equal(journal_pairs(j, 1, &v, &n, &err), 0);
        assert_int_equal(n, 50);
        free(v);
        assert_in_range(on_disk(), 1, 200u << 10);
    }
}

static void fill_many(struct journal *j)
{
    journal_begin(j);
    for (uint32_t i = 1; i <= 2000; i++) {
        struct pair p = stored(i, i);
        struct content c = content_of(i * 2654435761u);
        journal_pair_put(j, 1, &p, &c);
    }
    commit(j);
}

static void overwrite(const char *file, off_t at, size_t n, int byte)
{
    unsigned char v[8192];
    int fd = open(tmpdir_file(&dir, file), O_RDWR);
    assert_true(fd >= 0 && n <= sizeof(v));
    memset(v, byte, n);
    assert_int_equal(pwrite(fd, v, n, at), n);
    close(fd);
}

static void cut(const char *file, off_t size)
{
    assert_int_equal(truncate(tmpdir_file(&dir, file), size), 0);
}

static void make_page_noise(void)
{
    overwrite("j/journal/pairs.db", 4096 * 3, 4096, 0xa5);
}

static void make_one_bit(void)
{
    overwrite("j/journal/pairs.db", 4096 * 2 + 2000, 1, 0x7e);
}

static void make_no_meta(void)
{
    overwrite("j/journal/pairs.db", 0, 4096, 0);
}

static void make_short(void)
{
    cut("j/journal/pairs.db", 4096 * 4);
}

static void make_empty(void)
{
    cut("j/journal/pairs.db", 0);
}

static void make_missing(void)
{
    assert_int_equal(unlink(tmpdir_file(&dir, "j/journal/pairs.db")), 0);
}

static void make_no_state(void)
{
    assert_int_equal(unlink(tmpdir_file(&dir, "j/journal/state.db")), 0);
}

static void make_no_log(void)
{
    struct dirent *e;
    DIR *d = opendir(tmpdir_file(&dir, "j/journal"));
    assert_non_null(d);
    while ((e = readdir(d)) != NULL) {
        struct buf path;
        buf_init(&path, 1000);
        if (strncmp(e->d_name, "log.", 4) == 0) {
            assert_int_equal(buf_addf(&path, "%s/j/journal/%s", dir.path, e->d_name), 0);
            unlink(buf_cstr(&path));
        }
        buf_fini(&path);
    }
    closedir(d);
}

static void make_no_lsn(void)
{
    make_no_log();
    unlink(tmpdir_file(&dir, "j/journal/clean"));
}

static const struct {
    const char *name;
    void (*make)(void);
} damages[] = {
    {"a page of noise", make_page_noise},
    {"one octet", make_one_bit},
    {"no first page", make_no_meta},
    {"cut", make_short},
    {"empty", make_empty},
    {"a database is missing", make_missing},
    {"no state", make_no_state},
    {"no log", make_no_log},
    {"no log and no mark", make_no_lsn},
};

/* Whatever is damaged: the process goes on, the journal is set aside, a new one is there. */
static void test_damage(void **state)
{
    struct journal *j = *state;
    for (size_t i = 0; i < COUNT_OF(damages); i++) {
        struct err err = ERR_INIT;
        struct pair *v = NULL;
        size_t n = 0, before = set_aside();
        fill_many(j);
        journal_close(&j);
        damages[i].make();
        assert_row(damages[i].name, journal_open(home(), "a", "b", &j, &err) == 0);
        if (journal_pairs(j, 1, &v, &n, &err) != 0) {
            assert_row(damages[i].name, err.scope == ERR_SCOPE_USER);
            assert_row(damages[i].name, err.class == ERR_TEMP);
            /* It stays failed until somebody asks for another. */
            struct err again = ERR_INIT;
            journal_begin(j);
            assert_row(damages[i].name, journal_commit(j, &again) != 0);
            assert_row(damages[i].name, journal_ready(j, &err) == 0);
            assert_row(damages[i].name, journal_pairs(j, 1, &v, &n, &err) == 0);
        }
        assert_row(damages[i].name, n == 0);
        assert_row(damages[i].name, !journal_is_complete(j));
        free(v);
        assert_row(damages[i].name, set_aside() > before || before == 3);
        assert_row(damages[i].name, set_aside() <= 3);
    }
    *state = j;
}

static void test_damage_is_found_at_the_end(void **state)
{
    struct journal *j = *state;
    struct err err = ERR_INIT;
    struct pair *v = NULL;
    size_t n;
    fill_many(j);
    *state = reopen(&j);
    journal_close(&j);
    make_page_noise();
    j = open_as("a", "b");
    assert_int_not_equal(journal_pairs(j, 1, &v, &n, &err), 0);
    journal_close(&j);
    assert_int_equal(set_aside(), 1);
    *state = j = open_as("a", "b");
    assert_pairs(j, 1, "");
}

/* A journal that a crash left is recovered, not set aside. */
static void test_crash(void **state)
{
    struct journal *j = *state;
    put(j, 1, stored(1, 2), 3);
    journal_close(&j);
    *state = NULL;
    pid_t child = fork();
    if (child == 0) {
        j = open_as("a", "b");
        put(j, 1, stored(2, 3), 4);
        _exit(0);
    }
    int status;
    while (waitpid(-1, &status, 0) > 0)
        assert_int_equal(status, 0);
    assert_false(has("j/journal/clean"));
    *state = j = open_as("a", "b");
    assert_pairs(j, 1, "1-2S 2-3S");
    assert_int_equal(set_aside(), 0);
}

static void test_newer_version(void **state)
{
    struct journal *j = *state, *other = NULL;
    const struct bdb_options options = {
        .cache_size = 1u << 20, .is_contained = true, .has_checksums = true};
    struct bdb_env *env;
    struct bdb *db;
    struct err err = ERR_INIT;
    journal_close(&j);
    assert_int_equal(bdb_env_open_as(tmpdir_file(&dir, "j/journal"), &options, &env, &err), 0);
    assert_int_equal(bdb_open(env, "state", &db, &err), 0);
    assert_int_equal(
        bdb_put(db, NULL, SLICE_LIT("v"), SLICE_LIT("\143whatever comes then"), &err), 0);
    bdb_close(&db);
    bdb_env_close(&env);
    assert_int_not_equal(journal_open(home(), "a", "b", &other, &err), 0);
    assert_non_null(strstr(err.text, "of version 99"));
    assert_int_equal(err.class, ERR_PERM);
    assert_int_equal(set_aside(), 0);
    *state = NULL;
}

/* As before version 8. */
static void drop_span(struct bdb *db, int side)
{
    struct err err = ERR_INIT;
    struct buf key;
    bool found;
    buf_init(&key, 16);
    record_key_span(&key, 1, side, 0);
    assert_int_equal(bdb_del(db, NULL, buf_slice(&key), &found, &err), 0);
    assert_true(found);
    buf_fini(&key);
}

/* The version record alone, as another program would write it; 0: only reads it. */
static uint8_t change_version(uint8_t to)
{
    const struct bdb_options options = {
        .cache_size = 1u << 20, .is_contained = true, .has_checksums = true};
    struct bdb_env *env;
    struct bdb *db;
    struct buf value;
    bool found;
    struct err err = ERR_INIT;
    buf_init(&value, 1000);
    assert_int_equal(bdb_env_open_as(tmpdir_file(&dir, "j/journal"), &options, &env, &err), 0);
    assert_int_equal(bdb_open(env, "state", &db, &err), 0);
    assert_int_equal(bdb_get(db, NULL, SLICE_LIT("v"), &value, &found, &err), 0);
    assert_true(found);
    uint8_t was = value.p[value.off];
    value.p[value.off] = to;
    if (to != 0)
        assert_int_equal(bdb_put(db, NULL, SLICE_LIT("v"), buf_slice(&value), &err), 0);
    for (int side = SIDE_A; to != 0 && side < SIDES; side++)
        drop_span(db, side);
    bdb_close(&db);
    bdb_env_close(&env);
    buf_fini(&value);
    return was;
}

static void assert_known(struct journal *j, uint32_t folder, size_t n, size_t n_stored)
{
    struct err err = ERR_INIT;
    struct journal_known k;
    assert_int_equal(journal_known_get(j, folder, &k, &err), 0);
    assert_int_equal(uid_set_size(&k.source), n);
    assert_int_equal(uid_set_size(&k.target), n_stored);
    assert_int_equal(k.n_stored, n_stored);
    journal_known_fini(&k);
}

/* Its records are read as they are, what it has not is made, and from then on an earlier program
 * refuses it. */
static void test_version_before(void **state)
{
    struct journal *j = *state;
    struct err err = ERR_INIT;
    put(j, 1, stored(1, 2), 7);
    assert_int_equal(journal_complete(j, &err), 0);
    journal_close(&j);
    assert_int_equal(change_version(2), RECORD_VERSION);
    j = open_as("b", "a"); /* also the other way round */
    assert_true(journal_is_complete(j));
    assert_pairs(j, 1, "2-1S");
    assert_known(j, 1, 1, 1);
    *state = reopen(&j);
    assert_pairs(j, 1, "1-2S");
    assert_digest(j, 7, "1:1-2");
    assert_true(journal_is_complete(j));
    journal_close(&j);
    assert_int_equal(change_version(0), RECORD_VERSION);
    *state = open_as("a", "b");
}

/* --- Version 1, as it was written --------------------------------------------------------------
 */

struct old {
    struct bdb_env *env;
    struct bdb *notes, *folders, *keywords, *pairs, *intents;
};

static void old_put(struct bdb *db, struct buf *key, struct buf *value)
{
    struct err err = ERR_INIT;
    if (bdb_put(db, NULL, buf_slice(key), buf_slice(value), &err) != 0)
        fail_msg("%s", err.text);
    buf_clear(key);
    buf_clear(value);
}

static void write_old(const char *source, const char *target)
{
    struct old o;
    struct err err = ERR_INIT;
    struct buf k, v;
    assert_int_equal(bdb_env_open(home(), 2u << 20, &o.env, &err), 0);
    assert_int_equal(bdb_open(o.env, "notes", &o.notes, &err), 0);
    assert_int_equal(bdb_open(o.env, "folders", &o.folders, &err), 0);
    assert_int_equal(bdb_open(o.env, "keywords", &o.keywords, &err), 0);
    assert_int_equal(bdb_open(o.env, "pairs", &o.pairs, &err), 0);
    assert_int_equal(bdb_open(o.env, "intents", &o.intents, &err), 0);
    buf_init(&k, 1000);
    buf_init(&v, 1000);
    assert_int_equal(buf_add_str(&k, "pair"), 0);
    pack_u8(&v, 1);
    pack_bytes(&v, slice_str(source));
    pack_bytes(&v, slice_str(target));
    old_put(o.notes, &k, &v);
    assert_int_equal(buf_add_str(&k, "INBOX"), 0);
    pack_u32(&v, 4);
    pack_bytes(&v, SLICE_LIT("Inbox"));
    for (uint32_t i = 0; i < 4; i++)
        pack_u32(&v, 100 + i); /* UIDVALIDITYs, UIDNEXT, MESSAGES */
    pack_u64(&v, 1);
    old_put(o.folders, &k, &v);
    pack_u32(&k, 4);
    pack_bytes(&v, SLICE_LIT("Work"));
    pack_bytes(&v, SLICE_LIT("Home"));
    old_put(o.keywords, &k, &v);
    for (uint32_t i = 1; i <= 500; i++) {
        static const unsigned char none[SHA256_SIZE];
        struct content c = content_of(i);
        uint8_t state = i == 1 ? PAIR_REFUSED : i == 2 ? PAIR_GONE : PAIR_STORED;
        pack_u32(&k, 4);
        pack_u32(&k, i);
        pack_u8(&v, state);
        pack_u32(&v, state == PAIR_STORED ? 1000 + i : 0);
        pack_u8(&v, 16);
        pack_u64(&v, 2);
        pack_u64(&v, 0);
        assert_int_equal(buf_add(&v, slice_make(i == 1 ? none : c.digest, SHA256_SIZE)), 0);
        old_put(o.pairs, &k, &v);
    }
    pack_u32(&k, 4);
    pack_u64(&k, 41);
    pack_u64(&v, 12345);
    pack_u32(&v, 77);
    pack_u32(&v, 501);
    old_put(o.intents, &k, &v);
    buf_fini(&k);
    buf_fini(&v);
    bdb_close(&o.notes);
    bdb_close(&o.folders);
    bdb_close(&o.keywords);
    bdb_close(&o.pairs);
    bdb_close(&o.intents);
    bdb_env_close(&o.env);
}

static int set_up_old(void **state)
{
    log_set_level(LOG_LEVEL_ERROR);
    tmpdir_make(&dir);
    write_old("a", "b");
    *state = NULL;
    return 0;
}

static void assert_migrated(struct journal *j)
{
    struct err err = ERR_INIT;
    struct journal_folder f;
    struct keywords names = {0};
    struct intent *intents;
    struct pair *v;
    struct content c;
    size_t n;
    bool found;
    assert_true(journal_is_complete(j));
    assert_int_equal(journal_folder_get(j, SLICE_LIT("INBOX"), &f, &found, &err), 0);
    assert_true(found && f.id == 4 && f.source.uidvalidity == 100 && f.target.uidvalidity == 101);
    assert_slice_equal(f.target.name, "Inbox");
    assert_int_equal(f.source.token.n, 0);
    journal_folder_fini(&f);
    assert_int_equal(journal_keywords_get(j, 4, &names, &err), 0);
    assert_int_equal(names.n, 2);
    assert_string_equal(names.names[1], "Home");
    keywords_fini(&names);
    assert_known(j, 4, 500, 498);
    assert_int_equal(journal_pairs(j, 4, &v, &n, &err), 0);
    assert_int_equal(n, 500);
    assert_true(v[0].state == PAIR_REFUSED && v[1].state == PAIR_GONE);
    assert_true(v[499].state == PAIR_STORED && v[499].tgt_uid == 1500 &&
                v[499].flags.keywords[0] == 2 && v[499].flags.system == 16);
    free(v);
    assert_int_equal(journal_content(j, 4, 1, &c, &found, &err), 0);
    assert_true(found && !c.has_digest);
    assert_digest(j, 500, "4:500-1500");
    assert_int_equal(journal_intents(j, 4, INTENT_APPEND, &intents, &n, &err), 0);
    assert_true(n == 1 && intents[0].id == 41 && intents[0].time_ms == 12345 &&
                intents[0].tgt_uidnext == 77 && intents[0].n == 1 && intents[0].uids[0] == 501);
    intents_free(intents, n);
    /* Numbers go on behind those that were given. */
    assert_int_equal(new_folder(j, "x", "y"), 5);
}

static void test_migration(void **state)
{
    struct journal *j = NULL;
    *state = j = open_as("a", "b");
    assert_migrated(j);
    assert_false(has("j/notes.db"));
    assert_false(has("j/pairs.db"));
    assert_false(has("j/log.0000000001"));
    assert_int_equal(set_aside(), 0);
}

/* Ended before it was renamed, or before the old files were removed. */
static void test_migration_again(void **state)
{
    struct err err = ERR_INIT;
    struct journal *j;
    assert_int_equal(mkdir(tmpdir_file(&dir, "j/journal.new"), 0700), 0);
    int fd = open(tmpdir_file(&dir, "j/journal.new/pairs.db"), O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0 && write(fd, "half", 4) == 4);
    close(fd);
    *state = j = open_as("a", "b");
    assert_false(has("j/journal.new"));
    assert_int_equal(journal_complete(j, &err), 0);
    journal_close(&j);
    write_old("a", "b");
    *state = j = open_as("a", "b");
    assert_migrated(j);
    assert_false(has("j/notes.db"));
}

static void test_migration_refused(void **state)
{
    struct err err = ERR_INIT;
    struct journal *j = NULL;
    assert_int_not_equal(journal_open(home(), "a", "c", &j, &err), 0);
    assert_int_equal(err.class, ERR_PERM);
    assert_true(has("j/notes.db") && has("j/pairs.db") && !has("j/journal"));
    *state = NULL;
}

static void test_migration_of_damage(void **state)
{
    struct journal *j;
    overwrite("j/pairs.db", 4096, 4096, 0xa5);
    *state = j = open_as("a", "b");
    assert_pairs(j, 4, "");
    assert_false(journal_is_complete(j));
    assert_false(has("j/notes.db"));
    assert_int_equal(set_aside(), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_OLD(name) cmocka_unit_test_setup_teardown(name, set_up_old, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_mark),
        TEST(test_nothing_new_for_ever),
        TEST(test_damage),
        TEST(test_damage_is_found_at_the_end),
        TEST(test_crash),
        TEST(test_newer_version),
        TEST(test_version_before),
        TEST_OLD(test_migration),
        TEST_OLD(test_migration_again),
        TEST_OLD(test_migration_refused),
        TEST_OLD(test_migration_of_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
