/* SPDX-License-Identifier: ISC */
/*
 * moved: where cut-overs have brought users, so that a restore of the map can ask:
 * STATE/sync/moved. coexist-sync appends a line before it asks the map for a flip, and when it has
 * learnt better; the last line of a user holds.  Nobody needs a daemon, a database or a lock to
 * read it:
 *
 *   2026-11-28T17:30:00Z<TAB>ann@example.org<TAB>new<TAB>flip-3fa9...<TAB>91c2e5d0a7b34f68
 *
 * time, key of the map, server, request of the flip, and a hash of all that, by which a line that
 * was torn or is none is known.
 */
#ifndef MAPS_MOVED_H
#define MAPS_MOVED_H

#include <stdbool.h>
#include <stddef.h>
#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/err.h"
#include "base/core/slice.h"

#define MOVED_NOBODY "-"
#define MOVED_RESTORE "restore" /* owner of the holds of users of whom a restore is not sure */
#define MOVED_LINE_MAX 1024
#define MOVED_FILE_MAX ((size_t)1 << 30)

struct moved {
    struct slice user;
    struct slice server; /* MOVED_NOBODY: the cut-over says nothing of this user any more */
    struct slice by;     /* what moved_by is to say; MOVED_NOBODY: the route is no cut-over's */
};

/* A line with its end; appends.  when: as clock_format_utc() has it.  -1: a part is empty, too long
 * or holds a control character. */
int moved_line(const struct moved *m, struct slice when, struct buf *out) ATTR_WUR;
/* Without its end.  false: it makes no sense. */
bool moved_parse(struct slice line, struct moved *out);

/* --- The file (moved_file.c) -------------------------------------------------------------------
 */

/* Durable when it returns 0. */
int moved_note(const char *state, const struct moved *m, struct err *err) ATTR_WUR;
struct moved_bad {
    size_t n, first; /* lines that make no sense, and the number of the first one */
};
/* All lines, oldest first; no file: none.  Stops when `each` fails. */
int moved_read(const char *state, int (*each)(void *arg, const struct moved *m, struct err *err),
    void *arg, struct moved_bad *bad_out, struct err *err) ATTR_WUR;

#endif
