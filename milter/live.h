/* SPDX-License-Identifier: ISC */
/*
 * live: the configuration in use, which a reload replaces while threads work with it.  A message
 * takes a reference when it begins and judges by that one until it ends; the last reference frees.
 */
#ifndef MILTER_LIVE_H
#define MILTER_LIVE_H

#include "base/core/attr.h"
#include "base/core/conf.h"
#include "base/core/err.h"
#include "maps/trace.h"
#include "milter/judge.h"

struct live {
    struct conf *conf;
    struct trace_keys *keys; /* NULL: no stamps */
};

/* Takes conf over, on failure too, and reads the trace keys that it names. */
int milter_live_new_own(struct conf *conf, struct live **out, struct err *err) ATTR_WUR;
/* Makes `fresh` what milter_live_get() hands out. */
void milter_live_publish_own(struct live *fresh);
/* The published one, with a reference; from any thread. */
struct live *milter_live_get(void);
void milter_live_put(struct live **l);
struct judge_site milter_live_site(const struct live *l);
/* Whether header fields matter. Without stamps they do not: whoever routes looks at them. */
bool milter_live_reads_header(const struct live *l);

#endif
