/* SPDX-License-Identifier: ISC */
/*
 * consumer: the page of a process that asks the map for its decisions: which snapshot it uses, and
 * whom it has sent somewhere although the map has no entry for him.
 *
 *     struct consumer *c = consumer_new(run_dir, "relay");
 *     decide(...);
 *     consumer_used(c, snapshot_sequence(s), now_s);
 *     consumer_saw(c, &decision, known);           when mail goes by it, or would
 *
 * The page is a file of fixed size in RUN/consumers that the process writes and coexist-mapd reads
 * once a second.  Whom nobody has an entry for goes into a ring of CONSUMER_RING places: what comes
 * faster than mapd reads is counted and lost, so that no stranger's dictionary takes room or time.
 * Nothing here fails: without a page, or without mapd, mail goes as before and nothing is learnt.
 */
#ifndef MAPS_CONSUMER_H
#define MAPS_CONSUMER_H

#include "base/core/attr.h"
#include "base/core/err.h"
#include "maps/format/mail_log.h"
#include "maps/route.h"

#define CONSUMER_DIR "consumers"
#define CONSUMER_RING 512
#define CONSUMER_FILES_MAX 256 /* no page is made where there are as many */
#define CONSUMER_ID_MAX 64
#define CONSUMER_PROGRAM_MAX 16

struct consumer;

/* Call after fork. */
struct consumer *consumer_new(const char *run_dir, const char *program);
/* What mapd has not read stays for it. */
void consumer_free(struct consumer **c);
/* Both from any thread, and NULL is fine.  The map was asked: a comparison, and more once a second.
 */
void consumer_used(struct consumer *c, uint64_t sequence, int64_t now_s);
/* Notes for whom the decision knows no entry. known: what his server said to the address. */
void consumer_saw(struct consumer *c, const struct decision *d, enum mail_log_known known);

/* --- The reading side (consumer_scan.c) --------------------------------------------- */

struct consumer_info {
    char id[CONSUMER_ID_MAX];
    char program[CONSUMER_PROGRAM_MAX];
    bool is_alive;
    int64_t pid, started_s;
    int64_t used_s;    /* when it last asked the map; 0: not yet */
    uint64_t sequence; /* of the snapshot that it used then */
    uint64_t seen;     /* how many were noted since its start */
};

/* Calls fn for each page, of dead processes too. -1: the folder cannot be read; none: no page. */
int consumers_list(const char *run_dir, void (*fn)(void *arg, const struct consumer_info *info),
    void *arg, struct err *err) ATTR_WUR;
/* Those that were noted behind the first `from`: calls fn for each that is still there.  Returns
 * how many are lost; *to_out is what to give the next time. */
uint64_t consumer_read(const char *run_dir, const char *id, uint64_t from, uint64_t *to_out,
    void (*fn)(void *arg, struct slice key, int64_t when_ms, enum mail_log_known known), void *arg);
/* For the owner of the folder, mapd: takes away the page of a dead process, and makes the folder.
 */
void consumer_remove(const char *run_dir, const char *id);
int consumers_make_dir(const char *run_dir, struct err *err) ATTR_WUR;

#endif
