/* SPDX-License-Identifier: ISC */
/*
 * report: one log line per verdict.  In shadow mode, where nothing is refused, the lines say what
 * would have been done, under events of their own, so that counting them needs no second look.
 */
#ifndef MILTER_REPORT_H
#define MILTER_REPORT_H

#include <stdint.h>
#include "base/core/conf.h"
#include "milter/judge.h"

struct report {
    uint64_t sid;       /* the SMTP session, as long as this process lives */
    const char *qid;    /* the MTA's queue id, NULL when it is not known yet */
    const char *client; /* address of the client */
    const struct conf *conf;
};

void milter_report_rcpt(const struct report *r, const struct judge_finding *f);
void milter_report_message(const struct report *r, const struct judge_finding *f, size_t rcpts);

#endif
