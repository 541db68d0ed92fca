/* SPDX-License-Identifier: ISC */
/*
 * cmd_hold: a hold by hand, for one address or a whole domain.  Its owner is a name that set and
 * import tell whoever meets the hold; coexist-sync has its own.
 */
#include "maps/tool/tool.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>
#include "base/core/buf.h"
#include "base/core/clock.h"
#include "base/core/num.h"

#define OWNER_MAX 100

static int parse_until(const struct tool *t, const char *text, uint64_t *ms_out, struct err *err)
{
    struct tm tm = {0};

    *ms_out = t->conf->mapd.hold_max_ms;
    if (!text || num_duration_ms(slice_str(text), ms_out) == 0)
        return 0;
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    if (!end || *end)
        return err_set(err, ERR_PERM, EX_USAGE,
            "--until takes a duration (90s, 5m) or a time in UTC (2026-11-02T09:30:00Z)");
    int64_t left_ms = (int64_t)timegm(&tm) * 1000 - clock_wall_ms();
    if (left_ms <= 0)
        return err_set(err, ERR_PERM, EX_USAGE, "--until %s is in the past", text);
    *ms_out = (uint64_t)left_ms;
    return 0;
}

static void default_owner(char out[OWNER_MAX])
{
    const struct passwd *pw = getpwuid(getuid());
    if (!pw || fmt_into(out, OWNER_MAX, "maptool:%s", pw->pw_name) != 0)
        if (fmt_into(out, OWNER_MAX, "maptool:%lu", (unsigned long)getuid()) != 0)
            BUG("a number fits");
}

static void print_hold(const json_t *reply)
{
    tool_print_text(tool_text(json_object_get(reply, "entry"), "key"));
    printf(": held until %s, epoch %llu\n", tool_text(reply, "deadline"),
        (unsigned long long)tool_number(reply, "epoch"));
}

int cmd_hold(struct tool *t, struct err *err)
{
    const char *until = NULL, *owner = NULL, *why = NULL;
    char own_name[OWNER_MAX];
    uint64_t hold_ms;
    int64_t epoch = -1;
    json_t *reply;

    if (tool_option(t, "--until", &until, err) != 0 || tool_epoch(t, 0, &epoch, err) != 0 ||
        tool_option(t, "--owner", &owner, err) != 0 || tool_option(t, "--why", &why, err) != 0 ||
        tool_words(t, 1, 1, err) != 0 || parse_until(t, until, &hold_ms, err) != 0)
        return -1;
    default_owner(own_name);
    json_t *request = tool_change("hold", why);
    if (request &&
        (json_object_set_new(request, "key", json_string(t->argv[0])) != 0 ||
            json_object_set_new(request, "owner", json_string(owner ? owner : own_name)) != 0 ||
            json_object_set_new(request, "deadline_ms", json_integer((json_int_t)hold_ms)) != 0 ||
            (epoch >= 0 &&
                json_object_set_new(request, "expect_epoch", json_integer(epoch)) != 0))) {
        json_decref(request);
        request = NULL;
    }
    int rc = tool_call_own(t, request, &reply, err);
    if (rc == 0 && backend_is_offline(t->backend))
        fprintf(stderr, "maptool: coexist-mapd does not run: the hold ends when it has started "
                        "and the deadline is over\n");
    if (rc == 0 && t->json)
        tool_print_json(reply);
    else if (rc == 0)
        print_hold(reply);
    json_decref(reply);
    return rc == 0 ? tool_flush(err) : -1;
}
