/* SPDX-License-Identifier: ISC */
/*
 * huge: mappings of large files in tmpfs that the kernel may back with huge pages.  A random access
 * to such a file in small pages waits longer for the walk through the page tables than for the
 * memory itself.
 *
 * Nothing depends on it: where the kernel cannot do it, all works as with small pages.
 */
#ifndef BASE_OS_HUGE_H
#define BASE_OS_HUGE_H

#include <stddef.h>

#define HUGE_PAGE ((size_t)2 << 20) /* bytes, of x86-64 and of arm64 with pages of 4 KiB */

/* mmap(2) of a whole file, MAP_SHARED, at an address at which its huge pages can be mapped as such.
 * Unmap with munmap(base, size).  MAP_FAILED with errno on failure. */
void *huge_map(int fd, size_t size, int prot);

/* Asks the kernel to put the pages of such a mapping, which must exist, into huge ones at once
 * (MADV_COLLAPSE, since Linux 6.1, whatever /sys/kernel/mm/transparent_hugepage says of the
 * default). */
void huge_collapse(void *base, size_t size);

#endif
