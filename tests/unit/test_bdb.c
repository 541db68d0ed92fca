/* SPDX-License-Identifier: ISC */
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>
#include "base/core/log.h"
#include "base/os/bdb.h"
#include "base/os/io.h"
#include "tests/unit/tmpdir.h"

#define CACHE_SIZE (4U << 20)

static struct tmpdir dir;

static int set_up(void **state)
{
    (void)state;
    log_set_level(LOG_LEVEL_ERROR);
    tmpdir_make(&dir);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tmpdir_remove(&dir);
    return 0;
}

static const char *home(void)
{
    return tmpdir_file(&dir, "home");
}

static void open_both(struct bdb_env **env, struct bdb **db)
{
    struct err err = ERR_INIT;

    if (bdb_env_open(home(), CACHE_SIZE, env, &err) != 0 || bdb_open(*env, "map", db, &err) != 0)
        fail_msg("%s", err.text);
}

static void close_both(struct bdb_env **env, struct bdb **db)
{
    bdb_close(db);
    bdb_env_close(env);
    assert_null(*db);
    assert_null(*env);
}

static const char *number(int i)
{
    static char texts[2][16];
    static unsigned turn;
    char *text = texts[turn++ % 2]; /* a key and a value may be made in one call */

    assert_int_equal(fmt_into(text, sizeof(texts[0]), "k%08d", i), 0);
    return text;
}

static void test_pairs(void **state)
{
    struct bdb_env *env;
    struct bdb *db;
    struct bdb_txn *txn;
    struct err err = ERR_INIT;
    struct buf value;
    struct stat st;
    bool found;

    (void)state;
    open_both(&env, &db);
    assert_int_equal(stat(home(), &st), 0);
    assert_int_equal(st.st_mode & 0007, 0);
    buf_init(&value, 1000);
    assert_int_equal(bdb_get(db, NULL, SLICE_LIT("a"), &value, &found, &err), 0);
    assert_false(found);
    assert_int_equal(bdb_begin(env, &txn, &err), 0);
    assert_int_equal(bdb_put(db, txn, SLICE_LIT("a"), SLICE_LIT("one\0two"), &err), 0);
    assert_int_equal(bdb_put(db, txn, SLICE_LIT("empty"), SLICE_NONE, &err), 0);
    assert_int_equal(bdb_get(db, txn, SLICE_LIT("a"), &value, &found, &err), 0);
    assert_true(found);
    assert_int_equal(bdb_commit(&txn, &err), 0);
    assert_null(txn);
    assert_int_equal(bdb_get(db, NULL, SLICE_LIT("a"), &value, &found, &err), 0);
    assert_true(found);
    assert_int_equal(value.n, 7);
    assert_memory_equal(buf_slice(&value).p, "one\0two", 7);
    assert_int_equal(bdb_get(db, NULL, SLICE_LIT("empty"), &value, &found, &err), 0);
    assert_true(found);
    assert_int_equal(value.n, 0);
    /* Undone. */
    assert_int_equal(bdb_begin(env, &txn, &err), 0);
    assert_int_equal(bdb_put(db, txn, SLICE_LIT("a"), SLICE_LIT("new"), &err), 0);
    assert_int_equal(bdb_del(db, txn, SLICE_LIT("empty"), &found, &err), 0);
    assert_true(found);
    bdb_abort(&txn);
    bdb_abort(&txn);
    assert_int_equal(bdb_get(db, NULL, SLICE_LIT("a"), &value, &found, &err), 0);
    assert_int_equal(value.n, 7);
    assert_int_equal(bdb_del(db, NULL, SLICE_LIT("empty"), &found, &err), 0);
    assert_true(found);
    assert_int_equal(bdb_del(db, NULL, SLICE_LIT("empty"), &found, &err), 0);
    assert_false(found);
    assert_int_equal(bdb_env_checkpoint(env, &err), 0);
    buf_fini(&value);
    close_both(&env, &db);
}

static void test_sizes(void **state)
{
    static unsigned char bytes[100000];
    static const size_t sizes[] = {0, 1, 255, 256, 257, 4095, 4096, 99999};
    struct bdb_env *env;
    struct bdb *db;
    struct err err = ERR_INIT;
    struct buf value;
    bool found;

    (void)state;
    open_both(&env, &db);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)(i * 11);
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct slice in = slice_make(bytes, sizes[i]);

        assert_int_equal(bdb_put(db, NULL, SLICE_LIT("size"), in, &err), 0);
        buf_init(&value, sizes[i]);
        assert_int_equal(bdb_get(db, NULL, SLICE_LIT("size"), &value, &found, &err), 0);
        assert_true(slice_eq(buf_slice(&value), in));
        buf_fini(&value);
        if (sizes[i] > 0) {
            buf_init(&value, sizes[i] - 1);
            assert_int_equal(bdb_get(db, NULL, SLICE_LIT("size"), &value, &found, &err), -1);
            assert_int_equal(err.class, ERR_BUG);
            buf_fini(&value);
        }
    }
    close_both(&env, &db);
}

static void test_scan(void **state)
{
    enum { PAIRS = 20000 };
    static char large[600000];
    struct bdb_env *env;
    struct bdb *db;
    struct bdb_txn *txn;
    struct bdb_cursor *c;
    struct err err = ERR_INIT;
    struct slice key, value;
    struct buf k;

    (void)state;
    open_both(&env, &db);
    buf_init(&k, 100);
    assert_int_equal(bdb_last_below(db, NULL, SLICE_LIT("z"), &k, &err), 0);
    assert_int_equal(bdb_cursor_open(db, NULL, SLICE_LIT(""), &c, &err), 0);
    assert_int_equal(bdb_cursor_next(c, &key, &value, &err), 0);
    bdb_cursor_close(&c);
    bdb_cursor_close(&c);
    assert_int_equal(bdb_begin(env, &txn, &err), 0);
    for (int i = PAIRS - 1; i >= 0; i--)
        assert_int_equal(bdb_put(db, txn, slice_str(number(i)), slice_str(number(i * 2)), &err), 0);
    assert_int_equal(bdb_commit(&txn, &err), 0);
    for (int first = 0; first < PAIRS; first += 7777) {
        int i = first;

        assert_int_equal(bdb_cursor_open(db, NULL, slice_str(number(i)), &c, &err), 0);
        while (bdb_cursor_next(c, &key, &value, &err) == 1) {
            assert_slice_equal(key, number(i));
            assert_slice_equal(value, number(i * 2));
            i++;
        }
        assert_int_equal(i, PAIRS);
        assert_int_equal(bdb_cursor_next(c, &key, &value, &err), 0);
        bdb_cursor_close(&c);
    }
    /* From behind all keys, from one that is there, from between two, and from before all. */
    assert_int_equal(bdb_last_below(db, NULL, SLICE_LIT("z"), &k, &err), 1);
    assert_string_equal(buf_cstr(&k), number(PAIRS - 1));
    assert_int_equal(bdb_last_below(db, NULL, slice_str(number(7)), &k, &err), 1);
    assert_string_equal(buf_cstr(&k), number(6));
    assert_int_equal(bdb_put(db, NULL, SLICE_LIT("b"), SLICE_LIT("v"), &err), 0);
    assert_int_equal(bdb_last_below(db, NULL, SLICE_LIT("c"), &k, &err), 1);
    assert_string_equal(buf_cstr(&k), "b");
    assert_int_equal(bdb_last_below(db, NULL, SLICE_LIT("b"), &k, &err), 0);
    assert_int_equal(bdb_del(db, NULL, SLICE_LIT("b"), &(bool){false}, &err), 0);
    /* From between two keys, and a pair that is larger than a whole fetch. */
    assert_int_equal(bdb_put(db, NULL, SLICE_LIT("l"), slice_make(large, sizeof(large)), &err), 0);
    assert_int_equal(bdb_put(db, NULL, SLICE_LIT("m"), SLICE_LIT("end"), &err), 0);
    assert_int_equal(bdb_cursor_open(db, NULL, SLICE_LIT("k~"), &c, &err), 0);
    assert_int_equal(bdb_cursor_next(c, &key, &value, &err), 1);
    assert_slice_equal(key, "l");
    assert_int_equal(value.n, sizeof(large));
    assert_int_equal(bdb_cursor_next(c, &key, &value, &err), 1);
    assert_slice_equal(key, "m");
    assert_slice_equal(value, "end");
    assert_int_equal(bdb_cursor_next(c, &key, &value, &err), 0);
    bdb_cursor_close(&c);
    buf_fini(&k);
    close_both(&env, &db);
}

static void test_one_owner(void **state)
{
    struct bdb_env *env, *second;
    struct bdb *db;
    struct err err = ERR_INIT;

    (void)state;
    open_both(&env, &db);
    assert_int_equal(bdb_env_open(home(), CACHE_SIZE, &second, &err), -1);
    assert_int_equal(err.class, ERR_TEMP);
    assert_int_equal(err.code, EX_TEMPFAIL);
    close_both(&env, &db);
    open_both(&env, &db);
    close_both(&env, &db);
}

static void test_settings_by_hand_are_refused(void **state)
{
    struct bdb_env *env;
    struct err err = ERR_INIT;

    (void)state;
    assert_int_equal(io_mkdir(home(), 0700, &err), 0);
    assert_int_equal(io_write_file_durable(tmpdir_file(&dir, "home/DB_CONFIG"),
                         SLICE_LIT("set_flags DB_TXN_NOSYNC on\n"), 0600, &err),
        0);
    assert_int_equal(bdb_env_open(home(), CACHE_SIZE, &env, &err), -1);
    assert_int_equal(err.code, EX_CONFIG);
    assert_int_equal(bdb_env_open(tmpdir_file(&dir, "no/such/home"), CACHE_SIZE, &env, &err), -1);
}

/* A DB_CONFIG in the working directory is none of our business, and must have no effect. */
static void test_working_directory_is_ignored(void **state)
{
    struct bdb_env *env;
    struct bdb *db;
    struct err err = ERR_INIT;
    char before[4096];

    (void)state;
    assert_non_null(getcwd(before, sizeof(before)));
    assert_int_equal(io_write_file_durable(tmpdir_file(&dir, "DB_CONFIG"),
                         SLICE_LIT("this is no setting\n"), 0600, &err),
        0);
    assert_int_equal(chdir(dir.path), 0);
    open_both(&env, &db);
    close_both(&env, &db);
    assert_int_equal(chdir(before), 0);
}

/* --- Killed in the middle ------------------------------------------------------------------ */

/* Commits three pairs per transaction and says each time which was the last. */
static void write_until_killed(int report_fd, int first)
{
    struct bdb_env *env;
    struct bdb *db;
    struct err err = ERR_INIT;

    open_both(&env, &db);
    for (int i = first;; i += 3) {
        struct bdb_txn *txn;

        if (bdb_begin(env, &txn, &err) != 0)
            _exit(1);
        for (int j = i; j < i + 3; j++)
            if (bdb_put(db, txn, slice_str(number(j)), slice_str(number(j)), &err) != 0)
                _exit(1);
        if (bdb_commit(&txn, &err) != 0 || write(report_fd, &i, sizeof(i)) != sizeof(i))
            _exit(1);
    }
}

static void test_kill(void **state)
{
    enum { KILLS = 6 };
    int committed = 0, pipe_fd[2];
    struct bdb_env *env;
    struct bdb *db;
    struct err err = ERR_INIT;

    (void)state;
    for (int kills = 0; kills < KILLS; kills++) {
        int last = -1, reports = 0, i;
        struct buf value;
        bool found;
        pid_t child;

        assert_int_equal(pipe(pipe_fd), 0);
        child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            close(pipe_fd[0]);
            write_until_killed(pipe_fd[1], committed);
        }
        close(pipe_fd[1]);
        while (read(pipe_fd[0], &i, sizeof(i)) == sizeof(i)) {
            last = i;
            if (++reports == 20 + 37 * kills)
                assert_int_equal(kill(child, SIGKILL), 0);
        }
        close(pipe_fd[0]);
        assert_int_equal(waitpid(child, NULL, 0), child);
        assert_true(last >= committed);
        committed = last + 3;
        open_both(&env, &db);
        buf_init(&value, 100);
        for (i = 0; i < committed; i++) {
            assert_int_equal(bdb_get(db, NULL, slice_str(number(i)), &value, &found, &err), 0);
            assert_true(found);
            assert_string_equal(buf_cstr(&value), number(i));
        }
        /* The transaction that was cut is there as a whole or not at all. */
        for (i = committed;; i++) {
            assert_int_equal(bdb_get(db, NULL, slice_str(number(i)), &value, &found, &err), 0);
            if (!found)
                break;
        }
        assert_int_equal((i - committed) % 3, 0);
        committed = i;
        buf_fini(&value);
        close_both(&env, &db);
    }
}

/* Files that may not grow stand in for a full disk: whatever fails, what was committed is there. */
static void test_disk_full(void **state)
{
    int last = -1, i, pipe_fd[2], status;
    struct bdb_env *env;
    struct bdb *db;
    struct err err = ERR_INIT;
    struct buf value;
    bool found;
    pid_t child;

    (void)state;
    assert_int_equal(pipe(pipe_fd), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit size = {.rlim_cur = 150000, .rlim_max = 150000};

        log_to_syslog(true); /* the errors are expected; keep them off the screen */
        (void)signal(SIGXFSZ, SIG_IGN);
        if (setrlimit(RLIMIT_FSIZE, &size) != 0)
            _exit(9);
        write_until_killed(pipe_fd[1], 0);
    }
    close(pipe_fd[1]);
    while (read(pipe_fd[0], &i, sizeof(i)) == sizeof(i))
        last = i;
    close(pipe_fd[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != 9);
    assert_true(last > 100);
    open_both(&env, &db);
    buf_init(&value, 100);
    for (i = 0; i < last + 3; i++) {
        assert_int_equal(bdb_get(db, NULL, slice_str(number(i)), &value, &found, &err), 0);
        assert_true(found);
    }
    buf_fini(&value);
    close_both(&env, &db);
}

int main(void)
{
#define IN_A_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        IN_A_DIRECTORY(test_pairs),
        IN_A_DIRECTORY(test_sizes),
        IN_A_DIRECTORY(test_scan),
        IN_A_DIRECTORY(test_one_owner),
        IN_A_DIRECTORY(test_settings_by_hand_are_refused),
        IN_A_DIRECTORY(test_working_directory_is_ignored),
        IN_A_DIRECTORY(test_kill),
        IN_A_DIRECTORY(test_disk_full),
    };

    return cmocka_run_group_tests_name("bdb", tests, NULL, NULL);
}
