/* SPDX-License-Identifier: ISC */
/*
 * oracle: whether mail came to harm: what shows at the moment of a change (ledger.h), and what is
 * left when it has become quiet.
 *
 *     ledger_init(&l); ... the model tells it ...; oracle_judge(&l, &source, &target)
 *
 *   LOST         a message of the source has no copy in its folder on the target, no user there has
 *                taken one away, and nothing was told
 *   DOUBLED      more copies were put into a folder than messages of that content ever lived there
 *   RESURRECTED  so many copies only because one was made again that a user had removed; or a copy
 *                of a message that was deleted on the source, or moved there, is still where it
 *                was, and nothing was told
 *   FLAG UNDONE  the engine has added or taken away a flag more often than users of the source did,
 *                or what it is for forbids it
 *   FLAG MISSED  a flag of the source is not on its only copy, and nobody there has touched it
 *   WRONG DELETE the engine removed what it did not store, what a user of the target had marked,
 *                or more than was ever deleted in that folder, or what it is for forbids it
 *   CORRUPT      a copy has other octets or another date than its message, and nothing was told
 */
#ifndef TESTS_SIM_ORACLE_H
#define TESTS_SIM_ORACLE_H

#include "tests/sim/ledger.h"

/* After quiet; adds to what the ledger found before. */
void oracle_judge(struct ledger *l, const struct server *source, const struct server *target);

#endif
