/* SPDX-License-Identifier: ISC */
/* huge: alignment and advice; both are only ever an improvement. */
#include "base/os/huge.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* the C library of Debian 12 is older than its kernel */
#endif

void *huge_map(int fd, size_t size, int prot)
{
    if (size < HUGE_PAGE || size > SIZE_MAX - HUGE_PAGE)
        return mmap(NULL, size, prot, MAP_SHARED, fd, 0);

    /* More room than needed, of which the part that is not aligned is given back. */
    size_t room = size + HUGE_PAGE;
    char *start = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED)
        return MAP_FAILED;
    size_t before = (HUGE_PAGE - (uintptr_t)start % HUGE_PAGE) % HUGE_PAGE;
    if (before > 0)
        munmap(start, before);
    char *base = mmap(start + before, size, prot, MAP_SHARED | MAP_FIXED, fd, 0);
    int errnum = errno;
    if (base == MAP_FAILED) {
        munmap(start + before, room - before);
        errno = errnum;
        return MAP_FAILED;
    }
    /* The kernel maps whole pages. */
    size_t page = (size_t)sysconf(_SC_PAGESIZE), used = before + (size + page - 1) / page * page;
    if (used < room)
        munmap(start + used, room - used);
    return base;
}

void huge_collapse(void *base, size_t size)
{
    if (size >= HUGE_PAGE)
        (void)madvise(base, size, MADV_COLLAPSE);
}
