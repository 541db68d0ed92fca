/* SPDX-License-Identifier: ISC */
/* sock: sockets, non-blocking and close-on-exec, TCP_NODELAY set. Errors name the address. */
#ifndef BASE_OS_SOCK_H
#define BASE_OS_SOCK_H

#include <stdbool.h>
#include "base/core/attr.h"
#include "base/core/err.h"
#include "base/core/net.h"

/* Listens on a numeric host or "localhost" (inet) or on a path (unix, mode given, an existing
 * socket file is only replaced when nobody answers on it).  reuseport for one socket per worker. */
int sock_listen(const struct net_endpoint *where, bool reuseport, unsigned unix_mode, int *fd_out,
    struct err *err) ATTR_WUR;
/* 0 with *fd_out = -1 when nobody is waiting. peer_out may be NULL (unix sockets give ::). */
int sock_accept(int listen_fd, int *fd_out, struct net_addr *peer_out, struct err *err) ATTR_WUR;
/* Starts a connection; the socket becomes writable when it is done, then sock_connect_result(). */
int sock_connect(const struct net_addr *addr, uint16_t port, int *fd_out, struct err *err) ATTR_WUR;
int sock_connect_unix(const char *path, int *fd_out, struct err *err) ATTR_WUR; /* done on return */
int sock_connect_result(int fd, struct err *err) ATTR_WUR;
int sock_local(int fd, struct net_addr *addr_out, uint16_t *port_out, struct err *err) ATTR_WUR;
/* Name look-up that blocks, for start-up and straight-line programs. Fills at most max addresses.
 */
int sock_resolve(
    const char *host, struct net_addr *out, size_t max, size_t *n_out, struct err *err) ATTR_WUR;

#endif
