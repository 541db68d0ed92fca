/* SPDX-License-Identifier: ISC */
/* consumer_file: the format of RUN/consumers/<id>; only consumer.c and consumer_scan.c include it.
 * A file is locked (flock) as long as its process lives. */
#ifndef MAPS_CONSUMER_FILE_H
#define MAPS_CONSUMER_FILE_H

#include <stdatomic.h>
#include "maps/boot.h"
#include "maps/consumer.h"

#define CONSUMER_VERSION 1
#define CONSUMER_NEW_PREFIX ".new."

/* One of whom the map has no entry.  number is 0 while the others are written. */
struct consumer_record {
    _Atomic uint64_t number; /* from 1 on, the place in the ring is number - 1 modulo its size */
    int64_t when_ms;
    uint32_t known;
    uint32_t key_n;
    unsigned char key[ROUTE_KEY_MAX];
};

struct consumer_head {
    char magic[8];
    uint64_t version;
    char boot[BOOT_ID_SIZE];
    char program[CONSUMER_PROGRAM_MAX];
    int64_t pid, started_s;
    _Alignas(64) _Atomic int64_t used_s;
    _Atomic uint64_t sequence, seen;
};

struct consumer_file {
    struct consumer_head head;
    struct consumer_record ring[CONSUMER_RING];
};

extern const char consumer_magic[8];

#endif
