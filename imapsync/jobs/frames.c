/* SPDX-License-Identifier: ISC */
/* frames: see frames.h. */
#include "imapsync/jobs/frames.h"

#include <stdlib.h>
#include <string.h>

#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/os/stream.h"
#include "maps/client_frame.h"

struct frames {
    struct stream *stream;
    struct loop_timer *gone; /* NULL: it is well */
    struct loop *loop;
    const struct frames_events *events;
    void *arg;
};

static void on_gone(void *arg)
{
    const struct frames *f = arg;
    f->events->closed(f->arg);
}

/* From the loop, never from inside a call of the owner. */
static void give_up(struct frames *f, const char *why)
{
    if (f->gone)
        return;
    log_debug("frames_dropped", log_str("reason", why));
    stream_pause(f->stream);
    f->gone = loop_timer_new(f->loop, on_gone, f);
    loop_timer_start(f->gone, 0);
}

static size_t on_data(void *arg, struct slice in)
{
    const struct frames *f = arg;
    if (f->gone)
        return in.n;
    if (in.n < CLIENT_FRAME_HEAD)
        return 0;
    size_t n = client_frame_length(in.p);
    if (n == 0 || n > CLIENT_FRAME_MAX) {
        give_up(arg, "the length of its frame is out of range");
        return in.n;
    }
    if (in.n - CLIENT_FRAME_HEAD < n)
        return 0;
    json_t *object =
        json_loadb((const char *)in.p + CLIENT_FRAME_HEAD, n, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(object))
        f->events->frame(f->arg, object); /* f may be gone now */
    else
        give_up(arg, "its frame is no JSON object");
    json_decref(object);
    return CLIENT_FRAME_HEAD + n;
}

static void on_drained(void *arg)
{
    const struct frames *f = arg;
    if (f->events->drained)
        f->events->drained(f->arg);
}

static void on_closed(void *arg, const struct err *why ATTR_UNUSED)
{
    const struct frames *f = arg;
    f->events->closed(f->arg);
}

static const struct stream_events EVENTS = {
    .data = on_data, .drained = on_drained, .closed = on_closed};

struct frames *frames_new_own(
    struct loop *loop, int fd, const struct frames_events *events, void *arg)
{
    const struct stream_limits limits = {
        .in_max = CLIENT_FRAME_HEAD + CLIENT_FRAME_MAX, .out_max = FRAMES_OUT_MAX};
    struct frames *f = mem_zalloc(sizeof(*f));
    f->loop = loop;
    f->events = events;
    f->arg = arg;
    f->stream = stream_new_own(loop, fd, false, &EVENTS, f, limits);
    return f;
}

void frames_free(struct frames **fp)
{
    struct frames *f = *fp;
    *fp = NULL;
    if (!f)
        return;
    loop_timer_free(&f->gone);
    stream_free(&f->stream);
    free(f);
}

void frames_send_own(struct frames *f, json_t *object)
{
    char *text = json_dumps(object, JSON_COMPACT);
    unsigned char head[CLIENT_FRAME_HEAD];
    size_t n = text ? strlen(text) : 0;
    json_decref(object);
    client_frame_put_head(n, head);
    if (f->gone) {
        free(text);
        return;
    }
    stream_cork(f->stream);
    int result = n > 0 && n <= CLIENT_FRAME_MAX
                     ? stream_write(f->stream, slice_make(head, sizeof(head)))
                     : -1;
    if (result == 0)
        result = stream_write(f->stream, slice_make(text, n));
    stream_uncork(f->stream);
    free(text);
    if (result != 0)
        give_up(f, "it does not read what we say");
}

bool frames_is_waiting(const struct frames *f)
{
    return stream_unsent(f->stream) > 0;
}

void frames_deadline(struct frames *f, uint64_t delay_ms)
{
    stream_deadline(f->stream, delay_ms);
}

void frames_finish(struct frames *f)
{
    if (!f->gone)
        stream_finish(f->stream);
}
