/* SPDX-License-Identifier: ISC */
/* import_priv: an import on its way from begin to commit. */
#ifndef MAPS_STORE_IMPORT_PRIV_H
#define MAPS_STORE_IMPORT_PRIV_H

#include "maps/store/control_priv.h"
#include "maps/store/import_rules.h"
#include "maps/store/stage.h"

#define IMPORT_BAD_ROWS_MAX 20   /* told in one reply */
#define IMPORT_CONFLICTS_MAX 100 /* told in the reply, the others counted */
#define IMPORT_NO_ROW UINT32_MAX /* of an entry that the file does not name */

/* Of a server, by index; the last one is for entries without one. */
struct import_tally {
    uint64_t now, added, arrived, left, retired;
};

/* Wrong rows that were found together. */
struct import_bad {
    json_t *list; /* as in the reply, NULL: none yet */
    struct err first;
};

struct control_import {
    struct arena *mem;
    struct store_stage *stage;
    unsigned conf_serial; /* of the configuration that it was begun with */
    uint64_t n;           /* rows */
    uint32_t next_row;
    size_t n_bad; /* rows that were refused: nothing comes of this import */
    struct err first_bad;
    struct import_bad late; /* rows that are wrong beside the others; told by the commit */
    struct import_rules rules;
    bool replace, dry_run;
    bool is_counted; /* all entries of the map, which takes a moment where there are many */
    uint64_t drop_percent, drop_count; /* that may leave a server at once */
    struct change_counts counts;
    uint64_t kept[IMPORT_ROWS_KEPT], held, meanwhile, retired;
    struct import_tally *servers;
    size_t n_servers;
    bool *domains; /* by index in the configuration: does the import name it? */
    size_t n_domains;
    json_t *conflicts;
    uint64_t n_leading;    /* rows that came to lead to others, or no more */
    struct buf counted_to; /* the last key that was counted */
    struct buf checked_to; /* the last row of which it was looked where it leads */
    bool was_counted, was_checked;
    bool is_above; /* in the second round: those in the map that lead to it */
    uint64_t base; /* 0: not chosen */
};

enum control_outcome import_need(struct control_call *call);
/* Adds what call->err says to the rows that the reply names; first: an earlier row of the same key,
 * or IMPORT_NO_ROW. */
void import_add_bad(json_t *to, const struct err *err, uint32_t first, uint32_t row);
/* Makes a row one of the stage. REFUSED: it is wrong beside those that are there. */
enum control_outcome import_stage_row(
    struct control_call *call, struct control_import *import, const struct change *row);
/* At most max entries behind those that were counted: how many each server has, and who is not
 * named. */
int import_count(struct control_call *call, struct control_import *import, size_t max) ATTR_WUR;
/* The next of at most max rows: do those that lead to others go in a circle, or to too many? */
int import_check(struct control_call *call, struct control_import *import, size_t max) ATTR_WUR;
/* Takes back what was counted of rows whose entries were changed meanwhile, at most max. *n_out:
 * how many. */
int import_lost(
    struct control_call *call, struct control_import *import, size_t max, size_t *n_out) ATTR_WUR;

#endif
