/* SPDX-License-Identifier: ISC */
/* remote: see remote.h.  A cut-over may copy for hours, so there is no limit for the next frame. */
#include "imapsync/move/remote.h"

#include <sysexits.h>

#include "base/core/buf.h"
#include "base/core/clock.h"
#include "base/os/io.h"
#include "base/os/sock.h"
#include "maps/access.h"
#include "maps/client_frame.h"

#define PATH_LENGTH_MAX 4096
#define SEND_TIMEOUT_MS 5000

static int receive_all(int fd, const char *who, void (*line)(void *arg, const json_t *line),
    void *arg, int *status_out, struct err *err)
{
    for (;;) {
        json_t *frame;
        if (client_frame_receive(fd, &frame, CLIENT_FRAME_FOREVER, who, err) != 0)
            return err_wrap(err, "what becomes of it will be in `coexist-sync status`");
        const json_t *shown = json_object_get(frame, "line"), *end = json_object_get(frame, "end");
        if (shown)
            line(arg, shown);
        if (end) {
            const char *text = json_string_value(json_object_get(end, "text"));
            *status_out = (int)json_integer_value(json_object_get(end, "status"));
            if (text && text[0])
                err_set(err, ERR_TEMP, *status_out, "%s", text);
            json_decref(frame);
            return 0;
        }
        json_decref(frame);
    }
}

int remote_call(const struct conf *conf, const json_t *request,
    void (*line)(void *arg, const json_t *line), void *arg, int *status_out, struct err *err)
{
    struct buf path;
    struct err why = ERR_INIT;
    int fd = -1, result = -1;
    buf_init(&path, PATH_LENGTH_MAX);
    if (access_sync_socket(conf, &path, err) != 0)
        result = -1;
    else if (sock_connect_unix(buf_cstr(&path), &fd, &why) != 0)
        /* Whoever may not connect must not work beside the daemon either. */
        result = why.code == EX_NOPERM ? err_set(err, ERR_PERM, EX_NOPERM, "%s", why.text) : 1;
    else if (client_frame_send(
                 fd, request, clock_mono_ms() + SEND_TIMEOUT_MS, buf_cstr(&path), err) == 0)
        result = receive_all(fd, buf_cstr(&path), line, arg, status_out, err);
    io_close(&fd);
    buf_fini(&path);
    return result;
}
