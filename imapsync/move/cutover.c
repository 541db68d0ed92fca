/* SPDX-License-Identifier: ISC */
/*
 * cutover: the works of the machine's states, and the loop that goes from one to the next.
 *
 * While the map may hold the user, every way out leads through settle(): it makes the map say who
 * has the user now, by repeating the hold when its reply may have been lost, by releasing, and by
 * looking at the route when the release was refused.  So a flip whose reply was lost counts as what
 * it was, and a request that is still on its way when we ask finds its epoch gone.
 */
#include "imapsync/move/cutover.h"

#include <string.h>
#include <sysexits.h>

#include "base/core/clock.h"
#include "base/core/log.h"
#include "imapsync/move/sweep.h"
#include "imapsync/sync.h"
#include "maps/route.h"

#define BARRIER_TURN_MS 500

typedef unsigned long long ull;

static json_t *number(const char *name, uint64_t value)
{
    return json_pack("{s:I}", name, (json_int_t)value);
}

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

/* --- While the user works on old ---------------------------------------------------------- */

static int work_connect(struct move_job *j, struct err *err)
{
    if (move_job_connect(j, err) != 0)
        return -1;
    move_job_say_own(j, NULL, "%s moves from %s to %s; both servers let us in", j->r.mailbox,
        j->r.from, j->r.to);
    return 0;
}

static int work_copy(struct move_job *j, struct err *err)
{
    uint64_t new, before = j->r.copied_octets, start_ms = clock_mono_ms();
    if (move_job_connect(j, err) != 0 || move_job_pass(j, PLAN_MIRROR, &new, err) != 0)
        return -1;
    move_job_say_own(j, number("copied", new), "%llu message%s copied, %.1f MiB, in %llu ms",
        (ull) new, plural(new), (double)(j->r.copied_octets - before) / (1 << 20),
        (ull)(clock_mono_ms() - start_ms));
    return 0;
}

static int unlike(const struct move_job *j, const struct copy_verdict *v, struct err *err)
{
    return err_set(err, ERR_PERM, EX_DATAERR,
        "the mailboxes differ: %llu message%s missing on %s, %llu with other content, %llu deleted "
        "there%s%s",
        (ull)v->missing, plural(v->missing), j->r.to, (ull)v->different, (ull)v->gone,
        j->n_exceptions > 0 ? "; first " : "", j->exception.text);
}

static int work_approach(struct move_job *j, struct err *err)
{
    struct copy_verdict v;
    uint64_t new, brought = 0, took_ms;
    uint32_t passes = 0;
    do {
        uint64_t start_ms = clock_mono_ms();
        if (move_job_pass(j, PLAN_MIRROR, &new, err) != 0)
            return -1;
        took_ms = clock_mono_ms() - start_ms;
        brought += new;
        passes++;
    } while (new > CUTOVER_SMALL &&
             took_ms > CUTOVER_SMALL_MS &&passes < j->conf->sync.delta_passes_max);
    /* Reading the whole target takes its time, which is why it is done before anybody waits.  What
     * has come since the pass is missing, and is the next delta's affair. */
    if (move_job_compare(j, true, &v, err) != 0)
        return -1;
    if (v.different > 0 || v.gone > 0)
        return unlike(j, &v, err);
    move_job_say_own(j, number("copied", brought),
        "%llu message%s came meanwhile, %u pass%s; contents of %llu message%s compared",
        (ull)brought, plural(brought), (unsigned)passes, passes == 1 ? "" : "es", (ull)v.messages,
        plural(v.messages));
    return 0;
}

/* --- While mail waits ------------------------------------------------------------------------ */

static uint64_t held_ms(const struct move_job *j)
{
    return clock_mono_ms() - j->hold_start_ms;
}

static int work_hold(struct move_job *j, struct err *err)
{
    bool knows;
    j->hold_start_ms = clock_mono_ms();
    if (authority_hold(&j->map, &j->r, &j->r.hold_epoch, &knows, err) != 0)
        return -1;
    move_job_say_own(j, number("epoch", j->r.hold_epoch),
        "mail for %s waits, for %llu s at most (epoch %llu)", j->r.user,
        (ull)(j->r.hold_deadline_ms / 1000), (ull)j->r.hold_epoch);
    return 0;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static int wanted_back(struct err *err)
{
    return err_set(err, ERR_TEMP, EX_TEMPFAIL, "stopped on request");
}

/* In short turns, so that whoever wants the user back does not wait for a delivery that hangs. */
static int await_barrier(
    struct move_job *j, uint64_t timeout_ms, enum client_barrier *out, struct err *err)
{
    uint64_t until_ms = clock_mono_ms() + timeout_ms;
    bool knows;
    for (;;) {
        uint64_t now = clock_mono_ms(), left_ms = now < until_ms ? until_ms - now : 0;
        if (move_job_wants_back(j))
            return wanted_back(err);
        if (authority_barrier(&j->map, &j->r, least(left_ms, BARRIER_TURN_MS), out, &knows, err) !=
            0)
            return -1;
        if (*out != CLIENT_BARRIER_TIMEOUT)
            return 0;
        if (left_ms == 0)
            return err_set(err, ERR_TEMP, EX_TEMPFAIL,
                "barrier: a delivery that began before the hold did not end within %llu ms",
                (ull)timeout_ms);
    }
}

static int work_barrier(struct move_job *j, struct err *err)
{
    enum client_barrier said;
    uint64_t spent_ms = held_ms(j), start_ms = clock_mono_ms();
    uint64_t left_ms = spent_ms < j->r.hold_deadline_ms ? j->r.hold_deadline_ms - spent_ms : 0;
    uint64_t timeout_ms =
        least(least(j->conf->sync.barrier_ms, j->conf->mapd.barrier_max_ms), left_ms);
    if (await_barrier(j, timeout_ms, &said, err) != 0)
        return -1;
    j->r.is_ambiguous = said == CLIENT_BARRIER_AMBIGUOUS;
    move_job_say_own(j, json_pack("{s:b}", "ambiguous", (int)j->r.is_ambiguous),
        "no delivery to %s is under way any more (%llu ms)%s", j->r.from,
        (ull)(clock_mono_ms() - start_ms),
        j->r.is_ambiguous ? ", but one ended without an answer: the sweeps will look for it" : "");
    return 0;
}

/* A pass that brings nothing new, and a comparison that finds nothing missing. */
static int work_delta(struct move_job *j, struct err *err)
{
    struct copy_verdict v = {0};
    uint64_t start_ms = clock_mono_ms(), new, brought = 0;
    uint32_t passes = 0;
    for (;;) {
        if (move_job_pass(j, PLAN_MIRROR, &new, err) != 0)
            return -1;
        passes++;
        brought += new;
        if (new == 0) {
            if (move_job_compare(j, true, &v, err) != 0)
                return -1;
            if (v.different > 0 || v.gone > 0)
                return unlike(j, &v, err);
            if (v.missing == 0)
                break;
        }
        if (move_job_wants_back(j))
            return wanted_back(err);
        if (passes >= j->conf->sync.delta_passes_max ||
            clock_mono_ms() - start_ms >= j->conf->sync.delta_max_ms) {
            if (new == 0)
                return unlike(j, &v, err);
            return err_set(err, ERR_TEMP, EX_TEMPFAIL,
                "mail keeps coming to %s by itself: %llu message%s in %u passes and %llu ms",
                j->r.from, (ull)brought, plural(brought), (unsigned)passes,
                (ull)(clock_mono_ms() - start_ms));
        }
    }
    j->r.verified = v.messages;
    move_job_say_own(j, number("copied", brought), "%llu message%s came in %u pass%s", (ull)brought,
        plural(brought), (unsigned)passes, passes == 1 ? "" : "es");
    move_job_say_own(j,
        json_pack("{s:s, s:I}", "state", move_state_name(MOVE_VERIFIED), "verified",
            (json_int_t)v.messages),
        "all %llu messages of %s are on %s", (ull)v.messages, j->r.from, j->r.to);
    return 0;
}

static int work_flip(struct move_job *j, struct err *err)
{
    bool knows;
    uint64_t epoch;
    if (move_job_wants_back(j))
        return wanted_back(err);
    if (authority_flip(&j->map, &j->r, &epoch, &knows, err) != 0) {
        if (knows && err->code == 1)
            err->code = EX_TEMPFAIL; /* the hold is over: the next one may be long enough */
        return -1;
    }
    j->r.held_ms = held_ms(j);
    j->r.flipped_ms = clock_wall_ms();
    move_job_say_own(j,
        json_pack("{s:s, s:I, s:I}", "state", move_state_name(MOVE_FLIPPED), "epoch",
            (json_int_t)epoch, "hold_ms", (json_int_t)j->r.held_ms),
        "mail goes to %s now (epoch %llu); it waited for %llu ms", j->r.to, (ull)epoch,
        (ull)j->r.held_ms);
    return 0;
}

/* --- Asking the map --------------------------------------------------------------------------- */

/* From holding to verified: ends the hold if it is ours, and says where the user is. */
static int settle(struct move_job *j, const char *why, enum move_event *event_out, struct err *err)
{
    struct authority_entry entry;
    bool knows;
    /* The hold may have been asked for without an answer, and may even be on its way still: asked
     * for again under the same id, it has happened once and its epoch is known. */
    if (j->r.state == MOVE_HOLDING &&
        authority_hold(&j->map, &j->r, &j->r.hold_epoch, &knows, err) != 0 && !knows)
        return -1;
    *event_out = MOVE_EVENT_ON_OLD;
    if (j->r.hold_epoch > 0 && authority_release(&j->map, &j->r, why, &knows, err) == 0)
        return 0;
    if (j->r.hold_epoch > 0 && !knows)
        return -1;
    if (authority_get(&j->map, j->r.user, &entry, &knows, err) != 0)
        return -1;
    if (entry.is_there && strcmp(entry.route, j->r.to) == 0)
        *event_out = MOVE_EVENT_ON_NEW;
    return 0;
}

static void set_error(struct move_job *j, const struct err *err)
{
    j->r.error_code = err ? err_exit_code(err) : 0;
    if (fmt_into(j->r.error, sizeof(j->r.error), "%s", err ? err->text : "") != 0)
        BUG("an error's text fits");
}

/* Leaves the states in which the map may hold the user.  why: what went wrong; NULL: we have only
 * found the record.  0 and the job is in `released` or `flipped`. */
static int leave_hold(struct move_job *j, const struct err *why, struct err *err)
{
    enum move_event event;
    bool was_measured = j->hold_start_ms > 0;
    if (settle(j, why ? why->text : "the cut-over was interrupted", &event, err) != 0) {
        set_error(j, why ? why : err);
        struct err ignored = ERR_INIT;
        if (move_job_save(j, &ignored) != 0)
            log_error("record", log_err(&ignored));
        return err_wrap(err, "nobody can say where %s is", j->r.user);
    }
    if (was_measured)
        j->r.held_ms = held_ms(j);
    set_error(j, event == MOVE_EVENT_ON_OLD ? why : NULL);
    if (event == MOVE_EVENT_ON_NEW && j->r.flipped_ms == 0)
        j->r.flipped_ms = clock_wall_ms();
    if (move_job_advance(j, event, err) != 0)
        return -1;
    if (event == MOVE_EVENT_ON_NEW)
        move_job_say_own(j, NULL, "the map says that %s is on %s", j->r.user, j->r.to);
    else
        move_job_say_own(j, number("hold_ms", j->r.held_ms), "%s stays on %s: %s", j->r.user,
            j->r.from, why ? why->text : "the cut-over was interrupted");
    return 0;
}

/* Somebody may have changed the route by hand since the flip. */
static int check_forward(struct move_job *j, struct err *err)
{
    struct authority_entry entry;
    bool knows;
    if (authority_get(&j->map, j->r.user, &entry, &knows, err) != 0)
        return -1;
    bool is_on_new = entry.is_there && strcmp(entry.route, j->r.to) == 0;
    enum move_event event = is_on_new ? MOVE_EVENT_ON_NEW : MOVE_EVENT_ON_OLD;
    if (move_next(j->r.state, event) == j->r.state)
        return 0;
    move_job_say_own(j, NULL, "the map does not route %s to %s any more", j->r.user, j->r.to);
    return move_job_advance(j, event, err);
}

/* --- Beginning ---------------------------------------------------------------------------------
 */

static int choose_target(
    const struct conf *conf, const char *from, const char *to, const char **out, struct err *err)
{
    *out = to;
    for (size_t i = 0; !to && i < conf->n_servers; i++) {
        const struct conf_server *s = &conf->servers[i];
        if (!s->imap.host || strcmp(s->name, from) == 0)
            continue;
        if (*out)
            return err_set(
                err, ERR_PERM, EX_USAGE, "there are several servers to move to: use --to SERVER");
        *out = s->name;
    }
    if (!*out || conf_server_index(conf, slice_str(*out)) == CONF_SERVER_NONE)
        return err_set(err, ERR_PERM, EX_CONFIG, "there is no server \"%s\" with imap to move to",
            *out ? *out : "");
    return 0;
}

static int set_names(
    struct move_record *r, const struct authority_entry *entry, const char *to, struct err *err)
{
    const char *mailbox = entry->deliver_as[0] ? entry->deliver_as : r->user;
    if (fmt_into(r->mailbox, sizeof(r->mailbox), "%s", mailbox) != 0 ||
        fmt_into(r->from, sizeof(r->from), "%s", entry->route) != 0 ||
        fmt_into(r->to, sizeof(r->to), "%s", to) != 0)
        return err_set(err, ERR_PERM, EX_USAGE, "a name is too long");
    return 0;
}

/* A new attempt, with ids of its own, of a user who is on old. */
static int begin_attempt(struct move_job *j, const char *to, struct err *err)
{
    struct move_record *r = &j->r;
    struct authority_entry entry;
    char id[CLIENT_REQUEST_ID_MAX];
    bool knows;
    if (authority_get(&j->map, r->user, &entry, &knows, err) != 0)
        return -1;
    if (!entry.is_there)
        return err_set(err, ERR_PERM, EX_NOUSER,
            "the map has no entry for %s (maptool set %s route=SERVER)", r->user, r->user);
    if (!entry.is_mailbox)
        return err_set(err, ERR_PERM, EX_DATAERR, "%s is no mailbox in the map", r->user);
    if (entry.is_held)
        return err_set(err, ERR_TEMP, EX_TEMPFAIL, "%s is held by %s", r->user, entry.holder);
    if (choose_target(j->conf, entry.route, to, &to, err) != 0)
        return -1;
    if (strcmp(entry.route, to) == 0)
        return err_set(err, ERR_PERM, EX_DATAERR, "%s is on %s already", r->user, to);
    if (set_names(r, &entry, to, err) != 0)
        return -1;
    client_request_id(id);
    if (fmt_into(r->id, sizeof(r->id), "%s", id) != 0)
        BUG("a request id fits");
    r->started_ms = clock_wall_ms();
    r->hold_deadline_ms = least(j->conf->sync.hold_ms, j->conf->mapd.hold_max_ms);
    r->hold_epoch = r->held_ms = 0;
    r->flipped_ms = 0;
    r->is_ambiguous = false;
    set_error(j, NULL);
    return move_job_advance(j, MOVE_EVENT_BEGIN, err);
}

/* What the last one left, made certain, then the first state of this command. */
static int begin(struct move_job *j, const char *to, struct err *err)
{
    if (move_may_hold(j->r.state) && leave_hold(j, NULL, err) != 0)
        return -1;
    if (move_is_forward(j->r.state) && check_forward(j, err) != 0)
        return -1;
    if (!move_is_forward(j->r.state))
        return begin_attempt(j, to, err);
    if (to && strcmp(to, j->r.to) != 0)
        return err_set(err, ERR_PERM, EX_UNAVAILABLE,
            "%s has been cut over to %s; moving on to another server or back is not possible yet",
            j->r.user, j->r.to);
    return move_job_advance(j, MOVE_EVENT_BEGIN, err);
}

/* --- The loop ------------------------------------------------------------------------------------
 */

static int do_work(struct move_job *j, bool *is_settled_out, struct err *err)
{
    *is_settled_out = true;
    switch (move_work(j->r.state)) {
    case MOVE_WORK_NONE:
        return 0;
    case MOVE_WORK_CONNECT:
        return work_connect(j, err);
    case MOVE_WORK_COPY:
        return work_copy(j, err);
    case MOVE_WORK_APPROACH:
        return work_approach(j, err);
    case MOVE_WORK_HOLD:
        return work_hold(j, err);
    case MOVE_WORK_BARRIER:
        return work_barrier(j, err);
    case MOVE_WORK_DELTA:
        return work_delta(j, err);
    case MOVE_WORK_FLIP:
        return work_flip(j, err);
    case MOVE_WORK_SWEEP:
        return sweep_run(j, is_settled_out, err);
    }
    BUG("all works are above");
}

static void show_critical(const struct move_job *j)
{
    if (j->events->critical)
        j->events->critical(j->arg, move_may_hold(j->r.state));
}

/* A work has failed (why): -1 when that ends the command, with err; 0: the loop goes on from the
 * state in which the job is now. */
static int after_failure(struct move_job *j, const struct err *why, struct err *err)
{
    if (move_may_hold(j->r.state)) {
        if (leave_hold(j, why, err) != 0)
            return -1;
        show_critical(j);
        if (move_is_forward(j->r.state))
            return 0;
    } else {
        set_error(j, why);
        move_job_say_own(j, NULL, "%s", why->text);
        if (move_job_save(j, err) != 0)
            return -1;
    }
    *err = *why;
    return -1;
}

/* From where the job is to the end, to a sweep that has to come again (*is_settled_out false), or
 * to an error. */
static int run_states(struct move_job *j, bool *is_settled_out, struct err *err)
{
    *is_settled_out = true;
    while (*is_settled_out && move_next(j->r.state, MOVE_EVENT_DONE) != MOVE_NONE) {
        struct err why = ERR_INIT;
        int result = 0;
        if (!move_is_forward(j->r.state) && !move_may_hold(j->r.state) && move_job_wants_back(j))
            result = wanted_back(&why);
        if (result == 0)
            result = do_work(j, is_settled_out, &why);
        if (result != 0) {
            if (after_failure(j, &why, err) != 0)
                return -1;
        } else if (*is_settled_out) {
            if (move_job_advance(j, MOVE_EVENT_DONE, err) != 0)
                return -1;
            show_critical(j);
        }
    }
    set_error(j, NULL);
    return move_job_save(j, err);
}

static int run(struct move_job *j, struct err *err)
{
    bool is_settled;
    if (run_states(j, &is_settled, err) != 0)
        return move_is_forward(j->r.state) ? SYNC_EXIT_EXCEPTIONS : -1;
    move_job_say_own(j, NULL, "%s is on %s%s", j->r.user, j->r.to,
        is_settled ? "" : "; the sweeps have to look again later");
    return is_settled ? 0 : SYNC_EXIT_EXCEPTIONS;
}

/* --- Commands ------------------------------------------------------------------------------------
 */

static int key_of(const struct conf *conf, const char *address, struct buf *out, struct err *err)
{
    buf_init(out, 2 * ROUTE_KEY_MAX);
    if (normalise_key(conf, slice_str(address), out) != 0 || buf_slice(out).p[0] == '@')
        return err_set(err, ERR_PERM, EX_USAGE, "%s is no user's address", address);
    return 0;
}

int cutover_run(const struct conf *conf, const char *address, const char *to,
    const struct move_events *events, void *arg, struct err *err)
{
    struct move_job j;
    struct buf key;
    int result = key_of(conf, address, &key, err);
    if (result == 0)
        result = move_job_open(&j, conf, buf_cstr(&key), NULL, events, arg, err);
    if (result == 0) {
        result = begin(&j, to, err);
        if (result == 0)
            result = run(&j, err);
        move_job_close(&j);
    }
    buf_fini(&key);
    return result;
}

static int back(struct move_job *j, struct err *err)
{
    if (move_may_hold(j->r.state) && leave_hold(j, NULL, err) != 0)
        return -1;
    if (move_is_forward(j->r.state))
        return err_set(err, ERR_PERM, EX_UNAVAILABLE,
            "%s has been flipped to %s: there is no way back by this command; mail that came since "
            "is on %s, and `maptool set %s route=%s` only changes where the next one goes",
            j->r.user, j->r.to, j->r.to, j->r.user, j->r.from);
    if (move_next(j->r.state, MOVE_EVENT_BACK) == MOVE_NONE)
        return err_set(err, ERR_PERM, EX_NOUSER, "there is no cut-over of %s", j->r.user);
    set_error(j, NULL);
    if (move_job_advance(j, MOVE_EVENT_BACK, err) != 0)
        return -1;
    move_job_say_own(
        j, NULL, "%s stays on %s; what was copied stays on %s", j->r.user, j->r.from, j->r.to);
    return 0;
}

int cutover_back(const struct conf *conf, const char *address, const struct move_events *events,
    void *arg, struct err *err)
{
    struct move_job j;
    struct buf key;
    int result = key_of(conf, address, &key, err);
    if (result == 0)
        result = move_job_open(&j, conf, buf_cstr(&key), NULL, events, arg, err);
    if (result == 0) {
        result = back(&j, err);
        move_job_close(&j);
    }
    buf_fini(&key);
    return result;
}

static bool is_due(const struct conf *conf, const struct move_record *r)
{
    int64_t age_ms = clock_wall_ms() - r->swept_ms;
    return age_ms < 0 || age_ms >= (int64_t)conf->sync.sweep_interval_ms;
}

static bool is_silent(const struct move_job *j)
{
    return j->events->is_silent &&
           (j->events->is_silent(j->arg, j->r.from) || j->events->is_silent(j->arg, j->r.to));
}

static int tend(struct move_job *j, struct err *err)
{
    bool is_settled;
    if (move_may_hold(j->r.state) && leave_hold(j, NULL, err) != 0)
        return -1;
    if (!move_is_forward(j->r.state) || !is_due(j->conf, &j->r) || is_silent(j))
        return 0;
    if (check_forward(j, err) != 0 || !move_is_forward(j->r.state))
        return move_is_forward(j->r.state) ? -1 : 0;
    if (j->r.state != MOVE_DONE) {
        if (move_job_advance(j, MOVE_EVENT_BEGIN, err) != 0)
            return -1;
        return run_states(j, &is_settled, err);
    }
    int result = sweep_run(j, &is_settled, err);
    set_error(j, result == 0 ? NULL : err);
    struct err why = ERR_INIT;
    if (move_job_save(j, &why) != 0) {
        *err = why;
        return -1;
    }
    return result;
}

int cutover_tend(const struct conf *conf, const char *dir, const struct move_events *events,
    void *arg, struct err *err)
{
    struct move_job j;
    struct move_record r;
    /* A look without the lock first: most users have nothing to tend. */
    if (move_record_load(dir, &r, err) != 0)
        return -1;
    if (!move_may_hold(r.state) && !(move_is_forward(r.state) && is_due(conf, &r)))
        return 0;
    if (move_job_open(&j, conf, NULL, dir, events, arg, err) != 0) {
        if (err->class != ERR_TEMP)
            return -1;
        err_clear(err); /* somebody else works on this user */
        return 0;
    }
    int result = tend(&j, err);
    const char *silent = j.copy ? copy_silent_server(j.copy) : NULL;
    if (silent && events->silent)
        events->silent(arg, silent);
    move_job_close(&j);
    return result;
}
