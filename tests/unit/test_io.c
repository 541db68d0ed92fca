/* SPDX-License-Identifier: ISC */
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>
#include "base/os/io.h"
#include "tests/unit/tmpdir.h"

static struct tmpdir dir;

static int set_up(void **state)
{
    (void)state;
    tmpdir_make(&dir);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tmpdir_remove(&dir);
    return 0;
}

static void test_write_and_read(void **state)
{
    struct err err = ERR_INIT;
    struct stat st;
    struct buf b;
    const char *path = tmpdir_file(&dir, "f");

    (void)state;
    buf_init(&b, 100);
    assert_int_equal(io_write_file_durable(path, SLICE_LIT("old"), 0600, &err), 0);
    assert_int_equal(io_write_file_durable(path, SLICE_LIT("12345"), 0640, &err), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(buf_add_str(&b, "+"), 0);
    assert_int_equal(io_read_file(path, 4, &b, &err), -1);
    assert_int_equal(err.class, ERR_PERM);
    assert_string_equal(buf_cstr(&b), "+");
    assert_int_equal(io_read_file(path, 5, &b, &err), 0);
    assert_string_equal(buf_cstr(&b), "+12345");
    assert_int_equal(io_read_file(path, 6, &b, &err), 0);
    assert_string_equal(buf_cstr(&b), "+1234512345");
    assert_int_equal(io_read_file(tmpdir_file(&dir, "none"), 6, &b, &err), -1);
    assert_int_equal(err.code, EX_UNAVAILABLE);
    assert_int_equal(io_write_file_durable(tmpdir_file(&dir, "no/f"), SLICE_NONE, 0600, &err), -1);
    buf_fini(&b);
    /* A buffer that is smaller than the file is an error, not a cut. */
    buf_init(&b, 3);
    assert_int_equal(io_read_file(tmpdir_file(&dir, "f"), 100, &b, &err), -1);
    assert_int_equal(b.n, 0);
    buf_fini(&b);
}

static void test_large_file(void **state)
{
    static unsigned char bytes[200000];
    struct err err = ERR_INIT;
    struct buf b;

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)(i * 7);
    assert_int_equal(io_write_file_durable(
                         tmpdir_file(&dir, "big"), slice_make(bytes, sizeof(bytes)), 0600, &err),
        0);
    buf_init(&b, sizeof(bytes));
    assert_int_equal(io_read_file(dir.name, sizeof(bytes), &b, &err), 0);
    assert_int_equal(b.n, sizeof(bytes));
    assert_memory_equal(buf_slice(&b).p, bytes, sizeof(bytes));
    buf_clear(&b);
    assert_int_equal(io_read_file(dir.name, sizeof(bytes) - 1, &b, &err), -1);
    buf_fini(&b);
}

static void test_secret(void **state)
{
    static const struct {
        mode_t mode;
        int rc;
    } rows[] = {{0600, 0}, {0400, 0}, {0440, 0}, {0640, 0}, {0660, -1}, {0604, -1}, {0644, -1},
        {0601, -1}, {0700, -1}, {0610, -1}};
    struct err err = ERR_INIT;
    struct buf b;

    (void)state;
    buf_init(&b, 100);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char name[8];

        assert_int_equal(fmt_into(name, sizeof(name), "%04o", (unsigned)rows[i].mode), 0);
        assert_int_equal(
            io_write_file_durable(tmpdir_file(&dir, name), SLICE_LIT("key"), rows[i].mode, &err),
            0);
        buf_clear(&b);
        assert_row(name, io_read_secret(dir.name, 100, &b, &err) == rows[i].rc);
        assert_row(name, b.n == (rows[i].rc == 0 ? 3 : 0));
        if (rows[i].rc != 0)
            assert_row(name, err.code == EX_NOPERM);
    }
    assert_int_equal(mkfifo(tmpdir_file(&dir, "fifo"), 0600), 0);
    assert_int_equal(io_read_secret(dir.name, 100, &b, &err), -1);
    assert_int_equal(io_read_secret(dir.path, 100, &b, &err), -1);
    assert_int_equal(io_read_secret(tmpdir_file(&dir, "0600"), 2, &b, &err), -1);
    assert_int_equal(b.n, 0);
    buf_fini_wipe(&b);
}

static void test_mkdir(void **state)
{
    struct err err = ERR_INIT;

    (void)state;
    assert_int_equal(io_mkdir(tmpdir_file(&dir, "d"), 0750, &err), 0);
    assert_int_equal(io_mkdir(dir.name, 0750, &err), 0);
    assert_int_equal(io_sync_dir(dir.name, &err), 0);
    assert_int_equal(io_mkdir(tmpdir_file(&dir, "x/y"), 0750, &err), -1);
    assert_int_equal(io_write_file_durable(tmpdir_file(&dir, "plain"), SLICE_NONE, 0600, &err), 0);
    assert_int_equal(io_mkdir(dir.name, 0750, &err), -1);
    assert_int_equal(io_sync_dir(dir.name, &err), -1);
}

static void test_lock(void **state)
{
    struct err err = ERR_INIT;
    const char *path = tmpdir_file(&dir, "lock");
    int fd = -1, second = -1, go[2];
    pid_t child;
    char expected[32], c;

    (void)state;
    assert_int_equal(io_lock_file(path, &fd, &err), 0);
    /* flock belongs to the open file, so this process is its own rival. */
    assert_int_equal(io_lock_file(path, &second, &err), -1);
    assert_int_equal(err.class, ERR_TEMP);
    assert_int_equal(err.code, EX_TEMPFAIL);
    assert_int_equal(fmt_into(expected, sizeof(expected), "probably %ld", (long)getpid()), 0);
    assert_non_null(strstr(err.text, expected));
    io_close(&fd);
    assert_int_equal(fd, -1);
    io_close(&fd);
    /* A removed file does not let two holders in: the new name is a new lock, taken afresh. */
    assert_int_equal(io_lock_file(path, &fd, &err), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(io_lock_file(path, &second, &err), 0);
    io_close(&fd);
    io_close(&second);
    /* The lock of a process that was killed is free. */
    assert_int_equal(pipe(go), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (io_lock_file(path, &fd, &err) == 0 && write(go[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    assert_int_equal(read(go[0], &c, 1), 1);
    assert_int_equal(io_lock_file(path, &second, &err), -1);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(io_lock_file(path, &second, &err), 0);
    io_close(&second);
    close(go[0]);
    close(go[1]);
}

static void assert_not_locked(const char *path, const char *why)
{
    struct err err = ERR_INIT;
    int fd = -1;

    assert_int_equal(io_lock_file(path, &fd, &err), -1);
    assert_int_equal(fd, -1);
    assert_int_equal(err.class, ERR_PERM);
    if (strstr(err.text, why) == NULL)
        fail_msg("%s does not say \"%s\"", err.text, why);
}

static void make_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void assert_holds(const char *path, const char *text)
{
    struct err err = ERR_INIT;
    struct buf b;

    buf_init(&b, 100);
    assert_int_equal(io_read_file(path, 100, &b, &err), 0);
    assert_string_equal(buf_cstr(&b), text);
    buf_fini(&b);
}

/* Whoever may write in the folder of a lock cannot make us write anywhere else, nor hang us. */
static void test_lock_is_no_link(void **state)
{
    struct err err = ERR_INIT;
    char victim[256], lock[256];
    struct stat st;
    int fd = -1, other;

    (void)state;
    assert_int_equal(fmt_into(victim, sizeof(victim), "%s/victim", dir.path), 0);
    assert_int_equal(fmt_into(lock, sizeof(lock), "%s/a-lock", dir.path), 0);
    make_file(victim, "precious");
    assert_int_equal(symlink(victim, lock), 0);
    assert_not_locked(lock, "is a link");
    assert_int_equal(unlink(lock), 0);
    assert_int_equal(symlink("/nonexistent", lock), 0);
    assert_not_locked(lock, "is a link");
    assert_int_equal(unlink(lock), 0);
    assert_int_equal(link(victim, lock), 0);
    assert_not_locked(lock, "has other names");
    assert_int_equal(unlink(lock), 0);
    assert_holds(victim, "precious");
    assert_int_equal(mkfifo(lock, 0600), 0);
    assert_not_locked(lock, "not a regular file");
    assert_int_equal(unlink(lock), 0);
    if (geteuid() == 0) { /* a file of somebody else's: he could hold the lock */
        make_file(lock, "theirs");
        assert_int_equal(chown(lock, 12345, 12345), 0);
        assert_not_locked(lock, "belongs to user 12345");
        assert_holds(lock, "theirs");
        assert_int_equal(unlink(lock), 0);
    }
    /* Nobody else can open it, and what is in it stays while another one has the lock. */
    make_file(lock, "1234567890123\n");
    other = open(lock, O_RDONLY);
    assert_int_equal(flock(other, LOCK_SH), 0);
    assert_int_equal(io_lock_file(lock, &fd, &err), -1);
    assert_non_null(strstr(err.text, "probably 1234567890123"));
    assert_holds(lock, "1234567890123\n");
    close(other);
    assert_int_equal(io_lock_file(lock, &fd, &err), 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    io_close(&fd);
}

static void test_path(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 10);
    assert_int_equal(io_path(&b, "/run", "claims", "7"), -1);
    assert_int_equal(io_path(&b, "/run", "c", "7"), 0);
    assert_string_equal(buf_cstr(&b), "/run/c/7");
    assert_int_equal(io_path(&b, "/", "a"), 0);
    assert_string_equal(buf_cstr(&b), "/a");
    assert_int_equal(io_path(&b, "/r/", "a"), 0);
    assert_string_equal(buf_cstr(&b), "/r/a");
    assert_int_equal(io_path(&b, "one"), 0);
    assert_string_equal(buf_cstr(&b), "one");
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write_and_read),
        cmocka_unit_test(test_large_file),
        cmocka_unit_test(test_secret),
        cmocka_unit_test(test_mkdir),
        cmocka_unit_test(test_lock),
        cmocka_unit_test(test_lock_is_no_link),
        cmocka_unit_test(test_path),
    };

    return cmocka_run_group_tests_name("io", tests, set_up, tear_down);
}
