/* SPDX-License-Identifier: ISC */
/*
 * sock: see sock.h.  Every socket is made non-blocking and close-on-exec in the same call that
 * makes it.  A listener on an IPv6 address takes IPv6 only, so that "0.0.0.0:25" and "[::]:25" can
 * stand side by side in a configuration.
 *
 * The socket file of a process that died is replaced; one that somebody answers on is not.  Two
 * starters at the same moment can still meet: daemons take their lock file first.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>
#include "base/core/buf.h"
#include "base/os/io.h"
#include "base/os/sock.h"

#define WHERE_MAX 160

union address {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
    struct sockaddr_storage space;
};

static socklen_t inet_address(const struct net_addr *addr, uint16_t port, union address *out)
{
    memset(out, 0, sizeof(*out));
    if (net_addr_is_v4(addr)) {
        out->in.sin_family = AF_INET;
        out->in.sin_port = htons(port);
        memcpy(&out->in.sin_addr, addr->b + 12, 4);
        return sizeof(out->in);
    }
    out->in6.sin6_family = AF_INET6;
    out->in6.sin6_port = htons(port);
    memcpy(&out->in6.sin6_addr, addr->b, 16);
    return sizeof(out->in6);
}

static void from_address(const union address *in, struct net_addr *addr_out, uint16_t *port_out)
{
    *addr_out = (struct net_addr){{0}};
    *port_out = 0;
    if (in->any.sa_family == AF_INET) {
        addr_out->b[10] = addr_out->b[11] = 0xff;
        memcpy(addr_out->b + 12, &in->in.sin_addr, 4);
        *port_out = ntohs(in->in.sin_port);
    } else if (in->any.sa_family == AF_INET6) {
        memcpy(addr_out->b, &in->in6.sin6_addr, 16);
        *port_out = ntohs(in->in6.sin6_port);
    }
}

static void describe(const struct net_addr *addr, uint16_t port, char out[WHERE_MAX])
{
    char text[NET_TEXT_MAX];

    net_addr_format(addr, text);
    BUG_ON(fmt_into(out, WHERE_MAX, strchr(text, ':') ? "[%s]:%u" : "%s:%u", text, port) != 0);
}

static int new_socket(int family)
{
    return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static void set_option(int fd, int level, int option, int value)
{
    /* The options used here exist on every kernel that runs us; without one we still work. */
    (void)setsockopt(fd, level, option, &value, sizeof(value));
}

/* --- Listening ---------------------------------------------------------------- */

static int listen_inet(
    const struct net_addr *addr, uint16_t port, bool reuseport, int *fd_out, struct err *err)
{
    union address sa;
    socklen_t n = inet_address(addr, port, &sa);
    char where[WHERE_MAX];
    int fd = new_socket(sa.any.sa_family);

    describe(addr, port, where);
    if (fd < 0)
        return err_sys(err, errno, "socket for %s", where);
    set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (reuseport)
        set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (sa.any.sa_family == AF_INET6)
        set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    if (bind(fd, &sa.any, n) != 0 || listen(fd, SOMAXCONN) != 0) {
        err_sys(err, errno, "listen on %s", where);
        io_close(&fd);
        return -1;
    }
    *fd_out = fd;
    return 0;
}

static socklen_t unix_address(const char *path, union address *out, struct err *err)
{
    size_t n = strlen(path);

    memset(out, 0, sizeof(*out));
    if (n >= sizeof(out->un.sun_path)) {
        err_set(err, ERR_PERM, EX_CONFIG, "socket path %s is too long", path);
        return 0;
    }
    out->un.sun_family = AF_UNIX;
    memcpy(out->un.sun_path, path, n + 1);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
}

/* 0, or the errno of the failure. */
static int connect_unix(const char *path, int *fd_out, struct err *err)
{
    union address sa;
    socklen_t n = unix_address(path, &sa, err);
    int fd, why = 0;

    if (n == 0)
        return ENAMETOOLONG;
    fd = new_socket(AF_UNIX);
    /* Never in progress: a full queue of the listener is EAGAIN. */
    if (fd < 0 || connect(fd, &sa.any, n) != 0) {
        why = errno;
        err_sys(err, why, "connect to %s", path);
        io_close(&fd);
    }
    *fd_out = fd;
    return why;
}

/* Removes what a dead process left, and only that. */
static int remove_stale(const char *path, struct err *err)
{
    struct stat st;
    struct err probe = ERR_INIT;
    int fd = -1, why;

    if (lstat(path, &st) != 0)
        return errno == ENOENT ? 0 : err_sys(err, errno, "stat %s", path);
    if (!S_ISSOCK(st.st_mode))
        return err_set(err, ERR_PERM, EX_CONFIG, "%s exists and is not a socket", path);
    why = connect_unix(path, &fd, &probe);
    io_close(&fd);
    if (why == 0)
        return err_set(err, ERR_TEMP, EX_TEMPFAIL, "%s: another process is listening", path);
    if (why != ECONNREFUSED)
        return err_set(err, ERR_TEMP, EX_TEMPFAIL, "%s may be in use (%s)", path, probe.text);
    if (unlink(path) != 0)
        return err_sys(err, errno, "remove %s", path);
    return 0;
}

/* On Linux the file takes the mode of the socket less the umask, so with this umask it has the mode
 * that was asked for from its first moment.  A chmod() by name behind it would follow what the
 * owner of the folder may have put there meanwhile.  The umask is one of the whole process: files
 * that another thread makes in this moment lack at most what the socket lacks too. */
static int bind_with_mode(int fd, const union address *sa, socklen_t n, mode_t mode)
{
    mode_t before = umask(0777 & ~mode);
    int rc = bind(fd, &sa->any, n);
    int saved = errno;

    (void)umask(before);
    errno = saved;
    return rc;
}

static int listen_unix(const char *path, unsigned mode, int *fd_out, struct err *err)
{
    union address sa;
    socklen_t n = unix_address(path, &sa, err);
    int fd, rc;

    if (n == 0 || remove_stale(path, err) != 0)
        return -1;
    fd = new_socket(AF_UNIX);
    if (fd < 0)
        return err_sys(err, errno, "socket for %s", path);
    rc = fchmod(fd, (mode_t)mode);
    if (rc == 0)
        rc = bind_with_mode(fd, &sa, n, (mode_t)mode);
    if (rc != 0 || listen(fd, SOMAXCONN) != 0) {
        err_sys(err, errno, "listen on %s", path);
        io_close(&fd);
        return -1;
    }
    *fd_out = fd;
    return 0;
}

int sock_listen(const struct net_endpoint *where, bool reuseport, unsigned unix_mode, int *fd_out,
    struct err *err)
{
    struct net_addr addr;
    const char *host = where->host;

    if (where->scheme == NET_SCHEME_UNIX)
        return listen_unix(host, unix_mode, fd_out, err);
    if (strcmp(host, "localhost") == 0)
        host = "127.0.0.1";
    if (net_addr_parse(slice_str(host), &addr) != 0)
        return err_set(err, ERR_PERM, EX_CONFIG,
            "listen on %s: an address of this host is wanted, not a name", host);
    return listen_inet(&addr, where->port, reuseport, fd_out, err);
}

int sock_accept(int listen_fd, int *fd_out, struct net_addr *peer_out, struct err *err)
{
    union address sa = {.any.sa_family = AF_UNSPEC};
    socklen_t n = sizeof(sa);
    struct net_addr peer;
    uint16_t port;
    int fd;

    *fd_out = -1;
    do
        fd = accept4(listen_fd, &sa.any, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    if (fd < 0) {
        switch (errno) {
        case EAGAIN:
        /* The connection went away while it waited (accept(2) lists these). */
        case ECONNABORTED:
        case EPERM:
        case EPROTO:
        case ENETDOWN:
        case ENOPROTOOPT:
        case EHOSTDOWN:
        case ENONET:
        case EHOSTUNREACH:
        case EOPNOTSUPP:
        case ENETUNREACH:
            return 0;
        default:
            return err_sys(err, errno, "accept");
        }
    }
    from_address(&sa, &peer, &port);
    if (sa.any.sa_family == AF_INET || sa.any.sa_family == AF_INET6)
        set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (peer_out != NULL)
        *peer_out = peer;
    *fd_out = fd;
    return 0;
}

/* --- Connecting --------------------------------------------------------------- */

int sock_connect(const struct net_addr *addr, uint16_t port, int *fd_out, struct err *err)
{
    union address sa;
    socklen_t n = inet_address(addr, port, &sa);
    char where[WHERE_MAX];
    int fd = new_socket(sa.any.sa_family);

    describe(addr, port, where);
    if (fd < 0)
        return err_sys(err, errno, "socket for %s", where);
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    /* An interrupted connect() goes on in the background, as one in progress does. */
    if (connect(fd, &sa.any, n) != 0 && errno != EINPROGRESS && errno != EINTR) {
        err_sys(err, errno, "connect to %s", where);
        io_close(&fd);
        return -1;
    }
    *fd_out = fd;
    return 0;
}

int sock_connect_unix(const char *path, int *fd_out, struct err *err)
{
    return connect_unix(path, fd_out, err) == 0 ? 0 : -1;
}

int sock_connect_result(int fd, struct err *err)
{
    int result = 0;
    socklen_t n = sizeof(result);

    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &result, &n) != 0)
        result = errno;
    return result == 0 ? 0 : err_sys(err, result, "connect");
}

int sock_local(int fd, struct net_addr *addr_out, uint16_t *port_out, struct err *err)
{
    union address sa;
    socklen_t n = sizeof(sa);

    memset(&sa, 0, sizeof(sa));
    if (getsockname(fd, &sa.any, &n) != 0)
        return err_sys(err, errno, "getsockname");
    from_address(&sa, addr_out, port_out);
    return 0;
}

int sock_resolve(const char *host, struct net_addr *out, size_t max, size_t *n_out, struct err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    int rc;

    *n_out = 0;
    if (max > 0 && net_addr_parse(slice_str(host), out) == 0) {
        *n_out = 1;
        return 0;
    }
    rc = getaddrinfo(host, NULL, &hints, &list);
    if (rc == EAI_SYSTEM)
        return err_sys(err, errno, "look up %s", host);
    if (rc != 0)
        return err_set(err, rc == EAI_NONAME || rc == EAI_NODATA ? ERR_PERM : ERR_TEMP, EX_NOHOST,
            "look up %s: %s", host, gai_strerror(rc));
    for (const struct addrinfo *i = list; i != NULL && *n_out < max; i = i->ai_next) {
        union address sa;
        uint16_t port;

        if (i->ai_addrlen > sizeof(sa))
            continue;
        memcpy(&sa, i->ai_addr, i->ai_addrlen);
        from_address(&sa, &out[*n_out], &port);
        (*n_out)++;
    }
    freeaddrinfo(list);
    return 0;
}
