/* SPDX-License-Identifier: ISC */
/*
 * conn_pace: how a connection keeps to what its server, and the day, have for it: places, sign-ins,
 * commands, octets.  What waits for us is not late, whoever's turn it is.
 */
#include <sysexits.h>

#include "base/core/clock.h"
#include "imapsync/imap/conn_parts.h"

#define QUEUE_MAX_MS                                                                               \
    (10 * 60 * 1000) /* for a place among the connections; longer is for the next run */

uint64_t imap_conn_enter(struct imap_conn *c)
{
    struct imap_server *server = c->place->server;
    uint64_t ms = server ? imap_server_enter(server, imap_conn_now_ms(c)) : 0;
    c->has_entered = server && ms == 0;
    return ms;
}

bool imap_conn_has_queued_enough(const struct imap_conn *c)
{
    return imap_conn_now_ms(c) - c->queued_ms >= QUEUE_MAX_MS;
}

void imap_conn_exit(struct imap_conn *c)
{
    if (c->has_entered)
        imap_server_leave(c->place->server);
    c->has_entered = false;
    if (c->place->day)
        imap_day_save(c->place->day, clock_wall_s());
}

void imap_conn_allow(struct imap_conn *c)
{
    uint64_t allowed = imap_client_allowed(c->client);
    if (c->place->server && (allowed == 0 || allowed > IMAP_COMMANDS_STEP))
        imap_client_allow(c->client, imap_server_commands(c->place->server, imap_conn_now_ms(c)));
}

uint64_t imap_conn_room(const struct imap_conn *c)
{
    return c->place->server ? imap_server_room(c->place->server, imap_conn_now_ms(c)) : UINT64_MAX;
}

void imap_conn_moved(struct imap_conn *c, enum day_way way, size_t n)
{
    if (c->place->server)
        imap_server_moved(c->place->server, n);
    if (c->place->day)
        imap_day_moved(c->place->day, clock_wall_s(), way, n);
}

int imap_conn_check_day(struct imap_conn *c, struct err *err)
{
    if (!c->place->day || imap_day_check(c->place->day, clock_wall_s(), err) == 0)
        return 0;
    return imap_conn_break(c, IMAP_BROKEN_LIMIT, err);
}

bool imap_conn_is_paced(const struct imap_conn *c)
{
    return c->state == CONN_QUEUING || (c->state >= CONN_SIGNING_IN && imap_conn_room(c) == 0);
}

uint64_t imap_conn_pace_ms(const struct imap_conn *c, uint64_t now_ms)
{
    struct imap_server *server = c->place->server;
    if (c->state == CONN_QUEUING)
        return c->retry_ms > now_ms ? c->retry_ms - now_ms : 0;
    if (!server || c->state < CONN_SIGNING_IN)
        return UINT64_MAX;
    uint64_t octets = imap_server_room_ms(server, now_ms), commands = UINT64_MAX;
    if (c->state == CONN_READY && imap_client_allowed(c->client) == 0)
        commands = imap_server_commands_ms(server, now_ms);
    octets = octets > 0 ? octets : UINT64_MAX;
    return octets < commands ? octets : commands;
}
