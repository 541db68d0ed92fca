/* SPDX-License-Identifier: ISC */
/* learnt: whom coexist-mapd has learnt from the programs that route mail, instead of logs. */
#ifndef MAPS_TOOL_LEARNT_H
#define MAPS_TOOL_LEARNT_H

#include "maps/tool/arrivals.h"
#include "maps/tool/tool.h"

/* *missed_out: how often somebody was named and could not be noted. */
int learnt_read(
    struct tool *t, struct arrivals *all, uint64_t *missed_out, struct err *err) ATTR_WUR;

#endif
