/* SPDX-License-Identifier: ISC */
/* round: see round.h. */
#include "imapsync/move/round.h"

#include <stdlib.h>
#include <string.h>

#include "base/core/log.h"
#include "base/core/mem.h"
#include "imapsync/ends/imap_account.h"
#include "imapsync/move/lines.h"
#include "imapsync/move/record.h"
#include "imapsync/move/tend.h"

struct round {
    struct jobs *jobs;
    struct conf_use *confs;
    char **silent; /* servers that did not answer in it: one timeout each, not one for each user */
    size_t n_silent;
};

static bool on_is_silent(void *arg, const char *server)
{
    const struct round *r = arg;
    for (size_t i = 0; i < r->n_silent; i++) {
        if (strcmp(r->silent[i], server) == 0)
            return true;
    }
    return imap_account_waits(server);
}

static void on_silent(void *arg, const char *server)
{
    struct round *r = arg;
    if (on_is_silent(r, server))
        return;
    r->silent = mem_realloc_array(r->silent, r->n_silent + 1, sizeof(*r->silent));
    r->silent[r->n_silent++] = mem_strdup(server);
    log_warn("server_silent", log_str("server", server),
        log_str("text", "users with a mailbox there are swept in a later round"));
}

static void on_tended(void *arg ATTR_UNUSED, const json_t *line)
{
    const json_t *late = json_object_get(line, "late");
    if (!late || json_integer_value(late) > 0)
        lines_log(line);
}

static const struct move_events tend_events = {
    .line = on_tended, .silent = on_silent, .is_silent = on_is_silent};

static int tend_one(void *arg, const char *dir)
{
    struct round *r = arg;
    struct err err = ERR_INIT;
    if (jobs_is_stopping(r->jobs))
        return 1;
    struct used_conf *used = conf_use_take(r->confs);
    if (tend_user(used->conf, dir, &tend_events, r, &err) != 0)
        log_warn("tend_failed", log_str("dir", dir), log_err(&err));
    conf_use_drop(r->confs, used);
    return 0;
}

/* A sweep may have to wait a minute for a server that hangs; who is held does not need it. */
static int tend_held(void *arg, const char *dir)
{
    struct move_record r;
    struct err ignored = ERR_INIT;
    if (move_record_load(dir, &r, &ignored) != 0)
        return 0;
    move_record_fini(&r);
    return move_may_hold(r.state) ? tend_one(arg, dir) : 0;
}

void round_run(struct jobs *jobs, struct conf_use *confs)
{
    struct round r = {.jobs = jobs, .confs = confs};
    struct err err = ERR_INIT;
    struct used_conf *used = conf_use_take(confs);
    if (move_record_each(used->conf, tend_held, &r, &err) < 0 ||
        move_record_each(used->conf, tend_one, &r, &err) < 0)
        log_error("tend_failed", log_err(&err));
    conf_use_drop(confs, used);
    for (size_t i = 0; i < r.n_silent; i++)
        free(r.silent[i]);
    free(r.silent);
}
