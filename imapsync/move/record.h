/* SPDX-License-Identifier: ISC */
/*
 * record: what is known about one user's cut-over.  Whoever works on the user has it written down
 * before each step (move_events.save), so that a restart knows what may have been asked for.
 */
#ifndef IMAPSYNC_MOVE_RECORD_H
#define IMAPSYNC_MOVE_RECORD_H

#include <jansson.h>
#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/conf.h"
#include "base/core/err.h"
#include "imapsync/copy/report.h"
#include "imapsync/move/machine.h"

#define MOVE_NAME_MAX 512
#define MOVE_ID_MAX 40
#define REPORT_SHOWN_MAX 20 /* items of the report, in records and lines */

struct move_record {
    char user[MOVE_NAME_MAX];    /* the map's key */
    char mailbox[MOVE_NAME_MAX]; /* its name on both servers */
    char from[MOVE_NAME_MAX], to[MOVE_NAME_MAX];
    enum move_state state;
    int64_t since_ms, started_ms; /* wall clock: of the state, of the cut-over */
    char id[MOVE_ID_MAX];         /* of this attempt: all request ids derive from it */
    uint64_t hold_deadline_ms;    /* as asked for */
    uint64_t hold_epoch;          /* 0: not known */
    bool is_ambiguous;            /* the barrier could not say that old has all it will get */
    bool is_return;               /* the way back of a flip */
    uint64_t held_ms;             /* how long mail waited, measured around the hold */
    int64_t flipped_ms;           /* wall clock, 0: not yet */
    uint64_t copied, copied_octets, verified, late; /* messages */
    int64_t swept_ms;                               /* last sweep, wall clock */
    uint64_t sweeps;
    int64_t quiet_ms; /* since then sweeps have found nothing; 0: the last one did, or none was */
    int error_code;   /* sysexits; 0: none */
    char error[ERR_TEXT_MAX];
    struct report report; /* of this attempt and its sweeps */
};

struct move_dir {
    char *path; /* STATE/sync/ID */
    int lock_fd;
};

/* The folder of this user, made when missing, and its lock.  Busy: ERR_TEMP, EX_TEMPFAIL. */
int move_dir_open(
    const struct conf *conf, const char *user, struct move_dir *out, struct err *err) ATTR_WUR;
/* The same for a folder that is known by its path. */
int move_dir_lock(const char *path, struct move_dir *out, struct err *err) ATTR_WUR;
void move_dir_close(struct move_dir *d);

void move_record_fini(struct move_record *r);

/* For the store.  The buffer is emptied first; RECORD_PACKED_MAX is room for any. */
#define RECORD_PACKED_MAX (1u << 20)
void move_record_pack(struct buf *out, const struct move_record *r);
/* false unless the whole of it makes sense.  Without its report it is read much faster. */
bool move_record_unpack(struct slice s, bool with_report, struct move_record *out);

json_t *move_record_json(const struct move_record *r); /* for `status --json` and the worker */
int move_record_from_json(const json_t *json, struct move_record *out) ATTR_WUR;

#endif
