/* SPDX-License-Identifier: ISC */
/* mail_log: the recipients in a line of a log of ours, of Postfix or of Sendmail, or in a list of
 * addresses; pure. */
#ifndef MAPS_FORMAT_MAIL_LOG_H
#define MAPS_FORMAT_MAIL_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include "base/core/slice.h"

#define MAIL_LOG_RCPTS_MAX 64 /* of one line; what is beyond is passed over */

/* What the server behind said to the address. */
enum mail_log_known { MAIL_LOG_UNKNOWN, MAIL_LOG_TAKEN, MAIL_LOG_REFUSED /* no such user */ };

struct mail_log {
    struct slice rcpts[MAIL_LOG_RCPTS_MAX];
    size_t n; /* 0: the line tells of none */
    enum mail_log_known known;
    struct slice when; /* as the line has it; "" in a list */
};

/* Slices borrow from line. */
void mail_log_read(struct slice line, struct mail_log *out);

#endif
