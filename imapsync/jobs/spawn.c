/* SPDX-License-Identifier: ISC */
/* spawn: see spawn.h. */
#include "imapsync/jobs/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/core/buf.h"
#include "base/os/io.h"

#define CONF_MAX (16u << 20)
#define CONF_FD 3
#define CONF_PATH "/proc/self/fd/3"
#define VERBOSE_MAX 4

extern char **environ;

int spawn_copy_conf(const char *path, int *fd_out, struct err *err)
{
    struct buf text;
    buf_init(&text, CONF_MAX);
    int result = io_read_file(path, CONF_MAX, &text, err);
    *fd_out = -1;
    if (result == 0 && (*fd_out = memfd_create("coexist.conf", MFD_CLOEXEC)) < 0)
        result = err_sys(err, errno, "memfd_create");
    if (result == 0)
        result = io_write_all(*fd_out, buf_slice(&text), err);
    buf_fini(&text);
    if (result != 0)
        io_close(fd_out);
    return result;
}

static int start(char *const *argv, int conf_fd, int pipe_fd, pid_t *pid, struct err *err)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none, standard;
    sigemptyset(&none);
    sigemptyset(&standard);
    sigaddset(&standard, SIGCHLD);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &standard);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipe_fd, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, conf_fd, CONF_FD);
    /* What a command prints is for whoever reads that command. */
    posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    int r = posix_spawn(pid, "/proc/self/exe", &actions, &attr, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attr);
    return r == 0 ? 0 : err_sys(err, r, "a worker cannot be started");
}

int spawn_worker(int conf_fd, int verbose, pid_t *pid_out, int *fd_out, struct err *err)
{
    char name[] = "coexist-sync", option[] = "-c", path[] = CONF_PATH, command[] = SPAWN_COMMAND;
    char more[] = "-v";
    char *argv[VERBOSE_MAX + 5] = {name, option, path};
    size_t n = 3;
    int fds[2];
    for (int i = 0; i < verbose && i < VERBOSE_MAX; i++)
        argv[n++] = more;
    argv[n] = command;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
        return err_sys(err, errno, "a worker's pipe");
    int result = start(argv, conf_fd, fds[1], pid_out, err);
    io_close(&fds[1]);
    if (result == 0 && fcntl(fds[0], F_SETFL, O_NONBLOCK) != 0)
        result = err_sys(err, errno, "a worker's pipe");
    if (result != 0)
        io_close(&fds[0]);
    *fd_out = fds[0];
    return result;
}
