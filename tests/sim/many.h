/* SPDX-License-Identifier: ISC */
/* many: many histories, one after the other in each of some processes. */
#ifndef TESTS_SIM_MANY_H
#define TESTS_SIM_MANY_H

#include "tests/sim/history.h"

#define JOBS_MAX 64

struct options {
    uint64_t histories, first, seed;
    unsigned jobs;
    bool is_replay, is_whole, is_planting, is_brief, has_open;
};

void tell(const struct history *h);
/* 0: all went well.  Says every minute how far it is.  SIGINT and SIGTERM end it when each process
 * has finished its history; then, as after a crash, the last line of progress says what is left. */
int run_all(const struct options *o);

#endif
