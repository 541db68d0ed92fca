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

#endif
