/* SPDX-License-Identifier: ISC */
/*
 * arena: memory that lives as long as one message or one session and is freed in one call.  Never
 * store a pointer into an arena in something that lives longer.
 */
#ifndef BASE_CORE_ARENA_H
#define BASE_CORE_ARENA_H

#include <stddef.h>
#include "base/core/slice.h"

struct arena;

struct arena *arena_new(size_t max); /* total bytes that it may hand out */
void arena_free(struct arena **a);
void arena_reset(struct arena *a); /* frees everything handed out, keeps one block */
/* Zeroed, aligned for any object; NULL when the maximum would be passed. */
void *arena_alloc(struct arena *a, size_t size);
/* Copies; p is NULL on failure (a copy of an empty slice has a non-NULL p). */
struct slice arena_dup(struct arena *a, struct slice s);

#endif
