/* SPDX-License-Identifier: ISC */
/* service: `coexist-sync run`: cut-overs on request, sweeps and recovery by itself. */
#ifndef IMAPSYNC_MOVE_SERVICE_H
#define IMAPSYNC_MOVE_SERVICE_H

#include "base/core/attr.h"
#include "base/core/conf.h"
#include "base/core/err.h"

#define SERVICE_STOP_MS 60000 /* for users whose mail waits, at SIGTERM */

/* Until SIGTERM or SIGINT.  SIGHUP: conf_path is read again, for what begins from then on. */
int service_run_own(const char *conf_path, struct conf *conf, struct err *err) ATTR_WUR;

#endif
