/* SPDX-License-Identifier: ISC */
/*
 * named: values by name, as a folder has them beside its messages: rights by whose they are,
 * annotations by their entry.
 */
#ifndef IMAPSYNC_ENDS_NAMED_H
#define IMAPSYNC_ENDS_NAMED_H

#include <stdbool.h>
#include <stddef.h>
#include "base/core/slice.h"

/* Of one folder. */
#define NAMED_MAX 1000
#define NAMED_OCTETS_MAX (64u << 10)

struct named {
    struct slice name, value; /* owned */
};

/* Zeroed it is empty. */
struct named_list {
    struct named *v; /* owned */
    size_t n;
    size_t octets;
    bool is_cut; /* there is more, which is too large, or too much */
};

/* Beyond the limits it is cut. */
void named_list_add(struct named_list *l, struct slice name, struct slice value);
/* NULL: there is none. */
const struct named *named_list_find(const struct named_list *l, struct slice name);
void named_list_fini(struct named_list *l);

#endif
