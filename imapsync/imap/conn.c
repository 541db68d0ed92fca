/* SPDX-License-Identifier: ISC */
/*
 * conn: what a connection is made of, what it tells, how it breaks and ends.
 *
 * What it does by and by is in conn_steps.c, how long it waits for that in conn_wait.c.
 *
 * Errors: a connection that ends is temporary (run again, the journal knows where), a server that
 * breaks the protocol is ERR_PEER; either way the connection is broken and only good for closing.
 */
#include <stdlib.h>
#include <sysexits.h>

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "imapsync/imap/conn_parts.h"

const struct tls *imap_conn_tls(const struct imap_conn *c)
{
    return c->wire.tls;
}

struct imap_client *imap_conn_client(struct imap_conn *c)
{
    return c->client;
}

bool imap_conn_is_ready(const struct imap_conn *c)
{
    return c->state == CONN_READY && c->broken == IMAP_BROKEN_NOT;
}

uint64_t imap_conn_n_odd(const struct imap_conn *c)
{
    return c->n_odd;
}

enum imap_broken imap_conn_broken(const struct imap_conn *c)
{
    return c->broken;
}

bool imap_conn_is_broken(const struct imap_conn *c)
{
    return c->broken != IMAP_BROKEN_NOT;
}

void imap_conn_pause(struct imap_conn *c, bool on)
{
    c->is_paused = on;
}
uint64_t imap_conn_now_ms(const struct imap_conn *c)
{
    return c->place->now_ms ? c->place->now_ms() : clock_mono_ms();
}

/* --- Events --------------------------------------------------------------------- */

static void on_untagged(void *arg, const struct imap_response *r)
{
    struct imap_conn *c = arg;
    c->untagged++;
    if (imap_client_awaits(c->client, r->kind))
        patience_progress(&c->patience);
    if (c->events && c->events->untagged)
        c->events->untagged(c->arg, r);
}

static void on_body_begin(void *arg, uint32_t uid, uint64_t size)
{
    struct imap_conn *c = arg;
    if (c->events && c->events->body_begin)
        c->events->body_begin(c->arg, uid, size);
}

static void on_body_data(void *arg, struct slice octets)
{
    struct imap_conn *c = arg;
    if (imap_client_awaits(c->client, IMAP_KIND_FETCH))
        patience_octets(&c->patience, octets.n);
    if (c->events && c->events->body_data)
        c->events->body_data(c->arg, octets);
}

static void on_body_end(void *arg)
{
    struct imap_conn *c = arg;
    if (c->events && c->events->body_end)
        c->events->body_end(c->arg);
}

static void on_odd(void *arg, const struct imap_response *r, bool is_kept, struct slice line)
{
    struct imap_conn *c = arg;
    c->n_odd++;
    c->untagged += !is_kept;
    if (!(c->odd_kinds & 1u << r->kind))
        log_warn("imap_line_odd", log_str("server", c->place->label),
            log_str("host", c->place->host), log_str("user", c->place->user),
            log_str("kind", imap_kind_name(r->kind)), log_str("kept", is_kept ? "in part" : "no"),
            log_slice("line", slice_sub(line, 0, IMAP_ODD_SHOWN)));
    c->odd_kinds |= 1u << r->kind;
    if (c->events && c->events->odd)
        c->events->odd(c->arg, r, is_kept, line);
}

static const struct imap_events own_events = {
    .untagged = on_untagged,
    .body_begin = on_body_begin,
    .body_data = on_body_data,
    .body_end = on_body_end,
    .odd = on_odd,
};

void imap_conn_events(struct imap_conn *c, const struct imap_events *events, void *arg)
{
    c->events = events;
    c->arg = arg;
}
/* --- Ends ------------------------------------------------------------------------- */

/* The server has ended it, or says nothing more, where it was asked something that need not be. */
static void note_death(struct imap_conn *c)
{
    const struct imap_place *p = c->place;
    const struct slice command = imap_client_oldest(c->client);
    c->has_avoided = p->avoided && imap_avoid(p->avoided, command);
    if (c->has_avoided)
        log_warn("imap_command_avoided", log_str("server", p->label), log_str("host", p->host),
            log_slice("command", command));
}

bool imap_conn_has_avoided(const struct imap_conn *c)
{
    return c->has_avoided;
}

int imap_conn_break(struct imap_conn *c, enum imap_broken why, const struct err *err)
{
    if (c->broken == IMAP_BROKEN_NOT && (why == IMAP_BROKEN_LOST || why == IMAP_BROKEN_SILENT))
        note_death(c);
    c->broken = why;
    c->why = *err;
    /* Which machine it was is of interest unless it has spoken for itself. */
    if (why == IMAP_BROKEN_REFUSED)
        err_wrap(&c->why, "%s", c->place->label);
    else
        err_wrap(&c->why, "%s (%s)", c->place->label, c->place->host);
    imap_client_cancel(c->client);
    return -1;
}
void imap_conn_abandon(struct imap_conn *c)
{
    struct err err = ERR_INIT;
    if (imap_conn_is_broken(c))
        return;
    err_set(&err, ERR_TEMP, EX_TEMPFAIL, "the connection was given up");
    imap_conn_break(c, IMAP_BROKEN_ABANDONED, &err);
}
/* --- Opening and closing ---------------------------------------------------------- */

static struct imap_conn *new_conn(const struct imap_place *place, const struct wait_limits *limits)
{
    struct imap_conn *c = mem_zalloc(sizeof(*c));
    c->place = place;
    c->limits = limits;
    imap_wire_init(&c->wire);
    c->client = imap_client_new();
    if (place->avoided)
        imap_client_do_without(c->client, place->avoided->caps);
    imap_client_events(c->client, &own_events, c);
    c->signin = imap_signin_new(c->client, place);
    return c;
}

struct imap_conn *imap_conn_start(const struct imap_place *place, const struct wait_limits *limits)
{
    struct imap_conn *c = new_conn(place, limits);
    struct err why = ERR_INIT;
    if (imap_conn_check_day(c, &why) == 0)
        imap_conn_look_up(c);
    return c;
}

struct imap_conn *imap_conn_adopt(
    const struct imap_place *place, const struct wait_limits *limits, int fd_own)
{
    struct imap_conn *c = new_conn(place, limits);
    c->wire.fd = fd_own;
    imap_conn_begin_session(c);
    return c;
}

void imap_conn_leave(struct imap_conn *c)
{
    if (!imap_conn_is_ready(c) || !imap_client_has_room(c->client))
        return;
    c->is_leaving = true;
    imap_cmd_begin(c->client, imap_outcome_set, &c->farewell);
    imap_cmd_text(c->client, "LOGOUT");
    imap_cmd_end(c->client);
}

bool imap_conn_has_left(const struct imap_conn *c)
{
    return !c->is_leaving || c->farewell.is_done;
}

void imap_conn_close(struct imap_conn **c)
{
    if (!*c)
        return;
    bool is_polite = (*c)->farewell.is_done && !imap_conn_is_broken(*c);
    imap_client_cancel((*c)->client);
    errand_free(&(*c)->fetching);
    imap_signin_free(&(*c)->signin);
    imap_wire_close(&(*c)->wire, is_polite);
    imap_client_free(&(*c)->client);
    imap_compress_free(&(*c)->compress);
    imap_conn_exit(*c);
    free(*c);
    *c = NULL;
}
