/* SPDX-License-Identifier: ISC */
#include <pwd.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
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

static void test_drop(void **state)
{
    struct err err = ERR_INIT;
    const struct passwd *nobody = getpwnam("nobody");
    uid_t nobody_uid = nobody ? nobody->pw_uid : 0;
    int status = 0;
    pid_t child;

    (void)state;
    assert_int_equal(daemon_drop_privileges(NULL, &err), 0);
    if (geteuid() != 0 || nobody_uid == 0)
        skip();
    assert_int_equal(daemon_drop_privileges("no-such-user-here", &err), -1);
    assert_int_equal(err.code, EX_NOUSER);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        bool ok = daemon_drop_privileges("nobody", &err) == 0 && geteuid() == nobody_uid &&
                  getuid() == nobody_uid && setuid(0) != 0 && setgid(0) != 0;
        _exit(ok ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_setup),
        cmocka_unit_test(test_notify),
        cmocka_unit_test(test_drop),
    };

    return cmocka_run_group_tests_name("daemon", tests, NULL, NULL);
}
