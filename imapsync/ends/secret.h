/* SPDX-License-Identifier: ISC */
/* secret: passwords and tokens from where they may be: a file, a command, the terminal; never argv.
 */
#ifndef IMAPSYNC_ENDS_SECRET_H
#define IMAPSYNC_ENDS_SECRET_H

#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/err.h"

#define SECRET_MAX 4096

/* All give the first line without its end.  The caller wipes out. */
int secret_from_file(const char *path, struct buf *out, struct err *err) ATTR_WUR;
/* What the command prints, run by the shell without our standard input. */
int secret_from_command(const char *command, struct buf *out, struct err *err) ATTR_WUR;
/* What the program argv[0] prints within the time, run without a shell. */
int secret_from_argv(
    char *const *argv, unsigned timeout_ms, struct buf *out, struct err *err) ATTR_WUR;
/* Asks on the controlling terminal, without echo. */
int secret_from_terminal(
    const char *label, const char *url, struct buf *out, struct err *err) ATTR_WUR;

#endif
