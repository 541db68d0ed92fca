/* SPDX-License-Identifier: ISC */
/* arrivals: the addresses of our domains that logs or lists name, each once, with how often. */
#ifndef MAPS_TOOL_ARRIVALS_H
#define MAPS_TOOL_ARRIVALS_H

#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/conf.h"
#include "base/core/err.h"
#include "maps/format/mail_log.h"

#define ARRIVALS_MAX ((size_t)4 << 20)

struct arrival {
    char *key;
    uint64_t count;
    enum mail_log_known known; /* what was said last */
    char *when;                /* as the log has it; "" */
    char *first, *by;          /* of what was learnt without a log; NULL */
};

struct arrivals {
    struct arrival *v;
    size_t n, cap;
    uint32_t *slots; /* by hash: index in v and one, 0: free */
    size_t n_slots;
};

void arrivals_fini(struct arrivals *a);
/* Adds what a file names, or standard input for "-". */
int arrivals_read(
    struct arrivals *a, const struct conf *conf, const char *path, struct err *err) ATTR_WUR;
/* Adds to the one of this key. */
int arrivals_add(struct arrivals *a, struct slice key, uint64_t count, enum mail_log_known known,
    struct slice when, struct err *err) ATTR_WUR;
/* When the one of this key was seen first, and which programs have named it. */
void arrivals_tell(struct arrivals *a, struct slice key, const char *first, const char *by);
/* Index in v, or -1. */
ptrdiff_t arrivals_find(const struct arrivals *a, struct slice key);
/* The most frequent first. */
void arrivals_sort(struct arrivals *a);

#endif
