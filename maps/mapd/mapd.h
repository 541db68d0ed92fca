/* SPDX-License-Identifier: ISC */
/* mapd: start, run and stop of the routing authority; main.c only reads the command line. */
#ifndef MAPS_MAPD_MAPD_H
#define MAPS_MAPD_MAPD_H

#include "base/core/attr.h"
#include "base/core/conf.h"
#include "base/core/err.h"

/* Somebody else may have the store for a moment (a maptool without a mapd). */
#define MAPD_LOCK_WAIT_MS 10000

/* Runs until SIGTERM or SIGINT. Takes over conf, which came from conf_path. */
int mapd_run_own(const char *conf_path, struct conf *conf, struct err *err) ATTR_WUR;

#endif
