/* SPDX-License-Identifier: ISC */
/*
 * cutover: how a cut-over begins, the loop that goes from state to state, and the ways to end it.
 */
#include "imapsync/move/cutover.h"

#include <string.h>
#include <sysexits.h>

#include "base/core/clock.h"
#include "imapsync/move/retire.h"
#include "imapsync/move/settle.h"
#include "imapsync/move/sweep.h"
#include "imapsync/move/works.h"
#include "maps/delivery.h"
#include "maps/route.h"

/* --- Beginning ---------------------------------------------------------------------------------
 */

/* Users move down the list of servers unless somebody says where to: one who is on the last server
 * already, by hand or because the records were lost, must not be moved back. */
static int choose_target(
    const struct move_job *j, const char *from, const char *to, const char **out, struct err *err)
{
    const struct conf *conf = j->conf;
    int first = conf_server_index(conf, slice_str(from));
    if (!to && j->r.state != MOVE_NONE && strcmp(j->r.from, from) == 0)
        to = j->r.to;
    *out = to;
    for (size_t i = (size_t)(first + 1); !to && i < conf->n_servers; i++) {
        const struct conf_server *s = &conf->servers[i];
        if (!s->imap.host)
            continue;
        if (*out)
            return err_set(
                err, ERR_PERM, EX_USAGE, "there are several servers to move to: use --to SERVER");
        *out = s->name;
    }
    if (!*out)
        return err_set(err, ERR_PERM, EX_USAGE,
            "%s is on %s, and the configuration has no server with imap below that: use --to "
            "SERVER",
            j->r.user, from);
    int index = conf_server_index(conf, slice_str(*out));
    if (index == CONF_SERVER_NONE || !conf->servers[index].imap.host)
        return err_set(
            err, ERR_PERM, EX_CONFIG, "there is no server \"%s\" with imap to move to", *out);
    *out = conf->servers[index].name;
    return 0;
}

/* Of a flip the way there and the way back take turns; an attempt that is begun again is what the
 * one before was. */
static bool is_return(const struct move_record *r, const char *from, const char *to)
{
    if (move_is_forward(r->state))
        return !r->is_return;
    return r->is_return && strcmp(r->from, from) == 0 && strcmp(r->to, to) == 0;
}

static int set_names(
    struct move_record *r, const struct authority_entry *entry, const char *to, struct err *err)
{
    struct slice key = slice_str(r->user);
    char mailbox[ROUTE_KEY_MAX + 1]; /* the address by which mail is delivered names it too */
    r->is_return = is_return(r, entry->route, to);
    if (delivery_address(NULL, key, key, DECIDE_BY_KEY, slice_str(entry->deliver_as), mailbox) !=
        DELIVERY_GOOD)
        return err_set(
            err, ERR_PERM, EX_DATAERR, "the map names a delivery address that is not one");
    if (fmt_into(r->mailbox, sizeof(r->mailbox), "%s", mailbox) != 0 ||
        fmt_into(r->from, sizeof(r->from), "%s", entry->route) != 0 ||
        fmt_into(r->to, sizeof(r->to), "%s", to) != 0)
        return err_set(err, ERR_PERM, EX_USAGE, "a name is too long");
    return 0;
}

/* What a move of this user means for others, while there is time to think of it. */
static void say_followers(struct move_job *j)
{
    struct err ignored = ERR_INIT;
    json_t *follow;
    bool knows;
    if (authority_follow(&j->map, j->r.user, &follow, &knows, &ignored) == 0 && follow)
        move_job_say_own(j, follow, "%s", json_string_value(json_object_get(follow, "follow")));
}

/* A new attempt, with ids of its own, of a user who is on old. */
static int begin_attempt(struct move_job *j, const char *to, enum move_event event, struct err *err)
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
    if (j->r.state == MOVE_RETIRED && strcmp(entry.route, j->r.to) == 0 &&
        (!to || strcmp(to, j->r.from) == 0))
        return err_set(err, ERR_PERM, EX_UNAVAILABLE,
            "%s is on %s, and has been retired from %s: there is no way back", j->r.user, j->r.to,
            j->r.from);
    if (choose_target(j, entry.route, to, &to, err) != 0)
        return -1;
    if (strcmp(entry.route, to) == 0)
        return err_set(err, ERR_PERM, EX_DATAERR, "%s is on %s already", r->user, to);
    if (set_names(r, &entry, to, err) != 0)
        return -1;
    client_request_id(id);
    if (fmt_into(r->id, sizeof(r->id), "%s", id) != 0)
        BUG("a request id fits");
    r->started_ms = clock_wall_ms();
    r->hold_deadline_ms = j->conf->sync.hold_ms < j->conf->mapd.hold_max_ms
                              ? j->conf->sync.hold_ms
                              : j->conf->mapd.hold_max_ms;
    r->hold_epoch = r->held_ms = 0;
    r->flipped_ms = 0;
    r->quiet_ms = 0;
    r->sweeps = r->late = 0; /* of this attempt: its first sweep is not like the later ones */
    report_fini(&r->report);
    j->before = r->report.n;
    r->is_ambiguous = false;
    move_job_set_error(j, NULL);
    if (move_job_advance(j, event, err) != 0)
        return -1;
    say_followers(j);
    return 0;
}

/* The same mailboxes the other way.  What was begun on the way there has an outcome first, and mail
 * that came late to old is there already, where its user goes. */
static int begin_return(struct move_job *j, const char *to, struct err *err)
{
    bool is_settled;
    if (sweep_run(j, &is_settled, err) != 0)
        return err_wrap(err, "before the way back");
    move_job_turn(j);
    return begin_attempt(j, to, MOVE_EVENT_RETURN, err);
}

/* What the last one left, made certain, then the first state of this command. */
static int begin(struct move_job *j, const char *to, struct err *err)
{
    if (move_may_hold(j->r.state) && settle_hold(j, NULL, err) != 0)
        return -1;
    if (move_is_forward(j->r.state) && settle_forward(j, err) != 0)
        return -1;
    if (!move_is_forward(j->r.state))
        return begin_attempt(j, to, MOVE_EVENT_BEGIN, err);
    if (to && strcmp(to, j->r.from) == 0)
        return begin_return(j, to, err);
    if (to && strcmp(to, j->r.to) != 0)
        return err_set(err, ERR_PERM, EX_UNAVAILABLE,
            "%s has been cut over to %s; moving on to a third server is not possible yet",
            j->r.user, j->r.to);
    return move_job_advance(j, MOVE_EVENT_BEGIN, err);
}

/* --- The loop ------------------------------------------------------------------------------------
 */

/* A work has failed (why): -1 when that ends the command, with err; 0: the loop goes on from the
 * state in which the job is now. */
static int after_failure(struct move_job *j, const struct err *why, struct err *err)
{
    if (move_may_hold(j->r.state)) {
        if (settle_hold(j, why, err) != 0)
            return -1;
        if (move_is_forward(j->r.state))
            return 0;
    } else {
        move_job_set_error(j, why);
        move_job_say_own(j, NULL, "%s", why->text);
        if (move_job_save(j, err) != 0)
            return -1;
    }
    *err = *why;
    return -1;
}

/* A record that cannot be written while mail waits (a full disk) is a failure like any other. */
static int advance(struct move_job *j, struct err *err)
{
    struct err why = ERR_INIT;
    if (move_job_advance(j, MOVE_EVENT_DONE, &why) == 0)
        return 0;
    return after_failure(j, &why, err);
}

int cutover_go_on(struct move_job *j, bool *is_settled_out, struct err *err)
{
    *is_settled_out = true;
    while (*is_settled_out && move_next(j->r.state, MOVE_EVENT_DONE) != MOVE_NONE) {
        struct err why = ERR_INIT;
        int result = 0;
        if (!move_is_forward(j->r.state) && !move_may_hold(j->r.state) && move_job_wants_back(j))
            result = move_job_stopped(&why);
        if (result == 0)
            result = works_do(j, is_settled_out, &why);
        if (result != 0) {
            if (after_failure(j, &why, err) != 0)
                return -1;
        } else if (*is_settled_out) {
            if (advance(j, err) != 0)
                return -1;
        }
    }
    move_job_set_error(j, NULL);
    return move_job_save(j, err);
}

static int run(struct move_job *j, struct err *err)
{
    bool is_settled;
    if (cutover_go_on(j, &is_settled, err) != 0)
        return move_is_forward(j->r.state) ? REPORT_EXIT_EXCEPTIONS : -1;
    move_job_say_own(j, NULL, "%s is on %s%s", j->r.user, j->r.to,
        is_settled ? "" : "; the sweeps have to look again later");
    if (report_judge(&j->r.report, REPORT_MOVE, &j->before, err) >= REPORT_EXCEPTION)
        return REPORT_EXIT_EXCEPTIONS;
    return is_settled ? 0 : REPORT_EXIT_EXCEPTIONS;
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

/* With the user's job open; close it behind a 0. */
static int open_for(struct move_job *j, const struct conf *conf, const char *address,
    const struct move_events *events, void *arg, struct err *err)
{
    struct buf key;
    int result = key_of(conf, address, &key, err);
    if (result == 0)
        result = move_job_open(j, conf, buf_cstr(&key), events, arg, err);
    buf_fini(&key);
    return result;
}

int cutover_run(const struct conf *conf, const char *address, const struct cutover_wish *wish,
    const struct move_events *events, void *arg, struct err *err)
{
    struct move_job j;
    if (open_for(&j, conf, address, events, arg, err) != 0)
        return -1;
    j.delete_percent = wish->has_delete_percent ? wish->delete_percent : PLAN_DELETIONS_PERCENT;
    j.accept = wish->accept;
    int result = begin(&j, wish->to, err);
    if (result == 0)
        result = run(&j, err);
    move_job_close(&j);
    return result;
}

static int back(struct move_job *j, struct err *err)
{
    if (move_may_hold(j->r.state) && settle_hold(j, NULL, err) != 0)
        return -1;
    if (move_is_forward(j->r.state))
        return err_set(err, ERR_PERM, EX_UNAVAILABLE,
            "%s has been flipped to %s: there is no way back by this command; `cutover --to %s %s` "
            "moves back with what has come since, and `maptool set %s route=%s` only changes where "
            "the next one goes",
            j->r.user, j->r.to, j->r.from, j->r.user, j->r.user, j->r.from);
    if (move_next(j->r.state, MOVE_EVENT_BACK) == MOVE_NONE)
        return err_set(err, ERR_PERM, EX_NOUSER, "there is no cut-over of %s", j->r.user);
    move_job_set_error(j, NULL);
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
    if (open_for(&j, conf, address, events, arg, err) != 0)
        return -1;
    int result = back(&j, err);
    move_job_close(&j);
    return result;
}

int cutover_retire(const struct conf *conf, const char *address, const struct move_events *events,
    void *arg, struct err *err)
{
    struct move_job j;
    if (open_for(&j, conf, address, events, arg, err) != 0)
        return -1;
    int result = retire_run(&j, err);
    move_job_close(&j);
    return result;
}
