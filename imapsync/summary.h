/* SPDX-License-Identifier: ISC */
/*
 * summary: what a run of `copy` has done, folder by folder, or, dry, would do; and its two shapes:
 * a table for people, and the document of --json.
 *
 *     summary_folder(&s, &folder);  summary_message(&s, &message);       as they are told
 *     summary_text(&s, &frame, &sink);
 *     json_t *doc = summary_json(&s, &frame);  summary_put(&s, doc, false, &sink);
 *
 * There may be very many folders: one in which nothing was done takes some dozens of octets besides
 * its name, and neither shape is ever in memory as a whole.
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

/* What was done in a folder; sums of all passes where they are sums. */
struct summary_done {
    uint64_t copied, octets, adopted, filtered, failed, flags, moved, deleted, kept, withheld;
};

/* Of all its messages, by side (the source first), before and behind the run; -1: not told. */
struct summary_octets {
    int64_t before[2], after[2];
};

struct summary_folder {
    char *source, *target;          /* owned, clean; target NULL: it is not copied */
    char *wire, *target_wire;       /* as they are listed; what is the same text is the same one */
    const char *left_out;           /* borrowed; NULL: it is copied */
    struct summary_done *done;      /* owned; NULL: nothing was */
    struct summary_octets *octets;  /* owned; NULL: none were told */
    struct copy_compared *compared; /* owned, without its names and UIDs; NULL: it was not */
    uint32_t messages, messages_there, source_after, target_after;
    uint32_t items;
    unsigned char origin; /* of enum folder_origin */
    bool is_made : 1, is_lost : 1, has_failed : 1, has_source_after : 1, has_target_after : 1;
};

struct summary_message {
    char *folder; /* owned, clean */
    struct copy_message m;
};

struct summary {
    struct summary_folder *v;
    size_t n;
    uint32_t *slots[2]; /* owned; hash tables of the names of each side: a place in v, plus one */
    size_t n_slots;
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
/* As it was told, without its names. */
struct copy_folder summary_numbers(const struct summary_folder *f);
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

/* Where the shapes go, piece by piece. */
struct summary_sink {
    void (*put)(void *arg, struct slice text);
    void *arg;
};

void summary_text(
    struct summary *s, const struct summary_frame *frame, const struct summary_sink *sink);
/* The document; the folders are not in it yet: "by_folder" is empty, and summary_put() fills it
 * while it writes.  is_line: in one line, else for people too, with a line for each folder. */
json_t *summary_json(struct summary *s, const struct summary_frame *frame);
void summary_put(
    const struct summary *s, const json_t *doc, bool is_line, const struct summary_sink *sink);
json_t *summary_folder_json(const struct summary_folder *f);

#endif
