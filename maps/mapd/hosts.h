/* SPDX-License-Identifier: ISC */
/*
 * hosts: what the claims of all hosts say, of which there is one today, this one.  Only this file
 * and its .c know that: whoever asks counts on an answer that comes later, or not at all.
 */
#ifndef MAPS_MAPD_HOSTS_H
#define MAPS_MAPD_HOSTS_H

#include <stddef.h>
#include "base/core/err.h"
#include "maps/claims.h"

struct hosts;

/* err NULL: every question has the answer of all hosts, the worst of them.  May be called by
 * hosts_ask() itself. */
typedef void hosts_answered(void *arg, const struct err *err);

/* run_dir is borrowed. */
struct hosts *hosts_new(const char *run_dir);
/* Whoever was asked does not answer any more. */
void hosts_free(struct hosts **h);
/* One round at a time; the questions are borrowed until it is answered. */
void hosts_ask(struct hosts *h, struct claims_question *questions, size_t n,
    hosts_answered *answered, void *arg);
/* Removes what dead processes have left on this host. */
int hosts_sweep(struct hosts *h, struct err *err) ATTR_WUR;

#endif
