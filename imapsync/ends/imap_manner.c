/* SPDX-License-Identifier: ISC */
/* imap_manner: see imap_manner.h. */
#include "imapsync/ends/imap_manner.h"

static uint32_t said(uint32_t given, uint32_t by_profile)
{
    return given > 0 ? given : by_profile;
}

static uint64_t said_octets(uint64_t given, uint64_t by_profile)
{
    return given > 0 ? given : by_profile;
}

struct profile imap_manner_profile(const struct imap_manner *m, const struct profile *p)
{
    return (struct profile){.name = p->name,
        .connections = said(m->rates.connections, p->connections),
        .signins = said(m->rates.signins, p->signins),
        .commands = said(m->rates.commands, p->commands),
        .octets = said_octets(m->rates.octets, p->octets),
        .down_day = said_octets(m->day, p->down_day),
        .up_day = said_octets(m->day, p->up_day),
        .message_max = p->message_max};
}

void imap_manner_apply(
    const struct imap_manner *m, const struct profile *p, const struct imap_place *place)
{
    const struct profile both = imap_manner_profile(m, p);
    const struct imap_rates rates = {both.connections, both.signins, both.commands, both.octets};
    const uint64_t day[DAY_WAYS] = {[DAY_DOWN] = both.down_day, [DAY_UP] = both.up_day};
    if (place->server)
        imap_server_set(place->server, &rates);
    if (place->day)
        imap_day_set(place->day, day);
}
