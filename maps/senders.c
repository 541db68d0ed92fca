/* SPDX-License-Identifier: ISC */
/* senders: see senders.h. */
#include "maps/senders.h"

static bool is_in_list(struct slice list, struct slice key)
{
    struct slice part, domain = slice_from(key, normalise_local(key).n);
    while (route_list_next(&list, &part))
        if (slice_eq(part, key) || slice_eq(part, domain))
            return true;
    return false;
}

/* The sender as the lists of the map have addresses. */
static bool is_listed(const struct conf *conf, struct slice sender, struct slice list)
{
    struct buf key;
    buf_init(&key, ROUTE_KEY_MAX);
    bool is =
        sender.n > 0 && normalise_key(conf, sender, &key) == 0 && is_in_list(list, buf_slice(&key));
    buf_fini(&key);
    return is;
}

bool senders_may(
    const struct conf *conf, const struct route_entry *entry, const struct decide_request *req)
{
    struct slice who = entry->senders;
    if (who.n == 0 || !req->has_sender)
        return true;
    if (slice_eq(who, SLICE_LIT("inside")))
        return req->source_server != CONF_SERVER_NONE;
    return is_listed(conf, req->sender, slice_eq(who, SLICE_LIT("members")) ? entry->targets : who);
}

const char *senders_name(const struct route_entry *entry)
{
    return slice_find(entry->senders, '@') >= 0            ? "some"
           : slice_eq(entry->senders, SLICE_LIT("inside")) ? "those inside"
                                                           : "members";
}
