/* SPDX-License-Identifier: ISC */
/*
 * profile: see profile.h.
 *
 * Where the figures come from.  They are what others tell: none was measured, and all may change.
 *
 *   courier          its own imapd.dist: MAXPERIP=4, connections from one address
 *   exchange-online  4 commands a second: imapsync's preset for it (--office2, 4 messages a second;
 *                    "rule of thumb 3,600 messages an hour", FAQ.Office365), since Microsoft tells
 *                    no number for IMAP.  150 MB: "Exchange Online limits", message size, the most
 *                    that an administrator can allow
 *   gmail            2,500 MB down and 500 MB up in a day: "Gmail bandwidth limits" of Google
 *                    Workspace, for IMAP (answer 1071518).  50 MB: what it takes by SMTP.  Over
 * IMAP it tells an APPENDLIMIT of 34 MB, and the smaller one counts
 *
 * Dovecot's 10 connections are for each user (mail_max_userip_connections), who has one here, and
 * Cyrus has no limit that is not configured.  MB are millions of octets where the day is counted,
 * and 2^20 where one message is: whoever knows better refuses it.
 */
#include "imapsync/ends/profile.h"

#include <stddef.h>

#define MB UINT64_C(1000000)
#define MIB (UINT64_C(1) << 20)

const struct profile profile_generic = {.name = "generic"};

static const struct profile others[] = {
    {.name = "dovecot"},
    {.name = "cyrus"},
    {.name = "courier", .connections = 4, .invents_uidvalidity = true},
    {.name = "exchange-online", .commands = 4, .message_max = 150 * MIB},
    {.name = "gmail", .down_day = 2500 * MB, .up_day = 500 * MB, .message_max = 50 * MIB},
};
#define N_OTHERS (sizeof(others) / sizeof(others[0]))

const struct profile *profile_named(struct slice name)
{
    for (size_t i = 0; i < N_OTHERS; i++) {
        if (slice_eq_nocase(name, slice_str(others[i].name)))
            return &others[i];
    }
    return slice_eq_nocase(name, SLICE_LIT("generic")) ? &profile_generic : NULL;
}

/* --- Recognising ------------------------------------------------------------------------- */

/* The end of a host's name, or words of a greeting or of an answer to ID. */
static const struct sign {
    bool is_host;
    const char *text, *name;
} signs[] = {
    {true, ".gmail.com", "gmail"},
    {true, ".googlemail.com", "gmail"},
    {true, ".office365.com", "exchange-online"},
    {true, ".outlook.com", "exchange-online"},
    {false, "gimap", "gmail"},
    {false, "dovecot", "dovecot"},
    {false, "cyrus", "cyrus"},
    {false, "courier", "courier"},
};

static bool has(struct slice text, struct slice wanted)
{
    for (size_t at = 0; at + wanted.n <= text.n; at++) {
        if (slice_eq_nocase(slice_sub(text, at, wanted.n), wanted))
            return true;
    }
    return false;
}

static bool ends_with(struct slice text, struct slice wanted)
{
    return text.n >= wanted.n && slice_eq_nocase(slice_from(text, text.n - wanted.n), wanted);
}

const struct profile *profile_recognise(struct slice host, struct slice greeting, struct slice id)
{
    for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
        struct slice text = slice_str(signs[i].text);
        bool is_it =
            signs[i].is_host ? ends_with(host, text) : has(greeting, text) || has(id, text);
        if (is_it)
            return profile_named(slice_str(signs[i].name));
    }
    return &profile_generic;
}

/* --- Forecasts --------------------------------------------------------------------------- */

static uint64_t parts(uint64_t n, uint64_t size)
{
    return n / size + (n % size > 0);
}

/* Without the day: how long so much takes.  false: nobody knows. */
static bool at_once(const struct profile *p, const struct profile_work *w, uint64_t octets,
    struct profile_forecast *out)
{
    /* A message that is read has no command of its own. */
    uint64_t messages = w->is_up && p->commands > 0 ? parts(w->messages, p->commands) : 0;
    uint64_t speed = w->speed;
    *out = (struct profile_forecast){.bound = PROFILE_BOUND_SPEED};
    if (p->octets > 0 && (speed == 0 || p->octets < speed)) {
        speed = p->octets;
        out->bound = PROFILE_BOUND_RATE;
    }
    if (speed > 0)
        out->seconds = parts(octets, speed);
    if (messages > out->seconds) {
        out->seconds = messages;
        out->bound = PROFILE_BOUND_RATE;
    }
    return speed > 0 || messages > 0;
}

bool profile_forecast(
    const struct profile *p, const struct profile_work *w, struct profile_forecast *out)
{
    uint64_t day = w->is_up ? p->up_day : p->down_day;
    uint64_t left = day > w->used ? day - w->used : 0;
    bool is_known = at_once(p, w, w->octets, out);
    if (day == 0 || w->octets <= left)
        return is_known || w->octets == 0;
    /* So many days have to go by until the last portion may begin. */
    uint64_t rest = w->octets - left, days = parts(rest, day);
    struct profile_forecast last = {0};
    (void)at_once(p, &(struct profile_work){.speed = w->speed}, rest - (days - 1) * day, &last);
    if (days * PROFILE_DAY_S + last.seconds > out->seconds)
        *out = (struct profile_forecast){days * PROFILE_DAY_S + last.seconds, PROFILE_BOUND_DAY};
    return true;
}
