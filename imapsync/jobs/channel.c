/* SPDX-License-Identifier: ISC */
/*
 * channel: see channel.h.  A thread of its own reads, so that the end of the supervisor ends the
 * process whatever it is waiting for.  _exit() is as good as a kill, for which everything here is
 * made.
 */
#include "imapsync/jobs/channel.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "imapsync/journal/text.h"
#include "maps/client_frame.h"

#define WHO "the supervisor"
#define SEND_MS 60000 /* it writes to its disk meanwhile */

struct channel {
    int fd, cancel_fd;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool wants_back;
    json_t *answer; /* NULL: not yet */
};

static void end_with(const struct err *err) ATTR_NORETURN;
static void end_with(const struct err *err)
{
    log_debug("worker_alone", log_err(err));
    _exit(EX_TEMPFAIL);
}

static void *read_all(void *arg)
{
    struct channel *c = arg;
    struct err err = ERR_INIT;
    json_t *frame;
    for (;;) {
        if (client_frame_receive(c->fd, &frame, CLIENT_FRAME_FOREVER, WHO, &err) != 0)
            end_with(&err);
        pthread_mutex_lock(&c->mutex);
        if (json_object_get(frame, "back")) {
            c->wants_back = true;
            eventfd_write(c->cancel_fd, 1);
            json_decref(frame);
        } else {
            json_decref(c->answer);
            c->answer = frame;
            pthread_cond_broadcast(&c->changed);
        }
        pthread_mutex_unlock(&c->mutex);
    }
}

int channel_open(int fd, struct channel **out, json_t **run_out, struct err *err)
{
    struct channel *c = mem_zalloc(sizeof(*c));
    pthread_t thread;
    json_t *first = NULL;
    *c = (struct channel){.fd = fd, .cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    pthread_mutex_init(&c->mutex, NULL);
    pthread_cond_init(&c->changed, NULL);
    *run_out = NULL;
    int result = client_frame_receive(fd, &first, CLIENT_FRAME_FOREVER, WHO, err);
    if (result == 0) {
        *run_out = json_incref(json_object_get(first, "run"));
        json_decref(first);
        if (!*run_out)
            result = err_set(err, ERR_BUG, EX_SOFTWARE, "the supervisor does not say what to do");
    }
    if (result == 0 && pthread_create(&thread, NULL, read_all, c) != 0)
        result = err_set(err, ERR_TEMP, EX_OSERR, "no thread");
    if (result != 0) {
        free(c);
        return -1;
    }
    pthread_detach(thread);
    *out = c; /* as long as the process, like its thread */
    return 0;
}

bool channel_wants_back(struct channel *c)
{
    pthread_mutex_lock(&c->mutex);
    bool wants = c->wants_back;
    pthread_mutex_unlock(&c->mutex);
    return wants;
}

int channel_cancel_fd(const struct channel *c)
{
    return c->cancel_fd;
}

void channel_say_own(struct channel *c, json_t *frame)
{
    struct err err = ERR_INIT;
    BUG_ON(!frame);
    if (client_frame_send(c->fd, frame, clock_mono_ms() + SEND_MS, WHO, &err) != 0)
        end_with(&err);
    json_decref(frame);
}

int channel_ask_own(struct channel *c, json_t *frame, struct err *err)
{
    channel_say_own(c, frame);
    pthread_mutex_lock(&c->mutex);
    while (!c->answer)
        pthread_cond_wait(&c->changed, &c->mutex);
    json_t *answer = c->answer;
    c->answer = NULL;
    pthread_mutex_unlock(&c->mutex);
    const json_t *error = json_object_get(answer, "error");
    if (error)
        channel_err_from(error, err);
    json_decref(answer);
    return error ? -1 : 0;
}

json_t *channel_err_json(const struct err *err)
{
    return json_pack("{s:i, s:i, s:i, s:o}", "class", (int)err->class, "scope", (int)err->scope,
        "code", err->code, "text", text_json(err->text));
}

void channel_err_from(const json_t *json, struct err *out)
{
    const char *text = json_string_value(json_object_get(json, "text"));
    json_int_t class = json_integer_value(json_object_get(json, "class"));
    json_int_t scope = json_integer_value(json_object_get(json, "scope"));
    err_set(out, class > ERR_NONE && class <= ERR_BUG ? (enum err_class) class : ERR_BUG,
        (int)json_integer_value(json_object_get(json, "code")), "%s", text ? text : "");
    if (scope > ERR_SCOPE_NONE && scope <= ERR_SCOPE_HOST)
        err_scope_set(out, (enum err_scope)scope);
}
