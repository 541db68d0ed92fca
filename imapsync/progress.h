/* SPDX-License-Identifier: ISC */
/*
 * progress: what a person, or a program, sees of a copy.
 *
 *   on a terminal    a bar, whose line nothing else ever breaks (bar.h)
 *   elsewhere        a line of the log every ten seconds (copy_progress)
 *   --json-events    a JSON object in a line of standard output for each thing that happens
 *   at the end       a report for people, or the document of --json (summary.h)
 *
 * The bar and the log go to standard error, results to standard output, so that a script reads only
 * these.
 */
#ifndef IMAPSYNC_PROGRESS_H
#define IMAPSYNC_PROGRESS_H

#include "imapsync/copy/copy.h"
#include "imapsync/speed.h"
#include "imapsync/summary.h"

struct progress_options {
    bool is_json, is_events, is_dry;
    bool is_proof;               /* each folder that is compared is named, with what was found */
    const char *source, *target; /* as they were given; borrowed */
    /* How long a side takes at least for so much, in seconds; 0: nothing is known.  NULL: of none.
     */
    uint64_t (*bound_s)(void *arg, bool is_target, uint64_t octets, uint64_t messages);
    void *arg;
};

struct progress {
    struct progress_options options;
    bool has_bar;
    bool can_go_on; /* it has broken off, and the same command goes on from there */
    uint64_t start_ms, shown_ms;
    int64_t start_s;
    struct report report;
    struct summary summary;
    struct speed speed, looks; /* of what is copied, and of what is compared */
    struct buf folder;         /* the one that is copied now, on the wire */
    char *folder_text;         /* and for people; NULL: none yet */
};

void progress_init(struct progress *p, const struct progress_options *o);
void progress_fini(struct progress *p);
void progress_begin(const struct progress *p);   /* the first event */
extern const struct copy_events progress_events; /* arg: struct progress */
/* How many messages a folder has behind the copy: for copy_count(). */
void progress_count(void *arg, bool is_target, const struct folder *f);
/* The report, as text or JSON, on standard output.  err: why it broke off; NULL: it did not. */
void progress_summary(struct progress *p, const struct err *err);
/* Behind that, where it broke off: how to go on, on standard error. */
void progress_go_on(const struct progress *p, const char *program);

#endif
