/* SPDX-License-Identifier: ISC */
/* many: many histories, one after the other in each of some processes. */
#ifndef TESTS_SIM_MANY_H
#define TESTS_SIM_MANY_H

#include "tests/sim/history.h"

#define JOBS_MAX 64

struct options {
    uint64_t histories, first, seed;
    unsigned jobs;
    uint32_t connections; /* of every history; 0: as it is made */
    bool is_replay, is_whole, is_planting, is_brief, has_open;
};

/* The history of a seed. */
void history_as(const struct options *o, uint64_t seed, struct history *out);
void tell(const struct history *h);
/* 0: all went well.  Says every minute how far it is.  SIGINT and SIGTERM end it when each process
 * has finished its history; then, as after a crash, the last line of progress says what is left. */
int run_all(const struct options *o);

#endif
