/* SPDX-License-Identifier: ISC */
/*
 * history: what happens in one run: how the servers are, and who does what and when.  It follows
 * from a seed; shrinking (shrink.c) takes actions and quirks out of it, and what is left runs just
 * the same each time.
 */
#ifndef TESTS_SIM_HISTORY_H
#define TESTS_SIM_HISTORY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "tests/sim/ledger.h"

#define ACTIONS_MAX 64

enum act {
    ACT_DELIVER,  /* new mail on the source */
    ACT_AGAIN,    /* the same content once more */
    ACT_FLAG,     /* a user of the source changes a flag */
    ACT_DELETE,   /* a user of the source removes a message */
    ACT_MOVE,     /* a user of the source moves one */
    ACT_COPY,     /* and copies one */
    ACT_MAKE,     /* a folder on the source */
    ACT_RENAME,   /* of a folder on the source */
    ACT_RENUMBER, /* a folder of the source has a new UIDVALIDITY */
    ACT_DROP,     /* a folder on the source is removed */
    ACT_TGT_ADD,  /* the same on the target */
    ACT_TGT_FLAG,
    ACT_TGT_DELETE,
    ACT_TGT_MOVE,
    ACT_TGT_RENUMBER,
    ACT_TGT_DROP,
    ACT_TGT_RENAME,
    ACT_CUT_SOURCE,
    ACT_CUT_TARGET,
    ACT_KILL,
    ACT_KILL_AT_COMMIT,
    ACT_KILL_BEHIND_COMMIT,
    ACT_JOURNAL_LOST, /* at the next opening */
    ACT_FLIP,         /* the user works on the target from now on */
    ACT_BACK,         /* behind the flip: the way back begins, with the sides exchanged */
    ACT_RESTORE,      /* a folder of the source is what it was once, and goes on from there */
    ACT_TGT_RESTORE,
};
#define ACTS 27

struct action {
    uint32_t tick;
    enum act what;
    uint32_t a, b; /* which of those that are there */
};

/* What the copy is for. */
enum purpose {
    PURPOSE_MOVE,     /* mirror, and sweeps behind the flip */
    PURPOSE_ARCHIVE,  /* the target keeps everything */
    PURPOSE_BACKFILL, /* the flip comes first */
};
#define PURPOSES 3

/* What the disk adds to a kill (tear.h); only with Berkeley DB. */
enum tear { TEAR_NONE, TEAR_PAGE, TEAR_COMMIT, TEAR_LOG };
#define TEARS 4

struct history {
    uint64_t seed;
    enum purpose purpose;
    enum tear tear;
    uint32_t quirks[2]; /* source, target */
    uint32_t settle_ms;
    uint32_t portion;     /* messages of a folder that are listed at once; 0: all of them */
    uint32_t connections; /* to each server; 0: one */
    bool has_open;        /* also what is known to go wrong: docs/simulation.md, what is open */
    uint32_t n;
    struct action v[ACTIONS_MAX]; /* by tick */
};

struct outcome {
    enum harm harm;
    char text[512];
    uint32_t ticks, passes, failed_passes;
    uint32_t acted; /* actions that found something to do */
};

const char *act_name(enum act a);
void history_make(uint64_t seed, bool has_open, struct history *out);
/* story: NULL, or where it is told. */
void history_run(const struct history *h, FILE *story, struct outcome *out);
/* As text (story.c). */
void history_print(const struct history *h, FILE *out);
bool history_read(const char *path, struct history *out);

/* Takes out of a history that fails what it does not need for the same harm.  Returns the number of
 * runs that it took. */
unsigned history_shrink(struct history *h);

#endif
