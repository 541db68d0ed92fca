/* SPDX-License-Identifier: ISC */
/* wire: see wire.h. */
#include "imapsync/imap/wire.h"

#include <errno.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/os/io.h"
#include "base/os/sock.h"

void imap_wire_init(struct imap_wire *w)
{
    *w = (struct imap_wire){.fd = -1};
}

void imap_wire_close(struct imap_wire *w, bool is_polite)
{
    if (w->tls && is_polite)
        tls_shutdown(w->tls);
    tls_free(&w->tls);
    io_close(&w->fd);
    lookup_free(&w->lookup);
}

/* --- Opening --------------------------------------------------------------------- */

enum imap_wire_result imap_wire_look_up(
    struct imap_wire *w, const struct imap_place *p, struct err *err)
{
    if (!w->lookup) {
        w->next_addr = 0;
        w->n_addrs = 1;
        if (net_addr_parse(slice_str(p->host), &w->addrs[0]) == 0)
            return IMAP_WIRE_DONE;
        if (lookup_start(p->host, p->resolve, &w->lookup, err) != 0)
            return IMAP_WIRE_FAILED;
    }
    if (!lookup_is_done(w->lookup))
        return IMAP_WIRE_AGAIN;
    int result = lookup_answer(w->lookup, w->addrs, &w->n_addrs, err);
    lookup_free(&w->lookup);
    return result == 0 ? IMAP_WIRE_DONE : IMAP_WIRE_FAILED;
}

int imap_wire_dial(struct imap_wire *w, const struct imap_place *p, struct err *err)
{
    io_close(&w->fd);
    while (w->next_addr < w->n_addrs) {
        err_clear(err);
        if (sock_connect(&w->addrs[w->next_addr++], p->port, &w->fd, err) == 0)
            return 0;
    }
    return -1;
}

enum imap_wire_result imap_wire_connected(
    struct imap_wire *w, const struct imap_place *p, bool is_late, struct err *err)
{
    if (is_late)
        err_set(err, ERR_TEMP, EX_TEMPFAIL, "%s does not answer", p->host);
    else if (sock_connect_result(w->fd, err) == 0)
        return IMAP_WIRE_DONE;
    if (w->next_addr == w->n_addrs)
        return IMAP_WIRE_FAILED;
    return imap_wire_dial(w, p, err) == 0 ? IMAP_WIRE_AGAIN : IMAP_WIRE_FAILED;
}

static enum imap_wire_result of_tls(enum tls_want want)
{
    switch (want) {
    case TLS_DONE:
        return IMAP_WIRE_DONE;
    case TLS_WANT_READ:
    case TLS_WANT_WRITE:
        return IMAP_WIRE_AGAIN;
    case TLS_CLOSED:
        return IMAP_WIRE_CLOSED;
    case TLS_FAILED:
        return IMAP_WIRE_FAILED;
    }
    BUG("tls_want");
}

enum imap_wire_result imap_wire_secure(
    struct imap_wire *w, const struct imap_place *p, struct err *err)
{
    if (!w->tls && tls_new(p->tls, w->fd, p->tls_name, &w->tls, err) != 0)
        return IMAP_WIRE_FAILED;
    enum tls_want want = tls_handshake(w->tls, err);
    w->read_wants_write = want == TLS_WANT_WRITE;
    return of_tls(want);
}

bool imap_wire_binding(const struct imap_wire *w, struct tls_binding *out)
{
    return tls_binding(w->tls, out);
}

/* --- Bytes ------------------------------------------------------------------------ */

static enum imap_wire_result of_errno(struct err *err)
{
    if (errno == EAGAIN || errno == EINTR)
        return IMAP_WIRE_AGAIN;
    err_sys(err, errno, "the connection was lost");
    return IMAP_WIRE_CLOSED;
}

enum imap_wire_result imap_wire_send(
    struct imap_wire *w, struct slice s, size_t *n_out, struct err *err)
{
    if (w->tls) {
        enum tls_want want = tls_write(w->tls, s.p, s.n, n_out, err);
        w->write_wants_read = want == TLS_WANT_READ;
        return of_tls(want);
    }
    ssize_t r = send(w->fd, s.p, s.n, MSG_NOSIGNAL);
    if (r < 0)
        return of_errno(err);
    *n_out = (size_t)r;
    return IMAP_WIRE_DONE;
}

enum imap_wire_result imap_wire_receive(
    struct imap_wire *w, void *p, size_t size, size_t *n_out, struct err *err)
{
    if (w->tls) {
        enum tls_want want = tls_read(w->tls, p, size, n_out, err);
        w->read_wants_write = want == TLS_WANT_WRITE;
        return of_tls(want);
    }
    ssize_t r = recv(w->fd, p, size, 0);
    if (r < 0)
        return of_errno(err);
    *n_out = (size_t)r;
    return r > 0 ? IMAP_WIRE_DONE : IMAP_WIRE_CLOSED;
}

bool imap_wire_has_read(const struct imap_wire *w)
{
    return w->tls && tls_has_pending(w->tls);
}

bool imap_wire_is_local(const struct imap_wire *w)
{
    return w->next_addr > 0 && net_addr_is_loopback(&w->addrs[w->next_addr - 1]);
}

int imap_wire_fd(const struct imap_wire *w)
{
    return w->lookup ? lookup_fd(w->lookup) : w->fd;
}

short imap_wire_events(const struct imap_wire *w, bool wants_read, bool wants_write)
{
    short events = 0;
    if (wants_read)
        events |= w->read_wants_write ? POLLOUT : POLLIN;
    if (wants_write)
        events |= w->write_wants_read ? POLLIN : POLLOUT;
    return events;
}
