/* SPDX-License-Identifier: ISC */
/*
 * job: one user's cut-over while somebody works on it: lock, record, both mailboxes, the map.  The
 * works of the machine's states are functions of a job (works.c, sweep.c).
 */
#ifndef IMAPSYNC_MOVE_JOB_H
#define IMAPSYNC_MOVE_JOB_H

#include <jansson.h>
#include "imapsync/copy/copy.h"
#include "imapsync/ends/imap_account.h"
#include "imapsync/move/authority.h"
#include "imapsync/move/known.h"
#include "imapsync/move/record.h"

struct move_events {
    /* What has just happened: {user, state, text, ms, ...}; borrowed.  `ms` counts from the start
     * of the command. */
    void (*line)(void *arg, const json_t *line);
    /* Somebody wants this user to stay on old, and will go on wanting it. May be NULL. */
    bool (*wants_back)(void *arg);
    /* Readable from then on, so that no server keeps him waiting for it; -1: none. May be NULL. */
    int (*cancel_fd)(void *arg);
    /* The user's record: MOVE_NONE in *out when there is none; and written down, durably. */
    int (*load)(void *arg, const char *user, struct move_record *out, struct err *err);
    int (*save)(void *arg, const struct move_record *r, struct err *err);
    /* How long to wait for whoever has the user's lock, a sweep for example. */
    uint64_t lock_wait_ms;
    /* This server did not answer at all. May be NULL. */
    void (*silent)(void *arg, const char *server);
};

struct move_job {
    const struct conf *conf;
    const struct move_events *events;
    void *arg;
    struct move_dir dir;
    struct move_record r;
    struct authority map;
    struct imap_account source, target;
    char *state;         /* STATE/sync */
    struct buf acl_text; /* of sync.acl_file */
    struct imap_own source_admin, target_admin;
    struct copy *copy;
    struct known known;
    struct wait_limits limits;                  /* of every wait for a mailbox */
    uint64_t start_ms, hold_start_ms, shown_ms; /* monotonic */
    bool is_comparing;
    unsigned delete_percent;   /* as struct copy_options */
    uint32_t accept;           /* the same */
    char *told;                /* the last of move_job_tell() */
    struct copy_counts before; /* what the record's report had when this command began */
};

/* Takes the user's lock and reads the record. */
int move_job_open(struct move_job *j, const struct conf *conf, const char *user,
    const struct move_events *events, void *arg, struct err *err) ATTR_WUR;
void move_job_close(struct move_job *j);

/* The record, durable, with the state that follows.  -1: the job is in the state that it was in. */
int move_job_advance(struct move_job *j, enum move_event event, struct err *err) ATTR_WUR;
/* The same without the record, for what the map has said and a restart would ask it again. */
void move_job_step(struct move_job *j, enum move_event event);
int move_job_save(struct move_job *j, struct err *err) ATTR_WUR;
/* Opens both sides and the journal unless they are. */
int move_job_connect(struct move_job *j, struct err *err) ATTR_WUR;
extern const struct copy_events move_job_events; /* of the job's copy, which has it as arg */
void move_job_close_ends(struct move_job *j);    /* forgets both, not the copy */
/* What was opened for one way is closed, so that the next time opens it for the record's. */
void move_job_turn(struct move_job *j);
/* One pass that adds to the record's report; *new_out: messages that came.  What weighs as a loss
 * makes it fail, behind the whole pass. */
int move_job_pass(
    struct move_job *j, enum plan_policy_id policy, uint64_t *new_out, struct err *err) ATTR_WUR;
/* A comparison that fails when the mailboxes differ.  may_miss: what is missing may have come since
 * the last pass, and is only told in *out. */
int move_job_compare(
    struct move_job *j, bool may_miss, struct copy_verdict *out, struct err *err) ATTR_WUR;
/* After the flip the target is its user's: no more than what is missing there. */
int move_job_count_missing(struct move_job *j, uint64_t *out, struct err *err) ATTR_WUR;
/* The report of this attempt so far, as the member "report" of a line; with a member more. */
json_t *move_job_report(const struct move_job *j, const char *name, uint64_t value);
/* What has to be told besides, such as lost keywords: as a line, when there is anything. */
void move_job_tell(struct move_job *j);
bool move_job_wants_back(const struct move_job *j);
int move_job_stopped(struct err *err); /* -1 with the error of one that somebody wanted back */
/* For the record, which is not written yet; NULL: none. */
void move_job_set_error(struct move_job *j, const struct err *err);
uint64_t move_job_held_ms(const struct move_job *j);       /* since the hold was asked for */
json_t *move_job_number(const char *name, uint64_t value); /* {name: value}, a member of a line */
/* extra: more members, taken over; NULL: none. */
void move_job_say_own(struct move_job *j, json_t *extra, const char *fmt, ...) ATTR_PRINTF(3, 4);

#endif
