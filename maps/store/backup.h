/* SPDX-License-Identifier: ISC */
/*
 * backup: sets that hold what a host needs to route again: the map, the configuration and the keys.
 *
 *     DIR/YYYYMMDDTHHMMSSZ-GENERATION/
 *         map.jsonl.gz     {"format": "coexist-map", "version": 3, "made"}, then {"key", "record"}
 *                          in the order of keys, then those that changed while that was read, with
 *                          {"source", "record"} for each source of imports behind both (of the
 *                          same one the last counts), then {"generation", "rows"}; version 2, which
 *                          is read too, had no sources, and version 1 was map.jsonl, not packed
 *         coexist.conf     the configuration file
 *         trace.key        the key file of the relay, milter.key that of the milter, if it has one
 *         SHA256SUMS       for `sha256sum -c`; written last: a set without it is none
 *
 * A set is written aside, read back, and only then renamed, so there is never half of one, and none
 * that could not be restored.  Both mapd and maptool make
 * them, through the requests of maps/store/control.h.
 */
#ifndef MAPS_STORE_BACKUP_H
#define MAPS_STORE_BACKUP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/conf.h"
#include "base/core/err.h"

#define BACKUP_DIR "backup" /* in STATE, unless mapd { backup_dir } says another */
#define BACKUP_NAME_MAX 64
#define BACKUP_MAP "map.jsonl.gz"
#define BACKUP_MAP_PLAIN "map.jsonl" /* of version 1 */
#define BACKUP_SUMS "SHA256SUMS"
#define BACKUP_VERSION 3 /* that is written; all up to it are read */

/* As backend_call_own(). */
struct backup_map {
    int (*call_own)(void *arg, json_t *request, json_t **reply, struct err *err);
    void *arg;
};

struct backup_set {
    char name[BACKUP_NAME_MAX];
    uint64_t generation;
    int64_t made_s;
    uint64_t bytes; /* of all its files */
};

int backup_dir(const struct conf *conf, struct buf *out, struct err *err) ATTR_WUR;
/* Makes a set.  A key file that this process may not read is left out, with a line in the log. */
int backup_write(const struct conf *conf, const struct backup_map *map, int64_t now_s,
    struct backup_set *out, struct err *err) ATTR_WUR;
/* All sets, oldest first; the caller frees.  No directory: none.  What has no SHA256SUMS is none.
 */
int backup_list(
    const struct conf *conf, struct backup_set **out, size_t *n_out, struct err *err) ATTR_WUR;
/* Removes sets older than mapd { backup_keep }, but never the last one, and what is left of those
 * whose writing was cut off a day ago. */
int backup_prune(const struct conf *conf, int64_t now_s, struct err *err) ATTR_WUR;
/* Compares every file of the set with SHA256SUMS. */
int backup_verify(const char *set_path, struct err *err) ATTR_WUR;
/* Reads the map of a set: fn gets its rows, as many at a time as fit a request. 0 with the
 * generation of the set. */
int backup_read(const char *set_path, int (*fn)(void *arg, json_t *rows_own, struct err *err),
    void *arg, uint64_t *generation_out, struct err *err) ATTR_WUR;
/* The same of the bytes of such a file. */
int backup_read_bytes(struct slice bytes, bool is_packed,
    int (*fn)(void *arg, json_t *rows_own, struct err *err), void *arg, uint64_t *generation_out,
    struct err *err) ATTR_WUR;
/* A whole set that can be restored, at this generation?  Reads all of it. */
int backup_check(const char *set_path, uint64_t *generation_out, struct err *err) ATTR_WUR;

struct backup_end {
    uint64_t generation, rows;
};
/* One line of the map: 1: a row; 2: the end; 0: the head; -1. */
int backup_line(
    struct slice line, json_t **row_out, struct backup_end *end_out, struct err *err) ATTR_WUR;

#endif
