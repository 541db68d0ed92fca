/* SPDX-License-Identifier: ISC */
/* both: two connections to one mailbox, on the model or on a real server, behind the interface of
 * an end. */
#ifndef TESTS_SIM_BOTH_H
#define TESTS_SIM_BOTH_H

#include "imapsync/ends/end.h"

struct both {
    struct end *end[2];
    bool is_model;
};

/* quirks: of enum quirk. */
void both_on_model(struct both *b, uint64_t seed, uint32_t quirks);
void both_on_server(struct both *b, const char *url, const char *password_file);
void both_close(struct both *b);

#endif
