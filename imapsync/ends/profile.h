/* SPDX-License-Identifier: ISC */
/*
 * profile: what kinds of servers are known to bear: how many connections, how fast, how much in a
 * day, how large a message; and how long it will take by that.  A table and pure functions.
 */
#ifndef IMAPSYNC_ENDS_PROFILE_H
#define IMAPSYNC_ENDS_PROFILE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/core/slice.h"

/* 0: it has no such limit, or none that is known. */
struct profile {
    const char *name;
    uint32_t connections;       /* from one address, for all users */
    uint32_t signins, commands; /* a second */
    uint64_t octets;            /* a second */
    uint64_t down_day, up_day;  /* octets of one mailbox in 24 hours */
    uint64_t message_max;       /* octets */
    /* A folder that nobody has opened for writing has another UIDVALIDITY in each second. */
    bool invents_uidvalidity;
};

extern const struct profile profile_generic;
const struct profile *profile_named(struct slice name); /* NULL: there is none of that name */
/* By the name of its host, its greeting and its answer to ID, any of them empty; generic where none
 * of them tells. */
const struct profile *profile_recognise(struct slice host, struct slice greeting, struct slice id);

/* --- Forecasts -------------------------------------------------------------------------- */

struct profile_work {
    uint64_t octets, messages; /* that are still to be moved */
    uint64_t speed;            /* octets a second so far; 0: nobody knows yet */
    uint64_t used;             /* of the day's octets */
    bool is_up;                /* to this server; else from it */
};

enum profile_bound {
    PROFILE_BOUND_SPEED, /* the line, and the machines on both sides */
    PROFILE_BOUND_RATE,  /* octets or commands a second that the server bears */
    PROFILE_BOUND_DAY,   /* octets a day */
};

struct profile_forecast {
    uint64_t seconds; /* until all has been moved */
    enum profile_bound bound;
};

#define PROFILE_DAY_S 86400

/* false: there is nothing to tell it by. */
bool profile_forecast(
    const struct profile *p, const struct profile_work *w, struct profile_forecast *out);

#endif
