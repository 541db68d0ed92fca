/* SPDX-License-Identifier: ISC */
/*
 * daemon: see daemon.h.  Readiness is the sd_notify protocol, spoken directly: one datagram to the
 * socket that NOTIFY_SOCKET names ("@..." is an abstract name), so no library is needed.  A failure
 * to notify is logged and is no reason to stop.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
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
#include "base/core/slice.h"
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

/* Whether root may make something in the folder of this path. */
static int check_parent(const char *path, struct err *err)
{
    const char *slash = strrchr(path, '/');
    struct stat st;
    char *parent;
    int rc = 0;

    if (slash == NULL)
        return err_set(err, ERR_PERM, EX_CONFIG, "%s is no absolute path", path);
    parent = slice_dup(slice_make(path, slash == path ? 1 : (size_t)(slash - path)));
    if (stat(parent, &st) != 0)
        rc = err_sys(err, errno, "stat %s", parent);
    else if (st.st_uid != 0)
        rc = err_set(err, ERR_PERM, EX_NOPERM,
            "%s is missing, and root makes nothing in %s, which belongs to user %u", path, parent,
            (unsigned)st.st_uid);
    free(parent);
    return rc;
}

/* Ours have none before we own them; those of the system, such as /run, do.  -1: not known. */
static int has_folders(int fd)
{
    int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), found = 0;
    DIR *dir = own >= 0 ? fdopendir(own) : NULL;
    const struct dirent *e;
    struct stat st;

    if (dir == NULL) {
        io_close(&own);
        return -1;
    }
    while (!found && (e = readdir(dir)) != NULL)
        found = strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
                fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
    closedir(dir);
    return found;
}

static int give(int fd, const char *path, mode_t mode, uid_t uid, gid_t gid, struct err *err)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return err_sys(err, errno, "stat %s", path);
    if (st.st_uid != 0 && st.st_uid != uid)
        return err_set(err, ERR_PERM, EX_NOPERM, "%s belongs to user %u and not to user %u", path,
            (unsigned)st.st_uid, (unsigned)uid);
    if (st.st_uid != uid && has_folders(fd) != 0)
        return err_set(err, ERR_PERM, EX_NOPERM,
            "%s belongs to root and has folders in it, so root does not give it to user %u", path,
            (unsigned)uid);
    if (((st.st_uid != uid || st.st_gid != gid) && fchown(fd, uid, gid) != 0) ||
        fchmod(fd, mode) != 0)
        return err_sys(err, errno, "give %s to user %u", path, (unsigned)uid);
    return 0;
}

int daemon_prepare_dir(const char *path, mode_t mode, uid_t uid, gid_t gid, struct err *err)
{
    struct stat st;
    int fd, rc;

    if (geteuid() != 0)
        return io_mkdir(path, mode, err);
    if (lstat(path, &st) != 0) {
        if (errno != ENOENT)
            return err_sys(err, errno, "stat %s", path);
        if (check_parent(path, err) != 0 || io_mkdir(path, 0700, err) != 0)
            return -1;
    }
    fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    rc = fd < 0 ? err_sys(err, errno, "open %s", path) : give(fd, path, mode, uid, gid, err);
    io_close(&fd);
    return rc;
}

int daemon_become(const struct user *user, struct err *err)
{
    uid_t real, effective, saved;

    if (geteuid() != 0)
        return 0;
    if (setgroups(user->n_groups, user->groups) != 0 ||
        setresgid(user->gid, user->gid, user->gid) != 0 ||
        setresuid(user->uid, user->uid, user->uid) != 0)
        return err_sys(err, errno, "become user %u", (unsigned)user->uid);
    /* A setuid() that quietly did less than asked has been a hole elsewhere. */
    if (getresuid(&real, &effective, &saved) != 0 || real != user->uid || effective != user->uid ||
        saved != user->uid || (user->uid != 0 && setresuid(0, 0, 0) == 0))
        return err_set(err, ERR_BUG, EX_SOFTWARE, "still privileged after becoming user %u",
            (unsigned)user->uid);
    return 0;
}
