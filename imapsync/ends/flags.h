/* SPDX-License-Identifier: ISC */
/*
 * flags: the flags of a message as bits, so that differences are bit operations.  Keywords get
 * their bit from a table per mailbox pair, which the journal keeps.
 */
#ifndef IMAPSYNC_ENDS_FLAGS_H
#define IMAPSYNC_ENDS_FLAGS_H

#include <stdbool.h>
#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/slice.h"
#include "imapsync/ends/limits.h"

enum flag_system {
    FLAG_ANSWERED = 1,
    FLAG_DELETED = 2,
    FLAG_DRAFT = 4,
    FLAG_FLAGGED = 8,
    FLAG_SEEN = 16,
};

#define FLAGS_WORDS (KEYWORDS_MAX / 64)

/* 20 octets instead of 24: there are as many as messages. */
struct flags {
    uint64_t keywords[FLAGS_WORDS];
    uint8_t system; /* of enum flag_system */
} __attribute__((packed, aligned(4)));

struct keywords {
    char *names[KEYWORDS_MAX];
    size_t n;
};

/* Its bit; 0: a keyword, or a flag that does not travel. */
uint8_t flags_system(struct slice name);
void keywords_fini(struct keywords *k);
/* Adds a keyword that is not there yet (case folded): its bit, or -1: no atom, too long, or no
 * room. */
int keywords_bit(struct keywords *k, struct slice name);

/* The flags of a FETCH response.  \Recent is the server's own and left out.  Returns how many
 * keywords could not be kept. */
size_t flags_parse(struct slice words, struct keywords *k, struct flags *out);
/* "\Seen Work", without parentheses. */
int flags_format(const struct flags *f, const struct keywords *k, struct buf *out) ATTR_WUR;

bool flags_eq(const struct flags *a, const struct flags *b);
bool flags_empty(const struct flags *f);
struct flags flags_minus(const struct flags *a, const struct flags *b);
struct flags flags_or(const struct flags *a, const struct flags *b);
struct flags flags_and(const struct flags *a, const struct flags *b);
/* For sorting equal ones together. */
int flags_compare(const struct flags *a, const struct flags *b);

#endif
