/* SPDX-License-Identifier: ISC */
/*
 * publish: brings what the store holds into the snapshot that everybody reads.  Used by the owner
 * of the store alone: staged in the transaction, before the commit, because space and all else that
 * can go wrong has to be found out while the change can still be taken back; visible after the
 * commit and before anybody is told that it succeeded.
 *
 * What has changed comes from the change log alone, a commit's own changes too: from the generation
 * that is published to the one that shall be.  So whoever has a snapshot and the log, and did not
 * make the changes, follows by the same code (publish_next()).
 */
#ifndef MAPS_STORE_PUBLISH_H
#define MAPS_STORE_PUBLISH_H

#include "base/core/attr.h"
#include "base/core/err.h"
#include "maps/store/stage.h"
#include "maps/store/store.h"

struct publish;

/* Takes the snapshot's lock; look-ups stay as they are. */
int publish_open(
    const char *run_dir, struct store *store, struct publish **out, struct err *err) ATTR_WUR;
void publish_close(struct publish **p); /* the snapshot stays as it is */
/* As snapshot_writer_check(). */
int publish_check(const struct publish *p, struct err *err) ATTR_WUR;
/* Makes look-ups answer "unknown state" until something is published: before a change that nobody
 * would publish if its maker died. */
void publish_invalidate(struct publish *p);
/* Stages what the log has behind the published generation, the changes of the transaction included;
 * or the whole map: the first time (txn may be NULL then), when that is more than fits in place, or
 * when the log does not reach back so far. */
int publish_stage(struct publish *p, struct store_txn *txn, struct err *err) ATTR_WUR;
void publish_staged(struct publish *p);  /* after the commit: visible when it returns */
void publish_discard(struct publish *p); /* the transaction has failed */
/* The snapshot that shows a staged import with this base, in many steps of at most max entries,
 * each in a transaction of its own; others may change the map between them.  *ready_out: if this
 * very transaction switches the import, publish_stage() has it. */
int publish_prepare(struct publish *p, struct store_txn *txn, const struct store_stage *stage,
    uint64_t base, const struct store_cause *cause, size_t max, bool *ready_out,
    struct err *err) ATTR_WUR;
/* Makes the next generation of the log visible, and nothing behind it.  1: done; 0: there is none;
 * -1, EX_DATAERR: the log does not reach back to what is published, and publish_stage() has to
 * publish the whole map. */
int publish_next(struct publish *p, struct err *err) ATTR_WUR;

#endif
