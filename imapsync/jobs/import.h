/* SPDX-License-Identifier: ISC */
/* import: records of before there was a store: STATE/sync/ID/cutover.json, taken over once. */
#ifndef IMAPSYNC_JOBS_IMPORT_H
#define IMAPSYNC_JOBS_IMPORT_H

#include "imapsync/jobs/users.h"

/* All in one transaction; then each file is set aside as cutover.json.imported.  One that makes no
 * sense is logged and stays where it is. */
int import_records(struct users *s, const char *base, struct err *err) ATTR_WUR;

#endif
