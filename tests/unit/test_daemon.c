/* SPDX-License-Identifier: ISC */
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>
#include "base/core/log.h"
#include "base/os/daemon.h"
#include "tests/unit/tmpdir.h"

static void test_setup(void **state)
{
    struct rlimit files;
    struct sigaction pipe_action;
    mode_t mask = umask(077);

    (void)state;
    daemon_setup();
    assert_int_equal(umask(mask), 027);
    assert_int_equal(sigaction(SIGPIPE, NULL, &pipe_action), 0);
    assert_true(pipe_action.sa_handler == SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    assert_true(files.rlim_cur == files.rlim_max);
}

static void receive_ready(const struct sockaddr_un *sun, socklen_t n, const char *name)
{
    char text[64];
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    ssize_t got;

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)sun, n), 0);
    assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
    daemon_ready();
    daemon_notify("STOPPING=1");
    got = recv(fd, text, sizeof(text), 0);
    assert_slice_equal(slice_make(text, (size_t)got), "READY=1");
    got = recv(fd, text, sizeof(text), 0);
    assert_slice_equal(slice_make(text, (size_t)got), "STOPPING=1");
    close(fd);
}

static void test_notify(void **state)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    struct tmpdir dir;
    size_t n;

    (void)state;
    log_set_level(LOG_LEVEL_ERROR);
    tmpdir_make(&dir);
    n = strlen(tmpdir_file(&dir, "notify"));
    memcpy(sun.sun_path, dir.name, n);
    receive_ready(&sun, sizeof(sun), dir.name);
    /* The abstract name of the same text. */
    sun.sun_path[0] = '\0';
    dir.name[0] = '@';
    receive_ready(&sun, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n), dir.name);
    /* Nobody there, nonsense and nothing: not fatal. */
    daemon_notify("READY=1");
    assert_int_equal(setenv("NOTIFY_SOCKET", "nonsense", 1), 0);
    daemon_notify("READY=1");
    assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
    daemon_notify("READY=1");
    tmpdir_remove(&dir);
}

/* The exit status of what a child does, since there is no way back. */
static int in_child(bool (*act)(void))
{
    int status = 0;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0)
        _exit(act() ? 0 : 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static bool become_somebody(void)
{
    struct err err = ERR_INIT;
    gid_t groups[3];
    struct user u = {.uid = 12345, .gid = 12346};

    user_add_group(&u, 12346);
    user_add_group(&u, 12347);
    user_add_group(&u, 12346);
    if (u.n_groups != 2 || daemon_become(&u, &err) != 0)
        return false;
    user_fini(&u);
    return geteuid() == 12345 && getuid() == 12345 && getegid() == 12346 &&
           getgroups(3, groups) == 2 && setuid(0) != 0 && setgid(0) != 0 &&
           daemon_become(&u, &err) == 0; /* no root, nothing to do */
}

static void test_become(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(in_child(become_somebody), 0);
}

static void assert_owner(const char *path, uid_t uid, gid_t gid, mode_t mode)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_uid, uid);
    assert_int_equal(st.st_gid, gid);
    assert_int_equal(st.st_mode & 07777, mode);
}

static void test_prepare_dir(void **state)
{
    struct err err = ERR_INIT;
    struct tmpdir dir;
    char path[300];

    (void)state;
    if (geteuid() != 0)
        skip();
    tmpdir_make(&dir);
    assert_int_equal(fmt_into(path, sizeof(path), "%s/run", dir.path), 0);
    assert_int_equal(daemon_prepare_dir(path, 0750, 12345, 12346, &err), 0);
    assert_owner(path, 12345, 12346, 0750);
    assert_int_equal(chmod(path, 0777), 0); /* again: put right */
    assert_int_equal(daemon_prepare_dir(path, 0750, 12345, 12347, &err), 0);
    assert_owner(path, 12345, 12347, 0750);
    assert_int_equal(daemon_prepare_dir(path, 0750, 54321, 1, &err), -1); /* a third one's */
    assert_non_null(strstr(err.text, "belongs to user 12345"));
    assert_owner(path, 12345, 12347, 0750);
    /* Nor is a folder of the system given away, such as /run or /var/lib by mistake. */
    assert_int_equal(fmt_into(path, sizeof(path), "%s/var", dir.path), 0);
    assert_int_equal(mkdir(path, 0755), 0);
    assert_int_equal(fmt_into(path, sizeof(path), "%s/var/lib", dir.path), 0);
    assert_int_equal(mkdir(path, 0755), 0);
    assert_int_equal(fmt_into(path, sizeof(path), "%s/var", dir.path), 0);
    assert_int_equal(daemon_prepare_dir(path, 0750, 12345, 12346, &err), -1);
    assert_non_null(strstr(err.text, "has folders in it"));
    assert_owner(path, 0, 0, 0755);
    assert_int_equal(daemon_prepare_dir(path, 0755, 0, 0, &err), 0);
    /* An empty one may be, as somebody who prepares the host leaves it. */
    assert_int_equal(fmt_into(path, sizeof(path), "%s/var/lib", dir.path), 0);
    assert_int_equal(daemon_prepare_dir(path, 0750, 12345, 12346, &err), 0);
    assert_owner(path, 12345, 12346, 0750);
    assert_int_equal(fmt_into(path, sizeof(path), "%s/run", dir.path), 0);
    /* In it root makes nothing, and follows no link. */
    assert_int_equal(fmt_into(path, sizeof(path), "%s/run/in", dir.path), 0);
    assert_int_equal(daemon_prepare_dir(path, 0750, 12345, 12346, &err), -1);
    assert_non_null(strstr(err.text, "root makes nothing in"));
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(symlink("/etc", path), 0);
    assert_int_equal(daemon_prepare_dir(path, 0750, 12345, 12346, &err), -1);
    assert_owner("/etc", 0, 0, 0755);
    tmpdir_remove(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_setup),
        cmocka_unit_test(test_notify),
        cmocka_unit_test(test_become),
        cmocka_unit_test(test_prepare_dir),
    };

    return cmocka_run_group_tests_name("daemon", tests, NULL, NULL);
}
