/* SPDX-License-Identifier: ISC */
/*
 * daemon: see daemon.h.  Readiness is the sd_notify protocol, spoken directly: one datagram to the
 * socket that NOTIFY_SOCKET names ("@..." is an abstract name), so no library is needed.  A failure
 * to notify is logged and is no reason to stop.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>
#include "base/core/log.h"
#include "base/os/daemon.h"
#include "base/os/io.h"

void daemon_setup(void)
{
    struct rlimit files;

    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); /* a limit on the size of files is an error of write(2) */
    (void)umask(027);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
}

void daemon_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    size_t n = path ? strlen(path) : 0;
    int fd;

    if (n == 0)
        return;
    if (n >= sizeof(sun.sun_path) || (path[0] != '/' && path[0] != '@')) {
        log_warn("notify_failed", log_str("error", "NOTIFY_SOCKET is not a socket path"));
        return;
    }
    memcpy(sun.sun_path, path, n);
    if (path[0] == '@')
        sun.sun_path[0] = '\0';
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&sun,
                      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0) {
        struct err err = ERR_INIT;

        err_sys(&err, errno, "notify %s", path);
        log_warn("notify_failed", log_err(&err));
    }
    io_close(&fd);
}

void daemon_ready(void)
{
    daemon_notify("READY=1");
    log_info("ready", log_i64("pid", getpid()));
}

static int find_user(const char *user, struct passwd **out, struct err *err)
{
    errno = 0;
    *out = getpwnam(user);
    if (*out == NULL && errno != 0)
        return err_sys(err, errno, "look up user %s", user);
    if (*out == NULL)
        return err_set(err, ERR_PERM, EX_NOUSER, "there is no user %s on this host", user);
    return 0;
}

int daemon_prepare_dir(const char *path, mode_t mode, const char *user, struct err *err)
{
    struct passwd *pw;

    if (user == NULL || geteuid() != 0 || access(path, F_OK) == 0)
        return io_mkdir(path, mode, err);
    if (find_user(user, &pw, err) != 0 || io_mkdir(path, mode, err) != 0)
        return -1;
    /* lchown: should somebody have put a link there meanwhile, its target is not given away. */
    if (lchown(path, pw->pw_uid, pw->pw_gid) != 0)
        return err_sys(err, errno, "give %s to %s", path, user);
    return 0;
}

int daemon_drop_privileges(const char *user, struct err *err)
{
    struct passwd *pw;
    uid_t real, effective, saved;

    if (user == NULL || geteuid() != 0)
        return 0;
    if (find_user(user, &pw, err) != 0)
        return -1;
    if (initgroups(user, pw->pw_gid) != 0 || setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) != 0 ||
        setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) != 0)
        return err_sys(err, errno, "become user %s", user);
    /* A setuid() that quietly did less than asked has been a hole elsewhere. */
    if (getresuid(&real, &effective, &saved) != 0 || real != pw->pw_uid ||
        effective != pw->pw_uid || saved != pw->pw_uid ||
        (pw->pw_uid != 0 && setresuid(0, 0, 0) == 0))
        return err_set(err, ERR_BUG, EX_SOFTWARE, "still privileged after becoming %s", user);
    return 0;
}
