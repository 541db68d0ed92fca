/* SPDX-License-Identifier: ISC */
/*
 * claims: how a delivering process tells mapd what it is about to commit (design section 2).
 *
 * Before any final dot the process claims every key that its decisions consulted, then reads those
 * keys again.  Both sides are sequentially consistent: mapd stores the epoch and loads claims, the
 * consumer stores the claim and loads the epoch, so at least one of them sees the other.
 *
 *     if (claims_begin(claims, snapshot, decisions, n, &set) != CLAIMS_GO)
 *         no dot: the message is not finished here
 *     send the dot ... answer
 *     claims_end(claims, &set, CLAIMS_ANSWERED or CLAIMS_AMBIGUOUS);
 */
#ifndef MAPS_CLAIMS_H
#define MAPS_CLAIMS_H

#include "base/core/attr.h"
#include "base/core/err.h"
#include "maps/route.h"
#include "maps/snapshot.h"

#define CLAIMS_SLOTS 4096 /* per process */

struct claims;

struct claims_set {
    uint32_t *slots; /* owned; freed by claims_end */
    size_t n;
};

enum claims_verdict {
    CLAIMS_GO,      /* claimed, and every key still has the epoch that the decision saw */
    CLAIMS_CHANGED, /* a key changed or its state is unknown: no dot, 451 */
    CLAIMS_FULL,    /* no free claim: no dot, 451 */
};
enum claims_outcome {
    CLAIMS_ANSWERED,  /* the target's answer to the dot was read, or no dot was sent */
    CLAIMS_AMBIGUOUS, /* the dot may have been sent and no answer came */
};

/* Creates RUN/claims/<id> and locks it for life; call after fork. */
int claims_open(const char *run_dir, struct claims **out, struct err *err) ATTR_WUR;
void claims_close(struct claims **c);
enum claims_verdict claims_begin(struct claims *c, struct snapshot *s,
    const struct decision *decisions, size_t n, struct claims_set *out);
void claims_end(struct claims *c, struct claims_set *set, enum claims_outcome outcome);

/* --- mapd's side --------------------------------------------------------------- */

enum claims_scan_verdict { CLAIMS_CLEAR, CLAIMS_BUSY, CLAIMS_WAS_AMBIGUOUS };
/* One pass over the directory for one key: BUSY while a living process has a claim COMMITTING for
 * it that is older than `epoch`.  Dead processes' open claims count as ambiguous. -1 only for
 * errors. */
int claims_scan(const char *run_dir, uint64_t key_hash, uint64_t epoch,
    enum claims_scan_verdict *out, struct err *err) ATTR_WUR;

#endif
