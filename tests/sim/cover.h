/* SPDX-License-Identifier: ISC */
/*
 * cover: whether what is there in one place can be accounted for by what was there in another:
 * of equal messages nobody can say which is which, but some way to tell them apart has to agree
 * with everything that was seen.
 */
#ifndef TESTS_SIM_COVER_H
#define TESTS_SIM_COVER_H

#include <stddef.h>
#include <stdint.h>

#define COVER_MAX 64

struct cover {
    size_t n_needs, n_supplies; /* <= COVER_MAX */
    uint16_t needs[COVER_MAX];  /* how many of each */
    uint16_t supplies[COVER_MAX];
    uint64_t by[COVER_MAX]; /* for each need: bits of the supplies that are good for it */
};

/* How many of the needs stay uncovered at least. */
unsigned cover_lacks(const struct cover *c);

#endif
