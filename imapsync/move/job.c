/* SPDX-License-Identifier: ISC */
/* job: see job.h. */
#include "imapsync/move/job.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/core/clock.h"
#include "base/core/log.h"
#include "imapsync/copy/resolve.h"
#include "imapsync/copy/passes.h"
#include "imapsync/copy/state_dir.h"

#define PROGRESS_EVERY_MS 500
#define EXCEPTIONS_SHOWN_MAX 100
#define LINE_TEXT_MAX 1024
#define LOCK_POLL_MS 20

/* --- Lines ------------------------------------------------------------------------------- */

void move_job_say_own(struct move_job *j, json_t *extra, const char *fmt, ...)
{
    struct buf text;
    va_list ap;
    buf_init(&text, LINE_TEXT_MAX);
    va_start(ap, fmt);
    if (buf_vaddf(&text, fmt, ap) != 0)
        buf_clear(&text);
    va_end(ap);
    json_t *line =
        json_pack("{s:s, s:s, s:I, s:s}", "user", j->r.user, "state", move_state_name(j->r.state),
            "ms", (json_int_t)(clock_mono_ms() - j->start_ms), "text", buf_cstr(&text));
    if (line && extra)
        json_object_update(line, extra);
    if (line)
        j->events->line(j->arg, line);
    json_decref(extra);
    json_decref(line);
    buf_fini(&text);
}

json_t *move_job_number(const char *name, uint64_t value)
{
    return json_pack("{s:I}", name, (json_int_t)value);
}

static void on_progress(void *arg, const struct copy_counts *n)
{
    struct move_job *j = arg;
    uint64_t now = clock_mono_ms();
    if (now - j->shown_ms < PROGRESS_EVERY_MS)
        return;
    j->shown_ms = now;
    uint64_t done = n->messages_copied + n->messages_same + n->messages_failed;
    move_job_say_own(j, json_pack("{s:b}", "progress", 1), "%llu of %llu messages",
        (unsigned long long)done, (unsigned long long)n->messages_total);
}

static void on_exception(void *arg, const struct copy_exception *e)
{
    struct move_job *j = arg;
    if (j->n_exceptions++ == 0 && e->uid)
        err_set(&j->exception, ERR_PERM, EX_DATAERR, "%s, message with UID %u: %s", e->folder,
            (unsigned)e->uid, e->why);
    else if (j->n_exceptions == 1)
        err_set(&j->exception, ERR_PERM, EX_CANTCREAT, "folder %s: %s", e->folder, e->why);
    if (j->is_comparing)
        return;
    log_warn("copy_exception", log_str("user", j->r.user), log_str("folder", e->folder),
        log_u64("uid", e->uid), log_str("error", e->why));
    if (j->n_exceptions <= EXCEPTIONS_SHOWN_MAX)
        move_job_say_own(j,
            json_pack("{s:{s:s, s:I, s:s}}", "exception", "folder", e->folder, "uid",
                (json_int_t)e->uid, "error", e->why),
            "%s, UID %u: %s", e->folder, (unsigned)e->uid, e->why);
}

bool move_job_wants_back(const struct move_job *j)
{
    return j->events->wants_back && j->events->wants_back(j->arg);
}

int move_job_stopped(struct err *err)
{
    return err_set(err, ERR_TEMP, EX_TEMPFAIL, "stopped on request");
}

static bool on_is_cancelled(void *arg)
{
    const struct move_job *j = arg;
    /* After the flip there is no way back, and a sweep is short. */
    return !move_is_forward(j->r.state) && move_job_wants_back(j);
}

static const struct copy_events copy_events = {
    .progress = on_progress, .exception = on_exception, .is_cancelled = on_is_cancelled};

/* --- Life ---------------------------------------------------------------------------------- */

static int take_lock(struct move_job *j, const char *user, const char *dir, struct err *err)
{
    uint64_t until_ms = clock_mono_ms() + j->events->lock_wait_ms;
    for (;;) {
        int result =
            dir ? move_dir_lock(dir, &j->dir, err) : move_dir_open(j->conf, user, &j->dir, err);
        if (result == 0 || err->code != EX_TEMPFAIL || clock_mono_ms() >= until_ms)
            return result;
        err_clear(err);
        poll(NULL, 0, LOCK_POLL_MS);
    }
}

int move_job_open(struct move_job *j, const struct conf *conf, const char *user, const char *dir,
    const struct move_events *events, void *arg, struct err *err)
{
    *j = (struct move_job){.conf = conf, .events = events, .arg = arg, .dir.lock_fd = -1};
    j->start_ms = clock_mono_ms();
    authority_init(&j->map, conf->run);
    int result = take_lock(j, user, dir, err);
    if (result == 0)
        result = move_record_load(j->dir.path, &j->r, err);
    j->map.is_patient = move_may_hold(j->r.state);
    if (result == 0 && j->r.state == MOVE_NONE && user &&
        fmt_into(j->r.user, sizeof(j->r.user), "%s", user) != 0)
        result = err_set(err, ERR_PERM, EX_USAGE, "the address is too long");
    if (result != 0)
        move_job_close(j);
    return result;
}

void move_job_close(struct move_job *j)
{
    copy_free(&j->copy);
    imap_account_fini(&j->source);
    imap_account_fini(&j->target);
    authority_fini(&j->map);
    move_dir_close(&j->dir);
}

int move_job_save(struct move_job *j, struct err *err)
{
    return move_record_save(j->dir.path, &j->r, err);
}

int move_job_advance(struct move_job *j, enum move_event event, struct err *err)
{
    enum move_state from = j->r.state, to = move_next(from, event);
    BUG_ON(to == MOVE_NONE);
    if (to != from)
        j->r.since_ms = clock_wall_ms();
    j->r.state = to;
    j->map.is_patient = move_may_hold(to);
    log_info("cutover_state", log_str("user", j->r.user), log_str("from", move_state_name(from)),
        log_str("to", move_state_name(to)), log_str("cause", move_event_name(event)),
        log_u64("epoch", j->r.hold_epoch));
    return move_job_save(j, err);
}

void move_job_set_error(struct move_job *j, const struct err *err)
{
    j->r.error_code = err ? err_exit_code(err) : 0;
    if (fmt_into(j->r.error, sizeof(j->r.error), "%s", err ? err->text : "") != 0)
        BUG("an error's text fits");
}

uint64_t move_job_held_ms(const struct move_job *j)
{
    return clock_mono_ms() - j->hold_start_ms;
}

/* --- The two mailboxes ------------------------------------------------------------------------ */

static int open_account(
    struct move_job *j, const char *server, struct imap_account *out, struct err *err)
{
    int i = conf_server_index(j->conf, slice_str(server));
    if (i == CONF_SERVER_NONE)
        return err_set(
            err, ERR_PERM, EX_CONFIG, "there is no server \"%s\" in the configuration", server);
    const struct conf_server *s = &j->conf->servers[i];
    return imap_account_from_conf(
        s, s->name, j->r.mailbox, j->conf->sync.imap_timeout_ms, out, err);
}

int move_job_connect(struct move_job *j, struct err *err)
{
    const struct copy_options options = {
        .delete_percent = PLAN_DELETIONS_PERCENT, .settle_ms = RESOLVE_SETTLE_MS};
    struct buf dir;
    int result = 0;
    if (j->copy)
        return copy_connect(j->copy, err);
    if (!j->source.user)
        result = open_account(j, j->r.from, &j->source, err);
    if (result == 0 && !j->target.user)
        result = open_account(j, j->r.to, &j->target, err);
    /* One journal for each pair of servers, so that a later way back starts with its own. */
    buf_init(&dir, 4096);
    if (result == 0)
        result = state_dir(j->dir.path, j->r.from, j->r.to, &dir, err);
    if (result == 0)
        result = copy_new(&j->source.place, &j->target.place, buf_cstr(&dir), &options,
            &copy_events, j, &j->copy, err);
    buf_fini(&dir);
    return result == 0 ? copy_connect(j->copy, err) : -1;
}

int move_job_compare(
    struct move_job *j, bool with_content, struct copy_verdict *out, struct err *err)
{
    j->n_exceptions = 0;
    j->exception = ERR_INIT;
    j->is_comparing = true;
    int result = copy_verify(j->copy, with_content, out, err);
    j->is_comparing = false;
    return result;
}

int move_job_pass(
    struct move_job *j, enum plan_policy_id policy, uint64_t *new_out, struct err *err)
{
    struct copy_counts n = {0};
    j->n_exceptions = 0;
    j->exception = ERR_INIT;
    /* While mail waits there is no time to try again. */
    int result = move_may_hold(j->r.state) ? copy_pass(j->copy, policy, &n, err)
                                           : passes_run(j->copy, policy, &n, err);
    *new_out = n.messages_copied + n.messages_adopted;
    j->r.copied += n.messages_copied;
    j->r.copied_octets += n.octets_copied;
    if (result == 0 && (n.messages_failed > 0 || n.folders_failed > 0)) {
        *err = j->exception;
        if (err->class == ERR_NONE)
            err_set(err, ERR_PERM, EX_DATAERR, "not everything could be carried over");
        if (j->n_exceptions > 1)
            err_wrap(err, "%llu messages or folders could not be carried over, first",
                (unsigned long long)j->n_exceptions);
        result = -1;
    }
    return result;
}
