/* SPDX-License-Identifier: ISC */
/*
 * import_rules: what an import may do to an entry that the map has, pure.
 *
 * A file says how things were when it was written; meanwhile people were moved.  So an import
 * brings what is new, and what it would change of an entry's way is kept unless the administrator
 * asks for it: of one that a cut-over has moved in any case, and of one that is held until it is
 * released.
 */
#ifndef MAPS_STORE_IMPORT_RULES_H
#define MAPS_STORE_IMPORT_RULES_H

#include <stdbool.h>
#include <stdint.h>
#include "maps/route.h"

struct import_rules {
    struct slice source; /* name of the import: what it brings is its own */
    struct slice
        default_route;       /* of new entries without one: where its people live; n == 0: none */
    bool reroute;            /* change routes too */
    int64_t now_s, retire_s; /* how long somebody who left is retiring */
};

enum import_row {
    IMPORT_TAKEN,
    IMPORT_KEPT_ROUTE, /* another route, or kind, and not told to change it */
    IMPORT_KEPT_MOVED, /* a cut-over has moved it */
    IMPORT_KEPT_HELD,  /* being cut over; nothing of the row is taken */
};
#define IMPORT_ROWS_KEPT 4
/* old: the entry, a tombstone where there is none.  next comes as old with the fields of the row,
 * and leaves as what the entry becomes. */
enum import_row import_row(
    const struct import_rules *r, const struct route_entry *old, struct route_entry *next);

/* An entry that the file does not name, in a domain that it names. */
enum import_missing {
    IMPORT_STAYS, /* another's, moved to another server, or retiring already */
    IMPORT_HELD,
    IMPORT_RETIRES,
    IMPORT_GOES, /* has been retiring for long enough, or was a refusal */
};
enum import_missing import_missing(
    const struct import_rules *r, struct slice key, const struct route_entry *e);
/* What becomes of one that retires. */
void import_retire(
    const struct import_rules *r, const struct route_entry *old, struct route_entry *next);

/* At most `percent` of a server's addresses, or `count` of them if that is more, may go at once. */
bool import_is_too_much(uint64_t gone, uint64_t of, uint64_t percent, uint64_t count);

#endif
