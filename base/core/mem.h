/* SPDX-License-Identifier: ISC */
/*
 * mem: allocation.  Fixed-size allocations end the process when memory is gone (it is crash-only
 * and nothing acknowledged is lost); sizes that a peer chooses go through buf or arena, which are
 * bounded.
 */
#ifndef BASE_CORE_MEM_H
#define BASE_CORE_MEM_H

#include <stddef.h>

void *mem_zalloc(size_t size);                           /* never NULL */
void *mem_realloc_array(void *p, size_t n, size_t size); /* never NULL; n * size is checked */
char *mem_strdup(const char *text);                      /* NULL gives NULL */
void mem_free_string(char **text);                       /* frees and leaves NULL */

/* qsort() and bsearch() for arrays that may be empty, and then may be NULL: to the C library's a
 * NULL is undefined even with no elements. */
typedef int mem_compare(const void *a, const void *b);
void mem_sort(void *v, size_t n, size_t size, mem_compare *compare);
void *mem_search(
    const void *key, const void *v, size_t n, size_t size, mem_compare *compare); /* or NULL */
/* How many of them come before the key: where it is, or would be. */
size_t mem_place(const void *key, const void *v, size_t n, size_t size, mem_compare *compare);

#endif
