/* SPDX-License-Identifier: ISC */
/*
 * cutover: one user from one server to another, step by step, each journaled before it is taken;
 * may be called again after anything.
 *
 * err->code of a failure is the exit status: EX_TEMPFAIL when trying again may help (the user was
 * released), EX_NOPERM for credentials, EX_CANTCREAT for a folder, EX_DATAERR for a message that
 * the target refuses or that differs, EX_NOUSER, EX_CONFIG, EX_UNAVAILABLE.
 */
#ifndef IMAPSYNC_MOVE_CUTOVER_H
#define IMAPSYNC_MOVE_CUTOVER_H

#include "imapsync/move/job.h"

#define CUTOVER_SMALL 25     /* so few new messages are little enough for a hold */
#define CUTOVER_SMALL_MS 500 /* and so is a pass that takes no longer */

/* `to`: server's name, NULL: the other one of two.  0: done.  SYNC_EXIT_EXCEPTIONS: flipped, and
 * a sweep has to look again (err says so when one failed).  -1: not flipped, the user is on old,
 * except where err says that nobody could be asked. */
int cutover_run(const struct conf *conf, const char *address, const char *to,
    const struct move_events *events, void *arg, struct err *err) ATTR_WUR;
/* Ends a cut-over that has not flipped: the user stays on old. */
int cutover_back(const struct conf *conf, const char *address, const struct move_events *events,
    void *arg, struct err *err) ATTR_WUR;
/* For the daemon: finds out what became of an interrupted cut-over, and looks for late arrivals of
 * one that has flipped. dir: the user's folder.  Nothing happens while somebody else works on it or
 * when the last sweep is younger than sync.sweep_interval. */
int cutover_tend(const struct conf *conf, const char *dir, const struct move_events *events,
    void *arg, struct err *err) ATTR_WUR;

#endif
