/* SPDX-License-Identifier: ISC */
/* wait: what bounds every wait of a job, handed down from whoever began it. */
#ifndef BASE_OS_WAIT_H
#define BASE_OS_WAIT_H

#include <stdint.h>

/* Borrowed by all that wait under it; its owner may change it meanwhile. */
struct wait_limits {
    uint64_t until_ms; /* clock_mono_ms(); 0: no end but each peer's own patience */
    int cancel_fd;     /* readable when the job is to end now; -1: none */
};

#endif
