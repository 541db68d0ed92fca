/* SPDX-License-Identifier: ISC */
/*
 * worker: see worker.h.  It knows the store only over the channel: a record is written down before
 * the step that it speaks of, so that a hold or a flip that somebody has to know of is known.
 */
#include "imapsync/jobs/worker.h"

#include <signal.h>
#include <string.h>
#include <sysexits.h>

#include "base/core/log.h"
#include "base/os/hmac.h"
#include "imapsync/ends/imap_shared.h"
#include "imapsync/jobs/channel.h"
#include "imapsync/journal/text.h"
#include "imapsync/move/cutover.h"
#include "imapsync/move/tend.h"

/* Whoever was killed may be on its way out still, and has the user's lock until then. */
#define LOCK_WAIT_MS 10000

struct worker {
    struct channel *channel;
    const json_t *run;
};

/* --- What a job wants to have done ----------------------------------------------------------- */

static void on_line(void *arg, const json_t *line)
{
    struct worker *w = arg;
    channel_say_own(w->channel, json_pack("{s:O}", "line", line));
}

static bool on_wants_back(void *arg)
{
    const struct worker *w = arg;
    return channel_wants_back(w->channel);
}

static int on_cancel_fd(void *arg)
{
    const struct worker *w = arg;
    return channel_cancel_fd(w->channel);
}

static int on_load(void *arg, const char *user, struct move_record *out, struct err *err)
{
    const struct worker *w = arg;
    const json_t *record = json_object_get(w->run, "record");
    *out = (struct move_record){0};
    if (record && (move_record_from_json(record, out) != 0 || strcmp(out->user, user) != 0))
        return err_set(err, ERR_BUG, EX_SOFTWARE, "the record of %s makes no sense", user);
    return 0;
}

static int on_save(void *arg, const struct move_record *r, struct err *err)
{
    struct worker *w = arg;
    return channel_ask_own(w->channel, json_pack("{s:o}", "save", move_record_json(r)), err);
}

static void on_silent(void *arg, const char *server)
{
    struct worker *w = arg;
    channel_say_own(w->channel, json_pack("{s:s}", "silent", server));
}

static const struct move_events events = {.line = on_line,
    .wants_back = on_wants_back,
    .cancel_fd = on_cancel_fd,
    .load = on_load,
    .save = on_save,
    .lock_wait_ms = LOCK_WAIT_MS,
    .silent = on_silent};

/* --- Sign-ins that were refused concern all workers --------------------------------------------
 */

static int on_enter(void *arg, const char *server, const char *user,
    const unsigned char digest[SHA256_SIZE], struct err *err)
{
    struct worker *w = arg;
    char hex[2 * SHA256_SIZE + 1];
    for (size_t i = 0; i < SHA256_SIZE; i++) {
        if (fmt_into(hex + 2 * i, 3, "%02x", digest[i]) != 0)
            BUG("two digits fit");
    }
    return channel_ask_own(w->channel,
        json_pack(
            "{s:{s:s, s:o, s:s}}", "gate", "enter", server, "user", text_json(user), "digest", hex),
        err);
}

static void on_passed(void *arg, const char *server)
{
    struct worker *w = arg;
    channel_say_own(w->channel, json_pack("{s:{s:s}}", "gate", "passed", server));
}

static void on_refused(void *arg, const char *server, const char *user, const struct err *why)
{
    struct worker *w = arg;
    channel_say_own(w->channel, json_pack("{s:{s:s, s:o, s:o}}", "gate", "refused", server, "user",
                                    text_json(user), "error", channel_err_json(why)));
}

static const struct imap_gate_keeper keeper = {
    .enter = on_enter, .passed = on_passed, .refused = on_refused};

/* --- The work -------------------------------------------------------------------------------- */

static int carry_out(struct worker *w, const struct conf *conf, struct err *err)
{
    const char *op = json_string_value(json_object_get(w->run, "op"));
    const char *user = json_string_value(json_object_get(w->run, "user"));
    const json_t *percent = json_object_get(w->run, "delete_percent");
    const struct cutover_wish wish = {.to = json_string_value(json_object_get(w->run, "to")),
        .has_delete_percent = json_is_integer(percent),
        .delete_percent = (unsigned)json_integer_value(percent),
        .accept = (uint32_t)json_integer_value(json_object_get(w->run, "accept"))};
    if (!op || !user)
        return err_set(err, ERR_BUG, EX_SOFTWARE, "the supervisor does not say what to do");
    if (strcmp(op, "cutover") == 0)
        return cutover_run(conf, user, &wish, &events, w, err);
    if (strcmp(op, "rollback") == 0)
        return cutover_back(conf, user, &events, w, err);
    if (strcmp(op, "retire") == 0)
        return cutover_retire(conf, user, &events, w, err);
    if (strcmp(op, "settle") == 0)
        return tend_settle(conf, user, &events, w, err);
    return tend_sweep(conf, user, &events, w, err);
}

int worker_run(const struct conf *conf, int fd, struct err *err)
{
    struct worker w = {0};
    json_t *run;
    struct err why = ERR_INIT;
    /* Who stops the supervisor does not stop those whose mail waits: it tells us itself. */
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    if (channel_open(fd, &w.channel, &run, err) != 0)
        return -1;
    w.run = run;
    imap_shared_ask(&keeper, &w);
    imap_shared_part((uint32_t)json_integer_value(json_object_get(run, "share")));
    int result = carry_out(&w, conf, &why);
    channel_say_own(
        w.channel, json_pack("{s:{s:i, s:o}}", "end", "status",
                       result < 0 ? err_exit_code(&why) : result, "error", channel_err_json(&why)));
    json_decref(run);
    return 0;
}
