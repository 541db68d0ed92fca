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

/* What whoever asks for a cut-over may say besides the user. */
struct cutover_wish {
    /* Server's name.  NULL: as in the last attempt, and at the first one the server that stands
     * below the user's in the configuration, if there is just one. */
    const char *to;
    bool has_delete_percent;
    unsigned delete_percent; /* as struct copy_options */
    uint32_t accept;         /* the same */
};

/* 0: done.  REPORT_EXIT_EXCEPTIONS: flipped,
 * and a sweep has to look again, or somebody at what err says.  -1: not flipped, the user is on
 * old, except where err says that nobody could be asked. */
int cutover_run(const struct conf *conf, const char *address, const struct cutover_wish *wish,
    const struct move_events *events, void *arg, struct err *err) ATTR_WUR;
/* Ends a cut-over that has not flipped: the user stays on old. */
int cutover_back(const struct conf *conf, const char *address, const struct move_events *events,
    void *arg, struct err *err) ATTR_WUR;
/* Behind the flip: old is looked at once more, and when nothing has come there for a while the
 * sweeps end, and so does the way back: the map's entry is anybody's again.  Deletes nothing.  -1
 * with ERR_TEMP: not yet. */
int cutover_retire(const struct conf *conf, const char *address, const struct move_events *events,
    void *arg, struct err *err) ATTR_WUR;
/* From where the job is to the end, to a sweep that has to come again (*is_settled_out false), or
 * to an error. */
int cutover_go_on(struct move_job *j, bool *is_settled_out, struct err *err) ATTR_WUR;

#endif
