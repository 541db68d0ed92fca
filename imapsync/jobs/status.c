/* SPDX-License-Identifier: ISC */
/* status: see status.h. */
#include "imapsync/jobs/status.h"

#include <poll.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/core/clock.h"
#include "imapsync/jobs/users.h"
#include "imapsync/journal/text.h"
#include "imapsync/move/remote.h"
#include "maps/access.h"

#define BUSY_MS 5000 /* whoever has the store is about to listen, or to end */
#define BUSY_POLL_MS 20

/* --- One user ----------------------------------------------------------------------------------
 */

static json_t *brief_of(const struct move_record *r)
{
    return json_pack("{s:o, s:s, s:o, s:o, s:I, s:I, s:I, s:I, s:o}", "user", text_json(r->user),
        "state", move_state_name(r->state), "from", text_json(r->from), "to", text_json(r->to),
        "since_ms", (json_int_t)r->since_ms, "copied", (json_int_t)r->copied, "late",
        (json_int_t)r->late, "held_ms", (json_int_t)r->held_ms, "error", text_json(r->error));
}

/* NULL: nothing was asked for, and nothing went wrong. */
static json_t *asked_of(const struct queue_job *job)
{
    static const char *const kinds[] = {[REQUEST_NONE] = "none",
        [REQUEST_CUTOVER] = "cutover",
        [REQUEST_ROLLBACK] = "rollback",
        [REQUEST_RETIRE] = "retire"};
    const struct request *r = &job->request;
    if (r->kind == REQUEST_NONE && r->deaths == 0)
        return NULL;
    return json_pack("{s:s, s:s, s:I, s:I, s:i, s:i, s:o}", "kind", kinds[r->kind], "phase",
        r->is_aside       ? "set-aside" /* his release may be running all the same */
        : job->is_running ? "running"
                          : "waiting",
        "asked_ms", (json_int_t)r->asked_ms, "due_ms", (json_int_t)r->due_ms, "failures",
        (int)r->failures, "deaths", (int)r->deaths, "why", text_json(r->why));
}

json_t *status_user(const struct queue *q, const struct move_record *r, bool brief)
{
    const struct queue_job *job = queue_find(q, r->user);
    json_t *user = brief ? brief_of(r) : move_record_json(r);
    json_t *asked = job ? asked_of(job) : NULL;
    if (asked)
        json_object_set_new(user, "request", asked);
    return user;
}

void status_waiting(const struct queue *q, json_t *users)
{
    for (const struct queue_job *job = queue_first(q); job; job = job->next) {
        json_t *asked = job->has_record ? NULL : asked_of(job);
        if (asked)
            json_array_append_new(
                users, json_pack("{s:o, s:s, s:I, s:s, s:o}", "user", text_json(job->user), "state",
                           move_state_name(MOVE_NONE), "since_ms",
                           (json_int_t)job->request.asked_ms, "error", "", "request", asked));
    }
}

/* --- All of them ---------------------------------------------------------------------------- */

struct here {
    struct queue *q;
    json_t *users;
    bool is_brief;
};

static int take_request(void *arg, const char *user, const struct request *r)
{
    struct here *h = arg;
    queue_ask(queue_get(h->q, user), r);
    return 0;
}

static int take_record(void *arg, struct move_record *r)
{
    struct here *h = arg;
    json_array_append_new(h->users, status_user(h->q, r, h->is_brief));
    struct queue_job *job = queue_find(h->q, r->user);
    if (job)
        job->has_record = true;
    return 0;
}

static int here(const struct conf *conf, bool brief, void (*some)(void *arg, const json_t *line),
    void *arg, struct err *err)
{
    const struct queue_limits none = {0};
    struct here h = {.q = queue_new(&none), .users = json_array(), .is_brief = brief};
    struct users *s = NULL;
    struct buf base;
    int result = users_base(conf, &base, err);
    bool is_there = result == 0 && access(buf_cstr(&base), F_OK) == 0;
    if (is_there)
        result = access_become_sync(conf, err);
    if (is_there && result == 0)
        result = users_open(conf, &s, err);
    if (s && users_each_request(s, take_request, &h, err) != 0)
        result = -1;
    if (s && result == 0 && users_each(s, NULL, !brief, take_record, &h, err) != 0)
        result = -1;
    users_close(&s);
    if (result == 0) {
        status_waiting(h.q, h.users);
        json_t *line = json_pack("{s:O}", "users", h.users);
        some(arg, line);
        json_decref(line);
    }
    json_decref(h.users);
    queue_free(&h.q);
    buf_fini(&base);
    return result;
}

int status_ask(const struct conf *conf, bool brief, void (*some)(void *arg, const json_t *line),
    void *arg, struct err *err)
{
    json_t *request = json_pack("{s:s, s:b}", "op", "status", "brief", (int)brief);
    uint64_t until_ms = clock_mono_ms() + BUSY_MS;
    int result, status = 0;
    for (;;) {
        result = remote_call(conf, request, some, arg, &status, err);
        if (result == 1)
            result = here(conf, brief, some, arg, err);
        if (result == 0 || err->code != EX_TEMPFAIL || clock_mono_ms() >= until_ms)
            break;
        err_clear(err);
        poll(NULL, 0, BUSY_POLL_MS);
    }
    json_decref(request);
    return result == 0 && status != 0 ? -1 : result;
}
