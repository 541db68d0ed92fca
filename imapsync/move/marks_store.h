/* SPDX-License-Identifier: ISC */
/*
 * marks_store: the marks of one user on the disk, STATE/sync/marks/ID: beside the folders that hold
 * journals, not in them, so that neither is lost with the other.  Replaced as a whole and durably;
 * only who has the user's lock writes it.
 */
#ifndef IMAPSYNC_MOVE_MARKS_STORE_H
#define IMAPSYNC_MOVE_MARKS_STORE_H

#include "base/core/err.h"
#include "imapsync/move/marks.h"

/* user_dir: STATE/sync/ID.  *found_out false: there are none, or they are damaged, which is logged;
 * *out is empty then. */
int marks_load(const char *user_dir, struct marks *out, bool *found_out, struct err *err) ATTR_WUR;
int marks_save(const char *user_dir, struct marks *m, struct err *err) ATTR_WUR;

#endif
