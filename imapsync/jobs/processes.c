/* SPDX-License-Identifier: ISC */
/*
 * processes: the workers, and what they say (channel.h).
 *
 * A worker has ended when its process is gone and its pipe has been read to its end: what it said
 * last comes before the news of its death.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/os/hmac.h"
#include "imapsync/ends/imap_shared.h"
#include "imapsync/jobs/channel.h"
#include "imapsync/jobs/spawn.h"
#include "imapsync/jobs/supervisor_parts.h"
#include "imapsync/journal/text.h"
#include "imapsync/move/lines.h"

struct process {
    LIST_ENTRY(process) link;
    struct supervisor *s;
    struct queue_job *job;
    struct frames *frames;
    pid_t pid;
    bool is_closed, is_reaped;
    int wait_status;
    bool has_said; /* how it ended */
    int status;
    struct err err;
    bool may_hold;         /* the map may hold the user for it */
    bool waits_to_go_on;   /* what it wanted to have written down is */
    enum move_state state; /* of the record that it has written last */
};

/* --- What became of it ------------------------------------------------------------------------ */

static void describe_death(const struct process *p, struct err *out)
{
    if (WIFSIGNALED(p->wait_status))
        err_set(out, ERR_BUG, EX_SOFTWARE, "the worker of %s was ended by signal %d (%s)",
            p->job->user, WTERMSIG(p->wait_status), strsignal(WTERMSIG(p->wait_status)));
    else
        err_set(out, ERR_BUG, EX_SOFTWARE,
            "the worker of %s ended with status %d and without a word", p->job->user,
            WEXITSTATUS(p->wait_status));
}

/* What the queue says of the request, durably. */
static void keep(struct supervisor *s, struct queue_job *job, enum queue_verdict verdict)
{
    struct err err = ERR_INIT;
    int result = 0;
    if (verdict == QUEUE_OVER && job->is_stored)
        result = users_forget(s->store, job->user, &err);
    else if (verdict != QUEUE_OVER && (!s->is_once || job->request.deaths > 0))
        result = users_ask(s->store, job->user, &job->request, &err);
    else
        return;
    job->is_stored = verdict != QUEUE_OVER;
    if (result != 0)
        supervisor_fail(s, &err);
}

static void tell_death(
    struct queue_job *job, enum queue_verdict verdict, enum move_state state, const struct err *why)
{
    if (verdict == QUEUE_ASIDE) {
        log_error("set_aside", log_str("user", job->user), log_u64("deaths", job->request.deaths),
            log_err(why));
        struct err text = *why;
        err_wrap(&text, "set aside after %u deaths", (unsigned)job->request.deaths);
        watchers_end(job, REQUEST_NONE, EX_SOFTWARE, text.text);
        return;
    }
    json_t *line = json_pack("{s:o, s:s, s:o}", "user", text_json(job->user), "state",
        move_state_name(state), "text", text_json(why->text));
    watchers_line(job, line);
    json_decref(line);
}

static void tell_end(const struct process *p, enum queue_class c, enum queue_verdict verdict)
{
    struct err err = p->err;
    enum request_kind kind = queue_kind_of(c);
    struct queue_job *job = p->job;
    if (kind == REQUEST_NONE) {
        if (err.class != ERR_NONE && p->status != 1)
            log_warn("tend_failed", log_str("user", job->user), log_err(&err));
        return;
    }
    if (verdict == QUEUE_LATER && job->request.kind == kind && job->request.failures > 0) {
        int64_t wait_s = (job->request.due_ms - clock_wall_ms() + 999) / 1000;
        struct err text = err;
        err_set(&err, text.class, text.code, "%s; it is tried again in %lld s", text.text,
            (long long)wait_s);
    }
    watchers_end(job, kind, p->status, err.text);
}

static void process_free(struct process *p)
{
    LIST_REMOVE(p, link);
    frames_free(&p->frames);
    free(p);
}

static void end_if_over(struct process *p)
{
    struct supervisor *s = p->s;
    struct queue_job *job = p->job;
    enum queue_class c = job->running;
    struct err death = ERR_INIT;
    if (!p->is_closed || !p->is_reaped)
        return;
    if (!p->has_said) {
        describe_death(p, &death);
        log_error("worker_died", log_str("user", job->user),
            log_str("state", move_state_name(p->state)), log_err(&death));
    }
    enum queue_outcome outcome = !p->has_said     ? QUEUE_DIED
                                 : p->status <= 1 ? QUEUE_GOOD
                                                  : QUEUE_FAILED;
    enum queue_verdict verdict =
        queue_ended(s->queue, job, outcome, p->has_said ? &p->err : &death, clock_wall_ms());
    keep(s, job, verdict);
    if (p->has_said)
        tell_end(p, c, verdict);
    else
        tell_death(job, verdict, p->state, &death);
    process_free(p);
    supervisor_look(s);
}

/* --- What it says --------------------------------------------------------------------------- */

static void answer(struct process *p, const struct err *err)
{
    frames_send_own(p->frames,
        err ? json_pack("{s:o}", "error", channel_err_json(err)) : json_pack("{s:b}", "good", 1));
}

/* Most of the mailbox has still to be copied. */
bool process_is_first(const struct move_record *r)
{
    return r->copied == 0 &&
           (r->state == MOVE_NONE || r->state == MOVE_PREPARED || r->state == MOVE_COPYING);
}

void process_entered(struct process *p)
{
    if (!p->waits_to_go_on)
        return;
    p->waits_to_go_on = false;
    answer(p, NULL);
}

static void note(struct process *p, const struct move_record *r)
{
    struct queue_job *job = p->job;
    bool was_let_in = p->state == MOVE_PREPARED && r->state == MOVE_COPYING;
    p->state = r->state;
    p->may_hold = job->is_held = move_may_hold(r->state);
    job->is_forward = move_is_forward(r->state);
    job->swept_ms = r->swept_ms;
    job->has_record = true;
    queue_placed(p->s->queue, job, r->from, r->to, process_is_first(r));
    if (was_let_in)
        queue_answered(p->s->queue, job);
}

static void on_save(struct process *p, const json_t *json)
{
    struct move_record r;
    struct err err = ERR_INIT;
    int result = move_record_from_json(json, &r);
    if (result != 0 || strcmp(r.user, p->job->user) != 0)
        result =
            err_set(&err, ERR_BUG, EX_SOFTWARE, "the record of %s makes no sense", p->job->user);
    /* Whoever would begin a hold while we are about to end waits here for that end. */
    bool is_too_late = result == 0 && p->s->is_stopping && move_may_hold(r.state) && !p->may_hold;
    if (result == 0 && !is_too_late) {
        result = users_save(p->s->store, &r, &err);
        if (result != 0 && users_is_failed(p->s->store))
            supervisor_fail(p->s, &err);
    }
    if (result != 0) {
        answer(p, &err);
    } else if (!is_too_late) {
        note(p, &r);
        p->waits_to_go_on = !queue_enter(p->s->queue, p->job, clock_wall_ms());
        if (!p->waits_to_go_on)
            answer(p, NULL);
    }
    move_record_fini(&r);
    supervisor_look(p->s);
}

static bool read_digest(const char *hex, unsigned char out[SHA256_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    if (!hex || strlen(hex) != 2 * SHA256_SIZE)
        return false;
    for (size_t i = 0; i < SHA256_SIZE; i++) {
        const char *a = strchr(digits, hex[2 * i]), *b = strchr(digits, hex[2 * i + 1]);
        if (!a || !b)
            return false;
        out[i] = (unsigned char)((a - digits) << 4 | (b - digits));
    }
    return true;
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

static void on_gate(struct process *p, const json_t *gate)
{
    struct err err = ERR_INIT;
    unsigned char digest[SHA256_SIZE];
    if (json_object_get(gate, "passed")) {
        imap_shared_passed(text_of(gate, "passed"));
    } else if (json_object_get(gate, "refused")) {
        channel_err_from(json_object_get(gate, "error"), &err);
        imap_shared_refused(text_of(gate, "refused"), text_of(gate, "user"), &err);
    } else if (!read_digest(text_of(gate, "digest"), digest)) {
        err_set(&err, ERR_BUG, EX_SOFTWARE, "a sign-in without a digest");
        answer(p, &err);
    } else {
        int result = imap_shared_enter(text_of(gate, "enter"), text_of(gate, "user"), digest, &err);
        answer(p, result == 0 ? NULL : &err);
    }
}

/* What nobody has asked for is told when there is something to tell. */
static void on_line(const struct process *p, const json_t *line)
{
    const json_t *late = json_object_get(line, "late");
    bool is_asked = queue_kind_of(p->job->running) != REQUEST_NONE;
    if (!p->s->is_once && (is_asked || !late || json_integer_value(late) > 0))
        lines_log(line);
    if (is_asked || p->job->running == QUEUE_RELEASE)
        watchers_line(p->job, line);
}

static void on_silent(const struct process *p, const char *server)
{
    log_warn("server_silent", log_str("server", server),
        log_str("text", "users with a mailbox there wait for a while"));
    queue_silent(p->s->queue, server, clock_wall_ms());
}

static void on_end(struct process *p, const json_t *end)
{
    const json_t *error = json_object_get(end, "error");
    p->has_said = true;
    p->status = (int)json_integer_value(json_object_get(end, "status"));
    if (json_integer_value(json_object_get(error, "class")) != ERR_NONE)
        channel_err_from(error, &p->err);
}

static void on_frame(void *arg, const json_t *frame)
{
    struct process *p = arg;
    const json_t *v;
    if ((v = json_object_get(frame, "save")) != NULL)
        on_save(p, v);
    else if ((v = json_object_get(frame, "gate")) != NULL)
        on_gate(p, v);
    else if ((v = json_object_get(frame, "line")) != NULL)
        on_line(p, v);
    else if ((v = json_object_get(frame, "silent")) != NULL && json_is_string(v))
        on_silent(p, json_string_value(v));
    else if ((v = json_object_get(frame, "end")) != NULL)
        on_end(p, v);
}

/* A worker whose pipe has ended is at its end, or has lost its mind. */
static void on_closed(void *arg)
{
    struct process *p = arg;
    p->is_closed = true;
    frames_free(&p->frames);
    if (!p->is_reaped && !p->has_said)
        kill(p->pid, SIGKILL);
    end_if_over(p);
}

static const struct frames_events EVENTS = {.frame = on_frame, .closed = on_closed};

/* --- Life ------------------------------------------------------------------------------------ */

static json_t *work_for(
    const struct supervisor *s, const struct queue_job *job, struct move_record *r)
{
    static const char *const ops[] = {[QUEUE_RELEASE] = "settle",
        [QUEUE_ROLLBACK] = "rollback",
        [QUEUE_CUTOVER] = "cutover",
        [QUEUE_RETIRE] = "retire",
        [QUEUE_SWEEP] = "sweep",
        [QUEUE_COPY] = "copy"};
    const struct request *q = &job->request;
    uint32_t share = s->conf->sync.copies_max + s->conf->sync.deltas_max;
    share = share < s->conf->sync.jobs_max ? share : s->conf->sync.jobs_max;
    json_t *run = json_pack("{s:s, s:o, s:I, s:I}", "op", ops[job->running], "user",
        text_json(job->user), "accept", (json_int_t)q->accept, "share", (json_int_t)share);
    BUG_ON(!run);
    if (q->to[0])
        json_object_set_new(run, "to", text_json(q->to));
    if (q->has_delete_percent)
        json_object_set_new(run, "delete_percent", json_integer((json_int_t)q->delete_percent));
    if (r->state != MOVE_NONE)
        json_object_set_new(run, "record", move_record_json(r));
    return json_pack("{s:o}", "run", run);
}

void process_start(struct supervisor *s, struct queue_job *job)
{
    struct process *p = mem_zalloc(sizeof(*p));
    struct move_record r = {0};
    int fd = -1;
    *p = (struct process){.s = s, .job = job};
    LIST_INSERT_HEAD(&s->processes, p, link);
    job->worker = p;
    int result = users_load(s->store, job->user, &r, &p->err);
    if (result == 0)
        result = spawn_worker(s->conf_fd, s->verbose, &p->pid, &fd, &p->err);
    if (result == 0) {
        p->state = r.state;
        p->may_hold = move_may_hold(r.state);
        p->frames = frames_new_own(s->loop, fd, &EVENTS, p);
        frames_send_own(p->frames, work_for(s, job, &r));
    } else {
        p->has_said = p->is_closed = p->is_reaped = true;
        p->status = err_exit_code(&p->err);
    }
    move_record_fini(&r);
    if (result != 0)
        end_if_over(p);
}

void process_call_back(struct process *p)
{
    if (p->frames)
        frames_send_own(p->frames, json_pack("{s:b}", "back", 1));
}

void processes_reap(struct supervisor *s)
{
    struct process *p, *next;
    for (p = LIST_FIRST(&s->processes); p; p = next) {
        next = LIST_NEXT(p, link);
        if (p->is_reaped || waitpid(p->pid, &p->wait_status, WNOHANG) != p->pid)
            continue;
        p->is_reaped = true;
        if (p->is_closed) {
            end_if_over(p);
            next = LIST_FIRST(&s->processes);
        }
    }
}

bool processes_hold(const struct supervisor *s)
{
    const struct process *p = LIST_FIRST(&s->processes);
    while (p && !p->may_hold)
        p = LIST_NEXT(p, link);
    return p != NULL;
}

void processes_free(struct supervisor *s)
{
    struct process *p;
    while ((p = LIST_FIRST(&s->processes)) != NULL) {
        frames_free(&p->frames);
        if (!p->is_reaped && p->pid > 0)
            kill(p->pid, SIGKILL);
        while (!p->is_reaped && waitpid(p->pid, &p->wait_status, 0) < 0 && errno == EINTR)
            continue;
        process_free(p);
    }
}
