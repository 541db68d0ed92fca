/* SPDX-License-Identifier: ISC */
/* state_dir: where the journal of a pair lives. */
#ifndef IMAPSYNC_JOURNAL_STATE_DIR_H
#define IMAPSYNC_JOURNAL_STATE_DIR_H

#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/err.h"

/* BASE/<id of the two names>; base NULL: $XDG_STATE_HOME/coexist/sync or
 * ~/.local/state/coexist/sync.  Makes every folder on the way but the last. */
int state_dir(const char *base, const char *source, const char *target, struct buf *out,
    struct err *err) ATTR_WUR;
/* BASE/<id of what and the name>.WHAT: a file beside them. */
int state_file(const char *base, const char *what, const char *name, struct buf *out,
    struct err *err) ATTR_WUR;

#endif
