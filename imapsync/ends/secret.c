/* SPDX-License-Identifier: ISC */
/*
 * secret: see secret.h.  A file must not be readable for others (base/os/io.h checks); an empty
 * password is an error, because it is always a mistake here and some servers accept it.
 */
#include "imapsync/ends/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <termios.h>
#include <unistd.h>

#include "base/core/clock.h"
#include "base/os/io.h"

extern char **environ;

static int first_line(struct buf *out, const char *what, struct err *err)
{
    ptrdiff_t end = slice_find(buf_slice(out), '\n');
    if (end >= 0)
        buf_truncate(out, (size_t)end);
    if (out->n > 0 && out->p[out->off + out->n - 1] == '\r')
        buf_truncate(out, out->n - 1);
    if (out->n == 0)
        return err_set(err, ERR_PERM, EX_CONFIG, "%s gives nothing", what);
    return 0;
}

int secret_from_file(const char *path, struct buf *out, struct err *err)
{
    if (io_read_secret(path, SECRET_MAX - 1, out, err) != 0)
        return -1;
    return first_line(out, path, err);
}

/* until_ms 0: it may take as long as it likes. */
static int read_all(int fd, uint64_t until_ms, struct buf *out, struct err *err)
{
    for (;;) {
        uint64_t now = clock_mono_ms();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (until_ms > 0 && (now >= until_ms || poll(&p, 1, (int)(until_ms - now)) == 0))
            return err_set(err, ERR_TEMP, EX_TEMPFAIL, "it takes too long");
        unsigned char *room = buf_reserve(out, 256);
        if (!room)
            return err_set(err, ERR_PERM, EX_CONFIG, "what it prints is too long");
        ssize_t n = read(fd, room, 256);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(err, errno, "what it prints cannot be read");
        if (n == 0)
            return 0;
        buf_commit(out, (size_t)n);
    }
}

/* In a process group of its own where it has to end in time, so that all of it can be ended. */
static int spawn(char *const *argv, int out_fd, bool is_group, pid_t *pid, struct err *err)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigmask(&attr, &none); /* ours may block all of them */
    posix_spawnattr_setflags(
        &attr, (short)(POSIX_SPAWN_SETSIGMASK | (is_group ? POSIX_SPAWN_SETPGROUP : 0)));
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out_fd, 1);
    int r = posix_spawn(pid, argv[0], &actions, &attr, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attr);
    return r == 0 ? 0 : err_sys(err, r, "it cannot be run");
}

static int run(char *const *argv, unsigned timeout_ms, struct buf *out, struct err *err)
{
    int fds[2], status = 0;
    pid_t pid;
    uint64_t until_ms = timeout_ms > 0 ? clock_mono_ms() + timeout_ms : 0;
    if (pipe2(fds, O_CLOEXEC) != 0)
        return err_sys(err, errno, "pipe");
    int result = spawn(argv, fds[1], timeout_ms > 0, &pid, err);
    io_close(&fds[1]);
    if (result == 0) {
        result = read_all(fds[0], until_ms, out, err);
        if (result != 0 && timeout_ms > 0)
            kill(-pid, SIGKILL);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            continue;
        if (result == 0 && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
            result = err_set(err, timeout_ms > 0 ? ERR_TEMP : ERR_PERM,
                timeout_ms > 0 ? EX_TEMPFAIL : EX_CONFIG, "it failed");
    }
    io_close(&fds[0]);
    return result;
}

int secret_from_command(const char *command, struct buf *out, struct err *err)
{
    char *argv[] = {(char[]){"/bin/sh"}, (char[]){"-c"}, (char *)(uintptr_t)command, NULL};
    return run(argv, 0, out, err) == 0 ? first_line(out, "the password command", err)
                                       : err_wrap(err, "the password command");
}

int secret_from_argv(char *const *argv, unsigned timeout_ms, struct buf *out, struct err *err)
{
    return run(argv, timeout_ms, out, err) == 0 ? first_line(out, argv[0], err)
                                                : err_wrap(err, "%s", argv[0]);
}

/* Who interrupts the question gets the echo back first. */
static const int interrupts[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP};
#define N_INTERRUPTS (sizeof(interrupts) / sizeof(interrupts[0]))

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
    interrupted = number;
}

struct interrupts {
    struct sigaction actions[N_INTERRUPTS];
    sigset_t mask;
};

/* They come while it is waited, and at no other time.  Who is ignored stays so. */
static void catch_interrupts(struct interrupts *was)
{
    const struct sigaction now = {.sa_handler = on_interrupt};
    sigset_t held;
    sigemptyset(&held);
    interrupted = 0;
    for (size_t i = 0; i < N_INTERRUPTS; i++) {
        sigaction(interrupts[i], &now, &was->actions[i]);
        if (was->actions[i].sa_handler == SIG_IGN)
            sigaction(interrupts[i], &was->actions[i], NULL);
        sigaddset(&held, interrupts[i]);
    }
    sigprocmask(SIG_BLOCK, &held, &was->mask);
}

static void pass_interrupts(const struct interrupts *was)
{
    sigprocmask(SIG_SETMASK, &was->mask, NULL);
    for (size_t i = 0; i < N_INTERRUPTS; i++)
        sigaction(interrupts[i], &was->actions[i], NULL);
    if (interrupted)
        raise(interrupted);
}

/* false: interrupted. */
static bool wait_for_input(int fd, const struct interrupts *was)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    while (!interrupted && ppoll(&p, 1, NULL, &was->mask) < 0 && errno == EINTR)
        ;
    return !interrupted;
}

int secret_from_terminal(const char *label, const char *url, struct buf *out, struct err *err)
{
    struct termios loud, quiet;
    struct interrupts was;
    struct buf prompt;
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC);
    if (fd < 0 || tcgetattr(fd, &loud) != 0) {
        io_close(&fd);
        return err_set(err, ERR_PERM, EX_USAGE,
            "no password: use --%s-password-file, --%s-password-command or a terminal", label,
            label);
    }
    quiet = loud;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    buf_init(&prompt, 4096);
    int result = buf_addf(&prompt, "Password of %s: ", url);
    if (result == 0)
        result = io_write_all(fd, buf_slice(&prompt), err);
    buf_fini(&prompt);
    catch_interrupts(&was);
    tcsetattr(fd, TCSAFLUSH, &quiet);
    while (result == 0 && slice_find(buf_slice(out), '\n') < 0 && wait_for_input(fd, &was)) {
        unsigned char c;
        ssize_t n = read(fd, &c, 1);
        if (n == 0 || (n < 0 && errno != EINTR))
            break;
        if (n == 1)
            result = buf_add_byte(out, c);
    }
    tcsetattr(fd, TCSAFLUSH, &loud);
    pass_interrupts(&was);
    struct err ignored = ERR_INIT;
    if (io_write_all(fd, SLICE_LIT("\n"), &ignored) != 0)
        result = -1;
    io_close(&fd);
    if (result != 0)
        return err_set(err, ERR_PERM, EX_USAGE, "cannot read the password");
    return first_line(out, "the terminal", err);
}
