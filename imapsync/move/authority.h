/* SPDX-License-Identifier: ISC */
/*
 * authority: the map as a cut-over needs it: maps/client.h with the patience of somebody who must
 * know.  A call whose reply was lost is repeated over a new connection with the same request id, so
 * that it happens once.  Three outcomes:
 *
 *   0                       done
 *   -1, *knows_out true     the map has refused it: err says why
 *   -1, *knows_out false    nobody answered in time: it may have happened or not
 */
#ifndef IMAPSYNC_MOVE_AUTHORITY_H
#define IMAPSYNC_MOVE_AUTHORITY_H

#include <stdbool.h>
#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/err.h"
#include "imapsync/move/record.h"
#include "maps/client.h"

#define AUTHORITY_CALL_MS 5000
#define AUTHORITY_PATIENCE_MS 10000 /* over all tries: more than a mapd needs to start again */
#define AUTHORITY_OWNER "coexist-sync"

struct authority {
    const char *run_dir; /* borrowed */
    bool is_patient;     /* a hold may depend on the answer */
    struct client *client;
};

/* What the map says about a user. */
struct authority_entry {
    bool is_there, is_mailbox, is_held;
    char route[MOVE_NAME_MAX], deliver_as[MOVE_NAME_MAX];
    char holder[MOVE_NAME_MAX];
    uint64_t epoch;
};

void authority_init(struct authority *a, const char *run_dir);
void authority_fini(struct authority *a);

/* An absent user is no error. */
int authority_get(struct authority *a, const char *user, struct authority_entry *out,
    bool *knows_out, struct err *err) ATTR_WUR;
/* What moves with the user, as members of a line: {"follow": "2 aliases follow", "followers":
 * [keys]}; NULL: nothing. */
int authority_follow(
    struct authority *a, const char *user, json_t **out, bool *knows_out, struct err *err) ATTR_WUR;
/* These five take names, ids, epoch and deadline from the record. */
int authority_hold(struct authority *a, const struct move_record *r, uint64_t *epoch_out,
    bool *knows_out, struct err *err) ATTR_WUR;
int authority_barrier(struct authority *a, const struct move_record *r, uint64_t timeout_ms,
    enum client_barrier *out, bool *knows_out, struct err *err) ATTR_WUR;
int authority_flip(struct authority *a, const struct move_record *r, uint64_t *epoch_out,
    json_t **follow_out, bool *knows_out, struct err *err) ATTR_WUR;
/* The id that a flip is asked for by. */
void authority_flip_id(const struct move_record *r, char out[CLIENT_REQUEST_ID_MAX]);
int authority_release(struct authority *a, const struct move_record *r, const char *why,
    bool *knows_out, struct err *err) ATTR_WUR;
int authority_retire(
    struct authority *a, const struct move_record *r, bool *knows_out, struct err *err) ATTR_WUR;

#endif
