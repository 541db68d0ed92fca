/* SPDX-License-Identifier: ISC */
/* oauth_file: an access token from the token endpoint that a file names (oauth.h). */
#ifndef IMAPSYNC_ENDS_OAUTH_FILE_H
#define IMAPSYNC_ENDS_OAUTH_FILE_H

#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/err.h"

struct oauth_file {
    /* The newest refresh token, where the file could not be written; else NULL. */
    char *refresh_token;
};

/* Reads the file each time, since others may renew it too.  lasts_ms_out: from now on. */
int oauth_file_token(struct oauth_file *f, const char *path, struct buf *token_out,
    uint64_t *lasts_ms_out, struct err *err) ATTR_WUR;

#endif
