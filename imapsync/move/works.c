/* SPDX-License-Identifier: ISC */
/*
 * works: see works.h.  Up to synced the user works on old and nobody waits; from the hold to the
 * flip mail does, so each of these is bounded and can be ended by whoever wants the user back.
 */
#include "imapsync/move/works.h"

#include <sysexits.h>

#include "base/core/clock.h"
#include "imapsync/move/places.h"
#include "imapsync/move/settle.h"
#include "imapsync/move/sweep.h"

#define BARRIER_TURN_MS 500

typedef unsigned long long ull;

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

/* On the way back the target has been its user's home: nothing there is removed for ever. */
static enum plan_policy_id policy(const struct move_job *j)
{
    return j->r.is_return ? PLAN_REVERSE : PLAN_MIRROR;
}

/* --- While the user works on old ---------------------------------------------------------- */

static int let_in(struct move_job *j, struct err *err)
{
    if (move_job_connect(j, err) != 0)
        return -1;
    move_job_say_own(j, NULL, "%s moves from %s to %s; both servers let us in", j->r.mailbox,
        j->r.from, j->r.to);
    return 0;
}

static int copy_all(struct move_job *j, struct err *err)
{
    uint64_t new, before = j->r.copied_octets, start_ms = clock_mono_ms();
    /* Whatever an attempt before has seen: this pass forgets what is gone from old. */
    if (move_job_connect(j, err) != 0 || known_seen(&j->known, err) != 0)
        return -1;
    /* What was refused before is tried once more now, and then when it is due. */
    copy_back_off(j->copy, false);
    int result = move_job_pass(j, policy(j), &new, err);
    copy_back_off(j->copy, true);
    if (result != 0)
        return -1;
    move_job_say_own(j, move_job_report(j, "copied", new),
        "%llu message%s copied, %.1f MiB, in %llu ms", (ull) new, plural(new),
        (double)(j->r.copied_octets - before) / (1 << 20), (ull)(clock_mono_ms() - start_ms));
    return 0;
}

static int approach(struct move_job *j, struct err *err)
{
    struct copy_verdict v;
    uint64_t new, brought = 0, took_ms;
    uint32_t passes = 0;
    do {
        uint64_t start_ms = clock_mono_ms();
        if (move_job_pass(j, policy(j), &new, err) != 0)
            return -1;
        took_ms = clock_mono_ms() - start_ms;
        brought += new;
        passes++;
    } while (
        new > WORKS_SMALL && took_ms > WORKS_SMALL_MS &&passes < j->conf->sync.delta_passes_max);
    /* Reading the whole target takes its time, which is why it is done before anybody waits.  What
     * has come since the pass is missing, and is the next delta's affair. */
    if (move_job_compare(j, true, &v, err) != 0)
        return -1;
    /* What has no identity is known by its messages, which the target did not have at first. */
    if (copy_claim(j->copy, err) != 0)
        return -1;
    move_job_say_own(j, move_job_report(j, "copied", brought),
        "%llu message%s came meanwhile, %u pass%s; contents of %llu message%s compared",
        (ull)brought, plural(brought), (unsigned)passes, passes == 1 ? "" : "es", (ull)v.messages,
        plural(v.messages));
    move_job_tell(j);
    return 0;
}

/* --- While mail waits ------------------------------------------------------------------------ */

static int hold(struct move_job *j, struct err *err)
{
    bool knows;
    j->hold_start_ms = clock_mono_ms();
    if (authority_hold(&j->map, &j->r, &j->r.hold_epoch, &knows, err) != 0)
        return -1;
    move_job_say_own(j, move_job_number("epoch", j->r.hold_epoch),
        "mail for %s waits, for %llu s at most (epoch %llu)", j->r.user,
        (ull)(j->r.hold_deadline_ms / 1000), (ull)j->r.hold_epoch);
    return 0;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
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
            return move_job_stopped(err);
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

static int barrier(struct move_job *j, struct err *err)
{
    enum client_barrier said;
    uint64_t spent_ms = move_job_held_ms(j), start_ms = clock_mono_ms();
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
static int delta(struct move_job *j, struct err *err)
{
    struct copy_verdict v = {0};
    uint64_t start_ms = clock_mono_ms(), new, brought = 0;
    uint32_t passes = 0;
    for (;;) {
        if (move_job_pass(j, policy(j), &new, err) != 0)
            return -1;
        passes++;
        brought += new;
        bool is_last = passes >= j->conf->sync.delta_passes_max ||
                       clock_mono_ms() - start_ms >= j->conf->sync.delta_max_ms;
        if (new == 0 && move_job_compare(j, !is_last, &v, err) != 0)
            return -1;
        if (new == 0 && v.missing == 0)
            break;
        if (move_job_wants_back(j))
            return move_job_stopped(err);
        if (is_last)
            return err_set(err, ERR_TEMP, EX_TEMPFAIL,
                "mail keeps coming to %s by itself: %llu message%s in %u passes and %llu ms",
                j->r.from, (ull)brought, plural(brought), (unsigned)passes,
                (ull)(clock_mono_ms() - start_ms));
    }
    /* A connection that was lost and opened again may lead elsewhere. */
    if (copy_claim_again(j->copy, err) != 0 || known_flip(&j->known, err) != 0)
        return -1;
    j->r.verified = v.messages;
    move_job_say_own(j, move_job_report(j, "copied", brought), "%llu message%s came in %u pass%s",
        (ull)brought, plural(brought), (unsigned)passes, passes == 1 ? "" : "es");
    move_job_tell(j);
    move_job_say_own(j,
        json_pack("{s:s, s:I}", "state", move_state_name(MOVE_VERIFIED), "verified",
            (json_int_t)v.messages),
        "all %llu messages of %s are on %s", (ull)v.messages, j->r.from, j->r.to);
    return 0;
}

/* A server that is silent costs what is left of the hold's time, and not its own patience. */
static int delta_in_time(struct move_job *j, struct err *err)
{
    uint64_t spent_ms = move_job_held_ms(j);
    uint64_t left_ms = spent_ms < j->r.hold_deadline_ms ? j->r.hold_deadline_ms - spent_ms : 0;
    j->limits.until_ms = clock_mono_ms() + least(left_ms, j->conf->sync.delta_max_ms);
    int result = delta(j, err);
    j->limits.until_ms = 0;
    return result;
}

static int flip(struct move_job *j, struct err *err)
{
    bool knows;
    uint64_t epoch;
    json_t *follow;
    if (move_job_wants_back(j))
        return move_job_stopped(err);
    if (places_flip(j, err) != 0)
        return -1;
    if (authority_flip(&j->map, &j->r, &epoch, &follow, &knows, err) != 0) {
        if (knows && err->code == 1)
            err->code = EX_TEMPFAIL; /* the hold is over: the next one may be long enough */
        return -1;
    }
    j->r.held_ms = move_job_held_ms(j);
    j->r.flipped_ms = clock_wall_ms();
    const char *with = json_string_value(json_object_get(follow, "follow"));
    json_t *extra = json_pack("{s:s, s:I, s:I}", "state", move_state_name(MOVE_FLIPPED), "epoch",
        (json_int_t)epoch, "hold_ms", (json_int_t)j->r.held_ms);
    if (follow)
        json_object_update(extra, follow);
    move_job_say_own(j, extra, "mail goes to %s now (epoch %llu); it waited for %llu ms%s%s",
        j->r.to, (ull)epoch, (ull)j->r.held_ms, with ? "; " : "", with ? with : "");
    json_decref(follow);
    return 0;
}

int works_do(struct move_job *j, bool *is_settled_out, struct err *err)
{
    *is_settled_out = true;
    switch (move_work(j->r.state)) {
    case MOVE_WORK_NONE:
        return 0;
    case MOVE_WORK_CONNECT:
        return let_in(j, err);
    case MOVE_WORK_COPY:
        return copy_all(j, err);
    case MOVE_WORK_APPROACH:
        return approach(j, err);
    case MOVE_WORK_HOLD:
        return hold(j, err);
    case MOVE_WORK_BARRIER:
        return barrier(j, err);
    case MOVE_WORK_DELTA:
        return delta_in_time(j, err);
    case MOVE_WORK_FLIP:
        return flip(j, err);
    case MOVE_WORK_SWEEP:
        return sweep_run(j, is_settled_out, err);
    }
    BUG("all works are above");
}
