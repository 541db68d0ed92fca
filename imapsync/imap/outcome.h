/* SPDX-License-Identifier: ISC */
/* outcome: what a command was answered, kept. */
#ifndef IMAPSYNC_IMAP_OUTCOME_H
#define IMAPSYNC_IMAP_OUTCOME_H

#include "imapsync/imap/limits.h"
#include "imapsync/imap/response.h"

struct imap_outcome {
    bool is_done;
    enum imap_status status;
    enum imap_code_kind code;
    uint64_t number;
    char text[IMAP_TEXT_KEPT_MAX];
};

/* An imap_done_fn. */
void imap_outcome_set(void *outcome, const struct imap_response *r);

#endif
