/* SPDX-License-Identifier: ISC */
/*
 * serve: see serve.h.
 *
 * What libmilter cannot do is done around it: it takes a Unix socket away from a living instance
 * (own lock first); its stop cuts sessions off without an answer, and may take five seconds
 * (messages are counted, and when they have ended the process just exits); it stops at SIGHUP,
 * SIGTERM and SIGINT, which it takes with sigwait in a thread of its own (see sigwait below).
 *
 * Everything here is made by the user that the milter has become: as root it would follow links
 * that the owner of a folder can put there.
 */
#include <errno.h>
#include <fcntl.h>
#include <libmilter/mfapi.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>
#include <grp.h>
#include "base/core/buf.h"
#include "base/core/conf.h"
#include "base/core/err.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/core/net.h"
#include "base/os/io.h"
#include "base/os/sock.h"
#include "milter/libmilter.h"
#include "milter/serve.h"

#define BACKLOG 1024
#define FIRST_DESCRIPTORS 64 /* at the start few are open, ours is among them */
#define CONNECTION_MAX 512   /* "inet:port@host" or "unix:path" */

static char *socket_path; /* NULL for inet */
static int wake_pipe = -1;

static int connection_text(const struct net_endpoint *e, char out[CONNECTION_MAX])
{
    bool is_v6 = strchr(e->host, ':') != NULL;

    if (e->scheme == NET_SCHEME_UNIX)
        return fmt_into(out, CONNECTION_MAX, "unix:%s", e->host);
    return fmt_into(
        out, CONNECTION_MAX, "%s:%u@%s", is_v6 ? "inet6" : "inet", (unsigned)e->port, e->host);
}

/* One instance per Unix socket, before libmilter takes it away from a living one.  A port needs no
 * lock: only one can have it. */
static int lock(const struct conf *conf, struct err *err)
{
    static int fd = -1; /* until the end */
    struct buf path;
    int rc;

    if (conf->milter.listen.scheme != NET_SCHEME_UNIX)
        return 0;
    buf_init(&path, 4096);
    if (buf_add_str(&path, conf->milter.listen.host) != 0 || buf_add_str(&path, ".lock") != 0)
        rc = err_set(err, ERR_PERM, EX_CONFIG, "milter.listen: the path is too long");
    else
        rc = io_lock_file(buf_cstr(&path), &fd, err);
    buf_fini(&path);
    return rc;
}

/* libmilter says only that it failed; listening once by ourselves says why. */
static int probe(const struct conf *conf, struct err *err)
{
    int fd = -1;

    if (sock_listen(&conf->milter.listen, false, 0600, &fd, err) != 0)
        return err_wrap(err, "milter.listen");
    io_close(&fd);
    return 0;
}

/*
 * libmilter writes an inserted field and the verdict one after the other, so with Nagle's algorithm
 * the verdict waits for the mail server's delayed acknowledgement, 40 ms.  Its sockets inherit the
 * option from the one that listens, which it does not name: it is the only one of this process.
 */
static void do_not_delay(const struct conf *conf)
{
    int yes = 1, is_listening;

    if (conf->milter.listen.scheme == NET_SCHEME_UNIX)
        return;
    for (int fd = 3; fd < FIRST_DESCRIPTORS; fd++) {
        socklen_t n = sizeof(is_listening);

        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &n) == 0 && is_listening)
            (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    }
}

/* Not through a link. */
static int set_group(const struct conf *conf, struct err *err)
{
    const char *path = conf->milter.listen.host;
    const struct group *group;

    if (conf->milter.listen.scheme != NET_SCHEME_UNIX || conf->milter.socket_group == NULL)
        return 0;
    group = getgrnam(conf->milter.socket_group);
    if (group == NULL)
        return err_set(err, ERR_PERM, EX_NOUSER, "milter.socket_group: no group %s",
            conf->milter.socket_group);
    if (fchownat(AT_FDCWD, path, (uid_t)-1, group->gr_gid, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    if (errno == EPERM)
        return err_set(err, ERR_PERM, EX_NOPERM,
            "milter.socket_group: user %u has to be a member of group %s", (unsigned)geteuid(),
            group->gr_name);
    return err_sys(err, errno, "%s: cannot give it to group %s", path, group->gr_name);
}

int serve_open(const struct conf *conf, int wake_fd, struct err *err)
{
    char where[CONNECTION_MAX];
    mode_t mask;
    int rc;

    if (lock(conf, err) != 0 || probe(conf, err) != 0)
        return -1;
    if (connection_text(&conf->milter.listen, where) != 0)
        return err_set(err, ERR_PERM, EX_CONFIG, "milter.listen: longer than %d", CONNECTION_MAX);
    wake_pipe = wake_fd;
    if (libmilter_register(conf->run, wake_fd, err) != 0)
        return -1;
    (void)smfi_setmaxdatasize(SERVE_PACKET_MAX);
    mask = umask(0117); /* the socket: 0660 */
    rc = smfi_setconn(where) == MI_SUCCESS && smfi_setbacklog(BACKLOG) == MI_SUCCESS &&
                 smfi_settimeout(SERVE_PACKET_TIMEOUT_S) == MI_SUCCESS &&
                 smfi_opensocket(true) == MI_SUCCESS
             ? 0
             : -1;
    (void)umask(mask);
    if (rc != 0)
        return err_set(
            err, ERR_TEMP, EX_UNAVAILABLE, "milter.listen: libmilter cannot listen at %s", where);
    if (conf->milter.listen.scheme == NET_SCHEME_UNIX)
        socket_path = mem_strdup(conf->milter.listen.host);
    do_not_delay(conf);
    return set_group(conf, err);
}

/*
 * libmilter's only call of sigwait lands here, since symbols of the program come before those of
 * the C library.  A thread in the real one competes with our handlers: when two signals come close
 * together, the kernel gives the second one to whoever waits, and a SIGHUP would end the milter.
 */
int sigwait(const sigset_t *set, int *signum)
{
    (void)set;
    (void)signum;
    for (;;)
        (void)pause();
}

static void *run_libmilter(void *arg)
{
    (void)arg;
    if (smfi_main() != MI_SUCCESS)
        log_error("libmilter_failed", log_str("error", "smfi_main ended with a failure"));
    if (write(wake_pipe, "e", 1) != 1)
        log_error("wake_failed");
    return NULL;
}

int serve_start(struct err *err)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, run_libmilter, NULL) != 0)
        return err_set(err, ERR_TEMP, EX_OSERR, "cannot start a thread");
    pthread_detach(thread);
    return 0;
}

void serve_drain(void)
{
    libmilter_drain();
    if (socket_path != NULL)
        (void)unlink(socket_path);
}
