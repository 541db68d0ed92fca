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

#define CLAIMS_DIR "claims"
#define CLAIMS_SLOTS 4096 /* per process */
/* Of these, at most so many are ever AMBIGUOUS, so that a server that loses answer after answer
 * leaves room for the mail of the others: what is left holds the largest message.  When more users
 * have lost answers, the oldest of these claims are put together into crowds: one claim for every
 * key of a share of all hashes, older than the oldest of them.  Barriers for keys of that share are
 * then ambiguous, which is true and costs only that the sweeps look again. */
#define CLAIMS_AMBIGUOUS_MAX 1024
#define CLAIMS_CROWDS 64
/* How long a claim without an answer is remembered.  A server may work on a message for ten minutes
 * before it answers the dot (RFC 5321 4.5.3.2.6), and so may store it that long after we lost the
 * connection; a hold that begins later finds the message in the mailbox, or it will never come. */
#define CLAIMS_AMBIGUOUS_MS (15ull * 60 * 1000)

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

/* Creates RUN/claims/<id> and locks it for life; call after fork, one per thread.  A child that is
 * forked later and does not exec would keep the file alive.  While there is no RUN/claims, which
 * mapd makes in RUN, claims_begin() says FULL. */
int claims_open(const char *run_dir, struct claims **out, struct err *err) ATTR_WUR;
/* The file goes too, unless a claim in it must be remembered. */
void claims_close(struct claims **c);
/* Claims every key that the decisions consulted, then reads the keys again.  All decisions must be
 * DECIDE_DELIVER.  Only CLAIMS_GO leaves claims in *out. */
enum claims_verdict claims_begin(struct claims *c, struct snapshot *s,
    const struct decision *decisions, size_t n, struct claims_set *out) ATTR_WUR;
/* Ends the claims of a set; an empty or ended set is fine. */
void claims_end(struct claims *c, struct claims_set *set, enum claims_outcome outcome);

/* --- mapd's side --------------------------------------------------------------- */

enum claims_scan_verdict {
    CLAIMS_CLEAR,         /* nothing decided before the epoch can still be stored */
    CLAIMS_BUSY,          /* a living process has such a claim COMMITTING: scan again */
    CLAIMS_WAS_AMBIGUOUS, /* nobody waits for an answer, but a message may still be stored */
};

/* Claims for the key that are older than `epoch` count: their decision saw a smaller one. */
struct claims_question {
    uint64_t key_hash, epoch;
    enum claims_scan_verdict verdict; /* the answer */
};

/* Answers n questions by one pass over the directory; open claims of dead processes count as
 * ambiguous.  Call it after the epochs were published; with no question at all it only sweeps.
 * Removes files of dead processes when nothing in them matters any more. Only reads claims, but the
 * directory has to be ours: only mapd calls it.  -1 only for errors: then nothing is known.
 *
 * Everybody who may make claims may also put other things into the directory, and no file of
 * another user's can be removed, renamed or opened by him (sticky directory, mode 0640 with his own
 * group). What is no file is removed and tells nothing; a file that we may not read keeps a barrier
 * busy: the flip is late, never wrong. */
int claims_scan(
    const char *run_dir, struct claims_question *questions, size_t n, struct err *err) ATTR_WUR;
/* What a process holds. */
struct claims_info {
    int64_t pid; /* 0: it is dead */
    size_t committing, ambiguous;
    uint64_t oldest_s;
};
int claims_list(const char *run_dir, void (*fn)(void *arg, const struct claims_info *info),
    void *arg, struct err *err) ATTR_WUR;
/* Makes RUN/claims when it is missing, and sets its mode: writable for the group of RUN, sticky.
 * mapd's start does it (through snapshot_writer_open), so that a missing directory later is an
 * error and not an empty one. */
int claims_make_dir(const char *run_dir, struct err *err) ATTR_WUR;
/* The same for another folder of RUN into which programs put files of their own. */
int claims_make_dir_for(const char *run_dir, const char *name, struct err *err) ATTR_WUR;
/* A reboot takes the claims away with the file system they were on.  mapd calls this when the
 * machine was started anew (maps/mapd/reboot.h): scans are at best ambiguous for
 * CLAIMS_AMBIGUOUS_MS. */
int claims_note_reboot(const char *run_dir, struct err *err) ATTR_WUR;

#endif
