/* SPDX-License-Identifier: ISC */
/*
 * summary: what a run of `copy` has done, folder by folder, or, dry, would do; and its two shapes:
 * a table for people, and the document of --json.
 *
 *     summary_folder(&s, &folder);  summary_message(&s, &message);       as they are told
 *     summary_text(&s, &frame, &out);
 *     json_t *doc = summary_json(&s, &frame);
 *
 * Each message of a folder is counted once: it was copied, or is one of failed, filtered, withheld,
 * or else was there already (skipped).
 */
#ifndef IMAPSYNC_SUMMARY_H
#define IMAPSYNC_SUMMARY_H

#include <jansson.h>
#include "base/core/buf.h"
#include "imapsync/copy/copy.h"

#define SUMMARY_BIGGEST 10

struct summary_folder {
    char *source, *target; /* owned, clean; target NULL: it is not copied */
    struct copy_folder f;  /* without its names; sums of all passes where they are sums */
    uint32_t source_after, target_after;
    bool has_source_after, has_target_after;
    int64_t octets_after, octets_there_after; /* -1: not told */
    uint32_t items;
    bool is_compared;
    struct copy_compared compared; /* without its names and UIDs */
};

struct summary_message {
    char *folder; /* owned, clean */
    struct copy_message m;
};

struct summary {
    struct folder_list names, targets; /* on the wire; in the order of v */
    struct summary_folder *v;
    size_t n;
    struct summary_message biggest[SUMMARY_BIGGEST]; /* the biggest first */
    size_t n_biggest;
    struct {
        char *from, *to;
    } * renamed; /* owned, clean */
    size_t n_renamed;
};

/* What else there is to be told of a run. */
struct summary_frame {
    const struct report *report;
    int64_t started_s, ended_s;
    double seconds;
    bool is_dry;
    /* What source and target bear at the fastest takes so long; 0: nothing is known of it. */
    uint64_t bound_s[2];
    size_t width; /* columns; 0: however many it takes */
};

void summary_init(struct summary *s);
void summary_fini(struct summary *s);
/* With what was told of it before; NULL: there are too many.  Borrowed until the next one. */
const struct summary_folder *summary_folder(struct summary *s, const struct copy_folder *f);
void summary_message(struct summary *s, const struct copy_message *m);
void summary_renamed(struct summary *s, struct slice from, struct slice to);
/* What a folder has now; name on the wire; octets -1: not told. */
void summary_count(
    struct summary *s, bool is_target, struct slice name, uint32_t messages, int64_t octets);
/* What a comparison has found. */
void summary_compared(struct summary *s, const struct copy_compared *f);
/* Gives each folder the number of its items. */
void summary_items(struct summary *s, const struct report *r);
/* Which of its messages were there already. */
uint64_t summary_skipped(const struct copy_folder *f);

void summary_text(struct summary *s, const struct summary_frame *frame, struct buf *out);
json_t *summary_json(struct summary *s, const struct summary_frame *frame);
json_t *summary_folder_json(const struct summary_folder *f);

#endif
