/* SPDX-License-Identifier: ISC */
/* tend: what the daemon does for a user whom nobody has asked for. */
#ifndef IMAPSYNC_MOVE_TEND_H
#define IMAPSYNC_MOVE_TEND_H

#include "imapsync/move/job.h"

/* Finds out what became of an interrupted cut-over, and looks for late arrivals of
 * one that has flipped. dir: the user's folder.  Nothing happens while somebody else works on it or
 * when the last sweep is younger than sync.sweep_interval. */
int tend_user(const struct conf *conf, const char *dir, const struct move_events *events, void *arg,
    struct err *err) ATTR_WUR;

#endif
