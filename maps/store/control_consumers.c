/* SPDX-License-Identifier: ISC */
/* control_consumers: the programs that ask the map, as a part of the reply to `status`. */
#include "maps/store/control_priv.h"

#include "maps/claims.h"
#include "maps/consumer.h"

struct consumers {
    const struct control_call *call;
    json_t *list;
};

static uint64_t age_s(const struct consumers *c, int64_t when_s)
{
    int64_t now_s = c->call->c->now_ms / 1000;
    return when_s > 0 && now_s > when_s ? (uint64_t)(now_s - when_s) : 0;
}

static void on_consumer(void *arg, const struct consumer_info *info)
{
    struct consumers *c = arg;
    json_t *one;

    if (!info->is_alive)
        return;
    one = json_object();
    control_set(one, "program", slice_str(info->program));
    control_set_u64(one, "pid", (uint64_t)info->pid);
    control_set_u64(one, "uptime_s", age_s(c, info->started_s));
    control_set_u64(one, "sequence", info->sequence);
    json_object_set_new(one, "used_s",
        info->used_s ? json_integer((json_int_t)age_s(c, info->used_s)) : json_null());
    control_set_u64(one, "committing", 0);
    control_set_u64(one, "ambiguous", 0);
    control_set_u64(one, "oldest_s", 0);
    json_array_append_new(c->list, one);
}

/* Claims of a process that is gone count with those that have no page. */
static void on_claims(void *arg, const struct claims_info *info)
{
    struct consumers *c = arg;
    json_t *one = NULL, *each;
    size_t i;

    json_array_foreach(c->list, i, each)
    {
        if (json_integer_value(json_object_get(each, "pid")) == info->pid)
            one = each;
    }
    if (!one && info->committing + info->ambiguous == 0)
        return;
    if (!one) {
        one = json_object();
        control_set(one, "program", SLICE_LIT("?"));
        control_set_u64(one, "pid", (uint64_t)info->pid);
        json_array_append_new(c->list, one);
    }
    control_set_u64(one, "committing", info->committing);
    control_set_u64(one, "ambiguous", info->ambiguous);
    control_set_u64(one, "oldest_s", info->oldest_s);
}

void control_add_consumers(const struct control_call *call)
{
    struct consumers c = {.call = call, .list = json_array()};
    struct err ignored = ERR_INIT;

    /* Who may not look says nothing: the list is then what could be seen. */
    (void)(consumers_list(call->c->conf->run, on_consumer, &c, &ignored) == 0 &&
           claims_list(call->c->conf->run, on_claims, &c, &ignored) == 0);
    json_object_set_new(call->reply, "consumers", c.list);
}
