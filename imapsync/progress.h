/* SPDX-License-Identifier: ISC */
/*
 * progress: what a person sees of a copy: a bar on a terminal, a line now and then elsewhere,
 * exceptions as they come, counts at the end.
 */
#ifndef IMAPSYNC_PROGRESS_H
#define IMAPSYNC_PROGRESS_H

#include "imapsync/copy/copy.h"

struct progress {
    bool is_terminal, is_json, is_quiet;
    uint64_t start_ms, shown_ms;
    struct report report;
};

void progress_init(struct progress *p, bool is_json);
void progress_fini(struct progress *p);
extern const struct copy_events progress_events; /* arg: struct progress */
/* The report, as text or JSON, on standard output. */
void progress_summary(struct progress *p);

#endif
