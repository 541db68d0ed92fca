/* SPDX-License-Identifier: ISC */
/*
 * claims_file: the format of RUN/claims/<id>, one file per delivering process.  Only claims.c and
 * claims_scan.c include it, and their tests.
 *
 *     <id>                the file of a process; locked (flock) as long as it lives
 *     dead.<ms>.<id>      its process was found dead at that time (monotonic clock)
 *     .new.<id>           being created, not locked yet
 */
#ifndef MAPS_CLAIMS_FILE_H
#define MAPS_CLAIMS_FILE_H

#include <stdatomic.h>
#include "maps/boot.h"
#include "maps/claims.h"

#define CLAIMS_VERSION 2
#define CLAIMS_DEAD_PREFIX "dead."
#define CLAIMS_NEW_PREFIX ".new."
#define CLAIMS_ID_MAX 64

enum claim_state { CLAIM_FREE, CLAIM_COMMITTING, CLAIM_AMBIGUOUS };

/* A cache line, so that two claims never share one.  The words but `state` are written only while
 * state is FREE (time_ms also just before AMBIGUOUS); those of a crowd at any time, but its epoch
 * only falls and its time only rises while it is AMBIGUOUS. */
struct claim {
    _Alignas(64) _Atomic uint64_t state;
    _Atomic uint64_t key_hash;
    _Atomic uint64_t epoch;   /* that the decision saw for this key */
    _Atomic uint64_t time_ms; /* monotonic: of the last change of state */
};

struct claims_head {
    char magic[8];
    uint64_t version, n_slots;
    char boot[BOOT_ID_SIZE];
    /* Slots from here on are free; stored before the first claim beyond it, and falls only while
     * there is no claim at all. */
    _Alignas(64) _Atomic uint64_t used;
};

/* The crowds come last in a scan: a claim is put into one before its slot is free, so whoever finds
 * the slot free finds the crowd filled. */
struct claims_file {
    struct claims_head head;
    struct claim slots[CLAIMS_SLOTS];
    struct claim
        crowds[CLAIMS_CROWDS]; /* FREE or AMBIGUOUS; crowd i: hashes with claims_crowd() i */
};

/* Which crowd a key belongs to. */
static inline uint32_t claims_crowd(uint64_t key_hash)
{
    return (uint32_t)(key_hash >> 32) % CLAIMS_CROWDS;
}

extern const char claims_magic[8];

#endif
