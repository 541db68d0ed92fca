/* SPDX-License-Identifier: ISC */
/* job: see job.h. */
#include "imapsync/move/job.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "imapsync/copy/passes.h"
#include "imapsync/journal/text.h"
#include "imapsync/move/claims.h"

#define PROGRESS_EVERY_MS 500
#define EXCEPTIONS_SHOWN_MAX 100 /* as lines of their own */
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
    json_t *line = json_pack("{s:o, s:s, s:I, s:o}", "user", text_json(j->r.user), "state",
        move_state_name(j->r.state), "ms", (json_int_t)(clock_mono_ms() - j->start_ms), "text",
        text_json(buf_cstr(&text)));
    BUG_ON(!line);
    if (extra)
        json_object_update(line, extra);
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
    struct report *r = &j->r.report;
    report_item(r, e);
    if (j->is_comparing)
        return;
    log_warn("copy_exception", log_str("user", j->r.user), log_str("folder", e->folder),
        log_u64("uid", e->uid), log_str("code", item_row(e->code)->name), log_str("error", e->why));
    if (r->n_found > EXCEPTIONS_SHOWN_MAX)
        return;
    const struct report_item *item = &r->items[r->n_items - 1];
    move_job_say_own(j, json_pack("{s:o}", "exception", report_item_json(item)),
        "%s, UID %u: %s: %s", item->folder, (unsigned)item->uid, item_row(item->code)->name,
        item->why);
}

static void on_open(void *arg, const struct copy_exception *e)
{
    struct move_job *j = arg;
    report_open(&j->r.report, e);
}

json_t *move_job_report(const struct move_job *j, const char *name, uint64_t value)
{
    return json_pack("{s:I, s:o}", name, (json_int_t)value, "report",
        report_json(&j->r.report, REPORT_SHOWN_MAX));
}

void move_job_tell(struct move_job *j)
{
    struct buf text;
    buf_init(&text, LINE_TEXT_MAX);
    report_text(&j->r.report, REPORT_MOVE, REPORT_TOLD, &j->before, &text);
    if (text.n > 0 && !(j->told && strcmp(j->told, buf_cstr(&text)) == 0)) {
        mem_free_string(&j->told);
        j->told = mem_strdup(buf_cstr(&text));
        move_job_say_own(j, NULL, "%s", j->told);
    }
    buf_fini(&text);
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

static void on_compared(void *arg, const struct copy_compared *folder)
{
    struct move_job *j = arg;
    if (!move_is_forward(j->r.state))
        known_compared(&j->known, folder);
}

/* What a comparison has told that was broken off is told again. */
static void on_again(void *arg)
{
    struct move_job *j = arg;
    if (j->is_comparing)
        known_compare(&j->known);
}

static int on_claim(void *arg, struct end *e, bool is_target, struct err *err)
{
    const struct move_job *j = arg;
    const struct claim claim = {.state = j->state,
        .server = is_target ? j->r.to : j->r.from,
        .user = j->r.user,
        .mailbox = j->r.mailbox};
    return claim_take(&claim, e, err);
}

const struct copy_events move_job_events = {.progress = on_progress,
    .exception = on_exception,
    .open = on_open,
    .is_cancelled = on_is_cancelled,
    .compared = on_compared,
    .again = on_again,
    .claim = on_claim};

/* --- Life ---------------------------------------------------------------------------------- */

static int take_lock(struct move_job *j, const char *user, struct err *err)
{
    uint64_t until_ms = clock_mono_ms() + j->events->lock_wait_ms;
    for (;;) {
        int result = move_dir_open(j->conf, user, &j->dir, err);
        if (result == 0 || err->code != EX_TEMPFAIL || clock_mono_ms() >= until_ms)
            return result;
        err_clear(err);
        poll(NULL, 0, LOCK_POLL_MS);
    }
}

int move_job_open(struct move_job *j, const struct conf *conf, const char *user,
    const struct move_events *events, void *arg, struct err *err)
{
    *j = (struct move_job){.conf = conf,
        .events = events,
        .arg = arg,
        .delete_percent = PLAN_DELETIONS_PERCENT,
        .dir.lock_fd = -1,
        .limits.cancel_fd = -1};
    j->start_ms = clock_mono_ms();
    buf_init(&j->acl_text, ACL_FILE_MAX);
    authority_init(&j->map, conf->run);
    int result = take_lock(j, user, err);
    if (result == 0)
        result = events->load(arg, user, &j->r, err);
    if (result == 0)
        known_init(&j->known, j->dir.path);
    j->before = j->r.report.n;
    j->map.is_patient = move_may_hold(j->r.state);
    if (result == 0 && j->r.state == MOVE_NONE &&
        fmt_into(j->r.user, sizeof(j->r.user), "%s", user) != 0)
        result = err_set(err, ERR_PERM, EX_USAGE, "the address is too long");
    if (result != 0)
        move_job_close(j);
    return result;
}

void move_job_close(struct move_job *j)
{
    const char *silent = j->copy ? copy_silent_server(j->copy) : NULL;
    if (silent && j->events->silent)
        j->events->silent(j->arg, silent);
    copy_free(&j->copy);
    known_fini(&j->known);
    move_job_close_ends(j);
    authority_fini(&j->map);
    move_dir_close(&j->dir);
    move_record_fini(&j->r);
    mem_free_string(&j->told);
    mem_free_string(&j->state);
    buf_fini(&j->acl_text);
}

int move_job_save(struct move_job *j, struct err *err)
{
    return j->events->save(j->arg, &j->r, err);
}

/* Behind the flip there is no way back, and nobody to wait for it. */
static void enter(struct move_job *j, enum move_state s)
{
    j->r.state = s;
    j->map.is_patient = move_may_hold(s);
    j->limits.cancel_fd =
        j->events->cancel_fd && !move_is_forward(s) ? j->events->cancel_fd(j->arg) : -1;
}

static void log_state(const struct move_job *j, enum move_state from, enum move_event event)
{
    log_info("cutover_state", log_str("user", j->r.user), log_str("from", move_state_name(from)),
        log_str("to", move_state_name(j->r.state)), log_str("cause", move_event_name(event)),
        log_u64("epoch", j->r.hold_epoch));
}

static enum move_state follow(struct move_job *j, enum move_event event)
{
    enum move_state from = j->r.state, to = move_next(from, event);
    BUG_ON(to == MOVE_NONE);
    if (to != from)
        j->r.since_ms = clock_wall_ms();
    enter(j, to);
    return from;
}

void move_job_step(struct move_job *j, enum move_event event)
{
    enum move_state from = follow(j, event);
    log_state(j, from, event);
}

int move_job_advance(struct move_job *j, enum move_event event, struct err *err)
{
    enum move_state from = follow(j, event);
    if (move_job_save(j, err) != 0) {
        enter(j, from);
        return -1;
    }
    log_state(j, from, event);
    return 0;
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

/* --- Passes and comparisons ------------------------------------------------------------------- */

static int compare(struct move_job *j, bool with_content, struct copy_verdict *out, struct err *err)
{
    report_begin(&j->r.report);
    j->is_comparing = true;
    /* Before the hold all was listed; while mail waits only what has changed since. */
    int result = copy_verify(
        j->copy, move_may_hold(j->r.state) ? COPY_CHANGED : COPY_ALL, with_content, out, err);
    j->is_comparing = false;
    return result;
}

static int judge(struct move_job *j, struct err *err)
{
    struct err why = ERR_INIT;
    struct report r = j->r.report;
    /* Behind the flip what is open keeps it from being done (sweep.c), and what comes late comes.
     */
    if (move_is_forward(j->r.state))
        r.n.items_loss = r.n.items_withheld = 0;
    if (report_judge(&r, REPORT_MOVE, &j->before, &why) < REPORT_LOSS)
        return 0;
    *err = why;
    return -1;
}

int move_job_compare(struct move_job *j, bool may_miss, struct copy_verdict *out, struct err *err)
{
    known_compare(&j->known);
    if (compare(j, true, out, err) != 0)
        return -1;
    struct copy_verdict v = *out;
    if (may_miss)
        v.missing = 0;
    report_verdict(&j->r.report, &v);
    return judge(j, err) == 0 ? 0 : err_wrap(err, "the mailboxes differ");
}

int move_job_count_missing(struct move_job *j, uint64_t *out, struct err *err)
{
    struct copy_verdict v;
    if (compare(j, false, &v, err) != 0)
        return -1;
    *out = v.missing;
    return 0;
}

/* What was seen is known for ever, whatever became of the rest of the pass.  Under the hold that
 * waits for the comparison. */
static int keep_known(struct move_job *j, bool has_new, struct err *err)
{
    struct err why = ERR_INIT;
    int result = 0;
    if (move_is_forward(j->r.state))
        result = known_keep(&j->known, &why);
    else if (has_new && !move_may_hold(j->r.state))
        result = known_seen(&j->known, &why);
    if (result != 0 && err)
        *err = why;
    return result;
}

int move_job_pass(
    struct move_job *j, enum plan_policy_id policy, uint64_t *new_out, struct err *err)
{
    struct copy_counts n = {0};
    report_begin(&j->r.report);
    /* While mail waits there is no time to try again. */
    int result = move_may_hold(j->r.state) ? copy_pass(j->copy, policy, &n, err)
                                           : passes_run(j->copy, policy, &n, err);
    if (result != 0 && err->code == EX_USAGE)
        err->code = EX_CONFIG; /* nobody has typed the names of both */
    /* Behind the flip what is found is not late. */
    *new_out = n.messages_copied + (move_is_forward(j->r.state) ? 0 : n.messages_adopted);
    j->r.copied += n.messages_copied;
    j->r.copied_octets += n.octets_copied;
    report_pass(&j->r.report, &n);
    if (keep_known(j, *new_out > 0, result == 0 ? err : NULL) != 0)
        result = -1;
    return result == 0 ? judge(j, err) : -1;
}
