/* SPDX-License-Identifier: ISC */
/*
 * mem: see mem.h.  Running out of memory ends the process at once, without unwinding: whatever was
 * not acknowledged stays with its sender, and the supervisor starts a fresh process.
 */
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/core/num.h"

static void *checked(void *p, size_t size)
{
    if (p == NULL) {
        log_error("out_of_memory", log_u64("size", size));
        _exit(EX_OSERR);
    }
    return p;
}

void *mem_zalloc(size_t size)
{
    return checked(calloc(1, size > 0 ? size : 1), size);
}

void *mem_realloc_array(void *p, size_t n, size_t size)
{
    size_t total;

    if (num_mul_overflows(n, size, &total))
        BUG("array size overflows");
    return checked(realloc(p, total > 0 ? total : 1), total);
}

char *mem_strdup(const char *text)
{
    return text ? checked(strdup(text), strlen(text)) : NULL;
}

void mem_free_string(char **text)
{
    free(*text);
    *text = NULL;
}

void mem_sort(void *v, size_t n, size_t size, mem_compare *compare)
{
    if (n > 1)
        qsort(v, n, size, compare);
}

void *mem_search(const void *key, const void *v, size_t n, size_t size, mem_compare *compare)
{
    return n > 0 ? bsearch(key, v, n, size, compare) : NULL;
}

size_t mem_place(const void *key, const void *v, size_t n, size_t size, mem_compare *compare)
{
    size_t first = 0, end = n;
    while (first < end) {
        size_t mid = first + (end - first) / 2;
        if (compare((const unsigned char *)v + mid * size, key) < 0)
            first = mid + 1;
        else
            end = mid;
    }
    return first;
}
