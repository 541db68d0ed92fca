/* SPDX-License-Identifier: ISC */
/*
 * progress: what a person sees of a copy: a bar on a terminal, a line now and then elsewhere,
 * exceptions as they come, counts at the end.
 */
#ifndef IMAPSYNC_PROGRESS_H
#define IMAPSYNC_PROGRESS_H

#include <jansson.h>
#include "imapsync/copy/copy.h"

#define PROGRESS_EXCEPTIONS_MAX 1000 /* listed in JSON; all are counted and logged */

struct progress {
    bool is_terminal, is_json, is_quiet;
    uint64_t start_ms, shown_ms;
    json_t *exceptions;
    size_t n_exceptions;
};

void progress_init(struct progress *p, bool is_json);
void progress_fini(struct progress *p);
extern const struct copy_events progress_events; /* arg: struct progress */
/* The counts, as text or JSON, on standard output.  verdict may be NULL. */
void progress_summary(
    struct progress *p, const struct copy_counts *n, const struct copy_verdict *verdict);
/* The counts alone, for other reports. */
json_t *progress_counts_json(const struct copy_counts *n);

#endif
