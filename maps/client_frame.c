/* SPDX-License-Identifier: ISC */
/* client_frame: see client_frame.h.  Every step polls with what is left of the time. */
#include "maps/client_frame.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>

#include "base/core/buf.h"
#include "base/core/clock.h"

static int wait_for(int fd, short events, uint64_t deadline_ms, const char *who, struct err *err)
{
    struct pollfd p = {.fd = fd, .events = events};
    uint64_t now = clock_mono_ms();
    uint64_t left = now < deadline_ms ? deadline_ms - now : 0;
    int timeout = deadline_ms == CLIENT_FRAME_FOREVER ? -1
                  : left > INT32_MAX                  ? INT32_MAX
                                                      : (int)left;
    int n = poll(&p, 1, timeout);

    if (n < 0 && errno != EINTR)
        return err_sys(err, errno, "%s", who);
    if (n == 0 && left == 0)
        return err_set(err, ERR_TEMP, EX_TEMPFAIL, "%s: no answer in time", who);
    return 0;
}

static bool must_wait(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

static int send_all(
    int fd, struct slice bytes, uint64_t deadline_ms, const char *who, struct err *err)
{
    while (bytes.n > 0) {
        ssize_t n = send(fd, bytes.p, bytes.n, MSG_NOSIGNAL);
        if (n >= 0)
            bytes = slice_from(bytes, (size_t)n);
        else if (!must_wait())
            return err_sys(err, errno, "%s: cannot send", who);
        else if (wait_for(fd, POLLOUT, deadline_ms, who, err) != 0)
            return -1;
    }
    return 0;
}

static int receive_all(
    int fd, unsigned char *out, size_t size, uint64_t deadline_ms, const char *who, struct err *err)
{
    for (size_t got = 0; got < size;) {
        ssize_t n = recv(fd, out + got, size - got, 0);
        if (n > 0)
            got += (size_t)n;
        else if (n == 0)
            return err_set(
                err, ERR_TEMP, EX_TEMPFAIL, "%s: the connection ended without an answer", who);
        else if (!must_wait())
            return err_sys(err, errno, "%s: cannot receive", who);
        else if (wait_for(fd, POLLIN, deadline_ms, who, err) != 0)
            return -1;
    }
    return 0;
}

int client_frame_send(
    int fd, const json_t *object, uint64_t deadline_ms, const char *who, struct err *err)
{
    char *text = json_dumps(object, JSON_COMPACT);
    struct buf frame;
    int rc = -1;

    if (!text)
        return err_set(err, ERR_BUG, EX_SOFTWARE, "the object cannot be written as JSON");
    size_t n = strlen(text);
    unsigned char head[CLIENT_FRAME_HEAD];
    client_frame_put_head(n, head);
    buf_init(&frame, CLIENT_FRAME_HEAD + CLIENT_FRAME_MAX);
    /* In one piece: a peer that is slow or about to leave gets a whole frame or none. */
    if (n > CLIENT_FRAME_MAX || buf_add(&frame, slice_make(head, sizeof head)) != 0 ||
        buf_add(&frame, slice_make(text, n)) != 0)
        err_set(err, ERR_PERM, EX_DATAERR, "the request is longer than %u bytes", CLIENT_FRAME_MAX);
    else
        rc = send_all(fd, buf_slice(&frame), deadline_ms, who, err);
    buf_fini(&frame);
    free(text);
    return rc;
}

int client_frame_receive(
    int fd, json_t **out, uint64_t deadline_ms, const char *who, struct err *err)
{
    unsigned char head[CLIENT_FRAME_HEAD];
    struct buf body;
    int rc = -1;

    *out = NULL;
    if (receive_all(fd, head, sizeof head, deadline_ms, who, err) != 0)
        return -1;
    size_t n = client_frame_length(head);
    buf_init(&body, CLIENT_FRAME_MAX);
    unsigned char *p = buf_reserve(&body, n);
    if (!p) {
        err_set(err, ERR_PEER, EX_PROTOCOL, "%s: a frame of %zu bytes", who, n);
    } else if (receive_all(fd, p, n, deadline_ms, who, err) == 0) {
        *out = json_loadb((const char *)p, n, JSON_REJECT_DUPLICATES, NULL);
        if (json_is_object(*out)) {
            rc = 0;
        } else {
            json_decref(*out);
            *out = NULL;
            err_set(err, ERR_PEER, EX_PROTOCOL, "%s: a frame that is no JSON object", who);
        }
    }
    buf_fini(&body);
    return rc;
}
