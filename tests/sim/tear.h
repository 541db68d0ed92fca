/* SPDX-License-Identifier: ISC */
/*
 * tear: what a power failure leaves of the files of a journal, besides what a kill leaves: a page
 * of which only half came to the disk, a log that ends in the middle of the commit that was under
 * way, or no log at all, as when a file system was repaired.  Nothing that was synced is taken back
 * but by the last one, which is damage that the journal has to notice.
 */
#ifndef TESTS_SIM_TEAR_H
#define TESTS_SIM_TEAR_H

#include "tests/sim/history.h"

/* Right before a commit that will be torn. */
void tear_before(const char *dir);
/* Of the files in dir; true: the journal may be lost by it. */
bool tear_now(enum tear how, const char *dir, uint32_t number);

#endif
