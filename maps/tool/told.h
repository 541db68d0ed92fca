/* SPDX-License-Identifier: ISC */
/* told: what an import has to say about the lines of its file, on standard error. */
#ifndef MAPS_TOOL_TOLD_H
#define MAPS_TOOL_TOLD_H

#include <stdbool.h>
#include <stddef.h>
#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/err.h"

#define TOLD_LINES_MAX 20 /* wrong lines, behind which nobody reads on; notes of one import */

struct told {
    const char *file;
    size_t n_bad, n_notes;
    bool is_over;
    struct buf bad; /* a line each, without the file's name */
};

void told_init(struct told *t, const char *file);
void told_fini(struct told *t);
/* -1, with all of them told: there are TOLD_LINES_MAX. */
int told_bad(struct told *t, size_t line, const char *what, struct err *err) ATTR_WUR;
/* Printed at once; 0: of no line. */
void told_note(struct told *t, size_t line, const char *what);
/* The notes are over; others may follow. */
void told_flush(struct told *t);
/* When nothing more will come: 0, or -1 when lines were wrong.  One is the text of the error; of
 * several each is printed, and the error says how many they are.  With rc = -1 err is what ended
 * the reading before its time. */
int told_end(struct told *t, int rc, struct err *err) ATTR_WUR;

#endif
