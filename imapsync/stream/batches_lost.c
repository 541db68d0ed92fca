/* SPDX-License-Identifier: ISC */
/*
 * batches_lost: connections that die, and what they may have died of.
 *
 * A source works through its reads in order, so it died of what it has not told of the oldest one;
 * a target of the oldest append that it has not answered.  Everything else that was on its way is
 * innocent.  Nobody will answer any more: what was sent stays open, and its intent in the journal
 * lets the next job find out what became of it.
 *
 * A message whose literal was broken off is on no target.
 */
#include <stdlib.h>

#include "imapsync/stream/batches_parts.h"

/* The message that was arriving is asked for again; true: there was one. */
static bool break_off(struct batches *b)
{
    struct append *a = b->open;
    if (!b->is_in_body)
        return false;
    b->is_in_body = false;
    a->window->states[a->at[--a->n]] = ITEM_ASKED;
    return true;
}

static size_t asked_of(const struct window *w, uint16_t *at)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n; i++) {
        if (w->states[i] == ITEM_ASKED)
            at[n++] = (uint16_t)i;
    }
    return n;
}

static void suspect_source(struct batches *b, const struct err *err)
{
    uint16_t at[BATCHES_WINDOW_MAX];
    for (struct window *w = b->windows; w; w = w->next) {
        size_t n = w->state == WINDOW_READING ? asked_of(w, at) : 0;
        if (n > 0) {
            w->is_unsent = true;
            batches_suspect(b, w, at, n, err);
            return;
        }
    }
}

static void suspect_target(struct batches *b, bool is_broken_off, const struct err *err)
{
    uint16_t at;
    struct append *a = b->appends;
    while (a && a->is_answered)
        a = a->next;
    if (!a)
        return;
    a->is_suspect = true;
    if (a == b->open && is_broken_off) {
        at = a->at[a->n]; /* where it stood before it was taken out */
        batches_suspect(b, a->window, &at, 1, err);
    }
}

static void lose_append(struct batches *b, struct append *a)
{
    a->is_open = false;
    if (!a->is_answered)
        a->since = b->folders[a->window->folder].since;
    else if (!a->is_unsettled && a->n > 0)
        batches_append_over(b, a); /* it was refused while it was open */
}

/* Oldest last, since each goes before all others. */
static void lose_windows(struct batches *b, struct window *w)
{
    uint16_t at[BATCHES_WINDOW_MAX];
    size_t n = 0;
    if (!w)
        return;
    lose_windows(b, w->next);
    if (w->state == WINDOW_READ)
        return;
    for (size_t i = 0; i < w->n; i++) {
        if (w->states[i] != ITEM_ASKED && w->states[i] != ITEM_LATER)
            continue;
        at[n++] = (uint16_t)i;
        w->states[i] = ITEM_DONE;
    }
    batches_come_again(b, w, at, n, w->is_plain);
    w->state = WINDOW_READ;
}

void batches_lost(struct batches *b, enum batches_side side, const struct err *err)
{
    bool is_broken_off = break_off(b);
    if (side == BATCHES_SOURCE)
        suspect_source(b, err);
    else if (side == BATCHES_TARGET)
        suspect_target(b, is_broken_off, err);
    b->is_settling = false;
    b->open = NULL;
    for (struct append *a = b->appends; a; a = a->next)
        lose_append(b, a);
    lose_windows(b, b->windows);
    batches_stop(b, err);
    for (struct append *a = b->appends, *after; a; a = after) {
        after = a->next;
        if (a->is_suspect)
            batches_leave_suspects(b, a->window, a->at, a->n);
        batches_leave_open(b, a, b->err.text);
    }
}
