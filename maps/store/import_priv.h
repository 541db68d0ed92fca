/* SPDX-License-Identifier: ISC */
/* import_priv: an import on its way from begin to commit. */
#ifndef MAPS_STORE_IMPORT_PRIV_H
#define MAPS_STORE_IMPORT_PRIV_H

#include "maps/store/control_priv.h"
#include "maps/store/import_rules.h"

#define IMPORT_BAD_ROWS_MAX 20   /* told in one reply */
#define IMPORT_CONFLICTS_MAX 100 /* told in the reply, the others counted */

struct control_import {
    struct arena *mem;
    struct change *rows;
    size_t n, cap;
    uint32_t next_row;
    size_t n_bad; /* rows that were refused: nothing comes of this import */
    struct err first_bad;
    struct import_rules rules;
    bool replace, dry_run;
    uint64_t drop_percent, drop_count; /* that may leave a server at once */
};

enum control_outcome import_need(struct control_call *call);
/* Adds what call->err says to the rows that the reply names; first: an earlier row of the same key,
 * or NULL. */
void import_add_bad(struct control_call *call, struct control_import *import,
    const struct change *first, uint32_t row);
enum control_outcome import_refuse_bad(
    struct control_call *call, const struct control_import *import);

#endif
