/* SPDX-License-Identifier: ISC */
/* control_follow: who follows a user, asked of the index of targets. */
#include "maps/store/control_priv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include "base/core/mem.h"

/* --- Who follows ------------------------------------------------------------------------------ */

/* Groups are counted by the server that expands them. */
struct followers {
    struct control_call *call;
    struct buf bytes;
    size_t aliases, here;
    size_t *groups; /* by server */
    json_t *names;
};

static int count_one(void *arg, struct slice key, struct err *err)
{
    struct followers *f = arg;
    struct route_entry e;
    if (store_get(f->call->c->store, f->call->txn, key, &f->bytes, &e, err) != 0)
        return -1;
    if (e.is_tombstone)
        return 0;
    int server = conf_server_index(f->call->c->conf, e.route);
    if (e.kind != ROUTE_KIND_GROUP)
        f->aliases++;
    else if (server == CONF_SERVER_NONE)
        f->here++;
    else
        f->groups[server]++;
    if (json_array_size(f->names) < CONTROL_FOLLOWERS_MAX)
        json_array_append_new(f->names, json_stringn((const char *)key.p, key.n));
    return 0;
}

static int add_count(struct buf *out, size_t n, const char *one, const char *many)
{
    if (n == 0)
        return 0;
    return buf_addf(out, "%s%zu %s", out->n ? "; " : "", n, n == 1 ? one : many);
}

static int describe(const struct followers *f, struct buf *out)
{
    const struct conf *conf = f->call->c->conf;
    char one[128], many[128];
    int rc = add_count(out, f->aliases, "alias follows", "aliases follow");
    for (size_t i = 0; i < conf->n_servers && rc == 0; i++)
        rc = fmt_into(one, sizeof one, "group on %.60s has this member", conf->servers[i].name) ||
             fmt_into(
                 many, sizeof many, "groups on %.60s have this member", conf->servers[i].name) ||
             add_count(out, f->groups[i], one, many);
    if (rc == 0)
        rc = add_count(out, f->here, "group that is expanded here follows",
            "groups that are expanded here follow");
    return rc;
}

int control_tell_followers(struct control_call *call, struct slice key)
{
    struct followers f = {.call = call, .names = json_array()};
    struct buf text;

    buf_init(&f.bytes, 2 * ROUTE_RECORD_MAX);
    buf_init(&text, ROUTE_NOTE_MAX);
    f.groups = mem_zalloc((call->c->conf->n_servers + 1) * sizeof *f.groups);
    int rc = store_followers(call->c->store, call->txn, key, count_one, &f, call->err);
    if (rc == 0 && json_array_size(f.names) > 0 && describe(&f, &text) == 0) {
        control_set(call->reply, "follow", buf_slice(&text));
        json_object_set(call->reply, "followers", f.names);
    }
    json_decref(f.names);
    free(f.groups);
    buf_fini(&text);
    buf_fini(&f.bytes);
    return rc;
}
