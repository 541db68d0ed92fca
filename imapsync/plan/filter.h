/* SPDX-License-Identifier: ISC */
/*
 * filter: which messages are copied, by their date, size and flags.  A pure function of what the
 * source tells of a message.
 *
 *     struct filter f;
 *     filter_make(&(struct filter_words){.before = "2026-11-01"}, now_s, &f, &err);
 *     if (!filter_takes(&f, &listed, &keywords)) ... it is left out ...
 *
 * It decides nothing but that: what it leaves out is not copied, and is told (E-FILTERED); what has
 * been copied goes on being followed, whatever it is like by then.
 *
 * Where the source does not tell what would decide, the message is taken.
 */
#ifndef IMAPSYNC_PLAN_FILTER_H
#define IMAPSYNC_PLAN_FILTER_H

#include <stdbool.h>
#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/err.h"
#include "imapsync/plan/folder_rules.h"
#include "imapsync/ends/changes.h"

#define FILTER_FLAGS_MAX 16 /* of each list */

/* As somebody has said it; all borrowed, NULL or empty: not said. */
struct filter_words {
    const char *since, *before;        /* "2026-11-01", or "30d": so many days ago */
    const char *min_size, *max_size;   /* "10M" */
    struct folder_words with_flags;    /* each of them */
    struct folder_words without_flags; /* none of them */
};

struct filter {
    bool has_since, has_before;
    int64_t since, before;       /* days since 1970; before: the first that is left out */
    uint64_t min_size, max_size; /* octets, both included; max 0: none */
    const char *with[FILTER_FLAGS_MAX], *without[FILTER_FLAGS_MAX]; /* borrowed */
    size_t n_with, n_without;
};

int filter_make(
    const struct filter_words *words, int64_t now_s, struct filter *out, struct err *err) ATTR_WUR;
/* A zeroed one is. */
bool filter_is_empty(const struct filter *f);
/* Of enum end_want: what has to be known of a message besides its flags and its date. */
unsigned filter_wants(const struct filter *f);
bool filter_takes(const struct filter *f, const struct listed *m, const struct keywords *keywords);
/* For people: "before 2026-11-01, of at most 10485760 octets"; nothing when it is empty. */
int filter_text(const struct filter *f, struct buf *out) ATTR_WUR;

#endif
