/* SPDX-License-Identifier: ISC */
/*
 * errand: a function that blocks, for programs without a loop, without waiting for it: a thread of
 * its own runs it, and a descriptor says when it is done.
 *
 * An errand that nobody wants any more is forgotten; its thread ends when the function returns.
 */
#ifndef BASE_OS_ERRAND_H
#define BASE_OS_ERRAND_H

#include <stdbool.h>
#include "base/core/attr.h"
#include "base/core/err.h"

struct errand;

/* what is the thread's until the errand is done, then the owner's to look at; freed when both have
 * let go, here on an error too. */
int errand_start_own(void (*run)(void *what), void (*free_what)(void *what), void *what,
    struct errand **out, struct err *err) ATTR_WUR;
int errand_fd(const struct errand *e); /* readable when it is done; borrowed */
bool errand_is_done(const struct errand *e);
void *errand_what(const struct errand *e); /* only when it is done */
void errand_free(struct errand **e);       /* done or not */

#endif
