/* SPDX-License-Identifier: ISC */
/*
 * cmd_explain: asks the decision function itself, over the published snapshot, so it says what
 * relay, milter and socket map say at this moment.  It needs neither mapd nor the database; only
 * who else goes where the user goes (aliases, groups) is mapd's to tell, and missing without it.
 *
 * Exit status: 0 delivered or held, 1 refused or not ours, EX_TEMPFAIL when it would be deferred.
 */
#include "maps/tool/tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include "base/core/buf.h"
#include "base/core/clock.h"
#include "base/mail/address.h"
#include "maps/client.h"
#include "maps/route.h"
#include "maps/store/control.h"
#include "maps/snapshot.h"

#define STEPS_MAX (64u << 10)
#define FOLLOW_MS 2000 /* for the answer of mapd */

static int parse_from(const struct conf *conf, const char *text, int *server_out, struct err *err)
{
    struct net_addr addr;

    *server_out = CONF_SERVER_NONE;
    if (!text)
        return 0;
    if (net_addr_parse(slice_str(text), &addr) == 0)
        *server_out = conf_server_from(conf, &addr);
    else if ((*server_out = conf_server_index(conf, slice_str(text))) == CONF_SERVER_NONE)
        return err_set(err, ERR_PERM, EX_USAGE,
            "--from %s is neither an address nor a server of the configuration", text);
    return 0;
}

static int parse_sender(const char *text, struct decide_request *request, struct err *err)
{
    struct address a;
    if (!text)
        return 0;
    request->has_sender = true;
    if (!text[0] || strcmp(text, "<>") == 0)
        return 0;
    request->sender = slice_str(text);
    if (address_parse(request->sender, &a) == 0)
        return 0;
    return err_set(err, ERR_PERM, EX_USAGE, "--sender %s is not an address", text);
}

static int exit_status(const struct decision *d)
{
    switch (d->kind) {
    case DECIDE_DELIVER:
    case DECIDE_HOLD:
        return EX_OK;
    case DECIDE_REJECT:
    case DECIDE_NOT_OURS:
        return TOOL_DIFFERENT;
    case DECIDE_DEFER:
        break;
    }
    return EX_TEMPFAIL;
}

static const char *server_name(const struct conf *conf, int server)
{
    return server == CONF_SERVER_NONE ? "" : conf->servers[server].name;
}

static void print_steps(struct slice rest)
{
    struct slice line;
    int n = 0;
    while (slice_split(&rest, '\n', &line))
        if (line.n)
            printf("%3d  %.*s\n", ++n, SLICE_ARG(line));
}

static void print_decision(const struct conf *conf, const struct decision *d)
{
    for (size_t i = 0; d->kind == DECIDE_DELIVER && i < d->n_deliveries; i++) {
        const struct decide_delivery *to = &d->deliveries[i];
        printf("=>   %s %s as %s%s%s\n",
            to->is_outside ? "forward"
            : to->is_copy  ? "deliver a copy to"
                           : "deliver to",
            to->is_outside ? "outside" : server_name(conf, to->server), to->address,
            to->errors_to ? ", errors to " : "", to->errors_to ? to->errors_to : "");
    }
    if (d->n_skipped > 0)
        printf("=>   %zu targets that there are not are passed over\n", d->n_skipped);
    if (d->kind != DECIDE_DELIVER)
        printf("=>   %s: %d %s %s\n", decision_kind_name(d->kind), d->code, d->enhanced, d->text);
}

static json_t *deliveries_json(const struct conf *conf, const struct decision *d)
{
    json_t *all = json_array();
    for (size_t i = 0; i < d->n_deliveries; i++)
        json_array_append_new(
            all, json_pack("{ss ss sI ss*}", "server", server_name(conf, d->deliveries[i].server),
                     "address", d->deliveries[i].address, "epoch",
                     (json_int_t)d->deliveries[i].epoch, "errors_to", d->deliveries[i].errors_to));
    return all;
}

static json_t *decision_json(const struct conf *conf, const struct decision *d, struct slice rest)
{
    json_t *steps = json_array(), *keys = json_array();
    struct slice line;

    while (slice_split(&rest, '\n', &line))
        if (line.n)
            json_array_append_new(steps, json_stringn((const char *)line.p, line.n));
    for (size_t i = 0; i < d->n_keys; i++)
        json_array_append_new(keys,
            json_pack("{ss sI}", "key", d->keys[i].text, "epoch", (json_int_t)d->keys[i].epoch));
    json_t *out = json_pack("{ss ss ss sI}", "decision", decision_kind_name(d->kind), "server",
        server_name(conf, decision_server(d)), "address",
        d->kind == DECIDE_DELIVER ? d->deliveries[0].address : "", "epoch",
        (json_int_t)decision_epoch(d));
    if (d->kind == DECIDE_DELIVER)
        json_object_set_new(out, "deliveries", deliveries_json(conf, d));
    if (d->n_skipped > 0)
        json_object_set_new(out, "passed_over", json_integer((json_int_t)d->n_skipped));
    if (d->kind != DECIDE_DELIVER)
        json_object_set_new(out, "reply", json_sprintf("%d %s %s", d->code, d->enhanced, d->text));
    json_object_set_new(out, "keys", keys);
    json_object_set_new(out, "steps", steps);
    return out;
}

/* Who leads to the user, as mapd tells it: {"follow", "followers"}; NULL: nobody. */
static json_t *ask_followers(const struct conf *conf, const struct decision *d)
{
    struct client *client = NULL;
    struct err err = ERR_INIT;
    json_t *reply = NULL, *out = NULL;

    if (d->n_keys == 0 || d->kind == DECIDE_NOT_OURS)
        return NULL;
    if (client_open(conf->run, FOLLOW_MS, &client, &err) != 0 ||
        client_get(client, d->keys[d->user].text, &reply, &err) != 0) {
        if (err.code != TOOL_DIFFERENT) /* no entry: nobody can follow it */
            fprintf(stderr, "maptool: which aliases and groups lead to %s is not known: %s\n",
                d->keys[d->user].text, err.text);
    } else if (json_object_get(reply, "follow")) {
        out = json_pack("{sO sO}", "follow", json_object_get(reply, "follow"), "followers",
            json_object_get(reply, "followers"));
    }
    json_decref(reply);
    client_close(&client);
    return out;
}

static void print_followers(const json_t *follow)
{
    const json_t *keys = json_object_get(follow, "followers"), *key;
    size_t i;

    if (!follow)
        return;
    printf("%-5s", "");
    tool_print_text(tool_text(follow, "follow"));
    json_array_foreach(keys, i, key)
    {
        fputs(i ? ", " : ": ", stdout);
        tool_print_text(json_string_value(key));
    }
    puts(json_array_size(keys) < CONTROL_FOLLOWERS_MAX ? "" : ", ...");
}

static int explain(struct tool *t, const struct decide_request *request, struct err *err)
{
    struct snapshot *snapshot = snapshot_new(t->conf->run);
    struct route_view view = snapshot_view(snapshot);
    struct arena *mem = arena_new(DECIDE_MEM_MAX);
    struct decision d;
    struct buf steps;

    buf_init(&steps, STEPS_MAX);
    decide(t->conf, &view, request, mem, &d, &steps);
    const char *trouble = snapshot_trouble(snapshot);
    if (trouble[0] && buf_addf(&steps, "the snapshot cannot be used: %s\n", trouble) != 0)
        buf_clear(&steps);
    json_t *follow = ask_followers(t->conf, &d);
    if (t->json) {
        json_t *out = decision_json(t->conf, &d, buf_slice(&steps));
        if (follow)
            json_object_update(out, follow);
        tool_print_json(out);
        json_decref(out);
    } else {
        print_steps(buf_slice(&steps));
        print_decision(t->conf, &d);
        print_followers(follow);
    }
    json_decref(follow);
    buf_fini(&steps);
    snapshot_free(&snapshot);
    arena_free(&mem);
    return tool_flush(err) == 0 ? exit_status(&d) : -1;
}

int cmd_explain(struct tool *t, struct err *err)
{
    struct decide_request request = {.now_s = clock_wall_s()};
    const char *from = NULL, *sender = NULL;

    if (tool_option(t, "--from", &from, err) != 0 ||
        tool_option(t, "--sender", &sender, err) != 0 || tool_words(t, 1, 1, err) != 0 ||
        parse_from(t->conf, from, &request.source_server, err) != 0 ||
        parse_sender(sender, &request, err) != 0)
        return -1;
    request.rcpt = slice_str(t->argv[0]);
    return explain(t, &request, err);
}
