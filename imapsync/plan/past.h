/* SPDX-License-Identifier: ISC */
/*
 * past: behind a flip, what there was on the source before.  Who has flipped tells it, and learns
 * of each pair by a struct journal_watch; what follows from it the plan decides (plan_late.c).
 */
#ifndef IMAPSYNC_PLAN_PAST_H
#define IMAPSYNC_PLAN_PAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/core/err.h"
#include "base/core/slice.h"
#include "base/os/hmac.h"

/* A folder under one UIDVALIDITY. */
struct past_folder {
    uint32_t mark;        /* the highest UID that was listed when it was verified; 0: none */
    const uint32_t *owed; /* ascending: below it, and not copied then nor since */
    size_t n_owed;
    /* Whether one above the mark has had a pair since.  NULL: none has. */
    bool (*is_known)(const void *known, uint32_t uid);
    const void *known;
};

/* 0, or -1 with the pass's error. */
struct past {
    /* A pass begins.  is_complete: the journal knows all that has been copied. */
    int (*begin)(void *arg, bool is_complete, struct err *err);
    /* From now on pairs of the journal's folder `id` are about this one of the source, whose
     * highest UID is `highest`.  is_restored: it gives UIDs a second time, and what was known by
     * UID is void.  Before any is put, and before anything is asked. */
    int (*look)(void *arg, uint32_t id, struct slice folder, uint32_t uidvalidity, uint32_t highest,
        bool is_restored, struct err *err);
    /* Borrowed until the next pair is put. */
    void (*folder)(void *arg, struct slice folder, uint32_t uidvalidity, struct past_folder *out);
    /* Whether anybody knows which contents there were. */
    bool (*knows)(void *arg);
    /* How many messages of this content there ever were, of which the pass meets `now` in places
     * that are not known. */
    int (*ever)(void *arg, const unsigned char digest[SHA256_SIZE], size_t now, size_t *ever_out,
        struct err *err);
    void *arg;
};

#endif
