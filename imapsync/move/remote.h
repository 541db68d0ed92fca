/* SPDX-License-Identifier: ISC */
/*
 * remote: asking `coexist-sync run` over its socket (access_sync_socket).  Frames as in
 * maps/client_frame.h.
 *
 *   request   {"op": "cutover" | "rollback" | "retire", "user" or "users": [USER, ...], "to",
 *             "delete_percent", "accept": [CODE, ...] (these three optional)} or
 *             {"op": "status", "brief"}
 *   replies   {"line": {...}} any number of times, then {"end": {"status", "text"}}; status is the
 *             exit status, text an error or empty.  Of several users a line with "status" says how
 *             each has ended; the lines of a status are {"users": [...]}.
 */
#ifndef IMAPSYNC_MOVE_REMOTE_H
#define IMAPSYNC_MOVE_REMOTE_H

#include <jansson.h>
#include "base/core/attr.h"
#include "base/core/conf.h"
#include "base/core/err.h"

/* Does what `request` says, in the daemon.  0 with the status; 1: there is no daemon; -1: it could
 * not be asked, or it went away meanwhile. */
int remote_call(const struct conf *conf, const json_t *request,
    void (*line)(void *arg, const json_t *line), void *arg, int *status_out,
    struct err *err) ATTR_WUR;

#endif
